//! What Auto Scaling does by itself: it launches what is missing, ends what is too much, and holds who leaves in its hook.

use runnerless_core::pool::{DRAIN_LIMIT, Group, HEARTBEATS, Member as Shown, Phase};
use runnerless_core::time::Millis;

use super::member::{Health, Hooked, Member};
use super::{GROUP, Happens, agent};
use crate::check::{By, Whom};
use crate::event::Event;
use crate::fault::Fault;
use crate::world::World;
use runnerless_aws_ec2::Machine;

/// From a change of the group until something follows (ms).
const FOLLOWS: std::ops::Range<i64> = 500..12_000;
/// From a launch until the group shows the member in service (ms).
const IN_SERVICE: std::ops::Range<i64> = 8_000..40_000;
/// A slow boot (ms): until beyond the warm-up.
const SLOW_BOOT: std::ops::Range<i64> = 200_000..600_000;
/// From the wish that a member goes until its metadata service tells so, and until the hook waits for it (ms).
const TOLD: std::ops::Range<i64> = 100..5_000;
/// How long an instance takes to end (ms).
const ENDING: std::ops::Range<i64> = 2_000..40_000;

/// How an instance of a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its hook was answered.
    Answered,
    /// Its hook waited in vain for a heartbeat.
    Silent,
    /// Its hardware was lost, or EC2 took it back.
    Lost,
}

/// The group may have more or less than it wants: it looks soon.
pub(crate) fn seems(world: &World) {
    let length = world.draw(|rng| Millis(rng.i64(FOLLOWS)));
    world.timeline.happens_in(length, Event::Pool(Happens::Settles));
}

/// Members that count towards the desired capacity.
pub(super) fn counted(group: &Group) -> u32 {
    u32::try_from(group.members.iter().filter(|member| member.phase.counts()).count()).unwrap_or(u32::MAX)
}

/// The group looks at what it has and what it wants.
pub(super) fn settles(world: &World) {
    let Some(group) = world.scaling.now(GROUP) else { return };
    let now = world.now();
    let stuck = world.state().pool.as_ref().is_some_and(|pool| pool.spells.is_stuck(now));
    if !group.suspends("Launch") && !stuck {
        for id in world.scaling.launch(GROUP, now) {
            joins(world, &id);
        }
    }
    let mut excess = counted(&group).saturating_sub(group.desired);
    while excess > 0 && !group.suspends("Terminate") {
        let Some(id) = victim(world) else { break };
        leaves(world, &id, By::Group);
        excess -= 1;
    }
    notes_room(world);
}

/// Whom the group ends by itself where it has too many: any that is not protected. It knows nothing of their jobs.
fn victim(world: &World) -> Option<String> {
    let group = world.scaling.now(GROUP)?;
    let may = |member: &&Shown| member.phase == Phase::InService && !member.protected;
    let ids: Vec<&String> = group.members.iter().filter(may).map(|member| &member.id).collect();
    let nth = (!ids.is_empty()).then(|| world.draw(|rng| rng.usize(..ids.len())))?;
    Some(ids[nth].clone())
}

/// Notes whether the pool may have more members.
pub(super) fn notes_room(world: &World) {
    let (Some(setup), Some(group)) = (&world.setup.pool, world.scaling.now(GROUP)) else { return };
    let is_full = group.desired.max(counted(&group)) >= setup.maximum(&group);
    let now = world.now();
    world.state().check.pool_is_full(is_full, now);
}

/// A new member.
fn joins(world: &World, id: &str) {
    let Some(setup) = &world.setup.pool else { return };
    let slow = world.strikes(Fault::MemberSlow, &Whom::Pool);
    let boot = if slow { SLOW_BOOT } else { setup.boot.clone() };
    let health = match world.strikes(Fault::MemberStillborn, &Whom::Pool) {
        false => Health::Well,
        true if world.draw(|rng| rng.bool()) => Health::NoManager,
        true => Health::Dead,
    };
    let (boot, in_service) = world.draw(|rng| (Millis(rng.i64(boot)), Millis(rng.i64(IN_SERVICE))));
    let now = world.now();
    let mut state = world.state();
    let Some(pool) = &mut state.pool else { return };
    pool.launched += 1;
    let mut member = Member::new(pool.launched, health);
    member.silent_until = pool.spells.unreachable_until(pool.launched);
    world.scaling.show(id, Machine { address: Some(member.address), launched_at: now });
    pool.members.insert(id.to_owned(), member);
    state.trace.add(now, format_args!("the group launches {id}, {health:?}"));
    drop(state);
    world.timeline.happens_in(in_service, Event::Pool(Happens::InService(id.to_owned())));
    world.timeline.happens_in(boot, Event::Pool(Happens::Boots(id.to_owned())));
}

