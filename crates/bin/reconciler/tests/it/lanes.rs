//! The sweep's care for lanes, over ports in memory: tokens are verified, sentinels find jobs whose hooks were lost, and what
//! left the mapping leaves GitLab.

use crate::lost::{Lost, PATH};
use crate::support::{EXECUTOR, OTHER, T0, World, after, key, rules};
use runnerless_aws::book::Book;
use runnerless_aws::ports::{Invoked, Ledger};
use runnerless_aws::runner_token_name;
use runnerless_core::change::{RowKey, decode};
use runnerless_core::event::LaunchEvent;
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::job::JobState;
use runnerless_core::lane::{Engine, TagSet, lane_id, system_id};
use runnerless_core::lane_row::{LaneRow, TokenTrouble};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::live::Caps;
use runnerless_core::moves::End;
use runnerless_core::route::DefaultRoute;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_reconciler::Report;
use runnerless_router::Rules;
use serde_json::json;

const EVERY: Millis = Millis::minutes(10);

/// A stack with one lane, of the default route, whose token is stored and is runner 7's.
struct Stack {
    world: World,
    rules: Rules,
    around: Lost,
}

fn lane() -> LaneId {
    lane_id(Engine::Lambda, &TagSet::default())
}

impl Stack {
    fn new(sentinel_every: Millis) -> Self {
        let stack =
            Self { world: World::default(), rules: rules(), around: Lost { sentinel_every, ..Lost::default() } };
        stack.around.runners.put("glrt-lane", 7);
        stack.store_token(&lane(), "glrt-lane");
        stack
    }

    fn store_token(&self, lane: &LaneId, token: &str) {
        self.around.parameters.put(&runner_token_name(PATH, Engine::Lambda, lane), token);
    }

    async fn sweep(&self, now: Timestamp) -> Report {
        self.around.sweep_all(&self.world, &self.rules, false, now).await.unwrap()
    }

    /// A sweep a minute, over this time.
    async fn minutes(&self, from: i64, to: i64) {
        for minute in from..=to {
            self.sweep(T0 + Millis::minutes(minute)).await;
        }
    }

    async fn row(&self, lane: &LaneId) -> LaneRow {
        let rows = self.world.ledger.load(&[RowKey::Lane(lane.clone())]).await.unwrap();
        rows.lane(lane).unwrap().expect("the lane has a row")
    }

    fn events(&self) -> Vec<LaunchEvent> {
        let read = |payload: &str| LaunchEvent::read(&serde_json::from_str(payload).unwrap()).unwrap();
        self.world.invoker.started().iter().map(|started| read(&started.payload)).collect()
    }

    fn launches(&self) -> Vec<LaunchRow> {
        let items = self.world.ledger.items();
        items.iter().filter(|(pk, _)| pk.starts_with("launch#")).map(|(_, item)| decode(item).unwrap()).collect()
    }

    /// The runner of the last sentinel asks, and this comes of it.
    async fn asks(&self, finds: Option<u64>, now: Timestamp) -> LaunchId {
        let event = self.events().pop().expect("a sentinel was sent");
        let book = Book(&self.world.ledger);
        book.begin(&event.launch, &event.nonce.sha256(), "claim", now).await.unwrap();
        match finds {
            Some(job) => {
                book.bind(&event.launch, key(job), now).await.unwrap();
            }
            None => {
                book.conclude(&event.launch, &End::Fruitless("no job came".into()), now).await.unwrap();
            }
        }
        event.launch
    }
}

#[tokio::test]
async fn a_lane_is_verified_when_it_is_new_and_then_each_hour() {
    let stack = Stack::new(Millis(0));
    let report = stack.sweep(T0).await;
    assert_eq!(report.counts["verify.done"], 1, "{report:?}");
    assert_eq!(stack.around.runners.managers(), [(7, system_id(&lane()))]);
    let row = stack.row(&lane()).await;
    assert!(row.knows("glrt-lane") && row.runner_id == Some(7));
    assert!(stack.world.ledger.load(&[RowKey::Runner(7)]).await.unwrap().is_ours(7), "for ingest");
    stack.minutes(1, 59).await;
    assert_eq!(stack.around.runners.calls(), 1);
    stack.minutes(60, 61).await;
    assert_eq!(stack.around.runners.calls(), 2);
    assert!(stack.world.invoker.started().is_empty(), "no sentinel was asked for");
}

#[tokio::test]
async fn a_token_that_is_missing_or_refused_is_noted_sends_no_sentinel_and_is_noticed_when_it_is_right() {
    let stack = Stack::new(EVERY);
    stack.store_token(&lane(), "GR1348941legacy");
    assert_eq!(stack.sweep(T0).await.counts["verify.held"], 1);
    assert_eq!(stack.row(&lane()).await.token_trouble, Some(TokenTrouble::Missing));
    stack.store_token(&lane(), "glrt-revoked");
    stack.minutes(1, 30).await;
    let row = stack.row(&lane()).await;
    assert_eq!((row.token_trouble, row.told_at), (Some(TokenTrouble::Refused), Some(T0 + limits::VERIFY_RETRY)));
    assert!(stack.events().is_empty());
    stack.store_token(&lane(), "glrt-lane");
    stack.minutes(31, 41).await;
    assert_eq!((stack.row(&lane()).await.token_trouble, stack.events().len()), (None, 1));
}

