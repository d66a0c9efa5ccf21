//! The port, and the client behind it.

use std::future::Future;

use reqwest::Method;
use reqwest::header::HeaderValue;
use runnerless_core::id::JobKey;

use super::error::RestError;
use super::facts::{ApiJob, Wire};
use super::hooks::{self, Hooks};
use super::pending::{self, PendingPage};
use crate::protocol::{Answer, Client, Secret};

/// What GitLab knows about jobs and about what it tells us of them.
pub trait JobsApi: Sync {
    /// The job as it is now; `None` when there is no such job, or none that the token may see.
    fn job(&self, key: JobKey) -> impl Future<Output = Result<Option<ApiJob>, RestError>> + Send;

    /// One page of the project's pending jobs, the newest first, from the first page or from the cursor of an earlier
    /// page; `None` when there is no such project, or none that the token may see. A page that cannot be read is an
    /// error, never an empty one.
    fn pending(
        &self,
        project: u64,
        from: Option<&str>,
    ) -> impl Future<Output = Result<Option<PendingPage>, RestError>> + Send;

    /// The project's webhooks; `None` as for [`JobsApi::pending`]. GitLab shows them to maintainers only and answers
    /// others 403.
    fn hooks(&self, project: u64) -> impl Future<Output = Result<Option<Hooks>, RestError>> + Send;
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
            _ => Err(refused(&answer)),
        }
    }

    async fn pending(&self, project: u64, from: Option<&str>) -> Result<Option<PendingPage>, RestError> {
        let query = pending::query(from);
        let answer = self.get(pending::OPERATION, &format!("projects/{project}/jobs"), Some(&query)).await?;
        pending::read(&answer, project, from, &self.client.instance_url())
    }

    async fn hooks(&self, project: u64) -> Result<Option<Hooks>, RestError> {
        hooks::read(&self.get(hooks::OPERATION, &format!("projects/{project}/hooks"), Some(hooks::QUERY)).await?)
    }
}

impl RestClient {
    /// The answer may be as large as a job: a page holds a hundred jobs with their commits' messages.
    pub(super) async fn get(
        &self,
        operation: &'static str,
        path: &str,
        query: Option<&str>,
    ) -> Result<Answer, RestError> {
        let request = self.client.request(Method::GET, path, query).header("PRIVATE-TOKEN", self.token.clone());
        Ok(Answer::with_job(operation, request).await?)
    }
}

