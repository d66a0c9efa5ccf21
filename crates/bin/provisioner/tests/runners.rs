//! Launches that get a runner of their own at GitLab, over ports in memory.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod support;

use runnerless_aws::book::Book;
use runnerless_aws::launch_token;
use runnerless_aws_ec2::fake::Scripted;
use runnerless_core::fleet::Market;
use runnerless_core::job::JobState;
use runnerless_core::launch::LaunchState;
use runnerless_core::limits;
use runnerless_core::moves::{End, Evidence};
use runnerless_core::official::Official;
use runnerless_core::time::Millis;
use runnerless_gitlab::protocol::Made;
use runnerless_instances::Cleared;
use runnerless_provisioner::Provisioned;
use support::{T0, World, after};

const OWN: &str = "///own-runner";
const REGISTRATION: &str = "GR1348941of-the-project";

/// A launch of a lane with this target and token, with an API token that may make runners.
async fn with_rights(target: &str, token: &str) -> World {
    let world = World::of_lane(target, Some(token)).await;
    world.parameters.put("/r/control/ApiToken", "glpat-api");
    world.parameters.put("/r/control/RunnerScope", "group/12");
    world.gitlab.allow_api("glpat-api");
    world.gitlab.allow_registration(REGISTRATION);
    world
}

/// Both ways to a runner of its own.
async fn both() -> [World; 2] {
    [with_rights(OWN, "glrt-of-the-lane").await, with_rights("//", REGISTRATION).await]
}

#[tokio::test]
async fn a_launch_has_its_runner_before_its_instance_and_nobody_else_has_it() {
    for world in both().await {
        assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }));
        let launch = world.launch().await;
        let own = launch.own_runner.as_ref().unwrap();
        assert_eq!(world.gitlab.made(), [(own.id.unwrap(), format!("runnerless {}", launch.launch))]);
        let named = &world.ledger.items()[&format!("runner#{}", own.id.unwrap())];
        assert_eq!(named["launch"].as_str(), Some(launch.launch.as_str()), "hooks name it by its id");
        let token = launch_token(&world.parameters, "/r", &launch).await.unwrap();
        assert!(token.contains("made") && !format!("{launch:?}").contains(token.as_str()));
        let stored = serde_json::to_string(&launch).unwrap();
        assert!(!stored.contains(token.as_str()) && !stored.contains(REGISTRATION), "{stored}");
        let sent = format!("{:?}", world.fleet.requests());
        assert!(!sent.contains(token.as_str()) && !sent.contains(REGISTRATION), "nothing secret reaches EC2: {sent}");
        for _ in 0..3 {
            world.provision().await.unwrap();
        }
        assert_eq!(world.gitlab.made().len(), 1, "one launch, one runner");

        Book(&world.ledger).conclude(&launch.launch, &End::Fruitless("no job came".into()), after(60)).await.unwrap();
        assert!(matches!(world.sweep(after(60)).await, Cleared::Now(_)));
        assert!(world.gitlab.made().is_empty() && world.fleet.alive().is_empty());
        let closed = world.launch().await;
        assert_eq!((closed.state, closed.own_runner.unwrap().token), (LaunchState::Closed, None));
    }
}

#[tokio::test]
async fn a_lane_with_a_runners_token_asks_gitlab_for_nothing_and_its_parameter_is_read_once() {
    let world = World::with_launch().await;
    world.provision().await.unwrap();
    assert_eq!((world.gitlab.calls(), world.parameters.reads()), (0, 1));
    assert_eq!(world.launch().await.own_runner, None);
    let mut next = World::with_launch().await;
    next.shared = world.shared;
    assert!(matches!(next.provision().await.unwrap(), Provisioned::UnderWay { .. }));
    assert_eq!(next.parameters.reads(), 0);
}

