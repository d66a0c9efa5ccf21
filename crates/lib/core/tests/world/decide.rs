//! The real decisions, each asked once for the rows that it sees.
//!
//! A decision is a function of its rows and the time, and the search meets the same rows millions of times: what it
//! answered is remembered. It is given only the rows that its callers load for it.

use std::cell::RefCell;
use std::collections::HashMap;

use runnerless_core::change::Plan;
use runnerless_core::id::JobKey;
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{
    BeginRefused, BindRefused, BindRows, Debt, DueJob, DueLaunch, End, Evidence, GiveBackRows, Loss, Settlement,
    assign, begin, bind, charge, close, conclude, debt, due_job, due_launch, give_back, lost, paid, record, renew,
    settle, started,
};
use runnerless_core::time::{Millis, Timestamp};

use super::quick::Quick;
use super::rows::{self, LATE, NOW};
use super::{Broken, Ledger};

/// A question: jobs are called `k`, launches `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Hook { k: u8, status: u8 },
    Charge { k: u8, i: u8 },
    Assign { k: u8, i: u8 },
    Sentinel { i: u8 },
    DueJob { k: u8 },
    Settle { k: u8, i: u8 },
    Started { i: u8 },
    Begin { i: u8, claim: &'static str },
    Bind { i: u8, k: u8 },
    GiveBack { i: u8, k: u8 },
    Renew { i: u8 },
    DueLaunch { i: u8, when: When },
    Close { i: u8, when: When },
    Conclude { i: u8, how: How },
    Lost { i: u8, when: When },
    Debt { i: u8, when: When },
}

/// The time of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum When {
    /// No lease is over.
    Now,
    /// All are.
    Late,
}

/// How a launch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum How {
    Fruitless,
    NeverStarted,
    JobDone,
}

/// What a decision says, beside the rows that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// A bind: the job has ended.
    JobEnded,
    /// A begin: another process was faster.
    Begun,
    /// A loss, and whether GitLab is told.
    Lost {
        report: bool,
    },
    /// A due job: it needs a launch.
    NeedsLaunch,
    /// A debt: GitLab is to be told.
    Report,
    /// A due launch: it is to be stopped.
    NeedsStop,
    /// A due launch: it may be lost.
    MaybeLost,
}

type Answer = (Verdict, Ledger);

/// The decisions of one search, with a rule switched off.
pub(crate) struct Decisions {
    broken: Option<Broken>,
    known: RefCell<HashMap<(Ask, Ledger), Answer, Quick>>,
}

impl Decisions {
    pub(crate) fn new(broken: Option<Broken>) -> Self {
        Self { broken, known: RefCell::default() }
    }

    /// What the decision says, and the ledger after it.
    pub(crate) fn ask(&self, ledger: &Ledger, ask: Ask) -> Answer {
        let seen = seen(ledger, ask);
        let (verdict, written) =
            *self.known.borrow_mut().entry((ask, seen)).or_insert_with(|| decide(self.broken, &seen, ask));
        let mut after = *ledger;
        for (row, new) in after.jobs.iter_mut().zip(written.jobs) {
            *row = new.or(*row);
        }
        for (row, new) in after.launches.iter_mut().zip(written.launches) {
            *row = new.or(*row);
        }
        (verdict, after)
    }
}

/// The rows that the decision is given.
fn seen(ledger: &Ledger, ask: Ask) -> Ledger {
    let spare = |k: u8| ledger.jobs[usize::from(k)].and_then(|job| job.charge);
    let named = |k: u8| ledger.jobs[usize::from(k)].and_then(|job| job.charge.or(job.launch));
    let (jobs, launches): (&[u8], [Option<u8>; 2]) = match ask {
        Ask::Hook { k, .. } | Ask::Charge { k, .. } => (&[k], [None; 2]),
        Ask::Settle { k, i } => (&[k], [Some(i), None]),
        Ask::Sentinel { .. } => (&[], [None; 2]),
        Ask::Assign { i, .. } => (&[0, 1], [Some(i), None]),
        Ask::DueJob { k } => (&[k], [named(k), None]),
        Ask::Started { i } | Ask::Begin { i, .. } | Ask::Renew { i } => (&[], [Some(i), None]),
        Ask::DueLaunch { i, .. } | Ask::Close { i, .. } => (&[], [Some(i), None]),
        Ask::Bind { i, k } => (&[0, 1], [Some(i), spare(k)]),
        Ask::GiveBack { i, .. } | Ask::Conclude { i, .. } | Ask::Lost { i, .. } | Ask::Debt { i, .. } => {
            (&[0, 1], [Some(i), None])
        }
    };
    let mut seen = Ledger::default();
    for &k in jobs {
        seen.jobs[usize::from(k)] = ledger.jobs[usize::from(k)];
    }
    for i in launches.into_iter().flatten() {
        seen.launches[usize::from(i)] = ledger.launches[usize::from(i)];
    }
    seen
}

