//! One world's circumstances, drawn from its seed: lanes, projects, rules, and what goes wrong in it.

use fastrand::Rng;
use runnerless_core::change::Item;
use runnerless_core::fleet::Market;
use runnerless_core::frozen::Ground;
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::live::Caps;
use runnerless_core::moves::Ours;
use runnerless_core::route::{DefaultRoute, MapRow, Matcher, Scope, Size, TargetFacts};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::proof::TokenAlone;
use runnerless_gitlab::webhook::Instance;
use runnerless_reconciler::Listing;
use runnerless_router::Rules;

use crate::fault::{Fault, Part, Rates};
use crate::pool::PoolSetup;

/// When every world begins.
pub(crate) const BEGIN: Timestamp = Timestamp(1_789_373_730_000);
/// The only GitLab.
pub(crate) const GITLAB: &str = "https://gitlab.example.com";
/// Where hooks go.
pub(crate) const WEBHOOK: &str = "https://abc.execute-api.eu-west-1.amazonaws.com/webhook";
/// Calls of a sweep's listing (see the template).
const LISTING_CALLS: u32 = 60;
/// Our executor.
pub(crate) const EXECUTOR: &str = "arn:aws:lambda:eu-west-1:123456789012:function:executor";
/// Somebody else's function, which speaks to the ledger through `claim`.
pub(crate) const FOREIGN_FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:runner-in-python";
/// The role of the stack's instances.
pub(crate) const RUNNER_ROLE: &str = "arn:aws:iam::123456789012:role/runnerless-RunnerRole-X1";
/// What the name of a session of it starts with; the instance's id follows.
pub(crate) const RUNNER_SESSIONS: &str = "arn:aws:sts::123456789012:assumed-role/runnerless-RunnerRole-X1/";
/// Their instance profile.
pub(crate) const PROFILE: &str = "arn:aws:iam::123456789012:instance-profile/runnerless-RunnerProfile-X1";
/// The stack's name.
const STACK: &str = "runnerless";
/// The claim function.
pub(crate) const CLAIM: &str = "arn:aws:lambda:eu-west-1:123456789012:function:claim";
/// The stack's parameter path.
pub(crate) const PARAMETERS: &str = "/runnerless";
/// The API token that may make runners.
pub(crate) const API_TOKEN: &str = "glpat-of-somebody-who-may";
/// The hook's secret token.
pub(crate) const SECRET: &str = "secret-token-of-the-hook";
/// The hook's signing token.
pub(crate) const SIGNING: &str = "whsec_QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";

/// What we know of GitLab beyond its hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// An API token is there.
    Token,
    /// Hooks, and a sentinel of each lane now and then.
    Sentinels,
    /// Nothing but hooks: a job of which none arrived is nobody's.
    Hooks,
}

impl Knowledge {
    /// How a job is found of which no hook arrived.
    #[must_use]
    pub const fn finds_unseen(self) -> bool {
        !matches!(self, Self::Hooks)
    }
}

/// What tells the draws of a world's pool from its others: any number will do.
const POOLS: u64 = 0x706f_6f6c;
/// The same for runners of single launches.
const OWN_RUNNERS: u64 = 0x6f77_6e72;

/// The time between two sentinels of a lane (see the template).
const SENTINELS: Millis = Millis::minutes(10);

/// What one world is to be like; the rest is drawn from its seed.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The seed.
    pub seed: u64,
    /// About how many jobs its users create.
    pub jobs: usize,
    /// What goes not wrong in it.
    pub off: Vec<Fault>,
    /// Whether the last of its trace is kept in words.
    pub keeps: bool,
}

/// A time in which a service answers nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// [`Fault::LedgerOut`] or [`Fault::GitLabOut`].
    pub(crate) fault: Fault,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// The longest outage.
pub(crate) const LONGEST_OUTAGE: Millis = Millis::minutes(6);

/// One world's circumstances.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) jobs: usize,
    pub(crate) knowledge: Knowledge,
    pub(crate) two_phase: bool,
    /// Whether hooks are signed; else they carry the secret token.
    pub(crate) signed: bool,
    pub(crate) lanes: Vec<LaneSetup>,
    pub(crate) projects: Vec<String>,
    /// Whether the operator named the projects before their first hook.
    pub(crate) names_projects: bool,
    /// Whether somebody else's runners take jobs of the lanes.
    pub(crate) foreign: bool,
    pub(crate) outages: Vec<Outage>,
    /// When which lane's token is replaced.
    pub(crate) rotations: Vec<(Millis, usize)>,
    /// How long users go on starting pipelines.
    pub(crate) span: Millis,
    pub(crate) uncovered_one_in: u32,
    pub(crate) rules: Rules,
    /// What this stack's instances look like; `None` where it launches none.
    pub(crate) ours: Option<Ours>,
    pub(crate) listing: Listing,
    /// The time between two sentinels of a lane; nothing sends none.
    pub(crate) sentinel_every: Millis,
    pub(crate) front: runnerless_ingest::Rules,
    pub(crate) rates: Rates,
    /// The pool, where there is one.
    pub(crate) pool: Option<PoolSetup>,
}

