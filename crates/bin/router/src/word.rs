//! GitLab's own word on a job: its tags, which no hook carries, and its status, for a job that earlier launches missed.

use runnerless_core::job::{JobEvent, JobRow, Taker};
use runnerless_core::status::JobStatus;
use runnerless_gitlab::rest::{ApiJob, JobsApi};
use runnerless_lambda_kit::metrics;
use serde_json::json;

/// What GitLab says.
pub(crate) enum Word {
    /// The job waits; its tags are in the row now, if GitLab told them.
    Waits(Box<JobRow>),
    /// It is past waiting, and the hook that said so was lost.
    MovedOn(Box<JobEvent>),
}

/// Asks for the tags once, they are kept in the row from the next write on, and for the status of a job for which launches
/// found nothing. Without an API token, or when GitLab does not answer, the job is taken as its hooks left it: unknown is
/// not none.
pub(crate) async fn ask(row: JobRow, jobs: Option<&impl JobsApi>, service: &'static str) -> Word {
    let Some(jobs) = jobs.filter(|_| row.tags.is_none() || row.fruitless > 0) else {
        return Word::Waits(Box::new(row));
    };
    match jobs.job(row.key()).await {
        Ok(Some(job)) if job.status.rank() > JobStatus::Pending.rank() => Word::MovedOn(Box::new(event(job, &row))),
        Ok(job) => {
            let tags = job.and_then(|job| job.tags).or_else(|| row.tags.clone());
            Word::Waits(Box::new(JobRow { tags, ..row }))
        }
        Err(error) => {
            tracing::warn!(target: "runnerless", %error, job.key = %row.key(), "GitLab did not say how the job stands");
            metrics::count(service, "TagsUnknown", 1, &json!({"job.key": row.key()}));
            Word::Waits(Box::new(row))
        }
    }
}

fn event(job: ApiJob, row: &JobRow) -> JobEvent {
    JobEvent {
        key: job.key,
        status: job.status,
        facts: row.facts.clone(),
        created_at: row.created_at,
        runner: job.runner.map(Taker::stranger),
    }
}
