//! GitLab's job statuses and their order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A job's status as GitLab names it.
///
/// GitLab may add statuses; an unknown one is kept by name and never moves a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Known to the pipeline, not runnable yet.
    Created,
    /// Waiting for something other than a runner (`manual`, `scheduled`, `preparing`, `waiting_for_resource`, ...).
    Held(&'static str),
    /// Waiting for a runner.
    Pending,
    /// A runner has it.
    Running,
    /// A user cancelled it; its runner still works on after_script.
    Canceling,
    /// Over: `success`, `failed`, `canceled` or `skipped`.
    Ended(&'static str),
    /// A status that this version does not know.
    Unknown(String),
}

/// Statuses that precede `pending` and are not `created` (GitLab's CI status state machine).
const HELD: [&str; 5] = ["manual", "scheduled", "preparing", "waiting_for_resource", "waiting_for_callback"];
/// Final statuses: a retry makes a new job id, so none of them is ever left.
const ENDED: [&str; 4] = ["success", "failed", "canceled", "skipped"];

impl JobStatus {
    /// Reads GitLab's name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let named = |names: &[&'static str]| names.iter().find(|name| **name == text).copied();
        match text {
            "created" => Self::Created,
            "pending" => Self::Pending,
            "running" => Self::Running,
            "canceling" => Self::Canceling,
            _ => named(&HELD)
                .map(Self::Held)
                .or_else(|| named(&ENDED).map(Self::Ended))
                .unwrap_or_else(|| Self::Unknown(text.to_owned())),
        }
    }

    /// GitLab's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Held(name) | Self::Ended(name) => name,
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Unknown(name) => name,
        }
    }

    /// The monotonic rank: deliveries have no order, so a row's status only ever moves to a higher rank.
    ///
    /// An unknown status ranks lowest: it is recorded for a new row and moves no existing one.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Unknown(_) => 0,
            Self::Created => 1,
            Self::Held(_) => 2,
            Self::Pending => 3,
            Self::Running => 4,
            Self::Canceling => 5,
            Self::Ended(_) => 6,
        }
    }

    /// Whether this does not say that a runner ever had the job.
    #[must_use]
    pub const fn precedes_running(&self) -> bool {
        self.rank() < Self::Running.rank()
    }

    /// Whether the job is over for good.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for JobStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for JobStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives_and_unknown_names_move_nothing() {
        for name in HELD.iter().chain(&ENDED).chain(&["created", "pending", "running", "canceling", "brand_new"]) {
            assert_eq!(JobStatus::parse(name).as_str(), *name);
        }
        assert!(JobStatus::parse("brand_new").rank() < JobStatus::Created.rank());
    }

    #[test]
    fn a_life_only_climbs() {
        let life = ["created", "manual", "pending", "running", "canceling", "canceled"];
        let ranks: Vec<u8> = life.iter().map(|name| JobStatus::parse(name).rank()).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:?}");
    }
}
