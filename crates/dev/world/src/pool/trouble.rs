//! What goes wrong around a pool by itself: what people do to the group, what AWS does to members, and troubles that last.

use runnerless_core::pool::{Group, Phase, REBALANCE};
use runnerless_core::time::{Millis, Timestamp};

use super::{GROUP, Happens, RATE, group};
use crate::check::{By, Whom};
use crate::event::Event;
use crate::fault::Fault;
use crate::world::{State, World};

/// How long members cannot be reached (ms).
const UNREACHABLE: std::ops::Range<i64> = 60_000..540_000;
/// How long a group launches nothing (ms).
const STUCK: std::ops::Range<i64> = 60_000..540_000;
/// By how much a clock is off (ms).
const CLOCK_OFF: std::ops::Range<i64> = -300_000..300_000;

/// Troubles that last.
#[derive(Debug, Default)]
pub(super) struct Spells {
    /// Until when the group launches nothing.
    stuck_until: Timestamp,
    /// Until when members are out of reach, and whether that is all of them.
    unreachable: (Timestamp, bool),
    /// Until when somebody keeps the group from launching.
    suspended_until: Option<Timestamp>,
}

impl Spells {
    pub(super) fn is_stuck(&self, now: Timestamp) -> bool {
        now < self.stuck_until
    }

    /// Until when the nth member is out of reach.
    pub(super) fn unreachable_until(&self, nth: u32) -> Timestamp {
        let (until, all) = self.unreachable;
        if all || nth.is_multiple_of(2) { until } else { Timestamp(0) }
    }
}

/// A minute in which somebody, or AWS, may do something.
pub(super) fn minute(world: &World) {
    world.timeline.happens_in(RATE, Event::Pool(Happens::Minute));
    let now = world.now();
    if world.strikes(Fault::GroupByHand, &Whom::Pool) {
        by_hand(world);
    }
    if world.strikes(Fault::MemberReplaced, &Whom::Pool) {
        named_by_another(world);
    }
    let rebalances = world.scaling.now(GROUP).is_some_and(|group| !group.suspends(REBALANCE));
    if rebalances && world.strikes(Fault::ZonesRebalanced, &Whom::Pool) {
        named_by_another(world);
    }
    if let Some(id) = any_member(world, |_| true)
        && world.strikes(Fault::MemberLost, &Whom::Pool)
    {
        group::ends(world, &id, group::Ended::Lost);
    }
    if world.strikes(Fault::GroupStuck, &Whom::Pool) {
        let until = now + world.draw(|rng| Millis(rng.i64(STUCK)));
        with_spells(world, |spells| spells.stuck_until = until);
    }
    if world.strikes(Fault::MembersUnreachable, &Whom::Pool) {
        cannot_be_reached(world);
    }
    clocks(world);
    resumes(world, now);
    group::settles(world);
}

fn with_spells(world: &World, change: impl FnOnce(&mut Spells)) {
    if let Some(pool) = &mut world.state().pool {
        change(&mut pool.spells);
    }
}

/// A member that the group has, of those in this phase.
fn any_member(world: &World, which: impl Fn(&Phase) -> bool) -> Option<String> {
    let group = world.scaling.now(GROUP)?;
    let ids: Vec<&String> =
        group.members.iter().filter(|member| which(&member.phase)).map(|member| &member.id).collect();
    let nth = (!ids.is_empty()).then(|| world.draw(|rng| rng.usize(..ids.len())))?;
    Some(ids[nth].clone())
}

/// AWS, or an operator, has a member go, whatever it runs.
fn named_by_another(world: &World) {
    if let Some(id) = any_member(world, |phase| *phase == Phase::InService) {
        group::leaves(world, &id, By::Another);
    }
}