#[tokio::test]
async fn without_the_right_to_make_one_nothing_is_started_and_the_reason_names_the_cure() {
    let none = World::of_lane("//", None).await;
    let no_api = World::of_lane(OWN, Some("glrt-of-the-lane")).await;
    let bad_scope = with_rights(OWN, "glrt-of-the-lane").await;
    bad_scope.parameters.put("/r/control/RunnerScope", "acme");
    let stranger = with_rights("//", "GR1348941of-nobody").await;
    for (world, named) in [
        (none, "RegistrationToken"),
        (no_api, "/r/control/RunnerScope"),
        (bad_scope, "group/<group id>"),
        (stranger, "403"),
    ] {
        let Provisioned::Held { until, reason } = world.provision().await.unwrap() else { panic!("{named}: started") };
        assert!(reason.contains(named), "{reason}");
        assert_eq!(until, T0 + limits::TROUBLE_RETRY);
        assert!(world.fleet.requests().is_empty() && world.gitlab.made().is_empty());
        let (launch, job) = (world.launch().await, world.job().await);
        assert_eq!((launch.state, launch.own_runner), (LaunchState::Closed, None), "{named}");
        assert_eq!((job.state, job.fruitless), (JobState::Waiting, 0), "{named}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_told_and_never_asked_for_again() {
    for world in both().await {
        world.gitlab.lose_made(1);
        let Provisioned::Held { .. } = world.provision().await.unwrap() else { panic!("started") };
        let job = world.job().await;
        assert_eq!((job.state, job.fruitless), (JobState::Waiting, 0));
        world.provision().await.unwrap();
        assert_eq!(world.gitlab.made().len(), 1, "no second one under this launch");
        assert!(world.fleet.requests().is_empty());
        assert!(matches!(world.sweep(after(59)).await, Cleared::Left(_)), "its answer may still come");
        let Cleared::Unaccounted(why) = world.sweep(after(60)).await else { panic!("nobody is told") };
        assert!(why.contains(&format!("runnerless {}", world.launch_id)), "{why}");
        assert_eq!(world.launch().await.state, LaunchState::Closed);
    }
}

#[tokio::test]
async fn a_provisioner_that_dies_with_the_answer_leaves_a_row_that_says_so() {
    for world in both().await {
        world.on_made(|world| world.ledger.fail(true));
        world.provision().await.unwrap();
        world.ledger.fail(false);
        assert!(world.gitlab.made().is_empty(), "what could not be written down is deleted");
        let launch = world.launch().await;
        assert_eq!((launch.state, launch.own_runner.unwrap().id), (LaunchState::Charged, None));
        assert!(matches!(world.provision().await.unwrap(), Provisioned::Unsure(_)), "another one may be at it");
        world.clock.set(after(60));
        assert!(matches!(world.provision().await.unwrap(), Provisioned::Held { .. }));
        assert!(world.fleet.requests().is_empty());
    }
}

#[tokio::test]
async fn a_runner_that_a_row_may_name_is_deleted_by_nobody_whatever_the_ledger_answers_then() {
    for (is_lost, world) in [false, true].into_iter().zip(both().await) {
        world.on_made(move |world| {
            world.ledger.fail_after_write();
            world.ledger.lose_answers(u32::from(is_lost));
        });
        assert!(
            !matches!(world.provision().await, Ok(Provisioned::UnderWay { .. })),
            "the ledger answers nothing more"
        );
        world.ledger.fail(false);
        let own = world.launch().await.own_runner.unwrap();
        assert_eq!(world.gitlab.made().first().map(|(id, _)| *id), own.id, "is_lost: {is_lost}");
        world.clock.set(after(60));
        assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }));
        assert_eq!(world.gitlab.made().len(), 1);
    }
}

#[tokio::test]
async fn a_launch_that_is_stopped_while_gitlab_makes_its_runner_starts_nothing_and_deletes_it() {
    for world in both().await {
        world.on_made(|world| {
            let book = Book(&world.ledger);
            let stop = async {
                book.close(&world.launch_id, Evidence::RowOnly, "stopped", T0).await.unwrap();
                book.conclude(&world.launch_id, &End::Fruitless("stopped".into()), T0).await.unwrap();
            };
            support::now_or_never(stop);
        });
        assert!(matches!(world.provision().await.unwrap(), Provisioned::Nothing(_)));
        assert!(world.fleet.requests().is_empty());
        assert!(matches!(world.sweep(T0).await, Cleared::Now(_)));
        assert!(world.gitlab.made().is_empty());
    }
}

#[tokio::test]
async fn what_ec2_does_not_start_keeps_no_runner() {
    for world in both().await {
        for market in [Market::Spot, Market::OnDemand] {
            world.fleet.dry(market, Some("InsufficientInstanceCapacity"));
        }
        assert!(matches!(world.provision().await.unwrap(), Provisioned::Held { .. }));
        assert!(world.gitlab.made().is_empty());
        assert_eq!(world.launch().await.state, LaunchState::Closed);
    }
}

