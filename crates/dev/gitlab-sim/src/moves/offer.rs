//! A runner asks for a job and gets one, or not.

use serde_json::{Map, Value};

use crate::random;
use crate::rules::demands;
use crate::rules::matching::{Offerer, Wanted, fits};
use crate::world::Timer;
use crate::world::World;
use crate::world::runner::Runner;
use crate::world::settings::millis;
use crate::world::status::Status;

impl World {
    /// The oldest pending job that the runner may have, now in its hands: running, or with two-phase commit offered for
    /// two minutes. Jobs that it could have but for a feature fail on the way, as in GitLab.
    pub(crate) fn offer(&mut self, runner: u64, system_id: Option<&str>, info: &Map<String, Value>) -> Option<u64> {
        let none = Map::new();
        let told = info.get("features").and_then(Value::as_object);
        let features = told.unwrap_or(&none);
        loop {
            let id = self.first_for(runner)?;
            let job = self.jobs.get(&id)?;
            let body = job.raw.as_ref().map_or(&none, |raw| &raw.body);
            if self.settings.check_features && demands::missing(&job.spec, body, features).is_some() {
                self.fail(id, "runner_unsupported", None);
                continue;
            }
            self.hand_over(id, runner, system_id, features);
            return Some(id);
        }
    }

    fn first_for(&self, runner: u64) -> Option<u64> {
        let runner = self.runners.get(&runner)?;
        self.queue.iter().copied().find(|id| self.may_have(runner, *id))
    }

    /// Whether the runner's scope, tags and protection fit the job.
    pub(crate) fn may_have(&self, runner: &Runner, job: u64) -> bool {
        let Some(job) = self.jobs.get(&job) else { return false };
        if job.raw.is_some() {
            return !runner.paused;
        }
        let Some(project) = self.projects.get(&job.project) else { return false };
        let group = runner
            .group
            .and_then(|group| self.namespaces.iter().find(|(_, id)| **id == group).map(|(path, _)| path.as_str()));
        let offerer = Offerer {
            kind: runner.kind,
            group_path: group,
            projects: &runner.projects,
            tags: &runner.tags,
            run_untagged: runner.run_untagged,
            ref_protected: runner.ref_protected,
            paused: runner.paused,
        };
        let wanted = Wanted {
            project: job.project,
            namespace_path: project.namespace_path(),
            tags: &job.spec.tags,
            protected: self.pipelines.get(&job.pipeline).is_some_and(|pipeline| pipeline.protected),
        };
        fits(&offerer, &wanted)
    }

    fn hand_over(&mut self, id: u64, runner: u64, system_id: Option<&str>, features: &Map<String, Value>) {
        let now = self.now;
        let maximum = self.runners.get(&runner).and_then(|runner| runner.maximum_timeout);
        let default = self.settings.job_timeout_s;
        let token = job_token(self.settings.long_tokens);
        let has = |feature: &str| features.get(feature).and_then(Value::as_bool).unwrap_or(false);
        let two_phase = self.settings.two_phase && has("two_phase_job_commit");
        let until = now + millis(self.settings.two_phase_s);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let timeout = job.spec.timeout_s.unwrap_or(default);
        job.hold.timeout_s = maximum.map_or(timeout, |maximum| timeout.min(maximum));
        job.hold.token = token;
        job.hold.runner = Some(runner);
        job.hold.system_id = system_id.map(str::to_owned);
        job.hold.cancel_gracefully = has("cancel_gracefully");
        job.hold.counts_log = has("trace_checksum") && has("trace_size");
        job.reported = None;
        job.stamps.picked_up = Some(now);
        job.log.create();
        let cancel_after = job.raw.as_ref().and_then(|raw| raw.cancel_after_s);
        if two_phase {
            job.hold.offered_until = Some(until);
        }
        if let Some(seconds) = cancel_after {
            self.timers.insert((now + millis(seconds), Timer::Cancel(id)));
        }
        self.queue.remove(&id);
        if two_phase {
            self.timers.insert((until, Timer::OfferExpires(id)));
            self.event(id, "offered");
        } else {
            self.enter(id, Status::Running);
        }
    }

    /// Takes an offer back: the job waits again for any runner.
    pub(crate) fn withdraw(&mut self, id: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let token = std::mem::take(&mut job.hold.token);
        job.hold.expired_tokens.insert(token);
        job.hold.offered_until = None;
        job.hold.runner = None;
        job.hold.system_id = None;
        job.stamps.picked_up = None;
        self.enqueue(id);
        self.event(id, "withdrawn");
    }
}

/// A job token: `glcbt-<partition>_...`, or as long as a JWT.
fn job_token(long: bool) -> String {
    if long {
        format!("glcbt-{}.{}.{}", random::word(100), random::word(1100), random::word(342))
    } else {
        format!("glcbt-66_{}", random::word(20))
    }
}
