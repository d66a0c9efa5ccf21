//! A job with sources from a GitLab that has a certificate of its own authority, behind a proxy: the command and git.

use std::process::Stdio;

use crate::simulator::GitLab;
use crate::support::tunnel::Tunnel;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

const FILE: &str = "unit:\n  script: [git log --format=%s, git fetch -q origin main && echo fetched again]\n";

struct Desk {
    gitlab: GitLab,
    folder: TempDir,
    project: u64,
    job: u64,
}

impl Desk {
    async fn start() -> Self {
        let (gitlab, folder) = (GitLab::start_tls().await, tempfile::tempdir().unwrap());
        let project = gitlab.project("acme/widgets", FILE).await;
        let runner = gitlab.runner(&[]).await;
        std::fs::write(folder.path().join("token"), runner.token.expose()).unwrap();
        let job = gitlab.pipeline(project).await[0].1;
        Self { gitlab, folder, project, job }
    }

    /// Runs the job by that proxy; the exit code, and what was said.
    async fn run(&self, proxy: &str, bypass: &str) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-runner"));
        command.args(["once", "--url", &self.gitlab.url, "--wait", "0"]);
        command.arg("--token-file").arg(self.folder.path().join("token"));
        command.arg("--work").arg(self.folder.path().join("work"));
        command.arg("--ca-file").arg(self.gitlab.ca_file());
        command.env("HTTPS_PROXY", proxy).env("NO_PROXY", bypass).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    async fn log(&self) -> String {
        self.gitlab.text(Method::GET, &format!("api/v4/projects/{}/jobs/{}/trace", self.project, self.job)).await
    }

    async fn status(&self) -> Value {
        self.gitlab.job(self.project, self.job).await["status"].clone()
    }
}

#[tokio::test]
async fn the_job_and_its_sources_come_through_the_proxy() {
    let (desk, tunnel) = (Desk::start().await, Tunnel::start());
    let (code, said) = desk.run(&tunnel.url, "").await;
    let log = desk.log().await;
    assert_eq!((code, desk.status().await), (Some(0), "success".into()), "{said}\n{log}");
    assert!(log.contains("first") && log.contains("fetched again"), "{log}");
    let targets = tunnel.targets();
    let authority = desk.gitlab.url.strip_prefix("https://").unwrap();
    assert!(targets.iter().all(|target| target == authority), "{targets:?}");
    // The runner's connection, and at least one of git for the sources.
    assert!(targets.len() >= 2, "{targets:?}");
    assert!(!log.contains("team:open"), "the proxy's password is in the log");
}

#[tokio::test]
async fn without_the_proxys_password_nothing_is_reached() {
    let (desk, tunnel) = (Desk::start().await, Tunnel::start());
    let (code, said) = desk.run(&tunnel.url.replace("team:open@", ""), "").await;
    assert_eq!((code, desk.status().await), (Some(4), "pending".into()), "{said}");
    assert!(tunnel.targets().is_empty());
}

#[tokio::test]
async fn a_host_beside_the_proxy_is_reached_directly_by_git_too() {
    let (desk, tunnel) = (Desk::start().await, Tunnel::start());
    let (code, said) = desk.run(&tunnel.url, "127.0.0.1").await;
    assert_eq!((code, desk.status().await), (Some(0), "success".into()), "{said}\n{}", desk.log().await);
    assert!(tunnel.targets().is_empty());
}