/// The group shows it in service.
pub(super) fn enters_service(world: &World, id: &str) {
    let booting = |group: Group| group.members.iter().any(|member| member.id == id && member.phase == Phase::Booting);
    if world.scaling.now(GROUP).is_some_and(booting) {
        world.scaling.enter(id, Phase::InService);
    }
}

/// A member is to go, because somebody wished so. The group shows that at once, its metadata service soon.
pub(crate) fn leaves(world: &World, id: &str, by: By) {
    let now = world.now();
    let told = world.draw(|rng| Millis(rng.i64(TOLD)));
    {
        let mut state = world.state();
        let Some(pool) = &mut state.pool else { return };
        let Some(member) = pool.members.get_mut(id).filter(|member| !member.leaves() && !member.ends) else { return };
        member.leaves_from = Some(now + told);
        let jobs = member.jobs();
        state.check.member_named(id, by, jobs, now);
        state.trace.add(now, format_args!("{id} is to leave by {by:?}, with {jobs} jobs"));
    }
    world.scaling.enter(id, Phase::Leaving);
    world.timeline.happens_in(told, Event::Pool(Happens::Waits(id.to_owned())));
    seems(world);
    notes_room(world);
}

/// The hook begins to wait for it.
pub(super) fn waits(world: &World, id: &str) {
    let Some(setup) = &world.setup.pool else { return };
    let heartbeat = setup.group.hook.as_ref().map_or(Millis(0), |hook| hook.heartbeat);
    let now = world.now();
    let limit = now + DRAIN_LIMIT.min(Millis(heartbeat.0 * HEARTBEATS));
    let until = now + heartbeat;
    {
        let mut state = world.state();
        let Some(member) = state.pool.as_mut().and_then(|pool| pool.members.get_mut(id)) else { return };
        member.hooked = Some(Hooked { until, limit });
    }
    world.timeline.happens_at(until, Event::Pool(Happens::HookEnds(id.to_owned())));
    agent::begins(world, id);
}

/// The hook's time is over, unless a heartbeat came.
pub(super) fn hook_ends(world: &World, id: &str) {
    let hooked = world.state().pool.as_ref().and_then(|pool| pool.members.get(id)?.hooked);
    match hooked {
        Some(Hooked { until, .. }) if until > world.now() => {
            world.timeline.happens_at(until, Event::Pool(Happens::HookEnds(id.to_owned())));
        }
        Some(_) => ends(world, id, Ended::Silent),
        None => {}
    }
}

/// Its instance begins to end.
pub(super) fn ends(world: &World, id: &str, how: Ended) {
    let now = world.now();
    let length = if how == Ended::Lost { Millis(0) } else { world.draw(|rng| Millis(rng.i64(ENDING))) };
    {
        let mut state = world.state();
        let Some(member) = state.pool.as_mut().and_then(|pool| pool.members.get_mut(id)).filter(|it| !it.ends) else {
            return;
        };
        member.ends = true;
        member.hooked = None;
        state.trace.add(now, format_args!("{id} ends: {how:?}"));
    }
    world.timeline.happens_in(length, Event::Pool(Happens::Gone(id.to_owned(), how)));
}

/// Its instance is gone, with all that runs on it.
pub(super) fn gone(world: &World, id: &str, how: Ended) {
    let process = {
        let mut state = world.state();
        let Some(mut member) = state.pool.as_mut().and_then(|pool| pool.members.remove(id)) else { return };
        let jobs = member.jobs();
        let process = member.unplug();
        state.check.member_gone(id, how, (process, jobs));
        process
    };
    if let Some(process) = process {
        world.at_gitlab(|gitlab, now| gitlab.process_ended(u64::from(process), now));
    }
    world.scaling.remove(id);
    seems(world);
    notes_room(world);
}
