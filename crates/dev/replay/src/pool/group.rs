//! What Auto Scaling does, by itself and when it is asked.

use runnerless_core::time::{Millis, Timestamp};

use super::{Fate, Member, Pool, State};

/// For choosing a member: AWS bills by the second today, and its default policy still prefers the one whose hour is over next.
const HOUR: i64 = 3_600_000;

/// A call that Auto Scaling refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A desired capacity outside of the group's limits.
    #[error("desired capacity {0} is not between the group's limits")]
    Limits(u32),
    /// An instance that is not in service.
    #[error("{0} is not a member in service")]
    NoMember(String),
}

impl Pool {
    /// `SetDesiredCapacity`.
    ///
    /// # Errors
    /// A number outside of the group's limits.
    pub fn set_desired(&mut self, desired: u32) -> Result<(), Refused> {
        if !(self.shape.minimum..=self.shape.maximum).contains(&desired) {
            return Err(Refused::Limits(desired));
        }
        self.desired = desired;
        self.settle();
        Ok(())
    }

    /// `TerminateInstanceInAutoScalingGroup`.
    ///
    /// # Errors
    /// An instance that is no member in service, and a desired capacity that would fall below the group's minimum.
    pub fn terminate(&mut self, id: &str, lower_desired: bool) -> Result<(), Refused> {
        let now = self.now;
        let found = self.members.iter().position(|member| member.id == id && member.is_in_service(now));
        let at = found.ok_or_else(|| Refused::NoMember(id.to_owned()))?;
        if lower_desired {
            let lower = self.desired.checked_sub(1).filter(|desired| *desired >= self.shape.minimum);
            self.desired = lower.ok_or(Refused::Limits(self.desired.saturating_sub(1)))?;
        }
        self.end(at);
        self.settle();
        Ok(())
    }

    /// `SetInstanceProtection`.
    pub fn protect(&mut self, ids: &[String]) {
        for member in self.members.iter_mut().filter(|member| ids.contains(&member.id)) {
            member.protected = true;
        }
    }

    /// The instance is gone at once, with what it runs: lost hardware, a spot reclaim. The job is not given back.
    pub fn lose(&mut self, at: usize) {
        let lost = self.members.remove(at);
        for job in lost.running {
            self.fates[job.job] = Fate::Killed;
        }
        self.settle();
    }

    /// Begins to end the member at this place.
    pub fn end(&mut self, at: usize) {
        if self.shape.drains {
            self.members[at].state = State::Leaving;
            return;
        }
        let ended = self.members.remove(at);
        for job in ended.running {
            self.fates[job.job] = Fate::Killed;
        }
    }

    /// Launches what is missing, and ends what is too much and may be ended.
    pub(super) fn reconcile(&mut self) {
        let suspended = |process: &str| self.suspended.iter().any(|name| name == process);
        let (launches, terminates) = (!suspended("Launch"), !suspended("Terminate"));
        while launches && self.counted() < self.desired {
            self.launch();
        }
        while terminates && self.counted() > self.desired {
            let Some(at) = self.victim() else { return };
            self.end(at);
        }
    }

    fn counted(&self) -> u32 {
        let members = self.members.iter().filter(|member| member.state == State::Member).count();
        u32::try_from(members).unwrap_or(u32::MAX)
    }

    fn launch(&mut self) {
        self.launched += 1;
        let stillborn = self.rng.u32(..1000) < self.shape.stillborn;
        self.members.push(Member {
            id: format!("i-{:06}", self.launched),
            launched_at: self.now,
            in_service_at: self.now + self.shape.in_service,
            ready_at: (!stillborn).then(|| self.now + self.shape.boot),
            state: State::Member,
            protected: self.shape.protects,
            slots: self.shape.slots,
            running: Vec::new(),
            taken: 0,
            busy: Millis(0),
        });
    }

    /// Whom the group ends by itself: not the protected, and of the others the one whose hour is over next. It knows nothing of
    /// their jobs.
    fn victim(&self) -> Option<usize> {
        let hour = |at: Timestamp| (self.now - at).0.rem_euclid(HOUR);
        let members = (0..self.members.len()).filter(|at| {
            let member = &self.members[*at];
            member.state == State::Member && !member.protected
        });
        members.max_by_key(|at| hour(self.members[*at].launched_at))
    }
}
