//! From a charged launch to its instance, over ports in memory.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod support;

use runnerless_aws_ec2::fake::{Operation, Scripted, Trouble};
use runnerless_core::fleet::Market;
use runnerless_core::id::JobKey;
use runnerless_core::job::JobState;
use runnerless_core::launch::LaunchState;
use runnerless_core::limits;
use runnerless_core::moves::Evidence;
use runnerless_lambda_kit::Named as _;
use runnerless_provisioner::{Answer, Provisioned, Request, handle};
use support::{T0, World, after, key};

#[tokio::test]
async fn a_charged_launch_gets_its_instance_which_is_recorded() {
    let world = World::with_launch().await;
    let request: Request = serde_json::from_str(include_str!("../../../../events/provisioner/provision.json")).unwrap();
    let answer = handle(&request, &world.provisioner()).await.unwrap();
    let [instance] = &world.fleet.alive()[..] else { panic!("one instance") };
    assert_eq!(
        answer,
        Answer { outcome: "under_way", instance: Some(instance.clone()), reason: answer.reason.clone() }
    );
    let launch = world.launch().await;
    assert_eq!((launch.state, launch.instance_id.as_ref()), (LaunchState::Starting, Some(instance)));
    assert_eq!(world.fleet.requests()[0].tags["runnerless:launch"], launch.launch.as_str());
    assert_eq!(world.fleet.requests()[0].tags["runnerless:expires"], launch.deadline.0.to_string());
}

/// Each is made for every launch of an instance. The job that the request names spares a read, and decides nothing.
#[tokio::test]
async fn the_job_that_is_named_is_read_with_the_launch_and_relied_on() {
    let another = JobKey { project: 41, job: 9 };
    for (about, calls) in [(Some(key()), 2), (Some(another), 3), (None, 3)] {
        let world = World::with_launch().await;
        let before = world.ledger.calls();
        let provisioned = world.provisioner().provision(&world.launch_id, about).await.unwrap();
        assert!(matches!(provisioned, Provisioned::UnderWay { .. }), "{provisioned:?}");
        assert_eq!(world.ledger.calls() - before, calls, "{about:?}");
    }
    // It was read before the request was sent: what became of it meanwhile is seen all the same.
    let world = World::with_launch().await;
    world.on_launch(|world| world.hook_now("canceled"));
    let provisioned = world.provisioner().provision(&world.launch_id, Some(key())).await.unwrap();
    assert!(matches!(provisioned, Provisioned::Withdrawn(_)), "{provisioned:?}");
    assert_eq!((world.fleet.alive().len(), world.launch().await.state), (0, LaunchState::Closed));
}

#[tokio::test]
async fn doubled_calls_start_one_instance() {
    let world = World::with_launch().await;
    for _ in 0..5 {
        world.provision().await.unwrap();
    }
    assert_eq!((world.fleet.alive().len(), world.fleet.requests().len()), (1, 1));
    // Two that send before either writes: EC2 gives both the same instance, and the slower one meets the record.
    let world = World::with_launch().await;
    world.on_launch(|world| {
        let inner = support::now_or_never(world.provision()).unwrap();
        assert!(matches!(inner, Provisioned::UnderWay { .. }), "{inner:?}");
    });
    assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }));
    assert_eq!((world.fleet.alive().len(), world.fleet.requests().len()), (1, 2));
    assert!(world.fleet.terminations().is_empty(), "the launch's own instance is no surplus");
}

#[tokio::test]
async fn a_slow_answer_about_spot_does_not_end_what_was_started_on_demand() {
    let world = World::with_launch().await;
    world.fleet.script(Scripted::Answer { instances: 0, codes: vec!["InsufficientInstanceCapacity"] });
    world.on_launch(|world| {
        let inner = support::now_or_never(world.provision()).unwrap();
        assert!(matches!(inner, Provisioned::UnderWay { .. }), "{inner:?}");
    });
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Unsure(_)));
    assert_eq!(world.fleet.alive().len(), 1);
    assert_eq!(world.launch().await.instance_id, Some(world.fleet.alive()[0].clone()));
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_the_same_request_and_token() {
    for lost in [Scripted::LostAnswer, Scripted::NoAnswer] {
        let world = World::with_launch().await;
        world.fleet.script(lost.clone());
        let error = world.provision().await.unwrap_err();
        assert_eq!(error.name(), "Fleet.Unavailable");
        assert_eq!(world.launch().await.state, LaunchState::Charged, "nobody knows: it stays as it is");
        world.clock.set(after(60));
        assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }), "{lost:?}");
        let [first, second] = &world.fleet.requests()[..] else { panic!("two requests") };
        assert_eq!(first, second);
        assert_eq!(world.fleet.alive().len(), 1, "{lost:?}");
    }
}

