//! What an operator is told.

use super::Case;
use super::view::{Seen, Standing};
use crate::pool::{DRAIN_LIMIT, Finding, HEARTBEATS, Memory, Misconfigured, Pending, Phase, Process};
use crate::time::Millis;

/// Everything that is to be told, the settings' first.
pub(super) fn of(case: &Case<'_>, before: &Memory) -> Vec<Finding> {
    let mut findings: Vec<Finding> = misconfigured(case).into_iter().map(Finding::Misconfigured).collect();
    findings.extend(of_the_group(case, before));
    findings.extend(case.seen.iter().flat_map(|seen| of_a_member(case, seen, before)));
    findings
}

/// Why no member of this group may be retired: what a member runs that was chosen wrongly could be cut off.
pub(super) fn unsafe_to_retire(case: &Case<'_>) -> Option<Misconfigured> {
    let Some(hook) = &case.group.hook else { return Some(Misconfigured::NoHook) };
    let waits = Millis(hook.heartbeat.0.saturating_mul(HEARTBEATS)).min(DRAIN_LIMIT);
    let longest_job = case.settings.longest_job;
    (waits < longest_job).then(|| Misconfigured::HookTooShort { hook: hook.name.clone(), waits, longest_job })
}

fn misconfigured(case: &Case<'_>) -> Vec<Misconfigured> {
    let mut wrong: Vec<Misconfigured> = unsafe_to_retire(case).into_iter().collect();
    if !case.group.protects_new_members {
        wrong.push(Misconfigured::NewUnprotected);
    }
    for process in ["Launch", "Terminate"] {
        if case.group.suspends(process) {
            wrong.push(Misconfigured::Suspended { process });
        }
    }
    let (minimum, maximum) = (case.settings.minimum.max(case.group.minimum), case.maximum);
    if minimum > maximum {
        wrong.push(Misconfigured::Bounds { minimum, maximum });
    }
    let margin = case.settings.headroom_slots > 0 || case.settings.target_utilisation < 100;
    if matches!(case.pending, Pending::Unknown(_)) && !margin {
        wrong.push(Misconfigured::NoSignal);
    }
    // One member stands for all: they are launched from one template.
    let expected = case.settings.slots_per_member;
    wrong.extend(case.seen.iter().find_map(|seen| other_capacity(seen, expected)));
    wrong.extend(case.seen.iter().find_map(no_process_state));
    wrong
}

fn other_capacity(seen: &Seen<'_>, expected: u32) -> Option<Misconfigured> {
    match seen.standing {
        Standing::Serving { told: Some(told), .. } if told != expected => {
            Some(Misconfigured::Capacity { id: seen.member.id.clone(), told, expected })
        }
        _ => None,
    }
}

fn no_process_state(seen: &Seen<'_>) -> Option<Misconfigured> {
    match seen.standing {
        Standing::Serving { process: Process::Unknown, .. } => {
            Some(Misconfigured::NoProcessState { id: seen.member.id.clone() })
        }
        _ => None,
    }
}

fn of_the_group(case: &Case<'_>, before: &Memory) -> Vec<Finding> {
    let mut findings = Vec::new();
    let found = case.group.desired;
    if let Some(left) = before.left_desired.filter(|left| *left != found) {
        findings.push(Finding::Changed { left, found });
    }
    let missing = case.outstanding();
    let since = before.short_since.filter(|since| missing > 0 && case.now - *since > case.settings.warm_up);
    findings.extend(since.map(|since| Finding::Short { missing, since }));
    if let Pending::Unknown(why) = case.pending {
        findings.push(Finding::PendingUnknown { why: why.clone() });
    }
    if case.demand.mute {
        findings.push(Finding::Mute { members: case.count(|seen| matches!(seen.standing, Standing::Late { .. })) });
    }
    if case.demand.not_taken > 0 {
        findings.push(Finding::NotTaken { jobs: case.demand.not_taken });
    }
    findings
}

fn of_a_member(case: &Case<'_>, seen: &Seen<'_>, before: &Memory) -> Vec<Finding> {
    let id = &seen.member.id;
    let mut findings = Vec::new();
    if let Standing::Late { age, .. } = seen.standing {
        findings.push(Finding::LateBoot { id: id.clone(), age });
    }
    let failures = seen.memory.failed;
    if let Standing::Late { why, .. } | Standing::Unknown { why, .. } = &seen.standing
        && failures >= case.settings.unhealthy_after
    {
        findings.push(Finding::Unhealthy { id: id.clone(), failures, why: why.clone() });
    }
    let named = before.members.get(id).is_some_and(|member| member.retired_at.is_some());
    if named && seen.member.phase == Phase::InService && seen.standing != Standing::Settling {
        findings.push(Finding::StillHere { id: id.clone() });
    }
    findings
}