#[tokio::test]
async fn a_gitlab_or_a_store_that_does_not_answer_changes_nothing_that_is_known() {
    let stack = Stack::new(Millis(0));
    stack.sweep(T0).await;
    let before = stack.row(&lane()).await;
    stack.around.runners.fail(true);
    let report = stack.sweep(after(3600)).await;
    assert_eq!(report.counts["verify.held"], 1, "{report:?}");
    stack.around.runners.fail(false);
    stack.around.parameters.fail(true);
    let failed = stack.around.sweep_all(&stack.world, &stack.rules, false, after(4200)).await;
    assert!(failed.is_err(), "all that was tried failed");
    let row = stack.row(&lane()).await;
    assert_eq!((row.token_mark, row.token_trouble), (before.token_mark, None));
    assert_eq!(row.next_verify_at, Some(after(4200) + limits::VERIFY_RETRY));
}

#[tokio::test]
async fn a_sentinel_asks_once_each_ten_minutes_and_finds_the_job_whose_hook_was_lost() {
    let stack = Stack::new(EVERY);
    stack.minutes(0, 9).await;
    assert!(stack.events().is_empty());
    stack.sweep(after(600)).await;
    let [event] = &stack.events()[..] else { panic!("one sentinel") };
    assert_eq!((event.wait_s, event.job_hint.as_ref(), &event.lane), (0, None, &lane()));
    let launch = Book(&stack.world.ledger).launch(&event.launch).await.unwrap().unwrap();
    assert_eq!((launch.charged_to, launch.attempt, launch.state), (None, 0, LaunchState::Starting));
    assert!(launch.isolated, "its function isolates tenants");
    assert_eq!(stack.world.ledger.live(&lane()).lane, 1, "it counts as live");
    stack.asks(None, after(601)).await;
    stack.minutes(11, 19).await;
    assert_eq!(stack.events().len(), 1);
    stack.sweep(after(1200)).await;
    let found = stack.asks(Some(5), after(1201)).await;
    let job = stack.world.job(5).await;
    assert_eq!((job.state, job.launch), (JobState::Bound, Some(found.clone())));
    stack.sweep(after(1260)).await;
    assert_eq!(stack.events().len(), 3, "there may be more where that came from");
    stack.asks(None, after(1261)).await;
    Book(&stack.world.ledger).conclude(&found, &End::JobDone("done".into()), after(1300)).await.unwrap();
    stack.minutes(22, 30).await;
    assert_eq!(stack.events().len(), 3, "one job makes one more due at once");
    stack.minutes(31, 33).await;
    assert_eq!(stack.events().len(), 4);
}

#[tokio::test]
async fn two_sweeps_at_once_send_one_sentinel() {
    let stack = Stack::new(EVERY);
    stack.sweep(T0).await;
    tokio::join!(stack.sweep(after(600)), stack.sweep(after(600)));
    assert_eq!(stack.launches().len(), 1);
    assert_eq!(stack.events().len(), 1);
}

#[tokio::test]
async fn a_dry_run_says_what_a_lane_asks_for_and_asks_nobody() {
    let stack = Stack::new(EVERY);
    let report = stack.around.sweep_all(&stack.world, &stack.rules, true, T0).await.unwrap();
    assert_eq!(report.counts["verify.planned"], 1);
    assert_eq!((stack.around.runners.calls(), stack.world.ledger.items().len()), (0, 0));
}

#[tokio::test]
async fn with_an_api_token_no_sentinel_is_sent() {
    let mut stack = Stack::new(EVERY);
    stack.world.api = Some(FakeJobs::default());
    stack.minutes(0, 30).await;
    assert!(stack.events().is_empty());
    stack.world.api = None;
    stack.minutes(60, 75).await;
    assert_eq!(stack.events().len(), 1, "without one they begin");
}

#[tokio::test]
async fn a_cap_and_a_throttle_hold_a_sentinel_back() {
    let mut stack = Stack::new(EVERY);
    stack.sweep(T0).await;
    stack.rules.caps = Caps { lane: 100, stack: 0 };
    let report = stack.sweep(after(600)).await;
    assert_eq!(report.counts["sentinel.held"], 1, "{report:?}");
    assert!(stack.launches().is_empty());
    stack.rules.caps = Caps { lane: 100, stack: 400 };
    stack.world.invoker.answer(Ok(Invoked::Throttled));
    stack.sweep(after(660)).await;
    assert!(stack.launches().iter().all(|launch| launch.state == LaunchState::Closed));
    stack.minutes(12, 22).await;
    assert_eq!(stack.events().len(), 1, "ten minutes after the one that was throttled");
}

