//! The two runners as processes: each asks for one job, runs it and leaves.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::processes::Process;

/// How long to ask for the job; it is there before the runner.
const WAIT_S: &str = "5";
/// How long a runner may take to leave after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(20);

/// One of the runners.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    kind: Kind,
    program: PathBuf,
    url: String,
    token: String,
    search_path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Official,
}

/// How one run of a runner went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trip {
    /// Its exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    /// Whether it had to be ended, because the case's limit was over.
    pub(super) late: bool,
    /// From its start to its end.
    pub(super) took: Duration,
}

impl Runner {
    /// Ours takes nothing from its environment.
    pub(super) fn ours(program: PathBuf, url: &str, token: String) -> Self {
        Self { kind: Kind::Ours, program, url: url.to_owned(), token, search_path: String::new() }
    }

    /// The official one, with the `PATH` that it hands on to its jobs.
    pub(super) fn official(program: PathBuf, url: &str, token: String, search_path: String) -> Self {
        Self { kind: Kind::Official, program, url: url.to_owned(), token, search_path }
    }

    /// The name of its folder.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ours => "ours",
            Kind::Official => "official",
        }
    }

    /// Runs one job with everything below `folder`, at most for `limit`. Only `runner.log` stays there.
    pub(super) async fn run(&self, folder: &Path, limit: Duration) -> io::Result<Trip> {
        let work = folder.join("work");
        fs::create_dir_all(&work)?;
        let words = File::create(folder.join("runner.log"))?;
        let mut command = Command::new(&self.program);
        command.args(self.arguments(&work)?).env_clear().current_dir(&work).stdin(Stdio::null());
        if self.kind == Kind::Official {
            // Its configuration and its machine id are below HOME.
            command.env("PATH", &self.search_path).env("HOME", &work).env("LANG", "C.UTF-8");
        }
        let began = Instant::now();
        let mut child = command.stdout(words.try_clone()?).stderr(words).kill_on_drop(true).spawn()?;
        let ended = timeout(limit, child.wait()).await;
        let (code, late) = match ended {
            Ok(status) => (status?.code(), false),
            Err(_) => (end(&mut child).await?, true),
        };
        let took = began.elapsed();
        fs::remove_dir_all(&work)?;
        Ok(Trip { code, late, took })
    }

    fn arguments(&self, work: &Path) -> io::Result<Vec<OsString>> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        Ok(match self.kind {
            Kind::Ours => {
                let token_file = work.join("token");
                fs::write(&token_file, &self.token)?;
                let mut all = words(&["once", "--url", &self.url, "--wait", WAIT_S, "--token-file"]);
                all.extend([token_file.into(), "--work".into(), work.join("root").into()]);
                all
            }
            Kind::Official => {
                let mut all = words(&["run-single", "-u", &self.url, "-t", &self.token, "--executor", "shell"]);
                all.extend(words(&["--max-builds", "1", "--wait-timeout", WAIT_S, "--builds-dir"]));
                all.push(work.join("builds").into());
                all
            }
        })
    }
}

/// Ends a runner that took too long: orderly, and then by force.
async fn end(child: &mut Child) -> io::Result<Option<i32>> {
    let process = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Process::of);
    if let Some(process) = process {
        process.signal(Signal::TERM);
    }
    match timeout(PATIENCE, child.wait()).await {
        Ok(status) => Ok(status?.code()),
        Err(_) => {
            child.kill().await?;
            Ok(None)
        }
    }
}
