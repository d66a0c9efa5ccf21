//! Every interleaving of the provisioners of one launch, a sweep, the instances' runners and a user, over the real decisions.
//!
//! The world is small: a job and the launch that is charged to it, another job that waits, EC2 with its tokens, and three
//! calls of the provisioner, of which two may be at work at once. EC2 gives an instance, two, or none; a budget of
//! misfortunes loses answers and ends calls anywhere. The user cancels the job; time passes; the sweep closes what is over
//! and gives away what is free; an instance that the row names may begin, bind and end. In every reachable state
//!
//! - nobody terminates an instance that its launch's row has given a runner to;
//! - on demand is asked for only when spot has said that it has nothing;
//! - the row never changes its instance;
//! - when nothing went wrong and everybody is done, no instance is there that no live launch names, and no job waits for a
//!   launch that is over;
//! - when something did, the sweep's rule by the rows ends every instance that is left.
//!
//! Then each rule is switched off in turn, and the search must find what it is for.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use runnerless_core::change::{Expect, Plan, Write, decode};
use runnerless_core::fleet::{FleetAnswer, FleetFault, FleetRequest, Market};
use runnerless_core::frozen::Ground;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{
    Answered, BindRows, DueLaunch, End, Evidence, Provision, Start, answered, asks_for_owner, assign, bind, charge,
    check_in, close, conclude, due_launch, provision, record,
};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

const T0: Timestamp = Timestamp(1_789_373_730_000);
/// Calls of the provisioner that a search makes, and how many of them are at work at once.
const CALLS: u8 = 3;
const AT_ONCE: usize = 2;

/// A rule that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// A lost answer is taken for an empty market.
    MoveOnWithoutWord,
    /// The instance is terminated first, and then the launch closed.
    TerminateFirst,
    /// The newest answer's instance takes the recorded one's place.
    NewestInstance,
    /// What an answer brings for a launch that is over is nobody's business.
    LeaveLateOnes,
    /// Surplus is left.
    LeaveSurplus,
    /// An answer without an instance ends the launch as it is now, and not as it was when that was decided.
    ConcludeWhateverIsThere,
}

/// Where a call of the provisioner stands.
#[derive(Clone, Debug)]
enum Call {
    /// It decided to send this.
    Sends(FleetRequest),
    /// It has this answer.
    Knows(FleetRequest, FleetAnswer),
    /// It has read the launch after that.
    Reads(FleetRequest, FleetAnswer, Box<LaunchRow>),
    /// It terminates these, and then concludes.
    Ends(Vec<String>, Option<End>),
    /// The same, but for a launch that is not closed yet: only when a rule is off.
    EndsFirst(Vec<String>, Plan, End),
}

/// Where the sweep's stop stands.
#[derive(Clone, Debug)]
enum Stop {
    Closed(End),
    Terminated(End),
}

#[derive(Clone, Debug)]
struct World {
    jobs: [JobRow; 2],
    launch: LaunchRow,
    now: Timestamp,
    /// What EC2 answers for a token that it knows, by market.
    spot: Option<FleetAnswer>,
    on_demand: Option<FleetAnswer>,
    alive: BTreeSet<String>,
    calls: Vec<Call>,
    calls_left: u8,
    stop: Option<Stop>,
    misfortunes: u8,
    luck: bool,
}

type Next = Result<World, String>;

fn key(job: u64) -> JobKey {
    JobKey { project: 1, job }
}

fn hook(row: Option<&JobRow>, job: u64, status: &str, now: Timestamp) -> Plan {
    let status = JobStatus::parse(status);
    let event = JobEvent { key: key(job), status, facts: JobFacts::default(), created_at: None, runner: None };
    record(row, &event, now).plan
}

fn only<R: runnerless_core::change::Row>(plan: &Plan, pk: &str) -> R {
    let change = plan.changes.iter().find(|change| change.pk == pk).expect("the plan writes it");
    let Write::Put(item) = &change.write else { panic!("a check") };
    decode(item).unwrap()
}

