//! Caches of real jobs, kept in files: what one job saves the next one finds, and what cannot be had harms no job.

use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use crate::support::{Desk, Finished, after_script, job, variable};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

fn cache(key: &str, paths: &[&str]) -> Value {
    json!({"key": key, "untracked": false, "paths": paths, "policy": "pull-push", "when": "on_success",
        "fallback_keys": []})
}

fn with(script: &[&str], caches: &[Value]) -> Value {
    let mut job = job(script);
    job["cache"] = json!(caches);
    job
}

/// The job after one whose work tree nobody kept.
fn next(desk: &Desk, job: Value) -> Finished {
    fs::remove_dir_all(desk.work().join("builds")).unwrap();
    desk.coordinator.add_job(job);
    desk.run()
}

/// Where an archive is kept.
fn kept(desk: &Desk, key: &str) -> PathBuf {
    desk.work().join("cache/project-380").join(key).join("cache.zip")
}

fn names(zip: &Path) -> Vec<String> {
    ZipArchive::new(File::open(zip).unwrap()).unwrap().file_names().map(str::to_owned).collect()
}

/// Stores an archive as an earlier job would have.
fn store(desk: &Desk, key: &str, bytes: &[u8]) {
    let path = kept(desk, key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn zip(write: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    write(&mut zip);
    zip.finish().unwrap().into_inner()
}

fn ends_as(done: &Finished, state: &str) {
    assert_eq!(done.last()["state"], state, "{}", done.text());
}

/// The lines of one section, without stamps and colours.
fn section<'a>(text: &'a str, title: &str, following: &str) -> Vec<&'a str> {
    let after = text.split_once(&format!("{title}\n")).unwrap_or_else(|| panic!("no {title:?} in {text}")).1;
    let lines = after.split_once(following).unwrap_or_else(|| panic!("no {following:?} in {text}")).0.lines();
    lines.map(str::trim_end).filter(|line| !line.contains("section_")).collect()
}

const NO_DOWNLOAD: &str = "No URL provided, cache will not be downloaded from shared cache server. Instead a local version of \
                           cache will be extracted.";
const NO_UPLOAD: &str =
    "No URL provided, cache will not be uploaded to shared cache server. Cache will be stored only locally.";

