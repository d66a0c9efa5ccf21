//! Ends of jobs and failures of invocations, on a ledger in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::atomic::{AtomicI64, Ordering};

use runnerless_aws::book::Book;
use runnerless_aws::fake::{FakeLedger, FakeParameters};
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::runner_token_name;
use runnerless_aws_ec2::FakeFleet;
use runnerless_aws_ec2::fake::{Operation, Trouble};
use runnerless_core::change::{Item, RowKey};
use runnerless_core::event::LaunchEvent;
use runnerless_core::fleet::{EXPIRES_TAG, Instance, InstanceState, LANE_TAG, LAUNCH_TAG, STACK_TAG};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{End, Got, Ours, Start, charge, record};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::fake::FakeRunners;
use runnerless_gitlab::protocol::{Runners as _, Secret};
use runnerless_instances::Ec2;
use runnerless_lambda_kit::{Clock, Named as _};
use runnerless_lost::fake::FakeReporter;
use runnerless_lost::{Answer, LostJobs};
use runnerless_terminator::{Ended, Error, Outcome, Work, handle};
use serde_json::{Value, json};

const T0: Timestamp = Timestamp(1_789_373_730_000);
const NOW: Timestamp = Timestamp(T0.0 + 5_000);
const KEY: JobKey = JobKey { project: 380, job: 4_300_000_001 };
const TIMEOUT: &str = include_str!("../../../../events/terminator/timeout.json");
const EXIT: &str = include_str!("../../../../events/terminator/exit.json");
const AGE_EXCEEDED: &str = include_str!("../../../../events/terminator/age-exceeded.json");
const NOT_BEGUN: &str = include_str!("../../../../events/terminator/not-begun.json");
const INTERRUPTION: &str = include_str!("../../../../events/terminator/interruption.json");
const SETTLE: &str = include_str!("../../../../events/terminator/settle.json");

/// The instance of the example event.
const INSTANCE: &str = "i-0123456789abcdef0";
/// An instance of this stack that another launch has.
const OTHER: &str = "i-0123456789abcdef1";

const LANE_TOKEN: &str = "glrt-t3_lane";
const JOB_TOKEN: &str = "glcbt-66_job";

fn lane() -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn".into(), run_untagged: true }
}

fn instance(id: &str, launch: &str) -> Instance {
    let tags = [(STACK_TAG, "ours"), (LAUNCH_TAG, launch), (LANE_TAG, "lane"), (EXPIRES_TAG, "9999999999999")];
    Instance {
        id: id.to_owned(),
        state: InstanceState::Running,
        tags: tags.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        launched_at: T0,
        instance_type: "c7i.large".into(),
        subnet: "subnet-a".into(),
        spot: true,
        profile: Some("arn:profile".into()),
    }
}

/// The pending job and the launch of the example events.
struct World {
    ledger: FakeLedger,
    parameters: FakeParameters,
    gitlab: FakeReporter,
    fleet: FakeFleet,
    runners: FakeRunners,
    ours: Option<Ours>,
    event: LaunchEvent,
    /// Whether the runner gives a sign of life whenever somebody waits.
    alive: bool,
    waited: AtomicI64,
}

/// A clock that is waited on in no time.
struct Watch<'a> {
    now: Timestamp,
    world: &'a World,
}

impl Clock for Watch<'_> {
    fn now(&self) -> Timestamp {
        self.now + Millis(self.world.waited.load(Ordering::Relaxed))
    }

    async fn pause(&self, length: Millis) {
        self.world.waited.fetch_add(length.0, Ordering::Relaxed);
        if self.world.alive {
            Book(&self.world.ledger).renew(&self.world.id(), self.now()).await.unwrap();
        }
    }
}

