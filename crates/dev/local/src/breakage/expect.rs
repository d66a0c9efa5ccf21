//! What is stated beforehand to come of a case.

use std::time::Duration;

use serde_json::{Value, json};

/// Who puts it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healer {
    /// Nothing had to be: the job is served all the same.
    Nobody,
    /// GitLab's person sends the delivery again.
    Resend,
    /// The workflow repeats its step.
    Workflow,
    /// The terminator, told by Lambda.
    Terminator,
    /// The sweep.
    Sweep,
    /// The runner itself.
    Runner,
    /// GitLab's own rule for silent jobs.
    GitLab,
}

impl Healer {
    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Resend => "resend",
            Self::Workflow => "workflow",
            Self::Terminator => "terminator",
            Self::Sweep => "sweep",
            Self::Runner => "runner",
            Self::GitLab => "gitlab",
        }
    }
}

/// What is stated beforehand.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Whether GitLab's hook gets a 2xx (else a 5xx), always within its ten seconds.
    pub taken: bool,
    /// The state of the job's row once the fault has struck; `nothing` when there is none.
    pub stored: &'static str,
    /// Who puts it right.
    pub healed_by: Healer,
    /// Within which time after the fault is over.
    pub within: Duration,
    /// The job's end, with GitLab's failure reason.
    pub job: (&'static str, Option<&'static str>),
    /// Launches that were charged to it.
    pub attempts: u64,
    /// How often its script ran.
    pub runs: usize,
    /// A metric that is counted about it.
    pub metric: Option<&'static str>,
    /// Whether the job's row is done with in the end: its launch was settled.
    pub retired: bool,
}

impl Expect {
    /// For the line.
    #[must_use]
    pub fn view(&self) -> Value {
        json!({
            "answered": if self.taken { "2xx" } else { "5xx" },
            "stored": self.stored,
            "healed_by": self.healed_by.name(),
            "within_s": self.within.as_secs(),
            "job": ended(self.job.0, self.job.1),
            "launches": self.attempts,
            "runs": self.runs,
            "metric": self.metric,
            "retired": self.retired,
        })
    }
}

/// A job's end in one word or two.
#[must_use]
pub fn ended(status: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| status.to_owned(), |reason| format!("{status}: {reason}"))
}