/// A lane.
#[derive(Clone, Debug)]
pub(crate) struct LaneSetup {
    pub(crate) lane: Lane,
    /// The job names that the mapping sends to it; those of the default lane are in no row.
    pub(crate) names: Vec<String>,
    /// Whether it is the default route's.
    pub(crate) is_default: bool,
    /// Whether its token is missing or none that GitLab takes: its jobs are nobody's.
    pub(crate) cannot_ask: bool,
    /// Of what size its instances are.
    size: Size,
}

impl LaneSetup {
    /// Whether each of its launches asks as a runner of its own.
    pub(crate) const fn has_own_runners(&self) -> bool {
        self.size.own_runner
    }

    /// From now on each of its launches asks as a runner of its own.
    fn give_own_runners(&mut self) {
        self.size.own_runner = true;
        self.lane.target = self.size.target();
    }

    /// The mapping's row of a job name.
    pub(crate) fn row(&self, name: &str) -> Item {
        let Lane { tags, engine, target, run_untagged } = self.lane.clone();
        let row = MapRow {
            matcher: Matcher::Name(name.to_owned()),
            tags,
            engine,
            arn: (engine == Engine::Lambda).then_some(target),
            run_untagged,
            scope: Scope::default(),
            size: self.size.clone(),
            owner: None,
            target: TargetFacts::default(),
            extra: Item::new(),
        };
        row.to_item()
    }
}

/// What serves a lane.
#[derive(Clone, Copy)]
enum Server {
    /// Our executor.
    Executor,
    /// Somebody else's function.
    Foreign,
    /// Instances: on demand at once or as the stack wants it, and the longest job (s).
    Instances(Option<&'static str>, Option<u64>),
}

/// The lanes that a world may have: tags, names, and what serves it.
const LANES: [(&[&str], &[&str], Server); 7] = [
    (&[], &["lint", "docs", "pages"], Server::Executor),
    (&["docker"], &["unit", "build"], Server::Executor),
    (&["docker", "arm64"], &["unit-arm", "build-arm"], Server::Executor),
    (&["python"], &["notebook", "train"], Server::Foreign),
    (&["large"], &["e2e"], Server::Executor),
    (&["docker", "large"], &["integration"], Server::Instances(None, None)),
    (&["heavy"], &["image", "package"], Server::Instances(Some("on-demand"), Some(600))),
];

impl Setup {
    /// Draws the circumstances.
    pub(crate) fn draw(rng: &mut Rng, wish: &Wish) -> Self {
        let mut lanes = draw_lanes(rng);
        if rng.u32(0..8) == 0
            && let Some(last) = lanes.last_mut()
        {
            last.cannot_ask = true;
        }
        let default = lanes[0].lane.clone();
        let minutes = rng.i64(5..=60);
        let knowledge = [Knowledge::Token, Knowledge::Token, Knowledge::Sentinels, Knowledge::Hooks][rng.usize(..4)];
        let isolated = rng.bool();
        let launches = lanes.iter().any(|lane| lane.lane.engine == Engine::Ec2);
        let rotations = draw_rotations(rng, minutes, lanes.len(), wish);
        let mut setup = Self {
            jobs: wish.jobs,
            knowledge,
            two_phase: rng.u32(0..4) > 0,
            signed: rng.bool(),
            projects: (1..=rng.usize(1..=4)).map(|n| format!("acme/widgets-{n}")).collect(),
            names_projects: knowledge == Knowledge::Token && rng.bool(),
            foreign: rng.u32(0..3) == 0,
            outages: draw_outages(rng, minutes, wish),
            rotations,
            span: Millis::minutes(minutes),
            uncovered_one_in: if rng.u32(0..4) == 0 { 50 } else { 0 },
            rules: Rules {
                default: DefaultRoute::Lane(default),
                ground: launches.then(ground),
                caps: Caps { lane: 100, stack: 400 },
                gitlab_url: GITLAB.to_owned(),
                claim_function: CLAIM.to_owned(),
                executor: (EXECUTOR.to_owned(), isolated),
            },
            ours: launches.then(|| Ours { stack: STACK.to_owned(), profile: PROFILE.to_owned() }),
            sentinel_every: if knowledge == Knowledge::Sentinels { SENTINELS } else { Millis(0) },
            listing: Listing { calls: LISTING_CALLS, webhook_url: WEBHOOK.to_owned() },
            front: front(),
            lanes,
            rates: Rates::draw(rng, &wish.off),
            pool: None,
        };
        let mut own = Rng::with_seed(wish.seed ^ OWN_RUNNERS);
        setup.draw_own_runners(&mut own, wish);
        // By draws of its own: a world without a pool is the same whatever pools are like.
        let mut own = Rng::with_seed(wish.seed ^ POOLS);
        if own.u32(0..3) == 0 {
            setup.pool = Some(PoolSetup::draw(&mut own, knowledge));
            setup.rates.draw_of(Part::Pool, &mut own, &wish.off);
        }
        setup
    }

