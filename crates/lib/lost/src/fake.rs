//! A GitLab in memory that takes reports of lost jobs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_gitlab::protocol::Secret;

use crate::reporter::{Answer, Reporter};

#[derive(Debug, Default)]
struct State {
    /// The tokens of running jobs.
    running: BTreeMap<u64, String>,
    told: Vec<(u64, String)>,
    answer: Option<Answer>,
}

/// Takes one report of each job that runs, with the job's own token, and keeps what it is told.
#[derive(Debug, Default)]
pub struct FakeReporter {
    state: Mutex<State>,
}

impl FakeReporter {
    /// A job runs, under this token.
    pub fn runs(&self, job: u64, token: &str) {
        self.state().running.insert(job, token.to_owned());
    }

    /// The job ends otherwise, and its token with it.
    pub fn ends(&self, job: u64) {
        self.state().running.remove(&job);
    }

    /// Whether the job runs.
    #[must_use]
    pub fn is_running(&self, job: u64) -> bool {
        self.state().running.contains_key(&job)
    }

    /// From now on it answers this, whatever it is told; `None` lets it take reports again.
    pub fn answer(&self, answer: Option<Answer>) {
        self.state().answer = answer;
    }

    /// The jobs that it was told of, in vain or not, with the tokens.
    #[must_use]
    pub fn told(&self) -> Vec<(u64, String)> {
        self.state().told.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for FakeReporter {
    async fn failed(&self, job: u64, token: &Secret) -> Answer {
        let mut state = self.state();
        state.told.push((job, token.expose().to_owned()));
        if let Some(answer) = &state.answer {
            return answer.clone();
        }
        match state.running.get(&job) {
            Some(own) if own == token.expose() => {
                state.running.remove(&job);
                Answer::Taken
            }
            Some(_) => Answer::Over("403 Forbidden".to_owned()),
            None => Answer::Over("the job is not running".to_owned()),
        }
    }
}
