//! One world: everything that is not ours, and the time in which it goes on.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use runnerless_aws::ParameterCache;
use runnerless_aws::fake::{FakeLedger, FakeMapping};
use runnerless_aws_ec2::FakePool;
use runnerless_checkin::Memory;
use runnerless_core::change::Write;
use runnerless_core::live::{LIVE_PK, STACK};
use runnerless_core::project::add;
use runnerless_core::route::LaneEntry;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_ingest::Noted;

use crate::check::{Calls, Check, Left, PoolLeft, Verdict, Whom};
use crate::ec2::{self, Cloud};
use crate::event::Event;
use crate::fault::{Fault, Hits, Rates};
use crate::functions;
use crate::gitlab::{GitLab, GitLabRules, Load, LoadLane, RunnerKind, RunnerSpec};
use crate::hands::Hands;
use crate::metrics::{self, Metrics};
use crate::pool::{self, Pool};
use crate::process::{Fate, Process};
use crate::setup::{API_TOKEN, BEGIN, LaneSetup, PARAMETERS, SECRET, SIGNING, Setup, Wish};
use crate::timeline::{Due, Tasks, Timeline};
use crate::trace::Trace;

/// How many execution environments of ingest there are: each has its own memory of the secrets.
const FRONT_DOORS: usize = 3;
/// How many of checkin there are: a word of an instance may meet another one than that before.
const DESKS: usize = 2;
/// How long Parameter Store may answer an old value.
const OLD: Millis = Millis::secs(60);
/// How long after the last pipeline things go wrong.
const TROUBLE_AFTER: Millis = Millis::minutes(20);
/// How often somebody looks whether the world is quiet.
const LOOK: Millis = Millis::minutes(5);
/// After so long a world must be quiet: GitLab drops what waits for a day.
const LONGEST: Millis = Millis::days(3);
/// More steps than any world of this many jobs takes: one that goes on for ever is stopped.
const STEPS_PER_JOB: u64 = 200_000;

/// One world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) timeline: Timeline,
    pub(crate) setup: Setup,
    pub(crate) ledger: FakeLedger,
    pub(crate) mapping: FakeMapping,
    pub(crate) scaling: FakePool,
    /// What each of ingest's environments remembers: secrets, and the projects that it noted.
    pub(crate) front_doors: Vec<(ParameterCache, Noted)>,
    /// What each of checkin's environments remembers.
    pub(crate) desks: Vec<Memory>,
    state: Mutex<State>,
}

/// What changes in a world, beside its ledger.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) gitlab: GitLab,
    pub(crate) cloud: Cloud,
    pub(crate) pool: Option<Pool>,
    pub(crate) check: Check,
    pub(crate) trace: Trace,
    pub(crate) rates: Rates,
    pub(crate) hits: Hits,
    /// Calls by function and operation.
    pub(crate) calls: Calls,
    pub(crate) parameters: BTreeMap<String, Parameter>,
    /// The lanes' runners.
    runners: Vec<u64>,
    /// Rows that the due index shows as they were, until then.
    pub(crate) stale: BTreeMap<String, (Timestamp, Option<(String, Timestamp)>)>,
    processes: u32,
    seed: u64,
    /// For what no process does.
    rng: Rng,
    /// When GitLab is looked at next.
    gitlab_due: Option<Timestamp>,
    /// Whether there are pipelines to come or something may still go wrong.
    is_over: bool,
}

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) value: String,
    /// What it was before, and until when somebody may still read that.
    pub(crate) old: Option<(String, Timestamp)>,
}

/// What came of a world.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) jobs: usize,
    pub(crate) hits: Hits,
    pub(crate) calls: Calls,
    pub(crate) metrics: Metrics,
    pub(crate) hash: [u8; 32],
    pub(crate) last: Vec<String>,
    pub(crate) lines: u64,
    pub(crate) lasted: Millis,
    pub(crate) verdict: Verdict,
}

