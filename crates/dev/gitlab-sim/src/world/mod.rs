//! Everything that this GitLab knows, in memory, behind one lock.

pub(crate) mod hook;
pub(crate) mod job;
pub(crate) mod project;
pub(crate) mod record;
pub(crate) mod runner;
pub(crate) mod settings;
pub(crate) mod spec;
pub(crate) mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::hook::{Delivery, Held, Hook, HookFaults, HookRule};
use self::job::Job;
use self::project::{Pipeline, Project};
use self::record::{RequestLine, Violation};
use self::runner::Runner;
use self::settings::Settings;
use crate::clock::Millis;
use crate::faults::Fault;
use crate::id_token::{Signer, SignerError};

/// The version that this GitLab claims to be.
pub(crate) const VERSION: &str = "19.4.0-ee";

/// Requests, events and violations that are remembered; older ones are forgotten.
const REMEMBERED: usize = 200_000;

/// What does not change while it runs.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// `http://127.0.0.1:4000`, with the root.
    pub url: String,
    /// The path that everything is below; empty for none.
    pub root: String,
    /// The state directory.
    pub dir: PathBuf,
    /// The token that may do everything in the user API.
    pub admin_token: String,
    /// Where artifacts are stored: a server of its own, as object storage is. Without an end slash.
    pub storage_url: String,
    /// The key of ID tokens, from the first time that it is needed.
    pub signer: Mutex<Option<Arc<Signer>>>,
}

impl Place {
    /// What signs ID tokens. The first call makes the key, which takes a moment.
    pub(crate) fn signer(&self) -> Result<Arc<Signer>, SignerError> {
        let mut known = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = known.as_ref() {
            return Ok(Arc::clone(signer));
        }
        let signer = Arc::new(Signer::load_or_make(&self.dir)?);
        Ok(Arc::clone(known.insert(signer)))
    }
}

/// The whole state. What is not left out is what a restart keeps, see [`crate::saved`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct World {
    /// What does not change.
    #[serde(skip)]
    pub place: Arc<Place>,
    /// The time of the operation under way.
    #[serde(skip)]
    pub now: Millis,
    /// How it is set up.
    pub settings: Settings,
    /// By id.
    pub projects: BTreeMap<u64, Project>,
    /// Ids of namespaces by path.
    pub namespaces: BTreeMap<String, u64>,
    /// By id.
    pub pipelines: BTreeMap<u64, Pipeline>,
    /// By id.
    pub jobs: BTreeMap<u64, Job>,
    /// Ids of pending jobs that nobody has, oldest first.
    pub queue: BTreeSet<u64>,
    /// By id.
    pub runners: BTreeMap<u64, Runner>,
    /// Scopes of tokens for the user API beside the administrator's, by token.
    #[serde(default)]
    pub tokens: BTreeMap<String, Vec<String>>,
    /// By id.
    pub hooks: BTreeMap<u64, Hook>,
    /// By id.
    pub deliveries: BTreeMap<u64, Delivery>,
    /// Deliveries that are kept back.
    pub held: Held,
    /// The last requests.
    pub requests: VecDeque<RequestLine>,
    /// The last events.
    pub events: VecDeque<Value>,
    /// What runners did wrong.
    pub violations: VecDeque<Violation>,
    /// Faults of the HTTP server.
    pub faults: Vec<Fault>,
    /// Faults of deliveries.
    pub hook_faults: HookFaults,
    /// Faults of the deliveries of single jobs.
    #[serde(default)]
    pub hook_rules: Vec<HookRule>,
    /// What happens by itself, and when.
    pub timers: BTreeSet<(Millis, Timer)>,
    /// Grows whenever a job becomes pending: what `X-GitLab-Last-Update` stands for.
    pub queue_version: u64,
    /// Calls per kind and token in the current minute.
    pub rates: BTreeMap<String, (Millis, u64)>,
    /// What the operation under way wants to be done after it.
    #[serde(skip)]
    pub out: Outbox,
    /// The last id of each kind.
    pub ids: Ids,
    /// Number of the last request.
    pub request_seq: u64,
    /// Number of the last event.
    pub event_seq: u64,
}

/// What is done once the lock is free.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Lines for `events`.
    pub events: Vec<Value>,
    /// Deliveries to send.
    pub deliveries: Vec<u64>,
}

/// The last ids. They begin at different places, jobs and pipelines beyond 32 bits, so that none can be taken for another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    /// Projects.
    pub project: u64,
    /// Namespaces.
    pub namespace: u64,
    /// Pipelines.
    pub pipeline: u64,
    /// Jobs.
    pub job: u64,
    /// Runners.
    pub runner: u64,
    /// Managers.
    pub manager: u64,
    /// Hooks.
    pub hook: u64,
    /// Deliveries.
    pub delivery: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self {
            project: 380,
            namespace: 54,
            pipeline: 2_200_000_000,
            job: 4_300_000_000,
            runner: 4710,
            manager: 9000,
            hook: 70,
            delivery: 0,
        }
    }
}