fn decide(broken: Option<Broken>, rows: &Ledger, ask: Ask) -> Answer {
    let off = |rule| broken == Some(rule);
    let job = |k| rows::job(rows, k);
    let launch = |i| rows::launch(rows, i).expect("a launch that exists");
    match ask {
        Ask::Hook { k, status } => yes(record(job(k).as_ref(), &rows::event(k, status), NOW).plan),
        Ask::Charge { k, i } => {
            let plan = job(k).and_then(|job| charge(&job, &rows::lane(), rows::start(i), "due", LATE).ok());
            maybe(plan)
        }
        Ask::Sentinel { i } => yes(rows::sentinel(i)),
        Ask::Assign { k, i } => {
            maybe(job(k).and_then(|job| assigns(off(Broken::AssignTheNeeded), rows, &job, &launch(i))))
        }
        Ask::DueJob { k } => look_at_job(rows, k),
        Ask::Settle { k, i } => settles(off(Broken::StopTheChargedLaunch), job(k), launch(i)),
        Ask::Started { i } => maybe(started(&launch(i), NOW)),
        Ask::Begin { i, claim } => begins(off(Broken::BeginTwice), launch(i), claim),
        Ask::Bind { i, k } => binds(broken, rows, i, k),
        Ask::GiveBack { i, k } => gives_back(broken, rows, i, k),
        Ask::Renew { i } => maybe(renew(&launch(i), NOW).ok()),
        Ask::DueLaunch { i, when } => (look_at_launch(&launch(i), when.time()), Ledger::default()),
        Ask::Close { i, when } => {
            let mut launch = launch(i);
            if off(Broken::CloseBound) && launch.state == LaunchState::Bound {
                launch.state = LaunchState::Polling;
            }
            maybe(close(&launch, Evidence::RowOnly, "not needed", when.time()).ok())
        }
        Ask::Conclude { i, how } => {
            let mut launch = launch(i);
            if off(Broken::BelieveThrottles) && how == How::NeverStarted && launch.state != LaunchState::Closed {
                launch.state = LaunchState::Starting;
            }
            maybe(conclude(&launch, of_launch(rows, &launch).as_ref(), &how.end(), NOW))
        }
        Ask::Lost { i, when } => loses(broken, rows, launch(i), when),
        Ask::Debt { i, when } => owes(broken, rows, launch(i), when),
    }
}

fn yes(plan: Plan) -> Answer {
    (Verdict::Yes, rows::written(&plan))
}

fn no(verdict: Verdict) -> Answer {
    (verdict, Ledger::default())
}

fn maybe(plan: Option<Plan>) -> Answer {
    plan.map_or_else(|| no(Verdict::No), yes)
}

impl When {
    fn time(self) -> Timestamp {
        match self {
            Self::Now => NOW,
            Self::Late => LATE,
        }
    }
}

impl How {
    fn end(self) -> End {
        match self {
            Self::Fruitless => End::Fruitless("no job came".into()),
            Self::NeverStarted => End::NeverStarted { reason: "throttled".into(), retry_in: Millis::secs(10) },
            Self::JobDone => End::JobDone("done".into()),
        }
    }
}

/// The row that a launch's end is about: its bound job's, else that of the job that it is charged to.
fn of_launch(rows: &Ledger, launch: &LaunchRow) -> Option<JobRow> {
    launch.bound_job.or(launch.charged_to).and_then(|key| row_of(rows, key))
}

fn row_of(rows: &Ledger, key: JobKey) -> Option<JobRow> {
    rows::job(rows, u8::try_from(key.job).expect("small"))
}

/// The job that a launch is charged to, if that is not `k`.
fn other(rows: &Ledger, launch: &LaunchRow, k: u8) -> Option<JobRow> {
    launch.charged_to.filter(|key| *key != rows::key(k)).and_then(|key| row_of(rows, key))
}

/// The sweep reads the row of the job that the launch is charged to.
fn assigns(blindly: bool, rows: &Ledger, job: &JobRow, launch: &LaunchRow) -> Option<Plan> {
    let owner = launch.charged_to.filter(|_| !blindly).and_then(|key| row_of(rows, key));
    assign(job, launch, owner.as_ref(), LATE).ok().flatten()
}

fn look_at_job(rows: &Ledger, k: u8) -> Answer {
    let Some(job) = rows::job(rows, k) else { return no(Verdict::No) };
    let named = if job.state == JobState::Charged { &job.charge } else { &job.launch };
    let launch = named.as_ref().and_then(|id| rows::launch(rows, id.as_str().parse().expect("a number")));
    match due_job(&job, launch.as_ref(), LATE) {
        DueJob::NeedsLaunch => no(Verdict::NeedsLaunch),
        DueJob::Write(plan) | DueJob::NeedsWord(plan) | DueJob::Unaccounted { plan, .. } => yes(plan),
        DueJob::NeedsSettling | DueJob::Nothing => no(Verdict::No),
    }
}

