//! A runner manager's metrics, read from the Prometheus text format.
//!
//! Read strictly: a line that is none, a body that was cut off, or a number that no gauge of ours can have is an answer of
//! something else than a healthy runner manager, and makes the scrape a failed one.

mod line;

use self::line::{Sample, sample};
use super::{Process, Reading};
use crate::time::Timestamp;

/// The longest body that is read. A runner manager's has some tens of kilobytes, and one with all its optional metrics a few
/// hundred.
pub const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// Above this a gauge's number is not exact any more.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Why a body says nothing about its runner manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMetrics {
    /// It is too long.
    #[error("the metrics have {0} bytes, of which no more than {LONGEST_BODY} are read")]
    TooLong(usize),
    /// It does not end with a line's end.
    #[error("the metrics were cut off")]
    CutOff,
    /// A line is not of the text format.
    #[error("line {line} of the metrics: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A number that this metric cannot have.
    #[error("{metric} is {value}")]
    Value {
        /// The metric's name.
        metric: &'static str,
        /// The number.
        value: String,
    },
    /// A metric that each runner manager has.
    #[error("{0} is missing: this is not a runner manager that runs")]
    Missing(&'static str),
}

const JOBS: &str = "gitlab_runner_jobs";
const JOBS_TOTAL: &str = "gitlab_runner_jobs_total";
const CONCURRENT: &str = "gitlab_runner_concurrent";
const LIMIT: &str = "gitlab_runner_limit";
const PROCESS: &str = "gitlab_runner_process_state_info";

/// Reads a body that was answered at `answered_at`, by the clock of the member or of ours.
///
/// # Errors
/// What makes the scrape a failed one, see [`BadMetrics`].
pub fn read(body: &str, answered_at: Timestamp) -> Result<Reading, BadMetrics> {
    if body.len() > LONGEST_BODY {
        return Err(BadMetrics::TooLong(body.len()));
    }
    if !body.ends_with('\n') {
        return Err(BadMetrics::CutOff);
    }
    let mut found = Found::default();
    for (index, text) in body.lines().enumerate() {
        let bad = |what| BadMetrics::Line { line: index + 1, what };
        if let Some(sample) = sample(text).map_err(bad)? {
            found.take(&sample, answered_at)?;
        }
    }
    found.reading(answered_at)
}

/// What was found so far: sums over all series, because the labels differ between versions.
#[derive(Default)]
struct Found {
    jobs: Option<u64>,
    jobs_total: Option<u64>,
    concurrent: Option<u64>,
    /// The sum of the runners' limits; `None` if one of them has none.
    limit: Option<Option<u64>>,
    states: Vec<Process>,
    /// The sample's own time that is furthest from the answer's.
    sampled_at: Option<Timestamp>,
}

impl Found {
    fn take(&mut self, sample: &Sample<'_>, answered_at: Timestamp) -> Result<(), BadMetrics> {
        match sample.name {
            JOBS => self.jobs = Some(added(self.jobs, number(JOBS, sample.value)?)),
            JOBS_TOTAL => self.jobs_total = Some(added(self.jobs_total, number(JOBS_TOTAL, sample.value)?)),
            CONCURRENT => {
                let slots = number(CONCURRENT, sample.value)?;
                self.concurrent = Some(self.concurrent.map_or(slots, |other| other.min(slots)));
            }
            LIMIT => {
                let limit = Some(number(LIMIT, sample.value)?).filter(|limit| *limit > 0);
                let sum = self.limit.unwrap_or(Some(0));
                self.limit = Some(sum.zip(limit).map(|(sum, limit)| sum.saturating_add(limit)));
            }
            PROCESS => {
                if number(PROCESS, sample.value)? > 0 {
                    self.states.push(process(sample.label("state").as_deref()));
                }
            }
            _ => return Ok(()),
        }
        if let Some(at) = sample.taken_at {
            let apart = |at: Timestamp| (at - answered_at).0.unsigned_abs();
            self.sampled_at = Some(self.sampled_at.filter(|other| apart(*other) >= apart(at)).unwrap_or(at));
        }
        Ok(())
    }

    fn reading(self, answered_at: Timestamp) -> Result<Reading, BadMetrics> {
        let process = match self.states[..] {
            [one] => one,
            // Two states at once: what takes no more jobs is believed.
            _ if self.states.contains(&Process::Draining) => Process::Draining,
            _ => Process::Unknown,
        };
        let concurrent = self.concurrent.ok_or(BadMetrics::Missing(CONCURRENT))?;
        let jobs = match (self.jobs, process) {
            (Some(jobs), _) => jobs,
            // Before its first request for a job a runner manager has no series of jobs.
            (None, Process::Running | Process::Starting) => 0,
            (None, Process::Draining | Process::Unknown) => return Err(BadMetrics::Missing(JOBS)),
        };
        let capacity = self.limit.flatten().map_or(concurrent, |limit| limit.min(concurrent));
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Reading {
            taken_at: self.sampled_at.unwrap_or(answered_at),
            jobs: small(jobs),
            capacity: Some(small(capacity)),
            process,
            jobs_total: self.jobs_total,
        })
    }
}

fn added(sum: Option<u64>, number: u64) -> u64 {
    sum.unwrap_or(0).saturating_add(number)
}

/// A count: whole, not negative, and exact.
fn number(metric: &'static str, value: f64) -> Result<u64, BadMetrics> {
    if (0.0..=EXACT).contains(&value) && value.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within the limits above"
        )]
        return Ok(value as u64);
    }
    Err(BadMetrics::Value { metric, value: value.to_string() })
}

fn process(state: Option<&str>) -> Process {
    match state {
        Some("running") => Process::Running,
        Some("starting") => Process::Starting,
        Some("graceful-shutdown" | "forceful-shutdown") => Process::Draining,
        _ => Process::Unknown,
    }
}
