//! Web hooks and their deliveries.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::status::Status;
use crate::clock::Millis;

/// One project hook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hook {
    /// Its id.
    pub id: u64,
    /// Its project.
    pub project: u64,
    /// Where it goes.
    pub url: String,
    /// `X-Gitlab-Token`.
    pub token: Option<String>,
    /// Signing token, `whsec_...`.
    pub signing_token: Option<String>,
    /// Job events are sent.
    pub job_events: bool,
    /// The receiver's certificate is checked.
    pub verify_tls: bool,
    /// Replaces `Host`; only the control interface sets it.
    pub host_header: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// Failures without a success between them.
    pub failures: u32,
    /// Nothing is sent before that time.
    pub disabled_until: Option<Millis>,
    /// Nothing is sent until a test went well.
    pub disabled: bool,
}

impl Hook {
    /// GitLab's `alert_status`.
    pub(crate) fn alert_status(&self, now: Millis) -> &'static str {
        if self.disabled {
            "disabled"
        } else if self.disabled_until.is_some_and(|until| until > now) {
            "temporarily_disabled"
        } else {
            "executable"
        }
    }

    /// Whether messages may leave.
    pub(crate) fn is_executable(&self, now: Millis) -> bool {
        self.alert_status(now) == "executable"
    }
}

/// One attempt to deliver one message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Its id.
    pub id: u64,
    /// The hook.
    pub hook: u64,
    /// The project.
    pub project: u64,
    /// The pipeline.
    pub pipeline: u64,
    /// The job.
    pub job: u64,
    /// The state that the message tells of.
    pub status: Status,
    /// `webhook-id` and `Idempotency-Key`: the same for every attempt.
    pub message: String,
    /// `X-Gitlab-Event-UUID`.
    pub event_uuid: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// A person tries the hook: it is sent whether the hook is disabled or not.
    pub test: bool,
    /// What became of it.
    pub state: DeliveryState,
    /// When the request left.
    pub sent_at: Option<Millis>,
    /// When the answer came, or the failure.
    pub answered_at: Option<Millis>,
    /// The answer's status.
    pub answer: Option<u16>,
    /// Why there is none.
    pub error: Option<String>,
    /// The pause before it leaves, in milliseconds.
    pub pause_ms: u64,
    /// Whether chance made it late, see [`Drawn`].
    #[serde(default)]
    pub late: bool,
    /// The exact bytes.
    pub body: String,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    /// It waits for its turn, or for `hooks/release`.
    Waiting,
    /// It is under way.
    Sending,
    /// It was answered with 2xx or 3xx.
    Done,
    /// It was answered otherwise, or not at all.
    Failed,
    /// A fault made it vanish.
    Lost,
    /// The hook is disabled.
    Disabled,
    /// The namespace sent too many in this minute.
    RateLimited,
}

impl DeliveryState {
    /// Whether nothing more happens to it by itself.
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Sending)
    }
}

/// Faults of deliveries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HookFaults {
    /// So many deliveries vanish.
    pub lost: u64,
    /// Only deliveries of this job state vanish; all when absent.
    pub lost_status: Option<String>,
    /// Every delivery is sent twice.
    pub double: bool,
    /// Deliveries leave after a random pause, and so in a random order.
    pub shuffle: bool,
    /// The longest such pause, in milliseconds; two seconds when it is 0.
    pub shuffle_ms: u64,
    /// `created` is sent after the job's next event.
    pub created_after_pending: bool,
    /// Nothing is sent until `hooks/release`.
    pub hold: bool,
    /// What chance does to each delivery; nothing when absent.
    pub drawn: Option<Drawn>,
}