#[tokio::test]
async fn a_sentinel_whose_start_got_lost_is_started_by_its_frozen_request() {
    let stack = Stack::new(EVERY);
    stack.sweep(T0).await;
    stack.world.invoker.answer(Err(runnerless_aws::AwsError::Unavailable {
        service: runnerless_aws::Service::Invoke,
        operation: "Invoke",
        source: "no answer".into(),
    }));
    let failed = stack.around.sweep_all(&stack.world, &stack.rules, false, after(600)).await;
    assert!(failed.is_err());
    let frozen = stack.launches()[0].request.clone().expect("the request is kept");
    let report = stack.sweep(after(660)).await;
    assert_eq!(report.counts["start.done"], 1, "{report:?}");
    assert_eq!(stack.world.invoker.started()[0].payload, frozen);
    assert_eq!(stack.launches().len(), 1, "one at a time");
}

#[tokio::test]
async fn lanes_of_the_mapping_are_looked_after_by_their_own_functions_ways() {
    let mut stack = Stack::new(EVERY);
    stack.rules.default = DefaultRoute::None;
    stack.world.invoker.deploy(OTHER, false);
    let entry = |tags: &str, target: &str| json!({"pk": "lanes", "sk": tags, "type": "LAMBDA", "target": target});
    stack.world.mapping.put(entry("tags#a", EXECUTOR));
    let mut other = entry("tags#b", OTHER);
    other["tenancy"] = json!(false);
    stack.world.mapping.put(other);
    stack.world.mapping.put(json!({"pk": "lanes", "sk": "tags#big", "type": "EC2", "target": "EC2"}));
    for (tag, runner) in [("a", 8), ("b", 9)] {
        let id = lane_id(Engine::Lambda, &TagSet::new([tag]).unwrap());
        stack.store_token(&id, &format!("glrt-{tag}"));
        stack.around.runners.put(&format!("glrt-{tag}"), runner);
    }
    stack.sweep(T0).await;
    assert_eq!(stack.around.runners.managers().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [8, 9]);
    stack.sweep(after(600)).await;
    let mut started: Vec<_> = stack.world.invoker.started();
    started.sort_by(|one, other| one.function.cmp(&other.function));
    let ways: Vec<_> = started.iter().map(|one| (one.function.as_str(), one.tenant.is_some())).collect();
    assert_eq!(ways, [(EXECUTOR, true), (OTHER, false)]);
}

#[tokio::test]
async fn a_lane_that_left_the_mapping_leaves_no_manager_once_its_launches_are_over() {
    let mut stack = Stack::new(Millis::minutes(58));
    stack.minutes(0, 58).await;
    let found = stack.asks(Some(5), after(58 * 60 + 1)).await;
    stack.rules.default = DefaultRoute::None;
    for minute in 59..=70 {
        Book(&stack.world.ledger).renew(&found, T0 + Millis::minutes(minute)).await.unwrap();
        stack.sweep(T0 + Millis::minutes(minute)).await;
    }
    assert_eq!(stack.around.runners.managers().len(), 1, "a job runs in it");
    Book(&stack.world.ledger).conclude(&found, &End::JobDone("done".into()), after(4201)).await.unwrap();
    stack.minutes(71, 90).await;
    assert!(stack.around.runners.managers().is_empty());
    let row = stack.row(&lane()).await;
    assert!(row.due.open.is_none() && row.expires_at.is_some(), "{row:?}");
    let calls = stack.around.runners.calls();
    stack.minutes(91, 200).await;
    assert_eq!(stack.around.runners.calls(), calls);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_no_lane_that_is_gone() {
    let mut stack = Stack::new(Millis(0));
    stack.sweep(T0).await;
    stack.rules.default = DefaultRoute::None;
    stack.world.mapping.put(json!({"pk": "lanes", "sk": "tags#", "type": "ROCKET"}));
    stack.minutes(60, 62).await;
    assert_eq!(stack.around.runners.managers().len(), 1, "it may be this lane's");
}

#[tokio::test]
async fn a_mapping_out_of_reach_keeps_no_job_waiting() {
    let stack = Stack::new(Millis(0));
    stack.world.hook(1, "unit", "pending", T0).await;
    stack.world.router(&stack.rules).route(key(1), T0).await.unwrap();
    let launch = stack.world.launch(1).await;
    stack.world.mapping.fail(true);
    let report = stack.sweep(launch.lease_until).await;
    assert_eq!((report.counts["lanes.failed"], report.counts["stop.done"]), (1, 1), "{report:?}");
}

#[tokio::test]
async fn a_lane_row_that_cannot_be_read_is_reported_and_left_alone() {
    let stack = Stack::new(EVERY);
    stack.sweep(T0).await;
    let pk = format!("lane#{}", lane());
    let mut item = stack.world.ledger.items()[&pk].clone();
    item.insert("runner_id".into(), "seven".into());
    stack.world.ledger.put(item.clone());
    let report = stack.sweep(after(3600)).await;
    assert_eq!(report.unreadable, std::slice::from_ref(&pk));
    assert_eq!(stack.world.ledger.items()[&pk], item);
}
