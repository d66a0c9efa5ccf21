//! Shrinking: slowly, and only by members that were seen idle.

use super::view::{Seen, Standing};
use super::{Case, findings, hold};
use crate::pool::{Action, Held, Retired};
use crate::time::Timestamp;

/// The members to retire, or why there is none.
pub(super) fn plan(case: &Case<'_>, watched_since: Timestamp) -> Vec<Action> {
    if let Some(reason) = forbidden(case, watched_since) {
        return hold(reason);
    }
    let retired = retire(case);
    if retired.is_empty() { hold(Held::NoneIdle { idle_scrapes: case.settings.idle_scrapes }) } else { retired }
}

/// Why no member may be retired, whichever is idle.
fn forbidden(case: &Case<'_>, watched_since: Timestamp) -> Option<Held> {
    let (need, highest_need, slots) = (case.demand.need, case.demand.highest, case.slots());
    if need > slots {
        return Some(Held::Coming { slots: case.coming_slots() });
    }
    let smallest = case.seen.iter().filter_map(serving_slots).min();
    if smallest.is_none_or(|smallest| smallest > slots - need) {
        return Some(Held::Met { need, slots });
    }
    if !Left::of(case).spares_one(case) {
        return Some(Held::AtMinimum { minimum: floor(case) });
    }
    if let Some(because) = findings::unsafe_to_retire(case) {
        return Some(Held::NotSafe { because });
    }
    if case.now - watched_since < case.settings.stabilisation {
        return Some(Held::Watching { since: watched_since });
    }
    smallest
        .is_some_and(|smallest| smallest > slots.saturating_sub(highest_need))
        .then_some(Held::NeededLately { highest_need, need })
}

/// The longest idle first; of those the oldest, whose image and state are the oldest.
fn retire(case: &Case<'_>) -> Vec<Action> {
    let idle = |seen| Seen::idle_slots(seen, case.settings.idle_scrapes).map(|slots| (seen, slots));
    let mut idle: Vec<(&Seen<'_>, u64)> = case.seen.iter().filter_map(idle).collect();
    idle.sort_by_key(|(seen, _)| (std::cmp::Reverse(seen.memory.idle), seen.memory.first_seen));
    let mut left = Left::of(case);
    let mut slots = case.slots();
    let mut actions = Vec::new();
    let most = usize::try_from(case.settings.shrink_step).unwrap_or(usize::MAX);
    for (seen, its) in idle {
        if actions.len() == most || !left.spares_one(case) {
            break;
        }
        if slots.saturating_sub(its) < case.demand.highest {
            continue;
        }
        slots -= its;
        let reason = Retired { idle_scrapes: seen.memory.idle, slots_left: slots, highest_need: case.demand.highest };
        actions.push(Action::Retire { id: seen.member.id.clone(), lower_desired: left.lowers_desired(), reason });
        left.one_less();
    }
    actions
}

/// What is left of the group while members are retired.
struct Left {
    desired: u32,
    present: u32,
    serving: u32,
}

impl Left {
    fn of(case: &Case<'_>) -> Self {
        let settling = case.count(|seen| seen.standing == Standing::Settling);
        Self {
            desired: case.group.desired,
            // Those that were just named are as good as gone, whether the group shows it or not.
            present: case.present().saturating_sub(settling),
            serving: case.count(|seen| serving_slots(seen).is_some()),
        }
    }

    /// With more members than it wants the group launches no other in place of one that leaves.
    const fn lowers_desired(&self) -> bool {
        self.present <= self.desired
    }

    /// Whether one more may go. Those that do not serve are not counted: the minimum is one of members that take jobs.
    fn spares_one(&self, case: &Case<'_>) -> bool {
        let least = floor(case);
        self.serving > least && (!self.lowers_desired() || self.desired > least.max(case.group.minimum))
    }

    const fn one_less(&mut self) {
        if self.lowers_desired() {
            self.desired = self.desired.saturating_sub(1);
        }
        self.present = self.present.saturating_sub(1);
        self.serving = self.serving.saturating_sub(1);
    }
}

/// The fewest members. While nobody knows whether jobs wait, an empty pool would see none for ever.
fn floor(case: &Case<'_>) -> u32 {
    if case.demand.blind { case.minimum.max(1) } else { case.minimum }
}

const fn serving_slots(seen: &Seen<'_>) -> Option<u64> {
    match seen.standing {
        Standing::Serving { slots, .. } => Some(slots),
        _ => None,
    }
}
