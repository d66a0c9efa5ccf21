//! A pool's circumstances, drawn from its world's seed: settings, group, members and when its last jobs come.

use std::ops::Range;

use fastrand::Rng;
use runnerless_core::lane::TagSet;
use runnerless_core::pool::{Group, Hook, REBALANCE, Settings};
use runnerless_core::time::Millis;

use crate::setup::Knowledge;

/// The group's name.
pub(crate) const GROUP: &str = "builds";
/// The tags of the pool's runner. No lane has one of them, so that none of ours is ever handed a job of the pool's.
const TAGS: [&str; 2] = ["gpu", "warm"];
/// The heartbeats of terminating hooks (s): the template's, and shorter ones of groups that were there before.
const HEARTBEATS: [i64; 3] = [1800, 600, 180];
/// The quickest boot from the launch until the runner manager's start, and the slowest of a usual one (ms).
const BOOTS: Range<i64> = 30_000..200_000;
/// How much longer than the quickest a boot takes (ms).
const BOOT_SPREAD: Range<i64> = 1_000..40_000;
/// From when nothing goes wrong any more until the last jobs come (ms).
const QUIET: Range<i64> = 1_200_000..2_400_000;

/// A pool's circumstances.
#[derive(Clone, Debug)]
pub(crate) struct PoolSetup {
    /// The tags of its runner.
    pub(crate) tags: TagSet,
    /// How it is sized.
    pub(crate) settings: Settings,
    /// The group as somebody made it.
    pub(crate) group: Group,
    /// From a launch until the runner manager's start (ms).
    pub(crate) boot: Range<i64>,
    /// Whether the scaler has an API token, and counts the jobs that wait.
    pub(crate) counts_waiting: bool,
    /// When the last jobs come, after everything that goes wrong.
    pub(crate) burst_after: Millis,
    /// How many they are.
    pub(crate) burst: usize,
    /// The seed of what is drawn for the jobs.
    pub(crate) load: u64,
}

impl PoolSetup {
    /// Draws them.
    pub(crate) fn draw(rng: &mut Rng, knowledge: Knowledge) -> Self {
        let counts_waiting = knowledge == Knowledge::Token;
        let settings = draw_settings(rng, counts_waiting);
        let quickest = rng.i64(BOOTS);
        let most = settings.slots_per_member * settings.maximum.min(5);
        let Ok(tags) = TagSet::new(TAGS) else { unreachable!("they are tags") };
        Self {
            tags,
            group: draw_group(rng, &settings),
            boot: quickest..quickest + rng.i64(BOOT_SPREAD),
            counts_waiting,
            burst_after: Millis(rng.i64(QUIET)),
            burst: usize::try_from(rng.u32(1..=most)).unwrap_or(1),
            load: rng.u64(..),
            settings,
        }
    }

    /// The most that the group may have, as it is now.
    pub(crate) fn maximum(&self, group: &Group) -> u32 {
        self.settings.maximum.min(group.maximum)
    }

    /// The members that it may keep when there is nothing to do.
    pub(crate) fn idle_members(&self, group: &Group) -> u32 {
        let minimum = self.settings.minimum.max(group.minimum).min(self.maximum(group));
        let headroom = self.settings.headroom_slots.div_ceil(self.settings.slots_per_member);
        // Who cannot ask whether jobs wait keeps one member, so that something can be seen.
        minimum.max(headroom).max(u32::from(!self.counts_waiting))
    }

    /// From the last job's end until the pool is down: what booted for nothing is late, the window of the highest need is over,
    /// members are seen idle, and go a step at a time; and once more for those that came meanwhile.
    pub(crate) fn comes_down_within(&self) -> Millis {
        let steps = i64::from(self.settings.maximum.div_ceil(self.settings.shrink_step));
        let runs = i64::from(self.settings.idle_scrapes) + 3 * steps + 8;
        Millis(self.settings.warm_up.0 + self.settings.stabilisation.0 + runs * 60_000)
    }

    /// Whether the hook lets a member wait for the longest job: else none may be let go.
    pub(crate) fn lets_go(&self) -> bool {
        let waits = self.group.hook.as_ref().map_or(0, |hook| hook.heartbeat.0 * runnerless_core::pool::HEARTBEATS);
        waits >= self.settings.longest_job.0
    }
}

/// Without a token and without headroom a pool would see no need beyond its slots.
fn draw_settings(rng: &mut Rng, counts_waiting: bool) -> Settings {
    let settings = Settings {
        minimum: rng.u32(0..=2),
        maximum: rng.u32(4..=10),
        target_utilisation: rng.u32(50..=100),
        headroom_slots: rng.u32(u32::from(!counts_waiting)..=3),
        grow_step: rng.u32(1..=10),
        shrink_step: rng.u32(1..=4),
        idle_scrapes: rng.u32(2..=4),
        stabilisation: Millis::minutes(rng.i64(0..=10)),
        warm_up: Millis::minutes(5),
        unhealthy_after: 3,
        slots_per_member: rng.u32(1..=4),
        // One pool in ten has a hook that is too short for this.
        longest_job: Millis::minutes(if rng.u32(0..10) == 0 { 40 * 60 } else { 190 }),
    };
    let Ok(settings) = settings.checked() else { unreachable!("each is drawn from within its limits") };
    settings
}

fn draw_group(rng: &mut Rng, settings: &Settings) -> Group {
    let heartbeat = Millis::secs(HEARTBEATS[rng.usize(..HEARTBEATS.len())]);
    let minimum = rng.u32(0..=2);
    let maximum = rng.u32(4..=settings.maximum + 2);
    Group {
        name: GROUP.to_owned(),
        minimum,
        maximum,
        desired: rng.u32(minimum..=maximum.min(4)),
        protects_new_members: rng.u32(0..4) > 0,
        suspended: if rng.bool() { vec![REBALANCE.to_owned()] } else { Vec::new() },
        hook: Some(Hook { name: "runnerless-drain".to_owned(), heartbeat, default_result: "CONTINUE".to_owned() }),
        members: Vec::new(),
    }
}
