//! What the tests stand on: a simulator, a project, a runner.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use gitlab_sim::{Options, SavedError, Simulator, StartError, Stop};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A simulator in this process, ended with the value.
pub(crate) struct Bench {
    pub(crate) url: String,
    pub(crate) admin: String,
    pub(crate) http: Client,
    pub(crate) dir: TempDir,
    stop: Option<oneshot::Sender<Stop>>,
    server: JoinHandle<Result<(), SavedError>>,
    /// Keeps the port while the simulator is down: bound and not listening, it is in nobody's way but a stranger's.
    _port: TcpSocket,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An answer, read whole.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(false).await
    }

    pub(crate) async fn start_with(tls: bool) -> Self {
        Self::start_at(tls, "").await
    }

    /// At this path, and nowhere else.
    pub(crate) async fn start_at(tls: bool, root: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listen = port.local_addr().unwrap();
        let options =
            Options { listen, state: dir.path().join("state"), tls, admin_token: None, root: root.to_owned() };
        let simulator = Simulator::start(options).await.unwrap();
        let (url, admin) = (simulator.url().to_owned(), simulator.admin_token().to_owned());
        let mut http = Client::builder().no_proxy();
        if let Some(file) = simulator.ca_file() {
            let pem = std::fs::read(file).unwrap();
            http = http.tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()]);
        }
        let (stop, server) = serve(simulator);
        Self { url, admin, http: http.build().unwrap(), dir, stop: Some(stop), server, _port: port }
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(&mut self, why: Stop) {
        self.stop.take().unwrap().send(why).unwrap();
        (&mut self.server).await.unwrap().unwrap();
    }

    /// A start where it was. A git that another test just forked may have the old listener for a moment longer.
    pub(crate) async fn simulator(&self) -> Result<Simulator, StartError> {
        let (scheme, place) = self.url.split_once("://").unwrap();
        let (address, root) = place.find('/').map_or((place, ""), |at| place.split_at(at));
        let (listen, root) = (address.parse().unwrap(), root.to_owned());
        let options =
            Options { listen, state: self.dir.path().join("state"), tls: scheme == "https", admin_token: None, root };
        let began = Instant::now();
        loop {
            match Simulator::start(options.clone()).await {
                Err(StartError::Listen(..)) if began.elapsed() < Duration::from_secs(30) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                started => return started,
            }
        }
    }

    /// Starts it again where it was.
    pub(crate) async fn start_again(&mut self) {
        let simulator = self.simulator().await.unwrap();
        assert_eq!((simulator.url(), simulator.admin_token()), (self.url.as_str(), self.admin.as_str()));
        let (stop, server) = serve(simulator);
        (self.stop, self.server) = (Some(stop), server);
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Reply { status, headers, text: answer.text().await.unwrap() }
    }

    /// The control interface; the call must succeed.
    pub(crate) async fn sim(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.request(method, &format!("/_sim/v1/{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = self.send(request).await;
        assert!(reply.status < 300, "{path}: {} {}", reply.status, reply.text);
        serde_json::from_str(&reply.text).unwrap_or(Value::Null)
    }

    pub(crate) async fn settings(&self, settings: Value) {
        self.sim(Method::POST, "settings", Some(settings)).await;
    }

    /// The user API with the admin's token.
    pub(crate) async fn user(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.request(method, &format!("/api/v4/{path}")).header("PRIVATE-TOKEN", &self.admin);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    /// A project with that `.gitlab-ci.yml`; its id.
    pub(crate) async fn project(&self, path: &str, file: &str) -> u64 {
        self.project_of(path, file, &[]).await
    }

    /// The same, with more files in its commit.
    pub(crate) async fn project_of(&self, path: &str, file: &str, others: &[(&str, &str)]) -> u64 {
        let source = self.dir.path().join(path.replace('/', "-"));
        for (name, text) in others {
            let at = source.join(name);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        }
        repository(&source, file);
        let body = json!({"path": path, "source": source});
        self.sim(Method::POST, "projects", Some(body)).await["id"].as_u64().unwrap()
    }

    /// Starts a pipeline of the project; its id.
    pub(crate) async fn pipeline(&self, project: u64) -> u64 {
        self.sim(Method::POST, "pipelines", Some(json!({"project": project}))).await["id"].as_u64().unwrap()
    }

    /// The pipeline as the control interface shows it.
    pub(crate) async fn see(&self, pipeline: u64) -> Value {
        self.sim(Method::GET, &format!("pipelines/{pipeline}"), None).await
    }

    /// A job of the pipeline by name, the newest.
    pub(crate) async fn job(&self, pipeline: u64, name: &str) -> Value {
        let jobs = self.see(pipeline).await["jobs"].as_array().unwrap().clone();
        jobs.into_iter().rfind(|job| job["name"] == name).unwrap_or_else(|| panic!("no job {name}"))
    }

    /// The states of the newest jobs by name.
    pub(crate) async fn states(&self, pipeline: u64) -> Vec<(String, String)> {
        let jobs = self.see(pipeline).await["jobs"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        jobs.iter()
            .filter(|job| job["retried"] == false)
            .map(|job| (text(&job["name"]), text(&job["status"])))
            .collect()
    }

    /// A runner with these settings; see `POST user/runners`.
    pub(crate) async fn runner(&self, settings: Value) -> Runner<'_> {
        let reply = self.user(Method::POST, "user/runners", Some(settings)).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        let made = reply.json();
        self.runner_with(made["id"].as_u64().unwrap(), made["token"].as_str().unwrap())
    }

    /// A runner that was made before.
    pub(crate) fn runner_with(&self, id: u64, token: &str) -> Runner<'_> {
        let features = json!({"cancel_gracefully": true, "two_phase_job_commit": true, "return_exit_code": true});
        Runner { bench: self, id, token: token.to_owned(), system_id: "r_abcdefghijkl".to_owned(), features }
    }

    /// A job that was taken before.
    pub(crate) fn taken(&self, id: u64, token: &str, body: Value) -> Taken<'_> {
        Taken { bench: self, id, token: token.to_owned(), body }
    }

    /// An instance runner for jobs without tags.
    pub(crate) async fn any_runner(&self) -> Runner<'_> {
        self.runner(json!({"runner_type": "instance_type"})).await
    }

    /// The kinds of the violations so far.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let all = self.sim(Method::GET, "violations", None).await;
        all.as_array().unwrap().iter().map(|violation| violation["kind"].as_str().unwrap().to_owned()).collect()
    }
}