/// What happens by itself. Each is checked when it is due, so an outdated one does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// An offer was not accepted.
    OfferExpires(u64),
    /// A delayed job starts.
    Delayed(u64),
    /// A case file's job is cancelled.
    Cancel(u64),
    /// GitLab's own timeout of a running job.
    Overtime(u64),
    /// No word from the runner.
    NoUpdates(u64),
    /// No runner for a pending job.
    Stuck(u64),
}

impl World {
    /// A GitLab without anything in it.
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self {
            place,
            now: crate::clock::now(),
            settings: Settings::default(),
            projects: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            jobs: BTreeMap::new(),
            queue: BTreeSet::new(),
            runners: BTreeMap::new(),
            tokens: BTreeMap::new(),
            hooks: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            held: Held::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            violations: VecDeque::new(),
            faults: Vec::new(),
            hook_faults: HookFaults::default(),
            hook_rules: Vec::new(),
            timers: BTreeSet::new(),
            queue_version: 1,
            rates: BTreeMap::new(),
            out: Outbox::default(),
            ids: Ids::default(),
            request_seq: 0,
            event_seq: 0,
        }
    }

    /// Forgets everything. Ids and numbers go on, so that nothing old can be taken for something new.
    pub(crate) fn reset(&mut self) {
        let fresh = Self::new(Arc::clone(&self.place));
        let old = std::mem::replace(self, fresh);
        self.ids = old.ids;
        self.request_seq = old.request_seq;
        self.event_seq = old.event_seq;
        self.queue_version = old.queue_version + 1;
    }

    /// Remembers a violation.
    pub(crate) fn violation(&mut self, kind: &'static str, job: Option<u64>, detail: impl Into<String>) {
        let held = job.and_then(|id| self.jobs.get(&id)).map(|job| (job.hold.runner, job.hold.system_id.clone()));
        let (runner, system_id) = held.unwrap_or_default();
        let violation = Violation { t: self.now, kind: kind.into(), job, runner, system_id, detail: detail.into() };
        remember(&mut self.violations, violation);
    }

    /// Remembers and announces an event of a job.
    pub(crate) fn event(&mut self, job: u64, event: &str) {
        let Some(row) = self.jobs.get(&job) else { return };
        self.event_seq += 1;
        let line = serde_json::json!({
            "seq": self.event_seq,
            "t": self.now,
            "event": event,
            "status": row.status.as_str(),
            "project": row.project,
            "pipeline": row.pipeline,
            "job": row.id,
            "name": row.spec.name,
            "runner": row.hold.runner,
            "system_id": row.hold.system_id,
        });
        remember(&mut self.events, line.clone());
        self.out.events.push(line);
    }

    /// Remembers a request.
    pub(crate) fn request(&mut self, mut line: RequestLine) {
        self.request_seq += 1;
        line.seq = self.request_seq;
        remember(&mut self.requests, line);
    }

    /// The id of a namespace; it is made where it does not exist.
    pub(crate) fn namespace(&mut self, path: &str) -> u64 {
        if let Some(id) = self.namespaces.get(path) {
            return *id;
        }
        self.ids.namespace += 1;
        self.namespaces.insert(path.to_owned(), self.ids.namespace);
        self.ids.namespace
    }

    /// A project by id or by path.
    pub(crate) fn project(&self, name: &str) -> Option<&Project> {
        match name.parse::<u64>() {
            Ok(id) => self.projects.get(&id),
            Err(_) => self.projects.values().find(|project| project.path == name),
        }
    }

    /// The jobs whose artifacts a job gets, the newest of each name.
    pub(crate) fn inputs_of(&self, job: &Job) -> Vec<&Job> {
        let pipeline = self.pipelines.get(&job.pipeline).map_or(&[][..], |pipeline| &pipeline.jobs);
        let all = pipeline.iter().filter_map(|id| self.jobs.get(id)).filter(|other| !other.retried);
        let wanted = |other: &&Job| match &job.spec.inputs {
            Some(names) => names.contains(&other.spec.name),
            None => other.spec.stage_index < job.spec.stage_index,
        };
        all.filter(wanted).collect()
    }

    /// Counts a call; the seconds to wait when there were too many in this minute.
    pub(crate) fn over_rate(&mut self, kind: &str, token: &str, limit: u64) -> Option<u64> {
        if limit == 0 {
            return None;
        }
        let now = self.now;
        let window = self.rates.entry(format!("{kind} {token}")).or_insert((now, 0));
        if now.saturating_sub(window.0) >= 60_000 {
            *window = (now, 0);
        }
        window.1 += 1;
        (window.1 > limit).then(|| (60_000 - (now - window.0)).div_ceil(1000).max(1))
    }
}

/// Adds to a list of bounded length.
pub(crate) fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}
