//! The way to GitLab while a job runs: its log, its signs of life, its end.
//!
//! The first part of the log goes out as soon as the script speaks, with what it says in the same breath; after that one
//! part per interval, never more than one a second. When nothing was acknowledged for thirty seconds a sign of life is sent, whose answer also tells of a
//! cancel. Whatever fails is sent again later; GitLab's own count of the bytes that it has wins over ours.

use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{Client, JobStatus, PatchError, Patched, Secret, Update, UpdateError, Updated};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::job::Signal;
use crate::log::Log;
use crate::verdict::Verdict;

/// Interval before GitLab names one; the official runner's.
const FIRST_INTERVAL: Duration = Duration::from_secs(3);
/// GitLab may ask for no more than this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Least time between two parts: GitLab limits them per minute and job.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How long the first part waits for what follows the script's first bytes. Bash shows a command and runs it: without the
/// wait the part would hold the command, and its output would come an interval later. No person sees the difference, and
/// a job that is over by then has one part instead of two.
const BREATH: Duration = Duration::from_millis(30);
/// Silence after which a sign of life is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest part, as the official runner has it.
const LARGEST_PART: usize = 1024 * 1024;
/// First wait after a part failed; doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest wait between attempts of the final report.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Whether GitLab knows how the job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It acknowledged the end.
    Acknowledged,
    /// The job had ended on the server before: cancelled by force, failed by GitLab, or this very report arrived and
    /// its answer was lost.
    EndedThere,
    /// It does not; why not.
    No(String),
}

/// Sends one job's log and state.
#[derive(Debug)]
pub(crate) struct Reporter<'a> {
    client: &'a Client,
    id: u64,
    token: &'a Secret,
    log: Log,
    signal: watch::Sender<Signal>,
    /// `CI_DEBUG_TRACE` is on: GitLab then shows the log to fewer people.
    debug_trace: bool,
    /// Bytes that GitLab has.
    sent: u64,
    interval: Duration,
    /// When the last part was sent.
    last_part: Option<Instant>,
    /// When GitLab last acknowledged anything.
    last_answer: Instant,
    began: Instant,
    /// Wait before the next attempt after a failed one.
    retry: Option<Duration>,
    /// GitLab has no log for this job (404): nothing more of it is sent.
    muted: bool,
}

impl<'a> Reporter<'a> {
    /// For a job that was just accepted.
    pub(crate) fn new(
        client: &'a Client,
        id: u64,
        token: &'a Secret,
        log: Log,
        signal: watch::Sender<Signal>,
        debug_trace: bool,
        interval: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        let mut reporter = Self {
            client,
            id,
            token,
            log,
            signal,
            debug_trace,
            sent: 0,
            interval: FIRST_INTERVAL,
            last_part: None,
            last_answer: now,
            began: now,
            retry: None,
            muted: false,
        };
        reporter.heed_interval(interval);
        reporter
    }