fn serve(simulator: Simulator) -> (oneshot::Sender<Stop>, JoinHandle<Result<(), SavedError>>) {
    let (stop, told) = oneshot::channel();
    let server = tokio::spawn(simulator.serve(async { told.await.unwrap_or(Stop::Orphaned) }));
    (stop, server)
}

/// Makes a repository with one commit.
fn repository(dir: &Path, file: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(".gitlab-ci.yml"), file).unwrap();
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["-c", "user.name=Dana", "-c", "user.email=dana@example.com", "commit", "-q", "-m", "first"],
    ] {
        git(dir, arguments);
    }
}

/// Runs git, which must succeed.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git").arg("-C").arg(dir).args(arguments).env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
    assert!(out.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A runner's side.
pub(crate) struct Runner<'a> {
    bench: &'a Bench,
    pub(crate) id: u64,
    pub(crate) token: String,
    pub(crate) system_id: String,
    pub(crate) features: Value,
}

impl<'a> Runner<'a> {
    /// `POST jobs/request`.
    pub(crate) async fn ask(&self) -> Reply {
        let body = json!({"token": self.token, "system_id": self.system_id, "info": {"features": self.features}});
        self.bench.send(self.bench.request(Method::POST, "/api/v4/jobs/request").json(&body)).await
    }

    /// The job that it gets.
    pub(crate) async fn take(&self) -> Taken<'a> {
        let reply = self.ask().await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        let body = reply.json();
        let (id, token) = (body["id"].as_u64().unwrap(), body["token"].as_str().unwrap().to_owned());
        self.bench.taken(id, &token, body)
    }

    /// Takes a job, runs it with this end, and gives its name.
    pub(crate) async fn run(&self, state: &str) -> String {
        let job = self.take().await;
        assert_eq!(job.end(state).await.status, 200);
        job.body["job_info"]["name"].as_str().unwrap().to_owned()
    }
}

/// A job in a runner's hands.
pub(crate) struct Taken<'a> {
    bench: &'a Bench,
    pub(crate) id: u64,
    pub(crate) token: String,
    pub(crate) body: Value,
}

impl Taken<'_> {
    /// `PUT jobs/:id` with these keys beside the token.
    pub(crate) async fn put(&self, mut body: Value) -> Reply {
        body["token"] = Value::from(self.token.as_str());
        let request = self.bench.request(Method::PUT, &format!("/api/v4/jobs/{}", self.id)).json(&body);
        self.bench.send(request.header("JOB-TOKEN", &self.token)).await
    }

    /// A final report without a log.
    pub(crate) async fn end(&self, state: &str) -> Reply {
        self.put(json!({"state": state, "failure_reason": "script_failure"})).await
    }

    /// `PATCH jobs/:id/trace` at that offset.
    pub(crate) async fn patch(&self, start: usize, text: &str) -> Reply {
        let range = format!("{start}-{}", start + text.len() - 1);
        self.patch_with(text, &[("Content-Type", "text/plain"), ("Content-Range", &range)]).await
    }

    /// The same with any headers.
    pub(crate) async fn patch_with(&self, text: &str, headers: &[(&'static str, &str)]) -> Reply {
        let path = format!("/api/v4/jobs/{}/trace?debug_trace=false", self.id);
        let mut request = self.bench.request(Method::PATCH, &path).header("JOB-TOKEN", &self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.bench.send(request.body(text.to_owned())).await
    }

    /// The job as the control interface shows it.
    pub(crate) async fn see(&self) -> Value {
        self.bench.sim(Method::GET, &format!("jobs/{}", self.id), None).await
    }
}
