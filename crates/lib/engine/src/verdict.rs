//! How a job ended: the state, the reason and the code that GitLab gets, and the last line of the log.

use std::time::Duration;

use runnerless_gitlab::protocol::UpdateState;

use crate::duration;
use crate::log::Log;

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every step went well.
    Success,
    /// A command failed with this exit code.
    Exit(i32),
    /// The shell was ended by this signal, not sent by us.
    Signal(i32),
    /// The job's own timeout.
    JobTimeout(Duration),
    /// `RUNNER_SCRIPT_TIMEOUT`.
    ScriptTimeout(Duration),
    /// The host's time was over before the job's.
    HostTimeout {
        /// What the job had.
        limit: Duration,
        /// What its owner can do.
        cure: String,
    },
    /// A user cancelled it.
    Canceled,
    /// GitLab ended it and wants to hear nothing more.
    Over,
    /// The runner was told to end.
    Stopped,
    /// The runner failed, not the job.
    System(String),
    /// This runner is not made for such a job.
    Configuration(String),
}

impl Verdict {
    /// The state to report.
    #[must_use]
    pub fn state(&self) -> UpdateState {
        if *self == Self::Success { UpdateState::Success } else { UpdateState::Failed }
    }

    /// The exit code to report; none for 0 and where there is none. GitLab runners report -1 for a shell that a signal
    /// ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Exit(code) => Some(*code),
            Self::Signal(_) => Some(-1),
            _ => None,
        }
    }

    /// The failure reason in a word that a GitLab with these `failure_reasons` understands.
    #[must_use]
    pub fn reason(&self, understood: &[String]) -> Option<&'static str> {
        let reason = match self {
            Self::Success => return None,
            Self::Exit(_) | Self::Signal(_) => "script_failure",
            Self::JobTimeout(_) | Self::ScriptTimeout(_) | Self::HostTimeout { .. } => "job_execution_timeout",
            Self::Canceled => "job_canceled",
            Self::Over | Self::Stopped | Self::System(_) => "runner_system_failure",
            Self::Configuration(_) => "runner_configuration_error",
        };
        Some(wire_reason(reason, understood))
    }

    /// `CI_JOB_STATUS` for `after_script`.
    #[must_use]
    pub(crate) fn job_status(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Canceled => "canceled",
            Self::JobTimeout(_) | Self::ScriptTimeout(_) | Self::HostTimeout { .. } => "timedout",
            _ => "failed",
        }
    }

    /// Whether `after_script`, and what else follows a script, still runs.
    #[must_use]
    pub(crate) fn lets_after_script_run(&self) -> bool {
        !matches!(self, Self::JobTimeout(_) | Self::Over | Self::Stopped | Self::System(_))
    }

    /// How a shell ended that nobody ended, with the colon before it; nothing of another verdict.
    pub(crate) fn after_colon(&self) -> String {
        match self {
            Self::Exit(code) => format!(": exit status {code}"),
            Self::Signal(signal) => format!(": the shell was ended by signal {signal}"),
            _ => String::new(),
        }
    }

    /// Writes the log's last line.
    pub(crate) fn write(&self, log: &Log) {
        match self {
            Self::Success => log.succeeded(),
            Self::Exit(_) | Self::Signal(_) => log.failed(&format!("Job failed{}", self.after_colon())),
            Self::JobTimeout(limit) => {
                log.failed(&format!("Job failed: execution took longer than {} seconds", duration::format(*limit)));
            }
            Self::ScriptTimeout(limit) => {
                log.failed(&format!("Job failed: script timeout: took longer than {}", duration::format(*limit)));
            }
            Self::HostTimeout { limit, cure } => {
                log.failed(&format!(
                    "Job failed: took longer than the {} that it had. {cure}",
                    duration::format(*limit)
                ));
            }
            Self::Canceled => log.failed("Job failed: canceled"),
            Self::Over => {}
            Self::Stopped => log.failed("Job failed (system failure): the runner was told to end"),
            Self::System(what) => log.failed(&format!("Job failed (system failure): {what}")),
            Self::Configuration(what) => log.failed(&format!("Job failed: {what}")),
        }
    }
}

/// Maps a reason that this GitLab does not list to the nearest one that every GitLab knows.
fn wire_reason(reason: &'static str, understood: &[String]) -> &'static str {
    let always = ["script_failure", "runner_system_failure", "job_execution_timeout"];
    if always.contains(&reason) || understood.iter().any(|listed| listed == reason) {
        return reason;
    }
    match reason {
        "runner_configuration_error" => "script_failure",
        _ => "unknown_failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_that_the_server_lists() {
        let all = ["runner_configuration_error".to_owned(), "unknown_failure".to_owned()];
        let configuration = Verdict::Configuration("x".to_owned());
        assert_eq!(configuration.reason(&all), Some("runner_configuration_error"));
        assert_eq!(configuration.reason(&[]), Some("script_failure"));
        assert_eq!(Verdict::Canceled.reason(&all), Some("unknown_failure"));
        assert_eq!(Verdict::Canceled.reason(&["job_canceled".to_owned()]), Some("job_canceled"));
        assert_eq!(Verdict::Stopped.reason(&[]), Some("runner_system_failure"));
        assert_eq!(Verdict::Success.reason(&all), None);
    }

    #[test]
    fn only_exit_codes_are_reported() {
        assert_eq!(Verdict::Exit(42).exit_code(), Some(42));
        assert_eq!(Verdict::Signal(9).exit_code(), Some(-1));
        assert_eq!(Verdict::JobTimeout(Duration::ZERO).exit_code(), None);
        assert_eq!(Verdict::Success.exit_code(), None);
    }
}
