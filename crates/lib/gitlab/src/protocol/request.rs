//! `POST jobs/request`: asking for a job.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::body::JobBody;
use super::client::{Answer, Client};
use super::error::{Refusal, TransportError};
use super::info::Info;
use super::secret::Secret;

const OPERATION: &str = "POST jobs/request";

/// What a request got.
#[derive(Debug)]
pub enum Requested {
    /// A job: it is ours to bind, accept, and end.
    Job(Box<Assignment>),
    /// Nothing for this runner now.
    Nothing,
}

/// A job that GitLab handed out.
#[derive(Debug)]
pub struct Assignment {
    /// The job's id.
    pub id: u64,
    /// The token of this job's calls; dies with the job. May be a JWT of more than a kilobyte.
    pub token: Secret,
    /// The rest, or why it cannot be understood: then the job must still be ended.
    pub body: Result<JobBody, serde_json::Error>,
    /// All of it as it came, for who hands the job to another process.
    pub wire: Secret,
}

impl Assignment {
    /// Reads a 201: id and token first, on their own, so that a body that this version cannot read can still be reported.
    ///
    /// # Errors
    /// There is no id and token to be read.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let least: Least = serde_json::from_slice(bytes)?;
        let wire = Secret::new(String::from_utf8_lossy(bytes));
        Ok(Self { id: least.id, token: least.token, body: serde_json::from_slice(bytes), wire })
    }
}

/// A request for a job that brought none.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// 403 or 422: the runner's token is wrong or deleted, or the runner belongs to nothing any more.
    #[error(transparent)]
    TokenRefused(Refusal),
    /// 409: two runners reached for one job, or a database replica lags. Ask again soon; nothing is wrong.
    #[error("GitLab gave the job to another runner (409)")]
    Conflict,
    /// 429, 503 and their like: ask later.
    #[error(transparent)]
    Later(Refusal),
    /// Any other status: asking again will not help.
    #[error(transparent)]
    Refused(Refusal),
    /// No answer. A job may have been assigned by it all the same.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A 201 without a readable id and token: GitLab believes that we have a job, and we cannot even say that we fail.
    #[error("GitLab handed out a job whose id and token cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

#[derive(Serialize)]
struct Body<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_id: Option<&'a str>,
    info: &'a Info,
}

/// The least that a job must have.
#[derive(Deserialize)]
struct Least {
    id: u64,
    token: Secret,
}

impl Client {
    /// Asks once. Never repeats itself: an answer that was lost may have carried a job.
    ///
    /// No `last_update` is sent, so GitLab does not park the request.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request_job(&self, token: &Secret, system_id: Option<&str>) -> Result<Requested, RequestError> {
        let body = Body { token: token.expose(), system_id, info: self.info() };
        let request = self.json(Method::POST, "jobs/request", &body).header("RUNNER-TOKEN", token.expose());
        let answer = Answer::with_job(OPERATION, request).await?;
        match answer.status.as_u16() {
            201 => Ok(Requested::Job(Box::new(Assignment::read(&answer.body).map_err(RequestError::Unreadable)?))),
            204 => Ok(Requested::Nothing),
            403 | 422 => Err(RequestError::TokenRefused(answer.refusal())),
            409 => Err(RequestError::Conflict),
            _ if answer.refusal().is_temporary() => Err(RequestError::Later(answer.refusal())),
            _ => Err(RequestError::Refused(answer.refusal())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(extra: &str) -> JobBody {
        let text = format!(r#"{{"id":4300000000,"token":"t"{extra}}}"#);
        Assignment::read(text.as_bytes()).unwrap().body.unwrap()
    }

    #[test]
    fn the_least_job_is_readable() {
        let job = body("");
        assert!(job.steps.is_empty() && job.variables.is_empty() && job.image.is_none());
        assert_eq!(job.runner_info.timeout_secs(), super::super::NO_TIMEOUT_SENT_SECS);
    }

    #[test]
    fn null_lists_unknown_fields_and_new_names_are_tolerated() {
        let job = body(
            r#","steps":[{"name":"teleport","script":null,"when":"sometimes"},null],"variables":null,"hooks":null,
              "services":null,"dependencies":null,"artifacts":null,"cache":null,"features":null,"git_info":null,
              "image":null,"run":null,"inputs":null,"brand_new":{"a":[1]},"runner_info":{"timeout":3600.0}"#,
        );
        assert_eq!(job.steps.len(), 1);
        assert_eq!(job.steps[0].name, "teleport");
        assert_eq!(job.runner_info.timeout_secs(), 3600);
    }

    #[test]
    fn variables_keep_their_order_and_doubles() {
        let job =
            body(r#","variables":[{"key":"A","value":"1"},{"key":"A","value":null},{"key":"N","value":3,"raw":true}]"#);
        let seen: Vec<_> = job.variables.iter().map(|v| (v.key.as_str(), v.value.as_str(), v.raw)).collect();
        assert_eq!(seen, [("A", "1", false), ("A", "", false), ("N", "3", true)]);
    }

    #[test]
    fn a_body_that_makes_no_sense_keeps_id_and_token() {
        let token = "g".repeat(4000);
        let text = format!(r#"{{"id":7,"token":"{token}","steps":"all of them"}}"#);
        let job = Assignment::read(text.as_bytes()).unwrap();
        assert_eq!((job.id, job.token.expose().len()), (7, 4000));
        assert!(job.body.is_err());
        assert_eq!(job.wire.expose(), text, "another process reads the same");
    }

    #[test]
    fn without_id_or_token_there_is_no_job() {
        for text in [r#"{"token":"t"}"#, r#"{"id":1}"#, "[]", "", r#"{"id":-1,"token":"t"}"#] {
            assert!(Assignment::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_request_stays_small() {
        let info = Info::new("runnerless-runner", "0.1.0", "0123456789ab");
        let token = "g".repeat(300);
        let body = Body { token: &token, system_id: Some("r_0123456789ab"), info: &info };
        let size = serde_json::to_vec(&body).unwrap().len();
        assert!(size < 2048, "{size} bytes; older GitLab front servers refuse more than 4096");
    }
}
