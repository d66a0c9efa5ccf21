//! Scalers that break a promise: the worlds must find each.

use std::collections::BTreeMap;

use runnerless_core::pool::{
    Action, Decision, Group, Held, Memory, Pending, Phase, Process, Reading, Scrape, Settings, decide,
};
use runnerless_core::time::Timestamp;
use runnerless_replay::worlds::{Decide, Promise};

/// Each by its name, with the promise that it breaks.
pub(crate) const ALL: [(&str, Decide, &[Promise]); 6] = [
    ("it always holds", holds, &[Promise::Grows, Promise::ComesDown]),
    ("it never retires", grows_only, &[Promise::ComesDown]),
    ("what does not tell is idle", silence_is_idle, &[Promise::NothingBusyIsEnded]),
    ("it retires whom it pleases", retires_anybody, &[Promise::NothingBusyIsEnded]),
    ("it looks at no maximum of the group", no_maximum, &[Promise::Limits]),
    ("it does nothing without a word", says_nothing, &[Promise::Reasons]),
];

type Scrapes = BTreeMap<String, Scrape>;

fn hold() -> Vec<Action> {
    vec![Action::Hold { reason: Held::Met { need: 0, slots: 0 } }]
}

fn holds(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &Scrapes,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    Decision { actions: hold(), ..decide(now, settings, group, scrapes, pending, memory) }
}

fn grows_only(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &Scrapes,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    let mut decision = decide(now, settings, group, scrapes, pending, memory);
    if decision.actions.iter().any(|action| matches!(action, Action::Retire { .. })) {
        decision.actions = hold();
    }
    decision
}

fn silence_is_idle(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &Scrapes,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    let mut told = scrapes.clone();
    for member in &group.members {
        let idle = Reading { taken_at: now, jobs: 0, capacity: None, process: Process::Running, jobs_total: None };
        if !matches!(told.get(&member.id), Some(Scrape::Good(_))) {
            told.insert(member.id.clone(), Scrape::Good(idle));
        }
    }
    decide(now, settings, group, &told, pending, memory)
}

fn retires_anybody(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &Scrapes,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    let mut decision = decide(now, settings, group, scrapes, pending, memory);
    let mut somebody = group.members.iter().filter(|member| member.phase == Phase::InService);
    for action in &mut decision.actions {
        if let (Action::Retire { id, .. }, Some(member)) = (action, somebody.next()) {
            *id = member.id.clone();
        }
    }
    decision
}

fn no_maximum(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &Scrapes,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    let group = Group { maximum: u32::MAX, ..group.clone() };
    decide(now, settings, &group, scrapes, pending, memory)
}

fn says_nothing(
    now: Timestamp,
    settings: &Settings,
    group: &Group,
    scrapes: &Scrapes,
    pending: &Pending,
    memory: &Memory,
) -> Decision {
    let mut decision = decide(now, settings, group, scrapes, pending, memory);
    decision.actions.retain(|action| !matches!(action, Action::Hold { .. }));
    decision
}
