//! The stand-in of Auto Scaling: it refuses what Auto Scaling refuses, and nothing happens by itself.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use runnerless_aws_ec2::fake::Trouble;
use runnerless_aws_ec2::pool::fake::{Asked, PoolOperation};
use runnerless_aws_ec2::pool::{FakePool, Left, Machine, Pool as _};
use runnerless_core::pool::{Group, Hook, Member, Phase};
use runnerless_core::time::{Millis, Timestamp};

fn hook() -> Hook {
    Hook { name: "drain".to_owned(), heartbeat: Millis::secs(1800), default_result: "CONTINUE".to_owned() }
}

fn member(id: &str, phase: Phase) -> Member {
    Member { id: id.to_owned(), phase, protected: false, launched_at: None }
}

fn pool(desired: u32, hook: Option<Hook>, members: Vec<Member>) -> FakePool {
    let pool = FakePool::default();
    pool.put(Group {
        name: "builds".to_owned(),
        minimum: 1,
        maximum: 4,
        desired,
        protects_new_members: true,
        suspended: Vec::new(),
        hook,
        members,
    });
    pool
}

#[tokio::test]
async fn it_grows_within_its_limits_and_what_it_launches_starts_later() {
    let pool = pool(1, None, vec![member("i-1", Phase::InService)]);
    for desired in [0, 5] {
        assert_eq!(pool.set_desired("builds", desired).await.unwrap_err().name(), "Scaling.Refused");
    }
    pool.set_desired("builds", 3).await.unwrap();
    assert_eq!(pool.group("builds").await.unwrap().unwrap().members.len(), 1, "nothing happens by itself");
    let new = pool.launch("builds", Timestamp(7));
    let group = pool.group("builds").await.unwrap().unwrap();
    assert!(group.members[1..].iter().all(|member| member.phase == Phase::Booting && member.protected));
    assert_eq!(pool.machines("builds").await.unwrap()[&new[0]], Machine { address: None, launched_at: Timestamp(7) });
    assert!(pool.launch("builds", Timestamp(8)).is_empty());
    assert_eq!(pool.group("other").await.unwrap(), None);
    assert_eq!(pool.set_desired("other", 1).await.unwrap_err().name(), "Scaling.Refused");
}

#[tokio::test]
async fn a_member_goes_by_its_hook_and_the_minimum_holds() {
    let pool = pool(2, Some(hook()), vec![member("i-1", Phase::InService), member("i-2", Phase::InService)]);
    assert_eq!(pool.retire("i-1", true).await.unwrap(), Left::Asked);
    let group = pool.now("builds").unwrap();
    assert_eq!((group.desired, &group.members[0].phase), (1, &Phase::Leaving));
    assert_eq!(pool.retire("i-1", true).await.unwrap_err().name(), "Scaling.Throttled", "it goes already");
    assert_eq!(pool.retire("i-2", true).await.unwrap_err().name(), "Scaling.Refused", "the minimum");
    assert_eq!(pool.retire("i-2", false).await.unwrap(), Left::Asked);
    assert_eq!(pool.launch("builds", Timestamp(0)).len(), 1, "one in its place");
    pool.remove("i-1");
    assert_eq!(pool.retire("i-1", true).await.unwrap(), Left::Gone);
}

#[tokio::test]
async fn without_a_hook_a_member_is_gone_at_once() {
    let pool = pool(2, None, vec![member("i-1", Phase::InService)]);
    assert_eq!(pool.retire("i-1", true).await.unwrap(), Left::Asked);
    assert!(pool.now("builds").unwrap().members.is_empty());
}

#[tokio::test]
async fn only_what_is_in_service_is_protected_and_only_what_there_is_suspended() {
    let pool = pool(2, None, vec![member("i-1", Phase::InService), member("i-2", Phase::Booting)]);
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    for wrong in [ids(&["i-1", "i-2"]), ids(&["i-9"])] {
        assert_eq!(pool.protect("builds", &wrong).await.unwrap_err().name(), "Scaling.Refused");
    }
    assert!(!pool.now("builds").unwrap().members[0].protected, "whole or not at all");
    pool.protect("builds", &ids(&["i-1"])).await.unwrap();
    assert!(pool.now("builds").unwrap().members[0].protected);
    assert!(pool.suspend("builds", "Rebalance").await.is_err());
    pool.suspend("builds", "AZRebalance").await.unwrap();
    pool.suspend("builds", "AZRebalance").await.unwrap();
    assert_eq!(pool.now("builds").unwrap().suspended, ["AZRebalance"]);
}

#[tokio::test]
async fn calls_fail_on_demand_and_a_lost_answer_was_carried_out() {
    let pool = pool(1, None, vec![]);
    for trouble in [Trouble::Throttled, Trouble::NoAnswer, Trouble::Refused] {
        pool.trouble(PoolOperation::SetDesiredCapacity, trouble);
        assert!(pool.set_desired("builds", 2).await.is_err());
        assert_eq!(pool.now("builds").unwrap().desired, 1);
    }
    pool.trouble(PoolOperation::SetDesiredCapacity, Trouble::LostAnswer);
    assert_eq!(pool.set_desired("builds", 2).await.unwrap_err().name(), "Scaling.Unavailable");
    assert_eq!(pool.now("builds").unwrap().desired, 2);
    assert_eq!(pool.asked(), vec![Asked::Desired(2); 4]);
    assert_eq!(pool.calls(), 4);
}