impl World {
    async fn charged() -> Self {
        let record: Value = serde_json::from_str(TIMEOUT).unwrap();
        let world = Self {
            ledger: FakeLedger::default(),
            parameters: FakeParameters::default(),
            gitlab: FakeReporter::default(),
            fleet: FakeFleet::default(),
            runners: FakeRunners::default(),
            ours: Some(Ours { stack: "ours".into(), profile: "arn:profile".into() }),
            alive: false,
            waited: AtomicI64::new(0),
            event: LaunchEvent::read(&record["requestPayload"]).unwrap(),
        };
        world.parameters.put(&runner_token_name("/r", Engine::Lambda, &lane().id()), LANE_TOKEN);
        world.hook("pending").await;
        let start = Start {
            launch: world.id(),
            nonce_sha256: world.event.nonce.sha256(),
            system_id: "r_lane".into(),
            request: "{}".into(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        let plan = charge(&world.job().await, &lane(), start, "test", T0).unwrap();
        world.ledger.apply(&plan).await.unwrap();
        world
    }

    async fn polling() -> Self {
        let world = Self::charged().await;
        Book(&world.ledger).begin(&world.id(), &world.event.nonce.sha256(), "c", T0).await.unwrap();
        world
    }

    /// Its job runs: GitLab has told so.
    async fn running() -> Self {
        let world = Self::polling().await;
        let seal = TokenSeal::new(LANE_TOKEN, &world.id()).unwrap();
        let job_token = Some(seal.seal(KEY, JOB_TOKEN).unwrap());
        let got = Got { job_token, beat_ms: Some(limits::BEAT), ..Got::from(KEY) };
        Book(&world.ledger).bind(&world.id(), got, T0).await.unwrap();
        Book(&world.ledger).renew(&world.id(), T0).await.unwrap();
        world.hook("running").await;
        world.gitlab.runs(KEY.job, JOB_TOKEN);
        world
    }

    fn id(&self) -> LaunchId {
        self.event.launch.clone()
    }

    async fn hook(&self, status: &str) {
        let event = JobEvent {
            key: KEY,
            status: JobStatus::parse(status),
            facts: JobFacts::default(),
            created_at: Some(T0),
            runner: None,
        };
        let row = self.ledger.load(&[RowKey::Job(KEY)]).await.unwrap().job(KEY).unwrap();
        self.ledger.apply(&record(row.as_ref(), &event, T0).plan).await.unwrap();
    }

    async fn job(&self) -> JobRow {
        self.ledger.load(&[RowKey::Job(KEY)]).await.unwrap().job(KEY).unwrap().unwrap()
    }

    async fn launch(&self) -> LaunchRow {
        Book(&self.ledger).launch(&self.id()).await.unwrap().unwrap()
    }

    async fn take(&self, event: &str) -> Result<Outcome, Error> {
        self.take_at(event, NOW).await
    }

    async fn take_at(&self, event: &str, now: Timestamp) -> Result<Outcome, Error> {
        let jobs = LostJobs {
            ledger: &self.ledger,
            parameters: &self.parameters,
            parameter_path: "/r",
            reporter: &self.gitlab,
        };
        let ec2 = Ec2 { fleet: &self.fleet, runners: &self.runners, ours: self.ours.as_ref() };
        handle(Work::read(&serde_json::from_str(event).unwrap())?, &jobs, ec2, &Watch { now, world: self }).await
    }

    /// Its launch runs on an instance, whose runner GitLab knows.
    async fn on_an_instance(self) -> Self {
        let mut item = self.ledger.items()[&self.id().pk()].clone();
        item.insert("engine".into(), "EC2".into());
        item.insert("instance_id".into(), INSTANCE.into());
        self.ledger.put(item);
        self.parameters.put(&runner_token_name("/r", Engine::Ec2, &lane().id()), LANE_TOKEN);
        self.runners.put(LANE_TOKEN, 5);
        for system_id in ["r_lane", "r_other"] {
            self.runners.verify(&Secret::new(LANE_TOKEN), system_id).await;
        }
        self.fleet.add(instance(INSTANCE, self.id().as_str()));
        self.fleet.add(instance(OTHER, "l-other"));
        self
    }

    /// Its row as a runner leaves it that renews once a minute, as those of others do.
    async fn of_others(&self) {
        let mut item = self.ledger.items()[&self.id().pk()].clone();
        item.remove("beat_ms");
        item.remove("job_token");
        self.ledger.put(item);
    }

    fn rows(&self) -> Vec<(String, Item)> {
        self.ledger.items().into_iter().collect()
    }
}

#[tokio::test]
async fn a_throttled_launch_burns_no_attempt_and_its_job_is_due_in_seconds() {
    for event in [AGE_EXCEEDED, NOT_BEGUN] {
        let world = World::charged().await;
        assert_eq!(world.take(event).await.unwrap().outcome, Ended::BackPressure);
        let (job, launch) = (world.job().await, world.launch().await);
        assert_eq!((job.state, job.fruitless), (JobState::Waiting, 0));
        assert_eq!(job.due.next_check_at, Some(NOW + Millis::secs(10)));
        assert_eq!(launch.state, LaunchState::Closed);
    }
}

#[tokio::test]
async fn a_delivery_that_did_not_begin_says_nothing_about_the_one_that_did() {
    for world in [World::polling().await, World::running().await] {
        let before = world.rows();
        for event in [AGE_EXCEEDED, NOT_BEGUN] {
            assert_eq!(world.take(event).await.unwrap().outcome, Ended::Nothing);
        }
        assert_eq!(world.rows(), before);
    }
}

#[tokio::test]
async fn an_invocation_that_failed_without_a_job_costs_an_attempt_and_names_the_failure() {
    for (world, event, name) in
        [(World::charged().await, EXIT, "Runtime.ExitError"), (World::polling().await, TIMEOUT, "Sandbox.Timedout")]
    {
        assert_eq!(world.take(event).await.unwrap().outcome, Ended::Closed);
        let (job, launch) = (world.job().await, world.launch().await);
        assert_eq!((job.state, job.fruitless, launch.state), (JobState::Waiting, 1, LaunchState::Closed));
        assert!(job.reason.contains(name) && launch.end_reason.unwrap().contains(name), "{}", job.reason);
        let after = world.rows();
        assert_eq!(world.take(event).await.unwrap().outcome, Ended::Nothing, "a record that comes twice");
        assert_eq!(world.rows(), after);
    }
}

#[tokio::test]
async fn an_executor_that_died_with_its_job_is_reported_once_within_thirty_seconds() {
    let world = World::running().await;
    let outcome = world.take(EXIT).await.unwrap();
    let waited = world.waited.load(Ordering::Relaxed);
    assert!(
        (20_000..28_000).contains(&waited),
        "two signs of life must be missing, and the promise is thirty seconds: {waited}"
    );
    assert_eq!(outcome.outcome, Ended::Lost);
    assert!(outcome.reason.contains("Runtime.ExitError") && outcome.reason.contains("380/4300000001"), "{outcome:?}");
    assert_eq!(world.gitlab.told(), [(KEY.job, JOB_TOKEN.to_owned())]);
    let (job, launch) = (world.job().await, world.launch().await);
    assert_eq!((launch.state, launch.job_token, job.launch.is_some()), (LaunchState::Closed, None, true));
    assert!(job.due.next_check_at.is_some(), "the sweep looks what became of the job");
    let after = world.rows();
    assert_eq!(world.take(EXIT).await.unwrap().outcome, Ended::Nothing, "a record that comes twice");
    assert_eq!((world.rows(), world.gitlab.told().len()), (after, 1));
}

#[tokio::test]
async fn a_launch_that_gives_a_sign_of_life_is_not_lost_whatever_aws_says_of_a_second_delivery() {
    let world = World { alive: true, ..World::running().await };
    assert_eq!(world.take(EXIT).await.unwrap().outcome, Ended::Nothing);
    assert_eq!((world.launch().await.state, world.gitlab.told().len()), (LaunchState::Bound, 0));
}

#[tokio::test]
async fn a_launch_that_gives_no_signs_is_lost_when_its_lease_is_over_and_said_to_be_unreported() {
    let world = World::running().await;
    world.of_others().await;
    let running = world.rows();
    assert_eq!(world.take(TIMEOUT).await.unwrap().outcome, Ended::Nothing, "a second delivery may have failed");
    assert_eq!(world.rows(), running);
    let over = world.launch().await.lease_until;
    let outcome = world.take_at(TIMEOUT, over).await.unwrap();
    assert_eq!(outcome.outcome, Ended::Lost);
    assert!(outcome.reason.contains("Sandbox.Timedout") && outcome.reason.contains("no token"), "{outcome:?}");
    assert_eq!((world.launch().await.state, world.gitlab.told().len()), (LaunchState::Closed, 0));
}

#[tokio::test]
async fn a_report_that_gitlab_does_not_take_is_owed_and_paid_by_the_next_who_looks() {
    let world = World::running().await;
    world.gitlab.answer(Some(Answer::Later("503".into())));
    assert!(world.take(EXIT).await.unwrap().reason.contains("later"));
    let owing = world.launch().await;
    assert!(owing.owes_report() && owing.due.next_check_at.is_some());
    world.gitlab.answer(None);
    let outcome = world.take(EXIT).await.unwrap();
    assert!(outcome.reason.contains("was reported as failed"), "{outcome:?}");
    assert_eq!((world.launch().await.state, world.gitlab.told().len()), (LaunchState::Closed, 2));
}

#[tokio::test]
async fn a_lane_token_that_was_replaced_makes_the_report_impossible_and_says_so() {
    let world = World::running().await;
    world.parameters.put(&runner_token_name("/r", Engine::Lambda, &lane().id()), "glrt-t3_new");
    let outcome = world.take(EXIT).await.unwrap();
    assert!(outcome.reason.contains("cannot be reported") && outcome.reason.contains("replaced"), "{outcome:?}");
    assert_eq!((world.launch().await.state, world.gitlab.told().len()), (LaunchState::Closed, 0));
}

#[tokio::test]
async fn a_failure_after_the_launchs_end_changes_nothing() {
    let world = World::running().await;
    Book(&world.ledger).conclude(&world.id(), &End::JobDone("done".into()), T0).await.unwrap();
    let before = world.rows();
    assert_eq!(world.take(EXIT).await.unwrap().outcome, Ended::Nothing);
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn a_record_without_the_launchs_nonce_is_left_alone() {
    let world = World::running().await;
    let before = world.rows();
    let genuine: Value = serde_json::from_str(TIMEOUT).unwrap();
    for (pointer, value) in [
        ("/requestPayload/nonce", json!("another")),
        ("/requestPayload/launch", json!("l-9")),
        ("/requestPayload/launch", json!("../x")),
        ("/requestPayload", json!({"detail": "of another function"})),
    ] {
        let mut forged = genuine.clone();
        *forged.pointer_mut(pointer).unwrap() = value;
        assert_eq!(world.take(&forged.to_string()).await.unwrap().outcome, Ended::Nothing, "{pointer}");
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn what_the_ledger_did_not_take_is_done_by_the_next_try() {
    let world = World::polling().await;
    world.ledger.fail(true);
    assert_eq!(world.take(TIMEOUT).await.unwrap_err().name(), "Ledger.Unavailable");
    world.ledger.fail(false);
    // The first of two writes takes effect and its answer is lost, as the second's is after it.
    for _ in 0..2 {
        world.ledger.lose_answers(1);
        assert!(world.take(TIMEOUT).await.is_err());
        let launch = world.launch().await;
        assert!(launch.state == LaunchState::Closed || launch.due.next_check_at.is_some(), "the sweep finds it");
    }
    assert_eq!(world.take(TIMEOUT).await.unwrap().outcome, Ended::Nothing);
    assert_eq!((world.job().await.fruitless, world.launch().await.state), (1, LaunchState::Closed));
}

#[tokio::test]
async fn the_end_of_a_job_waits_for_the_function_and_retires_the_row_after_it() {
    let world = World::running().await;
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::Nothing, "a job that runs is not settled");
    world.hook("success").await;
    let settled = world.take(SETTLE).await.unwrap();
    assert_eq!(settled.outcome, Ended::EndsItself);
    assert_eq!(serde_json::to_value(&settled).unwrap()["outcome"], "ends_itself");
    assert_eq!(world.launch().await.state, LaunchState::Bound, "nothing of ours stops a function that reports");
    Book(&world.ledger).conclude(&world.id(), &End::JobDone("done".into()), NOW).await.unwrap();
    let outcome = world.take(SETTLE).await.unwrap().outcome;
    assert!(matches!(outcome, Ended::Retired), "{outcome:?}");
    assert!(world.job().await.expires_at.is_some());
}

#[tokio::test]
async fn the_end_of_a_job_ends_its_instance_and_its_manager_and_no_other() {
    let world = World::running().await.on_an_instance().await;
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::Nothing, "a job that runs stops nothing");
    world.hook("success").await;
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::Stopped);
    assert_eq!((world.fleet.alive(), world.runners.managers()), (vec![OTHER.to_owned()], vec![(5, "r_other".into())]));
    let launch = world.launch().await;
    assert_eq!((launch.state, launch.due.next_check_at), (LaunchState::Closed, None));
    assert!(world.job().await.expires_at.is_some());
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::Retired, "an event that comes twice");
    assert_eq!(world.fleet.terminations(), [INSTANCE]);
}

#[tokio::test]
async fn a_runner_that_ended_by_itself_leaves_nothing_either() {
    let world = World::running().await.on_an_instance().await;
    Book(&world.ledger).conclude(&world.id(), &End::JobDone("done".into()), NOW).await.unwrap();
    assert_eq!(world.launch().await.state, LaunchState::Closing, "its instance is still to be ended");
    world.fleet.forget(INSTANCE);
    world.hook("success").await;
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::Stopped);
    assert_eq!(world.runners.managers(), [(5, "r_other".into())]);
}

