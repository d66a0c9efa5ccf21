//! Instances of launches that are over, on stand-ins in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::RefCell;

use runnerless_aws::book::Book;
use runnerless_aws::fake::{FakeClock, FakeLedger, FakeParameters};
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::{AwsError, runner_token_name};
use runnerless_aws_ec2::FakeFleet;
use runnerless_aws_ec2::fake::{Operation, Trouble};
use runnerless_core::change::{Plan, RowKey, put};
use runnerless_core::fleet::{Instance, InstanceState};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{End, Start, charge, record};
use runnerless_core::own_runner::{Maker, OwnRunner};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::fake::FakeRunners;
use runnerless_gitlab::protocol::{Runners as _, Secret};
use runnerless_instances::{Cleared, Instances};

const T0: Timestamp = Timestamp(1_789_373_730_000);
const KEY: JobKey = JobKey { project: 380, job: 7 };
const INSTANCE: &str = "i-0123456789abcdef0";
const TOKEN: &str = "glrt-t3_lane";

thread_local! {
    /// What an operator was told by the test of this thread.
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn tells(_: &'static str, why: &str) {
    TOLD.with_borrow_mut(|told| told.push(why.to_owned()));
}

struct World {
    ledger: FakeLedger,
    parameters: FakeParameters,
    fleet: FakeFleet,
    gitlab: FakeRunners,
    clock: FakeClock,
}

fn lane() -> Lane {
    let tags = TagSet::new(["heavy"]).unwrap();
    Lane { tags, engine: Engine::Ec2, target: String::new(), run_untagged: false }
}

fn id() -> LaunchId {
    LaunchId::new("l-1")
}

impl World {
    /// A launch whose instance runs, and whose runner asks.
    async fn new() -> Self {
        let world = Self {
            ledger: FakeLedger::default(),
            parameters: FakeParameters::default(),
            fleet: FakeFleet::default(),
            gitlab: FakeRunners::default(),
            clock: FakeClock::leaping(T0),
        };
        world.parameters.put(&runner_token_name("/r", Engine::Ec2, &lane().id()), TOKEN);
        world.gitlab.put(TOKEN, 5);
        for system_id in ["r_l-1", "r_l-2"] {
            world.gitlab.verify(&Secret::new(TOKEN), system_id).await;
        }
        for id in [INSTANCE, "i-0123456789abcdef1"] {
            world.fleet.add(instance(id));
        }
        let event = JobEvent {
            key: KEY,
            status: JobStatus::Pending,
            facts: JobFacts::default(),
            created_at: Some(T0),
            runner: None,
        };
        world.ledger.apply(&record(None, &event, T0).plan).await.unwrap();
        let row = world.ledger.load(&[RowKey::Job(KEY)]).await.unwrap().job(KEY).unwrap().unwrap();
        let start = Start {
            launch: id(),
            nonce_sha256: "hash".into(),
            system_id: "r_l-1".into(),
            request: "{}".into(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        world.ledger.apply(&charge(&row, &lane(), start, "test", T0).unwrap()).await.unwrap();
        let launch = world.launch().await;
        let named = LaunchRow { instance_id: Some(INSTANCE.into()), state: LaunchState::Starting, ..launch.clone() };
        world.ledger.apply(&Plan::default().with_some(put(Some(&launch), named))).await.unwrap();
        world
    }

    /// It is over.
    async fn over() -> Self {
        let world = Self::new().await;
        Book(&world.ledger).conclude(&id(), &End::Fruitless("no job came".into()), T0).await.unwrap();
        world
    }

    async fn launch(&self) -> LaunchRow {
        Book(&self.ledger).launch(&id()).await.unwrap().unwrap()
    }

    async fn clear(&self, now: Timestamp) -> Result<Cleared, AwsError> {
        let (ledger, parameters, fleet, runners) = (&self.ledger, &self.parameters, &self.fleet, &self.gitlab);
        let (clock, service) = (&self.clock, "test");
        let instances = Instances { ledger, parameters, parameter_path: "/r", fleet, runners, clock, service, tells };
        instances.clear(&id(), now).await
    }

    fn left(&self) -> (Vec<String>, Vec<(u64, String)>) {
        (self.fleet.alive(), self.gitlab.managers())
    }
}

fn instance(id: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        state: InstanceState::Running,
        tags: [].into(),
        launched_at: T0,
        instance_type: "c7i.large".into(),
        subnet: "subnet-a".into(),
        spot: true,
        profile: None,
    }
}

fn only_the_others() -> (Vec<String>, Vec<(u64, String)>) {
    (vec!["i-0123456789abcdef1".to_owned()], vec![(5, "r_l-2".to_owned())])
}

#[tokio::test]
async fn nothing_is_left_of_a_launch_that_is_over_and_others_are_as_they_were() {
    let world = World::over().await;
    assert!(matches!(world.clear(T0).await.unwrap(), Cleared::Now(_)));
    assert_eq!(world.left(), only_the_others());
    let launch = world.launch().await;
    assert_eq!((launch.state, launch.due.next_check_at), (LaunchState::Closed, None));
    let why = launch.end_reason.unwrap();
    assert!(why.starts_with("no job came; ") && why.contains(INSTANCE), "{why}");
    assert!(matches!(world.clear(T0).await.unwrap(), Cleared::NotNeeded(_)), "again");
}

#[tokio::test]
async fn a_launch_that_is_under_way_keeps_its_instance() {
    let world = World::new().await;
    assert!(matches!(world.clear(T0).await.unwrap(), Cleared::NotNeeded(_)));
    assert_eq!(world.fleet.alive().len(), 2);
}

#[tokio::test]
async fn what_ec2_does_not_take_stays_due() {
    for (trouble, name) in [
        (Trouble::Throttled, "Fleet.Throttled"),
        (Trouble::NoAnswer, "Fleet.Unavailable"),
        (Trouble::Refused, "Fleet.Refused"),
    ] {
        let world = World::over().await;
        let before = world.launch().await;
        world.fleet.trouble(Operation::TerminateInstances, trouble);
        assert_eq!(world.clear(T0).await.unwrap_err().name(), name);
        assert_eq!(world.launch().await, before);
        assert!(before.due.next_check_at.is_some());
        assert!(matches!(world.clear(T0 + limits::SETTLE_CHECK).await.unwrap(), Cleared::Now(_)));
        assert_eq!(world.left(), only_the_others());
    }
}

#[tokio::test]
async fn an_instance_that_ended_by_itself_keeps_no_row_when_nobody_may_terminate() {
    for state in [InstanceState::ShuttingDown, InstanceState::Terminated] {
        let world = World::over().await;
        world.fleet.enter(INSTANCE, state);
        world.fleet.trouble(Operation::TerminateInstances, Trouble::Refused);
        let Cleared::Now(why) = world.clear(T0).await.unwrap() else { panic!("left") };
        assert!(why.contains("had ended"), "{why}");
        assert_eq!(world.left(), only_the_others());
    }
    // Ended by the very call whose answer is lost.
    let world = World::over().await;
    world.fleet.trouble(Operation::TerminateInstances, Trouble::LostAnswer);
    assert!(matches!(world.clear(T0).await.unwrap(), Cleared::Now(_)));
    assert_eq!(world.left(), only_the_others());
}

#[tokio::test]
async fn an_instance_of_which_ec2_says_nothing_has_not_ended() {
    let unasked = World::over().await;
    unasked.fleet.enter(INSTANCE, InstanceState::Terminated);
    unasked.fleet.trouble(Operation::TerminateInstances, Trouble::Refused);
    unasked.fleet.trouble(Operation::DescribeInstances, Trouble::NoAnswer);
    let unseen = World::over().await;
    unseen.fleet.forget(INSTANCE);
    unseen.fleet.trouble(Operation::TerminateInstances, Trouble::Refused);
    for world in [unasked, unseen] {
        let before = world.launch().await;
        assert_eq!(world.clear(T0).await.unwrap_err().name(), "Fleet.Refused");
        assert_eq!(world.launch().await, before);
    }
}

#[tokio::test]
async fn an_instance_that_is_gone_is_as_good_as_ended() {
    let world = World::over().await;
    world.fleet.forget(INSTANCE);
    let Cleared::Now(why) = world.clear(T0).await.unwrap() else { panic!("left") };
    assert!(why.contains("was gone"), "{why}");
    assert_eq!(world.left(), only_the_others());
}

#[tokio::test]
async fn a_gitlab_that_is_down_keeps_the_row_and_not_the_instance() {
    let world = World::over().await;
    world.gitlab.fail(true);
    assert!(matches!(world.clear(T0).await.unwrap(), Cleared::Left(_)));
    assert_eq!(world.fleet.alive(), only_the_others().0);
    assert!(world.launch().await.is_winding_up());
    world.gitlab.fail(false);
    assert!(matches!(world.clear(T0 + limits::SETTLE_CHECK).await.unwrap(), Cleared::Now(_)));
    assert_eq!(world.left(), only_the_others());
}

#[tokio::test]
async fn a_runner_that_may_be_left_is_told_before_its_row_is_closed() {
    let world = World::over().await;
    let launch = world.launch().await;
    let own = OwnRunner { by: Maker::ApiToken, asked_at: T0, id: None, token: None };
    let asked = LaunchRow { own_runner: Some(own), ..launch.clone() };
    world.ledger.apply(&Plan::default().with_some(put(Some(&launch), asked))).await.unwrap();
    assert!(matches!(world.clear(T0).await.unwrap(), Cleared::Left(_)), "the answer may still come");
    assert_eq!(TOLD.take(), [""; 0]);
    // The write takes effect, and whoever made it does not come to tell anything any more.
    world.ledger.lose_answers(1);
    world.clear(T0 + limits::RUNNER_ANSWER).await.unwrap_err();
    assert_eq!(world.launch().await.state, LaunchState::Closed);
    let told = TOLD.take();
    assert!(told.len() == 1 && told[0].contains("runnerless l-1"), "{told:?}");
}

#[tokio::test]
async fn a_manager_that_nobody_can_remove_keeps_no_row_for_ever() {
    let world = World::over().await;
    world.gitlab.fail(true);
    let end = T0 + limits::MANAGER_LIMIT;
    assert!(matches!(world.clear(end).await.unwrap(), Cleared::Left(_)));
    assert!(matches!(world.clear(end + Millis(1)).await.unwrap(), Cleared::Now(_)));

    let refused = World::over().await;
    refused.gitlab.delete(TOKEN);
    assert!(matches!(refused.clear(T0).await.unwrap(), Cleared::Now(_)));

    let tokenless = World { parameters: FakeParameters::default(), ..World::over().await };
    assert!(matches!(tokenless.clear(T0).await.unwrap(), Cleared::Now(_)));
    let unread = World::over().await;
    unread.parameters.fail(true);
    assert!(matches!(unread.clear(T0).await.unwrap(), Cleared::Left(_)));
}
