//! What a run's listing came to, and what the operator is told of it.

use std::collections::BTreeMap;

use runnerless_core::limits;
use runnerless_core::project::{Census, Class, Rounds};
use runnerless_core::time::Millis;
use runnerless_lambda_kit::metrics;
use serde::Serialize;
use serde_json::json;

use super::visit::Stop;
use crate::SERVICE;

/// A run's listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// How many projects are known, as last counted.
    pub projects: Census,
    /// How many calls it made.
    pub calls: u32,
    /// The longest that a job of a known project may wait for its listing, in seconds; `None` without a project.
    pub bound_s: Option<i64>,
    /// The same by how lively projects are.
    pub bounds_s: BTreeMap<Class, i64>,
    /// How long the project that is most overdue waits for its listing, in seconds.
    pub late_s: i64,
    /// Why it ended before its calls and its time did.
    pub stopped: Option<String>,
    #[serde(skip)]
    over: Vec<(Class, Millis)>,
    #[serde(skip)]
    stop: Option<Stop>,
}

impl Listed {
    pub(super) fn new(rounds: &Rounds, calls: u32, late: Millis, stop: Option<Stop>) -> Self {
        let bounds = Class::ALL.into_iter().filter_map(|class| Some((class, seconds(rounds.bound.of(class)?))));
        Self {
            projects: rounds.census,
            calls,
            bound_s: rounds.bound.longest().map(seconds),
            bounds_s: bounds.collect(),
            late_s: seconds(late),
            stopped: stop.as_ref().map(Stop::words),
            over: rounds.bound.over().collect(),
            stop,
        }
    }

    /// Counts, and sounds the alarms.
    pub(super) fn publish(&self, found: usize) {
        if found > 0 {
            metrics::count(SERVICE, "JobsFound", found as u64, &json!({}));
        }
        if let Some(bound) = self.bound_s {
            metrics::count(SERVICE, "ListingBound", bound.unsigned_abs(), &json!({"bounds_s": self.bounds_s}));
        }
        match &self.stop {
            Some(Stop::Token) => metrics::trouble(SERVICE, "ApiTokenRefused", 1, &json!({})),
            Some(Stop::Unsupported(why)) => metrics::trouble(SERVICE, "ListingUnsupported", 1, &json!({"why": why})),
            Some(Stop::Unavailable(_)) | None => {}
        }
        if let Some(why) = self.behind() {
            metrics::trouble(SERVICE, "ListingBehind", 1, &json!({"why": why, "late_s": self.late_s}));
        }
    }

    /// Why jobs whose hook was lost may wait longer than promised.
    fn behind(&self) -> Option<String> {
        if let Some((class, bound)) = self.over.first() {
            let (bound, stated) = (seconds(*bound), seconds(class.stated()));
            return Some(format!("{class:?} projects are listed within {bound} s, and {stated} s are promised"));
        }
        let is_late = self.late_s > seconds(limits::LISTING_SLACK);
        is_late.then(|| format!("a project is {} s overdue", self.late_s))
    }
}

fn seconds(length: Millis) -> i64 {
    length.0.div_euclid(1000)
}
