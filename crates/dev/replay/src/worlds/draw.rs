//! What a world is made of: its settings and its jobs.

use fastrand::Rng;
use runnerless_core::pool::Settings;
use runnerless_core::time::Millis;

use super::world::TROUBLED;
use crate::trace::{Job, Trace};

/// The longest job of the first part, in seconds.
const LONGEST_S: i64 = 900;

/// Without a token and without headroom a pool would see no need beyond its slots.
pub(super) fn settings(rng: &mut Rng, has_token: bool) -> Settings {
    Settings {
        minimum: rng.u32(0..=2),
        maximum: rng.u32(6..=14),
        target_utilisation: rng.u32(50..=100),
        headroom_slots: rng.u32(u32::from(!has_token)..=3),
        grow_step: rng.u32(1..=14),
        shrink_step: rng.u32(1..=6),
        idle_scrapes: rng.u32(2..=4),
        stabilisation: Millis::minutes(rng.i64(0..=10)),
        warm_up: Millis::minutes(5),
        unhealthy_after: 3,
        slots_per_member: rng.u32(1..=4),
        longest_job: Millis::minutes(60),
    }
    .checked()
    .expect("each is drawn from within its limits")
}

/// Jobs of the first part, and the burst's: when it comes and how many they are.
pub(super) fn jobs(rng: &mut Rng, settings: &Settings) -> (Trace, Millis, usize) {
    let mut jobs = Vec::new();
    let job = |rng: &mut Rng, at: i64, longest: i64| Job {
        at: Millis(at),
        length: Millis(rng.i64(5_000..=longest * 1000)),
        tag: "build".to_owned(),
    };
    for _ in 0..rng.u32(3..=25) {
        let at = rng.i64(0..(TROUBLED.0 - 600_000));
        for _ in 0..rng.u32(1..=10) {
            let after = rng.i64(0..20_000);
            jobs.push(job(rng, at + after, LONGEST_S));
        }
    }
    // The first part's jobs may need two hours one after the other, where the pool is small.
    let burst_at = Millis(TROUBLED.0 + Millis::minutes(300).0);
    let burst = rng.usize(1..=20).min(usize::try_from(6 * settings.slots_per_member).unwrap_or(1));
    for _ in 0..burst {
        // So long that none of them frees its slot for another in time.
        jobs.push(Job { at: burst_at, length: Millis::minutes(60), tag: "build".to_owned() });
    }
    jobs.sort_by_key(|job| job.at);
    (Trace { jobs }, burst_at, burst)
}
