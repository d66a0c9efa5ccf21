//! Artifacts of real jobs: what is kept, what is brought, and what becomes of the job when it cannot be.

use std::io::{Cursor, Read as _, Write as _};

use crate::support::coordinator::{Answer, Coordinator, Request, status};
use crate::support::{Desk, Finished, JOB_TOKEN, after_script, job, variable};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

fn archive(paths: &[&str]) -> Value {
    json!({"name": null, "untracked": false, "when": "on_success", "expire_in": "1 week", "artifact_type": "archive",
        "artifact_format": "zip", "paths": paths})
}

fn with_archive(script: &[&str], paths: &[&str]) -> Value {
    let mut job = job(script);
    job["artifacts"] = json!([archive(paths)]);
    job
}

fn needing(script: &[&str]) -> Value {
    let mut job = job(script);
    job["dependencies"] = json!([
        {"id": 4, "name": "left nothing", "token": JOB_TOKEN},
        {"id": 5, "name": "build", "token": JOB_TOKEN, "artifacts_file": {"filename": "artifacts.zip", "size": 1}},
    ]);
    job
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An upload's file name and content.
fn file_of(request: &Request) -> (String, Vec<u8>) {
    let body = &request.body;
    let find = |text: &[u8]| body.windows(text.len()).position(|window| window == text).unwrap();
    let boundary = request.headers["content-type"].split("boundary=").nth(1).unwrap();
    let start = find(b"\r\n\r\n") + 4;
    let end = find(format!("\r\n--{boundary}--\r\n").as_bytes());
    let head = String::from_utf8(body[..start].to_vec()).unwrap();
    assert_eq!(head.matches("name=\"file\"").count(), 1, "{head}");
    (head.split("filename=\"").nth(1).unwrap().split('"').next().unwrap().to_owned(), body[start..end].to_vec())
}

fn names(zip: &[u8]) -> Vec<String> {
    ZipArchive::new(Cursor::new(zip)).unwrap().file_names().map(str::to_owned).collect()
}

fn ends_as(done: &Finished, state: &str, exit_code: &Value) {
    assert_eq!((&done.last()["state"], &done.last()["exit_code"]), (&json!(state), exit_code), "{}", done.text());
}

#[test]
fn the_recorded_job_is_kept_as_the_official_runner_keeps_it() {
    let mut job = job(&[
        "mkdir -p out/keep out/drop && echo a > out/keep/a && echo b > out/drop/b && ln -s a out/keep/link",
        "echo '<testsuite/>' > junit.xml",
        "echo '{}' > sast.json",
    ]);
    let mut out = archive(&["out/"]);
    out["exclude"] = json!(["out/drop/**/*"]);
    job["artifacts"] = json!([
        out,
        {"name": "junit.xml", "when": "always", "expire_in": "1 week", "artifact_type": "junit", "artifact_format": "gzip",
            "paths": ["junit.xml"]},
        {"name": "gl-sast-report.json", "when": "always", "expire_in": "1 week", "artifact_type": "sast",
            "artifact_format": "raw", "paths": ["sast.json"]},
    ]);
    let desk = Desk::new(Some(job));
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    assert_eq!(
        done.sections(),
        [
            "prepare_executor",
            "prepare_script",
            "get_sources",
            "step_script",
            "upload_artifacts_on_success",
            "cleanup_file_variables"
        ]
    );
    let sent = desk.coordinator.about_artifacts();
    let queries: Vec<&str> = sent.iter().map(|request| request.path.split('?').nth(1).unwrap()).collect();
    assert_eq!(
        queries,
        [
            "artifact_format=zip&artifact_type=archive&expire_in=1+week",
            "artifact_format=gzip&artifact_type=junit&expire_in=1+week",
            "artifact_format=raw&artifact_type=sast&expire_in=1+week",
        ]
    );
    for request in &sent {
        assert_eq!(request.headers["job-token"], JOB_TOKEN);
        assert_eq!(request.headers["transfer-encoding"], "chunked", "no copy of the whole is made to know its size");
    }
    let files: Vec<(String, Vec<u8>)> = sent.iter().map(file_of).collect();
    assert_eq!(files[0].0, "artifacts.zip");
    assert_eq!(names(&files[0].1), ["out/", "out/drop/", "out/keep/", "out/keep/a", "out/keep/link"]);
    let mut report = String::new();
    flate2::read::MultiGzDecoder::new(files[1].1.as_slice()).read_to_string(&mut report).unwrap();
    assert_eq!((files[1].0.as_str(), report.as_str()), ("junit.xml.gz", "<testsuite/>\n"));
    assert_eq!(files[2], ("gl-sast-report.json".to_owned(), b"{}\n".to_vec()));
    let said: Vec<&str> = done.log.lines().filter(|line| line.contains(" 01E ")).map(|line| &line[28..]).collect();
    assert_eq!(
        said,
        [
            "01E out/: found 5 matching artifact files and directories\u{1b}[0;m ",
            "01E out/drop/**/*: excluded 1 files                   \u{1b}[0;m ",
            "01E Uploading artifacts as \"archive\" to coordinator... 201 Created\u{1b}[0;m  correlation_id\u{1b}[0;m=r1 \
             id\u{1b}[0;m=190001 status\u{1b}[0;m=201 token\u{1b}[0;m=66_jobtok",
            "01E junit.xml: found 1 matching artifact files and directories\u{1b}[0;m ",
            "01E Uploading artifacts as \"junit\" to coordinator... 201 Created\u{1b}[0;m  correlation_id\u{1b}[0;m=r1 \
             id\u{1b}[0;m=190001 status\u{1b}[0;m=201 token\u{1b}[0;m=66_jobtok",
            "01E sast.json: found 1 matching artifact files and directories\u{1b}[0;m ",
            "01E Uploading artifacts as \"sast\" to coordinator... 201 Created\u{1b}[0;m  correlation_id\u{1b}[0;m=r1 \
             id\u{1b}[0;m=190001 status\u{1b}[0;m=201 token\u{1b}[0;m=66_jobtok",
        ]
    );
    assert_eq!(done.log.matches("01O \u{1b}[32;1mUploading artifacts...\u{1b}[0;m\n").count(), 3);
}

#[test]
fn a_failed_job_keeps_what_is_for_failures() {
    let mut job = with_archive(&["touch a b c", "exit 3"], &["a"]);
    let mut on_failure = archive(&["b"]);
    on_failure["when"] = json!("on_failure");
    on_failure["artifact_type"] = json!("one");
    let mut always = archive(&["c"]);
    always["when"] = json!("always");
    always["artifact_type"] = json!("two");
    job["artifacts"].as_array_mut().unwrap().extend([on_failure, always]);
    let desk = Desk::new(Some(job));
    let done = desk.run();
    ends_as(&done, "failed", &json!(3));
    assert!(done.sections().contains(&"upload_artifacts_on_failure".to_owned()));
    assert!(done.text().contains("Uploading artifacts for failed job"));
    let kept: Vec<Vec<String>> =
        desk.coordinator.about_artifacts().iter().map(|request| names(&file_of(request).1)).collect();
    assert_eq!(kept, [["b"], ["c"]]);
}

#[test]
fn nothing_to_keep_is_a_line_and_no_failure() {
    let desk = Desk::new(Some(with_archive(&["true"], &["none/*", "../etc"])));
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    assert!(desk.coordinator.about_artifacts().is_empty());
    let text = done.text();
    assert!(
        text.contains("WARNING: none/*: no matching files. Ensure that the artifact path is relative to"),
        "{text}"
    );
    assert!(
        text.contains("WARNING: processPath: artifact path is not a subpath of project directory: ../etc"),
        "{text}"
    );
    assert!(text.contains("ERROR: No files to upload"), "{text}");
}

#[test]
fn names_and_paths_have_the_variables_of_the_job() {
    let mut job = with_archive(
        &["mkdir -p out/main && touch out/main/x out/main/y out/later", "echo LATER=later >> $GITLAB_ENV"],
        &["out/$BRANCH/*", "$PWD/out/${LATER}", "out/$(id)"],
    );
    job["artifacts"][0]["name"] = json!("$CI_JOB_NAME-${NONE:-none}");
    job["artifacts"][0]["exclude"] = json!(["**/${SKIP}"]);
    for (key, value) in [("BRANCH", "main"), ("CI_JOB_NAME", "unit/test"), ("SKIP", "y")] {
        variable(&mut job, key, value);
    }
    let desk = Desk::new(Some(job));
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    let (name, zip) = file_of(&desk.coordinator.about_artifacts()[0]);
    assert_eq!((name.as_str(), names(&zip)), ("test-none.zip", vec!["out/later".to_owned(), "out/main/x".to_owned()]));
    assert!(done.text().contains("invalid path \"out/$(id)\""), "{}", done.text());
}

#[test]
fn what_git_does_not_know_is_kept() {
    let mut job = with_archive(&["git init -q . && touch new.c new.o 'with space'"], &[]);
    job["artifacts"][0]["untracked"] = json!(true);
    job["artifacts"][0]["exclude"] = json!(["*.o"]);
    variable(&mut job, "NOT-A-NAME", "prints a warning on standard output");
    let desk = Desk::new(Some(job));
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    assert_eq!(names(&file_of(&desk.coordinator.about_artifacts()[0]).1), ["new.c", "with space"]);
    assert!(done.text().contains("untracked: found 2 files"), "{}", done.text());

    let mut job = with_archive(&["true"], &[]);
    job["artifacts"][0]["untracked"] = json!(true);
    let done = Desk::new(Some(job)).run();
    ends_as(&done, "success", &Value::Null);
    assert!(done.text().contains("WARNING: untracked: git ls-files: exit status 128"), "{}", done.text());
}

#[test]
fn what_gitlab_does_not_take_fails_a_job_that_went_well_and_no_other() {
    for (code, line, attempts) in
        [(413, "FATAL: too large", 1), (403, "FATAL: permission denied", 1), (401, "FATAL: permission denied", 1)]
    {
        for (script, exit_code) in [("touch a", json!(1)), ("touch a; exit 3", json!(3))] {
            let mut job = with_archive(&[script], &["a"]);
            job["artifacts"][0]["when"] = json!("always");
            let desk = Desk::new(Some(job));
            desk.coordinator.fault("UPLOAD", [status(code)]);
            let done = desk.run();
            ends_as(&done, "failed", &exit_code);
            assert_eq!(done.last()["failure_reason"], "script_failure");
            assert!(done.text().contains(line), "{}", done.text());
            assert_eq!(desk.coordinator.about_artifacts().len(), attempts, "{code}");
        }
    }
}

#[test]
fn an_upload_that_gitlab_is_too_busy_for_is_made_again() {
    let desk = Desk::new(Some(with_archive(&["echo x > a"], &["a"])));
    desk.coordinator.fault("UPLOAD", [status(503), Answer::Lost]);
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    let sent = desk.coordinator.about_artifacts();
    assert_eq!(sent.len(), 3);
    assert_eq!(names(&file_of(&sent[2]).1), ["a"], "packed anew");
    assert_eq!(done.text().matches("WARNING: Retrying...").count(), 2, "{}", done.text());
}

#[test]
fn an_upload_follows_gitlab_to_another_host() {
    let primary = Coordinator::start(None);
    let desk = Desk::new(Some(with_archive(&["touch a"], &["a"])));
    let there = format!("{}/api/v4/jobs/190001/artifacts", primary.url);
    desk.coordinator.fault("UPLOAD", [Answer::Status(307, vec![("Location", there)])]);
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    let sent = primary.about_artifacts();
    assert_eq!((sent.len(), names(&file_of(&sent[0]).1)), (1, vec!["a".to_owned()]));
    assert!(sent[0].path.contains("artifact_type=archive") && sent[0].headers["job-token"] == JOB_TOKEN);
}

#[test]
fn reports_that_cannot_be_packed_say_why() {
    for (format, paths, why) in [
        ("raw", &["a", "b"][..], "only one file can be sent as raw"),
        ("gzip", &["d"], "the \"d\" is not a regular file"),
    ] {
        let mut job = with_archive(&["mkdir d; touch a b"], paths);
        job["artifacts"][0]["artifact_format"] = json!(format);
        let done = Desk::new(Some(job)).run();
        ends_as(&done, "failed", &json!(1));
        assert!(done.text().contains(&format!("FATAL: {why}")), "{}", done.text());
    }
    let mut job = with_archive(&["touch a"], &["a"]);
    job["artifacts"][0]["artifact_format"] = json!("tarzstd");
    let done = Desk::new(Some(job)).run();
    assert!(done.text().contains("\"tarzstd\" format: unsupported archive format"), "{}", done.text());
}

#[test]
fn no_link_makes_the_runner_read_what_the_job_could_not() {
    for (format, paths) in [("zip", "way/environ"), ("gzip", "way/environ"), ("raw", "way/environ"), ("raw", "direct")]
    {
        let mut job = with_archive(&["ln -s /proc/self way", "ln -s /proc/self/environ direct"], &[paths]);
        job["artifacts"][0]["artifact_format"] = json!(format);
        let desk = Desk::new(Some(job));
        let done = desk.run();
        ends_as(&done, "failed", &json!(1));
        assert!(done.text().contains("what is below /proc is not read"), "{}", done.text());
        for request in desk.coordinator.about_artifacts() {
            let secret = b"must-not-be-seen";
            assert!(!request.body.windows(secret.len()).any(|window| window == secret), "{format} {paths}");
        }
    }
}

#[test]
fn a_cancelled_job_keeps_what_is_for_failures() {
    let mut job = with_archive(&["touch a", "echo first", "sleep 600"], &["a", "b"]);
    job["artifacts"][0]["when"] = json!("always");
    after_script(&mut job, &["touch b"]);
    let desk = Desk::new(Some(job));
    desk.coordinator.job_status_after("first", "canceling");
    let done = desk.run();
    assert_eq!(done.last()["state"], "failed", "{}", done.text());
    assert_eq!(names(&file_of(&desk.coordinator.about_artifacts()[0]).1), ["a", "b"]);
}

#[test]
fn artifacts_of_other_jobs_are_there_before_the_script() {
    let desk = Desk::new(Some(needing(&["cat from/earlier.txt"])));
    desk.coordinator.add_archive(5, zip(&[("from/earlier.txt", "earlier\n")]));
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    let asked = desk.coordinator.about_artifacts();
    assert_eq!(asked.len(), 1, "who left nothing is not asked for");
    assert_eq!(asked[0].path, "/api/v4/jobs/5/artifacts?direct_download=true");
    assert_eq!(asked[0].headers["job-token"], JOB_TOKEN);
    let text = done.text();
    assert!(
        text.contains("Downloading artifacts for build (5)...\nDownloading artifacts from coordinator... ok"),
        "{text}"
    );
    assert!(text.contains("\nearlier\n"), "{text}");
    let sections = done.sections();
    assert_eq!(sections[2..5], ["get_sources", "download_artifacts", "step_script"]);
    assert!(!desk.work().join("jobs").join("190001").exists());
}

#[test]
fn a_job_does_not_run_without_its_inputs() {
    for (answer, line) in [(404, "not found"), (403, "forbidden"), (401, "unauthorized")] {
        let mut job = needing(&["echo must-not-run"]);
        job["artifacts"] = json!([archive(&["."])]);
        job["artifacts"][0]["when"] = json!("always");
        let desk = Desk::new(Some(job));
        desk.coordinator.fault("DOWNLOAD", [status(answer)]);
        let done = desk.run();
        ends_as(&done, "failed", &json!(1));
        let text = done.text();
        assert!(text.contains(&format!("ERROR: Downloading artifacts from coordinator... {line}")), "{text}");
        assert!(!text.contains("$ echo must-not-run"), "{text}");
        let asked: Vec<String> = desk.coordinator.about_artifacts().into_iter().map(|request| request.method).collect();
        assert_eq!(asked, ["GET", "POST"], "it is not asked again, and what there is is kept");
    }
}

#[test]
fn a_download_that_breaks_is_made_again_through_gitlab() {
    let mut job = needing(&["cat from/earlier.txt"]);
    variable(&mut job, "ARTIFACT_DOWNLOAD_ATTEMPTS", "1");
    let desk = Desk::new(Some(job));
    desk.coordinator.add_archive(5, zip(&[("from/earlier.txt", "earlier\n")]));
    desk.coordinator.fault("DOWNLOAD", [status(502), Answer::Lost]);
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    let paths: Vec<String> = desk.coordinator.about_artifacts().into_iter().map(|request| request.path).collect();
    let plain = "/api/v4/jobs/5/artifacts".to_owned();
    assert_eq!(paths, [format!("{plain}?direct_download=true"), plain.clone(), plain]);
}

#[test]
fn where_an_archive_is_stored_no_token_is_sent() {
    let storage = Coordinator::start(None);
    storage.add_archive(5, zip(&[("from/earlier.txt", "earlier\n")]));
    let desk = Desk::new(Some(needing(&["cat from/earlier.txt"])));
    let there = format!("{}/api/v4/jobs/5/artifacts?signed=yes", storage.url);
    desk.coordinator.fault("DOWNLOAD", [Answer::Status(302, vec![("Location", there)])]);
    let done = desk.run();
    ends_as(&done, "success", &Value::Null);
    let asked = storage.about_artifacts();
    assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/api/v4/jobs/5/artifacts?signed=yes"));
    assert!(!asked[0].headers.contains_key("job-token"), "{:?}", asked[0].headers);
    assert!(done.text().contains("Direct download from 127.0.0.1"), "{}", done.text());
}

#[test]
fn a_hostile_archive_writes_nothing_outside_the_project() {
    let desk = Desk::new(Some(needing(&["echo must-not-run"])));
    desk.coordinator.add_archive(5, zip(&[("../evil.txt", "x")]));
    let done = desk.run();
    ends_as(&done, "failed", &json!(1));
    assert!(done.text().contains("FATAL: ../evil.txt: leads out of the project's folder"), "{}", done.text());
    let project = desk.work().join("builds/testtestt/0/acme/widget");
    assert!(project.is_dir() && !project.parent().unwrap().join("evil.txt").exists());
}