#[tokio::test]
async fn a_job_that_is_cancelled_meanwhile_leaves_neither_instance_nor_runner() {
    for world in both().await {
        world.on_launch(|world| world.hook_now("canceled"));
        assert!(matches!(world.provision().await.unwrap(), Provisioned::Withdrawn(_)));
        assert!(world.gitlab.made().is_empty() && world.fleet.alive().is_empty());
        assert_eq!(world.launch().await.state, LaunchState::Closed);
    }
}

#[tokio::test]
async fn a_lost_answer_of_ec2_costs_no_second_runner() {
    for world in both().await {
        world.fleet.script(Scripted::LostAnswer);
        world.provision().await.unwrap_err();
        world.clock.set(after(60));
        assert!(matches!(world.provision().await.unwrap(), Provisioned::UnderWay { .. }));
        assert_eq!((world.gitlab.made().len(), world.fleet.alive().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_gitlab_that_asks_to_come_later_is_asked_a_minute_later() {
    for world in both().await {
        world.gitlab.script(Made::Later("GitLab answered 429".into()));
        let Provisioned::Held { until, .. } = world.provision().await.unwrap() else { panic!("started") };
        assert_eq!(until, T0 + limits::RUNNER_LATER);
        assert_eq!(world.launch().await.own_runner, None);
    }
}

#[tokio::test]
async fn a_gitlab_that_is_down_keeps_the_row_until_the_runner_is_deleted() {
    for world in both().await {
        world.provision().await.unwrap();
        let id = world.launch_id.clone();
        Book(&world.ledger).conclude(&id, &End::Fruitless("no job came".into()), T0).await.unwrap();
        world.gitlab.fail(true);
        let day = T0 + limits::RUNNER_LIMIT;
        for now in [T0, T0 + limits::MANAGER_LIMIT + Millis(1), day] {
            assert!(matches!(world.sweep(now).await, Cleared::Left(_)), "{now:?}");
        }
        assert!(world.fleet.alive().is_empty(), "the instance waits for nobody");
        assert!(matches!(world.sweep(day + Millis(1)).await, Cleared::Unaccounted(_)));
    }
    for world in both().await {
        world.provision().await.unwrap();
        let (id, launch) = (world.launch_id.clone(), world.launch().await);
        Book(&world.ledger).conclude(&id, &End::Fruitless("no job came".into()), T0).await.unwrap();
        let token = launch_token(&world.parameters, "/r", &launch).await.unwrap();
        world.gitlab.delete(&token);
        assert!(matches!(world.sweep(T0).await, Cleared::Now(_)), "somebody deleted it by hand");
    }
}

#[tokio::test]
async fn the_official_runner_is_said_in_the_row_before_its_instance_is_there() {
    let mut world = with_rights("//", "glrt-of-the-lane").await;
    world.official = Some(Official::Docker("alpine:3".into()));
    for _ in 0..2 {
        assert!(!matches!(world.provision().await.unwrap(), Provisioned::Held { .. }));
    }
    assert_eq!((world.launch().await.official, world.fleet.requests().len()), (world.official.clone(), 1));
    let mut next = with_rights("//", "glrt-of-the-lane").await;
    next.shared = world.shared;
    next.official = Some(Official::Shell);
    assert!(matches!(next.provision().await.unwrap(), Provisioned::UnderWay { .. }));
    assert_eq!(next.launch().await.official, Some(Official::Shell), "also of a lane that was seen before");
}

#[tokio::test]
async fn the_official_runner_needs_an_api_token_and_a_lane_of_a_single_trust() {
    let no_api = World::of_lane("//", Some("glrt-of-the-lane")).await;
    for (mut world, named) in [
        (no_api, "/r/control/ApiToken"),
        (with_rights(OWN, "glrt-of-the-lane").await, "runner_per_launch"),
        (with_rights("//", REGISTRATION).await, "glrt-"),
    ] {
        world.official = Some(Official::Shell);
        let Provisioned::Held { reason, .. } = world.provision().await.unwrap() else { panic!("{named}: started") };
        assert!(reason.contains(named) && reason.contains("Ec2Runner"), "{reason}");
        assert!(world.fleet.requests().is_empty() && world.gitlab.made().is_empty());
        assert_eq!(world.launch().await.state, LaunchState::Closed);
    }
}
