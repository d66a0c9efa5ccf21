//! From a stored job to its launch, over ports in memory.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod support;

use runnerless_aws::AwsError;
use runnerless_aws::Service;
use runnerless_aws::ports::Invoked;
use runnerless_core::event::LaunchEvent;
use runnerless_core::fleet::Market;
use runnerless_core::frozen::FrozenFleet;
use runnerless_core::job::JobState;
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::LaunchState;
use runnerless_core::limits;
use runnerless_core::live::Caps;
use runnerless_core::route::DefaultRoute;
use runnerless_core::time::Millis;
use runnerless_router::{Answer, Request, Routed, Rules, handle};
use serde_json::{Value, json};
use support::{EXECUTOR, OTHER, T0, World, after, key, rules, rules_with_instances};

fn unavailable() -> AwsError {
    AwsError::Unavailable { service: Service::Invoke, operation: "Invoke", source: "no answer".into() }
}

#[tokio::test]
async fn a_job_without_a_row_is_launched_on_the_default_route() {
    let (world, rules) = (World::default(), rules());
    world.hook(5_000_000_001, "unit", "pending", T0).await;
    let request: Request = serde_json::from_str(include_str!("../../../../events/router/route.json")).unwrap();
    let routed = handle(&request, &world, &rules, T0).await.unwrap();
    assert_eq!(Answer::from(&routed).outcome, "launched");
    let launch = world.launch(5_000_000_001).await;
    assert_eq!(launch.state, LaunchState::Starting);
    let [started] = &world.invoker.started()[..] else { panic!("one invocation") };
    assert_eq!(started.function, EXECUTOR);
    assert_eq!(started.tenant.as_deref(), Some(launch.launch.as_str()), "the executor isolates tenants");
    let payload: Value = serde_json::from_str(&started.payload).unwrap();
    let event = LaunchEvent::read(&payload).unwrap();
    assert_eq!(event.launch, launch.launch);
    assert_eq!(event.nonce.sha256(), launch.nonce_sha256);
    assert_eq!(event.job_hint.unwrap().name, "unit");
    let system_id = launch.system_id.strip_prefix("r_").expect("a random system id");
    assert!(system_id.len() == 12 && system_id.chars().all(|c| c.is_ascii_alphanumeric()), "{system_id}");
}

#[tokio::test]
async fn of_many_routers_for_one_job_one_charges_and_one_invokes() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    let router = world.router(&rules);
    for _ in 0..50 {
        router.route(key(1), T0).await.unwrap();
    }
    assert_eq!(world.invoker.started().len(), 1);
    assert_eq!(world.job(1).await.attempt, 1);
}

/// Each is made for every job.
#[tokio::test]
async fn nothing_is_read_that_decides_nothing() {
    let (world, rules) = (World::default(), rules());
    world.invoker.deploy(OTHER, false);
    let row = |pk: &str| json!({"pk": pk, "sk": "tags#py", "type": "LAMBDA", "arn": OTHER});
    world.mapping.put(row("job#lint"));
    world.mapping.put(row("job#lint 1/2"));
    let routes = async |job: u64, name: &str| {
        world.hook(job, name, "pending", T0).await;
        let before = (world.mapping.reads(), world.ledger.calls());
        assert!(matches!(world.router(&rules).route(key(job), T0).await.unwrap(), Routed::Launched { .. }));
        (world.mapping.reads() - before.0, world.ledger.calls() - before.1)
    };
    // The job's row with the counts, the charge, and that its function was asked for.
    assert_eq!(routes(1, "lint").await, (1, 3), "its own row is the most specific");
    assert_eq!(routes(2, "lint 1/2").await, (1, 3));
    assert_eq!(routes(3, "lint 2/2").await, (2, 3), "its base name's");
    assert_eq!(routes(4, "unit").await, (2, 4), "no row and no pattern: what the default route learned");
}