/// Half of the members, or all, cannot be reached for a while.
fn cannot_be_reached(world: &World) {
    let (length, all) = world.draw(|rng| (Millis(rng.i64(UNREACHABLE)), rng.u32(0..4) == 0));
    let until = world.now() + length;
    let mut state = world.state();
    let Some(pool) = &mut state.pool else { return };
    pool.spells.unreachable = (until, all);
    for (nth, member) in (0_u32..).zip(pool.members.values_mut()) {
        if all || nth.is_multiple_of(2) {
            member.silent_until = until;
        }
    }
}

/// A member's clock is set wrongly; a runner manager's counts begin anew.
fn clocks(world: &World) {
    let Some(id) = any_member(world, Phase::counts) else { return };
    let (off, resets) =
        (world.strikes(Fault::MemberClockOff, &Whom::Pool), world.strikes(Fault::CounterReset, &Whom::Pool));
    let clock_off = world.draw(|rng| Millis(rng.i64(CLOCK_OFF)));
    let mut state = world.state();
    let State { pool, check, .. } = &mut *state;
    let Some(member) = pool.as_mut().and_then(|pool| pool.members.get_mut(&id)) else { return };
    if off {
        member.clock_off = clock_off;
    }
    if let Some(running) = member.running.as_mut().filter(|running| resets && running.jobs == 0) {
        running.taken = 0;
        check.counts_anew(&id);
    }
}

/// Somebody lets the group launch again.
fn resumes(world: &World, now: Timestamp) {
    let mut over = false;
    with_spells(world, |spells| {
        over = spells.suspended_until.is_some_and(|until| until <= now);
        spells.suspended_until.take_if(|_| over);
    });
    if over {
        change(world, |group| group.suspended.retain(|process| process != "Launch"));
    }
}

/// Somebody changes the group.
pub(crate) fn by_hand(world: &World) {
    let Some(group) = world.scaling.now(GROUP) else { return };
    let (minimum, maximum) = (group.minimum, group.maximum);
    match world.draw(|rng| rng.u32(0..13)) {
        0..=4 => {
            let desired = world.draw(|rng| rng.u32(minimum..=maximum));
            change(world, |group| group.desired = desired);
        }
        5 => {
            let minimum = world.draw(|rng| rng.u32(0..=2));
            let maximum = world.draw(|rng| rng.u32(minimum.max(2)..=12));
            change(world, |group| {
                (group.minimum, group.maximum) = (minimum, maximum);
                // Auto Scaling moves desired capacity between the new limits.
                group.desired = group.desired.clamp(minimum, maximum);
            });
        }
        6 | 7 => {
            if let Some(id) = any_member(world, |phase| *phase == Phase::InService) {
                let bare = |group: &mut Group| {
                    group
                        .members
                        .iter_mut()
                        .filter(|member| member.id == id)
                        .for_each(|member| member.protected = false);
                };
                change(world, bare);
            }
        }
        8..=11 => change(world, |group| group.suspended.retain(|process| process != REBALANCE)),
        _ => {
            let until = world.now() + world.draw(|rng| Millis(rng.i64(STUCK)));
            with_spells(world, |spells| spells.suspended_until = Some(until));
            change(world, |group| group.suspended.push("Launch".to_owned()));
        }
    }
}

fn change(world: &World, change: impl FnOnce(&mut Group)) {
    let Some(mut group) = world.scaling.now(GROUP) else { return };
    let before = (group.minimum, group.maximum, group.desired);
    change(&mut group);
    let after = (group.minimum, group.maximum, group.desired);
    world.note(format_args!("by hand: {before:?} {after:?}, suspended {:?}", group.suspended));
    world.scaling.put(group);
    let now = world.now();
    world.state().check.changed_by_hand(now);
    group::seems(world);
    group::notes_room(world);
}

/// Everything that lasts is over.
pub(super) fn calms(world: &World) {
    {
        let mut state = world.state();
        let Some(pool) = &mut state.pool else { return };
        pool.spells = Spells::default();
        for member in pool.members.values_mut() {
            (member.silent_until, member.clock_off) = (Timestamp(0), Millis(0));
        }
    }
    change(world, |group| group.suspended.retain(|process| process != "Launch"));
}
