//! Projects that are known because a hook of theirs came: the sweep lists them for jobs whose hook did not.
//!
//! A process remembers which projects it wrote or read lately, so that most hooks cost nothing here. Nothing of it changes
//! the answer that GitLab gets: a project that was not noted is noted by its next hook.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use runnerless_aws::AwsError;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::chain::chain;
use runnerless_core::change::RowKey;
use runnerless_core::job::JobEvent;
use runnerless_core::limits;
use runnerless_core::project::heard;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::proof::Proof;
use runnerless_lambda_kit::{Clock, metrics, within};
use serde_json::json;

use crate::SERVICE;

/// Most projects that a process remembers. One more makes it forget all: each then costs a read again.
const REMEMBERED: usize = 10_000;
/// How often it is tried when the sweep writes the row at the same moment.
const TRIES: usize = 2;

/// Until when nothing is to be written of a project, as far as this process knows.
#[derive(Debug, Default)]
pub struct Noted {
    until: Mutex<HashMap<u64, Timestamp>>,
}

impl Noted {
    fn is_noted(&self, project: u64, now: Timestamp) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&project).is_some_and(|until| now < *until)
    }

    fn keep(&self, project: u64, seen: Timestamp) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= REMEMBERED && !until.contains_key(&project) {
            until.clear();
        }
        until.insert(project, seen + limits::NOTE_EVERY);
    }
}

/// Notes that a hook of the job's project came, for so long at most. A failure is counted. A hook that is only answered,
/// such as an old message that is sent again, proves nothing of its project.
pub(crate) async fn note(
    ledger: &impl Ledger,
    noted: &Noted,
    clock: &impl Clock,
    event: &JobEvent,
    proof: &Proof,
    limit: Millis,
) {
    let (project, now) = (event.key.project, clock.now());
    if noted.is_noted(project, now) {
        return;
    }
    let error = match within(clock, limit, write(ledger, event, proof, now)).await {
        Some(Ok(Some(seen))) => return noted.keep(project, seen),
        Some(Ok(None)) => "the sweep writes its row at the same moment".to_owned(),
        Some(Err(error)) => chain(&error),
        None => format!("no answer within {} ms", limit.0),
    };
    tracing::warn!(target: "runnerless", service = SERVICE, "job.key" = %event.key, error, "a hook's project was not noted");
    metrics::count(SERVICE, "ProjectsNotNoted", 1, &json!({"job.key": event.key}));
}

/// When the row says that a hook was seen; `None` when somebody else kept writing it.
async fn write(
    ledger: &impl Ledger,
    event: &JobEvent,
    proof: &Proof,
    now: Timestamp,
) -> Result<Option<Timestamp>, AwsError> {
    let (project, path) = (event.key.project, event.facts.project_path.as_str());
    for _ in 0..TRIES {
        let row = ledger.load(&[RowKey::Project(project)]).await?.project(project)?;
        // Path and id are two fields of one body: who proved one project's path says nothing of another's id.
        if row.as_ref().is_some_and(|row| !row.path.is_empty() && !proof.covers(&row.path)) {
            return Ok(Some(now));
        }
        let Some(plan) = heard(row.as_ref(), project, path, now) else {
            return Ok(Some(row.and_then(|row| row.hook_seen).unwrap_or(now)));
        };
        if ledger.apply(&plan).await? == Applied::All {
            return Ok(Some(now));
        }
    }
    Ok(None)
}