#[tokio::test]
async fn a_router_that_meets_a_conflict_decides_again_and_finds_the_other_ones_launch() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.ledger.conflict(1);
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Launched { .. }));
    assert_eq!(world.invoker.started().len(), 1);
    world.ledger.conflict(100);
    world.hook(2, "unit", "pending", T0).await;
    world.ledger.conflict(0);
    world.hook(2, "unit", "pending", T0).await;
    world.ledger.conflict(100);
    assert!(world.router(&rules).route(key(2), T0).await.is_err(), "it gives up in the end");
}

#[tokio::test]
async fn a_row_with_an_arn_gets_its_function_without_a_tenant_unless_it_isolates() {
    for isolates in [false, true] {
        let (world, rules) = (World::default(), rules());
        world.invoker.deploy(OTHER, isolates);
        let row = json!({"pk": "job#lint", "sk": "tags#py", "type": "LAMBDA", "arn": OTHER, "tenancy": isolates});
        world.mapping.put(row);
        world.hook(1, "lint", "pending", T0).await;
        world.router(&rules).route(key(1), T0).await.unwrap();
        let [started] = &world.invoker.started()[..] else { panic!("one invocation") };
        assert_eq!((started.function.as_str(), started.tenant.is_some()), (OTHER, isolates));
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_used_never_loses_the_job() {
    for row in [
        json!({"pk": "job#lint", "sk": "tags#py", "type": "LAMBDA"}),
        json!({"pk": "job#lint", "sk": "tags#py", "type": "EC2"}),
        json!({"pk": "job#lint", "sk": "tags#py", "type": "ROCKET"}),
    ] {
        let (world, rules) = (World::default(), rules());
        world.mapping.put(row.clone());
        world.hook(1, "lint", "pending", T0).await;
        world.router(&rules).route(key(1), T0).await.unwrap();
        assert_eq!(world.invoker.started()[0].function, EXECUTOR, "{row}");
    }
}

#[tokio::test]
async fn a_target_that_refuses_costs_no_attempt_and_the_default_route_serves() {
    let (world, rules) = (World::default(), rules());
    // Its function is not there.
    world.mapping.put(json!({"pk": "job#lint", "sk": "tags#py", "type": "LAMBDA", "arn": OTHER}));
    world.hook(1, "lint", "pending", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Launched { .. }));
    assert_eq!(world.invoker.started()[0].function, EXECUTOR);
    assert_eq!(world.job(1).await.fruitless, 0);
}

#[tokio::test]
async fn a_throttle_holds_the_job_without_burning_an_attempt() {
    let (world, rules) = (World::default(), rules());
    world.invoker.answer(Ok(Invoked::Throttled));
    world.hook(1, "unit", "pending", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Held { .. }));
    let job = world.job(1).await;
    assert_eq!((job.state, job.fruitless, job.charge), (JobState::Waiting, 0, None));
}

#[tokio::test]
async fn an_unknown_outcome_keeps_the_frozen_request_and_repeats_exactly_that() {
    let (world, rules) = (World::default(), rules());
    world.invoker.answer(Err(unavailable()));
    world.hook(1, "unit", "pending", T0).await;
    let error = world.router(&rules).route(key(1), T0).await.unwrap_err();
    assert_eq!(error.name(), "Invoke.Unavailable");
    let frozen = world.launch(1).await.request.expect("the request is kept");
    assert!(matches!(world.router(&rules).route(key(1), after(2)).await.unwrap(), Routed::Already(_)));
    assert!(world.invoker.started().is_empty(), "its charging router may still be at it");
    assert!(matches!(world.router(&rules).route(key(1), after(11)).await.unwrap(), Routed::Launched { .. }));
    let [started] = &world.invoker.started()[..] else { panic!("one invocation") };
    assert_eq!(started.payload, frozen);
    assert!(started.tenant.is_some(), "with the same tenant");
    assert_eq!(world.job(1).await.attempt, 1);
}

