//! The sweep beside EC2, over ports in memory: what is left of launches is ended, instances that nobody knows have one
//! lease, and those of others are not touched.

use crate::lost::{Lost, PATH};
use crate::support::{T0, World, after, key, rules};
use runnerless_aws::book::Book;
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::runner_token_name;
use runnerless_aws_ec2::fake::{Operation, Trouble};
use runnerless_core::change::RowKey;
use runnerless_core::fleet::{
    EXPIRES_TAG, FleetRequest, Instance, InstanceState, LANE_TAG, LAUNCH_TAG, Market, Pool, REQUEST_VERSION, STACK_TAG,
};
use runnerless_core::id::LaunchId;
use runnerless_core::job::JobState;
use runnerless_core::lane::Engine;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{End, Got, Ours};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::{Runners as _, Secret};
use runnerless_reconciler::Report;
use runnerless_router::Rules;

const INSTANCE: &str = "i-0123456789abcdef0";
const STRANGER: &str = "i-0123456789abcdef1";
const TOKEN: &str = "glrt-t3_lane";
const JOB_TOKEN: &str = "glcbt-66_job";

fn ours() -> Ours {
    Ours { stack: "ours".into(), profile: "arn:profile".into() }
}

fn instance(id: &str, launch: &str) -> Instance {
    let expires = (T0 + Millis::days(1)).0.to_string();
    let tags = [(STACK_TAG, "ours"), (LAUNCH_TAG, launch), (LANE_TAG, "lane"), (EXPIRES_TAG, &expires)];
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

/// A stack with one job, whose launch has an instance.
struct Stack {
    world: World,
    rules: Rules,
    lost: Lost,
    launch: LaunchId,
}

impl Stack {
    /// Its launch is as `moves` leave it.
    async fn new() -> Self {
        let (world, rules) = (World::default(), rules());
        world.hook(1, "unit", "pending", T0).await;
        world.router(&rules).route(key(1), T0).await.unwrap();
        let row = world.launch(1).await;
        let mut item = world.ledger.items()[&row.launch.pk()].clone();
        item.insert("engine".into(), "EC2".into());
        item.insert("instance_id".into(), INSTANCE.into());
        item.insert("lease_until".into(), after(300).0.into());
        world.ledger.put(item);
        let lost = Lost { ours: Some(ours()), ..Lost::default() };
        lost.parameters.put(&runner_token_name(PATH, Engine::Ec2, &row.lane), TOKEN);
        lost.runners.put(TOKEN, 5);
        lost.runners.verify(&Secret::new(TOKEN), &row.system_id).await;
        lost.fleet.add(instance(INSTANCE, row.launch.as_str()));
        Self { world, rules, lost, launch: row.launch }
    }

    /// It runs its job.
    async fn bound() -> Self {
        let stack = Self::new().await;
        let row = stack.row().await;
        let book = Book(&stack.world.ledger);
        book.begin(&row.launch, &row.nonce_sha256, "c", T0).await.unwrap();
        let seal = TokenSeal::new(TOKEN, &row.launch).unwrap();
        let job_token = Some(seal.seal(key(1), JOB_TOKEN).unwrap());
        book.bind(&row.launch, Got { job_token, ..Got::from(key(1)) }, T0).await.unwrap();
        book.renew(&row.launch, T0).await.unwrap();
        stack.lost.gitlab.runs(1, JOB_TOKEN);
        stack
    }

    async fn row(&self) -> LaunchRow {
        let id = &self.launch;
        self.world.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap().launch(id).unwrap().unwrap()
    }

    async fn instance(&self) -> String {
        self.row().await.instance_id.unwrap()
    }

    async fn swept(&self, now: Timestamp) -> Report {
        self.lost.sweep(&self.world, &self.rules, false, now).await.unwrap()
    }
}

#[tokio::test]
async fn a_launch_that_ended_leaves_nothing_whoever_forgot_it() {
    let stack = Stack::bound().await;
    assert_eq!(stack.swept(after(30)).await.counts.len(), 0, "a job that runs is left alone");
    Book(&stack.world.ledger).conclude(&stack.launch, &End::JobDone("done".into()), after(40)).await.unwrap();
    assert_eq!(stack.swept(after(99)).await.counts.len(), 0, "the terminator may be on its way");
    let report = stack.swept(after(100)).await;
    assert_eq!(report.counts["stop.done"], 1, "{report:?}");
    assert!(stack.lost.fleet.alive().is_empty() && stack.lost.runners.managers().is_empty());
    let row = stack.row().await;
    assert_eq!((row.state, row.end_reason.unwrap().starts_with("done; ")), (LaunchState::Closed, true));
}

#[tokio::test]
async fn an_end_that_nobody_settled_stops_the_instance() {
    let stack = Stack::bound().await;
    stack.world.hook(1, "unit", "success", after(10)).await;
    let report = stack.swept(after(10) + limits::SETTLE_CHECK).await;
    assert_eq!(report.counts["settle.done"], 1, "{report:?}");
    assert_eq!((stack.row().await.state, stack.lost.fleet.alive().len()), (LaunchState::Closed, 0));
}

#[tokio::test]
async fn what_ec2_or_gitlab_do_not_do_is_done_by_a_later_sweep() {
    let stack = Stack::bound().await;
    stack.world.hook(1, "unit", "success", after(10)).await;
    stack.lost.fleet.trouble(Operation::TerminateInstances, Trouble::Throttled);
    stack.lost.fleet.trouble(Operation::TerminateInstances, Trouble::NoAnswer);
    assert_eq!(stack.swept(after(70)).await.counts["settle.failed"], 1);
    let lost = stack.lost.sweep(&stack.world, &stack.rules, false, after(130)).await;
    assert!(lost.is_err(), "nobody answered, and nothing else was to be done: {lost:?}");
    stack.lost.runners.fail(true);
    assert_eq!(stack.swept(after(190)).await.counts["stop.held"], 1);
    assert!(stack.lost.fleet.alive().is_empty() && stack.row().await.is_winding_up());
    stack.lost.runners.fail(false);
    assert_eq!(stack.swept(after(250)).await.counts["stop.done"], 1);
    assert_eq!(stack.row().await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_job_whose_instance_ended_is_reported_at_once() {
    let stack = Stack::bound().await;
    stack.lost.fleet.enter(INSTANCE, InstanceState::Terminated);
    let report = stack.swept(after(30)).await;
    assert_eq!(report.counts["host_gone.done"], 1, "{report:?}");
    assert_eq!(stack.lost.gitlab.told(), [(1, JOB_TOKEN.to_owned())]);
    assert_eq!((stack.row().await.state, stack.lost.runners.managers().len()), (LaunchState::Closed, 0));
}

#[tokio::test]
async fn a_launch_whose_instance_ended_before_it_asked_is_an_attempt_in_vain() {
    let stack = Stack::new().await;
    stack.lost.fleet.enter(INSTANCE, InstanceState::ShuttingDown);
    assert_eq!(stack.swept(after(30)).await.counts["host_gone.done"], 1);
    let job = stack.world.job(1).await;
    assert_eq!((job.state, job.fruitless, stack.row().await.state), (JobState::Waiting, 1, LaunchState::Closed));
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_show_yet_is_waited_for() {
    let stack = Stack::new().await;
    stack.lost.fleet.forget(INSTANCE);
    assert_eq!(stack.swept(T0 + limits::EC2_VISIBLE - Millis(1)).await.counts.len(), 0);
    assert_eq!(stack.swept(T0 + limits::EC2_VISIBLE).await.counts["host_gone.done"], 1);
    let asked = Stack::new().await;
    asked.lost.fleet.trouble(Operation::DescribeInstances, Trouble::Throttled);
    assert_eq!(asked.swept(after(30)).await.counts["instances.failed"], 1, "unknown is not gone");
    assert_eq!(asked.row().await.state, LaunchState::Starting);
}

#[tokio::test]
async fn an_instance_that_no_launch_names_has_one_lease_and_is_ended_then() {
    let stack = Stack::bound().await;
    stack.lost.fleet.add(instance(STRANGER, stack.launch.as_str()));
    let report = stack.swept(after(10)).await;
    assert_eq!((report.counts["adopt.done"], report.counts.len()), (1, 1), "{report:?}");
    assert_eq!(stack.swept(after(20)).await.counts.len(), 0);
    let row = stack.row().await;
    Book(&stack.world.ledger).renew(&row.launch, after(180)).await.unwrap();
    assert_eq!(stack.swept(after(10) + limits::ADOPTION).await.counts["end_instance.done"], 1);
    assert_eq!(stack.lost.fleet.alive(), [INSTANCE], "the one that its launch names runs on");
    assert_eq!(stack.row().await.state, LaunchState::Bound);
}

#[tokio::test]
async fn an_instance_beyond_its_hard_end_is_ended_whatever_its_row_says() {
    let stack = Stack::new().await;
    let mut old = instance(STRANGER, "l-nobody");
    old.tags.insert(EXPIRES_TAG.to_owned(), after(5).0.to_string());
    stack.lost.fleet.add(old);
    assert_eq!(stack.swept(after(5)).await.counts["end_instance.done"], 1);
    assert_eq!(stack.lost.fleet.alive(), [INSTANCE]);
}

#[tokio::test]
async fn a_look_alike_is_told_and_not_touched() {
    let stack = Stack::new().await;
    for (id, alike) in [
        ("i-0fffffffffffffff1", Instance { profile: None, ..instance("", "l-x") }),
        ("i-0fffffffffffffff2", instance("", "by hand")),
        (
            "i-0fffffffffffffff3",
            Instance { tags: [(STACK_TAG.to_owned(), "other".to_owned())].into(), ..instance("", "") },
        ),
    ] {
        stack.lost.fleet.add(Instance { id: id.to_owned(), ..alike });
    }
    for now in [after(10), after(100_000)] {
        let report = stack.lost.sweep(&stack.world, &stack.rules, false, now).await.unwrap();
        assert_eq!(report.counts["look_alike.held"], 2, "another stack's is not even listed: {report:?}");
    }
    assert_eq!(stack.lost.fleet.alive().iter().filter(|id| id.starts_with("i-0f")).count(), 3);
}

#[tokio::test]
async fn a_launch_whose_provisioner_died_gets_its_instance() {
    let stack = Stack::new().await;
    stack.lost.fleet.forget(INSTANCE);
    stack.lost.fleet.deploy("lt-1", "arn:profile");
    let request = FleetRequest {
        v: REQUEST_VERSION,
        market: Market::OnDemand,
        launch_template: "lt-1:3".into(),
        pools: vec![Pool { instance_type: "c7i.large".into(), subnet: "subnet-a".into() }],
        disk_gb: None,
        tags: instance("", stack.launch.as_str()).tags,
        token: "token".into(),
    };
    let mut item = stack.world.ledger.items()[&stack.launch.pk()].clone();
    item.remove("instance_id");
    item.insert("state".into(), "charged".into());
    item.insert("request".into(), serde_json::to_string(&[&request]).unwrap().into());
    item.insert("next_check_at".into(), after(60).0.into());
    stack.world.ledger.put(item);
    let report = stack.swept(after(60)).await;
    assert_eq!(report.counts["start.done"], 1, "{report:?}");
    assert_eq!((stack.lost.fleet.requests(), stack.lost.fleet.alive()), (vec![request], vec![stack.instance().await]));
    assert_eq!(stack.row().await.state, LaunchState::Starting);
    assert_eq!(stack.swept(after(70)).await.counts.len(), 0, "and not twice");
}

#[tokio::test]
async fn a_stack_that_launches_no_instances_asks_ec2_nothing() {
    let stack = Stack { lost: Lost::default(), ..Stack::new().await };
    stack.lost.fleet.trouble(Operation::DescribeInstances, Trouble::Refused);
    assert_eq!(stack.swept(after(30)).await.counts.len(), 0);
}