#[tokio::test]
async fn a_crash_between_the_answer_and_the_record_starts_nothing_twice() {
    let world = World::with_launch().await;
    world.on_launch(|world| world.ledger.fail(true));
    world.provision().await.unwrap_err();
    assert_eq!(world.fleet.alive().len(), 1);
    world.ledger.fail(false);
    world.provision().await.unwrap();
    let [instance] = &world.fleet.alive()[..] else { panic!("one instance") };
    assert_eq!(world.launch().await.instance_id.as_ref(), Some(instance));
}

#[tokio::test]
async fn an_empty_spot_market_is_left_for_on_demand_at_once() {
    let world = World::with_launch().await;
    world.fleet.dry(Market::Spot, Some("InsufficientInstanceCapacity"));
    assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }));
    let markets: Vec<Market> = world.fleet.requests().iter().map(|request| request.market).collect();
    assert_eq!(markets, [Market::Spot, Market::OnDemand]);
    assert_eq!(world.fleet.alive().len(), 1);
}

#[tokio::test]
async fn a_provisioner_that_dies_between_the_markets_is_followed_by_one_on_demand() {
    let world = World::with_launch().await;
    world.fleet.dry(Market::Spot, Some("InsufficientInstanceCapacity"));
    world.fleet.script(Scripted::Answer { instances: 0, codes: vec!["InsufficientInstanceCapacity"] });
    world.fleet.script(Scripted::NoAnswer);
    world.provision().await.unwrap_err();
    world.clock.set(after(60));
    assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }));
    let markets: Vec<Market> = world.fleet.requests().iter().map(|request| request.market).collect();
    assert_eq!(markets, [Market::Spot, Market::OnDemand, Market::OnDemand], "spot is not asked again");
}

#[tokio::test]
async fn no_capacity_anywhere_holds_the_job_without_burning_an_attempt() {
    let world = World::with_launch().await;
    for market in [Market::Spot, Market::OnDemand] {
        world.fleet.dry(market, Some("InsufficientInstanceCapacity"));
    }
    let Provisioned::Held { until, reason } = world.provision().await.unwrap() else { panic!("not held") };
    assert!(reason.contains("InsufficientInstanceCapacity"), "{reason}");
    let job = world.job().await;
    assert_eq!((job.state, job.fruitless, job.due.next_check_at), (JobState::Waiting, 0, Some(until)));
    assert_eq!(until, T0 + limits::EC2_FULL_RETRY);
    assert_eq!(world.launch().await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_request_that_cannot_work_is_an_error_and_the_job_waits() {
    let world = World::with_launch().await;
    world.fleet.script(Scripted::Refused("UnauthorizedOperation"));
    let request = Request::Provision { launch: world.launch().await.launch, job: None };
    let error = handle(&request, &world.provisioner()).await.unwrap_err();
    assert_eq!(error.name(), "Fleet.Refused");
    assert!(error.to_string().contains("UnauthorizedOperation"), "{error}");
    assert_eq!(world.job().await.due.next_check_at, Some(T0 + limits::TROUBLE_RETRY));
}

#[tokio::test]
async fn a_job_that_ends_while_ec2_answers_takes_its_instance_with_it() {
    let world = World::with_launch().await;
    world.on_launch(|world| world.hook_now("canceled"));
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Withdrawn(_)));
    assert_eq!(world.fleet.terminations().len(), 1);
    assert!(world.fleet.alive().is_empty());
    let launch = world.launch().await;
    assert_eq!(launch.state, LaunchState::Closed);
    assert_eq!(launch.instance_id, Some(world.fleet.terminations()[0].clone()), "what was started is on record");
}

