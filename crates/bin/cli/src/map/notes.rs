//! What a load is worth warning about, though it is accepted.

use std::collections::BTreeSet;

use runnerless_core::lane::Engine;

use super::{Planned, Table};

/// A function that is stopped sooner than this (s) runs hardly any job: a cold start, the wait for the job and the
/// executor's last half minute are inside it.
const SHORT_TIMEOUT_S: u64 = 120;

/// What the stack is able to do, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    /// Whether it launches instances.
    pub(super) ec2: bool,
    /// Its own executor.
    pub(super) executor: Option<&'a str>,
}

/// The warnings, each once.
pub(super) fn notes(table: &Table, planned: &[Planned], known: Known<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut functions = BTreeSet::new();
    for one in planned {
        let row = &one.row;
        if row.engine == Engine::Ec2 && !known.ec2 {
            notes.push(format!("{row}: this stack launches no instances; its jobs go to the default route"));
        }
        let Some(arn) = row.arn.as_ref().filter(|_| row.engine == Engine::Lambda) else { continue };
        if !row.size.instance_types.is_empty() || row.size.disk_gb.is_some() || row.size.market.is_some() {
            notes.push(format!("{row}: instance_types, disk_gb and market do nothing for LAMBDA"));
        }
        if let (Some(job), Some(function)) = (row.size.timeout_s, row.target.timeout_s)
            && job > function
        {
            notes.push(format!("{row}: timeout_s is {job}, and the function is stopped after {function} s"));
        }
        if functions.insert(arn) {
            notes.extend(of_function(arn, one, known.executor));
        }
    }
    let unreadable = table.unreadable.values().map(|(_, bad)| format!("stored, and of no use to anybody: {bad}"));
    let doubled = table
        .doubled
        .keys()
        .map(|(pk, sk)| format!("stored twice: {pk} {sk} repeats a row with its tags in another order; delete it"));
    notes.into_iter().chain(unreadable).chain(doubled).collect()
}

fn of_function(arn: &str, one: &Planned, executor: Option<&str>) -> Vec<String> {
    let facts = &one.row.target;
    let mut notes = Vec::new();
    if let Some(retries @ 1..) = facts.retries {
        notes.push(format!(
            "{arn} repeats a failed invocation {retries} times, so that a job could run twice; set its \
             MaximumRetryAttempts to 0"
        ));
    }
    if let Some(timeout) = facts.timeout_s.filter(|timeout| *timeout < SHORT_TIMEOUT_S) {
        notes.push(format!("{arn} is stopped after {timeout} s; jobs need more, 900 s is the most"));
    }
    if executor != Some(arn) {
        notes.push(format!(
            "{arn} is not the stack's executor: launches may invoke it only when it has the tag runnerless:target=true"
        ));
    }
    notes
}
