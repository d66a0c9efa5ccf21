//! The port, and the client behind it.

use std::future::Future;

use reqwest::Method;
use reqwest::header::HeaderValue;
use runnerless_core::id::JobKey;

use super::error::RestError;
use super::facts::{ApiJob, Wire};
use crate::protocol::{Answer, Client, Secret};

/// What GitLab knows about jobs.
pub trait JobsApi: Sync {
    /// The job as it is now; `None` when there is no such job, or none that the token may see.
    fn job(&self, key: JobKey) -> impl Future<Output = Result<Option<ApiJob>, RestError>> + Send;
}

/// GitLab's REST API with one API token (scope `read_api`).
#[derive(Clone, Debug)]
pub struct RestClient {
    client: Client,
    token: HeaderValue,
}

impl RestClient {
    /// Over a client that knows where GitLab is and how to get there.
    ///
    /// # Errors
    /// [`RestError::Token`]: the token cannot be sent.
    pub fn new(client: Client, token: &Secret) -> Result<Self, RestError> {
        let mut token = HeaderValue::from_str(token.expose().trim()).map_err(|_| RestError::Token)?;
        token.set_sensitive(true);
        Ok(Self { client, token })
    }
}

impl JobsApi for RestClient {
    async fn job(&self, key: JobKey) -> Result<Option<ApiJob>, RestError> {
        const OPERATION: &str = "GET projects/:id/jobs/:job_id";
        let path = format!("projects/{}/jobs/{}", key.project, key.job);
        let request = self.client.request(Method::GET, &path, None).header("PRIVATE-TOKEN", self.token.clone());
        // As large as a job: the answer holds the whole commit message.
        let answer = Answer::with_job(OPERATION, request).await?;
        match answer.status.as_u16() {
            200 => {
                let wire: Wire = serde_json::from_slice(&answer.body)
                    .map_err(|source| RestError::Unreadable { operation: OPERATION, source })?;
                Ok(Some(wire.job(key)))
            }
            404 => Ok(None),
            _ if answer.refusal().is_temporary() => Err(RestError::Later(answer.refusal())),
            _ => Err(RestError::Refused(answer.refusal())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use runnerless_core::lane::TagSet;
    use runnerless_core::status::JobStatus;
    use runnerless_core::time::Timestamp;

    use super::*;
    use crate::protocol::{ClientConfig, Info};

    const KEY: JobKey = JobKey { project: 41, job: 5_000_000_001 };

    /// Answers one request; gives back its head.
    fn server(answer: String) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/git", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).unwrap();
            head.join("\n")
        });
        (url, serving)
    }

    async fn ask(status: &str, headers: &str, body: &str) -> (Result<Option<ApiJob>, RestError>, String) {
        let length = body.len();
        let (url, serving) = server(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        ));
        let client = Client::new(ClientConfig::new(url, Info::new("runnerless", "1", ""))).unwrap();
        let answer = RestClient::new(client, &Secret::new("glpat-x\n")).unwrap().job(KEY).await;
        (answer, serving.join().unwrap())
    }

    #[tokio::test]
    async fn a_job_is_read_with_its_tags_and_manager() {
        let body = r#"{"id":5000000001,"status":"running","stage":"test","name":"unit","ref":"main","tag":false,
            "created_at":"2026-09-14T08:15:30.000Z","tag_list":["docker","arm#64"],"commit":{"message":"x"},
            "runner":{"id":7,"description":"d"},"runner_manager":{"id":9,"system_id":"r_0123456789ab"}}"#;
        let (job, head) = ask("200 OK", "", body).await;
        let job = job.unwrap().unwrap();
        assert_eq!((job.key, job.status), (KEY, JobStatus::Running));
        assert_eq!((job.name.as_str(), job.stage.as_str(), job.git_ref.as_str()), ("unit", "test", "main"));
        assert_eq!((job.runner, job.system_id.as_deref()), (Some(7), Some("r_0123456789ab")));
        assert_eq!(job.created_at, Some(Timestamp(1_789_373_730_000)));
        let tags = job.tags.unwrap();
        assert_eq!(tags.len(), 2);
        assert!(!TagSet::new(["docker"]).unwrap().covers(&tags));
        assert!(head.starts_with("GET /git/api/v4/projects/41/jobs/5000000001 "), "{head}");
        assert!(head.to_lowercase().contains("private-token: glpat-x"), "{head}");
    }

    #[tokio::test]
    async fn unknown_is_not_none() {
        let (job, _) = ask("200 OK", "", r#"{"status":"pending","tag_list":null,"runner":null,"name":null}"#).await;
        assert_eq!(job.unwrap().unwrap().tags, None, "this GitLab does not say");
        let (job, _) = ask("200 OK", "", r#"{"status":"pending","tag_list":[]}"#).await;
        assert_eq!(job.unwrap().unwrap().tags, Some(TagSet::default()));
        let (job, _) = ask("404 Not Found", "", r#"{"message":"404 Not Found"}"#).await;
        assert_eq!(job.unwrap(), None);
    }

    #[tokio::test]
    async fn failures_have_names() {
        let (busy, _) = ask("429 Too Many Requests", "retry-after: 17\r\n", "").await;
        let busy = busy.unwrap_err();
        assert_eq!((busy.name(), busy.retry_after()), ("GitLab.Unavailable", Some(Duration::from_secs(17))));
        let (denied, _) = ask("403 Forbidden", "", r#"{"message":"403 Forbidden"}"#).await;
        assert_eq!(denied.unwrap_err().name(), "GitLab.Refused");
        let (broken, _) = ask("502 Bad Gateway", "", "<html>").await;
        assert_eq!(broken.unwrap_err().name(), "GitLab.Unavailable");
        let (page, _) = ask("200 OK", "", "<html>").await;
        assert!(matches!(page, Err(RestError::Unreadable { .. })));
        let (moved, _) = ask("302 Found", "location: http://127.0.0.1:1/\r\n", "").await;
        assert_eq!(moved.unwrap_err().name(), "GitLab.Refused", "a token is never carried to another address");
        let client = Client::new(ClientConfig::new("http://127.0.0.1:1", Info::new("r", "1", ""))).unwrap();
        assert!(matches!(RestClient::new(client.clone(), &Secret::new("a\u{7}b")), Err(RestError::Token)));
        let nobody = RestClient::new(client, &Secret::new("t")).unwrap().job(KEY).await.unwrap_err();
        assert_eq!(nobody.name(), "GitLab.Unavailable");
    }
}
