//! What a world must have come to.

use runnerless_core::time::Millis;

use super::referee::{Broken, Promise};
use super::world::World;
use crate::pool::{BEGIN, Fate, Member, State};

impl World {
    /// Members that take jobs.
    pub(super) fn serving(&self) -> u32 {
        let now = self.pool.now();
        let serving =
            |member: &&Member| member.state == State::Member && member.is_ready(now) && member.is_in_service(now);
        count(self.pool.members.iter().filter(serving).count())
    }

    /// How many members may take jobs. One that never began its runner is not ended for that, and takes up its place.
    pub(super) fn room(&self) -> u32 {
        let maximum = self.settings.maximum.min(self.pool.shape.maximum);
        let dead = self.pool.members.iter().filter(|member| !member.is_ready(self.pool.now())).count();
        maximum.saturating_sub(count(dead))
    }

    /// The members that an idle pool may keep.
    fn idle_members(&self) -> u32 {
        let maximum = self.settings.maximum.min(self.pool.shape.maximum);
        let minimum = self.settings.minimum.max(self.pool.shape.minimum).min(maximum);
        let headroom = self.settings.headroom_slots.div_ceil(self.settings.slots_per_member);
        // Without a token one member stays, so that something can be seen.
        minimum.max(headroom).max(u32::from(!self.has_token))
    }

    /// From the last job's end until a pool is down: what booted for nothing is late, the window of the highest need is over,
    /// members are seen idle, and go a step at a time; twice, because the second pass is for those that came in the first.
    pub(super) fn comes_down_within(&self) -> Millis {
        let steps = i64::from(14_u32.div_ceil(self.settings.shrink_step));
        Millis(
            self.settings.warm_up.0
                + self.settings.stabilisation.0
                + (i64::from(self.settings.idle_scrapes) + 3 * steps + 8) * 60_000,
        )
    }

    /// Nothing waits, and if there was no job for long enough nobody is there for none.
    pub(super) fn is_down(&mut self) -> Result<(), Broken> {
        if self.pool.waiting() > 0 {
            let what = format!("{} jobs wait, and nobody comes; {:?}", self.pool.waiting(), self.row);
            return Err(Broken { promise: Promise::Grows, what });
        }
        if self.pool.now() < self.busy_at + self.comes_down_within() {
            return Ok(());
        }
        self.hits.hit("long enough without a job");
        let (serving, may) = (self.serving(), self.idle_members());
        if serving > may {
            let what = format!("{serving} members serve nobody, and {may} may; {:?}", self.row);
            return Err(Broken { promise: Promise::ComesDown, what });
        }
        Ok(())
    }

    /// The burst's jobs begin within what booting takes, if the pool may have members for them.
    pub(super) fn grows_for_the_burst(&mut self) -> Result<(), Broken> {
        let burst = count(self.burst);
        if burst > self.room().saturating_mul(self.settings.slots_per_member) {
            self.hits.hit("no room for the burst");
            return Ok(());
        }
        // A member that tells nothing of those that wait sees them one by one: without a token a pool grows by its headroom.
        let rounds = if self.has_token {
            i64::from(burst.div_ceil(self.settings.slots_per_member).div_ceil(self.settings.grow_step))
        } else {
            i64::from(burst) + 1
        };
        let bound = Millis((60_000 + self.pool.shape.boot.0 + 10_000) * rounds + 120_000);
        self.quiet_until(BEGIN + self.burst_at + bound)?;
        let begun = &self.pool.fates[self.pool.fates.len() - self.burst..];
        if begun.iter().any(|fate| matches!(fate, Fate::Waiting)) {
            let what = format!("{burst} jobs came at once, and {} wait after {bound}", self.pool.waiting());
            return Err(Broken { promise: Promise::Grows, what });
        }
        Ok(())
    }

    pub(super) fn jobs_finished(&self) -> Result<(), Broken> {
        let killed = self.pool.fates.iter().filter(|fate| **fate == Fate::Killed).count();
        if killed != self.lost_jobs || !self.pool.is_over() {
            let what = format!("{killed} jobs were ended, {} of them with their hardware", self.lost_jobs);
            return Err(Broken { promise: Promise::JobsFinish, what });
        }
        Ok(())
    }
}

fn count(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}
