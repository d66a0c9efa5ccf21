//! What every API does with a project: its pending jobs by pages, its webhooks, itself.
//!
//! What an old GitLab does (no keyset pages, no waiting time), a cursor that leads in a circle and answers that are none are
//! the client's unit tests: the simulator is a GitLab of today.

use std::collections::BTreeSet;

use runnerless_core::id::JobKey;
use runnerless_core::project::Hook;
use runnerless_core::status::JobStatus;
use runnerless_gitlab::rest::{JobsApi, PendingPage, ProjectsApi, RestError};

/// A project that is not there.
const NOWHERE: u64 = 1_000_000;

fn ids(page: &PendingPage) -> Vec<u64> {
    page.jobs.iter().map(|pending| pending.job.key.job).collect()
}

/// Runs the suite on a project of this path with these pending jobs, more than a page of a hundred and less than two.
/// `leaves` takes one of them away.
pub async fn pending(
    api: &impl JobsApi,
    project: u64,
    path: &str,
    wanted: &BTreeSet<u64>,
    leaves: impl AsyncFn(JobKey),
) {
    let first = api.pending(project, None).await.unwrap().expect("the project is there");
    let newest: Vec<u64> = wanted.iter().rev().take(100).copied().collect();
    assert_eq!(ids(&first), newest, "a hundred, the newest first");
    for pending in &first.jobs {
        assert_eq!((pending.job.key.project, &pending.job.status), (project, &JobStatus::Pending));
        assert!(pending.waited.is_some_and(|waited| waited.0 >= 0), "{pending:?}");
        assert_eq!(pending.project_path.as_deref(), Some(path));
    }
    let again = api.job(first.jobs[0].job.key).await.unwrap();
    assert_eq!(again.as_ref(), Some(&first.jobs[0].job), "the same job however it is asked for");

    // What changes between two pages moves nobody out of the next one.
    let cursor = first.next.expect("there are more");
    let (listed, unlisted) = (newest[10], *wanted.first().unwrap());
    leaves(JobKey { project, job: listed }).await;
    leaves(JobKey { project, job: unlisted }).await;
    let second = api.pending(project, Some(&cursor)).await.unwrap().expect("the project is there");
    let rest: Vec<u64> = wanted.iter().rev().skip(100).filter(|job| **job != unlisted).copied().collect();
    assert_eq!((ids(&second), second.next), (rest, None));
    let first = api.pending(project, None).await.unwrap().unwrap();
    assert!(!ids(&first).contains(&listed) && first.jobs.len() == 100, "the first page is filled up");

    assert_eq!(api.pending(NOWHERE, None).await.unwrap(), None);
    let bad = api.pending(project, Some("of another release")).await.unwrap_err();
    assert!(matches!(bad, RestError::NoPages { first: false, .. }), "{bad:?}");
}

/// Runs the suite on one project with these hooks and one without.
pub async fn hooks(api: &impl JobsApi, project: u64, wanted: &[Hook], without: u64) {
    let by_url = |mut hooks: Vec<Hook>| {
        hooks.sort_by(|one, other| one.url.cmp(&other.url));
        hooks
    };
    let found = api.hooks(project).await.unwrap().expect("the project is there");
    assert_eq!((by_url(found.hooks), found.complete), (by_url(wanted.to_vec()), true));
    let none = api.hooks(without).await.unwrap().expect("a project without hooks is there");
    assert!(none.hooks.is_empty() && none.complete);
    assert_eq!(api.hooks(NOWHERE).await.unwrap(), None);
}

/// Runs the suite on a GitLab that has this project.
pub async fn project(api: &impl ProjectsApi, id: u64, path: &str) {
    for name in [path, &id.to_string()] {
        let found = api.project(name).await.unwrap().expect("it is there");
        assert_eq!((found.id, found.path.as_str()), (id, path));
    }
    let (group, _) = path.split_once('/').unwrap();
    for name in [&NOWHERE.to_string(), "acme/nothing", group, &format!("{path}/"), "", "../runners"] {
        assert_eq!(api.project(name).await.unwrap(), None, "{name:?}");
    }
}

/// What is not an answer is neither an empty list nor an end of it. `answers` makes GitLab answer with a status from now on.
pub async fn refusals(api: &(impl JobsApi + ProjectsApi), project: u64, answers: impl AsyncFn(Option<u16>)) {
    for (status, name) in [
        (401, "GitLab.TokenRefused"),
        (403, "GitLab.Refused"),
        (408, "GitLab.Unavailable"),
        (429, "GitLab.Unavailable"),
        (500, "GitLab.Unavailable"),
        (503, "GitLab.Unavailable"),
    ] {
        answers(Some(status)).await;
        assert_eq!(api.pending(project, None).await.unwrap_err().name(), name, "{status}");
        assert_eq!(api.hooks(project).await.unwrap_err().name(), name, "{status}");
        assert_eq!(api.project(&project.to_string()).await.unwrap_err().name(), name, "{status}");
        answers(None).await;
        assert!(api.pending(project, None).await.unwrap().is_some(), "after {status}");
    }
}
