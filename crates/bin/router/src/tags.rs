//! A job's own tags: no hook carries them, the jobs API does.

use runnerless_core::job::JobRow;
use runnerless_gitlab::rest::JobsApi;
use runnerless_lambda_kit::metrics;
use serde_json::json;

/// The row with the job's tags, asked for once and kept in the row from the next write on. Without an API token, or
/// when GitLab does not answer, the job is routed by its name alone: unknown is not none.
pub(crate) async fn with_tags(row: JobRow, jobs: Option<&impl JobsApi>, service: &'static str) -> JobRow {
    let Some(jobs) = jobs.filter(|_| row.tags.is_none()) else { return row };
    match jobs.job(row.key()).await {
        Ok(job) => {
            let tags = job.and_then(|job| job.tags);
            JobRow { tags, ..row }
        }
        Err(error) => {
            tracing::warn!(target: "runnerless", %error, job.key = %row.key(), "the job's tags are unknown");
            metrics::count(service, "TagsUnknown", 1, &json!({"job.key": row.key()}));
            row
        }
    }
}
