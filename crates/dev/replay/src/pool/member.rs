//! One member: an instance with a runner manager.

use runnerless_core::pool::Process;
use runnerless_core::time::{Millis, Timestamp};

/// Where a member stands. That it boots follows from the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is one of the group's.
    Member,
    /// It is being ended: it takes no more jobs, and is gone once it has none.
    Leaving,
}

/// A member.
#[derive(Clone, Debug)]
pub struct Member {
    /// The instance's id.
    pub id: String,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// When the group shows it in service.
    pub in_service_at: Timestamp,
    /// When its runner manager begins; `None` for one that never does.
    pub ready_at: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// What it runs.
    pub running: Vec<Running>,
    /// The jobs that it took since its runner manager began.
    pub taken: u64,
    /// The time that its slots were taken, all together.
    pub busy: Millis,
}

/// A job that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its place in the trace.
    pub job: usize,
    /// When it began.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl Member {
    /// Whether the group shows it in service.
    #[must_use]
    pub fn is_in_service(&self, now: Timestamp) -> bool {
        self.state == State::Member && now >= self.in_service_at
    }

    /// Whether its runner manager has begun.
    #[must_use]
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.ready_at.is_some_and(|at| now >= at)
    }

    /// What its runner manager's process does.
    #[must_use]
    pub const fn process(&self) -> Process {
        match self.state {
            State::Member => Process::Running,
            State::Leaving => Process::Draining,
        }
    }

    /// The slots in which it takes jobs now.
    pub(super) fn free(&self, now: Timestamp) -> usize {
        let slots = usize::try_from(self.slots).unwrap_or(usize::MAX);
        if self.state == State::Member && self.is_ready(now) { slots.saturating_sub(self.running.len()) } else { 0 }
    }

    pub(super) fn take(&mut self, job: usize, now: Timestamp, length: Millis) {
        self.running.push(Running { job, since: now, until: now + length });
        self.taken += 1;
    }

    /// The jobs that have ended by now.
    pub(super) fn finish(&mut self, now: Timestamp) -> Vec<Running> {
        let (ended, running) = self.running.drain(..).partition(|job| job.until <= now);
        self.running = running;
        ended
    }

    pub(super) fn accrue(&mut self, passed: Millis) {
        let running = i64::try_from(self.running.len()).unwrap_or(i64::MAX);
        self.busy = Millis(self.busy.0 + passed.0 * running);
    }

    /// When something happens to it next by itself.
    pub(super) fn next_event(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.running.iter().map(|job| job.until);
        ends.chain(self.ready_at).filter(|at| *at > now).min()
    }
}
