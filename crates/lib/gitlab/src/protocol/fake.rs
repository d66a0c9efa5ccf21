//! A GitLab in memory that knows runners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::enrol::{Deleted, Made, NewRunner, RunnerScope};
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
    /// Tokens that may make runners, and those of them that are registration tokens.
    makers: BTreeMap<String, bool>,
    /// What the runners that were made are called, by id.
    made: BTreeMap<u64, String>,
    /// So many runners are made without an answer.
    lost: u32,
    /// Answers that making a runner gets instead.
    scripted: Vec<Made>,
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

    /// This API token may make runners.
    pub fn allow_api(&self, token: &str) {
        self.state().makers.insert(token.to_owned(), false);
    }

    /// This registration token registers runners.
    pub fn allow_registration(&self, token: &str) {
        self.state().makers.insert(token.to_owned(), true);
    }

    /// The next runners are made, and nobody is told.
    pub fn lose_made(&self, runners: u32) {
        self.state().lost = runners;
    }

    /// The next attempt to make a runner gets this answer, and makes none.
    pub fn script(&self, answer: Made) {
        self.state().scripted.push(answer);
    }

    /// The runners that were made and are there, by id, with what they are called.
    #[must_use]
    pub fn made(&self) -> Vec<(u64, String)> {
        let state = self.state();
        let there = |id: &u64| state.runners.values().any(|runner| runner == id);
        state.made.iter().filter(|(id, _)| there(id)).map(|(id, name)| (*id, name.clone())).collect()
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

    fn make(&self, by: &Secret, registers: bool, new: &NewRunner<'_>) -> Made {
        let mut state = self.state();
        state.calls += 1;
        if !state.scripted.is_empty() {
            return state.scripted.remove(0);
        }
        if state.failing {
            return Made::Unknown(SILENT.to_owned());
        }
        if state.makers.get(by.expose()) != Some(&registers) {
            return Made::Refused(STRANGER.to_owned());
        }
        if new.longest_s.is_some_and(|seconds| seconds < SHORTEST) || new.note.chars().count() > LONGEST_NOTE {
            return Made::Refused("GitLab answered 400".to_owned());
        }
        let id = FIRST_MADE + u64::try_from(state.made.len()).unwrap_or(u64::MAX);
        let token = format!("{}{id}", if registers { "glrtr-made" } else { "glrt-made" });
        state.made.insert(id, new.description.to_owned());
        state.runners.insert(token.clone(), id);
        if state.lost > 0 {
            state.lost -= 1;
            return Made::Unknown(SILENT.to_owned());
        }
        Made::Runner { id, token: Secret::new(token) }
    }
}

/// The id of the first runner that is made.
const FIRST_MADE: u64 = 9_000;
/// GitLab's shortest `maximum_timeout` (s).
const SHORTEST: u64 = 600;
/// GitLab's longest maintenance note (characters).
const LONGEST_NOTE: usize = 1024;

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

    async fn create(&self, api_token: &Secret, _: RunnerScope, new: &NewRunner<'_>) -> Made {
        self.make(api_token, false, new)
    }

    async fn register(&self, registration_token: &Secret, new: &NewRunner<'_>) -> Made {
        self.make(registration_token, true, new)
    }

    async fn unregister(&self, token: &Secret) -> Deleted {
        match self.called(token) {
            None => Deleted::Unknown(SILENT.to_owned()),
            Some(None) => Deleted::Stranger(STRANGER.to_owned()),
            Some(Some(_)) => {
                self.delete(token.expose());
                Deleted::Gone
            }
        }
    }
}
