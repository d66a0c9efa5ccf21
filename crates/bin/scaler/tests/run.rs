//! Runs of the scaler over members that are real HTTP servers, and Auto Scaling, ledger and GitLab in memory.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod support;

use std::process::Command;
use std::sync::Arc;

use runnerless_aws::ports::Ledger as _;
use runnerless_aws_ec2::fake::Trouble;
use runnerless_aws_ec2::pool::fake::{Asked, PoolOperation};
use runnerless_core::change::RowKey;
use runnerless_core::pool::{MemberMemory, PoolRow, pool_pk};
use runnerless_lambda_kit::Named as _;
use runnerless_scaler::{Report, Request};
use serde_json::json;
use support::{GROUP, Says, World, answer, id, table};

async fn row(world: &World) -> PoolRow {
    let rows = world.ledger.load(&[RowKey::Pool(GROUP.to_owned())]).await.unwrap();
    rows.pool(GROUP).unwrap().unwrap()
}

fn results(report: &Report) -> Vec<&str> {
    report.actions.iter().map(|item| item.result).collect()
}

/// Members that run four jobs at once and are all taken.
fn busy(members: usize) -> Vec<Says> {
    vec![Says::Jobs(4, 4, 9); members]
}

fn idle(members: usize) -> Vec<Says> {
    vec![Says::Jobs(0, 4, 9); members]
}

#[tokio::test]
async fn a_busy_pool_grows_at_once_and_what_was_seen_is_remembered() {
    let mut world = World::new(&busy(2));
    let report = world.run().await.unwrap();
    assert_eq!((report.seen.busy, report.seen.slots, report.seen.serving), (8, 8, 2));
    // Eight jobs at a target of four fifths, and a slot of headroom: more than the eight slots that are there.
    assert_eq!(world.pool.asked(), [Asked::Desired(3)]);
    assert_eq!((results(&report), report.counts.grown, report.counts.failed), (vec!["done"], 1, 0));
    let remembered = row(&world).await;
    assert_eq!(remembered.memory.left_desired, Some(3));
    assert_eq!(remembered.memory.members[&id(1)].jobs_total, Some(9));
    let report = world.run().await.unwrap();
    assert_eq!(world.pool.asked().len(), 1, "what was asked for is coming: {report:?}");
}

#[tokio::test]
async fn an_idle_pool_shrinks_slowly_by_members_that_were_idle_and_no_further_than_its_minimum() {
    let mut world = World::new(&idle(4));
    world.settings.shrink_step = 1;
    for run in 1..=4 {
        let report = world.run().await.unwrap();
        assert!(world.pool.asked().is_empty(), "run {run}: {report:?}");
        assert_eq!(results(&report), ["done"], "it holds");
    }
    while world.run().await.unwrap().counts.retired > 0 {}
    let asked = world.pool.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| matches!(asked, Asked::Retire(_, true))), "{asked:?}");
    assert_eq!(world.pool.now(GROUP).unwrap().desired, world.settings.minimum);
}

#[tokio::test]
async fn whoever_does_not_tell_counts_as_busy_and_is_never_let_go() {
    let mut world = World::new(&idle(9));
    world.run().await.unwrap();
    let cut = answer(&table(0, 4, 9));
    let huge = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'#'; 5 << 20]].concat();
    for (member, says) in [
        (1, Says::Nothing),
        (2, Says::Dribble),
        (3, Says::Raw(answer("<html>it works</html>\n"))),
        (4, Says::Raw(huge)),
        (5, Says::Raw(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec())),
        (6, Says::Raw(cut[..cut.len() - 20].to_vec())),
        (7, Says::Raw(answer(&table(0, 4, 9).replace("running\"} 0", "running\"} NaN")))),
    ] {
        world.say(member, says);
    }
    world.settings.unhealthy_after = 2;
    for run in 2..=9 {
        let report = world.run().await.unwrap();
        assert_eq!(report.seen.unknown, 7, "{report:?}");
        assert_eq!(report.seen.busy, 28, "all slots of the seven are taken: {report:?}");
        if run == 2 {
            // Who says nothing takes as long as he may: once is enough.
            (1..=2).for_each(|member| world.say(member, Says::Raw(Vec::new())));
        }
    }
    let is_of_the_others = |asked: &Asked| matches!(asked, Asked::Retire(gone, true) if *gone > id(7));
    let asked = world.pool.asked();
    assert!(!asked.is_empty() && asked.iter().all(is_of_the_others), "unknown is no reason to grow either: {asked:?}");
    let report = world.run().await.unwrap();
    assert_eq!(report.seen.unhealthy, 7);
    assert!(report.counts.troubles >= 7 && report.findings.len() >= 7, "{:?}", report.findings);
    assert_eq!(world.pool.now(GROUP).unwrap().members.len(), 9, "they are told, and not ended");
}

