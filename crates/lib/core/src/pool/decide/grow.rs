//! Growing: at once, by desired capacity, and never beyond the maximum.

use super::Case;
use crate::pool::{Action, Grown, Held};

/// What makes the pool larger, or that it may not be; `None` if it is large enough.
pub(super) fn plan(case: &Case<'_>) -> Option<Action> {
    let (growth, reason) = wanted(case)?;
    let base = case.group.desired.max(case.present());
    let to = base.saturating_add(growth.min(case.settings.grow_step)).min(case.maximum);
    if to > case.group.desired {
        return Some(Action::Grow { from: case.group.desired, to, reason });
    }
    let (need, slots) = (case.demand.need, case.slots() + case.coming_slots());
    Some(Action::Hold { reason: Held::AtMaximum { maximum: case.maximum, need, slots } })
}

/// By how many members the pool is to grow.
fn wanted(case: &Case<'_>) -> Option<(u32, Grown)> {
    let base = case.group.desired.max(case.present());
    let slots = case.slots() + case.coming_slots();
    let lacking = case.demand.need.saturating_sub(slots).div_ceil(case.settings.slots_per_member.max(1).into());
    let lacking = u32::try_from(lacking).unwrap_or(u32::MAX);
    let below = case.minimum.saturating_sub(base);
    if lacking > 0 && lacking >= below {
        return Some((lacking, Grown::Needed { need: case.demand.need, slots }));
    }
    if below > 0 {
        return Some((below, Grown::Minimum { minimum: case.minimum }));
    }
    (base == 0 && case.demand.blind).then_some((1, Grown::Blind))
}
