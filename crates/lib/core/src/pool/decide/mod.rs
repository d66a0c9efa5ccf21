//! One run's decision: what is seen of each member, what is needed, and what follows.
//!
//! What bounds everything else: a member is retired only when it was seen idle in several good scrapes in a row and the
//! highest need of a whole window is met without it. All that is not known counts as busy, and is no reason to grow either:
//! a pool whose metrics cannot be read stays as it is.

mod findings;
mod grow;
mod need;
mod shrink;
mod view;

use std::collections::BTreeMap;

use self::need::Demand;
use self::view::{Seen, Standing};
use super::{Action, Decision, Group, Held, Memory, Pending, Phase, REBALANCE, Scrape, Settings, Summary};
use crate::time::{Millis, Timestamp};

/// A longer time between two runs leaves a gap in what is known of the need. Runs come every minute, and a few of them may
/// fail or be throttled.
const GAP: Millis = Millis::minutes(5);

/// What this run decides by: everything that was seen, in the form that the rules ask for.
struct Case<'a> {
    now: Timestamp,
    settings: &'a Settings,
    group: &'a Group,
    pending: &'a Pending,
    /// The limits: the settings' and the group's.
    minimum: u32,
    maximum: u32,
    /// The group's members, in the order of their ids.
    seen: Vec<Seen<'a>>,
    demand: Demand,
}

/// Decides how a pool is sized.
#[must_use]
pub fn decide(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &BTreeMap<String, Scrape>,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    let maximum = settings.maximum.min(group.maximum);
    let minimum = settings.minimum.max(group.minimum).min(maximum);
    let seen = view::look(now, settings, group, scrapes, memory);
    let watched_since = watched_since(now, memory);
    let demand = need::of(now, settings, &seen, pending, memory, watched_since);
    let case = Case { now, settings, group, pending, minimum, maximum, seen, demand };
    let mut actions = safeguards(&case);
    let grown = grow::plan(&case);
    let changes = match grown {
        Some(grow) => vec![grow],
        None => shrink::plan(&case, watched_since),
    };
    actions.extend(changes);
    let findings = findings::of(&case, memory);
    let summary = summary(&case);
    let memory = after(&case, memory, watched_since, &actions);
    Decision { memory, actions, findings, summary }
}

/// Since when the need is known without a gap.
fn watched_since(now: Timestamp, memory: &Memory) -> Timestamp {
    let follows = memory.last_run_at.is_some_and(|last| last <= now && now - last <= GAP);
    memory.watched_since.filter(|_| follows).unwrap_or(now)
}

/// What keeps the group from ending members by itself.
fn safeguards(case: &Case<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    if !case.group.suspends(REBALANCE) {
        actions.push(Action::Suspend { process: REBALANCE });
    }
    // Auto Scaling takes protection for members in service only.
    let bare = |seen: &&Seen<'_>| {
        !seen.member.protected && seen.member.phase == Phase::InService && seen.standing != Standing::Settling
    };
    let ids: Vec<String> = case.seen.iter().filter(bare).map(|seen| seen.member.id.clone()).collect();
    if !ids.is_empty() {
        actions.push(Action::Protect { ids });
    }
    actions
}

/// What the next run is to know.
fn after(case: &Case<'_>, before: &Memory, watched_since: Timestamp, actions: &[Action]) -> Memory {
    let mut left_desired = case.group.desired;
    let mut grown_at = before.grown_at;
    let kept = case.seen.iter().filter(|seen| seen.standing != Standing::Leaving);
    let mut members: BTreeMap<_, _> = kept.map(|seen| (seen.member.id.clone(), seen.memory.clone())).collect();
    for action in actions {
        match action {
            Action::Grow { to, .. } => (left_desired, grown_at) = (*to, Some(case.now)),
            Action::Retire { id, lower_desired, .. } => {
                left_desired -= u32::from(*lower_desired);
                if let Some(member) = members.get_mut(id) {
                    member.retired_at = Some(case.now);
                }
            }
            Action::Suspend { .. } | Action::Protect { .. } | Action::Hold { .. } => {}
        }
    }
    Memory {
        last_run_at: Some(case.now),
        watched_since: Some(watched_since),
        grown_at,
        left_desired: Some(left_desired),
        short_since: (case.outstanding() > 0).then(|| before.short_since.unwrap_or(case.now)),
        needs: case.demand.needs.clone(),
        members,
    }
}

impl Case<'_> {
    /// Members that the group counts towards its desired capacity.
    fn present(&self) -> u32 {
        self.count(|seen| seen.member.phase.counts())
    }

    /// Members that the group still has to launch.
    fn outstanding(&self) -> u32 {
        self.group.desired.saturating_sub(self.present())
    }

    /// Members that are awaited.
    fn coming(&self) -> u32 {
        self.count(|seen| seen.standing == Standing::Coming).saturating_add(self.outstanding())
    }

    /// The slots that come with them.
    fn coming_slots(&self) -> u64 {
        u64::from(self.coming()) * u64::from(self.settings.slots_per_member)
    }

    /// The slots of members in service, those of the unknown included.
    fn slots(&self) -> u64 {
        self.seen.iter().map(|seen| seen.standing.slots()).sum()
    }

    fn count(&self, which: impl Fn(&Seen<'_>) -> bool) -> u32 {
        u32::try_from(self.seen.iter().filter(|seen| which(seen)).count()).unwrap_or(u32::MAX)
    }
}

fn summary(case: &Case<'_>) -> Summary {
    let unknown = |seen: &Seen<'_>| matches!(seen.standing, Standing::Unknown { .. });
    Summary {
        desired: case.group.desired,
        minimum: case.minimum,
        maximum: case.maximum,
        serving: case.count(|seen| matches!(seen.standing, Standing::Serving { .. })),
        coming: case.coming(),
        late: case.count(|seen| matches!(seen.standing, Standing::Late { .. })),
        leaving: case
            .count(|seen| matches!(seen.standing, Standing::Leaving | Standing::Settling | Standing::Draining)),
        unknown: case.count(unknown),
        unhealthy: case.count(|seen| seen.memory.failed >= case.settings.unhealthy_after),
        slots: case.slots(),
        busy: case.demand.busy,
        pending: match case.pending {
            Pending::Known(jobs) => Some(*jobs),
            Pending::Unknown(_) => None,
        },
        need: case.demand.need,
        highest_need: case.demand.highest,
    }
}

/// The one action of a run that changes nothing.
fn hold(reason: Held) -> Vec<Action> {
    vec![Action::Hold { reason }]
}