#[tokio::test]
async fn caps_hold_back_and_forget_nothing() {
    let (world, mut rules) = (World::default(), rules());
    rules.caps = Caps { lane: 2, stack: 400 };
    for job in 1..=3 {
        world.hook(job, "unit", "pending", T0).await;
        world.router(&rules).route(key(job), T0).await.unwrap();
    }
    assert_eq!(world.invoker.started().len(), 2);
    let held = world.job(3).await;
    assert_eq!(held.state, JobState::Waiting);
    assert!(held.reason.contains("cap") && held.due.next_check_at.is_some(), "{}", held.reason);
}

#[tokio::test]
async fn a_job_whose_tags_no_lane_covers_is_not_ours() {
    let (mut world, rules) = (World::default(), rules());
    let api = runnerless_gitlab::rest::fake::FakeJobs::default();
    api.put(support_job(1, &["windows"]));
    world.api = Some(api);
    world.hook(1, "unit", "pending", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::NotOurs(_)));
    assert_eq!(world.job(1).await.state, JobState::NotOurs);
    assert!(world.invoker.started().is_empty());
}

fn support_job(job: u64, tags: &[&str]) -> runnerless_gitlab::rest::ApiJob {
    runnerless_gitlab::rest::ApiJob {
        key: key(job),
        status: runnerless_core::status::JobStatus::Pending,
        tags: Some(runnerless_core::lane::TagSet::new(tags).unwrap()),
        runner: None,
        system_id: None,
        name: "unit".into(),
        stage: "test".into(),
        git_ref: "main".into(),
        created_at: Some(T0),
    }
}

#[tokio::test]
async fn tags_that_cannot_be_asked_for_cost_no_launch() {
    let (mut world, rules) = (World::default(), rules());
    let api = runnerless_gitlab::rest::fake::FakeJobs::default();
    api.fail(Some(503));
    world.api = Some(api);
    world.hook(1, "unit", "pending", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Launched { .. }));
}

#[tokio::test]
async fn a_job_that_gitlab_says_is_over_is_not_launched_for() {
    let (mut world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    let api = runnerless_gitlab::rest::fake::FakeJobs::default();
    let over = runnerless_core::status::JobStatus::Ended("canceled");
    api.put(runnerless_gitlab::rest::ApiJob { status: over, ..support_job(1, &[]) });
    world.api = Some(api);
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Already(_)));
    assert_eq!(world.job(1).await.state, JobState::Ended, "the hook that said so was lost");
    assert!(world.invoker.started().is_empty());
}

#[tokio::test]
async fn a_try_that_went_through_before_a_throttle_is_not_ended() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.invoker.answer(Err(unavailable()));
    assert!(world.router(&rules).route(key(1), T0).await.is_err());
    let launch = world.launch(1).await;
    let book = runnerless_aws::book::Book(&world.ledger);
    book.begin(&launch.launch, &launch.nonce_sha256, "c", after(1)).await.unwrap();
    world.invoker.answer(Ok(Invoked::Throttled));
    let launched = runnerless_router::start_target(&world, &launch, after(11)).await.unwrap();
    assert!(matches!(launched, runnerless_router::Launched::UnderWay), "{launched:?}");
    assert_eq!(world.launch(1).await.state, LaunchState::Polling);
}

#[tokio::test]
async fn the_default_route_learns_what_foreign_runners_take() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "deploy", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    world.hook(1, "deploy", "running", after(1)).await;
    assert_eq!(world.job(1).await.state, JobState::Foreign);
    world.hook(1, "deploy", "success", after(9)).await;
    world.hook(2, "deploy", "pending", after(60)).await;
    let held = world.router(&rules).route(key(2), after(60)).await.unwrap();
    assert!(matches!(held, Routed::Held { until, .. } if until == after(180)), "{held:?}");
    assert_eq!(world.invoker.started().len(), 1);
    assert!(matches!(world.router(&rules).route(key(2), after(180)).await.unwrap(), Routed::Launched { .. }));
    let launch = world.launch(2).await;
    let book = runnerless_aws::book::Book(&world.ledger);
    book.begin(&launch.launch, &launch.nonce_sha256, "c", after(181)).await.unwrap();
    book.bind(&launch.launch, key(3), after(182)).await.unwrap();
    let again = world.router(&rules).route(key(2), after(183)).await.unwrap();
    assert!(matches!(again, Routed::Launched { .. }), "its launch was taken, and it waited its time before: {again:?}");
}