#[test]
fn the_recorded_job_has_the_recorded_lines_and_the_next_one_its_files() {
    let recorded = || {
        let mut recorded = cache("k-1-protected", &["deps/"]);
        recorded["fallback_keys"] = json!(["k-0-protected"]);
        recorded
    };
    let desk = Desk::new(Some(with(&["echo first", "mkdir -p deps && echo d > deps/d"], &[recorded()])));
    let done = desk.run();
    ends_as(&done, "success");
    assert_eq!(
        done.sections(),
        [
            "prepare_executor",
            "prepare_script",
            "get_sources",
            "restore_cache",
            "step_script",
            "archive_cache",
            "cleanup_file_variables"
        ]
    );
    let text = done.text();
    let looked_for = ["1", "0"].map(|n| {
        [
            format!("Checking cache for k-{n}-protected..."),
            NO_DOWNLOAD.to_owned(),
            "WARNING: Cache file does not exist".to_owned(),
            "Failed to extract cache".to_owned(),
        ]
    });
    assert_eq!(section(&text, "Restoring cache", "Executing"), looked_for.concat());
    assert_eq!(
        section(&text, "Saving cache for successful job", "Cleaning up"),
        [
            "Creating cache k-1-protected...",
            "deps/: found 2 matching artifact files and directories",
            NO_UPLOAD,
            "Created cache"
        ]
    );
    for line in [
        " 01O \u{1b}[0;33mFailed to extract cache\u{1b}[0;m\n",
        " 01O \u{1b}[32;1mCreating cache k-1-protected...\u{1b}[0;m\n",
        " 01E \u{1b}[0;33mWARNING: Cache file does not exist                \u{1b}[0;m \n",
    ] {
        assert!(done.log.contains(line), "{line:?} in {}", done.log);
    }
    assert_eq!(names(&kept(&desk, "k-1-protected")), ["deps/", "deps/d"]);
    let outside: Vec<_> = fs::read_dir(desk.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 2, "the token and the work folder: {outside:?}");

    let done = next(&desk, with(&["cat deps/d && echo was-here"], &[recorded()]));
    ends_as(&done, "success");
    let text = done.text();
    assert_eq!(
        section(&text, "Restoring cache", "Executing"),
        ["Checking cache for k-1-protected...", NO_DOWNLOAD, "Successfully extracted cache"]
    );
    assert!(text.contains("\nd\nwas-here\n"), "{text}");
    let saved = section(&text, "Saving cache for successful job", "Cleaning up");
    assert_eq!(saved[2..], ["Archive is up to date!", "Created cache"]);

    let done = next(&desk, with(&["echo new > deps/new"], &[recorded()]));
    ends_as(&done, "success");
    assert!(!done.text().contains("up to date"), "{}", done.text());
    assert_eq!(names(&kept(&desk, "k-1-protected")), ["deps/", "deps/d", "deps/new"]);
    let folder = kept(&desk, "k-1-protected");
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_under_another_key_is_taken_when_there_is_nothing_under_the_first() {
    let desk = Desk::new(Some(with(&["echo old > f"], &[cache("main-protected", &["f"]), cache("main", &["f"])])));
    ends_as(&desk.run(), "success");
    let mut wanted = cache("$BRANCH", &["f"]);
    wanted["fallback_keys"] = json!(["none", "${MAIN}", "never"]);
    let mut job = with(&["cat f"], &[wanted]);
    variable(&mut job, "BRANCH", "feature");
    variable(&mut job, "MAIN", "main");
    let text = next(&desk, job).text();
    let looked_for: Vec<&str> = text.lines().filter(|line| line.starts_with("Checking cache for ")).collect();
    assert_eq!(looked_for, ["feature", "none", "main"].map(|key| format!("Checking cache for {key}...")));
    assert!(text.contains("Successfully extracted cache") && text.contains("\nold\n"), "{text}");
    assert!(kept(&desk, "feature").is_file(), "it is saved under its own key");

    for (named, found) in [("main", true), ("main-protected", false), ("main-protected. ", false)] {
        let mut job = with(&["cat f || true"], &[cache("other", &["nothing"])]);
        variable(&mut job, "CACHE_FALLBACK_KEY", named);
        let text = next(&desk, job).text();
        assert_eq!(text.contains("Successfully extracted cache"), found, "{named}: {text}");
        assert_eq!(text.contains("not allowed to end in \"-protected\""), !found, "{named}: {text}");
    }
}

#[test]
fn a_cache_is_pulled_and_pushed_by_its_policy() {
    let desk = Desk::new(Some(with(&["echo 1 > f"], &[cache("k", &["f"])])));
    ends_as(&desk.run(), "success");
    let before = fs::read(kept(&desk, "k")).unwrap();
    let mut pull = with(&["cat f; echo longer-than-before > f"], &[cache("k", &["f"])]);
    pull["cache"][0]["policy"] = json!("$POLICY");
    variable(&mut pull, "POLICY", "pull");
    let text = next(&desk, pull).text();
    assert!(text.contains("Successfully extracted cache"), "{text}");
    assert!(text.contains("Not uploading cache k due to policy") && !text.contains("Creating cache"), "{text}");
    assert_eq!(fs::read(kept(&desk, "k")).unwrap(), before);
    let mut push = with(&["test ! -e f; echo 2 > f"], &[cache("k", &["f"])]);
    push["cache"][0]["policy"] = json!("push");
    let done = next(&desk, push);
    ends_as(&done, "success");
    assert!(done.text().contains("Not downloading cache k due to policy"), "{}", done.text());
    assert_ne!(fs::read(kept(&desk, "k")).unwrap(), before);
}

#[test]
fn a_policy_that_is_none_fails_the_job_before_its_script() {
    let mut job = with(&["echo must-not-run"], &[cache("k", &["f"])]);
    job["cache"][0]["policy"] = json!("sometimes");
    let done = Desk::new(Some(job)).run();
    ends_as(&done, "failed");
    assert_eq!(done.last()["failure_reason"], "runner_system_failure");
    let text = done.text();
    assert!(text.contains("unknown cache policy sometimes for k") && !text.contains("$ echo must-not-run"), "{text}");
}

#[test]
fn a_cache_is_saved_after_the_end_that_it_is_for() {
    let caches = |key: &str| {
        ["on_success", "on_failure", "always"].map(|when| {
            let mut entry = cache(&format!("{key}-{when}"), &["f"]);
            entry["when"] = json!(when);
            entry
        })
    };
    for (script, key, section, saved) in [
        ("touch f", "good", "archive_cache", [true, false, true]),
        ("touch f; exit 3", "bad", "archive_cache_on_failure", [false, true, true]),
    ] {
        let desk = Desk::new(Some(with(&[script], &caches(key))));
        let done = desk.run();
        assert!(done.sections().contains(&section.to_owned()), "{:?}", done.sections());
        let found = ["on_success", "on_failure", "always"].map(|when| kept(&desk, &format!("{key}-{when}")).exists());
        assert_eq!(found, saved, "{key}");
    }
}

#[test]
fn a_cancelled_job_saves_what_is_for_failures() {
    let mut entry = cache("k", &["a", "b"]);
    entry["when"] = json!("always");
    let mut job = with(&["touch a", "echo first", "sleep 600"], &[entry]);
    after_script(&mut job, &["touch b"]);
    let desk = Desk::new(Some(job));
    desk.coordinator.job_status_after("first", "canceling");
    let done = desk.run();
    ends_as(&done, "failed");
    assert!(done.text().contains("Saving cache for failed job"), "{}", done.text());
    assert_eq!(names(&kept(&desk, "k")), ["a", "b"]);
}

#[test]
fn no_key_leads_out_of_the_projects_caches() {
    let mut keyless = cache("", &["f"]);
    keyless["key"] = Value::Null;
    let caches = [
        cache("../../../../evil", &["f"]),
        cache("%2e%2e\\", &["f"]),
        cache("$NONE", &["f"]),
        cache("a/.. ", &["f"]),
        keyless,
    ];
    let desk = Desk::new(Some(with(&["touch f"], &caches)));
    let done = desk.run();
    ends_as(&done, "success");
    let text = done.text();
    for line in [
        "cache key \"../../../../evil\" sanitized to \"evil\"",
        "cache key \"%2e%2e\\\\\" could not be sanitized",
        "cache key \"a/.. \" could not be sanitized",
    ] {
        assert_eq!(text.matches(line).count(), 2, "at the restoring and the saving: {line:?} in {text}");
    }
    assert_eq!(text.matches("Skipping cache extraction due to empty cache key").count(), 3, "{text}");
    assert_eq!(text.matches("Skipping cache archiving due to empty cache key").count(), 3, "{text}");
    let mut there: Vec<_> =
        fs::read_dir(desk.work().join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(there.pop(), Some(desk.work().join("cache/project-380")));
    assert!(there.is_empty() && kept(&desk, "evil").is_file() && kept(&desk, "unit/main").is_file());
}

#[test]
fn a_hostile_archive_writes_nothing_outside_the_project_and_harms_no_job() {
    let options = SimpleFileOptions::default();
    let up = zip(|zip| {
        zip.start_file("../evil.txt", options).unwrap();
        zip.write_all(b"x").unwrap();
    });
    let through = zip(|zip| {
        zip.add_symlink("way", "../../../../..", options).unwrap();
        zip.start_file("way/evil.txt", options).unwrap();
        zip.write_all(b"x").unwrap();
    });
    for (hostile, said) in
        [(up, "../evil.txt: leads out"), (through, "way/evil.txt: leads out"), (vec![7; 99], "cannot be read")]
    {
        let mut wanted = cache("bad", &["f"]);
        wanted["fallback_keys"] = json!(["good"]);
        let desk = Desk::new(Some(with(&["cat f"], &[wanted])));
        store(&desk, "bad", &hostile);
        store(
            &desk,
            "good",
            &zip(|zip| {
                zip.start_file("f", options).unwrap();
                zip.write_all(b"from-the-other").unwrap();
            }),
        );
        let done = desk.run();
        ends_as(&done, "success");
        let text = done.text();
        assert!(text.contains("FATAL: ") && text.contains(said), "{said:?} in {text}");
        assert!(text.contains("Failed to extract cache") && text.contains("from-the-other"), "{text}");
        let found = walk(desk.folder.path());
        assert!(!found.iter().any(|path| path.ends_with("evil.txt")), "{found:?}");
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| if entry.file_type().unwrap().is_dir() { walk(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

#[test]
fn no_link_makes_the_runner_read_what_the_job_could_not() {
    let desk = Desk::new(Some(with(&["ln -s /proc/self way"], &[cache("k", &["way/environ"])])));
    let done = desk.run();
    ends_as(&done, "success");
    let text = done.text();
    assert!(text.contains("what is below /proc is not read") && text.contains("Failed to create cache"), "{text}");
    assert!(!kept(&desk, "k").exists());
    assert_eq!(fs::read_dir(kept(&desk, "k").parent().unwrap()).unwrap().count(), 0, "nothing half is left");
}

#[test]
fn what_git_does_not_know_is_saved_too() {
    let mut entry = cache("k", &[]);
    entry["untracked"] = json!(true);
    let nothing = cache("passed-over", &[]);
    let desk = Desk::new(Some(with(&["git init -q . && touch new"], &[entry, nothing])));
    let done = desk.run();
    ends_as(&done, "success");
    assert_eq!(names(&kept(&desk, "k")), ["new"]);
    assert!(!done.text().contains("passed-over"), "{}", done.text());
}

#[test]
fn what_is_asked_for_and_not_done_is_said() {
    let mut job = with(&["touch f"], &[cache("k", &["f"]), cache("none", &["missing"])]);
    for (key, value) in
        [("CACHE_COMPRESSION_FORMAT", "tarzstd"), ("CACHE_COMPRESSION_LEVEL", "most"), ("FF_USE_FASTZIP", "true")]
    {
        variable(&mut job, key, value);
    }
    let desk = Desk::new(Some(job));
    let done = desk.run();
    ends_as(&done, "success");
    let text = done.text();
    assert!(text.contains("CACHE_COMPRESSION_FORMAT is tarzstd, and this runner writes zip"), "{text}");
    assert!(text.contains("compression level \"most\" is invalid"), "{text}");
    assert!(text.contains("No files to cache.") && !kept(&desk, "none").exists(), "{text}");
    assert_eq!(names(&kept(&desk, "k")), ["f"]);
}