#[tokio::test]
async fn a_launch_is_closed_before_its_instance_is_terminated() {
    let world = World::with_launch().await;
    world.on_launch(|world| world.hook_now("canceled"));
    world.fleet.lag(1);
    world.fleet.trouble(Operation::TerminateInstances, Trouble::NoAnswer);
    world.provision().await.unwrap_err();
    let launch = world.launch().await;
    assert_eq!(launch.state, LaunchState::Closing, "its runner can bind nothing any more");
    assert_eq!(world.fleet.alive().len(), 1);
    // Whoever comes next goes on, also where EC2 does not show the instance yet.
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Withdrawn(_)));
    assert!(world.fleet.alive().is_empty());
    assert_eq!(world.launch().await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_repeat_for_a_job_that_ended_finds_what_a_lost_answer_left() {
    let world = World::with_launch().await;
    world.fleet.script(Scripted::LostAnswer);
    world.provision().await.unwrap_err();
    world.hook_now("canceled");
    world.clock.set(after(60));
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Withdrawn(_)));
    assert_eq!((world.fleet.alive().len(), world.fleet.requests().len()), (0, 1), "nothing more is started");
    assert_eq!(world.launch().await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_launch_that_is_closed_and_concluded_meanwhile_leaves_no_instance() {
    let world = World::with_launch().await;
    world.on_launch(|world| {
        let id = world.launch_id.clone();
        let book = runnerless_aws::book::Book(&world.ledger);
        support::now_or_never(book.close(&id, Evidence::RowOnly, "the test", T0)).unwrap();
        let end = runnerless_core::moves::End::Fruitless("the test".into());
        support::now_or_never(book.conclude(&id, &end, T0)).unwrap();
    });
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Withdrawn(_)));
    assert!(world.fleet.alive().is_empty());
}

#[tokio::test]
async fn a_token_that_ec2_knows_from_another_request_is_resolved_by_the_tag() {
    let world = World::with_launch().await;
    let launch = world.launch().await;
    let instance = world.foreign_use_of_the_token(Some(&launch.launch)).await;
    assert_eq!(world.provision().await.unwrap(), Provisioned::UnderWay { instance: instance.clone() });
    assert_eq!(world.launch().await.instance_id, Some(instance));
    // Another stack's: no instance of this launch is there.
    let world = World::with_launch().await;
    let theirs = world.foreign_use_of_the_token(None).await;
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Unsure(_)));
    assert_eq!(world.launch().await.state, LaunchState::Charged);
    world.clock.set(after(60));
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Refused(_)));
    assert_eq!((world.job().await.state, world.job().await.fruitless), (JobState::Waiting, 0));
    assert_eq!(world.fleet.alive(), [theirs], "and theirs is left alone");
}

#[tokio::test]
async fn an_instance_that_only_carries_the_launchs_tags_is_neither_taken_nor_ended() {
    let world = World::with_launch().await;
    let (theirs, alike) = (world.foreign_use_of_the_token(None).await, world.look_alike().await);
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Unsure(_)));
    assert_eq!(world.launch().await.instance_id, None);
    world.hook_now("canceled");
    world.clock.set(after(60));
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Withdrawn(_)));
    assert!(world.fleet.terminations().is_empty());
    assert_eq!(world.fleet.alive().len(), [theirs, alike].len());
}

#[tokio::test]
async fn surplus_is_ended_and_what_cannot_be_ended_costs_nobody_his_launch() {
    for trouble in [None, Some(Trouble::Throttled)] {
        let world = World::with_launch().await;
        world.fleet.script(Scripted::Answer { instances: 3, codes: vec!["InsufficientInstanceCapacity"] });
        trouble.into_iter().for_each(|trouble| world.fleet.trouble(Operation::TerminateInstances, trouble));
        let Provisioned::UnderWay { instance } = world.provision().await.unwrap() else { panic!("no instance") };
        assert!(world.fleet.alive().contains(&instance));
        assert_eq!(world.fleet.alive().len(), if trouble.is_some() { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_launch_of_another_kind_or_none_is_left_alone() {
    let world = World::default();
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Nothing(_)));
    let world = World::with_launch().await;
    world.clock.set(T0 + limits::EC2_CHARGE_LEASE);
    assert!(matches!(world.provision().await.unwrap(), Provisioned::Nothing(_)), "the sweep ends it");
    assert!(world.fleet.requests().is_empty());
    assert_eq!(world.job().await.key(), key());
}