#[tokio::test]
async fn a_job_that_ended_or_runs_or_is_unknown_needs_nothing() {
    let (world, rules) = (World::default(), rules());
    assert!(matches!(world.router(&rules).route(key(9), T0).await.unwrap(), Routed::Nothing(_)));
    world.hook(1, "unit", "canceled", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Already(_)));
    assert!(world.invoker.started().is_empty());
}

#[tokio::test]
async fn a_lane_of_instances_is_charged_with_its_frozen_requests_and_left_to_the_provisioner() {
    let (world, rules) = (World::default(), rules_with_instances());
    world.mapping.put(json!({"pk": "job#image", "sk": "tags#docker", "type": "EC2", "timeout_s": 900,
        "instance_types": ["c7i.large"], "disk_gb": 60}));
    world.hook(1, "image", "pending", T0).await;
    let routed = world.router(&rules).route(key(1), T0).await.unwrap();
    let launch = world.launch(1).await;
    let answer = serde_json::to_value(Answer::from(&routed)).unwrap();
    assert_eq!((&answer["outcome"], &answer["launch"]), (&json!("provision"), &json!(launch.launch)));
    assert!(world.invoker.started().is_empty(), "no function is invoked");
    assert_eq!((launch.engine, launch.state), (Engine::Ec2, LaunchState::Charged));
    assert_eq!(launch.nonce_sha256, "", "nobody speaks for it before its instance is known");
    assert_eq!(launch.system_id, format!("r_{}", &launch.launch.as_str()[2..14]), "one of its own");
    assert_eq!(launch.deadline, T0 + limits::ec2_deadline(Some(Millis::secs(900))));
    let frozen = FrozenFleet::read(launch.request.as_deref().unwrap()).unwrap();
    let request = frozen.next();
    assert_eq!((request.market, request.disk_gb, request.pools.len()), (Market::Spot, Some(60), 2));
    assert_eq!(request.tags["runnerless:launch"], launch.launch.as_str());
    assert_eq!(request.tags["runnerless:expires"], launch.deadline.0.to_string());
    assert_eq!(frozen.rest().expect("on demand").next().market, Market::OnDemand);
    // A doubled event, or a router whose answer was lost: the same launch, which may be provisioned any number of times.
    let again = world.router(&rules).route(key(1), T0).await.unwrap();
    assert_eq!(Answer::from(&again).launch, Some(launch.launch));
    assert_eq!(world.job(1).await.attempt, 1);
}

#[tokio::test]
async fn an_instances_lane_that_cannot_be_read_holds_its_job_and_says_why() {
    let (mut world, rules) = (World::default(), rules_with_instances());
    let api = runnerless_gitlab::rest::fake::FakeJobs::default();
    api.put(support_job(1, &["docker"]));
    world.api = Some(api);
    world.mapping.put(json!({"pk": "lanes", "sk": "tags#docker", "type": "EC2", "target": "large"}));
    world.hook(1, "unit", "pending", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Held { .. }));
    let held = world.job(1).await;
    assert_eq!((held.state, held.charge), (JobState::Waiting, None));
    assert!(held.reason.contains("large"), "{}", held.reason);
}

#[tokio::test]
async fn the_default_route_may_be_instances() {
    let world = World::default();
    let lane = Lane { tags: TagSet::default(), engine: Engine::Ec2, target: "//".into(), run_untagged: true };
    let rules = Rules { default: DefaultRoute::Lane(lane), ..rules_with_instances() };
    world.hook(1, "unit", "pending", T0).await;
    assert!(matches!(world.router(&rules).route(key(1), T0).await.unwrap(), Routed::Provision { .. }));
    assert_eq!(world.launch(1).await.deadline, T0 + limits::ec2_deadline(None));
}