    /// Sends what there is until `done` says that the job has ended. A request that is under way is always finished.
    pub(crate) async fn follow(&mut self, mut done: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                ended = done.wait_for(|done| *done) => {
                    // An error means that the job was dropped, which is an end too.
                    drop(ended);
                    return;
                }
                () = self.log.grown() => {}
                () = sleep_until(self.next_due()) => {}
            }
            let over = *self.signal.borrow() == Signal::Over;
            let now = Instant::now();
            if !over && self.part_due().is_some_and(|at| at <= now) {
                self.send_part().await;
            } else if !over && now.duration_since(self.last_answer) >= KEEP_ALIVE {
                self.keep_alive().await;
            }
        }
    }

    /// When there is next something to do, as far as is known now.
    fn next_due(&self) -> Instant {
        if *self.signal.borrow() == Signal::Over {
            // The job is being stopped; its end comes by itself.
            return Instant::now() + KEEP_ALIVE;
        }
        let alive = self.last_answer + KEEP_ALIVE;
        self.part_due().map_or(alive, |at| at.min(alive))
    }

    /// When the next part may go out; `None` when there is nothing to send.
    fn part_due(&self) -> Option<Instant> {
        if self.muted || self.log.len() <= self.sent {
            return None;
        }
        let Some(last) = self.last_part else {
            let at_last = self.began + self.interval;
            return Some(self.log.spoken_at().map_or(at_last, |spoken| (spoken + BREATH).min(at_last)));
        };
        Some(last + self.retry.unwrap_or(self.interval))
    }

    /// Sends one part. Whether it arrived shows in `sent` and `retry`.
    async fn send_part(&mut self) {
        let part = self.log.part(self.sent, LARGEST_PART);
        if part.is_empty() {
            return;
        }
        let end = self.sent + part.len() as u64;
        self.last_part = Some(Instant::now());
        match self.client.patch_trace(self.id, self.token, self.sent, part, self.debug_trace).await {
            Ok(Patched::Stored { total, status, interval }) => {
                // More than we have cannot be ours; less is what GitLab wants again.
                self.sent = total.filter(|total| *total <= self.log.len()).unwrap_or(end);
                self.retry = None;
                self.acknowledged(status.as_ref(), interval);
            }
            Ok(Patched::Elsewhere { total, interval }) => {
                self.sent = total.min(self.log.len());
                self.retry = None;
                self.acknowledged(None, interval);
            }
            Err(PatchError::Over(_)) => self.raise(Signal::Over),
            Err(PatchError::NoLog(_)) => self.muted = true,
            Err(PatchError::Later(refusal)) => self.put_off(refusal.retry_after),
            Err(PatchError::Transport(_)) => self.put_off(None),
        }
    }

    fn put_off(&mut self, asked: Option<Duration>) {
        let next = self.retry.map_or(FIRST_RETRY, |last| (last * 2).min(self.interval.max(FIRST_RETRY)));
        self.retry = Some(pause(asked, next, LONGEST_INTERVAL));
    }

    async fn keep_alive(&mut self) {
        let update = Update { trace: Some(self.log.sum()), ..Update::ACCEPT };
        match self.client.update_job(self.id, self.token, update).await {
            Ok(Updated::Done { status, interval }) => self.acknowledged(status.as_ref(), interval),
            Ok(Updated::NotYet { interval }) => self.acknowledged(None, interval),
            Err(UpdateError::NotOurs(_)) => self.raise(Signal::Over),
            // Not an acknowledgement, but asking again at once would not help: the next sign of life is due later.
            Err(
                UpdateError::Refused(_) | UpdateError::Later(_) | UpdateError::Transport(_) | UpdateError::ResendTrace,
            ) => {
                self.last_answer = Instant::now() - KEEP_ALIVE / 2;
            }
        }
    }

    fn acknowledged(&mut self, status: Option<&JobStatus>, interval: Option<Duration>) {
        self.last_answer = Instant::now();
        self.heed_interval(interval);
        self.heed_status(status);
    }

    fn heed_interval(&mut self, interval: Option<Duration>) {
        if let Some(interval) = interval {
            self.interval = interval.clamp(LEAST_INTERVAL, LONGEST_INTERVAL);
        }
    }

    /// Takes over what GitLab says about the job's state.
    pub(crate) fn heed_status(&self, status: Option<&JobStatus>) {
        match status {
            Some(JobStatus::Canceling) => self.raise(Signal::Cancel),
            Some(status) if status.is_final() => self.raise(Signal::Over),
            _ => {}
        }
    }

    /// Signals only grow: over stays over.
    fn raise(&self, signal: Signal) {
        self.signal.send_if_modified(|current| {
            let grows = matches!(
                (*current, signal),
                (Signal::Go, Signal::Cancel | Signal::Over) | (Signal::Cancel, Signal::Over)
            );
            if grows {
                *current = signal;
            }
            grows
        });
    }

    /// Reports the end: first all of the log, then the state; both again and again until `limit`.
    pub(crate) async fn finish(&mut self, verdict: &Verdict, reasons: &[String], limit: Instant) -> Reported {
        if *verdict == Verdict::Over || *self.signal.borrow() == Signal::Over {
            return Reported::EndedThere;
        }
        match timeout_at(limit, self.finish_unlimited(verdict, reasons, limit)).await {
            Ok(reported) => reported,
            Err(_) => Reported::No("GitLab did not take the job's end in time".to_owned()),
        }
    }

    async fn finish_unlimited(&mut self, verdict: &Verdict, reasons: &[String], limit: Instant) -> Reported {
        // A log that cannot be sent must not keep the state from being told: half of the time is for each.
        let half = Instant::now() + limit.saturating_duration_since(Instant::now()) / 2;
        loop {
            if !self.flush(half).await {
                return Reported::EndedThere;
            }
            match self.final_update(verdict, reasons).await {
                FinalStep::Reported(reported) => return reported,
                FinalStep::ResendLog => self.sent = 0,
            }
        }
    }

    /// Sends the rest of the log, at the latest until `limit`. False when GitLab has ended the job.
    async fn flush(&mut self, limit: Instant) -> bool {
        self.retry = None;
        while !self.muted && self.sent < self.log.len() && Instant::now() < limit {
            let before = self.sent;
            self.send_part().await;
            if *self.signal.borrow() == Signal::Over {
                return false;
            }
            if let Some(retry) = self.retry {
                sleep(retry.min(LONGEST_RETRY)).await;
            } else if self.sent <= before {
                // GitLab wants earlier bytes again: as the protocol has it, after one interval.
                sleep(self.interval.min(LONGEST_RETRY)).await;
            }
        }
        true
    }

    async fn final_update(&mut self, verdict: &Verdict, reasons: &[String]) -> FinalStep {
        let update = Update {
            state: verdict.state(),
            failure_reason: verdict.reason(reasons),
            exit_code: verdict.exit_code(),
            trace: Some(self.log.sum()),
        };
        let mut wait = FIRST_RETRY;
        loop {
            let pause = match self.client.update_job(self.id, self.token, update).await {
                Ok(Updated::Done { .. }) => return FinalStep::Reported(Reported::Acknowledged),
                Ok(Updated::NotYet { interval }) => interval.unwrap_or(LEAST_INTERVAL),
                Err(UpdateError::ResendTrace) => return FinalStep::ResendLog,
                Err(error) => match judge(&error) {
                    Some(reported) => return FinalStep::Reported(reported),
                    None => {
                        wait = (wait * 2).min(LONGEST_RETRY);
                        pause(retry_after(&error), wait, LONGEST_RETRY)
                    }
                },
            };
            sleep(pause.min(LONGEST_RETRY)).await;
        }
    }
}

