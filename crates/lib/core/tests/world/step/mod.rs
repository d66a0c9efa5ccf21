//! What can happen next. Everything that writes rows goes through a real decision.

mod gitlab;
mod ledger;
mod process;
mod sweep;

use super::decide::{Ask, Decisions, Verdict};
use super::{Broken, By, Gl, GlStatus, Label, Ledger, Mode, Process, SECOND, Setup, Step, World, rows};

pub(crate) struct Rules {
    mode: Mode,
    setup: Setup,
    broken: Option<Broken>,
    decisions: Decisions,
}

impl Rules {
    pub(crate) fn new(mode: Mode, setup: Setup, broken: Option<Broken>) -> Self {
        Self { mode, setup, broken, decisions: Decisions::new(broken) }
    }

    fn off(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    fn two_phase(&self) -> bool {
        self.mode == Mode::TwoPhase
    }

    /// A decision in this world: what it says, and the world after it.
    fn ask(&self, world: &World, ask: Ask) -> (Verdict, World) {
        let (verdict, ledger) = self.decisions.ask(&world.ledger, ask);
        (verdict, World { ledger, ..*world })
    }
}

pub(crate) fn steps(rules: &Rules, world: &World, out: &mut Vec<Step>) {
    if let Some(k) = (0..2).find(|&k| names_a_launch_of_others(&world.ledger, k)) {
        out.push(Step::Disaster(label("waits for a launch that is not for it").job(k)));
    }
    for k in 0..2 {
        gitlab::steps(rules, world, k, out);
        ledger::steps(rules, world, k, out);
    }
    ledger::sends_a_sentinel(rules, world, out);
    for p in 0..=SECOND {
        if let Some(i) = launch_of(world, p) {
            process::steps(rules, world, p, i, out);
        }
    }
    for i in 0..3 {
        if world.ledger.launches[usize::from(i)].is_some() {
            sweep::steps(rules, world, i, out);
        }
    }
}

/// Whether job `k` is charged with a launch that is over, serves another job, or was given to one: it would wait for as
/// long as that takes.
fn names_a_launch_of_others(ledger: &Ledger, k: u8) -> bool {
    let charged = ledger.jobs[usize::from(k)].filter(|job| job.state == rows::CHARGED_JOB);
    let launch = charged.and_then(|job| job.charge).map(|i| ledger.launches[usize::from(i)].expect("a launch"));
    launch.is_some_and(|launch| launch.charged_to != Some(k) || launch.bound.is_some() || launch.state == rows::CLOSED)
}

fn label(what: &'static str) -> Label {
    Label { what, launch: None, job: None }
}

impl Label {
    fn of(self, launch: u8) -> Self {
        Self { launch: Some(launch), ..self }
    }

    fn job(self, job: u8) -> Self {
        Self { job: Some(job), ..self }
    }
}

/// The launch that process `p` speaks for.
fn launch_of(world: &World, p: u8) -> Option<u8> {
    if p == SECOND { world.second_of } else { world.ledger.launches[usize::from(p)].map(|_| p) }
}

fn process(world: &World, p: u8) -> Process {
    world.processes[usize::from(p)]
}

fn with_process(world: &World, p: u8, process: Process) -> World {
    let mut next = *world;
    next.processes[usize::from(p)] = process;
    next
}

fn gl(world: &World, k: u8) -> Gl {
    world.gl[usize::from(k)]
}

fn with_gl(world: &World, k: u8, gl: Gl) -> World {
    let mut next = *world;
    next.gl[usize::from(k)] = gl;
    next
}

/// Job `k` is over at GitLab.
fn with_end(world: &World, k: u8) -> World {
    with_gl(world, k, Gl { status: GlStatus::Ended, by: By::Nobody, ..gl(world, k) })
}

fn is_running_on(world: &World, k: u8, p: u8) -> bool {
    gl(world, k).status == GlStatus::Running && gl(world, k).by == By::Process(p)
}

/// Whether process `p` is alive and knows that it has job `k`.
fn holds(world: &World, p: u8, k: u8) -> bool {
    let process = process(world, p);
    process.alive && (process.got == Some(k) || process.has == Some(k))
}

fn unlucky(world: World) -> World {
    World { luck: world.luck - 1, ..world }
}

fn push_changed(world: &World, next: World, label: Label, out: &mut Vec<Step>) {
    if next != *world {
        out.push(Step::To(label, next));
    }
}
