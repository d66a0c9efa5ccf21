//! What an instance sees of AWS and of its stack: the metadata service and the two routes, on one plain socket.

use std::collections::{HashMap, VecDeque};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::RUNNER_TOKEN;
use super::coordinator::{Coordinator, Request, read, write};

pub const SECRET_KEY: &str = "s3cretkeyofthelaunchsrole";
pub const SESSION_TOKEN: &str = "sessiontokenofthelaunchsrole";
pub const NONCE: &str = "0123nonceofthelaunch4567";
const METADATA_TOKEN: &str = "metadata-session";

struct State {
    requests: Vec<Request>,
    off: bool,
    /// Whether a begin has the metadata service switched off, as it should.
    switches_off: bool,
    expires: u64,
    wait_ms: u64,
    official: Value,
    gitlab_url: String,
    /// Answers of a route that a test wants instead of the usual one.
    answers: HashMap<&'static str, VecDeque<(u16, Value)>>,
}

#[derive(Clone)]
pub struct Cloud {
    pub url: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Cloud {
    pub fn start(gitlab_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            requests: Vec::new(),
            off: false,
            switches_off: true,
            expires: now_ms() + 3_600_000,
            wait_ms: 0,
            official: Value::Null,
            gitlab_url: gitlab_url.to_owned(),
            answers: HashMap::new(),
        };
        let cloud = Self { url, shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let accepting = cloud.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        cloud
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        result
    }

    /// The next answers of a route.
    pub fn answer(&self, route: &'static str, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.with(|state| state.answers.entry(route).or_default().extend(answers));
    }

    pub fn keep_metadata_on(&self) {
        self.with(|state| state.switches_off = false);
    }

    /// The stack has the official runner serve this launch, as this executor.
    pub fn official(&self, executor: &str) {
        self.with(|state| state.official = json!(executor));
    }

    pub fn expire(&self) {
        self.with(|state| state.expires = now_ms() - 1);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| state.requests.clone())
    }

    /// The bodies that came to a route.
    pub fn bodies(&self, route: &str) -> Vec<Value> {
        self.requests().iter().filter(|request| request.path == route).map(Request::json).collect()
    }

    /// What was said for the launch, in order.
    pub fn words(&self) -> Vec<String> {
        self.bodies("/launch").iter().map(|body| body["do"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Blocks until something of the requests holds.
    pub fn wait_for(&self, what: impl Fn(&[Request]) -> bool) {
        let state = self.shared.0.lock().unwrap();
        drop(self.shared.1.wait_while(state, |state| !what(&state.requests)).unwrap());
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(mut request) = read(&mut reader) {
            let (status, body) = self.with(|state| {
                let (status, body) = usual(state, &request);
                request.status = status;
                state.requests.push(request.clone());
                (status, body)
            });
            write(&mut writer, status, &[], body.as_bytes());
        }
    }
}

fn usual(state: &mut State, request: &Request) -> (u16, String) {
    let scripted = |state: &mut State, route: &str| {
        let answer = state.answers.get_mut(route).and_then(VecDeque::pop_front);
        answer.map(|(status, body)| (status, body.to_string()))
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/claim") => scripted(state, "/claim").unwrap_or_else(|| {
            state.off = state.switches_off;
            let begun = json!({"token": RUNNER_TOKEN, "system_id": "r_launch", "nonce": NONCE, "image_policy": "fail",
                "gitlab_url": state.gitlab_url, "official": state.official, "wait_ms": state.wait_ms, "left_ms": 3_600_000});
            (200, begun.to_string())
        }),
        ("POST", "/launch") => scripted(state, "/launch").unwrap_or_else(|| (200, json!({"ok": true}).to_string())),
        _ if state.off => (403, String::new()),
        ("PUT", "/latest/api/token") => (200, METADATA_TOKEN.to_owned()),
        ("GET", path) => metadata(state, path, request.headers.get("x-aws-ec2-metadata-token").map(String::as_str)),
        _ => (404, String::new()),
    }
}

fn metadata(state: &State, path: &str, token: Option<&str>) -> (u16, String) {
    if token != Some(METADATA_TOKEN) {
        return (401, String::new());
    }
    let keys = json!({"Code": "Success", "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": SECRET_KEY,
        "Token": SESSION_TOKEN, "Expiration": "2030-01-01T00:00:00Z"});
    match path.trim_start_matches("/latest/meta-data/") {
        "tags/instance/runnerless:launch" => (200, "l-1".to_owned()),
        "tags/instance/runnerless:expires" => (200, state.expires.to_string()),
        "placement/region" => (200, "eu-west-1".to_owned()),
        "instance-id" => (200, "i-0123456789abcdef0".to_owned()),
        "iam/security-credentials/" => (200, "runner-role".to_owned()),
        "iam/security-credentials/runner-role" => (200, keys.to_string()),
        _ => (404, String::new()),
    }
}

/// See [`Instance::with_official`].
const STAND_IN: &str = include_str!("gitlab-runner");

/// An instance: the command, with a `poweroff` that only leaves a note.
pub struct Instance {
    pub folder: TempDir,
    pub coordinator: Coordinator,
    pub cloud: Cloud,
}

impl Instance {
    pub fn new(job: Option<Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let noted = folder.path().join("off");
        std::fs::write(bin.join("poweroff"), format!("#!/bin/sh\necho off >> {}\n", noted.display())).unwrap();
        let made = Command::new("chmod").arg("+x").arg(bin.join("poweroff")).status().unwrap();
        assert!(made.success());
        let coordinator = Coordinator::start(job);
        let cloud = Cloud::start(&coordinator.url);
        Self { folder, coordinator, cloud }
    }

    /// A `gitlab-runner` in the image. It takes the command line and the files that the official one takes, is as strict about
    /// them, and speaks to GitLab as that one does: our own runner is held to its recordings elsewhere.
    pub fn with_official(self) -> Self {
        let bin = self.folder.path().join("bin");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_runnerless-runner"), bin.join("runnerless-runner")).unwrap();
        let program = bin.join("gitlab-runner");
        std::fs::write(&program, STAND_IN).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(program).status().unwrap().success());
        self
    }

    pub fn is_off(&self) -> bool {
        self.folder.path().join("off").exists()
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn spawn(&self) -> Child {
        self.command().spawn().unwrap()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-runner"));
        command
            .args(["instance", "--claim-url", &format!("{}/claim", self.cloud.url), "--work"])
            .arg(self.work())
            .env_clear()
            // The stand-in for poweroff comes first: the machine of the tests stays on.
            .env("PATH", format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display()))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.cloud.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end: exit code and what it said.
    pub fn run(&self) -> (Option<i32>, String) {
        let output = self.spawn().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.coordinator.log()).into_owned()
    }
}
