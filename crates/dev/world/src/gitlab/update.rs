//! `PUT jobs/:id`: a runner accepts a job, gives a sign of life, or reports its end.

use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;

use super::GitLab;
use super::job::{Job, Status};
use super::referee::How;

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// `state=pending`: the offer is to be kept.
    Pending,
    /// `state=running`: the offer is accepted, or the job is alive.
    Running,
    /// `state=success`.
    Success,
    /// `state=failed`, with this `failure_reason`.
    Failed(&'static str),
}

/// Who reports: for the referee only. GitLab sees a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Voice {
    /// The process of this number.
    Process(u64),
    /// Somebody who takes the job's process for dead.
    Reporter,
}

/// GitLab's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// 200, with the job's status.
    Done(JobStatus),
    /// 403: the job is over (then its status is told) or another runner's.
    Forbidden(Option<JobStatus>),
    /// 400 or 409: not in this state.
    Refused(&'static str),
    /// 404.
    NoJob,
}

impl GitLab {
    /// Accepts an offered job: `PUT state=running`.
    pub fn accept(&mut self, job: u64, token: &str, process: u64, now: Timestamp) -> Updated {
        self.update(job, token, Report::Running, Voice::Process(process), now)
    }

    /// Takes a report about a job.
    pub fn update(&mut self, id: u64, token: &str, report: Report, voice: Voice, now: Timestamp) -> Updated {
        let Some(job) = self.jobs.get_mut(&id) else { return Updated::NoJob };
        if report == Report::Running && job.expired_tokens.iter().any(|expired| expired == token) {
            return Updated::Refused("400 Bad request - Job is not waiting for runner acknowledgement");
        }
        if job.hold.as_ref().is_none_or(|hold| hold.token != token) {
            return Updated::Forbidden(None);
        }
        if job.status.is_over() {
            return Updated::Forbidden(Some(job.status.told()));
        }
        if job.is_offered() {
            return self.update_offered(id, report, voice, now);
        }
        match report {
            Report::Pending => Updated::Refused("409 Conflict - Job is not in pending state"),
            Report::Running => {
                note_acceptance(job, voice, now);
                if now - job.touched_at >= self.rules.touch {
                    job.touched_at = now;
                }
                Updated::Done(job.status.told())
            }
            Report::Success => self.end(id, None, voice, now),
            Report::Failed(reason) => self.end(id, Some(reason), voice, now),
        }
    }

    fn update_offered(&mut self, id: u64, report: Report, voice: Voice, now: Timestamp) -> Updated {
        let Some(job) = self.jobs.get_mut(&id) else { return Updated::NoJob };
        match report {
            Report::Pending => {
                if let Some(hold) = &mut job.hold {
                    hold.offered_until = Some(now + self.rules.offer);
                }
                Updated::Done(job.status.told())
            }
            Report::Running => {
                note_acceptance(job, voice, now);
                if let Some(hold) = &mut job.hold {
                    hold.offered_until = None;
                }
                self.enter(id, Status::Running, now);
                Updated::Done(Status::Running.told())
            }
            Report::Success | Report::Failed(_) => {
                Updated::Refused("400 Bad request - Job is waiting for runner acknowledgement")
            }
        }
    }

    fn end(&mut self, id: u64, reason: Option<&'static str>, voice: Voice, now: Timestamp) -> Updated {
        let Some(job) = self.jobs.get_mut(&id) else { return Updated::NoJob };
        let status = match (job.status, reason) {
            (Status::Canceling, _) => Status::Canceled,
            (_, None) => Status::Success,
            (_, Some(_)) => Status::Failed,
        };
        job.failure_reason = reason;
        job.history.ends(status.told(), How::Reported(voice), now);
        self.enter(id, status, now);
        Updated::Done(status.told())
    }
}

/// The first sign of life of the process that got the 201.
fn note_acceptance(job: &mut Job, voice: Voice, now: Timestamp) {
    let Some(offer) = job.history.offers.last_mut() else { return };
    if voice == Voice::Process(offer.process) {
        offer.accepted_at.get_or_insert(now);
    }
}