#[tokio::test]
async fn half_of_the_members_unreachable_keeps_the_other_half() {
    let mut world = World::new(&idle(6));
    world.run().await.unwrap();
    for member in 1..=3 {
        world.pool.show(&id(member), runnerless_aws_ec2::Machine { address: None, launched_at: support::T0 });
    }
    for _ in 0..8 {
        let report = world.run().await.unwrap();
        assert_eq!((report.seen.unknown, report.seen.busy), (3, 12), "{report:?}");
    }
    let retired: Vec<_> = world.pool.asked();
    let of_the_silent = |asked: &&Asked| matches!(asked, Asked::Retire(gone, _) if *gone <= id(3));
    assert_eq!(retired.iter().find(of_the_silent), None);
}

#[tokio::test]
async fn a_throttled_growth_is_a_failure_by_name_and_the_next_run_asks_again() {
    let mut world = World::new(&busy(1));
    world.pool.trouble(PoolOperation::SetDesiredCapacity, Trouble::Throttled);
    let error = world.run().await.unwrap_err();
    assert_eq!(error.name(), "Pool.NothingDone");
    assert_eq!(world.pool.now(GROUP).unwrap().desired, 1);
    let report = world.run().await.unwrap();
    assert_eq!((report.counts.grown, report.counts.failed), (1, 0));
    assert_eq!(world.pool.asked(), vec![Asked::Desired(2); 2]);
}

#[tokio::test]
async fn a_growth_whose_answer_was_lost_is_not_asked_for_twice() {
    let mut world = World::new(&busy(1));
    world.pool.trouble(PoolOperation::SetDesiredCapacity, Trouble::LostAnswer);
    assert_eq!(world.run().await.unwrap_err().name(), "Pool.NothingDone", "nobody knows that it was done");
    let report = world.run().await.unwrap();
    assert_eq!((world.pool.now(GROUP).unwrap().desired, world.pool.asked().len()), (2, 1), "{report:?}");
}

#[tokio::test]
async fn of_two_runs_one_decides_and_the_other_leaves() {
    let mut world = World::new(&busy(1));
    world.ledger.conflict(1);
    let report = world.run().await.unwrap();
    assert!(report.lost && world.pool.asked().is_empty(), "{report:?}");
    assert_eq!((results(&report), report.counts.grown), (vec!["left"], 0));
    assert_eq!(world.ledger.item(&pool_pk(GROUP)), None);
}

#[tokio::test]
async fn what_cannot_be_remembered_is_not_done() {
    let mut world = World::new(&busy(1));
    world.ledger.lose_answers(1);
    assert_eq!(world.run().await.unwrap_err().name(), "Ledger.Unavailable");
    world.ledger.fail(true);
    assert_eq!(world.run().await.unwrap_err().name(), "Ledger.Unavailable");
    world.ledger.fail(false);
    assert!(world.pool.asked().is_empty());
    let item = json!({"pk": pool_pk(GROUP), "rev": 3, "group": 7});
    world.ledger.put(item.as_object().unwrap().clone());
    assert_eq!(world.run().await.unwrap_err().name(), "Ledger.BadRow");
    assert_eq!(world.ledger.item(&pool_pk(GROUP)).unwrap()["rev"], 3, "it is left alone");
    assert!(world.pool.asked().is_empty());
}

