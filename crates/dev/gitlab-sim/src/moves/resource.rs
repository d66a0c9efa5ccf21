//! `resource_group`: of its jobs one at a time waits for a runner or is in one's hands.
//!
//! As GitLab's process mode `unordered`, its default: whoever waits longest goes on when the one before it has ended.

use crate::world::World;
use crate::world::job::Job;
use crate::world::status::Status;

impl World {
    /// A job's turn has come: it waits for a runner, or first for its resource group.
    pub(crate) fn queue_up(&mut self, id: u64) {
        let is_taken = self.group_of(id).is_some_and(|group| self.any_of(&group, Status::Pending).is_some());
        self.enter(id, if is_taken { Status::WaitingForResource } else { Status::Pending });
    }

    /// A job has ended: the next one of its resource group goes on.
    pub(super) fn release(&mut self, id: u64) {
        let Some(group) = self.group_of(id) else { return };
        if self.any_of(&group, Status::Pending).is_some() {
            return;
        }
        if let Some(next) = self.any_of(&group, Status::WaitingForResource) {
            self.enter(next, Status::Pending);
        }
    }

    fn group_of(&self, id: u64) -> Option<Group> {
        let job = self.jobs.get(&id)?;
        Some(Group { project: job.project, key: self.resource_group(job)? })
    }

    /// The oldest job of a group that is in this state; for `Pending` also one in a runner's hands.
    fn any_of(&self, group: &Group, status: Status) -> Option<u64> {
        let is_there = |job: &&Job| job.status == status || (status == Status::Pending && job.status.is_executing());
        let mut of_project = self.jobs.values().filter(|job| job.project == group.project);
        let found =
            of_project.find(|job| is_there(job) && self.resource_group(job).as_deref() == Some(group.key.as_str()));
        found.map(|job| job.id)
    }
}

/// A resource group of a project.
struct Group {
    project: u64,
    key: String,
}
