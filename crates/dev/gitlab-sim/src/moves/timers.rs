//! What happens by itself.

use crate::clock::Millis;
use crate::world::settings::millis;
use crate::world::status::Status;
use crate::world::{Timer, World};

/// A runner that called within this time is online (contract, section 2).
const ONLINE_MS: Millis = 2 * 60 * 60 * 1000;
/// A job that nobody took ends after this time, runners or not (contract, section 0).
const HOPELESS_MS: Millis = 24 * 60 * 60 * 1000;

impl World {
    /// When something is due next.
    pub(crate) fn next_timer(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub(crate) fn run_timers(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > self.now {
                return;
            }
            self.timers.remove(&(at, timer));
            self.run_timer(timer);
        }
    }

    fn run_timer(&mut self, timer: Timer) {
        match timer {
            Timer::OfferExpires(id) => {
                let until = self.jobs.get(&id).and_then(|job| job.hold.offered_until);
                match until {
                    Some(until) if until <= self.now => self.withdraw(id),
                    Some(until) => {
                        self.timers.insert((until, timer));
                    }
                    None => {}
                }
            }
            Timer::Delayed(id) => {
                if self.jobs.get(&id).is_some_and(|job| job.status == Status::Scheduled) {
                    self.queue_up(id);
                }
            }
            Timer::Cancel(id) => {
                let _ = self.cancel(id, false);
            }
            Timer::Overtime(id) => self.overtime(id),
            Timer::NoUpdates(id) => self.no_updates(id),
            Timer::Stuck(id) => self.stuck(id),
        }
    }

    fn overtime(&mut self, id: u64) {
        match self.jobs.get(&id).map(|job| job.status) {
            Some(Status::Running) => self.fail(id, "server_timeout_running", None),
            Some(Status::Canceling) => {
                let _ = self.cancel(id, true);
            }
            _ => {}
        }
    }

    fn no_updates(&mut self, id: u64) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.status.is_executing()) else { return };
        let limit = job.touched_at + millis(self.settings.no_updates_s);
        if limit > self.now {
            self.timers.insert((limit, Timer::NoUpdates(id)));
        } else if job.status == Status::Canceling {
            let _ = self.cancel(id, true);
        } else {
            self.fail(id, "no_updates_running", None);
        }
    }

    fn stuck(&mut self, id: u64) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.is_free()) else { return };
        let waited = self.now.saturating_sub(job.queued_at.unwrap_or(job.created_at));
        let online = self.runners.values().any(|runner| {
            runner.contacted_at.is_some_and(|at| self.now.saturating_sub(at) < ONLINE_MS) && self.may_have(runner, id)
        });
        if !online || waited >= HOPELESS_MS {
            self.fail(id, "stuck_or_timeout_failure", None);
        } else {
            self.timers.insert((self.now + millis(self.settings.stuck_s).max(1000), Timer::Stuck(id)));
        }
    }
}
