//! The sweep's rules over whatever rows a ledger may hold: what is due is moved, with a reason, and nothing stays due for
//! ever. It is night: no runner begins or gives a sign of life, GitLab sends no hook and answers no question.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod desk;

use desk::{Desk, T0, id, key};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use runnerless_core::cache::NamedCaches;
use runnerless_core::change::{Due, Plan, put};
use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::job::{JobRow, JobState, JobTimes};
use runnerless_core::lane::{Engine, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState, LaunchTimes};
use runnerless_core::limits;
use runnerless_core::moves::{
    Debt, DueJob, DueLaunch, Evidence, Loss, Settlement, close, conclude, debt, due_job, due_launch, lost, may_charge,
    settle, started, unpaid,
};
use runnerless_core::sealed::SealedToken;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

const JOBS: [u64; 2] = [1, 2];
const LAUNCHES: [&str; 2] = ["l-1", "l-2"];
/// Rows name these, too, and they are not there.
const GONE: (u64, &str) = (9, "l-9");
/// What is bound is asked about until its row is fourteen days old, at last once a day.
const LONGEST: Millis = Millis(limits::KEEP_CLOSED_ROWS.0 + 2 * 86_400_000);
/// A job that waits is launched for once an hour, for a day, and each launch is looked at three times.
const SWEEPS: usize = 1_000;

/// A ledger and the sweep.
struct Night {
    desk: Desk,
    /// Those that are not over.
    launches: Vec<String>,
    /// How many launches the sweep charged.
    charged: usize,
    now: Timestamp,
}

impl Night {
    fn of(jobs: [JobRow; 2], launches: [LaunchRow; 2]) -> Self {
        let mut desk = Desk::default();
        for change in jobs.into_iter().map(|job| put(None, job)).chain(launches.into_iter().map(|row| put(None, row))) {
            desk.apply(&Plan::because("as it was found").with_some(change));
        }
        let open = LAUNCHES.iter().filter(|id| desk.launch(id).state != LaunchState::Closed);
        let launches = open.map(|id| (*id).to_owned()).collect();
        Self { desk, launches, charged: 0, now: T0 }
    }

    /// Sweeps whenever something is due, until nothing is.
    fn passes(&mut self) {
        for _ in 0..SWEEPS {
            let Some(next) = self.next() else { return };
            self.now = self.now.max(next);
            for launch in self.launches.clone() {
                self.launch(&launch);
            }
            for job in JOBS {
                self.job(job);
            }
        }
        panic!("after {SWEEPS} sweeps something is due still: {:?}", JOBS.map(|job| self.desk.row(job)));
    }

    /// When the next sweep has something to do: a launch that is looked at before its lease is over waits for that.
    fn next(&self) -> Option<Timestamp> {
        let jobs = JOBS.iter().filter_map(|job| self.desk.row(*job)?.due.next_check_at);
        let launches = self.launches.iter().filter_map(|id| {
            let launch = self.desk.launch(id);
            let at = launch.due.next_check_at?;
            Some(if due_launch(&launch, self.now.max(at)) == DueLaunch::Nothing { launch.lease_until } else { at })
        });
        jobs.chain(launches).min()
    }

    fn launch(&mut self, id: &str) {
        let before = self.desk.launch(id);
        let job = before.bound_job.or(before.charged_to).and_then(|key| self.desk.row(key.job));
        let plan = match due_launch(&before, self.now) {
            DueLaunch::Nothing => {
                let waits = before.due.next_check_at.is_none_or(|at| at > self.now) || self.now < before.lease_until;
                return assert!(waits, "overlooked: {before:?}");
            }
            // AWS takes it, and it is not heard of again.
            DueLaunch::NeedsStart => started(&before, self.now).expect("it was not started"),
            DueLaunch::NeedsStop(end) => {
                let closed = close(&before, Evidence::RowOnly, end.reason(), self.now);
                self.desk.apply(&closed.unwrap_or_else(|why| panic!("{why}: {before:?}")));
                let closing = self.desk.launch(id);
                let job = closing.bound_job.or(closing.charged_to).and_then(|key| self.desk.row(key.job));
                conclude(&closing, job.as_ref(), &end, self.now).unwrap_or_else(|| panic!("not over: {closing:?}"))
            }
            DueLaunch::MaybeLost => match lost(&before, job.as_ref(), Evidence::RowOnly, self.now) {
                Loss::Lost { plan, .. } => plan,
                Loss::NotLost(why) => panic!("{why}: {before:?}"),
            },
            DueLaunch::WriteOff => panic!("no stack drains here: {before:?}"),
            DueLaunch::OwesReport => match debt(&before, job.as_ref(), self.now) {
                Debt::Forgiven(plan) => plan,
                // GitLab does not answer.
                Debt::Report { .. } => unpaid(&before, self.now),
                Debt::Nothing => panic!("nothing is owed: {before:?}"),
            },
        };
        self.apply(&plan);
        let after = self.desk.launch(id);
        let over = after.state == LaunchState::Closed && after.expires_at.is_some();
        assert_eq!(after.due == Due::never(), over, "{after:?}");
        self.moved(after.state != before.state, &after.due, &format!("{before:?}"));
        if over {
            self.launches.retain(|launch| launch != id);
        }
    }