/// What the final update led to.
enum FinalStep {
    Reported(Reported),
    ResendLog,
}

/// How long to wait after a failure: as GitLab asks, else as we would. A wish for no pause at all is not heeded: asking
/// again at once would only be refused again.
fn pause(asked: Option<Duration>, own: Duration, longest: Duration) -> Duration {
    asked.unwrap_or(own).clamp(FIRST_RETRY, longest)
}

/// What an error of the final update means; `None` to try again.
fn judge(error: &UpdateError) -> Option<Reported> {
    match error {
        // The token dies with the job, so a lost answer to a report that arrived looks like this too.
        UpdateError::NotOurs(refusal) if refusal.job_status.as_ref().is_some_and(JobStatus::is_final) => {
            Some(Reported::EndedThere)
        }
        // Somebody else changed the job's record at the same time: nothing is wrong with the report.
        UpdateError::Refused(refusal) if refusal.status == 409 => None,
        UpdateError::NotOurs(_) | UpdateError::Refused(_) => Some(Reported::No(chain(error))),
        UpdateError::Later(_) | UpdateError::Transport(_) | UpdateError::ResendTrace => None,
    }
}

fn retry_after(error: &UpdateError) -> Option<Duration> {
    match error {
        UpdateError::Later(refusal) => refusal.retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use runnerless_gitlab::protocol::Refusal;

    use super::*;

    #[test]
    fn a_pause_is_what_gitlab_asks_for_and_never_nothing() {
        let secs = Duration::from_secs;
        for (asked, expected) in [(None, secs(2)), (Some(7), secs(7)), (Some(0), FIRST_RETRY), (Some(3600), secs(60))] {
            assert_eq!(pause(asked.map(secs), secs(2), secs(60)), expected, "{asked:?}");
        }
    }

    #[test]
    fn a_conflict_is_tried_again_and_other_refusals_are_not() {
        let refused = |status| {
            let refusal =
                Refusal { operation: "PUT", status, message: String::new(), retry_after: None, job_status: None };
            judge(&UpdateError::Refused(refusal))
        };
        assert_eq!(refused(409), None);
        assert!(matches!(refused(400), Some(Reported::No(_))));
    }
}
