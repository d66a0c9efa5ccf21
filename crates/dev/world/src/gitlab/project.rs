//! Projects, each with one hook.

use super::{GitLab, draw};
use runnerless_core::time::Timestamp;

/// A project.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// `acme/backend/widgets`.
    pub(super) path: String,
    /// Failures of its hook in a row.
    pub(super) failures: u32,
    /// Nothing is sent before that time.
    pub(super) paused_until: Option<Timestamp>,
    /// The end of each of its job events: it is the same text in all of them.
    pub(super) tail: String,
}

impl GitLab {
    /// Makes a project whose hook sends job events; its id.
    pub fn add_project(&mut self, path: &str) -> u64 {
        let id = draw(&mut self.next.project);
        let tail = super::payload::tail(id, path);
        self.projects.insert(id, Project { path: path.to_owned(), failures: 0, paused_until: None, tail });
        id
    }

    /// The ids of all projects.
    pub fn projects(&self) -> impl Iterator<Item = u64> {
        self.projects.keys().copied()
    }

    /// A project's full path.
    #[must_use]
    pub fn path_of(&self, project: u64) -> Option<&str> {
        self.projects.get(&project).map(|project| project.path.as_str())
    }
}
