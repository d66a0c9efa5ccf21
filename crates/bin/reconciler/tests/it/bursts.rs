//! A push of 200 parallel jobs, cancelled and pushed again three times within a minute, over ports in memory: hooks, router,
//! sweep, and runners that take from GitLab what they get. Time is virtual and moves in steps of five seconds.

use std::collections::{BTreeMap, BTreeSet};

use crate::lost::sweep_once;
use crate::support::{World, after, key, rules};
use runnerless_aws::book::Book;
use runnerless_aws::ports::Invoked;
use runnerless_core::change::{Item, decode};
use runnerless_core::event::LaunchEvent;
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::lane::{Engine, TagSet, lane_id};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::live::Live;
use runnerless_core::moves::End;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_reconciler::Report;
use runnerless_router::{Routed, Rules};

/// Jobs of a push.
const JOBS: u64 = 200;
/// A push every so many seconds, the one before being cancelled: three in the first minute.
const PUSH_EVERY: i64 = 20;
const PUSHES: u64 = 3;
/// How long a job runs, in seconds.
const RUNS: i64 = 30;
/// When a foreign runner of the same tags comes and takes the newest jobs that wait, and how many.
const FOREIGN: (i64, usize) = (125, 40);
/// Seconds of a step.
const STEP: i64 = 5;

/// GitLab's view of the jobs.
#[derive(Default)]
struct GitLab {
    pending: BTreeSet<u64>,
    /// Which launch runs the job, and when it is done.
    running: BTreeMap<u64, (LaunchId, i64)>,
    /// The jobs of the foreign runner, and when they are done.
    foreign: BTreeMap<u64, i64>,
    /// How it ended.
    ended: BTreeMap<u64, &'static str>,
}

struct Burst {
    world: World,
    rules: Rules,
    gitlab: GitLab,
    /// Runners that ask, and until when.
    asking: BTreeMap<LaunchId, i64>,
    /// Seconds since the first push.
    now: i64,
    throttled: usize,
    most_live: usize,
    sweeps: Vec<Report>,
}

fn lane() -> LaneId {
    lane_id(Engine::Lambda, &TagSet::default())
}

fn jobs_of(push: u64) -> impl Iterator<Item = u64> {
    (1..=JOBS).map(move |n| push * 1000 + n)
}

/// When the runner of the nth launch begins, in seconds after the charge: some at once, some before the third push, some
/// after the first sweep.
fn cold_start(n: usize) -> i64 {
    [5, 30, 65][n % 3]
}

impl Burst {
    fn new() -> Self {
        Self {
            world: World::default(),
            rules: rules(),
            gitlab: GitLab::default(),
            asking: BTreeMap::new(),
            now: 0,
            throttled: 0,
            most_live: 0,
            sweeps: Vec::new(),
        }
    }

    fn at(&self) -> Timestamp {
        after(self.now)
    }

