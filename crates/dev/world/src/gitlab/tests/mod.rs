//! GitLab's rules, one by one.

mod ends;
mod hooks;
mod judging;
mod load;
mod offers;

use fastrand::Rng;
use runnerless_core::id::JobKey;
use runnerless_core::lane::TagSet;
use runnerless_core::time::{Millis, Timestamp};

use super::*;

pub(super) const START: Timestamp = Timestamp(1_789_373_730_000);

/// A GitLab with one project and one runner of ours.
pub(super) struct Desk {
    pub(super) gitlab: GitLab,
    pub(super) project: u64,
    pub(super) runner: u64,
}

pub(super) fn tags(names: &[&str]) -> TagSet {
    TagSet::new(names).unwrap()
}

pub(super) fn runner_with(names: &[&str], kind: RunnerKind) -> RunnerSpec {
    RunnerSpec { kind, tags: tags(names), run_untagged: false, ref_protected: false }
}

pub(super) fn job_with(name: &str, names: &[&str]) -> JobSpec {
    JobSpec {
        name: name.to_owned(),
        stage: "test".to_owned(),
        tags: tags(names),
        needs: Vec::new(),
        work: Work { length: Millis::secs(5), exit_code: 0 },
        cancel: None,
        retry: None,
    }
}

impl Desk {
    pub(super) fn new(rules: GitLabRules) -> Self {
        let mut gitlab = GitLab::new(Rng::with_seed(7), rules);
        let project = gitlab.add_project("acme/widgets");
        let runner = gitlab.add_runner(runner_with(&["arm", "linux"], RunnerKind::Ours));
        Self { gitlab, project, runner }
    }

    /// A pipeline of these jobs; their ids.
    pub(super) fn pipeline(&mut self, jobs: Vec<JobSpec>, now: Timestamp) -> Vec<u64> {
        let spec = PipelineSpec { project: self.project, git_ref: "main".to_owned(), protected: false, jobs };
        let id = self.gitlab.create_pipeline(&spec, now);
        self.gitlab.pipelines[&id].slots.clone()
    }

    pub(super) fn job(&mut self, now: Timestamp) -> u64 {
        self.pipeline(vec![job_with("unit", &["linux"])], now)[0]
    }

    pub(super) fn ask(&mut self, process: u64, now: Timestamp) -> Asked {
        let token = self.gitlab.runner(self.runner).unwrap().token.clone();
        let ask = Ask { token: &token, system_id: "r_0123456789ab", accepts: true, graceful: true, process };
        self.gitlab.request_job(&ask, now)
    }

    pub(super) fn offer(&mut self, process: u64, now: Timestamp) -> Offer {
        match self.ask(process, now) {
            Asked::Offer(offer) => offer,
            other => panic!("{other:?}"),
        }
    }

    /// An offer that is accepted at once.
    pub(super) fn run(&mut self, process: u64, now: Timestamp) -> Offer {
        let offer = self.offer(process, now);
        assert!(matches!(self.gitlab.accept(offer.key.job, &offer.token, process, now), Updated::Done(_)));
        offer
    }

    pub(super) fn status(&self, job: u64) -> String {
        let key = JobKey { project: self.project, job };
        self.gitlab.job(key).unwrap().status.to_string()
    }

    pub(super) fn say(&mut self, offer: &Offer, report: Report, process: u64, now: Timestamp) -> Updated {
        self.gitlab.update(offer.key.job, &offer.token, report, Voice::Process(process), now)
    }
}

pub(super) fn after(secs: i64) -> Timestamp {
    START + Millis::secs(secs)
}
