//! Runners and their managers.

use std::collections::BTreeMap;

use runnerless_core::lane::TagSet;
use runnerless_core::time::Timestamp;

use super::job::Job;
use super::{GitLab, draw};

/// Whose runner it is; GitLab does not care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerKind {
    /// A lane's.
    Ours,
    /// Somebody else's, which takes jobs when a [`super::Step::Foreign`] says so.
    Foreign,
    /// A pool's, as which its runner managers ask.
    Pool,
    /// One of ours that is made for one launch alone.
    Launchs,
}

/// A runner to be made.
#[derive(Clone, Debug)]
pub struct RunnerSpec {
    /// Whose.
    pub kind: RunnerKind,
    /// Its tags.
    pub tags: TagSet,
    /// Whether it takes jobs without tags.
    pub run_untagged: bool,
    /// Whether it takes jobs of protected refs only.
    pub ref_protected: bool,
}

/// A runner.
#[derive(Clone, Debug)]
pub struct Runner {
    /// What it was made as.
    pub spec: RunnerSpec,
    /// What lists call it.
    pub description: String,
    /// `glrt-...`; the only one that is accepted.
    pub token: String,
    /// Takes nothing.
    pub paused: bool,
    /// Its last contact.
    pub contacted_at: Option<Timestamp>,
    /// Its managers, by system id.
    pub managers: BTreeMap<String, Manager>,
}

/// One machine (or whatever calls itself so) of a runner.
#[derive(Clone, Copy, Debug)]
pub struct Manager {
    /// Its first contact.
    pub created_at: Timestamp,
    /// Its last contact.
    pub contacted_at: Timestamp,
}

/// The answer to `runners/verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The token is that of the runner with this id.
    Runner(u64),
    /// 403.
    Refused,
}

impl Runner {
    /// Whether it may have the job.
    pub(super) fn may_have(&self, job: &Job, protected: bool) -> bool {
        !self.paused && self.fits(job, protected)
    }

    /// Tags, untagged jobs and protection: the job's tags are a subset of the runner's.
    pub(super) fn fits(&self, job: &Job, protected: bool) -> bool {
        let spec = &self.spec;
        (spec.run_untagged || !job.spec.tags.is_empty())
            && spec.tags.covers(&job.spec.tags)
            && (protected || !spec.ref_protected)
    }
}

impl GitLab {
    /// Makes a runner; its id. [`Self::runner`] has its token.
    pub fn add_runner(&mut self, spec: RunnerSpec) -> u64 {
        self.make_runner(spec, "a runner").0
    }

    /// `POST user/runners`: makes a runner of this name; its id and its token, which is told once. Asked twice it makes two.
    pub fn make_runner(&mut self, spec: RunnerSpec, description: &str) -> (u64, String) {
        let id = draw(&mut self.next.runner);
        let token = self.new_token();
        let runner = Runner {
            spec,
            description: description.to_owned(),
            token: token.clone(),
            paused: false,
            contacted_at: None,
            managers: BTreeMap::new(),
        };
        self.runners.insert(id, runner);
        (id, token)
    }

    /// A runner.
    #[must_use]
    pub fn runner(&self, id: u64) -> Option<&Runner> {
        self.runners.get(&id)
    }

    /// All runners.
    pub fn runners(&self) -> impl Iterator<Item = (u64, &Runner)> {
        self.runners.iter().map(|(id, runner)| (*id, runner))
    }

    /// Replaces a runner's token: the old one is refused from now on. The new one.
    pub fn reset_token(&mut self, id: u64) -> Option<String> {
        let token = self.new_token();
        self.runners.get_mut(&id)?.token.clone_from(&token);
        Some(token)
    }

    /// Pauses a runner or lets it work again.
    pub fn pause(&mut self, id: u64, paused: bool) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.paused = paused;
        }
    }

    /// `POST runners/verify`: the runner is online from now on.
    pub fn verify(&mut self, token: &str, system_id: Option<&str>, now: Timestamp) -> Verified {
        let Some(id) = self.runner_of(token) else { return Verified::Refused };
        self.contact(id, system_id.unwrap_or("<legacy>"), now);
        Verified::Runner(id)
    }

    /// `DELETE runners/managers`. `None` when the token is refused, else whether there was such a manager.
    pub fn forget_manager(&mut self, token: &str, system_id: &str) -> Option<bool> {
        let id = self.runner_of(token)?;
        Some(self.runners.get_mut(&id)?.managers.remove(system_id).is_some())
    }

    /// `DELETE runners`: the runner of this token goes, with its managers. Its id; `None` when the token is refused.
    pub fn delete_runner(&mut self, token: &str) -> Option<u64> {
        let id = self.runner_of(token)?;
        self.runners.remove(&id);
        Some(id)
    }

    /// Whose token it is.
    #[must_use]
    pub fn runner_of(&self, token: &str) -> Option<u64> {
        self.runners.iter().find(|(_, runner)| runner.token == token).map(|(id, _)| *id)
    }

    pub(super) fn contact(&mut self, id: u64, system_id: &str, now: Timestamp) {
        let Some(runner) = self.runners.get_mut(&id) else { return };
        runner.contacted_at = Some(now);
        match runner.managers.get_mut(system_id) {
            Some(manager) => manager.contacted_at = now,
            None => {
                runner.managers.insert(system_id.to_owned(), Manager { created_at: now, contacted_at: now });
            }
        }
    }

    fn new_token(&mut self) -> String {
        format!("glrt-t1_{:032x}", self.rng.u128(..))
    }
}
