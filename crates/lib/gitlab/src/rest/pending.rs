//! A project's pending jobs, page by page.

use reqwest::Url;
use runnerless_core::id::JobKey;
use runnerless_core::time::Millis;
use serde::Deserialize;

use super::error::RestError;
use super::facts::{ApiJob, Wire};
use super::link::{Next, next};
use crate::protocol::Answer;

/// Method and path, for errors.
pub(super) const OPERATION: &str = "GET projects/:id/jobs";
/// GitLab's largest page.
const PER_PAGE: usize = 100;
/// Between a project's path and its pages in GitLab's addresses.
const PAGES: &str = "/-/";

/// A page of a project's pending jobs, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingPage {
    /// The jobs.
    pub jobs: Vec<PendingJob>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<String>,
}

/// A job that waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingJob {
    /// The job.
    pub job: ApiJob,
    /// How long it has been pending; `None` when this GitLab does not say (before 13.12).
    pub waited: Option<Millis>,
    /// The project's full path, as the job's own address shows it.
    pub project_path: Option<String>,
}

#[derive(Deserialize)]
struct WireJob {
    id: u64,
    #[serde(default)]
    queued_duration: Option<f64>,
    #[serde(default)]
    web_url: Option<String>,
    #[serde(flatten)]
    facts: Wire,
}

/// The query of a page. Only the cursor came from outside; it is encoded.
pub(super) fn query(from: Option<&str>) -> String {
    let mut query = format!("scope[]=pending&pagination=keyset&order_by=id&sort=desc&per_page={PER_PAGE}");
    if let Some(cursor) = from {
        let mut url = Url::parse("http://localhost/").ok();
        let encoded = url.as_mut().and_then(|url| {
            url.query_pairs_mut().append_pair("cursor", cursor);
            url.query().map(str::to_owned)
        });
        query.extend(encoded.map(|encoded| format!("&{encoded}")));
    }
    query
}

/// Reads an answer. `instance` is GitLab's URL.
pub(super) fn read(
    answer: &Answer,
    project: u64,
    from: Option<&str>,
    instance: &str,
) -> Result<Option<PendingPage>, RestError> {
    match answer.status.as_u16() {
        200 => {}
        404 => return Ok(None),
        // Of an old cursor, of keyset pages as such: another request may be answered.
        400 | 405 => return Err(RestError::NoPages { refusal: answer.refusal(), first: from.is_none() }),
        _ => return Err(super::api::refused(answer)),
    }
    let wire: Vec<WireJob> = serde_json::from_slice(&answer.body)
        .map_err(|source| RestError::Unreadable { operation: OPERATION, source })?;
    let next = match next(&answer.headers) {
        Next::None => None,
        Next::At(cursor) if from == Some(cursor.as_str()) => {
            return Err(RestError::NoPages { refusal: circle(answer), first: false });
        }
        Next::At(cursor) => Some(cursor),
        Next::Unreadable => return Err(RestError::NoPages { refusal: answer.refusal(), first: from.is_none() }),
    };
    Ok(Some(PendingPage { jobs: wire.into_iter().map(|job| pending(job, project, instance)).collect(), next }))
}

/// The next page is this one again: following it would never end.
fn circle(answer: &Answer) -> crate::protocol::Refusal {
    crate::protocol::Refusal { message: "the next page is this page again".to_owned(), ..answer.refusal() }
}

fn pending(wire: WireJob, project: u64, instance: &str) -> PendingJob {
    let path = wire.web_url.as_deref().and_then(|url| path(url, instance));
    PendingJob {
        job: wire.facts.job(JobKey { project, job: wire.id }),
        waited: wire.queued_duration.and_then(millis),
        project_path: path,
    }
}

/// The project's path in a job's address; an address of another host tells nothing.
fn path(url: &str, instance: &str) -> Option<String> {
    let below = url.strip_prefix(instance.trim_end_matches('/'))?.strip_prefix('/')?;
    let (path, _) = below.split_once(PAGES)?;
    (!path.is_empty()).then(|| path.to_owned())
}

/// Seconds with a fraction; nothing negative, nothing endless.
fn millis(seconds: f64) -> Option<Millis> {
    let time = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    i64::try_from(time.as_millis()).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_cannot_add_a_parameter() {
        assert!(query(None).starts_with("scope[]=pending&pagination=keyset&"));
        assert!(query(Some("a&scope[]=x")).ends_with("&cursor=a%26scope%5B%5D%3Dx"));
    }

    #[test]
    fn a_projects_path_is_taken_from_our_gitlabs_addresses_only() {
        let ours = "https://gitlab.example.com/git";
        let of = |url| path(url, ours);
        assert_eq!(of("https://gitlab.example.com/git/acme/sub/widget/-/jobs/7").as_deref(), Some("acme/sub/widget"));
        assert_eq!(of("https://gitlab.example.com/gitops/widget/-/jobs/7"), None);
        assert_eq!(of("https://evil.example/acme/widget/-/jobs/7"), None);
        assert_eq!(of("https://gitlab.example.com/git/-/jobs/7"), None);
    }

    #[test]
    fn a_wait_is_a_length_of_time() {
        assert_eq!(millis(1.5), Some(Millis(1500)));
        assert_eq!((millis(-1.0), millis(f64::NAN)), (None, None));
    }
}
