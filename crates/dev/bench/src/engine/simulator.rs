//! The simulator's process, and the few control calls that a bench needs.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::wire::{Connection, host_of};
use serde_json::{Value, json};

use super::{BenchError, at};

/// It is up in milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running simulator; ended when this is dropped, and by the kernel when we die.
pub(super) struct Simulator {
    process: Child,
    host: String,
    admin_token: String,
    control: RefCell<Connection>,
}

impl Simulator {
    /// Starts it and waits until it says where it listens.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self, BenchError> {
        let (ready, words) = (folder.join("ready.json"), folder.join("gitlab-sim.log"));
        let output = File::create(&words).map_err(at(&words))?;
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--die-with-parent", "--state"])
            .arg(folder.join("sim"))
            .arg("--ready-file")
            .arg(&ready)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(at(&words))?)
            .stderr(output)
            .spawn()
            .map_err(at(program))?;
        match wait_until_ready(&mut process, &ready) {
            Ok(Some((host, admin_token))) => {
                let control = RefCell::new(Connection::to(&host)?);
                Ok(Self { process, host, admin_token, control })
            }
            Ok(None) => Err(BenchError::NotReady(words)),
            Err(error) => Err(error.into()),
        }
    }

    /// Its host and port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A runner for any job; returns its token.
    pub(super) fn create_runner(&self) -> Result<String, BenchError> {
        let runner = json!({"runner_type": "instance_type", "description": "bench", "run_untagged": true,
                            "maximum_timeout": 3600});
        let made = self.call("POST", "/api/v4/user/runners", &runner)?;
        made["token"].as_str().map(str::to_owned).ok_or_else(|| BenchError::Simulator(made.to_string()))
    }

    /// A job, pending at once; returns its id.
    pub(super) fn create_job(&self, case: &Value) -> Result<u64, BenchError> {
        let made = self.call("POST", "/_sim/v1/jobs", case)?;
        made["job"].as_u64().ok_or_else(|| BenchError::Simulator(made.to_string()))
    }

    /// GitLab's word for how the job stands.
    pub(super) fn job_status(&self, id: u64) -> Result<String, BenchError> {
        let job = self.call("GET", &format!("/_sim/v1/jobs/{id}"), &Value::Null)?;
        Ok(job["status"].as_str().unwrap_or_default().to_owned())
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, BenchError> {
        let headers = [("content-type", "application/json"), ("private-token", self.admin_token.as_str())];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.control.borrow_mut().call(method, path, &headers, bytes)?;
        let text = || String::from_utf8_lossy(&answer.body).into_owned();
        if !(200..300).contains(&answer.status()) {
            return Err(BenchError::Simulator(format!("{method} {path}: {} {}", answer.start, text())));
        }
        serde_json::from_slice(&answer.body).map_err(|_| BenchError::Simulator(text()))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Host and administrator's token, or `None` when it ended or took too long; then it is ended.
fn wait_until_ready(process: &mut Child, file: &Path) -> io::Result<Option<(String, String)>> {
    let began = Instant::now();
    while began.elapsed() < READY_WITHIN && process.try_wait()?.is_none() {
        // The file is made whole at once.
        if let Ok(bytes) = fs::read(file) {
            let ready: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let host = ready["url"].as_str().and_then(host_of).map(str::to_owned);
            return Ok(host.zip(ready["admin_token"].as_str().map(str::to_owned)));
        }
        sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    process.wait()?;
    Ok(None)
}