impl World {
    fn new(wish: &Wish) -> Self {
        let mut rng = Rng::with_seed(wish.seed);
        let setup = Setup::draw(&mut rng, wish);
        let rules = GitLabRules {
            two_phase: setup.two_phase,
            // Nobody else finds what a disabled hook did not tell.
            auto_disable: setup.knowledge.finds_unseen(),
            ..GitLabRules::default()
        };
        let gitlab = GitLab::new(rng.fork(), rules);
        let state = State {
            gitlab,
            cloud: Cloud::default(),
            pool: None,
            check: Check::new(&setup),
            trace: Trace::new(wish.keeps, BEGIN),
            rates: setup.rates.clone(),
            hits: Hits::default(),
            calls: BTreeMap::new(),
            parameters: BTreeMap::new(),
            runners: Vec::new(),
            stale: BTreeMap::new(),
            processes: 0,
            seed: rng.u64(..),
            rng: rng.fork(),
            gitlab_due: None,
            is_over: false,
        };
        let secrets = || ParameterCache::new(format!("{PARAMETERS}/ingress"));
        Self {
            timeline: Timeline::new(BEGIN),
            setup,
            ledger: FakeLedger::default(),
            mapping: FakeMapping::default(),
            scaling: FakePool::default(),
            front_doors: (0..FRONT_DOORS).map(|_| (secrets(), Noted::default())).collect(),
            desks: (0..DESKS).map(|_| Memory::default()).collect(),
            state: Mutex::new(state),
        }
    }

    /// Makes runners, parameters, mapping and the plan of what users do.
    fn furnish(&self) {
        let mut state = self.state();
        let secret = if self.setup.signed { ("SigningToken", SIGNING) } else { ("SecretToken", SECRET) };
        let name = format!("{PARAMETERS}/ingress/{}", secret.0);
        state.parameters.insert(name, Parameter { value: secret.1.to_owned(), old: None });
        if self.setup.has_own_runners() {
            for (name, value) in [("ApiToken", API_TOKEN), ("RunnerScope", "instance")] {
                let name = format!("{PARAMETERS}/control/{name}");
                state.parameters.insert(name, Parameter { value: value.to_owned(), old: None });
            }
        }
        let projects: Vec<u64> = self.setup.projects.iter().map(|path| state.gitlab.add_project(path)).collect();
        if self.setup.names_projects {
            self.names(&projects, &mut state);
        }
        let mut lanes = Vec::new();
        for lane in &self.setup.lanes {
            let spec = |kind| RunnerSpec {
                kind,
                tags: lane.lane.tags.clone(),
                run_untagged: lane.lane.run_untagged,
                ref_protected: false,
            };
            let runner = state.gitlab.add_runner(spec(RunnerKind::Ours));
            let token = state.gitlab.runner(runner).map(|runner| runner.token.clone()).unwrap_or_default();
            let value = if lane.cannot_ask { "glrt-of-another-gitlab".to_owned() } else { token };
            state.parameters.insert(token_name(lane), Parameter { value, old: None });
            state.runners.push(runner);
            if self.setup.foreign {
                state.gitlab.add_runner(spec(RunnerKind::Foreign));
            }
            lanes.push(LoadLane { runner, projects: projects.clone(), names: lane.names.clone() });
        }
        let load = Load {
            jobs: self.setup.jobs,
            from: BEGIN,
            span: self.setup.span,
            lanes,
            uncovered_one_in: self.setup.uncovered_one_in,
        };
        for (at, step) in state.gitlab.load(&load) {
            self.timeline.happens_at(at, Event::User(step));
        }
        pool::furnish(self, &mut state, &projects);
        drop(state);
        self.map();
        for (after, lane) in &self.setup.rotations {
            self.timeline.happens_in(*after, Event::Rotates(*lane));
        }
        self.timeline.happens_in(Millis::secs(17), Event::Sweep);
        self.timeline.happens_at(BEGIN + self.setup.span + TROUBLE_AFTER, Event::Calm);
    }

    /// The operator names the projects.
    fn names(&self, projects: &[u64], state: &mut State) {
        for (id, path) in projects.iter().zip(&self.setup.projects) {
            for change in add(None, *id, path, BEGIN).changes {
                if let Write::Put(item) = change.write {
                    self.ledger.put(item);
                }
            }
            state.check.named(*id, BEGIN);
        }
    }

