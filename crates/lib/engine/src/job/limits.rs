//! How long the parts of a job may take: the job's own timeout, the script's, and the host's.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Deadline;
use crate::duration;
use crate::log::Log;
use crate::variables::Variables;
use crate::verdict::Verdict;

/// `after_script` may take this long unless `RUNNER_AFTER_SCRIPT_TIMEOUT` says otherwise; GitLab's default.
const AFTER_SCRIPT: Duration = Duration::from_secs(5 * 60);
/// What is kept of the host's grace for ending processes that do not want to end (up to 21 s, see `stage` and `family`),
/// the last log bytes and the final update: a job whose end is not reported hangs in GitLab for an hour.
const REPORT: Duration = Duration::from_secs(30);

/// The limits of one job, in the runner's monotonic time.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    started: Instant,
    job_timeout: Duration,
    /// Set when the host's time is shorter than the job's.
    host: Option<HostLimit>,
}

#[derive(Clone, Debug)]
struct HostLimit {
    /// The script must have stopped.
    script: Instant,
    /// Everything but the report must have stopped.
    whole: Instant,
    cure: String,
    of_what: String,
}

impl Limits {
    /// The smaller of the job's timeout and what the host has left.
    pub(crate) fn new(started: Instant, job_timeout: Duration, deadline: Option<&Deadline>) -> Self {
        let host = deadline.and_then(|deadline| {
            let script = deadline.at.checked_sub(deadline.grace).unwrap_or(started).max(started);
            let report = REPORT.min(deadline.grace / 2);
            let whole = deadline.at.checked_sub(report).unwrap_or(script).max(script);
            (script < started + job_timeout).then(|| HostLimit {
                script,
                whole,
                cure: deadline.cure.clone(),
                of_what: deadline.of_what.clone(),
            })
        });
        Self { started, job_timeout, host }
    }

    /// What the script has, and of what, for the log's first line.
    pub(crate) fn sentence(&self) -> String {
        match &self.host {
            None => format!("time limit {} (the job's timeout)", duration::format(self.job_timeout)),
            Some(host) => format!(
                "time limit {}: what is left of {} (the job's own timeout is {})",
                duration::format(host.script.saturating_duration_since(self.started)),
                host.of_what,
                duration::format(self.job_timeout)
            ),
        }
    }

    /// When everything of the job ends, and how it is called.
    pub(crate) fn whole(&self) -> (Instant, Verdict) {
        match &self.host {
            None => (self.started + self.job_timeout, Verdict::JobTimeout(self.job_timeout)),
            Some(host) => (host.whole, self.host_timeout(host)),
        }
    }

    /// When the stages up to the script's end must stop, beside [`whole`](Self::whole).
    pub(crate) fn before_after_script(&self) -> Option<(Instant, Verdict)> {
        self.host.as_ref().map(|host| (host.script, self.host_timeout(host)))
    }

    fn host_timeout(&self, host: &HostLimit) -> Verdict {
        let limit = host.script.saturating_duration_since(self.started);
        Verdict::HostTimeout { limit, cure: host.cure.clone() }
    }
}

/// `RUNNER_SCRIPT_TIMEOUT`, if it is set and makes sense.
pub(crate) fn script_timeout(vars: &Variables, log: &Log) -> Option<Duration> {
    positive(vars, "RUNNER_SCRIPT_TIMEOUT", log)
}

/// `RUNNER_AFTER_SCRIPT_TIMEOUT`, or its default.
pub(crate) fn after_script_timeout(vars: &Variables, log: &Log) -> Duration {
    positive(vars, "RUNNER_AFTER_SCRIPT_TIMEOUT", log).unwrap_or(AFTER_SCRIPT)
}

fn positive(vars: &Variables, key: &str, log: &Log) -> Option<Duration> {
    let text = vars.get(key).filter(|text| !text.is_empty())?;
    let limit = duration::parse(text).filter(|limit| !limit.is_zero());
    if limit.is_none() {
        log.warn(&format!("{key} is {text:?}, which is no positive duration such as 1h30m; it is ignored"));
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(now: Instant, left: u64, grace: u64) -> Deadline {
        Deadline {
            at: now + Duration::from_secs(left),
            grace: Duration::from_secs(grace),
            of_what: "the invocation".to_owned(),
            cure: "Use a longer one.".to_owned(),
        }
    }

    #[test]
    fn the_smaller_limit_counts_and_is_named() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        let alone = Limits::new(now, hour, None);
        assert_eq!(alone.whole(), (now + hour, Verdict::JobTimeout(hour)));
        assert!(alone.before_after_script().is_none() && alone.sentence().contains("1h0m0s"));

        let short = Limits::new(now, hour, Some(&deadline(now, 900, 60)));
        let (at, verdict) = short.before_after_script().unwrap();
        assert_eq!(at, now + Duration::from_secs(840));
        assert!(matches!(verdict, Verdict::HostTimeout { limit, .. } if limit == Duration::from_secs(840)));
        assert_eq!(short.whole().0, now + Duration::from_secs(870));
        assert!(short.sentence().contains("14m0s") && short.sentence().contains("1h0m0s"), "{}", short.sentence());

        let long = Limits::new(now, Duration::from_secs(60), Some(&deadline(now, 900, 60)));
        assert!(long.before_after_script().is_none());
    }

    #[test]
    fn a_host_without_time_leaves_none() {
        let now = Instant::now();
        let limits = Limits::new(now, Duration::from_secs(60), Some(&deadline(now, 5, 60)));
        assert_eq!(limits.before_after_script().unwrap().0, now);
    }
}
