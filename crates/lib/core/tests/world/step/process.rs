//! What the process of a launch does: it starts, begins, asks, binds, accepts, runs and ends, or crashes anywhere.

use super::{Rules, gl, holds, is_running_on, label, process, push_changed, unlucky, with_end, with_gl, with_process};
use crate::world::decide::{Ask, How, Verdict};
use crate::world::rows::CHARGED;
use crate::world::{Broken, By, Gl, GlStatus, Process, SECOND, Step, World};

pub(super) fn steps(rules: &Rules, world: &World, p: u8, i: u8, out: &mut Vec<Step>) {
    let own = process(world, p);
    if p != SECOND {
        starts(rules, world, i, own, out);
        comes_twice(rules, world, i, out);
    }
    if !own.alive {
        return;
    }
    if world.luck > 0 {
        let dead = Process { alive: false, got: None, ..own };
        out.push(Step::To(label("crashes").of(p), unlucky(with_process(world, p, dead))));
        let held_up = own.got.is_some() || (own.has.is_some() && !own.acc);
        if held_up && !own.slow {
            out.push(Step::To(
                label("is held up").of(p),
                unlucky(with_process(world, p, Process { slow: true, ..own })),
            ));
        }
    }
    if !own.began {
        begins(rules, world, i, own, out);
    } else if own.got.is_none() && own.has.is_none() {
        if own.over {
            leaves(rules, world, p, i, out);
        }
        if !own.over || rules.off(Broken::AskAfterWait) {
            asks(rules, world, p, own, out);
        }
    }
    if let Some(k) = own.got {
        binds(rules, world, p, i, k, out);
    }
    if let Some(k) = own.has {
        if own.acc { runs(rules, world, p, i, k, out) } else { accepts(rules, world, p, i, k, out) }
    }
}

/// AWS starts it, and the charging function writes so at any time after, or never.
fn starts(rules: &Rules, world: &World, i: u8, own: Process, out: &mut Vec<Step>) {
    if !own.started {
        let up = Process { started: true, alive: true, ..own };
        out.push(Step::To(label("starts").of(i), with_process(world, i, up)));
    } else if world.ledger.launches[usize::from(i)].is_some_and(|bits| bits.state == CHARGED) {
        let (_, next) = rules.ask(world, Ask::Started { i });
        push_changed(world, next, label("is written as started").of(i), out);
    }
    if world.luck > 0
        && let (Verdict::Yes, next) = rules.ask(world, Ask::Conclude { i, how: How::NeverStarted })
    {
        out.push(Step::To(label("is said to be throttled").of(i), unlucky(next)));
    }
}

/// The event is delivered once more, at any time after the first process began, also when that is dead: nobody else
/// begins. (Which of two deliveries is the first does not matter: their processes are alike.)
fn comes_twice(rules: &Rules, world: &World, i: u8, out: &mut Vec<Step>) {
    if !world.ledger.launches[usize::from(i)].is_some_and(|bits| bits.claimed) {
        return;
    }
    let (verdict, next) = rules.ask(world, Ask::Begin { i, claim: "second" });
    if verdict != Verdict::Yes {
        return;
    }
    if !rules.off(Broken::BeginTwice) {
        out.push(Step::Disaster(label("begins twice").of(i)));
    } else if world.second_of.is_none() {
        let second = Process { started: true, alive: true, began: true, ..Process::default() };
        let next = World { second_of: Some(i), ..with_process(&next, SECOND, second) };
        out.push(Step::To(label("begins twice").of(i), next));
    }
}

fn begins(rules: &Rules, world: &World, i: u8, own: Process, out: &mut Vec<Step>) {
    let began = Process { began: true, ..own };
    match rules.ask(world, Ask::Begin { i, claim: "first" }) {
        (Verdict::Yes, next) => out.push(Step::To(label("begins").of(i), with_process(&next, i, began))),
        (Verdict::No, _) => {
            let gone = Process { alive: false, ..own };
            out.push(Step::To(label("may not begin").of(i), with_process(world, i, gone)));
        }
        (other, _) => panic!("the first to begin meets {other:?}"),
    }
    if rules.off(Broken::AskWithoutBegin) {
        out.push(Step::To(label("asks without begin").of(i), with_process(world, i, began)));
    }
}

fn asks(rules: &Rules, world: &World, p: u8, own: Process, out: &mut Vec<Step>) {
    for k in 0..2 {
        let job = gl(world, k);
        if job.status != GlStatus::Pending {
            continue;
        }
        let status = if rules.two_phase() { GlStatus::Offered } else { GlStatus::Running };
        let given = with_gl(world, k, Gl { status, by: By::Process(p), ran: job.ran || !rules.two_phase() });
        let got = Process { got: Some(k), ..own };
        out.push(Step::To(label("gets").of(p).job(k), with_process(&given, p, got)));
        if world.luck > 0 {
            out.push(Step::To(label("never hears of its 201 for").of(p).job(k), unlucky(given)));
        }
    }
    if !own.over {
        out.push(Step::To(
            label("has waited long enough").of(p),
            with_process(world, p, Process { over: true, ..own }),
        ));
    }
}

