//! What is asked of the stack, and how it is disturbed, drawn from one seed: projects, their pipelines and jobs, when each
//! pipeline begins, which events the bus refuses, and in the middle of what the sweeps are killed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::dice::Dice;
use crate::pipelines::expect::{Expect, JobExpect, Status};

/// The lane of the jobs with a tag.
pub(super) const TAG: &str = "storm";
/// From this many jobs on a project has two pipelines of the same size instead of one.
const TWO_PIPELINES: usize = 16;
/// Jobs that a project has when there are many.
const PER_PROJECT: usize = 20;
/// The pipelines begin within this time for each job that there is.
const SPREAD_MS: u64 = 600;
/// Of a hundred events so many are refused by the bus.
const REFUSED: usize = 5;

/// One storm's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) projects: Vec<Project>,
    /// In the order of their beginnings.
    pub(super) pipelines: Vec<Pipeline>,
    /// Which calls of ingest to the bus are refused, counted from 1.
    pub(super) refused: Vec<u64>,
    /// In the middle of which call, counted from the sweep's beginning, each of two sweeps is killed.
    pub(super) kills: [u64; 2],
}

/// One project, with one pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) path: String,
    sizes: Sizes,
}

/// How many jobs of each kind a pipeline has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    /// Without tags: the default route's.
    plain: usize,
    /// With the tag: the mapping's.
    tagged: usize,
    /// Each after one of the plain ones.
    after: usize,
    /// They fail.
    failing: usize,
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pipeline {
    /// The index of its project.
    pub(super) project: usize,
    /// When it begins, after the storm's beginning.
    pub(super) at: Duration,
}

impl Plan {
    /// The plan of this seed, with so many jobs.
    pub(super) fn new(seed: u64, jobs: usize) -> Self {
        let mut dice = Dice::new(seed, 0);
        let count = (jobs / PER_PROJECT).max(2).min(jobs.max(1));
        let quotas = (0..count).map(|index| jobs / count + usize::from(index < jobs % count));
        let (mut projects, mut pipelines) = (Vec::new(), Vec::new());
        for (index, quota) in quotas.enumerate() {
            let twice = quota >= TWO_PIPELINES && quota % 2 == 0;
            let sizes = Sizes::of(if twice { quota / 2 } else { quota });
            projects.push(Project { path: format!("storm/project-{}", index + 1), sizes });
            let times = if twice { 2 } else { 1 };
            pipelines.extend((0..times).map(|_| {
                let at = Duration::from_millis(dice.number(0..(jobs as u64 * SPREAD_MS).max(1)));
                Pipeline { project: index, at }
            }));
        }
        pipelines.sort_by_key(|pipeline: &Pipeline| pipeline.at);
        // A job has two events; those of lost hooks never come, so the later ones may not be reached.
        let mut refused: Vec<u64> =
            (0..(jobs * 2 * REFUSED / 100).max(1)).map(|_| dice.number(1..2 * jobs as u64)).collect();
        refused.sort_unstable();
        refused.dedup();
        let kills = [dice.number(4..24), dice.number(12..32)];
        Self { projects, pipelines, refused, kills }
    }

    /// How many jobs there are.
    #[cfg(test)]
    fn jobs(&self) -> usize {
        self.pipelines.iter().map(|pipeline| self.projects[pipeline.project].sizes.jobs()).sum()
    }
}

impl Sizes {
    fn of(jobs: usize) -> Self {
        let (tagged, after, failing) = (jobs / 3, jobs / 5, jobs / 8);
        Self { plain: jobs - tagged - after - failing, tagged, after, failing }
    }

    #[cfg(test)]
    fn jobs(self) -> usize {
        self.plain + self.tagged + self.after + self.failing
    }
}

impl Project {
    /// The name of its jobs with the tag; several of one name, so that one row of the mapping is for them all.
    pub(super) fn tagged(&self) -> String {
        format!("{}-tagged", self.path.replace('/', "-"))
    }

    /// Its `.gitlab-ci.yml`.
    pub(super) fn file(&self) -> String {
        let Sizes { plain, tagged, after, failing } = self.sizes;
        let mut text = "variables: {GIT_STRATEGY: none}\nstages: [build, test]\n".to_owned();
        let mut add = |job: String| {
            // Writing to a String cannot fail.
            let _ = text.write_str(&job);
        };
        for index in 1..=plain {
            add(format!("plain-{index}:\n  stage: build\n  script: ['echo plain', 'sleep 1']\n"));
        }
        if tagged > 0 {
            let (name, tag) = (self.tagged(), TAG);
            let many = if tagged > 1 { format!("  parallel: {tagged}\n") } else { String::new() };
            add(format!("{name}:\n  stage: build\n  tags: [{tag}]\n{many}  script: ['echo tagged']\n"));
        }
        for index in 1..=after {
            add(format!("after-{index}:\n  stage: test\n  needs: [plain-{index}]\n  script: ['echo after']\n"));
        }
        for index in 1..=failing {
            add(format!("failing-{index}:\n  stage: test\n  needs: []\n  allow_failure: true\n  script: ['exit 3']\n"));
        }
        text
    }

    /// What is expected of its jobs.
    pub(super) fn expect(&self) -> Expect {
        let failed = JobExpect { status: Some(Status::Failed), exit_code: Some(3), ..JobExpect::default() };
        let jobs = (1..=self.sizes.failing).map(|index| (format!("failing-{index}"), failed.clone()));
        Expect { jobs: jobs.collect::<BTreeMap<_, _>>() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_jobs_as_were_asked_for() {
        for jobs in [1, 2, 3, 5, 12, 33, 40, 100, 101, 250] {
            let storm = Plan::new(7, jobs);
            assert_eq!(storm.jobs(), jobs);
            assert!(storm.projects.iter().all(|project| project.sizes.after <= project.sizes.plain));
        }
        assert_eq!((Plan::new(7, 100).projects.len(), Plan::new(7, 100).pipelines.len()), (5, 10));
    }

    #[test]
    fn a_seed_is_one_storm() {
        assert_eq!(Plan::new(7, 100), Plan::new(7, 100));
        assert_ne!(Plan::new(7, 100), Plan::new(8, 100));
    }
}