impl World {
    fn new(misfortunes: u8) -> Self {
        let lane = Lane { tags: TagSet::default(), engine: Engine::Ec2, target: "//".into(), run_untagged: true };
        let ground = Ground {
            stack: "s".into(),
            launch_template: "lt-1:1".into(),
            subnets: vec!["subnet-a".into()],
            market: Market::Spot,
            instance_types: vec!["m7i.large".into()],
        };
        let waiting = |job: u64| only::<JobRow>(&hook(None, job, "pending", T0), &key(job).pk());
        let id = LaunchId::new("l-1");
        let first = waiting(1);
        let request = ground.freeze(&lane, &first, &id, T0).unwrap().text();
        let (nonce_sha256, system_id) = (String::new(), String::new());
        let start =
            Start { launch: id, nonce_sha256, system_id, request, isolated: false, by_default: false, longest: None };
        let plan = charge(&first, &lane, start, "", T0).unwrap();
        let mut second = waiting(2);
        second.lane = Some(lane.id());
        Self {
            jobs: [only(&plan, &key(1).pk()), second],
            launch: only(&plan, "launch#l-1"),
            now: T0,
            spot: None,
            on_demand: None,
            alive: BTreeSet::new(),
            calls: Vec::new(),
            calls_left: CALLS,
            stop: None,
            misfortunes,
            luck: true,
        }
    }

    /// Applies a plan whole or not at all.
    fn apply(&mut self, plan: &Plan) -> Result<bool, String> {
        let rev_of = |pk: &str| match pk {
            "launch#l-1" => self.launch.rev,
            pk => self.jobs.iter().find(|job| job.key().pk() == pk).unwrap().rev,
        };
        if plan.changes.iter().any(|change| change.expect != Expect::Rev(rev_of(&change.pk))) {
            return Ok(false);
        }
        for change in &plan.changes {
            let Write::Put(item) = &change.write else { continue };
            if change.pk == "launch#l-1" {
                let after: LaunchRow = decode(item).unwrap();
                if self.launch.instance_id.is_some() && after.instance_id != self.launch.instance_id {
                    return Err("the row changed its instance".to_owned());
                }
                self.launch = after;
            } else {
                let at = self.jobs.iter().position(|job| job.key().pk() == change.pk).unwrap();
                self.jobs[at] = decode(item).unwrap();
            }
        }
        Ok(true)
    }

    fn owner(&self) -> Option<&JobRow> {
        self.launch.charged_to.and_then(|key| self.jobs.iter().find(|job| job.key() == key))
    }

    fn misfortune(&self) -> Option<Self> {
        let misfortunes = self.misfortunes.checked_sub(1)?;
        Some(Self { misfortunes, luck: false, ..self.clone() })
    }

    fn without(&self, call: usize) -> Self {
        let mut next = self.clone();
        next.calls.remove(call);
        next
    }

    fn with(&self, at: usize, call: Call) -> Self {
        let mut next = self.clone();
        next.calls[at] = call;
        next
    }

    fn terminate(&mut self, instance: &str) -> Result<(), String> {
        let has_runner = matches!(self.launch.state, LaunchState::Starting | LaunchState::Polling | LaunchState::Bound);
        if has_runner && self.launch.instance_id.as_deref() == Some(instance) {
            return Err(format!("{instance} is terminated and its launch is {:?}", self.launch.state));
        }
        self.alive.remove(instance);
        Ok(())
    }

    /// What EC2 does with a request: for a known token the same as before.
    fn send(&self, request: &FleetRequest) -> Result<Vec<(Self, FleetAnswer)>, String> {
        let (known, name) = match request.market {
            Market::Spot => (&self.spot, "i-spot"),
            Market::OnDemand => (&self.on_demand, "i-od"),
        };
        if request.market == Market::OnDemand && self.spot.as_ref().is_none_or(|answer| !answer.instances.is_empty()) {
            return Err("on demand is asked for, and spot did not say that it has nothing".to_owned());
        }
        if let Some(answer) = known {
            return Ok(vec![(self.clone(), answer.clone())]);
        }
        let fault = |code: &str| FleetAnswer { instances: Vec::new(), faults: vec![FleetFault::new(code, "")] };
        let some = |ids: &[String]| FleetAnswer { instances: ids.to_vec(), faults: Vec::new() };
        let (one, two) = (name.to_owned(), format!("{name}-2"));
        let answers = [some(std::slice::from_ref(&one)), some(&[one, two]), fault("InsufficientInstanceCapacity")];
        let outcome = |answer: FleetAnswer| {
            let mut next = self.clone();
            next.alive.extend(answer.instances.iter().cloned());
            match request.market {
                Market::Spot => next.spot = Some(answer.clone()),
                Market::OnDemand => next.on_demand = Some(answer.clone()),
            }
            (next, answer)
        };
        let mut all: Vec<_> = answers.into_iter().map(outcome).collect();
        // A refusal takes no token.
        all.push((self.clone(), fault("RequestLimitExceeded")));
        Ok(all)
    }