    fn job(&mut self, job: u64) {
        let before = self.desk.job(job);
        let named = if before.state == JobState::Charged { &before.charge } else { &before.launch };
        // One that is over is as good as none.
        let open = named.as_ref().filter(|id| self.launches.iter().any(|launch| launch == id.as_str()));
        let launch = open.map(|id| self.desk.launch(id.as_str()));
        let plan = match due_job(&before, launch.as_ref(), self.now) {
            DueJob::Nothing => {
                let waits = before.due.next_check_at.is_none_or(|at| at > self.now);
                return assert!(waits, "overlooked: {before:?}");
            }
            DueJob::NeedsLaunch => {
                may_charge(&before, self.now).unwrap_or_else(|why| panic!("{why}: {before:?}"));
                self.charged += 1;
                let id = format!("l-new-{}", self.charged);
                self.desk.charged(job, &id, self.now).unwrap();
                self.launches.push(id);
                return;
            }
            DueJob::NeedsSettling => match settle(&before, launch.as_ref(), self.now) {
                Settlement::Retire(plan) | Settlement::EndsItself(plan) => plan,
                other => panic!("{other:?}: {before:?}"),
            },
            // GitLab cannot be asked.
            DueJob::NeedsWord(plan) | DueJob::Write(plan) => plan,
            DueJob::Unaccounted { at, plan } => {
                self.now = self.now.max(at);
                let again = due_job(&before, None, self.now);
                assert!(matches!(again, DueJob::Unaccounted { .. }), "{again:?}: {before:?}");
                plan
            }
        };
        self.apply(&plan);
        let after = self.desk.job(job);
        assert_eq!(after.due == Due::never(), after.expires_at.is_some(), "{after:?}");
        self.moved(after.state != before.state, &after.due, &format!("{before:?}"));
    }

    fn apply(&mut self, plan: &Plan) {
        assert!(!plan.reason.is_empty() && !plan.changes.is_empty(), "{plan:?}");
        self.desk.apply(plan);
    }

    /// What was due is over, later, or somewhere else.
    fn moved(&self, elsewhere: bool, due: &Due, before: &str) {
        let later = due.next_check_at.is_none_or(|at| at > self.now);
        assert!(elsewhere || later, "due at {:?} still, it is {:?}: {before}", due.next_check_at, self.now);
    }
}

fn within(length: Millis) -> impl Strategy<Value = Timestamp> {
    (-length.0..=length.0).prop_map(|length| T0 + Millis(length))
}

fn before(length: Millis) -> impl Strategy<Value = Timestamp> {
    (0..=length.0).prop_map(|length| T0 - Millis(length))
}

fn some_launch() -> impl Strategy<Value = Option<LaunchId>> {
    select(vec![LAUNCHES[0], LAUNCHES[1], GONE.1]).prop_map(id)
}

fn some_job() -> impl Strategy<Value = JobKey> {
    select(vec![JOBS[0], JOBS[1], GONE.0]).prop_map(key)
}

fn status() -> impl Strategy<Value = JobStatus> {
    select(vec!["created", "manual", "pending", "running", "canceling", "success", "of tomorrow"])
        .prop_map(JobStatus::parse)
}

/// A job's row as some moves could have left it, whatever the other rows say: a charge belongs to a charged job, a bound one
/// has a launch, and a row has the time of its state.
fn job_row(job: u64) -> impl Strategy<Value = JobRow> {
    let states = vec![
        JobState::Waiting,
        JobState::Charged,
        JobState::Bound,
        JobState::Foreign,
        JobState::Ended,
        JobState::NotOurs,
        JobState::Unserved,
    ];
    let links = (some_launch(), some_launch(), any::<bool>());
    let times = (before(Millis::days(2)), before(Millis::days(2)), option::of(within(Millis::days(1))));
    (select(states), status(), links, times, 0..5_u32).prop_map(move |(state, status, links, times, fruitless)| {
        let (charge, launch, has_launch) = links;
        let (heard, entered, due) = times;
        let mut row = JobRow::new(key(job), heard);
        row.state = state;
        row.gitlab_status = status;
        row.reason = "found".to_owned();
        row.charge = charge.filter(|_| state == JobState::Charged);
        row.launch = launch.filter(|_| state == JobState::Bound || (has_launch && state != JobState::Charged));
        row.fruitless = fruitless;
        row.times = JobTimes {
            ingested_at: Some(heard),
            waiting_at: Some(entered),
            charged_at: Some(entered),
            bound_at: Some(entered),
            foreign_at: Some(entered),
            ended_at: Some(entered),
            not_ours_at: Some(entered),
            unserved_at: Some(entered),
        };
        row.due = due.map_or(Due::never(), |at| Due::at(&row.key().pk(), at));
        row.expires_at = due.is_none().then_some(0);
        row
    })
}

