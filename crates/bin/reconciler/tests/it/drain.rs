//! The sweep of a stack that drains, over ports in memory: nothing is launched, what has no job ends, what has one is waited
//! for or written off, and lanes leave GitLab.

use crate::lost::{Lost, PATH};
use crate::support::{T0, World, after, key, rules};
use runnerless_aws::book::Book;
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger;
use runnerless_aws::runner_token_name;
use runnerless_core::change::{Row as _, RowKey};
use runnerless_core::drain::{Draining, drain};
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::job::JobState;
use runnerless_core::lane::{Engine, TagSet, lane_id, system_id};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{End, Got};
use runnerless_core::time::Timestamp;
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_reconciler::Report;
use runnerless_router::{Routed, Rules};

struct Stack {
    world: World,
    rules: Rules,
    around: Lost,
}

fn lane() -> LaneId {
    lane_id(Engine::Lambda, &TagSet::default())
}

impl Stack {
    /// One lane, whose token is stored and verified.
    async fn new() -> Self {
        let stack = Self { world: World::default(), rules: rules(), around: Lost::default() };
        stack.around.runners.put("glrt-t3_lane", 7);
        stack.around.parameters.put(&runner_token_name(PATH, Engine::Lambda, &lane()), "glrt-t3_lane");
        assert_eq!(stack.sweep(T0).await.counts["verify.done"], 1);
        assert_eq!(stack.around.runners.managers(), [(7, system_id(&lane()))]);
        stack
    }

    async fn drains(&self, how: Option<Draining>, now: Timestamp) {
        let row = self.world.ledger.load(&[RowKey::Drain]).await.unwrap().drain().unwrap();
        self.world.ledger.apply(&drain(row.as_ref(), how, now)).await.unwrap();
    }

    async fn sweep(&self, now: Timestamp) -> Report {
        self.around.sweep_all(&self.world, &self.rules, false, now).await.unwrap()
    }

    /// A job that waits, and its launch, which is under way.
    async fn launched(&self, job: u64) -> LaunchRow {
        self.world.hook(job, "unit", "pending", T0).await;
        self.world.router(&self.rules).route(key(job), T0).await.unwrap();
        self.world.launch(job).await
    }

    async fn polling(&self, job: u64) -> LaunchRow {
        let row = self.launched(job).await;
        Book(&self.world.ledger).begin(&row.launch, &row.nonce_sha256, "c", T0).await.unwrap();
        row
    }

    /// A job that runs, and whose runner left its token.
    async fn running(&self, job: u64) -> LaunchRow {
        let row = self.polling(job).await;
        let job_token = TokenSeal::new("glrt-t3_lane", &row.launch).unwrap().seal(key(job), "glcbt-job").ok();
        let book = Book(&self.world.ledger);
        let got = Got { job_token, beat_ms: Some(limits::BEAT), ..Got::from(key(job)) };
        book.bind(&row.launch, got, T0).await.unwrap();
        book.renew(&row.launch, T0).await.unwrap();
        self.world.hook(job, "unit", "running", T0).await;
        self.around.gitlab.runs(job, "glcbt-job");
        row
    }

    async fn state(&self, id: &LaunchId) -> LaunchState {
        let rows = self.world.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap();
        rows.launch(id).unwrap().unwrap().state
    }
}

#[tokio::test]
async fn a_hook_that_comes_meanwhile_is_recorded_and_starts_nothing() {
    let mut stack = Stack::new().await;
    stack.drains(Some(Draining::Wait), T0).await;
    stack.world.hook(1, "unit", "pending", after(1)).await;
    let routed = stack.world.router(&stack.rules).route(key(1), after(1)).await.unwrap();
    assert!(matches!(&routed, Routed::Held { reason, .. } if reason.contains("being removed")), "{routed:?}");
    // Nor is anything listed whose hook was lost.
    stack.world.api = Some(FakeJobs::default());
    let report = stack.sweep(after(600)).await;
    assert_eq!((report.draining, &report.listing), (Some(Draining::Wait), &None));
    assert!(stack.world.invoker.started().is_empty());
    assert_eq!(stack.world.job(1).await.state, JobState::Waiting, "it is not lost");
    stack.drains(None, after(601)).await;
    stack.world.api = None;
    assert_eq!(stack.sweep(after(602)).await.counts["route.done"], 1, "the stack takes jobs again");
}

#[tokio::test]
async fn what_has_not_begun_ends_at_once_and_what_asks_when_it_cannot_ask_any_more() {
    let stack = Stack::new().await;
    let (starting, polling) = (stack.launched(1).await.launch, stack.polling(2).await.launch);
    stack.drains(Some(Draining::Wait), after(1)).await;
    assert_eq!(stack.sweep(after(2)).await.counts["stop.done"], 1);
    assert_eq!(
        (stack.state(&starting).await, stack.state(&polling).await),
        (LaunchState::Closed, LaunchState::Polling)
    );
    let job = stack.world.job(1).await;
    assert_eq!((job.state, job.fruitless), (JobState::Waiting, 0));
    assert_eq!(stack.sweep(T0 + limits::POLL_LEASE).await.counts["stop.done"], 1);
    assert_eq!(stack.state(&polling).await, LaunchState::Closed);
    assert_eq!(stack.world.invoker.started().len(), 2, "no launch followed");
}

#[tokio::test]
async fn a_job_that_runs_is_waited_for_and_then_its_lane_goes_at_once() {
    let stack = Stack::new().await;
    let id = stack.running(1).await.launch;
    stack.drains(Some(Draining::Wait), after(1)).await;
    let report = stack.sweep(after(2)).await;
    assert!(report.counts.is_empty() && report.live_launches == 1, "{report:?}");
    assert_eq!(stack.around.runners.managers().len(), 1, "its runner is at work");
    Book(&stack.world.ledger).conclude(&id, &End::JobDone("done".into()), after(30)).await.unwrap();
    assert_eq!(stack.sweep(after(31)).await.counts["forget.done"], 1);
    assert!(stack.around.runners.managers().is_empty() && stack.around.gitlab.told().is_empty());
    let counts = stack.sweep(after(5000)).await.counts;
    assert!(!counts.contains_key("verify.done"), "the default route's lane does not come back: {counts:?}");
}

#[tokio::test]
async fn a_job_that_is_not_waited_for_is_reported_as_failed_once() {
    let stack = Stack::new().await;
    let id = stack.running(1).await.launch;
    stack.drains(Some(Draining::Now), after(1)).await;
    assert_eq!(stack.sweep(after(2)).await.counts["write_off.done"], 1);
    assert_eq!(stack.around.gitlab.told(), [(1, "glcbt-job".to_owned())]);
    assert_eq!(stack.state(&id).await, LaunchState::Closed);
    stack.sweep(after(3)).await;
    assert_eq!(stack.around.gitlab.told().len(), 1);
}

#[tokio::test]
async fn a_gitlab_that_does_not_answer_keeps_the_lane_and_is_asked_again() {
    let stack = Stack::new().await;
    stack.drains(Some(Draining::Wait), after(1)).await;
    stack.around.runners.fail(true);
    assert_eq!(stack.sweep(after(2)).await.counts["forget.held"], 1);
    stack.around.runners.fail(false);
    assert_eq!(stack.sweep(after(7)).await.counts["forget.done"], 1, "the next sweep does not wait for its time");
    let row = stack.world.ledger.load(&[RowKey::Lane(lane())]).await.unwrap().lane(&lane()).unwrap().unwrap();
    assert!(row.due.open.is_none() && row.rev() > 0);
}
