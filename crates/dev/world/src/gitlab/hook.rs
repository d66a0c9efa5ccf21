//! Hooks: what GitLab sends, and when it stops sending.

use runnerless_core::id::JobKey;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

use super::job::Status;
use super::rules::{DISABLED_AT, LONGEST_PAUSE, PAUSED_AT};
use super::{GitLab, draw};

/// One message of a project's hook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The job.
    pub job: JobKey,
    /// The status that it tells of.
    pub status: JobStatus,
    /// When it leaves GitLab; never before the moment it was taken, seconds later for `created`.
    pub at: Timestamp,
    /// `webhook-id` and `Idempotency-Key`: the same whenever this message is sent.
    pub message: String,
    /// The exact bytes.
    pub body: Vec<u8>,
}

/// GitLab's `alert_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertStatus {
    /// Messages leave.
    Executable,
    /// None leaves for a while.
    TemporarilyDisabled,
    /// None leaves until somebody tests the hook.
    Disabled,
}

impl AlertStatus {
    /// GitLab's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executable => "executable",
            Self::TemporarilyDisabled => "temporarily_disabled",
            Self::Disabled => "disabled",
        }
    }
}

/// A project's hook as the hooks API shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookState {
    /// Whether messages leave.
    pub alert_status: AlertStatus,
    /// When they leave again.
    pub disabled_until: Option<Timestamp>,
}

impl GitLab {
    /// The messages that came up since the last call, in the order in which GitLab's workers got them. Nothing promises
    /// that they arrive so.
    pub fn take_hooks(&mut self) -> Vec<Hook> {
        std::mem::take(&mut self.hooks)
    }

    /// Whether a message of this project leaves now: GitLab drops those of a disabled hook without a word.
    #[must_use]
    pub fn hook_leaves(&self, project: u64, now: Timestamp) -> bool {
        self.hook(project, now).is_some_and(|hook| hook.alert_status == AlertStatus::Executable)
    }

    /// Notes how a delivery ended: 2xx and 3xx count as success, everything else as a failure. GitLab does not repeat it.
    pub fn hook_answered(&mut self, project: u64, ok: bool, now: Timestamp) {
        let rules = self.rules;
        let Some(project) = self.projects.get_mut(&project) else { return };
        project.failures = if ok { 0 } else { project.failures.saturating_add(1) };
        let pause = pause_after(project.failures, rules.first_pause).filter(|_| rules.auto_disable);
        project.paused_until = pause.map(|length| now + length);
    }

    /// Somebody presses "Test", and it goes well: the hook works again.
    pub fn hook_tested(&mut self, project: u64) {
        if let Some(project) = self.projects.get_mut(&project) {
            project.failures = 0;
            project.paused_until = None;
        }
    }

    /// The project's hook; `None` when there is no such project.
    #[must_use]
    pub fn hook(&self, project: u64, now: Timestamp) -> Option<HookState> {
        let project = self.projects.get(&project)?;
        let disabled_until = project.paused_until.filter(|until| *until > now);
        let alert_status = if self.rules.auto_disable && project.failures >= DISABLED_AT {
            AlertStatus::Disabled
        } else if disabled_until.is_some() {
            AlertStatus::TemporarilyDisabled
        } else {
            AlertStatus::Executable
        };
        Some(HookState { alert_status, disabled_until })
    }

    /// Writes the message about a job's new state, if hooks are told of such states: never of `canceling` and `skipped`.
    pub(super) fn tell(&mut self, id: u64, status: Status, at: Timestamp) {
        if matches!(status, Status::Canceling | Status::Skipped) {
            return;
        }
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(body) = super::payload::job_event(self, job, status, at) else { return };
        let key = job.key;
        let number = draw(&mut self.next.message);
        let random = self.rng.u64(..);
        let message = format!("{:08x}-0000-4000-8000-{:012x}", random >> 32, number);
        self.hooks.push(Hook { job: key, status: status.told(), at, message, body: body.into_bytes() });
    }
}

/// How long a hook with so many failures in a row is left alone: from the fourth on, doubling, a day at most.
fn pause_after(failures: u32, first: Millis) -> Option<Millis> {
    let doublings = failures.checked_sub(PAUSED_AT)?;
    let factor = 1_i64.checked_shl(doublings.min(40)).unwrap_or(i64::MAX);
    Some(Millis(first.0.saturating_mul(factor)).min(LONGEST_PAUSE))
}
