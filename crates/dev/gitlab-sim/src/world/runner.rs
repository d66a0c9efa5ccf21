//! Runners and their managers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Millis;

/// Where a runner's jobs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RunnerType {
    /// Every project.
    Instance,
    /// The projects below a group.
    Group,
    /// Some projects.
    Project,
}

impl RunnerType {
    /// GitLab's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance_type",
            Self::Group => "group_type",
            Self::Project => "project_type",
        }
    }

    /// Reads GitLab's word.
    pub(crate) fn from_wire(text: &str) -> Option<Self> {
        [Self::Instance, Self::Group, Self::Project].into_iter().find(|kind| kind.as_str() == text)
    }

    /// What newer tokens carry after `glrt-`.
    pub(crate) fn token_mark(self) -> &'static str {
        match self {
            Self::Instance => "t1_",
            Self::Group => "t2_",
            Self::Project => "t3_",
        }
    }
}

/// One runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Runner {
    /// Its id.
    pub id: u64,
    /// Its authentication token.
    pub token: String,
    /// Its scope.
    pub kind: RunnerType,
    /// The group, for group runners.
    pub group: Option<u64>,
    /// The projects, for project runners.
    pub projects: Vec<u64>,
    /// Its name.
    pub description: String,
    /// A note to people.
    pub maintenance_note: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Takes jobs without tags.
    pub run_untagged: bool,
    /// Takes jobs of protected refs only.
    pub ref_protected: bool,
    /// Takes nothing.
    pub paused: bool,
    /// May not be given to another project.
    pub locked: bool,
    /// Upper bound for a job's timeout, in seconds.
    pub maximum_timeout: Option<u64>,
    /// When it was made.
    pub created_at: Millis,
    /// When one of its machines last called.
    pub contacted_at: Option<Millis>,
    /// Machines by system id.
    pub managers: BTreeMap<String, Manager>,
}

/// One machine of a runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manager {
    /// Its id.
    pub id: u64,
    /// What it is called; `<legacy>` when it does not say.
    pub system_id: String,
    /// What it last said about itself, `features` apart.
    pub info: Map<String, Value>,
    /// The features that GitLab believes it has; written rarely, see [`crate::moves::contact`].
    pub features: Map<String, Value>,
    /// When `features` was written.
    pub features_at: Millis,
    /// When it was first seen.
    pub created_at: Millis,
    /// When it last called.
    pub contacted_at: Millis,
}
