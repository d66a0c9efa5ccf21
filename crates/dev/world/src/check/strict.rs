//! What no row and no process may do, whether or not harm comes of it: most mistakes are made good by somebody else's launch,
//! and would be seen only in the rare world in which nobody comes.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::change::{Item, Plan, Write};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};
use serde_json::Value;

use super::rows::{Job, Launch};
use super::{Check, Promise};
use crate::gitlab::{GitLab, Hook};
use crate::setup::{Knowledge, Setup};

/// By how much two clocks and a sweep's pace may differ from what is written.
const TOLERANCE: Millis = Millis::secs(60);

/// What is kept for these rules.
#[derive(Debug, Default)]
pub(super) struct Strict {
    /// The process that began each launch.
    begun: BTreeMap<LaunchId, u32>,
    /// Launches whose process accepted a job.
    accepted: BTreeSet<LaunchId>,
    /// Launches whose invocation Lambda took.
    invoked: BTreeSet<LaunchId>,
    /// The number of each job's last attempt.
    attempts: BTreeMap<JobKey, u64>,
    /// When a job got the first of its launches, one of its own or one that another left over, that may have been in vain.
    tried_since: BTreeMap<JobKey, Timestamp>,
}

impl Check {
    /// A process began its launch: no other may.
    pub(super) fn begins(&mut self, launch: &LaunchId, process: u32) {
        let first = *self.strict.begun.entry(launch.clone()).or_insert(process);
        if first != process {
            self.breaks(Promise::Doubled, format!("processes {first} and {process} began launch {launch}"));
        }
    }

    /// Lambda took an invocation.
    pub(crate) fn invoked(&mut self, launch: &str) {
        self.strict.invoked.insert(LaunchId::new(launch));
    }

    /// The bus took an event: what it tells of is stored.
    pub(crate) fn announced(&mut self, job: JobKey) {
        if !self.rows.jobs.contains_key(&job) {
            self.breaks(Promise::Row, format!("the bus was told of job {job} before its row was stored"));
        }
    }

    /// A hook was answered by 2xx: what it tells of is stored.
    pub(super) fn is_stored(&mut self, hook: &Hook) {
        if !self.rows.jobs.contains_key(&hook.job) {
            self.breaks(
                Promise::Lost,
                format!("a hook of job {} was answered by 2xx, and no row of it is stored", hook.job),
            );
        }
    }

    /// A process accepted a job: its launch is bound to it, or was since it bound it.
    pub(super) fn accepts(&mut self, launch: &LaunchId, job: JobKey, process: u32) {
        self.strict.accepted.insert(launch.clone());
        let unbound = self.rows.launches.get(launch).filter(|row| row.bound_job != Some(job));
        if let Some(row) = unbound.filter(|row| !row.is_over()) {
            let what = format!("process {process} accepted job {job}, and launch {launch} is {}", row.state);
            self.breaks(Promise::Row, what);
        }
    }

    /// A launch's row is new or other than before.
    pub(super) fn launch_follows(
        &mut self,
        id: &LaunchId,
        before: Option<&Launch>,
        item: &Item,
        plan: &Plan,
        process: u32,
        now: Timestamp,
    ) {
        let after = Launch::read(item);
        match before {
            None if after.charged_to.is_none() => self.is_the_only_sentinel(id, &after),
            None => self.is_an_attempt(id, &after, item),
            Some(before) => {
                self.was_taken(id, before, &after);
                self.lets_go(id, before, &after, plan);
                self.leaves_nobody(id, before, &after, plan);
                self.was_free(id, before, &after, item, plan);
                self.asks_no_more(id, before, &after, item, process, now);
            }
        }
    }

    /// One launch that nobody asked for is under way for a lane at a time.
    fn is_the_only_sentinel(&mut self, id: &LaunchId, after: &Launch) {
        let same = |row: &Launch| row.lane == after.lane && row.charged_to.is_none() && row.may_still_bind();
        let other = self.rows.launches.iter().find(|(_, row)| same(row)).map(|(other, _)| other.clone());
        if let Some(other) = other {
            self.breaks(Promise::Launches, format!("sentinel {id} was sent beside {other}, which is under way"));
        }
    }

