//! The jobs of a page: those without a row get one.

use runnerless_aws::AwsError;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::RowKey;
use runnerless_core::job::{JobEvent, JobFacts};
use runnerless_core::moves::found;
use runnerless_core::project::{Pages, ProjectRow, is_unheard};
use runnerless_core::status::JobStatus;
use runnerless_gitlab::rest::{PendingJob, PendingPage};
use runnerless_lambda_kit::Clock as _;
use runnerless_router::Ports;

use super::Backfill;

/// What a page showed.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What it says of the project.
    pub(super) pages: Pages,
    /// Jobs that got a row.
    pub(super) found: usize,
}

/// Takes a page in.
///
/// # Errors
/// The ledger is out of reach: the page is asked for again.
pub(super) async fn take(
    ports: &impl Ports,
    project: &ProjectRow,
    page: &PendingPage,
    done: &mut Backfill,
) -> Result<Taken, AwsError> {
    let (ledger, now) = (ports.ledger(), ports.clock().now());
    let pending: Vec<&PendingJob> = page.jobs.iter().filter(|job| job.job.status == JobStatus::Pending).collect();
    let path = pending.iter().find_map(|job| job.project_path.clone());
    let project_path = path.clone().unwrap_or_else(|| project.path.clone());
    let mut taken = Taken { pages: Pages { open: pending.len(), unheard: None, path }, found: 0 };
    let keys: Vec<RowKey> = pending.iter().map(|job| RowKey::Job(job.job.key)).collect();
    let rows = ledger.load(&keys).await?;
    for job in pending {
        let row = match rows.job(job.job.key) {
            Ok(row) => row,
            Err(bad) => {
                done.unreadable.push(bad.pk);
                continue;
            }
        };
        let recorded = found(row.as_ref(), &event(job, &project_path), job.job.tags.clone(), now);
        // A hook that came in between has made the row.
        if ledger.apply(&recorded.plan).await? == Applied::Conflict || row.is_some() {
            continue;
        }
        taken.found += 1;
        done.found.push(job.job.key);
        let since = job.waited.filter(|waited| is_unheard(*waited)).map(|waited| now - waited);
        taken.pages.unheard = taken.pages.unheard.into_iter().chain(since).min();
    }
    Ok(taken)
}

fn event(job: &PendingJob, project_path: &str) -> JobEvent {
    let job = &job.job;
    JobEvent {
        key: job.key,
        status: JobStatus::Pending,
        facts: JobFacts {
            name: job.name.clone(),
            stage: job.stage.clone(),
            git_ref: job.git_ref.clone(),
            project_path: project_path.to_owned(),
            // The listing does not say.
            retries: 0,
        },
        created_at: job.created_at,
        runner: None,
    }
}