    fn book(&self) -> Book<'_, runnerless_aws::fake::FakeLedger> {
        Book(&self.world.ledger)
    }

    fn items(&self, prefix: &str) -> Vec<Item> {
        let all = self.world.ledger.items().into_iter();
        all.filter(|(pk, _)| pk.starts_with(prefix)).map(|(_, item)| item).collect()
    }

    fn launches(&self) -> Vec<LaunchRow> {
        self.items("launch#").iter().map(|item| decode(item).unwrap()).collect()
    }

    fn live(&self) -> usize {
        self.launches().iter().filter(|row| row.state != LaunchState::Closed).count()
    }

    /// The events of the launches that were started so far, in order. (Their ids are random, and no order.)
    fn started(&self) -> Vec<LaunchEvent> {
        let read = |payload: &str| LaunchEvent::read(&serde_json::from_str(payload).unwrap()).unwrap();
        self.world.invoker.started().iter().map(|started| read(&started.payload)).collect()
    }

    /// The jobs that they were started for.
    fn started_for(&self) -> Vec<u64> {
        self.started().iter().map(|event| event.job_hint.as_ref().expect("no sentinel").job_id).collect()
    }

    async fn hook(&self, job: u64, status: &str) {
        self.world.hook(job, &format!("unit {job}/{JOBS}"), status, self.at()).await;
    }

    /// Two hundred jobs are created; each is announced and routed, and Lambda throttles every fifth start.
    async fn push(&mut self, push: u64) {
        for job in jobs_of(push) {
            self.gitlab.pending.insert(job);
            self.hook(job, "pending").await;
            if job % 5 == 0 && self.has_room().await {
                self.world.invoker.answer(Ok(Invoked::Throttled));
                self.throttled += 1;
            }
            self.world.router(&self.rules).route(key(job), self.at()).await.unwrap();
        }
        self.count();
    }

    async fn has_room(&self) -> bool {
        self.world.ledger.live(&lane()).lane < self.rules.caps.lane
    }

    /// The pipeline of a push is cancelled: GitLab drops what waits, and the runners end what runs.
    async fn cancel(&mut self, push: u64) {
        for job in jobs_of(push) {
            if self.gitlab.pending.remove(&job) {
                self.hook(job, "canceled").await;
                self.gitlab.ended.insert(job, "canceled");
            } else if self.gitlab.running.contains_key(&job) {
                self.hook(job, "canceling").await;
                self.ends(job, "canceled").await;
            }
        }
    }

    /// Its announcements come once more and late, and lead to nothing.
    async fn repeat(&self, push: u64) {
        let before = self.started_for().len();
        for job in jobs_of(push) {
            self.hook(job, "pending").await;
            let routed = self.world.router(&self.rules).route(key(job), self.at()).await.unwrap();
            assert!(matches!(routed, Routed::Already(_)), "job {job}: {routed:?}");
        }
        assert_eq!(self.started_for().len(), before);
    }

    /// A running job is over, its launch with it.
    async fn ends(&mut self, job: u64, status: &'static str) {
        let (launch, _) = self.gitlab.running.remove(&job).unwrap();
        self.hook(job, status).await;
        self.gitlab.ended.insert(job, status);
        self.book().conclude(&launch, &End::JobDone(status.to_owned()), self.at()).await.unwrap();
        self.book().settle(key(job), self.at()).await.unwrap();
    }

    /// A foreign runner takes jobs, and ends them.
    async fn foreign(&mut self) {
        for _ in 0..if self.now == FOREIGN.0 { FOREIGN.1 } else { 0 } {
            let job = self.gitlab.pending.pop_last().expect("so many wait");
            self.hook(job, "running").await;
            self.gitlab.foreign.insert(job, self.now + RUNS);
        }
        for (job, _) in self.gitlab.foreign.clone().into_iter().filter(|(_, at)| *at == self.now) {
            self.hook(job, "success").await;
            self.gitlab.ended.insert(job, "success");
        }
    }

    /// What runners do: they begin, take the oldest job that waits, run it, or leave when none comes.
    async fn runners(&mut self) {
        let over: Vec<u64> =
            self.gitlab.running.iter().filter(|(_, (_, at))| *at <= self.now).map(|(job, _)| *job).collect();
        for job in over {
            self.ends(job, "success").await;
        }
        for (n, event) in self.started().into_iter().enumerate() {
            let launch = self.book().launch(&event.launch).await.unwrap().expect("it was started");
            let waits = Millis::secs(cold_start(n));
            if !launch.is_unbound_live()
                || (launch.never_began() && self.at() < launch.times.charged_at.unwrap() + waits)
            {
                continue;
            }
            if launch.never_began() {
                self.book().begin(&launch.launch, &event.nonce.sha256(), "claim", self.at()).await.unwrap();
                self.asking.insert(launch.launch.clone(), self.now + limits::WAIT.0 / 1000);
            }
            self.asks(&launch.launch).await;
        }
    }

    async fn asks(&mut self, launch: &LaunchId) {
        if let Some(job) = self.gitlab.pending.pop_first() {
            self.book().bind(launch, key(job), self.at()).await.unwrap();
            self.hook(job, "running").await;
            self.gitlab.running.insert(job, (launch.clone(), self.now + RUNS));
            self.asking.remove(launch);
        } else if self.asking[launch] <= self.now {
            self.book().conclude(launch, &End::Fruitless("no job came".into()), self.at()).await.unwrap();
            self.asking.remove(launch);
        }
    }

    async fn sweep(&mut self) {
        let report = sweep_once(&self.world, &self.rules, false, self.at()).await.unwrap();
        for nobody in ["stop", "lost", "ask"] {
            assert!(!report.counts.keys().any(|name| name.starts_with(nobody)), "{report:?}");
        }
        self.sweeps.push(report);
    }

    async fn step(&mut self) {
        self.now += STEP;
        self.foreign().await;
        self.runners().await;
        if self.now % 60 == 0 {
            self.sweep().await;
        }
        self.count();
    }

    fn count(&mut self) {
        let live = self.live();
        assert!(live as u64 <= self.rules.caps.lane, "{live} live launches at {} s", self.now);
        self.most_live = self.most_live.max(live);
        let mut charged: BTreeSet<LaunchId> = BTreeSet::new();
        for job in self.items("job#").iter().map(|item| decode::<JobRow>(item).unwrap()) {
            if let Some(launch) = job.charge {
                assert!(charged.insert(launch), "two jobs wait for one launch at {} s", self.now);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let due = |item: &Item| item.contains_key("next_check_at") || item.contains_key("open");
        !self.items("job#").iter().chain(&self.items("launch#")).any(due)
    }
}

#[tokio::test]
async fn a_push_of_200_jobs_that_is_cancelled_and_repeated_three_times_in_a_minute_serves_the_last() {
    let mut burst = Burst::new();
    let mut cancelled_after: BTreeMap<u64, usize> = BTreeMap::new();
    for push in 1..=PUSHES {
        burst.push(push).await;
        if push == PUSHES {
            break;
        }
        for _ in 0..PUSH_EVERY / STEP {
            burst.step().await;
        }
        burst.cancel(push).await;
        cancelled_after.insert(push, burst.started_for().len());
        burst.repeat(push).await;
    }
    assert!(burst.now < 60, "all that took less than a minute");
    assert!(burst.sweeps.is_empty() && burst.live() > 0, "launches are alive, and no sweep has seen it");
    while !burst.is_quiet() {
        burst.step().await;
        assert!(burst.now < 1200, "no end: {:?}", burst.sweeps.last());
    }

    assert!(jobs_of(PUSHES).all(|job| burst.gitlab.ended.get(&job) == Some(&"success")));
    for job in jobs_of(PUSHES) {
        let row = burst.world.job(job).await;
        assert_eq!((row.state, row.gitlab_status.as_str()), (JobState::Ended, "success"), "job {job}");
        assert_eq!(row.launch.is_none(), burst.gitlab.foreign.contains_key(&job), "job {job}: {row:?}");
    }
    let started = burst.started_for();
    for (push, before) in cancelled_after {
        let late = started[before..].iter().find(|job| jobs_of(push).any(|other| other == **job));
        assert_eq!(late, None, "push {push} was cancelled");
    }
    launches_are_bounded(&burst, started.len());
    assert_eq!(
        burst.most_live as u64, burst.rules.caps.lane,
        "the cap was reached: otherwise this shows nothing of it"
    );
    assert!(done(&burst, "assign.done") > 0, "launches of cancelled jobs were given to others");
    nothing_is_left(&mut burst).await;
}

/// A launch serves a job, or ends in vain. It ends in vain only when it asks and nothing waits at GitLab, and from then on
/// nobody is charged any more: so that at most the cap's number of launches end in vain, all of them alive at that moment.
fn launches_are_bounded(burst: &Burst, started: usize) {
    let served = burst.launches().iter().filter(|launch| launch.bound_job.is_some()).count();
    let cap = usize::try_from(burst.rules.caps.lane).unwrap();
    assert!(started <= served + cap, "{started} launches for {served} jobs that ran");
    assert!(served < usize::try_from(JOBS).unwrap() * 2, "{served} jobs ran: hardly any of a cancelled push");
    assert_eq!(
        burst.launches().len(),
        started + burst.throttled,
        "each that was charged was started once, or throttled"
    );
    assert!(burst.throttled > 0);
    assert!(served < started, "some ended in vain: otherwise this shows nothing of them");
}

fn done(burst: &Burst, what: &str) -> u64 {
    burst.sweeps.iter().filter_map(|report| report.counts.get(what)).sum()
}

/// Closed rows are all that is left, and the counts say so before a sweep puts them right.
async fn nothing_is_left(burst: &mut Burst) {
    assert!(burst.launches().iter().all(|launch| launch.state == LaunchState::Closed));
    assert!(burst.gitlab.pending.is_empty() && burst.gitlab.running.is_empty() && burst.asking.is_empty());
    let rows = [burst.items("job#"), burst.items("launch#")].concat();
    assert!(rows.iter().all(|item| item.contains_key("expires_at")), "each row may be deleted one day");
    assert_eq!(burst.world.ledger.live(&lane()), Live { lane: 0, stack: 0, draining: None });
    let started = burst.started_for().len();
    burst.sweep().await;
    assert_eq!(burst.sweeps.last().unwrap().counts.len(), 0, "there is nothing to do");
    assert_eq!(burst.world.ledger.live(&lane()), Live { lane: 0, stack: 0, draining: None });
    assert_eq!(burst.started_for().len(), started);
}
