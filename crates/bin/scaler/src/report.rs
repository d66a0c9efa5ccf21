//! What a run saw and did: outcomes are counted, not attempts.

use runnerless_core::pool::{Action, Decision, Finding, Summary};
use runnerless_lambda_kit::metrics;
use serde::Serialize;
use serde_json::json;

use crate::SERVICE;

/// Most items of a kind that an answer lists and the log tells one by one; all are counted.
const LISTED: usize = 100;

/// How an action that did not fail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// As it was decided.
    AsDecided,
    /// It turned out not to be needed.
    NotNeeded(String),
}

/// What came of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A dry run: nothing was tried.
    Planned,
    /// It is done.
    Done(Done),
    /// It failed, under this error's name. Whether AWS did it nevertheless, the next run sees.
    Failed(String),
    /// It was not tried, or not to the end: the next run decides anew.
    Left(String),
}

impl Outcome {
    fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Planned => ("planned", None),
            Self::Done(Done::AsDecided) => ("done", None),
            Self::Done(Done::NotNeeded(why)) => ("not_needed", Some(why)),
            Self::Failed(name) => ("failed", Some(name)),
            Self::Left(why) => ("left", Some(why)),
        }
    }
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What was decided, with its reason.
    pub action: String,
    /// `planned`, `done`, `not_needed`, `failed` or `left`.
    pub result: &'static str,
    /// Why, where it is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The numbers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Members by which desired capacity was raised.
    pub grown: u64,
    /// Members that were asked to go.
    pub retired: u64,
    /// Actions that failed.
    pub failed: u64,
    /// What needs an operator.
    pub troubles: u64,
    /// Actions that were done, or turned out not to be needed. Holding is none.
    pub done: u64,
}

/// What a run saw and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The group.
    pub group: String,
    /// Whether it only decided.
    pub dry_run: bool,
    /// Whether another run was faster: it decided, and this one did nothing.
    pub lost: bool,
    /// What it saw.
    pub seen: Summary,
    /// What came of it.
    pub counts: Counts,
    /// The actions, the first hundred.
    pub actions: Vec<Item>,
    /// What an operator should know, the first hundred.
    pub findings: Vec<String>,
}

impl Report {
    /// Of a run that did nothing yet. `counts_pending`: the stack wants waiting jobs to be counted.
    pub(crate) fn new(group: &str, decision: &Decision, dry_run: bool, counts_pending: bool) -> Self {
        let troubles = decision.findings.iter().filter(|finding| is_trouble(finding, counts_pending)).count();
        let findings = decision.findings.iter().take(LISTED);
        for finding in findings.clone() {
            if is_trouble(finding, counts_pending) {
                tracing::warn!(target: "runnerless", group, trouble = name(finding), "{finding}");
            } else {
                tracing::info!(target: "runnerless", group, finding = name(finding), "{finding}");
            }
        }
        Self {
            group: group.to_owned(),
            dry_run,
            lost: false,
            seen: decision.summary,
            counts: Counts { troubles: troubles as u64, ..Counts::default() },
            actions: Vec::new(),
            findings: findings.map(ToString::to_string).collect(),
        }
    }

    /// A dry run's word.
    pub(crate) fn planned(&mut self, actions: &[Action]) {
        actions.iter().for_each(|action| self.add(action, Outcome::Planned));
    }

    /// Another run decided, and acts.
    pub(crate) fn lost(&mut self, actions: &[Action]) {
        self.lost = true;
        let why = "another run decided meanwhile";
        actions.iter().for_each(|action| self.add(action, Outcome::Left(why.to_owned())));
    }

    /// Takes what came of an action, and says so.
    pub(crate) fn add(&mut self, action: &Action, outcome: Outcome) {
        if !matches!(action, Action::Hold { .. }) && matches!(outcome, Outcome::Done(_)) {
            self.counts.done += 1;
        }
        match (action, &outcome) {
            (Action::Grow { from, to, .. }, Outcome::Done(Done::AsDecided)) => {
                self.counts.grown += u64::from(to.saturating_sub(*from));
            }
            (Action::Retire { .. }, Outcome::Done(Done::AsDecided)) => self.counts.retired += 1,
            (_, Outcome::Failed(_)) => {
                self.counts.failed += 1;
                self.counts.troubles += 1;
            }
            _ => {}
        }
        let (result, why) = outcome.words();
        if self.actions.len() < LISTED {
            let (group, why) = (self.group.as_str(), why.unwrap_or_default());
            tracing::info!(target: "runnerless", group, result, why, "{action}");
            self.actions.push(Item {
                action: action.to_string(),
                result,
                why: Some(why.to_owned()).filter(|why| !why.is_empty()),
            });
        }
    }

    /// Whether all that was tried failed: the run did no work.
    pub(crate) fn is_failure(&self) -> bool {
        self.counts.failed > 0 && self.counts.done == 0
    }

    /// The numbers, as metrics of this pool.
    pub(crate) fn publish(&self) {
        let Summary { desired, serving, unknown, slots, busy, pending, need, .. } = self.seen;
        let Summary { coming, late, leaving, unhealthy, highest_need, .. } = self.seen;
        let Counts { grown, retired, failed, troubles, .. } = self.counts;
        let mut values = vec![
            ("PoolDesired", desired.into()),
            ("PoolServing", serving.into()),
            ("PoolUnknown", unknown.into()),
            ("PoolSlots", slots),
            ("PoolBusySlots", busy),
            ("PoolNeededSlots", need),
            ("PoolTroubles", troubles),
        ];
        // What nobody knows is no number.
        values.extend(pending.map(|jobs| ("PoolPendingJobs", jobs.into())));
        // Each metric has a price by the month; these are for people who read the line.
        let fields = json!({
            "coming": coming, "late": late, "leaving": leaving, "unhealthy": unhealthy, "highest_need": highest_need,
            "grown": grown, "retired": retired, "failed": failed, "lost": self.lost,
        });
        metrics::measure(SERVICE, ("pool", &self.group), &values, &fields);
    }
}

/// Whether an operator should look. A pool that was told of no projects counts no waiting jobs by its operator's wish.
const fn is_trouble(finding: &Finding, counts_pending: bool) -> bool {
    match finding {
        Finding::PendingUnknown { .. } => counts_pending,
        Finding::Changed { .. } => false,
        Finding::Unhealthy { .. }
        | Finding::LateBoot { .. }
        | Finding::Short { .. }
        | Finding::StillHere { .. }
        | Finding::NotTaken { .. }
        | Finding::Mute { .. }
        | Finding::Misconfigured(_) => true,
    }
}

const fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Unhealthy { .. } => "Unhealthy",
        Finding::LateBoot { .. } => "LateBoot",
        Finding::Short { .. } => "Short",
        Finding::Changed { .. } => "Changed",
        Finding::StillHere { .. } => "StillHere",
        Finding::PendingUnknown { .. } => "PendingUnknown",
        Finding::NotTaken { .. } => "NotTaken",
        Finding::Mute { .. } => "Mute",
        Finding::Misconfigured(_) => "Misconfigured",
    }
}
