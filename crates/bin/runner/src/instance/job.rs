//! The second half of an instance's work: the job, without the runner's token and the role's keys.

use std::sync::atomic::{AtomicBool, Ordering};

use runnerless_core::chain::chain;
use runnerless_engine::{Handed, JobReport, Outcome, Reported, WorkRoot, protect_process, run_handed, stop_channel};
use runnerless_gitlab::protocol::{Assignment, Secret};
use tokio::sync::watch;

use super::handover::Handover;
use super::launch::{Ending, InstanceHost, Launch};
use super::{config, desk, gitlab, watch_signal};
use crate::once::{Exit, conclude};
use crate::{Surroundings, say};
use runnerless_metadata::Service;

/// Runs the job that was handed over, and ends the launch.
pub(crate) async fn run(surroundings: &Surroundings) -> Exit {
    if let Err(error) = protect_process() {
        say(&chain(&error));
        return Exit::NotBegun;
    }
    let handover = match Handover::take() {
        Ok(handover) => handover,
        Err(error) => {
            say(&format!(
                "this command is for the runner itself: its standard input is no job that was handed over: {error}"
            ));
            return Exit::Usage;
        }
    };
    let desk = match desk(&handover.claim_url, surroundings) {
        Ok(desk) => desk,
        Err(error) => {
            say(&chain(&error));
            return Exit::NotBegun;
        }
    };
    let launch = Launch { desk: &desk, id: &handover.launch, nonce: handover.nonce.expose() };
    let (exit, ending) = match job(&handover, &launch, surroundings).await {
        Ok(done) => done,
        // The job was not accepted, so that GitLab gives it to another runner.
        Err(why) => {
            say(&why);
            (Exit::NotBegun, Some(Ending::new("unanswered", why)))
        }
    };
    if let Some(ending) = ending {
        launch.end(&ending).await;
    }
    exit
}

/// Runs it. `None` where giving the job back has ended the launch.
async fn job(
    handover: &Handover,
    launch: &Launch<'_>,
    surroundings: &Surroundings,
) -> Result<(Exit, Option<Ending>), String> {
    let root = WorkRoot::take(&handover.work).map_err(|error| chain(&error))?;
    let metadata = Service::new(&surroundings.metadata_endpoint).map_err(|error| chain(&error))?;
    let client = gitlab(&handover.gitlab_url, surroundings).map_err(|error| chain(&error))?;
    let token = Secret::new(handover.short_token.as_str());
    let ends_at = handover.ends_at.instant();
    let config = config(token, &handover.system_id, &handover.instance, &handover.image_policy, ends_at, surroundings)?;
    let assignment = Assignment::read(handover.job.expose().as_bytes()).map_err(|error| chain(&error))?;
    let handed = Handed { assignment: Box::new(assignment), at: handover.handed_at.instant() };
    let (accepting, accepted) = watch::channel(false);
    let host = InstanceHost {
        launch: Launch { ..*launch },
        metadata: &metadata,
        metadata_token: handover.metadata_token.expose(),
        accepted: accepting,
        lost: AtomicBool::new(false),
    };
    let (handle, stop) = stop_channel();
    let outcome = tokio::select! {
        outcome = run_handed(&config, &client, &host, &root, stop.clone(), &handed) => outcome,
        never = host.beat(accepted) => match never {},
        never = watch_signal(&handle) => match never {},
    };
    let exit = conclude(&outcome);
    let exit = if stop.is_asked() { Exit::Terminated } else { exit };
    Ok((exit, ending(&outcome, host.lost.load(Ordering::Relaxed))))
}

/// What the engine's outcome means for the launch.
fn ending(outcome: &Outcome, lost: bool) -> Option<Ending> {
    match outcome {
        Outcome::Ran(report) => Some(ran(report, lost).of_job(&report.job)),
        Outcome::GaveBack { job, why } => {
            // Giving back has ended the launch, unless the job had no key to do that with.
            job.project_id.is_none().then(|| Ending::new("failed", why.as_str()))
        }
        Outcome::Unsafe(why) => Some(Ending::new("unanswered", why.as_str())),
        Outcome::NoJob | Outcome::TokenRefused(_) | Outcome::Unreachable(_) | Outcome::Stopped => {
            Some(Ending::new("failed", "the run ended without the job that was handed over"))
        }
    }
}

fn ran(report: &JobReport, lost: bool) -> Ending {
    let mut how = match (report.reason, report.exit_code) {
        (None, _) => "success".to_owned(),
        (Some(reason), None) => reason.to_owned(),
        (Some(reason), Some(code)) => format!("{reason}, exit code {code}"),
    };
    if lost {
        how.push_str("; the launch counted as lost before");
    }
    match &report.reported {
        Reported::Acknowledged => Ending::new("done", how),
        Reported::EndedThere => Ending::new("done", format!("{how}; GitLab had ended it before")),
        Reported::No(why) => Ending::new("untold", format!("{how}; GitLab was not told: {why}")),
    }
}