/// A launch's row as some moves could have left it: an open one is due, a token is that of a job that it has.
fn launch_row(launch: &'static str) -> impl Strategy<Value = LaunchRow> {
    let states = vec![
        LaunchState::Charged,
        LaunchState::Starting,
        LaunchState::Polling,
        LaunchState::Bound,
        LaunchState::Closing,
        LaunchState::Closed,
    ];
    let links = (option::of(some_job()), some_job(), any::<bool>(), any::<bool>(), any::<bool>());
    let hour = || within(Millis::minutes(60));
    (select(states), links, hour(), hour(), hour(), hour()).prop_map(
        move |(state, links, entered, lease, due, deadline)| {
            let (charged_to, bound, has_job, has_token, accepted) = links;
            let has_job = state == LaunchState::Bound || (has_job && state == LaunchState::Closing);
            LaunchRow {
                rev: 0,
                launch: LaunchId::new(launch),
                state,
                lane: LaneId::new("lane"),
                lane_tags: TagSet::default(),
                run_untagged: true,
                engine: Engine::Lambda,
                target: "arn:executor".to_owned(),
                request: (state == LaunchState::Charged).then(|| "{}".to_owned()),
                isolated: false,
                charged_to,
                attempt: 1,
                bound_job: has_job.then_some(bound),
                instance_id: None,
                own_runner: None,
                official: None,
                system_id: "r_test".to_owned(),
                nonce_sha256: "hash".to_owned(),
                claim: None,
                accepted: accepted && has_job,
                job_token: (has_job && has_token).then(|| SealedToken::new("sealed")),
                beat_ms: None,
                caches: NamedCaches::default(),
                lease_until: lease,
                deadline,
                end_reason: None,
                due: if state == LaunchState::Closed {
                    Due::never()
                } else {
                    Due::at(&LaunchId::new(launch).pk(), due)
                },
                times: LaunchTimes {
                    charged_at: Some(entered),
                    starting_at: Some(entered),
                    polling_at: Some(entered),
                    bound_at: has_job.then_some(entered),
                    closing_at: Some(entered),
                    closed_at: Some(entered),
                },
                expires_at: (state == LaunchState::Closed).then_some(0),
                extra: serde_json::Map::new(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_due_is_moved_and_nothing_is_due_for_ever(
        jobs in (job_row(JOBS[0]), job_row(JOBS[1])),
        launches in (launch_row(LAUNCHES[0]), launch_row(LAUNCHES[1])),
    ) {
        let mut night = Night::of([jobs.0, jobs.1], [launches.0, launches.1]);
        night.passes();
        prop_assert!(night.now - T0 < LONGEST, "it took {}", night.now - T0);
        prop_assert!(night.launches.is_empty(), "not over: {:?}", night.launches);
    }

    /// A clock that is wrong, or a row that somebody wrote by hand, ends no sweep.
    #[test]
    fn no_time_is_too_odd(
        job in job_row(1),
        launch in launch_row("l-1"),
        times in prop::array::uniform6(any::<i64>()),
    ) {
        let [entered, due, lease, deadline, launch_due, now] = times.map(Timestamp);
        let mut job = job;
        (job.times.ingested_at, job.times.bound_at, job.times.foreign_at) = (Some(entered), Some(entered), None);
        job.due.next_check_at = Some(due);
        let mut launch = launch;
        (launch.lease_until, launch.deadline, launch.due.next_check_at) = (lease, deadline, Some(launch_due));
        (launch.times.bound_at, launch.times.closing_at) = (Some(entered), Some(entered));
        let _job = due_job(&job, Some(&launch), now);
        let _charge = may_charge(&job, now);
        let _settlement = settle(&job, Some(&launch), now);
        if let DueLaunch::NeedsStop(end) = due_launch(&launch, now) {
            let _closed = close(&launch, Evidence::RowOnly, "test", now);
            let _concluded = conclude(&launch, Some(&job), &end, now);
        }
        let _loss = lost(&launch, Some(&job), Evidence::RowOnly, now);
        let _debt = debt(&launch, Some(&job), now);
    }
}
