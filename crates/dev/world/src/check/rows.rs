//! The ledger's rows as they are written, one write after the other.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::change::{Item, Plan};
use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::time::Timestamp;
use serde_json::Value;

use super::{Check, Promise};
use crate::ec2::Cloud;
use crate::gitlab::GitLab;
use crate::setup::Knowledge;

/// A launch's row, as far as the checks look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) rev: u64,
    pub(super) state: String,
    pub(super) lane: String,
    pub(super) charged_to: Option<JobKey>,
    pub(super) bound_job: Option<JobKey>,
    pub(super) deadline: Timestamp,
    pub(super) keeps_secret: bool,
    /// Whether its runner said that it accepted its job.
    pub(super) accepted: bool,
    /// Its instance.
    pub(super) instance: Option<String>,
    /// Whether instances serve its lane.
    pub(super) on_instance: bool,
    /// What serves it.
    pub(super) target: String,
    /// What is to be sent for it.
    pub(super) request: Option<String>,
    /// Its own runner, once GitLab is asked for one.
    pub(super) own_runner: Option<Own>,
}

/// A runner that is made for one launch alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// GitLab's id of it, once it is told.
    pub(super) id: Option<u64>,
}

/// A job's row, as far as the checks look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) rev: u64,
    pub(super) state: String,
    pub(super) charge: Option<LaunchId>,
    pub(super) launch: Option<LaunchId>,
    pub(super) lane: Option<LaneId>,
    /// Whether `pending` is the last that GitLab told of it.
    pub(super) pending: bool,
    /// How many earlier tries of it GitLab told of.
    pub(super) retries: u64,
}

/// Rows that are never done with.
const ENDLESS: [&str; 2] = ["project#", "lane#"];

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) launches: BTreeMap<LaunchId, Launch>,
    pub(super) jobs: BTreeMap<JobKey, Job>,
    /// Rows with something left to do, by when.
    due: BTreeSet<(Timestamp, String)>,
    due_at: BTreeMap<String, Timestamp>,
    /// How many launches were made for each job.
    pub(super) launched: BTreeMap<JobKey, u32>,
    /// When a job's row had nothing left to do the last time.
    pub(super) settled: BTreeMap<JobKey, Timestamp>,
    /// When another job took a job's launch, bound or over before it could be, or what the job was given instead came to
    /// nothing.
    pub(super) stolen: Vec<(Timestamp, JobKey)>,
    /// When a job was given another launch directly, because GitLab gave its own to another job.
    pub(super) handed: Vec<(Timestamp, JobKey)>,
    /// Jobs that were given another job's launch, with that launch's lane, which may be another than their own.
    given: BTreeSet<(JobKey, LaneId)>,
    /// And which launches those were.
    instead: BTreeSet<(JobKey, LaunchId)>,
    /// The launches that were made for a job that GitLab retries.
    pub(super) of_retries: BTreeSet<LaunchId>,
    /// All launches that a job was charged to, those that were made for it and those that it was given.
    pub(super) charged: BTreeSet<(JobKey, LaunchId)>,
}

impl Launch {
    pub(super) fn read(item: &Item) -> Self {
        Self {
            rev: number(item, "rev"),
            state: text(item, "state").unwrap_or_default().to_owned(),
            lane: text(item, "lane").unwrap_or_default().to_owned(),
            charged_to: text(item, "charged_to").and_then(|text| text.parse().ok()),
            bound_job: text(item, "bound_job").and_then(|text| text.parse().ok()),
            deadline: Timestamp(item.get("deadline").and_then(Value::as_i64).unwrap_or_default()),
            accepted: item.get("accepted").and_then(Value::as_bool).unwrap_or_default(),
            instance: text(item, "instance_id").map(str::to_owned),
            on_instance: text(item, "engine") == Some("EC2"),
            target: text(item, "target").unwrap_or_default().to_owned(),
            request: text(item, "request").map(str::to_owned),
            own_runner: item.get("own_runner").map(|own| Own { id: own.get("id").and_then(Value::as_u64) }),
            keeps_secret: item.contains_key("job_token") || item.contains_key("request"),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == "closed"
    }

    pub(super) fn may_still_bind(&self) -> bool {
        matches!(self.state.as_str(), "charged" | "starting" | "polling")
    }
}

impl Job {
    pub(super) fn read(item: &Item) -> Self {
        Self {
            rev: number(item, "rev"),
            state: text(item, "state").unwrap_or_default().to_owned(),
            charge: text(item, "charge").map(LaunchId::new),
            launch: text(item, "launch").map(LaunchId::new),
            lane: text(item, "lane").map(LaneId::new),
            pending: text(item, "gitlab_status") == Some("pending"),
            retries: number(item, "retries"),
        }
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(Value::as_str)
}

fn number(item: &Item, name: &str) -> u64 {
    item.get(name).and_then(Value::as_u64).unwrap_or_default()
}

impl Rows {
    pub(super) fn lane_of(&self, launch: &LaunchId) -> Option<LaneId> {
        self.launches.get(launch).map(|row| LaneId::new(row.lane.clone()))
    }

