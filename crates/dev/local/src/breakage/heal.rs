//! The cases that the sweep or the terminator puts right: all at once, swept by hand until each is over.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::case::Case;
use super::expect::Healer;
use super::ground::Ground;
use super::play::Seen;
use crate::case_lines::Verdict;
use crate::suite::SuiteError;

/// Pause between two sweeps.
const PAUSE: Duration = Duration::from_millis(500);
/// The schedule's minute, which sweeping by hand does not wait for.
const SCHEDULE_MS: i64 = 60_000;

impl Ground<'_> {
    /// Sweeps until all are over, or their time is.
    pub(super) async fn heal(
        &self,
        cases: Vec<(&Case, Seen)>,
        mut tell_of: impl FnMut(&Verdict),
    ) -> Result<(), SuiteError> {
        self.two_phase(true).await?;
        let mut open = Vec::new();
        for (case, mut seen) in cases {
            self.due(case, &mut seen).await?;
            open.push((case, seen));
        }
        let began = Instant::now();
        while !open.is_empty() {
            self.field.sweep().await?;
            let mut left = Vec::new();
            for (case, mut seen) in open {
                if self.is_over(case, seen.job).await?.is_none() && began.elapsed() < case.expect.within {
                    left.push((case, seen));
                } else {
                    self.judge(case, &mut seen).await?;
                    tell_of(&seen.verdict(case));
                }
            }
            open = left;
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// When the sweep may act: with its schedule's minute that is within the time that was stated. The rows of a killed
    /// executor change for some time.
    async fn due(&self, case: &Case, seen: &mut Seen) -> Result<(), SuiteError> {
        let row = self.field.row(seen.job).await?;
        let launch = self.field.launch(seen.job, &row).await?;
        let due = [&row, &launch].into_iter().filter_map(|row| row["next_check_at"].as_i64()).min();
        let after = due.map(|due| due - seen.lifted_ms);
        let within = i64::try_from(case.expect.within.as_millis()).unwrap_or(i64::MAX);
        seen.got["due_ms"] = json!(after);
        let tells = case.expect.healed_by == Healer::Sweep && !case.ends_executor();
        if tells && after.is_none_or(|after| after + SCHEDULE_MS > within) {
            seen.why.push(format!("no sweep is due in time: {row}"));
        }
        if tells && row["state"] != case.expect.stored {
            seen.why.push(format!("no sweep was needed: {row}"));
        }
        Ok(())
    }
}
