//! A person cancels a job.

use crate::world::World;
use crate::world::status::Status;

/// What a cancellation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// It is over.
    Now,
    /// The runner was asked to stop.
    Asked,
    /// It was over already.
    TooLate,
}

impl World {
    /// Cancels a job: a running one whose runner advertised `cancel_gracefully` is `canceling` until the runner reports,
    /// any other is `canceled` at once (contract, section 3.6). `force` ends one that is `canceling`.
    pub(crate) fn cancel(&mut self, id: u64, force: bool) -> Cancelled {
        let Some(job) = self.jobs.get(&id) else { return Cancelled::TooLate };
        let pipeline = job.pipeline;
        match job.status {
            Status::Success | Status::Failed | Status::Canceled | Status::Skipped => return Cancelled::TooLate,
            Status::Running if job.hold.cancel_gracefully && !force => {
                self.enter(id, Status::Canceling);
                return Cancelled::Asked;
            }
            Status::Canceling if !force => return Cancelled::Asked,
            _ => {}
        }
        self.enter(id, Status::Canceled);
        self.progress(pipeline);
        Cancelled::Now
    }
}
