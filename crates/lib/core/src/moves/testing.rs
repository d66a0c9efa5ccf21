//! Rows and events for the tests of the moves.

use crate::change::{Plan, Write, decode};
use crate::fleet::Market;
use crate::frozen::Ground;
use crate::id::{JobKey, LaunchId};
use crate::job::{JobEvent, JobFacts, JobRow};
use crate::lane::{Engine, Lane, TagSet};
use crate::lane_row::LaneRow;
use crate::launch::LaunchRow;
use crate::moves::{BindRows, Start, begin, bind, charge, record, sentinel};
use crate::status::JobStatus;
use crate::time::{Millis, Timestamp};

pub(crate) const T0: Timestamp = Timestamp(1_789_373_730_000);

pub(crate) fn secs(n: i64) -> Timestamp {
    T0 + Millis::secs(n)
}

pub(crate) fn key(job: u64) -> JobKey {
    JobKey { project: 380, job }
}

pub(crate) fn event(status: &str) -> JobEvent {
    event_of(1, status)
}

pub(crate) fn event_of(job: u64, status: &str) -> JobEvent {
    let facts = JobFacts { name: "unit".into(), project_path: "acme/widget".into(), ..JobFacts::default() };
    JobEvent { key: key(job), status: JobStatus::parse(status), facts, created_at: Some(T0), runner: None }
}

pub(crate) fn lane() -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn:executor".into(), run_untagged: true }
}

pub(crate) fn mapped_lane() -> Lane {
    Lane { tags: TagSet::new(["a"]).unwrap(), run_untagged: false, ..lane() }
}

pub(crate) fn lane_row_of(plan: &Plan) -> LaneRow {
    rows(plan, "lane#").remove(0)
}

/// A launch that is charged to no job.
pub(crate) fn sentinel_row(id: &str) -> LaunchRow {
    let of = LaneRow::new(lane().id(), Engine::Lambda);
    launch_of(&sentinel(&of, &lane(), start(id), Millis::minutes(10), T0))
}

pub(crate) fn start(id: &str) -> Start {
    Start {
        launch: LaunchId::new(id),
        nonce_sha256: "hash".into(),
        system_id: "r_test".into(),
        request: r#"{"nonce":"n"}"#.into(),
        isolated: false,
        by_default: false,
        longest: None,
    }
}

fn rows<R: crate::change::Row>(plan: &Plan, prefix: &str) -> Vec<R> {
    let puts = plan.changes.iter().filter(|change| change.pk.starts_with(prefix));
    puts.filter_map(|change| match &change.write {
        Write::Put(item) => Some(decode(item).unwrap()),
        Write::Check => None,
    })
    .collect()
}

pub(crate) fn job_of(plan: &Plan) -> JobRow {
    rows(plan, "job#").remove(0)
}

pub(crate) fn job_with_id(plan: &Plan, id: u64) -> JobRow {
    rows::<JobRow>(plan, "job#").into_iter().find(|row| row.job_id == id).expect("the plan writes the job")
}

pub(crate) fn launch_of(plan: &Plan) -> LaunchRow {
    rows(plan, "launch#").remove(0)
}

pub(crate) fn launch_with_id(plan: &Plan, id: &str) -> LaunchRow {
    let all = rows::<LaunchRow>(plan, "launch#");
    all.into_iter().find(|row| row.launch.as_str() == id).expect("the plan writes the launch")
}

pub(crate) fn apply_to_job(row: Option<JobRow>, plan: &Plan) -> Option<JobRow> {
    rows(plan, "job#").into_iter().next().or(row)
}

pub(crate) fn pending_job(id: u64) -> JobRow {
    job_of(&record(None, &event_of(id, "pending"), T0).plan)
}

pub(crate) fn charged_pair(id: u64, launch: &str) -> (JobRow, LaunchRow) {
    let plan = charge(&pending_job(id), &lane(), start(launch), "test", T0).unwrap();
    (job_of(&plan), launch_of(&plan))
}

/// A job and the launch of an instance that is charged to it, for spot and then on demand.
pub(crate) fn ec2_pair() -> (JobRow, LaunchRow) {
    let ground = Ground {
        stack: "s".into(),
        launch_template: "lt-1:1".into(),
        subnets: vec!["subnet-a".into()],
        market: Market::Spot,
        instance_types: vec!["m7i.large".into()],
    };
    let lane = Lane { engine: Engine::Ec2, target: "//".into(), ..lane() };
    let (job, drawn) = (pending_job(1), start("l-1"));
    let frozen = ground.freeze(&lane, &job, &drawn.launch, secs(9_000)).unwrap();
    let plan = charge(&job, &lane, Start { request: frozen.text(), ..drawn }, "", T0).unwrap();
    (job_of(&plan), launch_of(&plan))
}

pub(crate) fn launch_row(launch: &str, job: Option<u64>) -> LaunchRow {
    let (_, row) = charged_pair(job.unwrap_or(1), launch);
    LaunchRow { charged_to: job.map(key), ..row }
}

pub(crate) fn polling(launch: &LaunchRow) -> LaunchRow {
    launch_of(&begin(launch, "hash", "claim", T0).unwrap())
}

pub(crate) fn bound_pair(id: u64, launch: &str) -> (JobRow, LaunchRow) {
    let (job, row) = charged_pair(id, launch);
    let row = polling(&row);
    let rows = BindRows { launch: &row, got: Some(&job), gots_charge: None, charged: None };
    let plan = bind(rows, key(id), T0).unwrap();
    (job_of(&plan), launch_of(&plan))
}
