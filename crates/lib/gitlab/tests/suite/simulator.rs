//! The simulator over real HTTP, and what its users do there.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs of this module")]

use std::path::{Path, PathBuf};
use std::process::Command;

use gitlab_sim::{Options, Simulator, Stop};
use reqwest::Method;
use runnerless_gitlab::protocol::{Assignment, Client, ClientConfig, Info, Requested, Secret, Update};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// As which runner manager [`Runner`] asks.
pub const SYSTEM_ID: &str = "r_abcdefghijkl";

/// A GitLab in this process. It ends with the value.
pub struct GitLab {
    pub url: String,
    pub admin: String,
    ca: Option<PathBuf>,
    http: reqwest::Client,
    dir: TempDir,
    server: JoinHandle<()>,
}

impl Drop for GitLab {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A runner as its runner manager knows it.
pub struct Runner {
    pub id: u64,
    pub token: Secret,
}

impl GitLab {
    pub async fn start() -> Self {
        Self::start_with("", false).await
    }

    /// At this path, and nowhere else.
    pub async fn start_at(root: &str) -> Self {
        Self::start_with(root, false).await
    }

    /// With TLS, by an authority of its own.
    pub async fn start_tls() -> Self {
        Self::start_with("", true).await
    }

    async fn start_with(root: &str, tls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let options =
            Options { listen, state: dir.path().join("state"), tls, admin_token: None, root: root.to_owned() };
        let simulator = Simulator::start(options).await.unwrap();
        let (url, admin) = (simulator.url().to_owned(), simulator.admin_token().to_owned());
        let ca = simulator.ca_file().map(Path::to_path_buf);
        let mut http = reqwest::Client::builder().no_proxy();
        if let Some(file) = &ca {
            let pem = std::fs::read(file).unwrap();
            http = http.tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()]);
        }
        let http = http.build().unwrap();
        let serving = simulator.serve(std::future::pending::<Stop>());
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self { url, admin, ca, http, dir, server }
    }

    /// The certificate of its authority.
    pub fn ca_file(&self) -> &Path {
        self.ca.as_deref().unwrap()
    }

    /// A client as our functions make it.
    pub fn client(&self) -> Client {
        Client::new(ClientConfig::new(&self.url, Info::new("runnerless", "1", ""))).unwrap()
    }

    /// Any call with the administrator's token, which must succeed. The path begins with `_sim/v1` or `api/v4`.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}/{path}", self.url)).header("PRIVATE-TOKEN", &self.admin);
        let answer = request.json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The same for an answer that is no JSON.
    pub async fn text(&self, method: Method, path: &str) -> String {
        let request = self.http.request(method, format!("{}/{path}", self.url)).header("PRIVATE-TOKEN", &self.admin);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// What GitLab shows the administrator there; `None` when there is nothing.
    pub async fn shown(&self, path: &str) -> Option<Value> {
        let request = self.http.get(format!("{}/{path}", self.url)).header("PRIVATE-TOKEN", &self.admin);
        let answer = request.send().await.unwrap();
        if answer.status().as_u16() == 404 {
            return None;
        }
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).ok()
    }

    /// A project with that `.gitlab-ci.yml`; its id.
    pub async fn project(&self, path: &str, file: &str) -> u64 {
        let source = self.dir.path().join(path.replace('/', "-"));
        repository(&source, file);
        let made = self.call(Method::POST, "_sim/v1/projects", json!({"path": path, "source": source})).await;
        made["id"].as_u64().unwrap()
    }

    /// Runs a pipeline of the project; the ids of its jobs by name.
    pub async fn pipeline(&self, project: u64) -> Vec<(String, u64)> {
        let made = self.call(Method::POST, "_sim/v1/pipelines", json!({"project": project})).await;
        let shown = self.call(Method::GET, &format!("_sim/v1/pipelines/{}", made["id"]), Value::Null).await;
        let job = |job: &Value| (job["name"].as_str().unwrap().to_owned(), job["id"].as_u64().unwrap());
        shown["jobs"].as_array().unwrap().iter().map(job).collect()
    }

    /// The job as GitLab's users see it.
    pub async fn job(&self, project: u64, job: u64) -> Value {
        self.call(Method::GET, &format!("api/v4/projects/{project}/jobs/{job}"), Value::Null).await
    }

    pub async fn cancel(&self, job: u64) {
        self.call(Method::POST, &format!("_sim/v1/jobs/{job}/cancel"), Value::Null).await;
    }

    /// Ends a job that is being cancelled without waiting for its runner.
    pub async fn force_cancel(&self, job: u64) {
        self.call(Method::POST, &format!("_sim/v1/jobs/{job}/cancel?force=true"), Value::Null).await;
    }

    /// A runner for jobs of these tags.
    pub async fn runner(&self, tags: &[&str]) -> Runner {
        let body = json!({"runner_type": "instance_type", "tag_list": tags, "run_untagged": tags.is_empty()});
        let made = self.call(Method::POST, "api/v4/user/runners", body).await;
        Runner { id: made["id"].as_u64().unwrap(), token: Secret::new(made["token"].as_str().unwrap()) }
    }

    /// A job that this runner gets and accepts.
    pub async fn takes(&self, runner: &Runner) -> Assignment {
        let client = self.client();
        let Requested::Job(job) = client.request_job(&runner.token, Some(SYSTEM_ID)).await.unwrap() else {
            panic!("there is no job for this runner")
        };
        client.update_job(job.id, &job.token, Update::ACCEPT).await.unwrap();
        *job
    }

    /// From now on these requests are answered with this status, and not carried out; `None` ends all of that.
    pub async fn answers(&self, path: &str, status: Option<u16>) {
        match status {
            Some(status) => {
                let fault = json!({"match": {"path": path}, "every": 1, "do": format!("status:{status}")});
                self.call(Method::POST, "_sim/v1/faults", fault).await;
            }
            None => {
                self.call(Method::DELETE, "_sim/v1/faults", Value::Null).await;
            }
        }
    }
}

/// Makes a repository with one commit.
fn repository(dir: &Path, file: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(".gitlab-ci.yml"), file).unwrap();
    for words in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["-c", "user.name=Dana", "-c", "user.email=dana@example.com", "commit", "-q", "-m", "first"],
    ] {
        let done = Command::new("git").arg("-C").arg(dir).args(words).output().unwrap();
        assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
