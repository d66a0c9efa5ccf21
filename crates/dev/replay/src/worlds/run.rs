//! One run of the scaler: it loads, decides, stores, and acts as far as it gets.

use std::collections::BTreeMap;

use runnerless_core::change::{Expect, Row as _, Write, decode};
use runnerless_core::pool::{Action, Decision, Group, Pending, Phase, PoolRow, Process, Scrape, remember};

use super::referee::{Broken, Promise};
use super::world::World;

/// A run that has decided and stored nothing yet.
pub(super) struct Run {
    read: Option<PoolRow>,
    group: Group,
    scrapes: BTreeMap<String, Scrape>,
    pub(super) decision: Decision,
}

impl World {
    /// Loads everything and decides.
    pub(super) fn load(&mut self) -> Run {
        let fresh = self.pool.describe();
        let behind = self.described.replace(fresh.clone());
        let group = match behind {
            Some(behind) if self.strikes("description behind", 40) => behind,
            _ => fresh,
        };
        if group.members.is_empty() {
            self.hits.hit("empty group");
        }
        let read = self.row.clone();
        self.pass(2);
        let scrapes = self.scrape();
        let pending = if self.gitlab_tells() {
            Pending::Known(self.pool.waiting())
        } else {
            self.hits.hit("jobs that wait unknown");
            Pending::Unknown("no answer".to_owned())
        };
        let memory = read.as_ref().map(|row| row.memory.clone()).unwrap_or_default();
        let decision = (self.decides)(self.pool.now(), &self.settings, &group, &scrapes, &pending, &memory);
        Run { read, group, scrapes, decision }
    }

    /// Stores the memory, if the row is as it was read; and looks at the decision.
    pub(super) fn store(&mut self, run: &Run) -> Result<bool, Broken> {
        self.judge(run)?;
        let plan = remember(run.read.as_ref(), "pool", "run", run.decision.memory.clone(), self.pool.now());
        for change in plan.changes {
            let stored = self.row.as_ref().map(|row| row.rev());
            let holds = match change.expect {
                Expect::Absent => stored.is_none(),
                Expect::Rev(rev) => stored == Some(rev),
            };
            if !holds {
                return Ok(false);
            }
            let Write::Put(item) = change.write else { unreachable!("a memory is written, not checked") };
            self.row = Some(decode(&item).expect("what was encoded is decoded"));
        }
        Ok(true)
    }

    /// What holds of each decision, whatever it was made of.
    fn judge(&mut self, run: &Run) -> Result<(), Broken> {
        let broken = |promise, what: String| Err(Broken { promise, what });
        let (mut holds, mut changes) = (0, 0);
        for action in &run.decision.actions {
            match action {
                Action::Hold { .. } => {
                    holds += 1;
                    self.hits.hit("held");
                }
                Action::Grow { from, to, .. } => {
                    changes += 1;
                    self.hits.hit("grown");
                    if *to > self.settings.maximum.min(run.group.maximum) {
                        return broken(Promise::Limits, format!("{action}"));
                    }
                    if to <= from || *from != run.group.desired {
                        return broken(Promise::NeverLowered, format!("{action}"));
                    }
                }
                Action::Retire { id, .. } => {
                    changes += 1;
                    self.hits.hit("retired");
                    if !tells_that_it_is_idle(run, id) {
                        return broken(Promise::NothingBusyIsEnded, format!("{action}: {:?}", run.scrapes.get(id)));
                    }
                }
                Action::Suspend { .. } | Action::Protect { .. } => {}
            }
        }
        if holds != u32::from(changes == 0) {
            return broken(Promise::Reasons, format!("{:?}", run.decision.actions));
        }
        Ok(())
    }

    /// Does what was decided, as far as it gets.
    pub(super) fn act(&mut self, run: &Run, actions: &mut dyn Iterator<Item = &Action>) -> Result<(), Broken> {
        for action in actions {
            self.pass(4);
            if self.strikes("crash before an action", 30) {
                return Ok(());
            }
            if self.strikes("action throttled", 40) {
                continue;
            }
            let desired = self.pool.desired;
            match action {
                Action::Suspend { process } => self.pool.suspended.push((*process).to_owned()),
                Action::Protect { ids } => self.pool.protect(ids),
                Action::Grow { to, .. } if *to > desired => {
                    // Refused only where the limits were changed since the group was described.
                    if self.pool.set_desired(*to).is_err() && run.group.maximum <= self.pool.shape.maximum {
                        return Err(Broken { promise: Promise::Limits, what: format!("refused: {action}") });
                    }
                }
                Action::Retire { id, lower_desired, .. } => {
                    let busy = self.pool.members.iter().any(|member| member.id == *id && !member.running.is_empty());
                    if self.pool.terminate(id, *lower_desired).is_ok() && busy {
                        self.hits.hit("took a job after its last scrape");
                    }
                }
                Action::Grow { .. } | Action::Hold { .. } => {}
            }
            if self.strikes("answer lost", 30) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether this member's metrics, which are not older than a scrape may be, say that it is idle.
fn tells_that_it_is_idle(run: &Run, id: &str) -> bool {
    let in_service = run.group.members.iter().any(|member| member.id == id && member.phase == Phase::InService);
    let idle = matches!(
        run.scrapes.get(id),
        Some(Scrape::Good(reading)) if reading.jobs == 0 && reading.process == Process::Running
    );
    in_service && idle
}
