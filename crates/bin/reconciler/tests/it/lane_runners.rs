//! The sweep's care for lanes of instances, and for lanes without a token, over ports in memory.

use crate::lost::{Lost, PATH};
use crate::support::{T0, World, after, rules_with_instances};
use runnerless_aws::fake::FakeMapping;
use runnerless_aws::ports::{Ledger as _, Parameters as _};
use runnerless_aws::runner_token_name;
use runnerless_core::change::RowKey;
use runnerless_core::id::LaneId;
use runnerless_core::lane::{Engine, TagSet, lane_id, system_id};
use runnerless_core::lane_row::{LaneRow, TokenTrouble};
use runnerless_core::limits;
use runnerless_core::route::{DefaultRoute, LANES_PK};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::Made;
use runnerless_reconciler::Report;
use runnerless_router::Rules;
use serde_json::json;

/// A stack with one lane, of instances.
struct Stack {
    world: World,
    rules: Rules,
    around: Lost,
}

fn lane() -> LaneId {
    lane_id(Engine::Ec2, &TagSet::new(["big"]).unwrap())
}

fn parameter() -> String {
    runner_token_name(PATH, Engine::Ec2, &lane())
}

impl Stack {
    fn new() -> Self {
        let rules = Rules { default: DefaultRoute::None, ..rules_with_instances() };
        let stack = Self {
            world: World::default(),
            rules,
            around: Lost { sentinel_every: Millis::minutes(10), ..Lost::default() },
        };
        stack.world.mapping.put(json!({"pk": LANES_PK, "sk": "tags#big", "type": "EC2", "target": "//"}));
        stack
    }

    /// With the right to make runners.
    fn with_right() -> Self {
        let stack = Self::new();
        stack.around.runners.allow_api("glpat-api");
        stack.around.parameters.put("/r/control/ApiToken", "glpat-api");
        stack.around.parameters.put("/r/control/RunnerScope", "project/380");
        stack
    }

    async fn sweep(&self, now: Timestamp) -> Report {
        self.around.sweep_all(&self.world, &self.rules, false, now).await.unwrap()
    }

    async fn minutes(&self, from: i64, to: i64) {
        for minute in from..=to {
            self.sweep(T0 + Millis::minutes(minute)).await;
        }
    }

    async fn row(&self) -> LaneRow {
        self.world.ledger.load(&[RowKey::Lane(lane())]).await.unwrap().lane(&lane()).unwrap().unwrap()
    }

    async fn token(&self) -> Option<String> {
        let branch = parameter().replace("/RegistrationToken", "");
        self.around.parameters.below(&branch).await.unwrap().get("RegistrationToken").map(|token| token.to_string())
    }
}

#[tokio::test]
async fn a_lane_of_instances_is_kept_online_and_sends_no_sentinel() {
    let stack = Stack::new();
    stack.around.runners.put("glrt-big", 7);
    stack.around.parameters.put(&parameter(), "glrt-big");
    stack.minutes(0, 61).await;
    assert_eq!(stack.around.runners.calls(), 2, "an hour apart");
    assert_eq!(stack.around.runners.managers(), [(7, system_id(&lane()))]);
    assert!(stack.world.invoker.started().is_empty());
    let none = Stack { rules: Rules { ground: None, ..Stack::new().rules }, ..Stack::new() };
    none.sweep(T0).await;
    assert_eq!(none.around.runners.calls(), 0, "a stack that launches no instances needs none of their tokens");
}

#[tokio::test]
async fn a_registration_token_is_no_trouble_of_a_lane_of_instances() {
    let stack = Stack::new();
    stack.around.parameters.put(&parameter(), "GR1348941legacy");
    stack.minutes(0, 30).await;
    assert_eq!((stack.row().await.token_trouble, stack.around.runners.calls()), (None, 0));
}

#[tokio::test]
async fn a_lane_without_a_token_gets_a_runner_whose_token_is_stored_and_that_goes_with_the_lane() {
    let mut stack = Stack::with_right();
    stack.minutes(0, 3).await;
    let made = stack.around.runners.made();
    let [(id, name)] = &made[..] else { panic!("one runner: {made:?}") };
    assert_eq!(name, &format!("runnerless lane {}", lane()));
    let token = stack.token().await.unwrap();
    let row = stack.row().await;
    assert!(row.knows(&token) && row.runner_id == Some(*id) && row.made(&token));
    assert_eq!(row.token_trouble, None);
    assert!(!serde_json::to_string(&row).unwrap().contains(&token));
    stack.minutes(4, 130).await;
    assert_eq!(stack.around.runners.made().len(), 1);

    stack.world.mapping = FakeMapping::default();
    stack.minutes(131, 260).await;
    assert!(stack.around.runners.made().is_empty());
    assert_eq!(stack.token().await, None, "a token that is nobody's would only be refused");
}

#[tokio::test]
async fn a_lane_that_goes_before_its_runner_was_verified_takes_it_along() {
    let mut stack = Stack::with_right();
    stack.sweep(T0).await;
    assert_eq!(stack.around.runners.made().len(), 1);
    assert_eq!(stack.row().await.runner_id, None, "GitLab was not asked yet as which runner the token asks");

    stack.world.mapping = FakeMapping::default();
    stack.minutes(1, 260).await;
    assert!(stack.around.runners.made().is_empty());
    assert_eq!(stack.token().await, None);
}

#[tokio::test]
async fn without_the_right_the_lane_says_what_it_needs() {
    let no_scope = Stack::with_right();
    no_scope.around.parameters.delete("/r/control/RunnerScope");
    let bad_scope = Stack::with_right();
    bad_scope.around.parameters.put("/r/control/RunnerScope", "acme");
    for stack in [Stack::new(), no_scope, bad_scope] {
        stack.sweep(T0).await;
        assert_eq!(stack.row().await.token_trouble, Some(TokenTrouble::Missing));
        assert!(stack.around.runners.made().is_empty());
    }
}

#[tokio::test]
async fn a_no_is_asked_again_in_ten_minutes_and_a_lost_answer_in_an_hour() {
    for (answer, again) in
        [(Made::Refused("403".into()), limits::VERIFY_RETRY), (Made::Unknown("no answer".into()), limits::VERIFY_EVERY)]
    {
        let stack = Stack::with_right();
        stack.around.runners.script(answer);
        stack.sweep(T0).await;
        let calls = stack.around.runners.calls();
        stack.sweep(T0 + again - Millis(1)).await;
        assert_eq!(stack.around.runners.calls(), calls);
        stack.sweep(T0 + again).await;
        assert_eq!(stack.around.runners.made().len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_deleted_and_somebody_elses_token_stays() {
    let stack = Stack::with_right();
    stack.around.parameters.refuse_writes(true);
    assert_eq!(stack.sweep(T0).await.counts["verify.held"], 1);
    assert!(stack.around.runners.made().is_empty() && stack.token().await.is_none());
    let row = stack.row().await;
    assert_eq!((row.making_since, row.made_mark), (None, None));
    stack.around.parameters.refuse_writes(false);
    stack.sweep(after(600)).await;
    assert_eq!(stack.around.runners.made().len(), 1);
}
