//! `POST` and `GET jobs/:id/artifacts`: files of a job on their way to GitLab, and those of another job on their way here.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::mpsc::Receiver;

use super::client::{Answer, Client, ConfigError};
use super::error::TransportError;
use super::incoming::Incoming;
use super::secret::Secret;

const UPLOAD: &str = "POST jobs/:id/artifacts";
const DOWNLOAD: &str = "GET jobs/:id/artifacts";
/// How long one transfer may take; the official runner's.
const TRANSFER: Duration = Duration::from_secs(60 * 60);
/// Redirects of one download; the official runner's HTTP client follows as many.
const MOST_REDIRECTS: usize = 10;
/// Random bytes in a boundary: what is uploaded does not hold them by chance.
const BOUNDARY_BYTES: usize = 30;

/// What GitLab is told about an artifact. What is empty is left out.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactForm<'a> {
    /// The file's name.
    pub filename: &'a str,
    /// How it is packed.
    pub format: &'a str,
    /// What it is.
    pub kind: &'a str,
    /// How long it is kept.
    pub expire_in: &'a str,
}

/// GitLab's short answer about an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The status with its words, or GitLab's sentence where it gives one.
    pub said: String,
    /// By which GitLab's administrators find the request.
    pub request_id: Option<String>,
    /// How long GitLab wants us to wait.
    pub retry_after: Option<Duration>,
    /// Where a redirect leads.
    pub location: Option<String>,
}

/// What a download came to.
#[derive(Debug)]
pub enum Downloaded {
    /// The file comes.
    File(ArtifactFile),
    /// Anything else than a file.
    Refused(ArtifactAnswer),
}

/// A download cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No answer, or not all of it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The redirect's target is not a URL, or would give up encryption.
    #[error("redirected to where no download may lead")]
    Target,
    /// Nothing but redirects.
    #[error("redirected more than {MOST_REDIRECTS} times")]
    Endless,
    /// A client for the redirect's target cannot be made.
    #[error(transparent)]
    Client(#[from] ConfigError),
}

/// A file that is on its way.
#[derive(Debug)]
pub struct ArtifactFile {
    /// What comes.
    pub content: Incoming,
    /// The status of the answer.
    pub status: u16,
    /// By which GitLab's administrators find the request.
    pub request_id: Option<String>,
    /// The host that a redirect led to, if one did.
    pub host: Option<String>,
}

impl Client {
    /// Sends a file that is made while it is sent. An error in `content` breaks the request off.
    ///
    /// # Errors
    /// No answer, or the content came to an error: then it is among the sources.
    pub async fn upload_artifact(
        &self,
        id: u64,
        token: &Secret,
        form: &ArtifactForm<'_>,
        content: Receiver<io::Result<Vec<u8>>>,
    ) -> Result<ArtifactAnswer, TransportError> {
        let boundary = boundary();
        let mut url = self.url(&format!("jobs/{id}/artifacts"), None);
        let said = [("artifact_format", form.format), ("artifact_type", form.kind), ("expire_in", form.expire_in)];
        let said = said.into_iter().filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().extend_pairs(said);
        let request = self
            .call(Method::POST, url)
            .timeout(TRANSFER)
            .header("JOB-TOKEN", token.expose())
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .body(Body::wrap_stream(multipart(&boundary, form.filename, content)));
        let response = request.send().await.map_err(|error| no_answer(UPLOAD, error))?;
        answer(UPLOAD, response).await
    }

    /// Asks for the archive of a job. With `direct` GitLab may send us to where the file is stored; a redirect is followed,
    /// and the token goes to GitLab alone.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn download_artifact(&self, id: u64, token: &Secret, direct: bool) -> Result<Downloaded, DownloadError> {
        let mut url = self.url(&format!("jobs/{id}/artifacts"), direct.then_some("direct_download=true"));
        let mut request_id = None;
        for _ in 0..=MOST_REDIRECTS {
            let home = self.is_home(&url);
            let request = if home {
                self.call(Method::GET, url.clone()).header("JOB-TOKEN", token.expose())
            } else {
                self.abroad(&url)?.get(url.clone())
            };
            let response = request.timeout(TRANSFER).send().await.map_err(|error| no_answer(DOWNLOAD, error))?;
            if home {
                request_id = header(&response, "x-request-id").or(request_id);
            }
            if response.status() == StatusCode::OK {
                let (status, host) = (response.status().as_u16(), url.host_str().map(str::to_owned));
                let host = host.filter(|_| !home);
                let content = Incoming::new(response);
                return Ok(Downloaded::File(ArtifactFile { content, status, request_id, host }));
            }
            match header(&response, LOCATION.as_str()).filter(|_| response.status().is_redirection()) {
                Some(location) => url = self.next_hop(&url, &location)?,
                None => {
                    let answer = answer(DOWNLOAD, response).await?;
                    return Ok(Downloaded::Refused(ArtifactAnswer { request_id, ..answer }));
                }
            }
        }
        Err(DownloadError::Endless)
    }

    fn next_hop(&self, from: &Url, location: &str) -> Result<Url, DownloadError> {
        let target = from.join(location).map_err(|_| DownloadError::Target)?;
        let kept = target.scheme() == "https" || from.scheme() == "http";
        if kept && self.may_go_to(&target) { Ok(target) } else { Err(DownloadError::Target) }
    }
}

