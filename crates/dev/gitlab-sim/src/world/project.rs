//! Projects and pipelines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::spec::Variable;
use super::status::Status;
use crate::clock::Millis;

/// One project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Project {
    /// Its id.
    pub id: u64,
    /// `group/subgroup/project`.
    pub path: String,
    /// The namespace's id.
    pub namespace: u64,
    /// The first namespace's id.
    pub root_namespace: u64,
    /// The branch that HEAD names.
    pub default_branch: String,
    /// The bare repository.
    pub repository: PathBuf,
    /// Branches and tags that exist, with their commits.
    pub refs: BTreeMap<String, Ref>,
    /// Names of protected refs.
    pub protected: Vec<String>,
    /// The project's CI/CD variables.
    pub variables: Vec<Variable>,
    /// The commit that was imported.
    pub commit: Commit,
    /// When it was made.
    pub created_at: Millis,
    /// Number of pipelines so far.
    pub pipelines: u64,
}

/// A branch or tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ref {
    /// It is a tag.
    pub tag: bool,
    /// The commit.
    pub sha: String,
}

/// A commit, as far as hooks and variables tell of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Commit {
    /// Its id.
    pub sha: String,
    /// The commit before it.
    pub parent: Option<String>,
    /// When it was committed, in seconds since the epoch.
    pub committed_at_s: i64,
    /// Its message.
    pub message: String,
    /// Who wrote it.
    pub author_name: String,
    /// Their address.
    pub author_email: String,
}

/// One pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pipeline {
    /// Its id.
    pub id: u64,
    /// Its number in the project.
    pub iid: u64,
    /// Its project.
    pub project: u64,
    /// Branch or tag.
    pub ref_name: String,
    /// The ref is a tag.
    pub tag: bool,
    /// The ref is protected.
    pub protected: bool,
    /// The commit.
    pub sha: String,
    /// What started it: `push`, `api`, ...
    pub source: String,
    /// Its state.
    pub status: Status,
    /// When it was made.
    pub created_at: Millis,
    /// When its first job started.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub finished_at: Option<Millis>,
    /// When it last changed.
    pub updated_at: Millis,
    /// Its variables.
    pub variables: Vec<Variable>,
    /// Its jobs, retried ones included, in the order of their ids.
    pub jobs: Vec<u64>,
    /// It sends no hooks: the pipeline of a case file's job.
    pub silent: bool,
}

impl Commit {
    /// The commit before it, zeros when there is none.
    pub(crate) fn before(&self) -> String {
        self.parent.clone().unwrap_or_else(|| NO_SHA.to_owned())
    }
}

/// What GitLab writes for a commit that is not there.
const NO_SHA: &str = "0000000000000000000000000000000000000000";

impl Project {
    /// The last part of the path.
    pub(crate) fn slug(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The path without its last part.
    pub(crate) fn namespace_path(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The project's title: never its path, so that nobody takes the one for the other.
    pub(crate) fn title(&self) -> String {
        title_of(self.slug())
    }

    /// `Acme / Backend / Widget Api`.
    pub(crate) fn full_title(&self) -> String {
        self.path.split('/').map(title_of).collect::<Vec<_>>().join(" / ")
    }

    /// Whether the ref is protected.
    pub(crate) fn protects(&self, ref_name: &str) -> bool {
        self.protected.iter().any(|name| name == ref_name)
    }
}

/// `widget-api` becomes `Widget Api`.
pub(crate) fn title_of(slug: &str) -> String {
    let words = slug.split(['-', '_', '.']).filter(|word| !word.is_empty()).map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect::<Vec<String>>().join(" ")
}
