//! The real simulator and the real runner, as processes.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "a test's support module has no outside")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use runnerless_local::http::Http;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A program of the workspace, built before the tests.
fn built(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_runnerless-local")).with_file_name(name);
    assert!(program.is_file(), "{} is not there: run `make test`, or `make build` first", program.display());
    program
}

/// A GitLab that can be ended and started again where it was.
pub struct GitLab {
    pub folder: TempDir,
    pub url: String,
    admin: String,
    http: Http,
    process: Child,
    /// Keeps the port while the process is down: bound and not listening, it is in nobody's way but a stranger's.
    _port: TcpSocket,
}

impl GitLab {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listen = port.local_addr().unwrap().to_string();
        let (process, ready) = Self::process(folder.path(), &listen).await;
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self { folder, url: text("url"), admin: text("admin_token"), http: Http::default(), process, _port: port }
    }

    async fn process(folder: &Path, listen: &str) -> (Child, Value) {
        let ready = folder.join("ready.json");
        let mut child = Command::new(built("gitlab-sim"))
            .args(["--listen", listen, "--state"])
            .arg(folder.join("state"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let is_there = async {
            while !ready.exists() {
                assert!(child.try_wait().unwrap().is_none(), "the simulator ended");
                sleep(PAUSE).await;
            }
        };
        timeout(LIMIT, is_there).await.expect("the simulator is ready");
        (child, serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap())
    }

    /// Ends it as an operator does, and waits until it is gone.
    pub async fn stop(&mut self) {
        terminate(&self.process);
        let status = timeout(LIMIT, self.process.wait()).await.expect("the simulator ends").unwrap();
        assert!(status.success(), "{status}");
    }

    /// Starts it again at the same address.
    pub async fn start_again(&mut self) {
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        let (process, ready) = Self::process(self.folder.path(), &address).await;
        assert_eq!((&ready["url"], &ready["admin_token"]), (&json!(self.url), &json!(self.admin)));
        self.process = process;
        // Connections to the process before are of no use.
        self.http = Http::default();
    }

    /// A control call that must succeed.
    pub async fn sim(&self, method: Method, path: &str, body: Value) -> Value {
        self.http.json(method, &format!("{}/_sim/v1/{path}", self.url), &[], &body, LIMIT).await.unwrap()
    }

    /// Adds a fault.
    pub async fn fault(&self, rule: Value) {
        self.sim(Method::POST, "faults", rule).await;
    }

    /// How often the nth rule was looked at.
    pub async fn seen(&self, at: usize) -> u64 {
        self.sim(Method::GET, "faults", Value::Null).await["http"][at]["seen"].as_u64().unwrap()
    }

    pub async fn job(&self, id: u64) -> Value {
        self.sim(Method::GET, &format!("jobs/{id}"), Value::Null).await
    }

    /// A job's stored log.
    pub async fn log(&self, id: u64) -> String {
        let url = format!("{}/_sim/v1/jobs/{id}/log", self.url);
        let answer = self.http.call(Method::GET, &url, &[], Bytes::new(), LIMIT).await.unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// Waits until so much of a job's log is stored.
    pub async fn has_stored(&self, id: u64, bytes: u64) {
        let grown = async {
            while self.job(id).await["log_bytes"].as_u64().unwrap() < bytes {
                sleep(PAUSE).await;
            }
        };
        timeout(LIMIT, grown).await.expect("the log grows");
    }

    /// What GitLab would not forgive.
    pub async fn violations(&self) -> Value {
        self.sim(Method::GET, "violations", Value::Null).await
    }

    /// A runner for everything.
    pub async fn runner(&self) -> Runner {
        let url = format!("{}/api/v4/user/runners", self.url);
        let headers = [("private-token", self.admin.as_str())];
        let wish = json!({"runner_type": "instance_type"});
        let made = self.http.json(Method::POST, &url, &headers, &wish, LIMIT).await.unwrap();
        let token_file = self.folder.path().join("token");
        std::fs::write(&token_file, made["token"].as_str().unwrap()).unwrap();
        Runner { url: self.url.clone(), token_file, work: self.folder.path().join("work") }
    }

    /// A project of these files, by path.
    pub async fn project(&self, path: &str, files: &[(&str, &str)], variables: Value) -> u64 {
        let source = self.folder.path().join("source");
        std::fs::create_dir(&source).unwrap();
        for (name, text) in files {
            std::fs::write(source.join(name), text).unwrap();
        }
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &["-c", "user.name=Dana", "-c", "user.email=dana@example.com", "commit", "-q", "-m", "first"],
        ] {
            let status = Command::new("git").current_dir(&source).args(arguments).status().await.unwrap();
            assert!(status.success(), "git {arguments:?}");
        }
        let wish = json!({"path": path, "source": source, "variables": variables});
        self.sim(Method::POST, "projects", wish).await["id"].as_u64().unwrap()
    }
}

/// `runnerless-runner once`, one process a job.
pub struct Runner {
    url: String,
    token_file: PathBuf,
    pub work: PathBuf,
}

impl Runner {
    pub fn spawn(&self) -> Running {
        let mut command = Command::new(built("runnerless-runner"));
        command.args(["once", "--url", &self.url, "--system-id", "r_testtesttest", "--wait", "60", "--token-file"]);
        let child = command
            .arg(&self.token_file)
            .arg("--work")
            .arg(&self.work)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Running(child)
    }

    /// Runs one job to its reported end, in a work folder without anything of another.
    pub async fn run(&self) {
        self.spawn().ended().await;
        std::fs::remove_dir_all(&self.work).unwrap();
    }
}

/// A runner at work.
pub struct Running(Child);

impl Running {
    /// Waits for its end, which must be the one of a job whose end was reported.
    pub async fn ended(self) {
        let output = timeout(LIMIT, self.0.wait_with_output()).await.expect("the runner ends").unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}

/// A log without what differs between two runs of one job: the time in section markers, the job's id, the work folder.
pub fn comparable(log: &str, job: u64, work: &Path) -> String {
    let plain = log.replace(work.to_str().unwrap(), "WORK").replace(&job.to_string(), "JOB");
    let mut out = String::new();
    let mut rest = plain.as_str();
    while let Some(at) = rest.find("section_") {
        let (before, marker) = rest.split_at(at);
        let word = if marker.starts_with("section_start:") { "section_start:" } else { "section_end:" };
        out.push_str(before);
        let Some(after) = marker.strip_prefix(word) else {
            out.push_str("section_");
            rest = &marker["section_".len()..];
            continue;
        };
        out.push_str(word);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}