/// One part named `file` of a form, around the content.
fn multipart(
    boundary: &str,
    filename: &str,
    content: Receiver<io::Result<Vec<u8>>>,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n",
        quoted(filename)
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let piece = |text: String| stream::iter([Ok(text.into_bytes())]);
    let content = stream::unfold(content, async |mut content| content.recv().await.map(|part| (part, content)));
    piece(head).chain(content).chain(piece(tail))
}

/// A name inside the quotes of a header.
fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "%0D").replace('\n', "%0A")
}

/// A boundary that no content holds.
fn boundary() -> String {
    let mut bytes = [0; BOUNDARY_BYTES];
    getrandom::fill(&mut bytes).expect("Linux always has randomness once it is up");
    bytes.iter().fold(String::with_capacity(BOUNDARY_BYTES * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn answer(operation: &'static str, response: Response) -> Result<ArtifactAnswer, TransportError> {
    let request_id = header(&response, "x-request-id");
    let location = header(&response, LOCATION.as_str());
    let status = response.status();
    // What is behind an error's status is words for people: without them the status is enough.
    let refusal = Answer::small(operation, response).await.map(|answer| answer.refusal()).ok();
    let words = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned();
    let sentence = refusal.as_ref().map(|refusal| refusal.message.clone()).unwrap_or_default();
    let plain = status.is_success() || status.is_redirection() || sentence.is_empty();
    Ok(ArtifactAnswer {
        status: status.as_u16(),
        said: if plain { words } else { sentence },
        request_id,
        retry_after: refusal.and_then(|refusal| refusal.retry_after),
        location,
    })
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(HeaderValue::to_str)?.ok().map(|value| value.trim().to_owned())
}

fn no_answer(operation: &'static str, error: reqwest::Error) -> TransportError {
    TransportError::NoAnswer { operation, source: error.without_url() }
}

#[cfg(test)]
mod tests {
    use super::super::client::ClientConfig;
    use super::super::info::Info;
    use super::*;

    fn client(url: &str) -> Client {
        Client::new(ClientConfig::new(url, Info::new("t", "0", ""))).unwrap()
    }

    #[test]
    fn a_redirect_never_gives_up_encryption() {
        let safe = client("https://gitlab.example.com/root");
        for (location, target) in [
            ("https://storage.example.com/x?y", Some("https://storage.example.com/x?y")),
            ("/elsewhere", Some("https://gitlab.example.com/elsewhere")),
            ("http://gitlab.example.com/x", None),
            ("ftp://storage.example.com/x", None),
            ("https://", None),
        ] {
            let from = safe.url("jobs/1/artifacts", None);
            assert_eq!(safe.next_hop(&from, location).ok().map(String::from).as_deref(), target, "{location}");
        }
        let open = client("http://gitlab.example.com");
        let abroad = Url::parse("https://storage.example.com/").unwrap();
        assert!(open.next_hop(&abroad, "http://storage.example.com/").is_err(), "not even halfway");
    }

    #[test]
    fn an_upload_moves_to_another_host_of_gitlab() {
        let moved =
            client("https://secondary.example.com/root").moved_to("https://primary.example.com:8443/x?y").unwrap();
        assert_eq!(moved.url("jobs/1", None).as_str(), "https://primary.example.com:8443/api/v4/jobs/1");
        assert!(client("https://gitlab.example.com").moved_to("http://gitlab.example.com/").is_none());
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"; name=\"x\\\r\n"), "a\\\"; name=\\\"x\\\\%0D%0A");
    }

    #[test]
    fn boundaries_are_not_repeated() {
        assert_eq!(boundary().len(), 60);
        assert_ne!(boundary(), boundary());
    }
}
