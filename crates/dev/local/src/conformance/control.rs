//! The simulator: its process, and the control calls that the cases need.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{ConformanceError, at};
use crate::gitlab::{NewRunner, Simulator};
use crate::http::{Http, HttpError};
use crate::supervise::GitLab;

/// It is up in milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(30);
/// Longer than any job of a case.
const MAXIMUM_TIMEOUT_S: u64 = 86_400;

/// The simulator's process; killed when this is dropped, and by the kernel when we die.
#[derive(Debug)]
pub(crate) struct SimulatorProcess(Child);

impl SimulatorProcess {
    /// Starts it and waits until it says where it listens.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        search_path: &str,
    ) -> Result<(Self, GitLab), ConformanceError> {
        let (ready, words) = (folder.join("sim-ready.json"), folder.join("gitlab-sim.log"));
        let output = File::create(&words).map_err(at(&words))?;
        let child = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--die-with-parent", "--state"])
            .arg(folder.join("sim"))
            .arg("--ready-file")
            .arg(&ready)
            .env_clear()
            .env("PATH", search_path)
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(at(&words))?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .map_err(at(program))?;
        let mut process = Self(child);
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN && process.0.try_wait()?.is_none() {
            if let Some(gitlab) = read_ready(&ready)? {
                return Ok((process, gitlab));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err(ConformanceError::NotReady(words))
    }
}

/// `None` until the file is there; the simulator makes it whole at once.
fn read_ready(path: &Path) -> io::Result<Option<GitLab>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(file) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
    let text = |name: &str| file[name].as_str().map(str::to_owned);
    let found = text("url").zip(text("admin_token"));
    Ok(found.map(|(url, admin_token)| GitLab { url: url.trim_end_matches('/').to_owned(), admin_token }))
}

/// The control calls.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    api: Simulator,
    http: Http,
    gitlab: GitLab,
}

impl Control {
    pub(crate) fn new(gitlab: &GitLab) -> Self {
        Self { api: Simulator::new(gitlab), http: Http::default(), gitlab: gitlab.clone() }
    }

    /// A runner for the whole instance; returns its token.
    pub(crate) async fn create_runner(&self, description: &str) -> Result<String, HttpError> {
        let maximum_timeout = MAXIMUM_TIMEOUT_S;
        let runner = NewRunner { description, tags: Vec::new(), run_untagged: true, maximum_timeout };
        self.api.create_runner(&runner).await
    }

    /// Changes how GitLab is set up.
    pub(crate) async fn settings(&self, settings: &Value) -> Result<(), HttpError> {
        self.call(Method::POST, "settings", settings).await.map(drop)
    }

    /// The case's job, pending at once; returns its id.
    pub(crate) async fn create_job(&self, case: &Value) -> Result<u64, HttpError> {
        let made = self.call(Method::POST, "jobs", case).await?;
        Ok(made["job"].as_u64().unwrap_or_default())
    }

    /// The job as GitLab sees it.
    pub(crate) async fn job(&self, id: u64) -> Result<Value, HttpError> {
        self.call(Method::GET, &format!("jobs/{id}"), &Value::Null).await
    }

    /// Its log.
    pub(crate) async fn log(&self, id: u64) -> Result<Bytes, HttpError> {
        self.api.job_log(id).await
    }

    /// Ends the job on GitLab's side if it has not ended.
    pub(crate) async fn drop_job(&self, id: u64) -> Result<(), HttpError> {
        if self.job(id).await?["ended"] == json!(true) {
            return Ok(());
        }
        self.call(Method::POST, &format!("jobs/{id}/cancel?force=true"), &Value::Null).await.map(drop)
    }

    /// What the job's runner did that GitLab would not forgive, in words.
    pub(crate) async fn violations_of(&self, job: u64) -> Result<Vec<String>, HttpError> {
        let all = self.call(Method::GET, "violations", &Value::Null).await?;
        let own = all.as_array().into_iter().flatten().filter(|violation| violation["job"] == json!(job));
        let words = |violation: &Value| {
            let text = |key: &str| violation[key].as_str().unwrap_or_default().to_owned();
            format!("{}: {}", text("kind"), text("detail"))
        };
        Ok(own.map(words).collect())
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, HttpError> {
        let url = format!("{}/_sim/v1/{path}", self.gitlab.url);
        let token = [("private-token", self.gitlab.admin_token.as_str())];
        self.http.json(method, &url, &token, body, CALL).await
    }
}
