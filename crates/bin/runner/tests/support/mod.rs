//! A GitLab of a few lines on 127.0.0.1, and the real command run against it.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "a test's support module has no outside")]

pub mod cloud;
pub mod coordinator;
pub mod git;
pub mod storage;
pub mod tunnel;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use coordinator::Coordinator;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const RUNNER_TOKEN: &str = "glrt-t3_testtesttest0123";
pub const JOB_TOKEN: &str = "glcbt-66_jobtokenjobtoken";

/// A job of these script lines without sources.
pub fn job(script: &[&str]) -> Value {
    json!({
        "id": 190_001_u64,
        "token": JOB_TOKEN,
        "allow_git_fetch": true,
        "job_info": {"id": 190_001, "name": "unit", "stage": "test", "project_id": 380, "project_name": "widget"},
        "git_info": {"repo_url": format!("http://gitlab-ci-token:{JOB_TOKEN}@127.0.0.1:9/acme/widget.git"), "ref": "main",
            "sha": "0123456789012345678901234567890123456789", "ref_type": "branch", "refspecs": [], "depth": 20},
        "runner_info": {"timeout": 600},
        "variables": [
            {"key": "CI_JOB_ID", "value": "190001", "public": true, "masked": false},
            {"key": "GIT_STRATEGY", "value": "none", "public": true, "masked": false},
        ],
        "steps": [{"name": "script", "script": script, "timeout": 600, "when": "on_success", "allow_failure": false}],
        "features": {"trace_sections": true, "token_mask_prefixes": ["glpat-"],
            "failure_reasons": ["unknown_failure", "runner_configuration_error", "runner_system_failure"]},
    })
}

pub fn variable(job: &mut Value, key: &str, value: &str) {
    job["variables"].as_array_mut().unwrap().push(json!({"key": key, "value": value, "public": true, "masked": false}));
}

pub fn after_script(job: &mut Value, lines: &[&str]) {
    job["steps"].as_array_mut().unwrap().push(json!({"name": "after_script", "script": lines}));
}

/// A work folder with a token file beside it.
pub struct Desk {
    pub folder: TempDir,
    pub coordinator: Coordinator,
    pub wait: u32,
}

/// What came of a run.
pub struct Finished {
    pub code: Option<i32>,
    pub stderr: String,
    pub log: String,
    /// Bodies of the `PUT`s, in order.
    pub puts: Vec<Value>,
}

impl Finished {
    pub fn last(&self) -> &Value {
        self.puts.last().expect("an update was sent")
    }

    pub fn sections(&self) -> Vec<String> {
        let start = |line: &str| {
            line.split_once("section_start:").and_then(|(_, rest)| rest.split(['\r', ':']).nth(1).map(str::to_owned))
        };
        self.log.lines().filter_map(start).collect()
    }

    /// The log's lines without stamps and colours.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for line in self.log.lines() {
            let line = if line.as_bytes().get(27) == Some(&b' ') { line.get(32..).unwrap_or_default() } else { line };
            let mut rest = line;
            while let Some(at) = rest.find('\u{1b}') {
                out.push_str(&rest[..at]);
                rest = rest[at..].split_once(['m', 'K']).map_or("", |(_, after)| after);
            }
            out.push_str(rest);
            out.push('\n');
        }
        out
    }
}

impl Desk {
    pub fn new(job: Option<Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), format!("{RUNNER_TOKEN}\n")).unwrap();
        Self { folder, coordinator: Coordinator::start(job), wait: 0 }
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-runner"));
        command
            .arg("once")
            .args(["--url", &self.coordinator.url, "--system-id", "r_testtesttest"])
            .args(["--wait", &self.wait.to_string()])
            .arg("--token-file")
            .arg(self.folder.path().join("token"))
            .arg("--work")
            .arg(self.work())
            .env("LEAKED_FROM_RUNNER", "must-not-be-seen")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn spawn(&self) -> Child {
        self.command().spawn().unwrap()
    }

    pub fn run(&self) -> Finished {
        let output = self.command().output().unwrap();
        self.finished(&output)
    }

    pub fn finished(&self, output: &Output) -> Finished {
        Finished {
            code: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            log: String::from_utf8(self.coordinator.log()).expect("the log is UTF-8"),
            puts: self.coordinator.puts(),
        }
    }
}

/// Runs one job to its end.
pub fn run(job: Value) -> Finished {
    Desk::new(Some(job)).run()
}
