//! A GitLab in memory that takes reports of lost jobs.

use std::sync::{Mutex, PoisonError};

use runnerless_gitlab::protocol::Secret;

use crate::reporter::{Answer, Reporter};

/// Keeps what it is told.
#[derive(Debug, Default)]
pub struct FakeReporter {
    told: Mutex<Vec<(u64, String)>>,
    answer: Mutex<Option<Answer>>,
}

impl FakeReporter {
    /// From now on it answers this; `None` lets it take reports again.
    pub fn answer(&self, answer: Option<Answer>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// The jobs that it was told of, with the tokens.
    #[must_use]
    pub fn told(&self) -> Vec<(u64, String)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for FakeReporter {
    async fn failed(&self, job: u64, token: &Secret) -> Answer {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push((job, token.expose().to_owned()));
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(Answer::Taken)
    }
}
