//! Files that are kept elsewhere than at GitLab: brought and put by a URL that says by itself what may be done with it. No token
//! of ours goes there, and the URL, which opens the file to anybody, is in no error.

use std::io;
use std::time::{Duration, SystemTime};

use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LAST_MODIFIED};
use reqwest::{Body, Response, StatusCode, Url};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::client::{Answer, Client, ConfigError};
use super::incoming::Incoming;
use super::secret::Secret;

/// How long a storage may take for the first word of its answer; the official runner's.
const FIRST_WORD: Duration = Duration::from_secs(30);
/// Longest name of an error that is passed on.
const CODE_CHARS: usize = 64;
const ANSWER: &str = "the storage's answer";

/// What a request for a file came to.
#[derive(Debug)]
pub enum Fetched {
    /// The file comes.
    File(StoredFile),
    /// Anything else than a file.
    Refused(StorageAnswer),
}

/// A file that is on its way.
#[derive(Debug)]
pub struct StoredFile {
    /// What comes.
    pub content: Incoming,
    /// The storage's host.
    pub host: String,
    /// When it was put there, if the storage says so.
    pub stored_at: Option<SystemTime>,
}

/// A storage's short answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The status with its words and, of an error, the storage's own name for it. What else storages say of an error names
    /// accounts and their roles, which is not for a job's log.
    pub said: String,
}

/// A storage was not reached.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Not a URL of `https`, or of `http` where GitLab is reached by that too.
    #[error("what opens the storage is no URL that may be used")]
    Url,
    /// A client for it cannot be made.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// The connection failed, broke or took too long.
    #[error("no answer from the storage")]
    NoAnswer(#[source] reqwest::Error),
    /// The connection stands, and nothing comes.
    #[error("no answer from the storage within {} seconds", FIRST_WORD.as_secs())]
    Silent,
}

impl Client {
    /// Asks for a file. All of it must have come within `limit`.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn fetch_stored(&self, url: &Secret, limit: Duration) -> Result<Fetched, StorageError> {
        let url = self.storage(url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = self.abroad(&url)?.get(url).timeout(limit).send();
        let response = timeout(FIRST_WORD, request).await.map_err(|_| StorageError::Silent)?.map_err(no_answer)?;
        if response.status() != StatusCode::OK {
            return Ok(Fetched::Refused(answer(response).await));
        }
        let stored_at = stored_at(&response);
        Ok(Fetched::File(StoredFile { content: Incoming::new(response), host, stored_at }))
    }

    /// Puts a file of `length` bytes. An error in `content` breaks the request off, and so does another length.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn store(
        &self,
        url: &Secret,
        length: u64,
        content: Receiver<io::Result<Vec<u8>>>,
        limit: Duration,
    ) -> Result<StorageAnswer, StorageError> {
        let url = self.storage(url)?;
        let content = stream::unfold(content, async |mut content| content.recv().await.map(|part| (part, content)));
        let request = self
            .abroad(&url)?
            .put(url)
            .timeout(limit)
            .header(CONTENT_TYPE, "application/octet-stream")
            // A storage takes no body of unknown length.
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(content));
        Ok(answer(request.send().await.map_err(no_answer)?).await)
    }

    /// The host that a URL leads to, which may be shown.
    #[must_use]
    pub fn storage_host(&self, url: &Secret) -> Option<String> {
        self.storage(url).ok()?.host_str().map(str::to_owned)
    }

    fn storage(&self, url: &Secret) -> Result<Url, StorageError> {
        let url = Url::parse(url.expose()).map_err(|_| StorageError::Url)?;
        if self.may_go_to(&url) { Ok(url) } else { Err(StorageError::Url) }
    }
}

fn no_answer(error: reqwest::Error) -> StorageError {
    StorageError::NoAnswer(error.without_url())
}

fn stored_at(response: &Response) -> Option<SystemTime> {
    let text = response.headers().get(LAST_MODIFIED).map(HeaderValue::to_str)?.ok()?;
    let seconds = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

async fn answer(response: Response) -> StorageAnswer {
    let status = response.status();
    let words = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned();
    // What is behind an error's status is its name: without it the status is enough.
    let body = if status.is_success() { Vec::new() } else { rest(response).await };
    let said = match code(&String::from_utf8_lossy(&body)) {
        Some(code) => format!("{words}. Request failed with code: {code}"),
        None => words,
    };
    StorageAnswer { status: status.as_u16(), said }
}

async fn rest(response: Response) -> Vec<u8> {
    Answer::small(ANSWER, response).await.map(|answer| answer.body).unwrap_or_default()
}

/// The name of an error, as the storages of all clouds write it: in an XML element `Code`.
fn code(body: &str) -> Option<&str> {
    let (_, after) = body.split_once("<Code>")?;
    let (code, _) = after.split_once("</Code>")?;
    let plain = !code.is_empty() && code.len() <= CODE_CHARS && code.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::super::client::ClientConfig;
    use super::super::info::Info;
    use super::*;

    #[test]
    fn what_gitlab_is_reached_by_with_encryption_no_storage_is_reached_without() {
        let client = |url: &str| Client::new(ClientConfig::new(url, Info::new("t", "0", ""))).unwrap();
        let (safe, open) = (client("https://gitlab.example.com"), client("http://127.0.0.1:9"));
        for (url, when_safe, when_open) in [
            ("https://bucket.example.com/x?signed=secret", true, true),
            ("http://127.0.0.1:1/x?signed=secret", false, true),
            ("ftp://127.0.0.1/x?signed=secret", false, false),
            ("not a URL, secret", false, false),
        ] {
            let url = Secret::new(url);
            assert_eq!((safe.storage(&url).is_ok(), open.storage(&url).is_ok()), (when_safe, when_open));
            for error in [safe.storage(&url), open.storage(&url)].into_iter().filter_map(Result::err) {
                assert!(!format!("{error:?} {error}").contains("secret"));
            }
        }
    }

    #[test]
    fn of_an_error_its_name_is_passed_on_and_nothing_else() {
        let body =
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>User: arn:aws:sts::1:x</Message></Error>";
        assert_eq!(code(body), Some("AccessDenied"));
        for body in ["", "<html>", "<Code></Code>", "<Code>a b</Code>", "<Code>never ends"] {
            assert_eq!(code(body), None, "{body}");
        }
    }
}
