//! One world: its parts in time, and the runs that come in each minute.

use std::collections::BTreeMap;

use fastrand::Rng;
use runnerless_core::pool::{Group, PoolRow, Scrape, Settings};
use runnerless_core::time::{Millis, Timestamp};

use super::Decide;
use super::chaos::Troubles;
use super::draw;
use super::referee::{Broken, Hits, Promise};
use crate::pool::{BEGIN, Pool, Shape};

/// How long things go wrong.
pub(super) const TROUBLED: Millis = Millis::minutes(90);

/// A pool, the scaler's runs, and its ledger row.
pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) rng: Rng,
    pub(crate) hits: Hits,
    pub(crate) troubles: Troubles,
    pub(crate) troubled: bool,
    /// Whether the scaler has a token that tells how many jobs wait.
    pub(crate) has_token: bool,
    /// Jobs that ended with their hardware: outside the promise.
    pub(crate) lost_jobs: usize,
    pub(crate) last_scrape: BTreeMap<String, Scrape>,
    pub(super) settings: Settings,
    pub(super) decides: Decide,
    /// The pool's row, as the ledger keeps it.
    pub(super) row: Option<PoolRow>,
    /// What Auto Scaling described last: what a description that is behind shows.
    pub(super) described: Option<Group>,
    /// When there was last a job, once things are calm.
    pub(super) busy_at: Timestamp,
    pub(super) burst_at: Millis,
    pub(super) burst: usize,
}

impl World {
    pub(crate) fn new(seed: u64, decides: Decide) -> Self {
        let mut rng = Rng::with_seed(seed);
        let has_token = rng.u32(..4) > 0;
        let settings = draw::settings(&mut rng, has_token);
        let shape = Shape {
            minimum: rng.u32(0..=2),
            maximum: rng.u32(6..=14),
            slots: settings.slots_per_member,
            in_service: Millis::secs(20),
            boot: Millis::secs(rng.i64(40..=200)),
            drains: true,
            protects: rng.u32(..4) > 0,
            stillborn: 30,
        };
        let (trace, burst_at, burst) = draw::jobs(&mut rng, &settings);
        let desired = rng.u32(0..=4);
        Self {
            pool: Pool::new(shape, desired, trace, rng.u64(..)),
            hits: Hits::default(),
            troubles: Troubles::default(),
            troubled: true,
            has_token,
            lost_jobs: 0,
            last_scrape: BTreeMap::new(),
            settings,
            decides,
            row: None,
            described: None,
            busy_at: BEGIN,
            burst_at,
            burst,
            rng,
        }
    }

    /// Lives through it all.
    pub(crate) fn live(&mut self) -> Result<(), Broken> {
        while self.pool.now() < BEGIN + TROUBLED {
            self.minute_of_trouble();
            self.minute()?;
        }
        for _ in self.pool.members.iter().filter(|member| member.ready_at.is_none()) {
            self.hits.hit("stillborn");
        }
        self.calm();
        // Whatever was launched until now comes or is late.
        self.quiet_until(BEGIN + self.burst_at - Millis::minutes(2))?;
        // No member can take jobs, or all take some that it may have, and these are too many.
        if self.room() == 0 || (self.serving() >= self.room() && self.pool.waiting() > 0) {
            self.hits.hit("too small for its jobs");
            return Ok(());
        }
        self.is_down()?;
        self.grows_for_the_burst()?;
        let give_up = self.pool.now() + Millis::days(1);
        while !self.pool.is_over() && self.pool.now() < give_up {
            self.minute()?;
        }
        self.quiet_until(self.pool.now() + self.comes_down_within())?;
        self.is_down()?;
        self.jobs_finished()
    }

    pub(super) fn quiet_until(&mut self, until: Timestamp) -> Result<(), Broken> {
        while self.pool.now() < until {
            self.minute()?;
            if self.pool.waiting() > 0 || self.pool.members.iter().any(|member| !member.running.is_empty()) {
                self.busy_at = self.pool.now();
            }
        }
        Ok(())
    }

    /// A minute with the runs that come in it.
    fn minute(&mut self) -> Result<(), Broken> {
        let next = Timestamp((self.pool.now().0 / 60_000 + 1) * 60_000);
        if self.strikes("no run", 40) {
            // The schedule was late, or Lambda throttled.
        } else if self.strikes("two runs at once", 60) {
            self.two_runs()?;
        } else {
            let run = self.load();
            self.pass(3);
            if self.store(&run)? {
                self.act(&run, &mut run.decision.actions.iter())?;
            }
        }
        self.pool.advance(next);
        Ok(())
    }

    /// Two runs that overlap, in one of the two ways in which they can.
    fn two_runs(&mut self) -> Result<(), Broken> {
        let one = self.load();
        if self.rng.bool() {
            let other = self.load();
            self.pass(2);
            let (stored, also) = (self.store(&one)?, self.store(&other)?);
            if !stored || also {
                let what = format!("of two runs on one row, stored: {stored}, {also}");
                return Err(Broken { promise: Promise::OneDecides, what });
            }
            self.hits.hit("another run decided");
            return self.act(&one, &mut one.decision.actions.iter());
        }
        if self.store(&one)? {
            self.pass(1);
            let other = self.load();
            if self.store(&other)? {
                self.hits.hit("two runs act at once");
                let (mut its, mut others) = (one.decision.actions.iter(), other.decision.actions.iter());
                while its.len() + others.len() > 0 {
                    if self.rng.bool() {
                        self.act(&one, &mut its.by_ref().take(1))?;
                    } else {
                        self.act(&other, &mut others.by_ref().take(1))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A little time, in which jobs come and go.
    pub(super) fn pass(&mut self, most_seconds: i64) {
        let millis = self.rng.i64(0..=most_seconds * 1000);
        self.pool.advance(self.pool.now() + Millis(millis));
    }
}
