//! How many slots are needed, now and lately.

use super::view::{Seen, Standing};
use crate::pool::{Memory, Need, Pending, Phase, Settings};
use crate::time::Timestamp;

/// Runs of one minute share an entry, so that a row stays small whoever starts them.
const MINUTE: i64 = 60_000;

/// So many members that never told, beside none that tells: it is the way to them that is closed, and not their boot that
/// failed. Launching others in their place would end at the maximum.
const MUTE: usize = 3;

/// What is needed.
pub(super) struct Demand {
    /// The slots that are taken, those of the unknown included.
    pub(super) busy: u64,
    /// The slots that are needed.
    pub(super) need: u64,
    /// The most that were needed in the window, now included.
    pub(super) highest: u64,
    /// Jobs that wait beside members which do not take them.
    pub(super) not_taken: u32,
    /// No member tells, and several should.
    pub(super) mute: bool,
    /// Nobody has known for several runs whether jobs wait.
    pub(super) blind: bool,
    /// What is remembered of it.
    pub(super) needs: Vec<Need>,
}

/// What the members' jobs and those that wait need.
pub(super) fn of(
    now: Timestamp,
    settings: &Settings,
    seen: &[Seen<'_>],
    pending: &Pending,
    memory: &Memory,
    watched_since: Timestamp,
) -> Demand {
    let known = match pending {
        Pending::Known(jobs) => Some(*jobs),
        Pending::Unknown(_) => None,
    };
    let before: &[Need] = if watched_since == now { &[] } else { &memory.needs };
    let mut needs = with_now(before, now, known);
    let runs = usize::try_from(settings.idle_scrapes).unwrap_or(usize::MAX);
    let lately = (needs.len() >= runs).then(|| &needs[needs.len() - runs..]);
    let somebody_idle = seen.iter().any(|seen| seen.idle_slots(settings.idle_scrapes).is_some_and(|slots| slots > 0));
    let not_taken = lately
        .filter(|_| somebody_idle)
        .and_then(|needs| needs.iter().map(|need| need.pending).min().flatten())
        .unwrap_or(0);
    let blind = lately.is_some_and(|needs| needs.iter().all(|need| need.pending.is_none()));

    let jobs: u64 = seen.iter().map(jobs).sum();
    let unknown: u64 = seen.iter().map(unknown_slots).sum();
    let waiting = u64::from(known.unwrap_or(0).saturating_sub(not_taken));
    let mute = mute(seen);
    let margin = if mute { 0 } else { with_margin(settings, jobs) };
    // The margin is one for jobs that run. Who waits needs a slot and no more: a margin on a burst is gone before it has booted.
    // What is unknown is needed as it is: else a scrape that fails would make the pool grow.
    let need = margin.saturating_add(waiting).saturating_add(unknown);

    if let Some(last) = needs.last_mut() {
        last.slots = last.slots.max(u32::try_from(need).unwrap_or(u32::MAX));
    }
    let in_window = |need: &Need| now - need.at <= settings.stabilisation;
    let highest = needs.iter().filter(|need| in_window(need)).map(|need| u64::from(need.slots)).fold(need, u64::max);
    let old = needs.iter().take_while(|need| !in_window(need)).count();
    needs.drain(..old.min(needs.len().saturating_sub(runs)));
    Demand { busy: jobs.saturating_add(unknown), need, highest, not_taken, mute, blind, needs }
}

fn mute(seen: &[Seen<'_>]) -> bool {
    let tells = |seen: &Seen<'_>| matches!(seen.standing, Standing::Serving { .. } | Standing::Draining);
    let late =
        |seen: &&Seen<'_>| matches!(seen.standing, Standing::Late { .. }) && seen.member.phase == Phase::InService;
    !seen.iter().any(tells) && seen.iter().filter(late).count() >= MUTE
}

/// The entries with one for this minute, the need of which is not known yet.
fn with_now(before: &[Need], now: Timestamp, pending: Option<u32>) -> Vec<Need> {
    let mut needs = before.to_vec();
    match needs.last_mut().filter(|last| last.at.0.div_euclid(MINUTE) == now.0.div_euclid(MINUTE)) {
        Some(last) => {
            last.pending = last.pending.zip(pending).map(|(one, other)| one.min(other));
            last.at = now;
        }
        None => needs.push(Need { at: now, slots: 0, pending }),
    }
    needs
}

/// The slots for so many jobs: as many as the target utilisation asks for, and at least the headroom more.
fn with_margin(settings: &Settings, jobs: u64) -> u64 {
    let utilised = jobs.saturating_mul(100).div_ceil(settings.target_utilisation.max(1).into());
    utilised.max(jobs.saturating_add(settings.headroom_slots.into()))
}

const fn jobs(seen: &Seen<'_>) -> u64 {
    match seen.standing {
        Standing::Serving { jobs, .. } => jobs,
        _ => 0,
    }
}

const fn unknown_slots(seen: &Seen<'_>) -> u64 {
    match seen.standing {
        Standing::Unknown { slots, .. } => slots,
        _ => 0,
    }
}