    /// Whether there is a lane whose launches have runners of their own.
    pub(crate) fn has_own_runners(&self) -> bool {
        self.lanes.iter().any(LaneSetup::has_own_runners)
    }

    /// In one world of two with an API token, the launches of a lane of instances have runners of their own. By draws of
    /// their own, as a pool's.
    fn draw_own_runners(&mut self, rng: &mut Rng, wish: &Wish) {
        if self.knowledge != Knowledge::Token {
            return;
        }
        let instances = self.lanes.iter_mut().filter(|lane| lane.lane.engine == Engine::Ec2);
        instances.for_each(|lane| {
            if rng.bool() {
                lane.give_own_runners();
            }
        });
        if self.has_own_runners() {
            self.rates.draw_of(Part::OwnRunners, rng, &wish.off);
        }
    }
}

/// In one world of five, services are out of reach at times.
fn draw_outages(rng: &mut Rng, minutes: i64, wish: &Wish) -> Vec<Outage> {
    let times = if rng.u32(0..5) == 0 { rng.usize(1..4) } else { 0 };
    let outage = |_| {
        let fault = if rng.bool() { Fault::LedgerOut } else { Fault::GitLabOut };
        let from = BEGIN + Millis(rng.i64(0..minutes * 60_000));
        Outage { fault, from, until: from + Millis(rng.i64(20_000..LONGEST_OUTAGE.0)) }
    };
    let drawn: Vec<Outage> = (0..times).map(outage).collect();
    drawn.into_iter().filter(|outage| !wish.off.contains(&outage.fault)).collect()
}

/// In one world of four, tokens are replaced.
fn draw_rotations(rng: &mut Rng, minutes: i64, lanes: usize, wish: &Wish) -> Vec<(Millis, usize)> {
    let times = if rng.u32(0..4) == 0 { rng.usize(1..8) } else { 0 };
    let drawn: Vec<_> = (0..times).map(|_| (Millis(rng.i64(0..minutes * 60_000)), rng.usize(..lanes))).collect();
    if wish.off.contains(&Fault::TokenRotated) { Vec::new() } else { drawn }
}

/// What instances are launched from.
fn ground() -> Ground {
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    Ground {
        stack: STACK.to_owned(),
        launch_template: "lt-0123456789abcdef0:1".to_owned(),
        subnets: names(["subnet-a", "subnet-b"]),
        market: Market::Spot,
        instance_types: names(["m7i.large", "m7a.large"]),
    }
}

/// Ingest's own rules, with the template's numbers.
fn front() -> runnerless_ingest::Rules {
    let Ok(instance) = Instance::parse(GITLAB) else { unreachable!("it is a URL") };
    runnerless_ingest::Rules {
        instance,
        token_alone: TokenAlone::Refused,
        store_limit: Millis::secs(5),
        announce_limit: Millis::secs(2),
    }
}

/// The default lane and some of the others.
fn draw_lanes(rng: &mut Rng) -> Vec<LaneSetup> {
    let others = rng.usize(1..LANES.len());
    let mut picked: Vec<usize> = (1..LANES.len()).collect();
    rng.shuffle(&mut picked);
    picked.truncate(others);
    picked.sort_unstable();
    std::iter::once(0).chain(picked).map(|at| lane(at, LANES[at])).collect()
}

fn lane(at: usize, (tags, names, server): (&[&str], &[&str], Server)) -> LaneSetup {
    let Ok(tags) = TagSet::new(tags) else { unreachable!("they are tags") };
    let (engine, size) = match server {
        Server::Executor | Server::Foreign => (Engine::Lambda, Size::default()),
        Server::Instances(market, timeout_s) => {
            (Engine::Ec2, Size { market: market.map(str::to_owned), timeout_s, ..Size::default() })
        }
    };
    let target = match server {
        Server::Executor => EXECUTOR.to_owned(),
        Server::Foreign => FOREIGN_FUNCTION.to_owned(),
        Server::Instances(..) => size.target(),
    };
    let run_untagged = tags.is_empty();
    LaneSetup {
        lane: Lane { tags, engine, target, run_untagged },
        size,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        is_default: at == 0,
        cannot_ask: false,
    }
}