fn leaves(rules: &Rules, world: &World, p: u8, i: u8, out: &mut Vec<Step>) {
    let (_, next) = rules.ask(world, Ask::Conclude { i, how: How::Fruitless });
    let gone = Process { alive: false, ..process(world, p) };
    out.push(Step::To(label("leaves").of(p), with_process(&next, p, gone)));
}

fn binds(rules: &Rules, world: &World, p: u8, i: u8, k: u8, out: &mut Vec<Step>) {
    let own = process(world, p);
    let may_let_go = rules.two_phase() || own.slow;
    if may_let_go {
        lets_go(rules, world, p, i, k, out);
    }
    // After two minutes its clock keeps it from binding, and no write of its own is under way any more.
    if own.late && !rules.off(Broken::NoLimits) {
        return;
    }
    match rules.ask(world, Ask::Bind { i, k }) {
        (Verdict::Yes, next) => {
            let has = Process { got: None, has: Some(k), ..own };
            out.push(Step::To(label("binds").of(p).job(k), with_process(&next, p, has)));
        }
        // What GitLab ended meanwhile cannot be kept, whoever runs it.
        (Verdict::JobEnded, _) => lets_go(rules, world, p, i, k, out),
        // A runner that was held up for longer than its lease's margin may lose its job; nobody else may.
        (_, _) if !rules.two_phase() && is_running_on(world, k, p) && !own.slow => {
            out.push(Step::Disaster(label("may not bind the running").of(p).job(k)));
        }
        _ => lets_go(rules, world, p, i, k, out),
    }
}

fn accepts(rules: &Rules, world: &World, p: u8, i: u8, k: u8, out: &mut Vec<Step>) {
    let own = process(world, p);
    let job = gl(world, k);
    let offered = job.by == By::Process(p) && matches!(job.status, GlStatus::Offered | GlStatus::Running);
    if offered && (!own.late || rules.off(Broken::NoLimits)) {
        let twice = |other: &Process| other.alive && other.acc && other.has == Some(k);
        if world.processes.iter().any(twice) {
            out.push(Step::Disaster(label("accepts a second time").of(p).job(k)));
        }
        let running = with_gl(world, k, Gl { status: GlStatus::Running, by: By::Process(p), ran: true });
        let accepted = Process { acc: true, slow: false, ..own };
        out.push(Step::To(label("accepts").of(p).job(k), with_process(&running, p, accepted)));
    }
    if !offered || rules.two_phase() || own.slow {
        lets_go(rules, world, p, i, k, out);
    }
}

/// The process gives its job back and ends. GitLab refuses the report of a job that is only offered, and takes that of
/// one that runs, from whoever it comes: the job's token is the same for all its runners. Later than ninety seconds after
/// the 201 nothing is said.
fn lets_go(rules: &Rules, world: &World, p: u8, i: u8, k: u8, out: &mut Vec<Step>) {
    let own = process(world, p);
    let (_, next) = rules.ask(world, Ask::GiveBack { i, k });
    let next = with_process(&next, p, Process { alive: false, got: None, has: None, slow: false, ..own });
    if own.slow {
        out.push(Step::To(label("lets go in silence of").of(p).job(k), next));
    }
    let no_limits = rules.off(Broken::NoLimits) || rules.off(Broken::ReportOldOffers);
    if own.late && !no_limits {
        return;
    }
    let running = gl(world, k).status == GlStatus::Running;
    if running && gl(world, k).by != By::Process(p) {
        // A user's cancel and the end by another runner are no news to GitLab; a running job is ended by it.
        if own.late {
            out.push(Step::Disaster(label("ends a job that another runs:").of(p).job(k)));
        }
    }
    let told = if is_running_on(world, k, p) { with_end(&next, k) } else { next };
    out.push(Step::To(label("gives back").of(p).job(k), told));
}

fn runs(rules: &Rules, world: &World, p: u8, i: u8, k: u8, out: &mut Vec<Step>) {
    debug_assert!(holds(world, p, k), "who runs a job has it");
    let running = is_running_on(world, k, p);
    match rules.ask(world, Ask::Renew { i }) {
        (Verdict::Yes, next) => push_changed(world, next, label("renews").of(p), out),
        _ if running => out.push(Step::Disaster(label("is over in the ledger and runs").of(p).job(k))),
        _ => {}
    }
    if running {
        out.push(Step::To(label("ends").of(p).job(k), with_end(world, k)));
    }
    if gl(world, k).status == GlStatus::Ended {
        let (_, next) = rules.ask(world, Ask::Conclude { i, how: How::JobDone });
        let gone = Process { alive: false, ..process(world, p) };
        out.push(Step::To(label("concludes").of(p), with_process(&next, p, gone)));
    }
}