    fn is_an_attempt(&mut self, id: &LaunchId, after: &Launch, item: &Item) {
        let Some(job) = after.charged_to else { return };
        let number = item.get("attempt").and_then(Value::as_u64).unwrap_or_default();
        let last = self.strict.attempts.insert(job, number).unwrap_or_default();
        if number <= last {
            let what = format!("launch {id} is attempt {number} of job {job}, as one before it was attempt {last}");
            self.breaks(Promise::Row, what);
        }
    }

    /// Who writes that AWS took a launch's request had AWS's word.
    fn was_taken(&mut self, id: &LaunchId, before: &Launch, after: &Launch) {
        let started = match after.on_instance {
            true => after.instance.is_some(),
            false => self.strict.invoked.contains(id),
        };
        if before.state == "charged" && after.state == "starting" && !started {
            self.breaks(Promise::Row, format!("launch {id} is starting, and AWS never took what starts it"));
        }
    }

    /// A launch that ends before its process accepted its job lets go of it: GitLab offers that job again.
    fn lets_go(&mut self, id: &LaunchId, before: &Launch, after: &Launch, plan: &Plan) {
        let (true, true, Some(job)) = (before.state == "bound", after.is_over(), after.bound_job) else { return };
        if self.strict.accepted.contains(id) {
            return;
        }
        let row = self.job_after(job, plan).filter(|row| row.state == "bound" && row.launch.as_ref() == Some(id));
        if row.is_some_and(|row| row.pending) {
            self.breaks(
                Promise::Row,
                format!("launch {id} is over, accepted nothing, and job {job} stays bound to it"),
            );
        }
    }

    /// A launch that got another job than its own takes that one's charge off, in the same transaction.
    fn leaves_nobody(&mut self, id: &LaunchId, before: &Launch, after: &Launch, plan: &Plan) {
        let (Some(own), true) = (after.charged_to, before.state == "polling" && after.state == "bound") else { return };
        let row = self.job_after(own, plan).filter(|_| after.bound_job != Some(own));
        if row.is_some_and(|row| row.state == "charged" && row.charge.as_ref() == Some(id)) {
            let what = format!("launch {id} is bound to {:?}, and job {own} waits for it", after.bound_job);
            self.breaks(Promise::Row, what);
        }
    }

    /// Who gives a launch to another job: its own one needs it no more, and the other one can be served by it.
    fn was_free(&mut self, id: &LaunchId, before: &Launch, after: &Launch, item: &Item, plan: &Plan) {
        let (Some(old), Some(new)) = (before.charged_to, after.charged_to) else { return };
        if old == new {
            return;
        }
        if self.job_after(old, plan).is_some_and(|job| job.state == "charged" && job.charge.as_ref() == Some(id)) {
            self.breaks(
                Promise::TwoLaunches,
                format!("launch {id} was given to job {new}, and job {old} waits for it"),
            );
        }
        let job = written(&new.pk(), plan);
        if job.is_some_and(|job| !can_serve(item, job)) {
            self.breaks(Promise::Row, format!("launch {id} was given to job {new}, which it cannot serve"));
        }
    }

    /// A launch whose living runner may still ask is closed by nobody else.
    fn asks_no_more(
        &mut self,
        id: &LaunchId,
        before: &Launch,
        after: &Launch,
        item: &Item,
        process: u32,
        now: Timestamp,
    ) {
        if before.state != "polling" || !matches!(after.state.as_str(), "closing" | "closed") {
            return;
        }
        let began = item.get("polling_at").and_then(Value::as_i64).map_or(now, Timestamp);
        let speaks_for = self.speaker(process);
        let of = || self.runners.iter().filter(|(_, runner)| runner.launch.as_ref() == Some(id));
        // A record of one that ended may be about another delivery of the event, and is believed.
        let one_ended = of().any(|(_, runner)| runner.ended || runner.hindered_at.is_some());
        let asks = of().any(|(number, _)| *number != speaks_for && self.strict.begun.get(id) == Some(number));
        if asks && !one_ended && now + TOLERANCE < began + limits::POLL_LEASE {
            self.breaks(
                Promise::Killed,
                format!("launch {id} was closed by process {process} while its runner still asks"),
            );
        }
    }