    /// The mapping: a row for each name, and the lane's entry.
    fn map(&self) {
        for lane in self.setup.lanes.iter().filter(|lane| !lane.is_default) {
            for name in &lane.names {
                self.mapping.put(lane.row(name).into());
            }
            // As the loader keeps one for each tag set with rows.
            self.mapping.put(LaneEntry { lane: lane.lane.clone(), tenancy: None }.to_item().into());
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.timeline.now()
    }

    /// A new process of a function that ends after `limit` at the latest, with the fate that the seed gives it.
    pub(crate) fn process(
        &self,
        function: &'static str,
        limit: Millis,
        fate: impl FnOnce(&Rates, &mut Rng) -> Fate,
    ) -> Process {
        let mut state = self.state();
        state.processes += 1;
        let number = state.processes;
        let mut rng = Rng::with_seed(state.seed ^ (u64::from(number) << 20));
        let fate = fate(&state.rates, &mut rng);
        Process::new(number, function, self.now() + limit, rng, fate)
    }

    /// Lets GitLab do something, and takes up what follows: its hooks, and when it is to be looked at again.
    pub(crate) fn at_gitlab<T>(&self, act: impl FnOnce(&mut GitLab, Timestamp) -> T) -> T {
        let now = self.now();
        let mut state = self.state();
        let done = act(&mut state.gitlab, now);
        let hooks = state.gitlab.take_hooks();
        let due = state.gitlab.next_tick();
        if let Some(due) = due
            && state.gitlab_due.is_none_or(|known| due < known)
        {
            state.gitlab_due = Some(due);
            self.timeline.happens_at(due, Event::GitLab);
        }
        let State { pool, gitlab, .. } = &mut *state;
        if let Some(pool) = pool.as_mut().filter(|pool| !pool.bell.is_idle() && gitlab.has_job_for(pool.runner)) {
            pool.bell.ring();
        }
        drop(state);
        for hook in hooks {
            functions::ingest::send(self, hook);
        }
        done
    }

    /// Runs to its end.
    fn run(&self) -> Option<String> {
        let mut tasks = Tasks::default();
        let most = STEPS_PER_JOB * (self.setup.jobs as u64 + 20);
        for _ in 0..most {
            if let Some(task) = self.timeline.ready() {
                tasks.go_on(task);
            } else {
                match self.timeline.next() {
                    None => return None,
                    Some(Due::Wakes(waker)) => waker.wake(),
                    Some(Due::Happens(event)) => {
                        if let Some(work) = self.happens(*event, tasks.under_way()) {
                            tasks.begin(&self.timeline, work);
                        }
                    }
                }
            }
            let state = self.state();
            if state.is_over || state.check.is_broken() {
                return None;
            }
        }
        Some(format!("the world was still at it after {most} steps"))
    }

    fn happens(&self, event: Event, under_way: usize) -> Option<Pin<Box<dyn Future<Output = ()> + '_>>> {
        match event {
            Event::User(step) => {
                self.at_gitlab(|gitlab, now| gitlab.step(&step, now));
                None
            }
            Event::GitLab => {
                self.state().gitlab_due = None;
                self.at_gitlab(GitLab::tick);
                None
            }
            Event::Rotates(lane) => {
                self.rotates(lane);
                None
            }
            Event::Written(lane) => {
                self.writes(lane);
                None
            }
            Event::Hook(hook) => Some(Box::pin(functions::ingest::arrives(self, hook))),
            Event::Announced(announcement) => Some(Box::pin(functions::workflows::begins(self, announcement))),
            Event::Invocation(invocation) => Some(Box::pin(functions::lambda::runs(self, invocation))),
            Event::Boots(instance) => Some(Box::pin(ec2::boots(self, instance))),
            Event::CheckIn(call) => Some(Box::pin(functions::checkin::serves(self, *call))),
            Event::Warns(instance) => {
                ec2::warns(self, &instance);
                None
            }
            Event::Taken(instance) => {
                ec2::stops(self, &instance);
                None
            }
            Event::LosesPower(instance) => {
                ec2::loses_power(self, &instance);
                None
            }
            Event::Record(record) => Some(Box::pin(functions::terminator::hears(self, record))),
            Event::Sweep => functions::reconciler::starts(self),
            Event::Pool(what) => pool::happens(self, what),
            Event::Calm => {
                self.state().rates = Rates::CALM;
                pool::calms(self);
                self.timeline.happens_in(LOOK, Event::Look);
                None
            }
            Event::Look => {
                self.look(under_way);
                None
            }
        }
    }

    /// A lane's token is replaced: first in GitLab, then in Parameter Store.
    fn rotates(&self, number: usize) {
        let Some(lane) = self.setup.lanes.get(number).filter(|lane| !lane.cannot_ask) else { return };
        let runner = self.state().runners.get(number).copied().unwrap_or_default();
        self.at_gitlab(|gitlab, _| gitlab.reset_token(runner));
        self.hit(Fault::TokenRotated, &Whom::Lane(lane.lane.id()), None);
        let until = self.draw(|rng| Millis(rng.i64(1_000..40_000)));
        self.state().check.rotated(&lane.lane.id());
        self.timeline.happens_in(until, Event::Written(number));
    }

    /// The token that this parameter held before was read: what is sealed under it now opens no more, as if the lane's token
    /// were replaced only now.
    pub(crate) fn reads_old(&self, name: &str) {
        if let Some(lane) = self.setup.lanes.iter().find(|lane| token_name(lane) == name) {
            self.state().check.rotated(&lane.lane.id());
        }
    }

