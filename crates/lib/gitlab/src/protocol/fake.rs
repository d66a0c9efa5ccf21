//! A GitLab in memory that knows runners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::runners::{Forgotten, Runners, Verified};
use super::secret::Secret;

#[derive(Debug, Default)]
struct State {
    /// Runner ids by token.
    runners: BTreeMap<String, u64>,
    /// Runner and system id of each manager.
    managers: BTreeSet<(u64, String)>,
    failing: bool,
    calls: u32,
}

/// Runners that a test made.
#[derive(Debug, Default)]
pub struct FakeRunners {
    state: Mutex<State>,
}

impl FakeRunners {
    /// Makes a runner, or another token of it.
    pub fn put(&self, token: &str, runner_id: u64) {
        self.state().runners.insert(token.to_owned(), runner_id);
    }

    /// Deletes the runner of this token, and its managers with it.
    pub fn delete(&self, token: &str) {
        let mut state = self.state();
        if let Some(id) = state.runners.remove(token) {
            state.managers.retain(|(runner, _)| *runner != id);
        }
    }

    /// From now on nothing is answered, or everything is.
    pub fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// How many calls were made, in vain or not.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.state().calls
    }

    /// Runner and system id of each manager.
    #[must_use]
    pub fn managers(&self) -> Vec<(u64, String)> {
        self.state().managers.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runner of a token; the outer `None` when nothing is answered.
    fn called(&self, token: &Secret) -> Option<Option<u64>> {
        let mut state = self.state();
        state.calls += 1;
        (!state.failing).then(|| state.runners.get(token.expose()).copied())
    }
}

/// The longest system id (characters).
const SYSTEM_ID: usize = 64;
const SILENT: &str = "the test said so";
const STRANGER: &str = "GitLab answered 403";

impl Runners for FakeRunners {
    async fn verify(&self, token: &Secret, system_id: &str) -> Verified {
        match self.called(token) {
            None => Verified::Unknown(SILENT.to_owned()),
            Some(None) => Verified::Refused(STRANGER.to_owned()),
            Some(Some(_)) if !(1..=SYSTEM_ID).contains(&system_id.chars().count()) => {
                Verified::Refused("GitLab answered 400".to_owned())
            }
            Some(Some(id)) => {
                self.state().managers.insert((id, system_id.to_owned()));
                Verified::Runner(Some(id))
            }
        }
    }

    async fn forget(&self, token: &Secret, system_id: &str) -> Forgotten {
        match self.called(token) {
            None => Forgotten::Unknown(SILENT.to_owned()),
            Some(None) => Forgotten::Refused(STRANGER.to_owned()),
            Some(Some(id)) => {
                self.state().managers.remove(&(id, system_id.to_owned()));
                Forgotten::Gone
            }
        }
    }
}