    /// What decisions can tell one state from another by: revisions and times only by what follows from them.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for job in &self.jobs {
            (job.state, job.gitlab_status.to_string(), &job.charge, &job.launch).hash(&mut hasher);
        }
        self.of_launch(&self.launch).hash(&mut hasher);
        let calls: BTreeSet<String> = self.calls.iter().map(|call| self.of_call(call)).collect();
        (calls, self.calls.len(), self.calls_left, self.misfortunes, self.luck).hash(&mut hasher);
        (&self.alive, format!("{:?} {:?} {:?}", self.stop, self.spot, self.on_demand)).hash(&mut hasher);
        hasher.finish()
    }

    fn of_launch(&self, row: &LaunchRow) -> String {
        let markets = row.request.as_deref().map(|text| text.matches("\"token\"").count());
        let (over, due) = (self.now >= row.lease_until, row.due.next_check_at.map(|at| at > self.now));
        let fresh = !asks_for_owner(row, self.now);
        let (to, bound, started) = (row.charged_to, row.bound_job, row.times.starting_at.is_some());
        format!("{:?} {:?} {to:?} {bound:?} {started} {markets:?} {over} {due:?} {fresh}", row.state, row.instance_id)
    }

    fn of_call(&self, call: &Call) -> String {
        match call {
            Call::Sends(request) => format!("sends {:?}", request.market),
            Call::Knows(request, answer) => format!("knows {:?} {answer:?}", request.market),
            Call::Reads(request, answer, read) => {
                let stale = read.rev != self.launch.rev;
                format!("reads {:?} {answer:?} {stale} {}", request.market, self.of_launch(read))
            }
            Call::Ends(left, end) => format!("ends {left:?} {end:?}"),
            Call::EndsFirst(left, plan, end) => format!("first {left:?} {end:?} {}", plan.changes.len()),
        }
    }

    fn steps(&self, broken: Option<Broken>) -> Vec<Next> {
        let mut next = Vec::new();
        self.around(&mut next);
        self.runner(&mut next);
        self.sweep(&mut next);
        if self.calls_left > 0 && self.calls.len() < AT_ONCE {
            self.enter(&mut next);
        }
        for (at, call) in self.calls.iter().enumerate() {
            next.extend(self.misfortune().map(|world| Ok(world.without(at))));
            self.go_on(at, call, broken, &mut next);
        }
        next
    }

    /// A call begins: it reads, and decides what to send.
    fn enter(&self, next: &mut Vec<Next>) {
        let mut world = self.clone();
        world.calls_left -= 1;
        let owner = asks_for_owner(&world.launch, world.now).then(|| world.owner().cloned());
        match provision(&world.launch, owner.as_ref().map(Option::as_ref), world.now) {
            Provision::Nothing(_) => {}
            Provision::Send(request) => world.calls.push(Call::Sends(*request)),
            Provision::Withdraw(back) => {
                if let Err(why) = world.apply(&back.plan) {
                    return next.push(Err(why));
                }
                let found = world.alive.iter().cloned().collect();
                world.calls.push(Call::Ends(found, Some(back.end)));
            }
        }
        next.push(Ok(world));
    }

    fn go_on(&self, at: usize, call: &Call, broken: Option<Broken>, next: &mut Vec<Next>) {
        match call {
            Call::Sends(request) => match self.send(request) {
                Err(why) => next.push(Err(why)),
                Ok(outcomes) => {
                    for (world, answer) in outcomes {
                        next.extend(world.misfortune().map(|world| match broken {
                            Some(Broken::MoveOnWithoutWord) => {
                                let empty = FleetFault::new("InsufficientInstanceCapacity", "");
                                let answer = FleetAnswer { instances: Vec::new(), faults: vec![empty] };
                                Ok(world.with(at, Call::Knows(request.clone(), answer)))
                            }
                            _ => Ok(world.without(at)),
                        }));
                        next.push(Ok(world.with(at, Call::Knows(request.clone(), answer))));
                    }
                }
            },
            Call::Knows(request, answer) => {
                let read = Box::new(self.launch.clone());
                next.push(Ok(self.with(at, Call::Reads(request.clone(), answer.clone(), read))));
            }
            Call::Reads(request, answer, read) => next.push(self.follow(at, request, answer, read, broken)),
            Call::Ends(left, end) => {
                let mut world = self.clone();
                match left.split_first() {
                    Some((first, rest)) => {
                        if let Err(why) = world.terminate(first) {
                            return next.push(Err(why));
                        }
                        world.calls[at] = Call::Ends(rest.to_vec(), end.clone());
                    }
                    None => {
                        world.calls.remove(at);
                        if let Err(why) = end.as_ref().map_or(Ok(()), |end| world.conclude(end)) {
                            return next.push(Err(why));
                        }
                    }
                }
                next.push(Ok(world));
            }
            Call::EndsFirst(left, plan, end) => {
                let mut world = self.clone();
                let ended = left.iter().try_for_each(|instance| world.terminate(instance));
                let closed = ended.and_then(|()| world.apply(plan));
                world.calls[at] = Call::Ends(Vec::new(), Some(end.clone()));
                next.push(closed.map(|_| world));
            }
        }
    }

    /// A call decides about the answer, and writes if the row is as it was read.
    fn follow(
        &self,
        at: usize,
        request: &FleetRequest,
        answer: &FleetAnswer,
        read: &LaunchRow,
        broken: Option<Broken>,
    ) -> Next {
        let again = || Ok(self.with(at, Call::Knows(request.clone(), answer.clone())));
        let mut world = self.clone();
        let mut row = read.clone();
        if broken == Some(Broken::NewestInstance) && !answer.instances.is_empty() {
            row.instance_id = None;
            if row.state == LaunchState::Starting {
                row.state = LaunchState::Charged;
            }
        }
        match answered(&row, world.owner(), request, answer, world.now) {
            Answered::Has { plan, surplus, .. } => {
                if !world.apply(&plan)? {
                    return again();
                }
                let left = if broken == Some(Broken::LeaveSurplus) { Vec::new() } else { surplus };
                world.calls[at] = Call::Ends(left, None);
            }
            Answered::Unneeded { withdrawal: None, instances } => {
                let left = if broken == Some(Broken::LeaveLateOnes) { Vec::new() } else { instances };
                world.calls[at] = Call::Ends(left, None);
            }
            Answered::Unneeded { withdrawal: Some(back), instances } => {
                if broken == Some(Broken::TerminateFirst) {
                    world.calls[at] = Call::EndsFirst(instances, back.plan, back.end);
                    return Ok(world);
                }
                if !world.apply(&back.plan)? {
                    return again();
                }
                world.calls[at] = Call::Ends(instances, Some(back.end));
            }
            Answered::NextMarket(plan) => {
                if !world.apply(&plan)? {
                    return again();
                }
                match provision(&world.launch, None, world.now) {
                    Provision::Send(request) => world.calls[at] = Call::Sends(*request),
                    _ => return Ok(world.without(at)),
                }
            }
            Answered::Over { plan, .. } => {
                if broken == Some(Broken::ConcludeWhateverIsThere) {
                    world.conclude(&End::NeverStarted { reason: String::new(), retry_in: Millis(0) })?;
                } else if !world.apply(&plan)? {
                    return again();
                }
                world.calls.remove(at);
            }
            Answered::Wait(_) => return Ok(world.without(at)),
        }
        Ok(world)
    }

    fn conclude(&mut self, end: &End) -> Result<(), String> {
        let lives = matches!(self.launch.state, LaunchState::Starting | LaunchState::Polling | LaunchState::Bound);
        if lives && matches!(end, End::NeverStarted { .. }) {
            return Err("a launch that has its instance is said to have never started".to_owned());
        }
        let key = self.launch.bound_job.or(self.launch.charged_to);
        let job = key.and_then(|key| self.jobs.iter().find(|job| job.key() == key));
        match conclude(&self.launch, job, end, self.now) {
            Some(plan) => self.apply(&plan).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The user cancels, and time passes.
    fn around(&self, next: &mut Vec<Next>) {
        if self.jobs[0].gitlab_status == JobStatus::Pending {
            let mut world = self.clone();
            let plan = hook(Some(&world.jobs[0]), 1, "canceled", world.now);
            next.push(world.apply(&plan).map(|_| world));
        }
        if let Some(at) = self.launch.due.next_check_at.filter(|at| *at > self.now) {
            next.push(Ok(Self { now: at, ..self.clone() }));
            if self.launch.lease_until > at {
                next.push(Ok(Self { now: self.launch.lease_until, ..self.clone() }));
            }
        }
    }

    /// The runner on the instance that the row names.
    fn runner(&self, next: &mut Vec<Next>) {
        let lives = self.launch.instance_id.as_ref().is_some_and(|instance| self.alive.contains(instance));
        if !lives {
            return;
        }
        let mut push = |plan: Plan| {
            let mut world = self.clone();
            next.push(world.apply(&plan).map(|_| world));
        };
        match self.launch.state {
            LaunchState::Charged | LaunchState::Starting => {
                let own = self.launch.instance_id.as_deref().unwrap_or_default();
                check_in(&self.launch, own, "c", "nonce", self.now).into_iter().for_each(&mut push);
            }
            LaunchState::Polling if self.now < self.launch.lease_until => {
                for job in self.jobs.iter().filter(|job| job.gitlab_status == JobStatus::Pending) {
                    let owner = self.owner().filter(|owner| owner.key() != job.key());
                    let rows = BindRows { launch: &self.launch, got: Some(job), gots_charge: None, charged: owner };
                    bind(rows, job.key(), self.now).into_iter().for_each(&mut push);
                }
            }
            LaunchState::Bound => {
                let mut world = self.clone();
                let done = world.conclude(&End::JobDone("done".into()));
                world.alive.remove(world.launch.instance_id.clone().unwrap_or_default().as_str());
                next.push(done.map(|()| world));
            }
            _ => {}
        }
    }

    /// The sweep stops what is over, and gives away what is free.
    fn sweep(&self, next: &mut Vec<Next>) {
        if let Ok(Some(plan)) = assign(&self.jobs[1], &self.launch, self.owner(), self.now) {
            let mut world = self.clone();
            next.push(world.apply(&plan).map(|_| world));
        }
        let mut world = self.clone();
        match &self.stop {
            None => {
                let DueLaunch::NeedsStop(end) = due_launch(&self.launch, self.now) else { return };
                let Ok(plan) = close(&self.launch, Evidence::RowOnly, "the sweep stops it", self.now) else { return };
                world.stop = Some(Stop::Closed(end));
                next.push(world.apply(&plan).map(|_| world));
            }
            Some(Stop::Closed(end)) => {
                let ended = self.alive.iter().try_for_each(|instance| world.terminate(instance));
                world.stop = Some(Stop::Terminated(end.clone()));
                next.push(ended.map(|()| world));
            }
            Some(Stop::Terminated(end)) => {
                let end = end.clone();
                world.stop = None;
                next.push(world.conclude(&end).map(|()| world));
            }
        }
    }

    /// What must hold once nobody is at it and no time is left.
    fn check_rest(&self) -> Result<(), String> {
        let over = self.launch.state == LaunchState::Closed;
        let unnamed = |instance: &&String| over || self.launch.instance_id.as_ref() != Some(*instance);
        if let Some(left) = self.alive.iter().find(unnamed).filter(|_| self.luck) {
            return Err(format!("{left} is left although nothing went wrong"));
        }
        // The sweep's rule: of a launch that is over, or one that names another.
        let mut swept = self.clone();
        for instance in self.alive.iter().filter(unnamed) {
            swept.terminate(instance)?;
        }
        let named = |job: &&JobRow| job.state == JobState::Charged && over;
        match self.jobs.iter().find(named) {
            Some(job) => Err(format!("job {} waits for a launch that is over", job.job_id)),
            None => Ok(()),
        }
    }

    fn is_at_rest(&self) -> bool {
        self.calls.is_empty() && self.stop.is_none()
    }
}

struct Found {
    states: usize,
    disaster: Option<String>,
}

fn explore(misfortunes: u8, broken: Option<Broken>) -> Found {
    let mut seen = HashSet::new();
    let mut left = vec![World::new(misfortunes)];
    while let Some(world) = left.pop() {
        if !seen.insert(world.key()) {
            continue;
        }
        let rest = if world.is_at_rest() { world.check_rest() } else { Ok(()) };
        if let Err(disaster) = rest {
            return Found { states: seen.len(), disaster: Some(disaster) };
        }
        for next in world.steps(broken) {
            match next {
                Ok(next) => left.push(next),
                Err(disaster) => return Found { states: seen.len(), disaster: Some(disaster) },
            }
        }
    }
    Found { states: seen.len(), disaster: None }
}

#[test]
fn every_interleaving_holds() {
    for (misfortunes, states) in [(0, 1_000), (1, 10_000)] {
        let found = explore(misfortunes, None);
        assert_eq!(found.disaster, None, "{misfortunes} misfortunes, {} states", found.states);
        assert!(found.states >= states, "{misfortunes} misfortunes: only {} states", found.states);
    }
}

#[test]
fn each_rule_switched_off_is_found() {
    for rule in [
        Broken::MoveOnWithoutWord,
        Broken::TerminateFirst,
        Broken::NewestInstance,
        Broken::LeaveLateOnes,
        Broken::LeaveSurplus,
        Broken::ConcludeWhateverIsThere,
    ] {
        let broke = [0, 1].into_iter().any(|misfortunes| explore(misfortunes, Some(rule)).disaster.is_some());
        assert!(broke, "{rule:?} off, and nothing broke");
    }
}