    /// The lane's token, as it is in GitLab now, is written to Parameter Store.
    fn writes(&self, number: usize) {
        let Some(lane) = self.setup.lanes.get(number) else { return };
        let now = self.now();
        let mut state = self.state();
        let runner = state.runners.get(number).and_then(|runner| state.gitlab.runner(*runner));
        let Some(value) = runner.map(|runner| runner.token.clone()) else { return };
        let name = token_name(lane);
        let old = state.parameters.get(&name).map(|old| (old.value.clone(), now + OLD));
        state.parameters.insert(name, Parameter { value, old });
        // A launch's own runner is sealed under what the parameter held, which opened it until now.
        if lane.has_own_runners() {
            state.check.rotated(&lane.lane.id());
        }
    }

    /// Whether nothing is left to do; then the world is over.
    fn look(&self, under_way: usize) {
        let now = self.now();
        let mut state = self.state();
        let counted = self.ledger.item(LIVE_PK).and_then(|counts| counts.get(STACK)?.as_i64()).unwrap_or_default();
        // Runner managers run for ever.
        let standing = state.pool.as_ref().map_or(0, Pool::managers);
        let rests = under_way == standing && counted == 0 && state.cloud.left().next().is_none();
        let quiet =
            rests && pool::rests(self, &state) && state.gitlab.is_quiet() && state.check.is_quiet(self.setup.knowledge);
        if quiet || now - BEGIN > LONGEST {
            state.is_over = true;
        } else {
            drop(state);
            self.timeline.happens_in(LOOK, Event::Look);
        }
    }

    /// How often this goes wrong, in parts of a million.
    pub(crate) fn rate(&self, fault: Fault) -> u32 {
        self.state().rates.of(fault)
    }

    /// Draws something that is no process's.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.state().rng)
    }

    /// Whether the service is out of reach now.
    pub(crate) fn is_out(&self, fault: Fault) -> bool {
        let now = self.now();
        let out =
            self.setup.outages.iter().any(|outage| outage.fault == fault && outage.from <= now && now < outage.until);
        if out {
            self.state().hits.add(fault);
        }
        out
    }

    /// Whether this goes wrong now, outside of all processes.
    pub(crate) fn strikes(&self, fault: Fault, whom: &Whom) -> bool {
        let mut state = self.state();
        let State { rates, rng, .. } = &mut *state;
        let strikes = rates.strikes(fault, rng);
        drop(state);
        if strikes {
            self.hit(fault, whom, None);
        }
        strikes
    }

    /// Notes that something went wrong, for whom.
    pub(crate) fn hit(&self, fault: Fault, whom: &Whom, hands: Option<&Hands<'_>>) {
        let now = self.now();
        let mut state = self.state();
        let State { hits, trace, check, .. } = &mut *state;
        hits.add(fault);
        check.hit(fault, whom, now);
        match hands {
            Some(hands) => trace.add(now, format_args!("{hands}: {}", fault.name())),
            None => trace.add(now, format_args!("{}: {whom:?}", fault.name())),
        }
    }

    /// Counts a call.
    pub(crate) fn count(&self, function: &'static str, operation: &'static str) {
        *self.state().calls.entry((function, operation)).or_default() += 1;
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        let now = self.now();
        self.state().trace.add(now, what);
    }
}

fn token_name(lane: &LaneSetup) -> String {
    runnerless_aws::runner_token_name(PARAMETERS, lane.lane.engine, &lane.lane.id())
}

/// Runs one world.
pub(crate) fn run(wish: &Wish) -> Ended {
    // Nothing of the world that this thread ran before.
    metrics::take();
    let world = World::new(wish);
    world.furnish();
    let endless = world.run();
    let metrics = metrics::take();
    let now = world.now();
    let World { setup, ledger, scaling, state, .. } = world;
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let State { gitlab, cloud, pool, check, trace, hits, calls, .. } = state;
    let group = scaling.now(pool::GROUP);
    let of_pool = setup.pool.as_ref().zip(pool.as_ref()).zip(group.as_ref());
    let jobs = gitlab.jobs();
    let left = Left {
        setup: &setup,
        gitlab: &gitlab,
        cloud: &cloud,
        pool: of_pool.map(|((setup, pool), group)| PoolLeft { setup, pool, group }),
        ledger: &ledger,
        calls: &calls,
        hits: &hits,
        metrics: &metrics,
        endless,
        now,
    };
    let verdict = check.judge(left);
    let lines = trace.lines();
    let (hash, last) = trace.end();
    Ended { jobs, hits, calls, metrics, hash, last, lines, lasted: now - BEGIN, verdict }
}