/// Chance that disturbs deliveries. What becomes of one depends on the seed, its job and the job's state alone, so the
/// same seed disturbs the same ones, in whatever order they are made. At most one thing happens to each.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Drawn {
    /// What it is drawn from.
    pub seed: u64,
    /// How many of a hundred vanish, and GitLab takes them for delivered.
    pub lost: u8,
    /// How many of a hundred are sent twice.
    pub doubled: u8,
    /// How many of a hundred leave late, after others that were made later.
    pub late: u8,
    /// How late, in milliseconds.
    pub late_ms: u64,
}

/// What chance does to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Undisturbed,
    /// It vanishes.
    Lost,
    /// It is sent twice.
    Doubled,
    /// It leaves late.
    Late,
}

impl Drawn {
    /// What becomes of the delivery of this state of this job.
    pub(crate) fn fate(&self, job: u64, status: Status) -> Fate {
        let digest = Sha256::digest(format!("{}/{job}/{}", self.seed, status.as_str()));
        let drawn = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) % 100;
        let up_to = |shares: &[u8]| drawn < shares.iter().map(|share| u64::from(*share)).sum();
        if up_to(&[self.lost]) {
            Fate::Lost
        } else if up_to(&[self.lost, self.doubled]) {
            Fate::Doubled
        } else if up_to(&[self.lost, self.doubled, self.late]) {
            Fate::Late
        } else {
            Fate::Undisturbed
        }
    }
}

/// What is done to the deliveries of one state of one job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookRule {
    /// The job.
    pub job: u64,
    /// The state that is told.
    pub status: String,
    /// `lose`, `double`, or `late:MS`: it leaves so many milliseconds late.
    #[serde(rename = "do")]
    pub deed: String,
    /// By which `DELETE faults?name=` forgets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many deliveries it was done to.
    #[serde(default)]
    pub hits: u64,
}

impl HookRule {
    /// What is done, and how late it leaves (ms) where that is it.
    pub(crate) fn fate(&self) -> Result<(Fate, u64), String> {
        match self.deed.split_once(':') {
            None if self.deed == "lose" => Ok((Fate::Lost, 0)),
            None if self.deed == "double" => Ok((Fate::Doubled, 0)),
            Some(("late", ms)) => {
                let ms = ms.parse().map_err(|_| format!("do {:?}: wants late:<milliseconds>", self.deed))?;
                Ok((Fate::Late, ms))
            }
            _ => Err(format!("do {:?} is not known: lose, double, late:MS", self.deed)),
        }
    }
}

/// Deliveries that are kept back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Until they are released.
    pub all: VecDeque<u64>,
    /// `created` deliveries, until a later one of the same job was answered.
    pub created: Vec<u64>,
}

/// Whether a transition to that state is told to hooks (contract, section 1.5): never manual, scheduled,
/// waiting for a resource, canceling or skipped.
pub(crate) fn is_told(status: Status) -> bool {
    matches!(
        status,
        Status::Created | Status::Pending | Status::Running | Status::Success | Status::Failed | Status::Canceled
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_takes_its_shares_and_the_same_ones_each_time() {
        let drawn = Drawn { seed: 7, lost: 20, doubled: 20, late: 10, late_ms: 1 };
        let fates = |drawn: Drawn| (1..=5000).map(|job| drawn.fate(job, Status::Pending)).collect::<Vec<_>>();
        let all = fates(drawn);
        let share = |fate| all.iter().filter(|one| **one == fate).count();
        for (fate, percent) in [(Fate::Lost, 20), (Fate::Doubled, 20), (Fate::Late, 10), (Fate::Undisturbed, 50)] {
            let (least, most) = (50 * percent * 9 / 10, 50 * percent * 11 / 10);
            assert!((least..=most).contains(&share(fate)), "{fate:?}: {}", share(fate));
        }
        assert_eq!(all, fates(drawn));
        assert_ne!(all, fates(Drawn { seed: 8, ..drawn }));
        assert_ne!(all, (1..=5000).map(|job| drawn.fate(job, Status::Running)).collect::<Vec<_>>());
        assert!(fates(Drawn::default()).iter().all(|fate| *fate == Fate::Undisturbed));
    }
}
