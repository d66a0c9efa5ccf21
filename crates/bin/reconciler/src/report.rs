//! What a sweep did, item by item: outcomes are counted, not attempts.

use std::collections::BTreeMap;

use runnerless_aws::AwsError;
use runnerless_core::drain::Draining;
use runnerless_lambda_kit::metrics;
use serde::Serialize;
use serde_json::json;

use crate::SERVICE;
use crate::backfill::{Backfill, Listed};
use crate::load::Loaded;
use crate::plan::Planned;

/// Most items that an answer lists; all are counted.
const LISTED: usize = 100;

/// What came of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "snake_case")]
pub enum Result {
    /// A dry run: nothing was tried.
    Planned,
    /// It was done.
    Done,
    /// It turned out not to be needed.
    NotNeeded(String),
    /// It is held back, and due again later.
    Held(String),
    /// It failed, under this error's name, and stays due.
    Failed(String),
    /// The time was up: the next run does it.
    Left,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The row.
    pub row: String,
    /// What was to be done.
    pub action: &'static str,
    /// Why.
    pub reason: String,
    /// What came of it.
    #[serde(flatten)]
    pub result: Result,
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it only planned.
    pub dry_run: bool,
    /// How the stack drains; `None` when it does not.
    pub draining: Option<Draining>,
    /// Live launches that it saw.
    pub live_launches: usize,
    /// Instances of this stack that have not ended, as EC2 showed them; `None` when it did not say.
    pub instances: Option<usize>,
    /// Due jobs that it saw.
    pub due_jobs: usize,
    /// Rows that cannot be read.
    pub unreadable: Vec<String>,
    /// Whether more was due than one run looks at.
    pub more: bool,
    /// The listing of projects; `None` without an API token.
    pub listing: Option<Listed>,
    /// Items by action and result, such as `route.done`.
    pub counts: BTreeMap<String, u64>,
    /// The items, the first hundred.
    pub items: Vec<Item>,
}

impl Report {
    pub(crate) fn new(loaded: &Loaded, dry_run: bool) -> Self {
        Self {
            dry_run,
            draining: loaded.draining,
            live_launches: loaded.live().count(),
            due_jobs: loaded.due.len(),
            unreadable: loaded.unreadable.iter().cloned().collect(),
            more: loaded.more,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, planned: Planned, result: Result) {
        let Planned { action, reason } = planned;
        self.add_item(Item { row: action.pk(), action: action.name(), reason, result });
    }

    /// Takes what the listing did.
    pub(crate) fn take(&mut self, listed: Backfill) {
        self.listing = listed.listed;
        self.unreadable.extend(listed.unreadable);
        listed.items.into_iter().for_each(|item| self.add_item(item));
    }

    fn add_item(&mut self, item: Item) {
        let outcome = match &item.result {
            Result::Planned => "planned",
            Result::Done => "done",
            Result::NotNeeded(_) => "not_needed",
            Result::Held(_) => "held",
            Result::Failed(_) => "failed",
            Result::Left => "left",
        };
        *self.counts.entry(format!("{}.{outcome}", item.action)).or_insert(0) += 1;
        if self.items.len() < LISTED {
            self.items.push(item);
        }
    }

    /// A part of the sweep's work could not even be loaded.
    pub(crate) fn failed(&mut self, part: &'static str, error: &AwsError) {
        tracing::warn!(target: "runnerless", %error, part, "a part of the sweep is left to its next run");
        *self.counts.entry(format!("{part}.failed")).or_insert(0) += 1;
        let result = Result::Failed(error.name().to_owned());
        self.items.push(Item { row: part.to_owned(), action: "load", reason: error.to_string(), result });
    }

    /// Whether all that was tried failed: the sweep did no work. A GitLab that lists nothing is no failure of the sweep; it
    /// has an alarm of its own.
    pub(crate) fn is_failure(&self) -> bool {
        let swept = || self.counts.iter().filter(|(name, _)| !name.starts_with("list."));
        let failed: u64 = swept().filter(|(name, _)| name.ends_with(".failed")).map(|(_, count)| count).sum();
        failed > 0 && failed == swept().map(|(_, count)| count).sum::<u64>()
    }

    /// Logs and counts. Nothing is said of a sweep that had nothing to do, which is nearly every one.
    pub(crate) fn publish(&self) {
        if !self.unreadable.is_empty() {
            tracing::error!(target: "runnerless", rows = ?self.unreadable, "rows that cannot be read are left alone");
            metrics::trouble(SERVICE, "UnreadableRows", self.unreadable.len() as u64, &json!({}));
        }
        let failed: u64 =
            self.counts.iter().filter(|(name, _)| name.ends_with(".failed")).map(|(_, count)| count).sum();
        if failed > 0 {
            metrics::trouble(SERVICE, "SweepFailures", failed, &json!({}));
        }
        if self.more {
            metrics::trouble(SERVICE, "SweepsCutShort", 1, &json!({"due.jobs": self.due_jobs}));
        }
        if !self.counts.is_empty() {
            tracing::info!(target: "runnerless", counts = ?self.counts, more = self.more, "swept");
        }
    }
}
