//! What happens to a launch's row from outside: it is closed, stopped, or found lost.

use super::{Rules, gl, is_running_on, label, launch_of, process, push_changed, with_end, with_process};
use crate::world::decide::{Ask, How, Verdict, When};
use crate::world::rows::{BOUND, CLOSING, POLLING};
use crate::world::{Broken, By, GlStatus, Label, Process, SECOND, Step, World};

pub(super) fn steps(rules: &Rules, world: &World, i: u8, out: &mut Vec<Step>) {
    closes(rules, world, i, out);
    stops(rules, world, i, out);
    pays(rules, world, i, out);
    if rules.ask(world, Ask::DueLaunch { i, when: lease(rules, world, i) }).0 == Verdict::MaybeLost {
        loses(rules, world, i, When::Late, out);
    }
    // AWS says that the function failed: nobody waits for the lease.
    let state = world.ledger.launches[usize::from(i)].expect("exists").state;
    if state == BOUND && is_dead(world, i) && !process(world, i).late {
        loses(rules, world, i, When::Now, out);
    }
}

fn is_dead(world: &World, i: u8) -> bool {
    !(0..=SECOND).any(|p| launch_of(world, p) == Some(i) && process(world, p).alive)
}

/// Whether the lease of a launch may be over. That of a polling one covers its last ask, the answer and the bind; that of
/// a bound one is renewed by a runner that lives, and outlives an offer.
fn lease(rules: &Rules, world: &World, i: u8) -> When {
    let own = process(world, i);
    let over = match world.ledger.launches[usize::from(i)].expect("exists").state {
        POLLING => (own.over && own.got.is_none()) || own.slow || rules.off(Broken::CloseAnyTime),
        BOUND => own.late && !own.acc,
        _ => true,
    };
    if over || is_dead(world, i) { When::Late } else { When::Now }
}

/// Anybody may write `closing` who thinks that a launch is not needed; the rule decides.
fn closes(rules: &Rules, world: &World, i: u8, out: &mut Vec<Step>) {
    let state = world.ledger.launches[usize::from(i)].expect("exists").state;
    let when = if state == BOUND && rules.off(Broken::CloseBound) { When::Late } else { lease(rules, world, i) };
    if let (Verdict::Yes, next) = rules.ask(world, Ask::Close { i, when }) {
        let doomed = Process { doomed: true, ..process(world, i) };
        push_changed(world, with_process(&next, i, doomed), label("is closed").of(i), out);
    }
}

/// Who closed a launch concludes it, whatever its row says by then; should that one have died, the sweep does. An
/// instance is terminated first; a function is left to end by itself.
fn stops(rules: &Rules, world: &World, i: u8, out: &mut Vec<Step>) {
    let own = process(world, i);
    let found = world.ledger.launches[usize::from(i)].is_some_and(|bits| bits.state == CLOSING)
        && rules.ask(world, Ask::DueLaunch { i, when: When::Late }).0 == Verdict::NeedsStop;
    if !own.doomed && !found {
        return;
    }
    let (verdict, next) = rules.ask(world, Ask::Conclude { i, how: How::Fruitless });
    let next = with_process(&next, i, Process { doomed: false, ..own });
    push_changed(world, next, label("is concluded").of(i), out);
    if verdict != Verdict::Yes {
        return;
    }
    if let Some(disaster) = killed(world, i) {
        out.push(Step::Disaster(disaster));
        return;
    }
    let dead = Process { started: true, alive: false, got: None, doomed: false, ..own };
    out.push(Step::To(label("is stopped").of(i), with_process(&next, i, dead)));
}

/// Whether stopping launch `i` now kills a running job. A job that a runner got and could not bind in time is not one:
/// no line of it ran.
pub(super) fn killed(world: &World, i: u8) -> Option<Label> {
    let runs = |p: u8, k: u8| {
        let own = process(world, p);
        own.alive && is_running_on(world, k, p) && (own.has == Some(k) || (own.got == Some(k) && !own.slow))
    };
    let of_launch = (0..=SECOND).filter(|&p| launch_of(world, p) == Some(i));
    let killed = of_launch.flat_map(|p| (0..2).map(move |k| (p, k))).find(|&(p, k)| runs(p, k))?;
    Some(label("is stopped while it runs").of(killed.0).job(killed.1))
}

/// A bound launch that went silent is written off; what it then owes is paid at any time after.
fn loses(rules: &Rules, world: &World, i: u8, when: When, out: &mut Vec<Step>) {
    let (Verdict::Lost { report }, next) = rules.ask(world, Ask::Lost { i, when }) else { return };
    let bits = world.ledger.launches[usize::from(i)].expect("exists");
    let Some(k) = bits.bound else { return };
    if !report && bits.accepted && is_running_for(world, k, i) {
        out.push(Step::Disaster(label("is lost, and nobody says so of").of(i).job(k)));
        return;
    }
    out.push(Step::To(label("is lost").of(i), next));
}

/// GitLab is told that the job of a lost launch failed: by whoever wrote it off, or by the sweep when that one died. It
/// takes the report of a job that runs, from whoever it comes, and no other.
fn pays(rules: &Rules, world: &World, i: u8, out: &mut Vec<Step>) {
    let bits = world.ledger.launches[usize::from(i)].expect("exists");
    let Some(k) = bits.bound.filter(|_| bits.owes) else { return };
    for when in [When::Now, When::Late] {
        if when == When::Now && process(world, i).late {
            continue;
        }
        match rules.ask(world, Ask::Debt { i, when }) {
            (Verdict::Report, next) if gl(world, k).status == GlStatus::Running => {
                if is_running_for(world, k, i) {
                    out.push(Step::To(label("is reported lost").of(i).job(k), with_end(&next, k)));
                } else {
                    out.push(Step::Disaster(label("is reported lost, and another runs").of(i).job(k)));
                }
            }
            (Verdict::Report | Verdict::Yes, next) => {
                push_changed(world, next, label("owes nothing any more").of(i), out);
            }
            _ => {}
        }
    }
}

fn is_running_for(world: &World, k: u8, i: u8) -> bool {
    let ours = matches!(gl(world, k).by, By::Process(p) if launch_of(world, p) == Some(i));
    ours && gl(world, k).status == GlStatus::Running
}