    pub(super) fn lane_of_job(&self, job: JobKey) -> Option<LaneId> {
        self.jobs.get(&job).and_then(|row| row.lane.clone())
    }

    /// Whether the job was ever given a launch of this lane that was made for another job.
    pub(super) fn was_given_one_of(&self, lane: &LaneId, job: JobKey) -> bool {
        self.given.contains(&(job, lane.clone()))
    }

    pub(super) fn deadline_of(&self, launch: &LaunchId) -> Option<Timestamp> {
        self.launches.get(launch).map(|row| row.deadline)
    }

    /// When the first row is due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Rows with something left to do, but for those that only a word of GitLab's could settle. Projects are listed and
    /// lanes looked after for ever.
    pub(super) fn open(&self, knowledge: Knowledge) -> impl Iterator<Item = &str> {
        let open = self.due_at.keys().map(String::as_str).filter(|pk| !ENDLESS.iter().any(|kind| pk.starts_with(kind)));
        open.filter(move |pk| !self.waits_for_a_word(pk, knowledge))
    }

    /// A job that ran and whose end nobody told us: without an API token its row is kept until it is two weeks old.
    fn waits_for_a_word(&self, pk: &str, knowledge: Knowledge) -> bool {
        let job = job_key(pk).and_then(|key| self.jobs.get(&key));
        knowledge != Knowledge::Token && job.is_some_and(|job| job.state == "bound")
    }

    fn note_due(&mut self, pk: &str, item: &Item, now: Timestamp) {
        if let Some(old) = self.due_at.remove(pk) {
            self.due.remove(&(old, pk.to_owned()));
        }
        let open = item.contains_key("open");
        if let Some(at) = item.get("next_check_at").and_then(Value::as_i64).filter(|_| open) {
            self.due.insert((Timestamp(at), pk.to_owned()));
            self.due_at.insert(pk.to_owned(), Timestamp(at));
        } else if let Some(key) = job_key(pk) {
            self.settled.insert(key, now);
        }
    }
}

fn job_key(pk: &str) -> Option<JobKey> {
    let (project, job) = pk.strip_prefix("job#")?.split_once('#')?;
    Some(JobKey { project: project.parse().ok()?, job: job.parse().ok()? })
}

impl Check {
    /// A row was written.
    pub(crate) fn written(
        &mut self,
        (pk, item): (&str, &Item),
        plan: &Plan,
        process: u32,
        (gitlab, cloud): (&GitLab, &Cloud),
        now: Timestamp,
    ) {
        self.rows.note_due(pk, item, now);
        if let Some(id) = pk.strip_prefix("launch#") {
            let id = LaunchId::new(id);
            let before = self.rows.launches.get(&id).cloned();
            if before.as_ref().is_none_or(|before| *before != Launch::read(item)) {
                self.launch_follows(&id, before.as_ref(), item, plan, process, now);
            }
            if let Some(before) = &before {
                let after = Launch::read(item);
                self.names_its_instance(&id, before, &after, cloud, now);
                self.has_time_to_boot(&id, before, &after, process, (gitlab, cloud), now);
            }
            self.launch_written(&id, Launch::read(item), process, gitlab);
        } else if let Some(project) = pk.strip_prefix("project#").and_then(|id| id.parse().ok()) {
            self.known.entry(project).or_insert(now);
        } else if pk.starts_with("pool#") {
            self.pool_row_written(process, now);
        } else if let Some(key) = job_key(pk) {
            let before = self.rows.jobs.get(&key).cloned();
            if before.as_ref().is_none_or(|before| *before != Job::read(item)) {
                self.job_follows(key, before.as_ref(), item, plan, now);
            }
            let passed_over = self.has_one_that_ended(process, key, gitlab);
            self.job_written(key, Job::read(item), passed_over, plan, now);
        }
    }

    fn launch_written(&mut self, id: &LaunchId, after: Launch, process: u32, gitlab: &GitLab) {
        let before = self.rows.launches.get(id).cloned();
        match &before {
            None => self.created(id, &after),
            // A repeated write of an answer that was lost.
            Some(before) if *before == after => {}
            Some(before) => self.changed(id, before, &after, process, gitlab),
        }
        if let Some(request) = after.request.as_ref().filter(|_| after.on_instance)
            && before.as_ref().and_then(|before| before.request.as_ref()) != Some(request)
        {
            self.freezes(id, request);
        }
        if after.is_over() && after.keeps_secret {
            self.breaks(Promise::SecretLeft, format!("launch {id} is closed and keeps a secret"));
        }
        self.rows.launches.insert(id.clone(), after);
    }

