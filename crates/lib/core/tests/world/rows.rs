//! Between the world's bits and real rows. What is dropped on the way (reasons, times, revisions, attempt counts) is
//! what no decision may depend on once it is due; [`written`] fails when a decision writes anything else.

use std::sync::OnceLock;

use runnerless_core::change::{Due, Plan, Write, decode};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::lane_row::LaneRow;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{Start, charge};
use runnerless_core::sealed::SealedToken;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

use super::{JobBits, LaunchBits, Ledger};

/// The world's present.
pub(crate) const NOW: Timestamp = Timestamp(1_789_373_730_000);
/// So late that every lease, back-off and offer is over.
pub(crate) const LATE: Timestamp = Timestamp(NOW.0 + 7_200_000);

const JOB_STATES: [JobState; 5] =
    [JobState::Waiting, JobState::Charged, JobState::Bound, JobState::Foreign, JobState::Ended];
pub(crate) const CHARGED_JOB: u8 = 1;
pub(crate) const ENDED: u8 = 4;
const LAUNCH_STATES: [LaunchState; 6] = [
    LaunchState::Charged,
    LaunchState::Starting,
    LaunchState::Polling,
    LaunchState::Bound,
    LaunchState::Closing,
    LaunchState::Closed,
];
pub(crate) const CHARGED: u8 = 0;
pub(crate) const POLLING: u8 = 2;
pub(crate) const BOUND: u8 = 3;
pub(crate) const CLOSING: u8 = 4;
pub(crate) const CLOSED: u8 = 5;
const STATUSES: [&str; 3] = ["pending", "running", "success"];

pub(crate) fn key(k: u8) -> JobKey {
    JobKey { project: 1, job: u64::from(k) }
}

fn launch_id(i: u8) -> LaunchId {
    LaunchId::new(i.to_string())
}

fn launch_number(id: &LaunchId) -> u8 {
    id.as_str().parse().expect("the world names launches by number")
}

fn job_number(key: JobKey) -> u8 {
    u8::try_from(key.job).expect("the world's jobs have small numbers")
}

pub(crate) fn lane() -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Ec2, target: "x".into(), run_untagged: true }
}

pub(crate) fn event(k: u8, status: u8) -> JobEvent {
    JobEvent {
        key: key(k),
        status: JobStatus::parse(STATUSES[usize::from(status)]),
        facts: JobFacts::default(),
        created_at: None,
        runner: None,
    }
}

pub(crate) fn start(i: u8) -> Start {
    Start {
        launch: launch_id(i),
        nonce_sha256: "n".into(),
        system_id: String::new(),
        request: String::new(),
        isolated: false,
        by_default: false,
        longest: None,
    }
}

/// What the sweep writes when it sends a sentinel.
pub(crate) fn sentinel(i: u8) -> Plan {
    let row = LaneRow::new(lane().id(), Engine::Ec2);
    runnerless_core::moves::sentinel(&row, &lane(), start(i), Millis::minutes(10), NOW)
}

/// A job's real row.
pub(crate) fn job(ledger: &Ledger, k: u8) -> Option<JobRow> {
    let bits = ledger.jobs[usize::from(k)]?;
    let mut row = JobRow::new(key(k), NOW);
    row.gitlab_status = JobStatus::parse(STATUSES[usize::from(bits.status)]);
    row.state = JOB_STATES[usize::from(bits.state)];
    row.charge = bits.charge.map(launch_id);
    row.launch = bits.launch.map(launch_id);
    row.lane = Some(lane().id());
    row.due = Due::at("x", NOW);
    Some(row)
}

/// A launch that was just charged.
fn charged() -> LaunchRow {
    static ROW: OnceLock<LaunchRow> = OnceLock::new();
    let make = || {
        let waiting = JobRow { gitlab_status: JobStatus::Pending, ..JobRow::new(key(0), NOW) };
        let plan = charge(&waiting, &lane(), start(0), "", NOW).expect("a waiting job is charged");
        let Write::Put(item) = &plan.changes[1].write else { panic!("a charge writes the launch") };
        decode(item).expect("our own row")
    };
    ROW.get_or_init(make).clone()
}

/// A launch's real row: a charged one, with the bits' values.
pub(crate) fn launch(ledger: &Ledger, i: u8) -> Option<LaunchRow> {
    let bits = ledger.launches[usize::from(i)]?;
    let mut row = charged();
    row.launch = launch_id(i);
    row.state = LAUNCH_STATES[usize::from(bits.state)];
    row.charged_to = bits.charged_to.map(key);
    row.bound_job = bits.bound.map(key);
    row.accepted = bits.accepted;
    row.claim = bits.claimed.then(|| "first".to_owned());
    row.lease_until = NOW + Millis::secs(60);
    row.times.bound_at = bits.bound.map(|_| NOW);
    row.times.closing_at = bits.owes.then_some(NOW);
    row.job_token = (row.state == LaunchState::Bound || bits.owes).then(|| SealedToken::new("t"));
    Some(row)
}

/// The rows that a plan writes.
pub(crate) fn written(plan: &Plan) -> Ledger {
    let mut rows = Ledger::default();
    for change in &plan.changes {
        let Write::Put(item) = &change.write else { continue };
        if change.pk.starts_with("job#") {
            let row: JobRow = decode(item).expect("our own row");
            rows.jobs[usize::from(job_number(row.key()))] = Some(job_bits(&row));
        } else if change.pk.starts_with("launch#") {
            let row: LaunchRow = decode(item).expect("our own row");
            rows.launches[usize::from(launch_number(&row.launch))] = Some(launch_bits(&row));
        }
    }
    rows
}

fn job_bits(row: &JobRow) -> JobBits {
    // Unserved and waiting differ only in how long they wait, and here all waits end.
    let state = if row.state == JobState::Unserved { JobState::Waiting } else { row.state };
    // A binding can be ahead of every hook.
    let unknown = (row.gitlab_status.as_str() == "none").then_some(0);
    JobBits {
        status: small(STATUSES.iter().position(|name| *name == row.gitlab_status.as_str()).or(unknown)),
        state: small(JOB_STATES.iter().position(|known| *known == state)),
        charge: row.charge.as_ref().map(launch_number),
        launch: row.launch.as_ref().map(launch_number),
    }
}

fn launch_bits(row: &LaunchRow) -> LaunchBits {
    LaunchBits {
        state: small(LAUNCH_STATES.iter().position(|known| *known == row.state)),
        charged_to: row.charged_to.map(job_number),
        bound: row.bound_job.map(job_number),
        claimed: row.claim.is_some(),
        accepted: row.accepted,
        owes: row.owes_report(),
    }
}

fn small(position: Option<usize>) -> u8 {
    u8::try_from(position.expect("a value of the world")).expect("small")
}
