//! The runner manager as a process: a real job of the simulator, the metrics meanwhile, and the two ways to leave.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use gitlab_sim::{Options, Simulator, Stop};
use hyper::Method;
use runnerless_local::gitlab::{NewRunner, Simulator as Control};
use runnerless_local::http::Http;
use runnerless_local::supervise::GitLab;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

/// A GitLab with one job, which runs until a file is there, and a runner manager that has it.
struct Setting {
    folder: TempDir,
    control: Control,
    pipeline: u64,
    metrics: String,
    manager: Child,
}

impl Setting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            state: path("state"),
            tls: false,
            admin_token: None,
            root: String::new(),
        };
        let simulator = Simulator::start(options).await.unwrap();
        let gitlab = GitLab { url: simulator.url().to_owned(), admin_token: simulator.admin_token().to_owned() };
        tokio::spawn(simulator.serve(std::future::pending::<Stop>()));
        let control = Control::new(&gitlab);
        let runner = NewRunner { description: "A pool", tags: vec!["pool"], run_untagged: false, maximum_timeout: 600 };
        let token = control.create_runner(&runner).await.unwrap();
        let source = repository(&path("source"), &path("over"));
        let project = control.create_project("acme/pool", source.to_str().unwrap(), &json!([])).await.unwrap();
        let pipeline = control.start_pipeline(project).await.unwrap();

        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "concurrent = 2\ncheck_interval = 1\nlisten_address = \"127.0.0.1:{port}\"\n[[runners]]\nname = \"acme\"\nurl = \"{}\"\ntoken = \"{token}\"\nexecutor = \"shell\"\n",
            gitlab.url
        );
        fs::write(path("config.toml"), config).unwrap();
        fs::create_dir(path("work")).unwrap();
        let manager = Command::new(env!("CARGO_BIN_EXE_manager-sim"))
            .args(["run", "--config"])
            .arg(path("config.toml"))
            .arg("--working-directory")
            .arg(path("work"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let setting = Self { control, pipeline, metrics: format!("http://127.0.0.1:{port}/metrics"), manager, folder };
        setting.tells("stage=\"step_script\",state=\"running\"").await;
        setting
    }

    /// The metrics, once they have this; each is one whole text.
    async fn tells(&self, what: &str) -> String {
        let looking = async {
            loop {
                let answer = Http::default().call(Method::GET, &self.metrics, &[], Default::default(), LIMIT).await;
                let text = answer.and_then(|answer| answer.text(&self.metrics)).unwrap_or_default();
                if text.contains(what) {
                    return text;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("{what} is told"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.manager.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn finish_job(&self) {
        fs::write(self.folder.path().join("over"), "").unwrap();
    }

    async fn ends(&mut self) -> ExitStatus {
        timeout(LIMIT, self.manager.wait()).await.expect("it leaves").unwrap()
    }

    /// How the job ended.
    async fn job(&self) -> Value {
        let pipeline = self.control.pipeline(self.pipeline, 60).await.unwrap();
        pipeline["jobs"][0]["status"].clone()
    }
}

/// A repository whose job runs until `over` is there.
fn repository(folder: &Path, over: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let file = format!(
        "job:\n  tags: [pool]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - until [ -e {} ]; do sleep 0.05; done\n",
        over.display()
    );
    fs::write(folder.join(".gitlab-ci.yml"), file).unwrap();
    let identity = ["-c", "user.name=acme", "-c", "user.email=acme@example.com"];
    for words in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "jobs"]] {
        let mut git = std::process::Command::new("git");
        let done = git.arg("-C").arg(folder).args(identity).args(words).status().unwrap();
        assert!(done.success(), "{words:?}");
    }
    folder.to_owned()
}

#[tokio::test]
async fn sigquit_lets_the_job_end_and_takes_no_more() {
    let mut setting = Setting::new().await;
    let text = setting.tells("gitlab_runner_jobs_total").await;
    let of = |start: &str| text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect::<Vec<_>>();
    let jobs = of("gitlab_runner_jobs{");
    assert!(jobs.len() == 2 && jobs[0].contains("state=\"idle\"") && jobs[1].ends_with("} 1"), "{jobs:?}");
    assert!(of("gitlab_runner_jobs_total{")[0].ends_with("} 1"), "{text}");
    assert_eq!(of("gitlab_runner_concurrent "), ["gitlab_runner_concurrent 2"]);
    assert_eq!(of("gitlab_runner_process_state_info"), ["gitlab_runner_process_state_info{state=\"running\"} 1"]);
    setting.signal(Signal::QUIT);
    setting.tells("state=\"graceful-shutdown\"} 1").await;
    // A second one changes nothing.
    setting.signal(Signal::QUIT);
    let text = setting.tells("state=\"graceful-shutdown\"} 1").await;
    assert!(text.contains("state=\"running\",system_id"), "the job still runs: {text}");
    setting.finish_job();
    assert!(setting.ends().await.success());
    assert_eq!(setting.job().await, "success");
}

#[tokio::test]
async fn sigterm_ends_the_job_also_after_sigquit() {
    let mut setting = Setting::new().await;
    setting.signal(Signal::QUIT);
    setting.tells("state=\"graceful-shutdown\"} 1").await;
    setting.signal(Signal::TERM);
    assert!(setting.ends().await.success(), "it was told to leave, and left in order");
    assert_eq!(setting.job().await, "failed");
}
