//! What users and other people's runners do.

use runnerless_core::time::Timestamp;

use super::GitLab;
use super::offer::{Ask, Asked};
use super::pipeline::PipelineSpec;
use super::timers::Timer;

/// One thing that somebody else than us does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A user starts a pipeline.
    Pipeline(PipelineSpec),
    /// A user cancels a job.
    Cancel(u64),
    /// A user starts an ended job again.
    Retry(u64),
    /// The foreign runner with this id asks for a job; if it gets one it accepts it at once and runs it.
    Foreign(u64),
}

/// The number by which the referee knows foreign runners: no process of the world has it.
pub(super) const FOREIGN: u64 = u64::MAX;

impl GitLab {
    /// Does one step.
    pub fn step(&mut self, step: &Step, now: Timestamp) {
        match step {
            Step::Pipeline(spec) => {
                self.create_pipeline(spec, now);
            }
            Step::Cancel(job) => self.cancel(*job, now),
            Step::Retry(job) => {
                self.retry(*job, now);
            }
            Step::Foreign(runner) => self.foreign_asks(*runner, now),
        }
    }

    fn foreign_asks(&mut self, runner: u64, now: Timestamp) {
        let Some(token) = self.runners.get(&runner).map(|runner| runner.token.clone()) else { return };
        let ask = Ask { token: &token, system_id: "s_0123456789ab", accepts: true, graceful: true, process: FOREIGN };
        if let Asked::Offer(offer) = self.request_job(&ask, now) {
            self.accept(offer.key.job, &offer.token, FOREIGN, now);
            self.timers.insert((now + offer.work.length, Timer::ForeignEnds(offer.key.job)));
        }
    }
}
