//! A launch's start: what is drawn and frozen when it is charged, and the invocation of its target.

use runnerless_aws::AwsError;
use runnerless_aws::book::{Book, Concluded};
use runnerless_aws::ports::{Invoked, Invoker};
use runnerless_core::event::{JobHint, LaunchEvent, Nonce, VERSION};
use runnerless_core::frozen::Ground;
use runnerless_core::id::LaunchId;
use runnerless_core::job::JobRow;
use runnerless_core::lane::{Engine, Lane, instance_system_id, system_id};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{End, Start};
use runnerless_core::route::{BadTarget, LaneEntry};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Clock as _, Dice};

use crate::router::Choice;
use crate::{Ports, Rules};

/// Random bytes of a launch id: 20 hexadecimal characters, too many for two launches to share.
const ID_BYTES: usize = 10;

/// How long a job waits after Lambda asked to slow down: its queue is measured in minutes, its throttles in seconds.
const THROTTLED_RETRY: Millis = Millis::secs(15);

/// What became of the start of a launch's target.
#[derive(Debug)]
pub enum Launched {
    /// AWS took it.
    UnderWay,
    /// AWS asks to slow down: the launch is over, and the job waits until then.
    Throttled(Timestamp),
    /// Its target is an instance: the provisioner's to start.
    Provision,
    /// AWS will not start this target: it is gone, not allowed, or not callable like this. The launch is over.
    Refused(AwsError),
}

/// Draws and freezes a launch for the job.
///
/// # Errors
/// The lane is for instances, and its target names none.
pub(crate) fn freeze(
    job: &JobRow,
    choice: &Choice,
    rules: &Rules,
    dice: &impl Dice,
    now: Timestamp,
) -> Result<Start, BadTarget> {
    let start = match (choice.lane.engine, &rules.ground) {
        (Engine::Ec2, Some(ground)) => frozen_instance(job, choice, ground, dice, now)?,
        (Engine::Ec2, None) => return Err(BadTarget(choice.lane.target.clone())),
        (Engine::Lambda, _) => frozen(&choice.lane, Some(hint(job)), rules, dice, now),
    };
    Ok(Start { isolated: choice.isolated, by_default: choice.by_default, ..start })
}

fn hint(job: &JobRow) -> JobHint {
    JobHint {
        project_id: job.project_id,
        job_id: job.job_id,
        name: job.facts.name.clone(),
        git_ref: job.facts.git_ref.clone(),
        stage: job.facts.stage.clone(),
    }
}

/// An instance's launch has no nonce yet: its runner is known by its instance, and gets one when it begins. Until then
/// nobody's matches.
fn frozen_instance(
    job: &JobRow,
    choice: &Choice,
    ground: &Ground,
    dice: &impl Dice,
    now: Timestamp,
) -> Result<Start, BadTarget> {
    let launch = draw(dice);
    let longest = choice.row.as_ref().and_then(|row| row.size.longest());
    let request = ground.freeze(&choice.lane, job, &launch, now + limits::ec2_deadline(longest))?.text();
    let (nonce_sha256, system_id) = (String::new(), instance_system_id(&launch));
    Ok(Start { launch, nonce_sha256, system_id, request, isolated: false, by_default: false, longest })
}

fn draw(dice: &impl Dice) -> LaunchId {
    LaunchId::new(format!("l-{}", dice.token(ID_BYTES)))
}

/// Draws and freezes a lane's sentinel, which asks once and for no job.
#[must_use]
pub fn freeze_sentinel(entry: &LaneEntry, rules: &Rules, dice: &impl Dice, now: Timestamp) -> Start {
    let isolated = rules.isolates(&entry.lane.target, entry.tenancy);
    Start { isolated, ..frozen(&entry.lane, None, rules, dice, now) }
}

/// A launch for the job that is hinted at asks for a while, one for none asks once.
fn frozen(lane: &Lane, job_hint: Option<JobHint>, rules: &Rules, dice: &impl Dice, now: Timestamp) -> Start {
    let launch = draw(dice);
    let secret = Nonce::new(dice.nonce());
    let nonce_sha256 = secret.sha256();
    let event = LaunchEvent {
        v: VERSION,
        launch: launch.clone(),
        nonce: secret,
        lane: lane.id(),
        gitlab_url: rules.gitlab_url.clone(),
        claim_function: rules.claim_function.clone(),
        deadline_ms: now + limits::LAMBDA_DEADLINE,
        wait_s: if job_hint.is_some() { limits::WAIT.0.unsigned_abs() / 1000 } else { 0 },
        job_hint,
    };
    let request = serde_json::to_string(&event).unwrap_or_else(|_| unreachable!("the event has text keys only"));
    Start {
        launch,
        nonce_sha256,
        system_id: system_id(&lane.id()),
        request,
        isolated: false,
        by_default: false,
        longest: None,
    }
}

/// Sends a charged launch's frozen request: the first time, or again when it is unknown whether it went out. A target
/// that is started twice lets one of the two begin.
///
/// # Errors
/// Whether AWS took it is unknown: the launch stays as it is, and the same request is sent again later.
pub async fn start_target<P: Ports>(ports: &P, launch: &LaunchRow, now: Timestamp) -> Result<Launched, AwsError> {
    let book = Book(ports.ledger());
    let (LaunchState::Charged, Some(request)) = (launch.state, &launch.request) else { return Ok(Launched::UnderWay) };
    if launch.engine == Engine::Ec2 {
        return Ok(Launched::Provision);
    }
    let tenant = launch.isolated.then(|| launch.launch.as_str());
    match ports.invoker().start(&launch.target, request, tenant).await {
        Ok(Invoked::Accepted) => {
            book.started(launch.clone(), ports.clock().now().max(now)).await?;
            Ok(Launched::UnderWay)
        }
        Ok(Invoked::Throttled) => {
            let end = End::NeverStarted { reason: "Lambda was throttled".to_owned(), retry_in: THROTTLED_RETRY };
            Ok(match book.conclude(&launch.launch, &end, now).await? {
                // An earlier try of this call went through, and its runner is at work.
                Concluded::WasOver => Launched::UnderWay,
                Concluded::Now | Concluded::LeavesUnserved(_) => Launched::Throttled(now + THROTTLED_RETRY),
            })
        }
        Err(error @ AwsError::Refused { .. }) => {
            let end = End::NeverStarted {
                reason: format!("its target cannot be started: {error}"),
                retry_in: limits::TROUBLE_RETRY,
            };
            Ok(match book.conclude(&launch.launch, &end, now).await? {
                Concluded::WasOver => Launched::UnderWay,
                Concluded::Now | Concluded::LeavesUnserved(_) => Launched::Refused(error),
            })
        }
        Err(error) => Err(error),
    }
}
