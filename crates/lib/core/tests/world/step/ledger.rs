//! Hooks at any time, in any order, doubled or never, and what the router, the terminator and the sweep make of a job.

use super::{Rules, gl, label, process, push_changed, sweep, with_process};
use crate::world::decide::{Ask, How, Verdict};
use crate::world::rows::ENDED;
use crate::world::{Broken, GlStatus, Process, Step, World};

const HOOKS: [&str; 3] = ["hook: pending is", "hook: running is", "hook: over is"];

pub(super) fn steps(rules: &Rules, world: &World, k: u8, out: &mut Vec<Step>) {
    let sent = [true, gl(world, k).ran, gl(world, k).status == GlStatus::Ended];
    for (status, what) in HOOKS.into_iter().enumerate().filter(|(status, _)| sent[*status]) {
        let status = u8::try_from(status).expect("small");
        let (_, next) = rules.ask(world, Ask::Hook { k, status });
        push_changed(world, next, label(what).job(k), out);
    }
    if world.ledger.jobs[usize::from(k)].is_none() {
        return;
    }
    if let Some(i) = unused(rules, world)
        && let (Verdict::Yes, next) = rules.ask(world, Ask::Charge { k, i })
    {
        out.push(Step::To(label("is charged to").of(i).job(k), next));
    }
    looked_at(rules, world, k, out);
    ended(rules, world, k, out);
}

/// The sweep sends a sentinel: a launch that is charged to no job.
pub(super) fn sends_a_sentinel(rules: &Rules, world: &World, out: &mut Vec<Step>) {
    if rules.setup.sentinels
        && let Some(i) = unused(rules, world)
    {
        let (_, next) = rules.ask(world, Ask::Sentinel { i });
        out.push(Step::To(label("is sent as a sentinel").of(i), next));
    }
}

fn unused(rules: &Rules, world: &World) -> Option<u8> {
    let launches = world.ledger.launches;
    let used = launches.iter().flatten().count();
    let free = launches.iter().position(Option::is_none).filter(|_| used < rules.setup.launches)?;
    u8::try_from(free).ok()
}

/// The sweep looks at a due job: it gives it a launch that its own job needs no more, or puts its row right. (With all
/// rules on there is nothing to put right: no job is ever charged with a launch that is over.)
fn looked_at(rules: &Rules, world: &World, k: u8, out: &mut Vec<Step>) {
    let (verdict, next) = rules.ask(world, Ask::DueJob { k });
    push_changed(world, next, label("the sweep puts right").job(k), out);
    if verdict != Verdict::NeedsLaunch {
        return;
    }
    for i in 0..3 {
        if world.ledger.launches[usize::from(i)].is_some()
            && let (Verdict::Yes, next) = rules.ask(world, Ask::Assign { k, i })
        {
            out.push(Step::To(label("is given to").of(i).job(k), next));
        }
    }
}

/// The end of a job stops the launch that its row names.
fn ended(rules: &Rules, world: &World, k: u8, out: &mut Vec<Step>) {
    let bits = world.ledger.jobs[usize::from(k)].expect("the row exists");
    let named = if rules.off(Broken::StopTheChargedLaunch) && bits.state == ENDED {
        let charged = |i: &u8| world.ledger.launches[usize::from(*i)].is_some_and(|l| l.charged_to == Some(k));
        (0..3).find(charged)
    } else {
        bits.launch
    };
    let Some(i) = named else { return };
    if rules.ask(world, Ask::Settle { k, i }).0 != Verdict::NeedsStop {
        return;
    }
    if let Some(disaster) = sweep::killed(world, i) {
        out.push(Step::Disaster(disaster));
    } else if let (Verdict::Yes, next) = rules.ask(world, Ask::Conclude { i, how: How::JobDone }) {
        let dead = Process { alive: false, got: None, ..process(world, i) };
        out.push(Step::To(label("is stopped after").of(i).job(k), with_process(&next, i, dead)));
    }
}
