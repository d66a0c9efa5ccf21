//! Identifiers: one type per kind, so that they cannot be swapped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The key of a job: GitLab's project id and job id.
///
/// Both are 64-bit in GitLab since 2024; gitlab.com's job ids passed 2^31 long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// GitLab's project id.
    pub project: u64,
    /// GitLab's job id (`build_id` on the wire).
    pub job: u64,
}

impl JobKey {
    /// The ledger's primary key of this job's row: `job#<project id>#<job id>`.
    #[must_use]
    pub fn pk(&self) -> String {
        format!("job#{}#{}", self.project, self.job)
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.job)
    }
}

/// A text that is no job key.
#[derive(Debug, thiserror::Error)]
#[error("a job key is written <project id>/<job id>, both positive numbers; got {0:?}")]
pub struct BadJobKey(pub String);

impl FromStr for JobKey {
    type Err = BadJobKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadJobKey(text.chars().take(80).collect());
        let (project, job) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self { project: project.parse().map_err(|_| bad())?, job: job.parse().map_err(|_| bad())? })
    }
}

impl Serialize for JobKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that we made ourselves.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One attempt to provide a runner: `l-` and 20 characters that the charging function drew at random.
    LaunchId
);
text_id!(
    /// A lane: the first 16 hex digits of SHA-256 over the engine and the sorted, unique tags (see [`crate::lane`]).
    LaneId
);

impl LaunchId {
    /// The ledger's primary key of this launch's row: `launch#<launch id>`.
    #[must_use]
    pub fn pk(&self) -> String {
        format!("launch#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_key_survives_its_text_form() {
        let key = JobKey { project: 380, job: u64::MAX };
        assert_eq!(key.to_string().parse::<JobKey>().unwrap(), key);
        assert_eq!(key.pk(), "job#380#18446744073709551615");
    }

    #[test]
    fn a_job_key_with_a_missing_or_foreign_part_is_refused() {
        for text in ["", "1", "1/", "/1", "1/2/3", "-1/2", "a/b", " 1/2"] {
            assert!(text.parse::<JobKey>().is_err(), "{text:?}");
        }
    }
}
