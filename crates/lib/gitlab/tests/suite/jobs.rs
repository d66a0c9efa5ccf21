//! What every jobs API does.
//!
//! What GitLab may leave out (tags before 13.6, the runner manager before 17.0) is the client's unit test: the simulator is a
//! GitLab of today.

use runnerless_core::id::JobKey;
use runnerless_gitlab::rest::{ApiJob, JobsApi};

/// Runs the suite on a GitLab that has these jobs, the newest as they are to be seen.
pub async fn jobs(api: &impl JobsApi, known: &[ApiJob]) {
    for job in known {
        assert_eq!(api.job(job.key).await.unwrap().as_ref(), Some(job));
    }
    let JobKey { project, job } = known[0].key;
    for nowhere in [JobKey { project: project + 100, job }, JobKey { project, job: job + 100_000 }] {
        assert_eq!(api.job(nowhere).await.unwrap(), None, "{nowhere}");
    }
}

/// What is not an answer is never taken for "there is no such job". `answers` makes GitLab answer with a status from now on.
pub async fn refusals(api: &impl JobsApi, known: &ApiJob, answers: impl AsyncFn(Option<u16>)) {
    for (status, name) in [
        (401, "GitLab.TokenRefused"),
        (403, "GitLab.Refused"),
        (408, "GitLab.Unavailable"),
        (429, "GitLab.Unavailable"),
        (500, "GitLab.Unavailable"),
        (502, "GitLab.Unavailable"),
        (503, "GitLab.Unavailable"),
    ] {
        answers(Some(status)).await;
        assert_eq!(api.job(known.key).await.unwrap_err().name(), name, "{status}");
        answers(None).await;
        assert!(api.job(known.key).await.unwrap().is_some(), "after {status}");
    }
}
