//! The simulator's API, as far as the driver uses it: GitLab's own call that makes a runner, and the control calls.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::http::{Http, HttpError};
use crate::supervise::GitLab;

/// How long one call may take, beyond what it is told to wait.
const LIMIT: Duration = Duration::from_secs(30);

/// A client with the administrator's token.
#[derive(Clone, Debug)]
pub struct Simulator {
    http: Http,
    gitlab: GitLab,
}

/// A runner to be made.
#[derive(Clone, Debug)]
pub struct NewRunner<'a> {
    /// What people read.
    pub description: &'a str,
    /// Its tags.
    pub tags: Vec<&'a str>,
    /// Whether it takes jobs without tags.
    pub run_untagged: bool,
    /// The longest job (s); GitLab takes 600 at least.
    pub maximum_timeout: u64,
}

/// A hook to be made.
#[derive(Clone, Debug)]
pub struct NewHook<'a> {
    /// Where job events go.
    pub url: &'a str,
    /// The `Host` header, because the name of a local API does not resolve everywhere.
    pub host_header: &'a str,
    /// The secret token.
    pub token: &'a str,
    /// The signing token.
    pub signing_token: &'a str,
}

impl Simulator {
    /// A client of this GitLab.
    #[must_use]
    pub fn new(gitlab: &GitLab) -> Self {
        Self { http: Http::default(), gitlab: gitlab.clone() }
    }

    /// Makes an instance runner; returns its authentication token.
    ///
    /// # Errors
    /// When GitLab refuses or does not answer.
    pub async fn create_runner(&self, runner: &NewRunner<'_>) -> Result<String, HttpError> {
        let body = json!({
            "runner_type": "instance_type",
            "description": runner.description,
            "tag_list": runner.tags,
            "run_untagged": runner.run_untagged,
            "maximum_timeout": runner.maximum_timeout,
        });
        let made = self.call(Method::POST, "/api/v4/user/runners", &body).await?;
        Ok(text(&made, "token"))
    }

    /// Makes a project from the committed HEAD of a repository; returns its id.
    ///
    /// # Errors
    /// As above.
    pub async fn create_project(&self, path: &str, source: &str, variables: &Value) -> Result<u64, HttpError> {
        let body = json!({"path": path, "source": source, "variables": variables});
        let made = self.call(Method::POST, "/_sim/v1/projects", &body).await?;
        Ok(number(&made, "id"))
    }

    /// Makes a hook for job events.
    ///
    /// # Errors
    /// As above.
    pub async fn create_hook(&self, project: u64, hook: &NewHook<'_>) -> Result<(), HttpError> {
        let body = json!({
            "project": project,
            "url": hook.url,
            "host_header": hook.host_header,
            "token": hook.token,
            "signing_token": hook.signing_token,
        });
        self.call(Method::POST, "/_sim/v1/hooks", &body).await.map(drop)
    }

    /// Starts a pipeline of the default branch; returns its id.
    ///
    /// # Errors
    /// As above.
    pub async fn start_pipeline(&self, project: u64) -> Result<u64, HttpError> {
        let made = self.call(Method::POST, "/_sim/v1/pipelines", &json!({"project": project})).await?;
        Ok(number(&made, "id"))
    }

    /// A pipeline with its jobs, as soon as it is over, and after `wait_s` in any case.
    ///
    /// # Errors
    /// As above.
    pub async fn pipeline(&self, id: u64, wait_s: u64) -> Result<Value, HttpError> {
        self.call(Method::GET, &format!("/_sim/v1/pipelines/{id}?wait_s={wait_s}"), &Value::Null).await
    }

    /// A person plays a job.
    pub(crate) async fn play(&self, project: u64, job: u64) -> Result<(), HttpError> {
        let path = format!("/api/v4/projects/{project}/jobs/{job}/play");
        self.call(Method::POST, &path, &Value::Null).await.map(|_| ())
    }

    /// A job as GitLab shows it.
    pub(crate) async fn job(&self, id: u64) -> Result<Value, HttpError> {
        self.call(Method::GET, &format!("/_sim/v1/jobs/{id}"), &Value::Null).await
    }

    /// A job's log.
    ///
    /// # Errors
    /// As above.
    pub async fn job_log(&self, id: u64) -> Result<Bytes, HttpError> {
        let url = format!("{}/_sim/v1/jobs/{id}/log", self.gitlab.url);
        let answer = self.http.call(Method::GET, &url, &self.headers(), Bytes::new(), LIMIT).await?;
        if answer.status.is_success() { Ok(answer.body) } else { answer.json(&url).map(|_| Bytes::new()) }
    }

    /// An answer that is no JSON value: a log, or lines of it.
    ///
    /// # Errors
    /// As above.
    pub(crate) async fn text(&self, path: &str) -> Result<String, HttpError> {
        let url = format!("{}{path}", self.gitlab.url);
        let answer = self.http.call(Method::GET, &url, &self.headers(), Bytes::new(), LIMIT).await?;
        if !answer.status.is_success() {
            answer.json(&url)?;
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// The system ids of the machines of the runner with this description.
    ///
    /// # Errors
    /// As above.
    pub async fn managers(&self, description: &str) -> Result<Vec<String>, HttpError> {
        let runners = self.call(Method::GET, "/_sim/v1/runners", &Value::Null).await?;
        let of_it = runners.as_array().into_iter().flatten().filter(|runner| runner["description"] == description);
        let managers = of_it.flat_map(|runner| runner["managers"].as_array().into_iter().flatten());
        Ok(managers.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// What a strict GitLab would have refused, in words.
    ///
    /// # Errors
    /// As above.
    pub async fn violations(&self) -> Result<Vec<String>, HttpError> {
        let found = self.call(Method::GET, "/_sim/v1/violations", &Value::Null).await?;
        Ok(found.as_array().into_iter().flatten().map(ToString::to_string).collect())
    }

    /// Deliveries of hooks that were refused or not answered, in words.
    ///
    /// # Errors
    /// As above.
    pub async fn failed_deliveries(&self, project: u64) -> Result<Vec<String>, HttpError> {
        let found = self.call(Method::GET, "/_sim/v1/deliveries", &Value::Null).await?;
        let of_project = found.as_array().into_iter().flatten().filter(|delivery| delivery["project"] == project);
        let failed = of_project.filter(|delivery| matches!(delivery["state"].as_str(), Some("failed" | "disabled")));
        Ok(failed.map(said).collect())
    }

    /// Any call, with the administrator's token.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, HttpError> {
        let url = format!("{}{path}", self.gitlab.url);
        self.http.json(method, &url, &self.headers(), body, LIMIT).await
    }

    fn headers(&self) -> [(&str, &str); 1] {
        [("private-token", self.gitlab.admin_token.as_str())]
    }
}

fn said(delivery: &Value) -> String {
    let answer = match (&delivery["answer"], &delivery["error"]) {
        (Value::Number(status), _) => format!("answered {status}"),
        (_, error) => format!("not answered: {error}"),
    };
    format!("the {} hook of job {} was {answer}", text(delivery, "status"), delivery["job"])
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}
