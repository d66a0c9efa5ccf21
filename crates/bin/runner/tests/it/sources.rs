//! Getting the sources with real git over real HTTP.

use std::fs;

use crate::support::{Desk, JOB_TOKEN, git, job, variable};
use serde_json::{Value, json};

/// A desk whose coordinator serves a repository of three commits, and a job for its last one.
fn desk(change: impl FnOnce(&mut Value)) -> Desk {
    let desk = Desk::new(None);
    let (bare, sha) = git::repository(desk.folder.path(), 3);
    desk.coordinator.serve_git(bare);
    let mut job = job(&["git rev-list --count HEAD", "cat file3.txt", "git config --get-regexp 'remote.*url'"]);
    let authority = desk.coordinator.url.strip_prefix("http://").unwrap();
    job["git_info"] = json!({
        "repo_url": format!("http://gitlab-ci-token:{JOB_TOKEN}@{authority}/acme/widget.git"),
        "ref": "main", "sha": sha, "before_sha": "0".repeat(40), "ref_type": "branch",
        "refspecs": ["+refs/heads/main:refs/remotes/origin/main"], "depth": 2, "repo_object_format": "sha1",
    });
    let variables = job["variables"].as_array_mut().unwrap();
    variables.retain(|variable| variable["key"] != "GIT_STRATEGY");
    change(&mut job);
    desk.coordinator.add_job(job);
    desk
}

#[test]
fn sources_are_fetched_to_the_depth_and_the_token_stays_out_of_the_tree() {
    let desk = desk(|_| {});
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.text());
    let text = done.text();
    for line in [
        "Fetching changes with git depth set to 2...",
        "Created fresh repository.",
        "as detached HEAD (ref is main)...",
        "\n2\n",
        "content 3",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let project = desk.work().join("builds/testtestt/0/acme/widget");
    let config = fs::read_to_string(project.join(".git/config")).unwrap();
    assert!(
        config.contains("/acme/widget.git") && !config.contains(JOB_TOKEN) && !config.contains("gitlab-ci-token"),
        "{config}"
    );
    assert!(!project.with_extension("tmp").exists());
    assert!(!text.contains(JOB_TOKEN));
}

#[test]
fn where_there_is_no_git_the_log_says_so_with_the_cure_unless_the_hook_brings_it() {
    let away = |job: &mut Value| variable(job, "PATH", "/nowhere");
    let desk = desk(away);
    let done = desk.run();
    let end = done.last();
    assert_eq!((&end["state"], &end["exit_code"]), (&json!("failed"), &json!(127)), "{}", done.text());
    let text = done.text();
    for words in ["there is no git in /nowhere", "exit code 127 is the shell's for a command", "install it there"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(!text.contains("Fetching changes"), "{text}");

    let desk = self::desk(|job| {
        away(job);
        job["hooks"] = json!([{"name": "pre_get_sources_script", "script": ["PATH=/usr/local/bin:/usr/bin:/bin"]}]);
        job["steps"][0]["script"] = json!(["echo reached"]);
    });
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.text());
}

#[test]
fn the_second_job_fetches_on_top_and_cleans() {
    let desk = desk(|job| {
        job["steps"][0]["script"] =
            json!(["touch left-behind; mkdir -p keep; touch keep/it", "echo stale > .git/index.lock"]);
        variable(job, "GIT_CLEAN_FLAGS", "-ffdx -e keep/");
    });
    assert_eq!(desk.run().last()["state"], "success");
    let mut second = desk.coordinator.last_job();
    second["steps"][0]["script"] = json!(["ls -A"]);
    desk.coordinator.add_job(second);
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.text());
    let text = done.text();
    let listing = text.rsplit("$ ls -A\n").next().unwrap();
    assert!(listing.contains("keep\n") && !listing.contains("left-behind"), "{listing}");
}

#[test]
fn the_scripts_own_git_is_authorised_too() {
    let desk = desk(|job| {
        job["steps"][0]["script"] = json!(["git fetch origin --unshallow --quiet", "git rev-list --count HEAD"])
    });
    let done = desk.run();
    assert!(done.text().contains("\n3\n"), "{}", done.text());
}

#[test]
fn a_refused_clone_fails_with_gits_exit_code() {
    let desk = desk(|job| {
        let url = job["git_info"]["repo_url"].as_str().unwrap().replace(JOB_TOKEN, "wrong");
        job["git_info"]["repo_url"] = json!(url);
    });
    let done = desk.run();
    let last = done.last();
    assert_eq!(
        (&last["failure_reason"], &last["exit_code"]),
        (&json!("script_failure"), &json!(128)),
        "{}",
        done.text()
    );
    assert_eq!(done.sections(), ["prepare_executor", "prepare_script", "get_sources", "cleanup_file_variables"]);
}

#[test]
fn hooks_run_around_the_sources() {
    let desk = desk(|job| {
        job["hooks"] = json!([
            {"name": "pre_get_sources_script", "script": ["echo before sources"]},
            {"name": "post_get_sources_script", "script": ["ls file1.txt", "echo after sources"]},
        ]);
    });
    let text = desk.run().text();
    let (before, after) = (text.find("\nbefore sources\n").unwrap(), text.find("\nafter sources\n").unwrap());
    let fetch = text.find("Fetching changes").unwrap();
    assert!(before < fetch && fetch < after, "{text}");
}

#[test]
fn strategy_empty_and_checkout_off() {
    let empty = desk(|job| {
        variable(job, "GIT_STRATEGY", "empty");
        job["steps"][0]["script"] = json!(["pwd", "ls -A | wc -l"]);
    });
    let text = empty.run().text();
    assert!(text.contains("/acme/widget-empty\n") && text.contains("\n0\n"), "{text}");
    let off = desk(|job| {
        variable(job, "GIT_CHECKOUT", "false");
        job["steps"][0]["script"] = json!(["ls -A"]);
    });
    let text = off.run().text();
    assert!(text.contains("Skipping Git checkout") && text.ends_with("Job succeeded\n"), "{text}");
    assert!(text.rsplit("$ ls -A\n").next().unwrap().starts_with(".git\n"), "{text}");
}

#[test]
fn submodules_of_the_same_host_come_along() {
    let desk = desk(|job| {
        variable(job, "GIT_SUBMODULE_STRATEGY", "recursive");
        job["steps"][0]["script"] = json!(["cat part/file1.txt"]);
    });
    // The module is the repository itself at its first commit, by a relative URL.
    let folder = desk.folder.path();
    let tree = folder.join("tree");
    let first = git::git(&tree, &["rev-list", "--max-parents=0", "HEAD"]).trim().to_owned();
    fs::write(tree.join(".gitmodules"), "[submodule \"part\"]\n\tpath = part\n\turl = ../widget.git\n").unwrap();
    git::git(&tree, &["add", ".gitmodules"]);
    git::git(&tree, &["update-index", "--add", "--cacheinfo", &format!("160000,{first},part")]);
    git::git(&tree, &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "module"]);
    git::git(&tree, &["push", "-q", folder.join("widget.git").to_str().unwrap(), "main"]);
    let mut job = desk.coordinator.take_job();
    job["git_info"]["sha"] = json!(git::git(&tree, &["rev-parse", "HEAD"]).trim());
    desk.coordinator.add_job(job);
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.text());
    assert!(
        done.text().contains("Updating/initializing submodules recursively...") && done.text().contains("content 1")
    );
}