/// Each is made for every job on an instance. The launch that the event names spares a read, and decides nothing.
#[tokio::test]
async fn what_the_event_names_and_the_settlement_read_is_not_read_again() {
    let launch = "l-4n8w2c6h0r5t9v3x7z1b";
    for (event, calls) in [
        (SETTLE.to_owned(), 2),
        (SETTLE.replace(launch, "l-of-another"), 3),
        (SETTLE.replace("\"launch\"", "\"x\""), 3),
    ] {
        let world = World::running().await.on_an_instance().await;
        Book(&world.ledger).conclude(&world.id(), &End::JobDone("done".into()), NOW).await.unwrap();
        world.hook("success").await;
        let before = world.ledger.calls();
        assert_eq!(world.take(&event).await.unwrap().outcome, Ended::Stopped, "{event}");
        assert_eq!(world.ledger.calls() - before, calls, "{event}: its rows, and both ends");
        assert_eq!((world.launch().await.state, world.fleet.alive()), (LaunchState::Closed, vec![OTHER.to_owned()]));
        assert!(world.job().await.expires_at.is_some());
    }
}

/// What the job's row waits for is its launch's clearing, and not what keeps that waiting, or somebody who writes meanwhile.
#[tokio::test]
async fn the_row_of_a_job_whose_runner_ended_is_done_with_whatever_becomes_of_the_instance() {
    let ended = async || {
        let world = World::running().await.on_an_instance().await;
        Book(&world.ledger).conclude(&world.id(), &End::JobDone("done".into()), NOW).await.unwrap();
        world.hook("success").await;
        assert!(world.job().await.due.next_check_at.is_some());
        world
    };
    let throttled = ended().await;
    throttled.fleet.trouble(Operation::TerminateInstances, Trouble::Throttled);
    assert_eq!(throttled.take(SETTLE).await.unwrap_err().name(), "Fleet.Throttled");
    let left = ended().await;
    left.runners.fail(true);
    assert_eq!(left.take(SETTLE).await.unwrap().outcome, Ended::StopLeft);
    for world in [throttled, left] {
        assert!(world.job().await.expires_at.is_some());
        assert!(world.launch().await.is_winding_up() && world.launch().await.due.next_check_at.is_some());
    }
    let disturbed = ended().await;
    disturbed.ledger.conflict(1);
    assert_eq!(disturbed.take(SETTLE).await.unwrap().outcome, Ended::Stopped);
    assert_eq!(disturbed.launch().await.state, LaunchState::Closed);
    assert!(disturbed.job().await.expires_at.is_some());
}