    /// A job's row is other than before.
    pub(super) fn job_follows(&mut self, key: JobKey, before: Option<&Job>, item: &Item, plan: &Plan, now: Timestamp) {
        let after = Job::read(item);
        match after.state.as_str() {
            "bound" => drop(self.strict.tried_since.remove(&key)),
            "charged" => drop(self.strict.tried_since.entry(key).or_insert(now)),
            _ => {}
        }
        self.is_looked_at(key, &after, item, now);
        self.was_tried(key, before, &after, now);
        let Some(before) = before else { return };
        let waits = matches!(after.state.as_str(), "waiting" | "unserved");
        let left = match before.state.as_str() {
            "charged" if waits => before.charge.as_ref(),
            "bound" if waits || matches!(after.state.as_str(), "charged" | "foreign") => before.launch.as_ref(),
            _ => None,
        };
        let Some((id, launch)) = left.and_then(|id| Some((id, self.launch_after(id, plan)?))) else { return };
        let comes = launch.may_still_bind() && launch.charged_to == Some(key) && before.state == "charged";
        let has = launch.state == "bound" && launch.bound_job == Some(key);
        if comes || has {
            let what = format!(
                "job {key} went from {} to {}, and its launch {id} is {}",
                before.state, after.state, launch.state
            );
            self.breaks(Promise::Row, what);
        }
    }

    /// A job that waits is looked at within the hour.
    fn is_looked_at(&mut self, key: JobKey, after: &Job, item: &Item, now: Timestamp) {
        let waits = matches!(after.state.as_str(), "waiting" | "unserved");
        if !waits
            || item.get("gitlab_status").and_then(Value::as_str) != Some("pending")
            || item.contains_key("expires_at")
        {
            return;
        }
        let at = item.get("next_check_at").and_then(Value::as_i64).map(Timestamp);
        if at.is_none_or(|at| at > now + limits::UNSERVED_RETRY + TOLERANCE) {
            let what = format!("job {key} is {}, and the next look at it is at {at:?}", after.state);
            self.breaks(Promise::Waited, what);
        }
    }

    /// A job is not called unserved within the two minutes for which GitLab hides one whose offer nobody accepted.
    fn was_tried(&mut self, key: JobKey, before: Option<&Job>, after: &Job, now: Timestamp) {
        if after.state != "unserved" || before.is_none_or(|before| before.state == "unserved") {
            return;
        }
        let since = self.strict.tried_since.get(&key).copied().unwrap_or(now);
        if now - since < limits::RETRY_BACKOFF[1] {
            let what =
                format!("job {key} was given up for an hour {} s after its first launch", (now - since).0 / 1000);
            self.breaks(Promise::Waited, what);
        }
    }

    /// With an API token, the end of each job that had a launch of ours is known when all is quiet.
    pub(super) fn judge_words(&mut self, setup: &Setup, gitlab: &GitLab) {
        if setup.knowledge != Knowledge::Token {
            return;
        }
        let over = |key: &JobKey| gitlab.job(*key).is_some_and(|job| job.status.is_ended());
        let open = self.rows.jobs.iter().filter(|(key, job)| job.state == "bound" && over(key)).map(|(key, _)| *key);
        if let Some(key) = open.min() {
            self.breaks(Promise::Leaked, format!("job {key} is over, and its row is bound and done with"));
        }
    }

    fn launch_after(&self, id: &LaunchId, plan: &Plan) -> Option<Launch> {
        written(&id.pk(), plan).map(Launch::read).or_else(|| self.rows.launches.get(id).cloned())
    }

    fn job_after(&self, key: JobKey, plan: &Plan) -> Option<Job> {
        written(&key.pk(), plan).map(Job::read).or_else(|| self.rows.jobs.get(&key).cloned())
    }
}

/// A row as a plan writes it.
fn written<'a>(pk: &str, plan: &'a Plan) -> Option<&'a Item> {
    plan.changes.iter().find_map(|change| match &change.write {
        Write::Put(item) if change.pk == pk => Some(item),
        Write::Put(_) | Write::Check => None,
    })
}

/// GitLab's rule, by the rows: the job's tags are a subset of the launch's; where they are not known the lanes are the same.
fn can_serve(launch: &Item, job: &Item) -> bool {
    let tags = |item: &Item, name: &str| -> Option<BTreeSet<String>> {
        let list = item.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let has = tags(launch, "lane_tags").unwrap_or_default();
    match tags(job, "tags") {
        None => launch.get("lane") == job.get("lane"),
        Some(wanted) if wanted.is_empty() => {
            has.is_empty() || launch.get("run_untagged").and_then(Value::as_bool).unwrap_or_default()
        }
        Some(wanted) => wanted.is_subset(&has),
    }
}