fn look_at_launch(launch: &LaunchRow, now: Timestamp) -> Verdict {
    match due_launch(launch, now) {
        DueLaunch::NeedsStop(_) => Verdict::NeedsStop,
        DueLaunch::MaybeLost => Verdict::MaybeLost,
        DueLaunch::WriteOff => panic!("only a stack that drains writes off"),
        DueLaunch::NeedsStart | DueLaunch::OwesReport | DueLaunch::Nothing => Verdict::No,
    }
}

fn settles(the_charged_one: bool, job: Option<JobRow>, mut launch: LaunchRow) -> Answer {
    let Some(mut job) = job else { return no(Verdict::No) };
    launch.instance_id = Some("i".into());
    if the_charged_one {
        job.launch = Some(launch.launch.clone());
        launch.bound_job = Some(job.key());
    }
    match settle(&job, Some(&launch), NOW) {
        Settlement::Stop { .. } => no(Verdict::NeedsStop),
        Settlement::Retire(plan) | Settlement::EndsItself(plan) => (Verdict::No, rows::written(&plan)),
        Settlement::Nothing(_) => no(Verdict::No),
    }
}

fn begins(twice: bool, mut launch: LaunchRow, claim: &str) -> Answer {
    if twice && launch.state == LaunchState::Polling {
        launch.state = LaunchState::Starting;
    }
    match begin(&launch, "n", claim, NOW) {
        Ok(plan) => yes(plan),
        Err(BeginRefused::Begun) => no(Verdict::Begun),
        Err(BeginRefused::Gone(_)) => no(Verdict::No),
        Err(other) => panic!("a runner of the world meets {other}"),
    }
}

fn binds(broken: Option<Broken>, rows: &Ledger, i: u8, k: u8) -> Answer {
    let mut launch = rows::launch(rows, i).expect("a launch that exists");
    if broken == Some(Broken::BindOnClosing) && launch.state == LaunchState::Closing {
        launch.state = LaunchState::Polling;
    }
    let got = rows::job(rows, k);
    let spare = rows.jobs[usize::from(k)].and_then(|bits| bits.charge).and_then(|c| rows::launch(rows, c));
    let charged = other(rows, &launch, k);
    let of = BindRows { launch: &launch, got: got.as_ref(), gots_charge: spare.as_ref(), charged: charged.as_ref() };
    match bind(of, rows::key(k), NOW) {
        Ok(mut plan) => {
            let older = got.as_ref().is_some_and(|row| row.state == JobState::Bound);
            match broken {
                Some(Broken::KeepTheLostCharge) => plan.changes.retain(|change| change.pk != rows::key(1 - k).pk()),
                Some(Broken::KeepOlderBinding) if older => {
                    plan.changes.retain(|change| change.pk != rows::key(k).pk());
                }
                _ => {}
            }
            yes(plan)
        }
        Err(BindRefused::JobEnded) => no(Verdict::JobEnded),
        Err(BindRefused::NotPolling(_) | BindRefused::HasAnother(_)) => no(Verdict::No),
    }
}

fn gives_back(broken: Option<Broken>, rows: &Ledger, i: u8, k: u8) -> Answer {
    let launch = rows::launch(rows, i).expect("a launch that exists");
    let mut got = rows::job(rows, k).filter(|_| broken != Some(Broken::NoUnbind));
    if broken == Some(Broken::UnbindOthers)
        && let Some(row) = got.as_mut().filter(|row| row.state == JobState::Bound)
    {
        row.launch = Some(launch.launch.clone());
    }
    let charged = other(rows, &launch, k);
    let of = GiveBackRows { launch: &launch, got: got.as_ref(), charged: charged.as_ref() };
    yes(give_back(of, "refused", NOW))
}

fn loses(broken: Option<Broken>, rows: &Ledger, mut launch: LaunchRow, when: When) -> Answer {
    let mut job = of_launch(rows, &launch);
    if broken == Some(Broken::LoseOthers)
        && let Some(named) = job.as_mut().and_then(|job| job.launch.as_mut())
    {
        named.clone_from(&launch.launch);
    }
    if broken == Some(Broken::ReportLate) {
        launch.times.bound_at = Some(when.time() - Millis(1));
    }
    let evidence = if when == When::Now { Evidence::HostGone } else { Evidence::RowOnly };
    match lost(&launch, job.as_ref(), evidence, when.time()) {
        Loss::NotLost(_) => no(Verdict::No),
        Loss::Lost { report, plan } => (Verdict::Lost { report: report.is_some() }, rows::written(&plan)),
    }
}

/// Who tells GitLab looks at the row again: it may be much later.
fn owes(broken: Option<Broken>, rows: &Ledger, mut launch: LaunchRow, when: When) -> Answer {
    if broken == Some(Broken::ReportLate) {
        launch.times.bound_at = Some(when.time() - Millis(1));
    }
    launch.times.closing_at = Some(when.time());
    match debt(&launch, of_launch(rows, &launch).as_ref(), when.time()) {
        Debt::Nothing => no(Verdict::No),
        Debt::Forgiven(plan) => yes(plan),
        Debt::Report { .. } => (Verdict::Report, rows::written(&paid(&launch, "told", when.time()))),
    }
}