#[tokio::test]
async fn what_ec2_or_gitlab_do_not_do_stays_due() {
    let world = World::running().await.on_an_instance().await;
    world.hook("failed").await;
    world.fleet.trouble(Operation::TerminateInstances, Trouble::Throttled);
    assert_eq!(world.take(SETTLE).await.unwrap_err().name(), "Fleet.Throttled");
    assert!(world.launch().await.is_winding_up() && world.launch().await.due.next_check_at.is_some());
    world.runners.fail(true);
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::StopLeft, "the workflow's next try");
    assert!(world.launch().await.is_winding_up() && world.fleet.alive() == [OTHER]);
    world.runners.fail(false);
    assert_eq!(world.take(SETTLE).await.unwrap().outcome, Ended::Stopped);
    assert_eq!(world.launch().await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_job_whose_spot_instance_is_taken_back_is_reported_while_there_is_time() {
    let world = World::running().await.on_an_instance().await;
    let outcome = world.take(INTERRUPTION).await.unwrap();
    assert_eq!(outcome.outcome, Ended::Lost, "{outcome:?}");
    assert_eq!(world.gitlab.told(), [(KEY.job, JOB_TOKEN.to_owned())]);
    assert_eq!((world.launch().await.state, world.fleet.alive()), (LaunchState::Closed, vec![OTHER.to_owned()]));
    let after = world.rows();
    assert_eq!(world.take(INTERRUPTION).await.unwrap().outcome, Ended::Nothing, "a warning that comes twice");
    assert_eq!((world.rows(), world.gitlab.told().len()), (after, 1));

    let silent = World::running().await.on_an_instance().await;
    silent.gitlab.answer(Some(Answer::Later("503".into())));
    assert_eq!(silent.take(INTERRUPTION).await.unwrap().outcome, Ended::Lost);
    assert!(silent.launch().await.owes_report(), "the sweep tells it later");
}

#[tokio::test]
async fn an_instance_that_is_taken_back_before_it_asked_costs_its_job_no_attempt() {
    let world = World::charged().await.on_an_instance().await;
    assert_eq!(world.take(INTERRUPTION).await.unwrap().outcome, Ended::Stopped);
    let job = world.job().await;
    assert_eq!((job.state, job.fruitless, world.launch().await.state), (JobState::Waiting, 0, LaunchState::Closed));
    let asking = World::polling().await.on_an_instance().await;
    let before = asking.rows();
    assert_eq!(asking.take(INTERRUPTION).await.unwrap().outcome, Ended::Nothing, "it may hold an answer of GitLab's");
    assert_eq!((asking.rows(), asking.fleet.alive().len()), (before, 2));
}

#[tokio::test]
async fn a_warning_about_an_instance_that_is_not_ours_changes_nothing() {
    let mut world = World::running().await.on_an_instance().await;
    let before = world.rows();
    let shown = world.fleet.instances();
    for id in ["i-0fffffffffffffff0", OTHER] {
        let warning = INTERRUPTION.replace(INSTANCE, id);
        assert_eq!(world.take(&warning).await.unwrap().outcome, Ended::Nothing, "{id}");
    }
    let alike = Instance { profile: Some("arn:another".into()), ..shown[0].clone() };
    assert_eq!(alike.id, INSTANCE);
    world.fleet.add(alike);
    assert_eq!(world.take(INTERRUPTION).await.unwrap().outcome, Ended::Nothing);
    world.fleet.add(shown[0].clone());
    world.ours = None;
    assert_eq!(world.take(INTERRUPTION).await.unwrap().outcome, Ended::Nothing, "a stack that launches none");
    assert_eq!((world.rows(), world.gitlab.told().len(), world.fleet.terminations().len()), (before, 0, 0));
}

#[tokio::test]
async fn an_event_that_is_neither_is_refused_by_name() {
    let world = World::charged().await;
    assert_eq!(world.take(r#"{"do":"kill","job":"1/2"}"#).await.unwrap_err().name(), "Terminator.BadRequest");
}