    /// A new launch: the job that it is for must have none that is alive and that nobody took from it.
    fn created(&mut self, id: &LaunchId, after: &Launch) {
        let Some(job) = after.charged_to else { return };
        *self.rows.launched.entry(job).or_default() += 1;
        self.rows.charged.insert((job, id.clone()));
        if self.rows.jobs.get(&job).is_some_and(|row| row.retries > 0) {
            self.rows.of_retries.insert(id.clone());
        }
        let charge = self.rows.jobs.get(&job).and_then(|row| row.charge.clone()).filter(|charge| charge != id);
        let other = charge.and_then(|charge| Some((self.rows.launches.get(&charge)?.clone(), charge)));
        if let Some((other, charge)) =
            other.filter(|(other, _)| other.may_still_bind() && other.charged_to == Some(job))
        {
            let what = format!("launch {id} was charged to job {job} beside launch {charge}, which is {}", other.state);
            self.breaks(Promise::TwoLaunches, what);
        }
    }

    fn changed(&mut self, id: &LaunchId, before: &Launch, after: &Launch, process: u32, gitlab: &GitLab) {
        if after.rev != before.rev + 1 {
            let what = format!("launch {id} went from revision {} to {}", before.rev, after.rev);
            self.breaks(Promise::Row, what);
        }
        let was_over = matches!(before.state.as_str(), "closing" | "closed");
        if after.state == "bound" && was_over {
            let what = format!("launch {id} was {} and is bound", before.state);
            self.breaks(Promise::BoundAndClosed, what);
        }
        if before.bound_job.is_some() && before.bound_job != after.bound_job {
            let what = format!("launch {id} was bound to {:?} and is bound to {:?}", before.bound_job, after.bound_job);
            self.breaks(Promise::BoundAndClosed, what);
        }
        if before.is_over() && !after.is_over() {
            self.breaks(Promise::Row, format!("launch {id} was closed and is {}", after.state));
        }
        // An instance is ended when its job is, also while its runner still waits for GitLab's answer.
        let is_done = |job: JobKey| gitlab.job(job).is_none_or(|job| job.status.is_ended());
        let is_done = after.on_instance && before.bound_job.is_some_and(is_done);
        if before.state == "bound" && was_over_now(after) && !is_done {
            self.stopped(id, process);
        }
        if let Some(to) = after.charged_to.filter(|_| before.charged_to != after.charged_to) {
            self.rows.given.insert((to, LaneId::new(after.lane.clone())));
            self.rows.instead.insert((to, id.clone()));
            self.rows.charged.insert((to, id.clone()));
        }
    }

    /// A bound launch is over: that is its own process's to say, as long as that one runs its job.
    fn stopped(&mut self, id: &LaunchId, process: u32) {
        let speaks_for = self.speaker(process);
        let runs = |(number, runner): (&u32, &super::Runner)| {
            runner.launch.as_ref() == Some(id) && runner.job.is_some() && !runner.ended && *number != speaks_for
        };
        let Some((number, runner)) = self.runners.iter().find(|(number, runner)| runs((number, runner))) else {
            return;
        };
        if runner.hindered_at.is_none() {
            let what = format!("launch {id} was stopped while process {number} ran job {:?}", runner.job);
            self.breaks(Promise::Killed, what);
        }
    }

    /// Whether the runner that the process speaks for was handed another job than this one, which has ended: it was cancelled
    /// before it could be bound.
    fn has_one_that_ended(&self, process: u32, key: JobKey, gitlab: &GitLab) -> bool {
        let runner = self.speaker(process);
        let offered = self.runners.get(&runner).and_then(|runner| runner.offered).filter(|other| *other != key);
        offered.is_some_and(|other| gitlab.job(other).is_some_and(|job| job.status.is_ended()))
    }

    fn job_written(&mut self, key: JobKey, after: Job, passed_over: bool, plan: &Plan, now: Timestamp) {
        if let Some(before) = self.rows.jobs.get(&key).cloned().filter(|before| *before != after) {
            if after.rev <= before.rev {
                self.breaks(Promise::Row, format!("job {key} went from revision {} to {}", before.rev, after.rev));
            }
            let binds = plan.changes.len() > 2;
            let in_vain = before.charge.clone().is_some_and(|launch| self.rows.instead.contains(&(key, launch)));
            if before.state == "charged" && after.state == "waiting" && (binds || in_vain || passed_over) {
                self.rows.stolen.push((now, key));
            }
            self.charged_anew(key, &before, &after, now);
        }
        self.rows.jobs.insert(key, after);
    }

    /// A job gets another launch directly for one that is alive.
    fn charged_anew(&mut self, key: JobKey, before: &Job, after: &Job, now: Timestamp) {
        let (Some(old), Some(new)) = (&before.charge, &after.charge) else { return };
        let alive = |id: &LaunchId| {
            self.rows.launches.get(id).is_some_and(|row| row.may_still_bind() && row.charged_to == Some(key))
        };
        if old == new {
            return;
        }
        if alive(old) {
            let what = format!("job {key} was given launch {new} while launch {old} is on its way");
            self.breaks(Promise::TwoLaunches, what);
        }
        self.rows.handed.push((now, key));
    }
}

fn was_over_now(after: &Launch) -> bool {
    matches!(after.state.as_str(), "closing" | "closed")
}