#[tokio::test]
async fn auto_scaling_and_ec2_out_of_reach_are_errors_and_a_group_that_is_gone_has_a_name() {
    let mut world = World::new(&busy(1));
    for (operation, trouble, name) in [
        (PoolOperation::DescribeAutoScalingGroups, Trouble::NoAnswer, "Scaling.Unavailable"),
        (PoolOperation::DescribeAutoScalingGroups, Trouble::Refused, "Scaling.Refused"),
        (PoolOperation::DescribeInstances, Trouble::Throttled, "Scaling.Throttled"),
    ] {
        world.pool.trouble(operation, trouble);
        assert_eq!(world.run().await.unwrap_err().name(), name);
    }
    assert!(world.pool.asked().is_empty());
    world.pool = Arc::default();
    assert_eq!(world.run().await.unwrap_err().name(), "Pool.NoGroup");
}

#[tokio::test]
async fn the_group_is_kept_from_ending_members_before_one_is_let_go() {
    let mut world = World::new(&idle(3));
    world.change(|group| {
        group.suspended.clear();
        group.members[0].protected = false;
    });
    let report = world.run().await.unwrap();
    assert_eq!(world.pool.asked(), [Asked::Suspend("AZRebalance".to_owned()), Asked::Protect(vec![id(1)])]);
    assert_eq!((results(&report), report.counts.done), (vec!["done"; 3], 2));
    for _ in 2..=4 {
        world.run().await.unwrap();
    }
    let before = world.pool.asked().len();
    world.change(|group| group.suspended.clear());
    world.pool.trouble(PoolOperation::SuspendProcesses, Trouble::Refused);
    let error = world.run().await.unwrap_err();
    assert_eq!(error.name(), "Pool.NothingDone");
    assert_eq!(world.pool.asked()[before..], [Asked::Suspend("AZRebalance".to_owned())], "none is let go meanwhile");
    // Whoever was named is not named again at once.
    for _ in 6..=9 {
        world.run().await.unwrap();
    }
    assert!(world.pool.asked().iter().any(|asked| matches!(asked, Asked::Retire(..))), "and then one is");
}

#[tokio::test]
async fn a_desired_capacity_that_was_raised_meanwhile_is_not_lowered() {
    let mut world = World::new(&busy(1));
    let pool = Arc::clone(&world.pool);
    let raise = move || {
        let mut group = pool.now(GROUP).unwrap();
        group.desired = 9;
        pool.put(group);
    };
    world.say(1, Says::First(Arc::new(raise), Box::new(Says::Jobs(4, 4, 9))));
    let report = world.run().await.unwrap();
    assert_eq!((results(&report), report.counts.grown), (vec!["not_needed"], 0), "{report:?}");
    assert_eq!(world.pool.now(GROUP).unwrap().desired, 9);
}

#[tokio::test]
async fn a_dry_run_decides_and_does_nothing() {
    let world = World::new(&busy(1));
    let report = world.again(true).await.unwrap();
    assert_eq!((results(&report), report.dry_run), (vec!["planned"], true));
    assert!(world.pool.asked().is_empty() && world.ledger.items().is_empty());
}

#[tokio::test]
async fn a_member_that_ran_a_job_between_two_runs_is_not_idle() {
    let mut world = World::new(&idle(2));
    for total in 9..20 {
        world.say(1, Says::Jobs(0, 4, total));
        world.say(2, Says::Jobs(0, 4, total));
        world.run().await.unwrap();
    }
    assert!(world.pool.asked().is_empty(), "{:?}", world.pool.asked());
    let MemberMemory { idle, .. } = row(&world).await.memory.members[&id(1)];
    assert_eq!(idle, 1);
}

/// What a proxy of the environment would take, if somebody asked it.
#[test]
fn metrics_are_read_past_every_proxy() {
    // Nobody listens there: whoever goes by it gets nothing.
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "a_busy_pool_grows_at_once_and_what_was_seen_is_remembered"]);
    let ran = again.envs(proxies.map(|name| (name, "http://127.0.0.1:9"))).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_events_of_the_folder_are_requests() {
    let read = |text: &str| serde_json::from_str::<Request>(text).unwrap();
    assert!(!read(include_str!("../../../../events/scaler/schedule.json")).dry_run);
    assert!(read(include_str!("../../../../events/scaler/dry-run.json")).dry_run);
}
