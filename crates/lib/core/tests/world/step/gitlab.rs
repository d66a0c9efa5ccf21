//! What GitLab, its users and foreign runners do with a job.

use super::{Rules, gl, holds, is_running_on, label, process, unlucky, with_end, with_gl, with_process};
use crate::world::{Broken, By, Gl, GlStatus, Process, Step, World};

pub(super) fn steps(rules: &Rules, world: &World, k: u8, out: &mut Vec<Step>) {
    let job = gl(world, k);
    if world.luck > 0 && matches!(job.status, GlStatus::Pending | GlStatus::Offered) {
        out.push(Step::To(label("GitLab cancels").job(k), unlucky(with_end(world, k))));
    }
    match (job.status, job.by) {
        (GlStatus::Pending, _) if world.luck > 0 => {
            let taken = Gl { status: GlStatus::Running, by: By::Foreign, ran: true };
            out.push(Step::To(label("a foreign runner takes").job(k), unlucky(with_gl(world, k, taken))));
        }
        (GlStatus::Offered, By::Process(p)) => offer_ends(rules, world, k, p, out),
        (GlStatus::Running, By::Foreign) => {
            out.push(Step::To(label("the foreign runner ends").job(k), with_end(world, k)));
        }
        (GlStatus::Running, By::Process(p)) if is_running_on(world, k, p) && !holds(world, p, k) => {
            out.push(Step::To(label("GitLab fails the silent").job(k), with_end(world, k)));
        }
        _ => {}
    }
}

/// GitLab takes an offer back after two minutes. A runner that lives and is not held up lets go of it before: its limits
/// are shorter.
fn offer_ends(rules: &Rules, world: &World, k: u8, p: u8, out: &mut Vec<Step>) {
    let holder = process(world, p);
    if holds(world, p, k) && !holder.slow && !rules.off(Broken::NoLimits) {
        return;
    }
    let pending = Gl { status: GlStatus::Pending, by: By::Nobody, ..gl(world, k) };
    let late = Process { late: holder.late || holder.got == Some(k) || holder.has == Some(k), ..holder };
    out.push(Step::To(label("the offer runs out of").job(k), with_process(&with_gl(world, k, pending), p, late)));
}
