//! One world: a pool, the scaler's runs, and its ledger row.

use std::collections::BTreeMap;

use fastrand::Rng;
use runnerless_core::change::{Expect, Row as _, Write, decode};
use runnerless_core::pool::{
    Action, Decision, Group, Memory, Pending, Phase, PoolRow, Process, Scrape, Settings, remember,
};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_replay::pool::{BEGIN, Fate, Pool, Shape, State};
use runnerless_replay::trace::{Job, Trace};

use crate::chaos::Troubles;
use crate::referee::{Hits, Promise};

/// The decision, or a bad one in its place.
pub(crate) type Decide = fn(Timestamp, &Settings, &Group, &BTreeMap<String, Scrape>, &Pending, &Memory) -> Decision;

/// How long things go wrong.
const TROUBLED: Millis = Millis::minutes(90);

/// The longest job, in seconds.
const LONGEST_S: i64 = 900;

/// A broken promise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) rng: Rng,
    pub(crate) hits: Hits,
    pub(crate) troubles: Troubles,
    pub(crate) troubled: bool,
    /// Whether the scaler has a token that tells how many jobs wait.
    pub(crate) has_token: bool,
    /// Jobs that ended with their hardware: outside the promise.
    pub(crate) lost_jobs: usize,
    pub(crate) last_scrape: BTreeMap<String, Scrape>,
    settings: Settings,
    decides: Decide,
    /// The pool's row, as the ledger keeps it.
    row: Option<PoolRow>,
    /// What Auto Scaling described last: what a description that is behind shows.
    described: Option<Group>,
    burst_at: Millis,
    burst: usize,
}

/// A run that has decided and stored nothing yet.
struct Run {
    read: Option<PoolRow>,
    group: Group,
    scrapes: BTreeMap<String, Scrape>,
    decision: Decision,
}

impl World {
    pub(crate) fn new(seed: u64, decides: Decide) -> Self {
        let mut rng = Rng::with_seed(seed);
        let has_token = rng.u32(..4) > 0;
        let settings = settings(&mut rng, has_token);
        let shape = Shape {
            minimum: rng.u32(0..=2),
            maximum: rng.u32(6..=14),
            slots: settings.slots_per_member,
            in_service: Millis::secs(20),
            boot: Millis::secs(rng.i64(40..=200)),
            drains: true,
            protects: rng.u32(..4) > 0,
            stillborn: 30,
        };
        let (trace, burst_at, burst) = jobs(&mut rng, &settings);
        let desired = rng.u32(0..=4);
        Self {
            pool: Pool::new(shape, desired, trace, rng.u64(..)),
            hits: Hits::default(),
            troubles: Troubles::default(),
            troubled: true,
            has_token,
            lost_jobs: 0,
            last_scrape: BTreeMap::new(),
            settings,
            decides,
            row: None,
            described: None,
            burst_at,
            burst,
            rng,
        }
    }

    /// Lives through it all.
    pub(crate) fn live(&mut self) -> Result<(), Broken> {
        while self.pool.now() < BEGIN + TROUBLED {
            self.minute_of_trouble();
            self.minute()?;
        }
        for _ in self.pool.members.iter().filter(|member| member.ready_at.is_none()) {
            self.hits.hit("stillborn");
        }
        self.calm();
        // Whatever was launched until now comes or is late.
        self.quiet_until(BEGIN + self.burst_at - Millis::minutes(2))?;
        self.is_down()?;
        self.grows_for_the_burst()?;
        let give_up = self.pool.now() + Millis::days(1);
        while !self.pool.is_over() && self.pool.now() < give_up {
            self.minute()?;
        }
        self.quiet_until(self.pool.now() + self.comes_down_within())?;
        self.is_down()?;
        self.jobs_finished()
    }

    fn quiet_until(&mut self, until: Timestamp) -> Result<(), Broken> {
        while self.pool.now() < until {
            self.minute()?;
        }
        Ok(())
    }