/// An answer that is neither what was asked for nor "there is none".
pub(super) fn refused(answer: &Answer) -> RestError {
    let refusal = answer.refusal();
    if refusal.is_temporary() { RestError::Later(refusal) } else { RestError::Refused(refusal) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use runnerless_core::lane::TagSet;
    use runnerless_core::project::Alert;
    use runnerless_core::status::JobStatus;
    use runnerless_core::time::{Millis, Timestamp};

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

    fn answering(status: &str, headers: &str, body: &str) -> (RestClient, JoinHandle<String>) {
        let length = body.len();
        let (url, serving) = server(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        ));
        let client = Client::new(ClientConfig::new(url, Info::new("runnerless", "1", ""))).unwrap();
        (RestClient::new(client, &Secret::new("glpat-x\n")).unwrap(), serving)
    }

    async fn ask(status: &str, headers: &str, body: &str) -> (Result<Option<ApiJob>, RestError>, String) {
        let (client, serving) = answering(status, headers, body);
        (client.job(KEY).await, serving.join().unwrap())
    }

    async fn list(
        status: &str,
        headers: &str,
        body: &str,
        from: Option<&str>,
    ) -> (Result<Option<PendingPage>, RestError>, String) {
        let (client, serving) = answering(status, headers, body);
        (client.pending(41, from).await, serving.join().unwrap())
    }

    #[tokio::test]
    async fn pending_jobs_come_by_pages_and_only_the_cursor_is_followed() {
        let body = r#"[{"id":12,"status":"pending","name":"unit","tag_list":["arm"],"queued_duration":12.5,
            "web_url":"http://elsewhere.example/acme/widget/-/jobs/12"}]"#;
        let link = "link: <http://elsewhere.example/api/v4/x?cursor=eyJpZCI6IjEyIn0%3D>; rel=\"next\"\r\n";
        let (page, head) = list("200 OK", link, body, None).await;
        let page = page.unwrap().unwrap();
        assert_eq!(page.next.as_deref(), Some("eyJpZCI6IjEyIn0="));
        assert_eq!(page.jobs[0].job.key, JobKey { project: 41, job: 12 });
        assert_eq!((page.jobs[0].waited, &page.jobs[0].project_path), (Some(Millis(12_500)), &None));
        let asked =
            "GET /git/api/v4/projects/41/jobs?scope[]=pending&pagination=keyset&order_by=id&sort=desc&per_page=100 ";
        assert!(head.starts_with(asked), "{head}");
        let (last, head) = list("200 OK", "", "[]", Some("eyJpZCI6IjEyIn0=")).await;
        assert_eq!(last.unwrap().unwrap(), PendingPage::default());
        assert!(head.contains("&per_page=100&cursor=eyJpZCI6IjEyIn0%3D "), "{head}");
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_read_is_never_no_jobs() {
        let circle = "link: <http://x/?cursor=a>; rel=\"next\"\r\n";
        for (status, headers, body, from, name) in [
            ("200 OK", "", "<html>", None, "GitLab.Unavailable"),
            ("200 OK", "", "{}", None, "GitLab.Unavailable"),
            ("200 OK", "", r#"[{"status":"pending"}]"#, None, "GitLab.Unavailable"),
            ("200 OK", "x-next-page: 2\r\n", "[]", None, "GitLab.NoKeysetPages"),
            ("200 OK", circle, "[]", Some("a"), "GitLab.CursorRefused"),
            ("405 Method Not Allowed", "", r#"{"error":"Keyset pagination is not"}"#, None, "GitLab.NoKeysetPages"),
            ("400 Bad Request", "", r#"{"error":"cursor is invalid"}"#, Some("old"), "GitLab.CursorRefused"),
            ("401 Unauthorized", "", "", None, "GitLab.TokenRefused"),
            ("403 Forbidden", "", "", None, "GitLab.Refused"),
            ("503 Service Unavailable", "", "", None, "GitLab.Unavailable"),
        ] {
            let (page, _) = list(status, headers, body, from).await;
            assert_eq!(page.unwrap_err().name(), name, "{status} {headers} {body}");
        }
        assert_eq!(list("404 Not Found", "", "", None).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn hooks_are_read_with_what_gitlab_says_of_their_state() {
        let body = r#"[{"id":1,"url":"https://a.example/webhook","job_events":true,"alert_status":"temporarily_disabled",
            "disabled_until":"2026-09-14T08:15:30.000Z"},{"id":2,"url":"https://b.example/"}]"#;
        let (client, serving) = answering("200 OK", "x-next-page: \r\n", body);
        let hooks = client.hooks(41).await.unwrap().unwrap();
        assert!(hooks.complete);
        assert_eq!((hooks.hooks[0].alert, hooks.hooks[0].job_events), (Alert::Suspended, true));
        assert_eq!(hooks.hooks[0].disabled_until, Some(Timestamp(1_789_373_730_000)));
        assert_eq!((hooks.hooks[1].alert, hooks.hooks[1].job_events), (Alert::Unknown, false));
        assert!(serving.join().unwrap().starts_with("GET /git/api/v4/projects/41/hooks?per_page=100 "));
        let (client, _serving) = answering("200 OK", "x-next-page: 2\r\n", "[]");
        assert!(!client.hooks(41).await.unwrap().unwrap().complete);
        let (client, _serving) = answering("403 Forbidden", "", "");
        assert_eq!(client.hooks(41).await.unwrap_err().name(), "GitLab.Refused");
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