    /// A minute with the runs that come in it.
    fn minute(&mut self) -> Result<(), Broken> {
        let next = Timestamp((self.pool.now().0 / 60_000 + 1) * 60_000);
        if self.strikes("no run", 40) {
            // The schedule was late, or Lambda throttled.
        } else if self.strikes("two runs at once", 60) {
            self.two_runs()?;
        } else {
            let run = self.load();
            self.pass(3);
            if self.store(&run)? {
                self.act(&run, &mut run.decision.actions.iter())?;
            }
        }
        self.pool.advance(next);
        Ok(())
    }

    /// Two runs that overlap, in one of the two ways in which they can.
    fn two_runs(&mut self) -> Result<(), Broken> {
        let one = self.load();
        if self.rng.bool() {
            let other = self.load();
            self.pass(2);
            assert!(self.store(&one)?, "nobody wrote since it was read");
            assert!(!self.store(&other)?, "the row has been written since");
            self.hits.hit("another run decided");
            return self.act(&one, &mut one.decision.actions.iter());
        }
        if self.store(&one)? {
            self.pass(1);
            let other = self.load();
            if self.store(&other)? {
                self.hits.hit("two runs act at once");
                let (mut its, mut others) = (one.decision.actions.iter(), other.decision.actions.iter());
                while its.len() + others.len() > 0 {
                    if self.rng.bool() {
                        self.act(&one, &mut its.by_ref().take(1))?;
                    } else {
                        self.act(&other, &mut others.by_ref().take(1))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A little time, in which jobs come and go.
    fn pass(&mut self, most_seconds: i64) {
        let millis = self.rng.i64(0..=most_seconds * 1000);
        self.pool.advance(self.pool.now() + Millis(millis));
    }

    /// Loads everything and decides.
    fn load(&mut self) -> Run {
        let fresh = self.pool.describe();
        let behind = self.described.replace(fresh.clone());
        let group = match behind {
            Some(behind) if self.strikes("description behind", 40) => behind,
            _ => fresh,
        };
        if group.members.is_empty() {
            self.hits.hit("empty group");
        }
        let read = self.row.clone();
        self.pass(2);
        let scrapes = self.scrape();
        let pending = if self.gitlab_tells() {
            Pending::Known(self.pool.waiting())
        } else {
            self.hits.hit("jobs that wait unknown");
            Pending::Unknown("no answer".to_owned())
        };
        let memory = read.as_ref().map(|row| row.memory.clone()).unwrap_or_default();
        let decision = (self.decides)(self.pool.now(), &self.settings, &group, &scrapes, &pending, &memory);
        Run { read, group, scrapes, decision }
    }

    /// Stores the memory, if the row is as it was read; and looks at the decision.
    fn store(&mut self, run: &Run) -> Result<bool, Broken> {
        self.judge(run)?;
        let plan = remember(run.read.as_ref(), "pool", run.decision.memory.clone(), self.pool.now());
        for change in plan.changes {
            let stored = self.row.as_ref().map(|row| row.rev());
            let holds = match change.expect {
                Expect::Absent => stored.is_none(),
                Expect::Rev(rev) => stored == Some(rev),
            };
            if !holds {
                return Ok(false);
            }
            let Write::Put(item) = change.write else { panic!("a write") };
            self.row = Some(decode(&item).unwrap());
        }
        Ok(true)
    }

    /// What holds of each decision, whatever it was made of.
    fn judge(&mut self, run: &Run) -> Result<(), Broken> {
        let broken = |promise, what: String| Err(Broken { promise, what });
        let (mut holds, mut changes) = (0, 0);
        for action in &run.decision.actions {
            match action {
                Action::Hold { .. } => {
                    holds += 1;
                    self.hits.hit("held");
                }
                Action::Grow { from, to, .. } => {
                    changes += 1;
                    self.hits.hit("grown");
                    if *to > self.settings.maximum.min(run.group.maximum) {
                        return broken(Promise::Limits, format!("{action}"));
                    }
                    if to <= from || *from != run.group.desired {
                        return broken(Promise::NeverLowered, format!("{action}"));
                    }
                }
                Action::Retire { id, .. } => {
                    changes += 1;
                    self.hits.hit("retired");
                    if !tells_that_it_is_idle(run, id) {
                        return broken(Promise::NothingBusyIsEnded, format!("{action}: {:?}", run.scrapes.get(id)));
                    }
                }
                Action::Suspend { .. } | Action::Protect { .. } => {}
            }
        }
        if holds != u32::from(changes == 0) {
            return broken(Promise::Reasons, format!("{:?}", run.decision.actions));
        }
        Ok(())
    }

    /// Does what was decided, as far as it gets.
    fn act(&mut self, run: &Run, actions: &mut dyn Iterator<Item = &Action>) -> Result<(), Broken> {
        for action in actions {
            self.pass(4);
            if self.strikes("crash before an action", 30) {
                return Ok(());
            }
            if self.strikes("action throttled", 40) {
                continue;
            }
            let desired = self.pool.desired;
            match action {
                Action::Suspend { process } => self.pool.suspended.push((*process).to_owned()),
                Action::Protect { ids } => self.pool.protect(ids),
                Action::Grow { to, .. } if *to > desired => {
                    // Refused only where the limits were changed since the group was described.
                    if self.pool.set_desired(*to).is_err() && run.group.maximum <= self.pool.shape.maximum {
                        return Err(Broken { promise: Promise::Limits, what: format!("refused: {action}") });
                    }
                }
                Action::Retire { id, lower_desired, .. } => {
                    let busy = self.pool.members.iter().any(|member| member.id == *id && !member.running.is_empty());
                    if self.pool.terminate(id, *lower_desired).is_ok() && busy {
                        self.hits.hit("took a job after its last scrape");
                    }
                }
                Action::Grow { .. } | Action::Hold { .. } => {}
            }
            if self.strikes("answer lost", 30) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Members that take jobs.
    fn serving(&self) -> u32 {
        let now = self.pool.now();
        let serving = |member: &&runnerless_replay::pool::Member| {
            member.state == State::Member && member.is_ready(now) && member.is_in_service(now)
        };
        u32::try_from(self.pool.members.iter().filter(serving).count()).unwrap()
    }

    /// The members that an idle pool may keep.
    fn idle_members(&self) -> u32 {
        let maximum = self.settings.maximum.min(self.pool.shape.maximum);
        let minimum = self.settings.minimum.max(self.pool.shape.minimum).min(maximum);
        let headroom = self.settings.headroom_slots.div_ceil(self.settings.slots_per_member);
        // Without a token one member stays, so that something can be seen.
        minimum.max(headroom).max(u32::from(!self.has_token))
    }

    /// From the last job's end until a pool is down: what booted for nothing is late, the window of the highest need is over,
    /// members are seen idle, and go a step at a time; twice, because the second pass is for those that came in the first.
    fn comes_down_within(&self) -> Millis {
        let steps = i64::from(14_u32.div_ceil(self.settings.shrink_step));
        Millis(
            self.settings.warm_up.0
                + self.settings.stabilisation.0
                + (i64::from(self.settings.idle_scrapes) + 3 * steps + 8) * 60_000,
        )
    }

    fn is_down(&self) -> Result<(), Broken> {
        if self.pool.waiting() > 0 {
            let what = format!("{} jobs wait, and nobody comes; {:?}", self.pool.waiting(), self.row);
            return Err(Broken { promise: Promise::Grows, what });
        }
        let (serving, may) = (self.serving(), self.idle_members());
        if serving > may {
            let what = format!("{serving} members serve nobody, and {may} may; {:?}", self.row);
            return Err(Broken { promise: Promise::ComesDown, what });
        }
        Ok(())
    }

    /// The burst's jobs begin within what booting takes, if the pool may have members for them.
    fn grows_for_the_burst(&mut self) -> Result<(), Broken> {
        let maximum = self.settings.maximum.min(self.pool.shape.maximum);
        let dead = self.pool.members.iter().filter(|member| !member.is_ready(self.pool.now())).count();
        let members = maximum.saturating_sub(u32::try_from(dead).unwrap());
        let burst = u32::try_from(self.burst).unwrap();
        if burst > members.saturating_mul(self.settings.slots_per_member) {
            self.hits.hit("no room for the burst");
            return Ok(());
        }
        // A member that tells nothing of those that wait sees them one by one: without a token a pool grows by its headroom.
        let rounds = if self.has_token {
            i64::from(burst.div_ceil(self.settings.slots_per_member).div_ceil(self.settings.grow_step))
        } else {
            i64::from(burst) + 1
        };
        let bound = Millis((60_000 + self.pool.shape.boot.0 + 10_000) * rounds + 120_000);
        self.quiet_until(BEGIN + self.burst_at + bound)?;
        let begun = &self.pool.fates[self.pool.fates.len() - self.burst..];
        if begun.iter().any(|fate| matches!(fate, Fate::Waiting)) {
            let what = format!("{burst} jobs came at once, and {} wait after {bound}", self.pool.waiting());
            return Err(Broken { promise: Promise::Grows, what });
        }
        Ok(())
    }

    fn jobs_finished(&self) -> Result<(), Broken> {
        let killed = self.pool.fates.iter().filter(|fate| **fate == Fate::Killed).count();
        if killed != self.lost_jobs || !self.pool.is_over() {
            let what = format!("{killed} jobs were ended, {} of them with their hardware", self.lost_jobs);
            return Err(Broken { promise: Promise::JobsFinish, what });
        }
        Ok(())
    }
}

/// Whether this member's metrics, which are not older than a scrape may be, say that it is idle.
fn tells_that_it_is_idle(run: &Run, id: &str) -> bool {
    let in_service = run.group.members.iter().any(|member| member.id == id && member.phase == Phase::InService);
    let idle = matches!(
        run.scrapes.get(id),
        Some(Scrape::Good(reading)) if reading.jobs == 0 && reading.process == Process::Running
    );
    in_service && idle
}

/// Without a token and without headroom a pool would see no need beyond its slots.
fn settings(rng: &mut Rng, has_token: bool) -> Settings {
    Settings {
        minimum: rng.u32(0..=2),
        maximum: rng.u32(6..=14),
        target_utilisation: rng.u32(50..=100),
        headroom_slots: rng.u32(u32::from(!has_token)..=3),
        grow_step: rng.u32(1..=14),
        shrink_step: rng.u32(1..=6),
        idle_scrapes: rng.u32(2..=4),
        stabilisation: Millis::minutes(rng.i64(0..=10)),
        warm_up: Millis::minutes(5),
        unhealthy_after: 3,
        slots_per_member: rng.u32(1..=4),
        longest_job: Millis::minutes(60),
    }
    .checked()
    .unwrap()
}

/// Jobs of the first part, and the burst's: when it comes and how many they are.
fn jobs(rng: &mut Rng, settings: &Settings) -> (Trace, Millis, usize) {
    let mut jobs = Vec::new();
    let job = |rng: &mut Rng, at: i64, longest: i64| Job {
        at: Millis(at),
        length: Millis(rng.i64(5_000..=longest * 1000)),
        tag: "build".to_owned(),
    };
    for _ in 0..rng.u32(3..=25) {
        let at = rng.i64(0..(TROUBLED.0 - 600_000));
        for _ in 0..rng.u32(1..=10) {
            let after = rng.i64(0..20_000);
            jobs.push(job(rng, at + after, LONGEST_S));
        }
    }
    // The first part's jobs may need two hours one after the other, where the pool is small.
    let burst_at = Millis(TROUBLED.0 + Millis::minutes(300).0);
    let burst = rng.usize(1..=20).min(usize::try_from(6 * settings.slots_per_member).unwrap());
    for _ in 0..burst {
        // So long that none of them frees its slot for another in time.
        jobs.push(Job { at: burst_at, length: Millis::minutes(60), tag: "build".to_owned() });
    }
    jobs.sort_by_key(|job| job.at);
    (Trace { jobs }, burst_at, burst)
}
