//! What is seen of each member, and what the next run is to remember of it.

use std::collections::BTreeMap;

use crate::pool::{Group, Member, MemberMemory, Memory, Phase, Process, Reading, Scrape, Settings};
use crate::time::{Millis, Timestamp};

/// Metrics that are older are no news: a scrape is answered within seconds, and clocks differ by some more.
const STALE: Millis = Millis::secs(90);

/// Metrics that are further ahead of our clock say nothing about now.
const AHEAD: Millis = Millis::secs(60);

/// For so long a member that was named for leaving may still be shown in service: Auto Scaling's descriptions are behind. It
/// counts for nothing meanwhile, so that no second one is named in its place. Longer than a run's minute.
const SETTLES: Millis = Millis::secs(150);

/// A member, as this run sees it.
pub(super) struct Seen<'a> {
    pub(super) member: &'a Member,
    /// What is remembered of it after this run.
    pub(super) memory: MemberMemory,
    pub(super) standing: Standing,
}

/// What a member is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes jobs.
    Serving { slots: u64, jobs: u64, told: Option<u32>, process: Process },
    /// It tells nothing now, so all its slots count as taken.
    Unknown { slots: u64, why: String },
    /// It boots.
    Coming,
    /// It should have booted by now.
    Late { age: Millis, why: String },
    /// It takes no more jobs, and leaves by itself.
    Draining,
    /// It was named for leaving just now.
    Settling,
    /// The group ends it.
    Leaving,
    /// A state of the group in which it takes part in nothing.
    Other,
}

impl Standing {
    /// Its slots, as far as it is in service.
    pub(super) const fn slots(&self) -> u64 {
        match self {
            Self::Serving { slots, .. } | Self::Unknown { slots, .. } => *slots,
            _ => 0,
        }
    }
}

impl Seen<'_> {
    /// Its slots, if it may be retired: in service, running, and seen idle for long enough.
    pub(super) fn idle_slots(&self, idle_scrapes: u32) -> Option<u64> {
        match self.standing {
            Standing::Serving { slots, jobs: 0, process: Process::Running, .. }
                if self.member.phase == Phase::InService && self.memory.idle >= idle_scrapes =>
            {
                Some(slots)
            }
            _ => None,
        }
    }
}

/// Looks at each member, in the order of their ids.
pub(super) fn look<'a>(
    now: Timestamp,
    settings: &Settings,
    group: &'a Group,
    scrapes: &BTreeMap<String, Scrape>,
    memory: &Memory,
) -> Vec<Seen<'a>> {
    let mut members: Vec<&Member> = group.members.iter().collect();
    members.sort_by(|one, other| one.id.cmp(&other.id));
    let see = |member: &'a Member| {
        let before = memory.members.get(&member.id).cloned().unwrap_or_else(|| MemberMemory::new(now));
        one(now, settings, member, scrapes.get(&member.id), before)
    };
    members.into_iter().map(see).collect()
}

fn one<'a>(
    now: Timestamp,
    settings: &Settings,
    member: &'a Member,
    scrape: Option<&Scrape>,
    before: MemberMemory,
) -> Seen<'a> {
    let settling = before.retired_at.is_some_and(|at| at <= now && now - at < SETTLES);
    let unseen = |standing| Seen { member, memory: before.clone(), standing };
    match member.phase {
        Phase::Leaving => return unseen(Standing::Leaving),
        Phase::Other(_) => return unseen(Standing::Other),
        Phase::Booting | Phase::InService => {}
    }
    let named_at = before.retired_at.filter(|_| settling && member.phase == Phase::InService);
    let seen = match reading(now, scrape, &before) {
        Ok(reading) => told(settings, member, reading, before),
        Err(why) => silent(now, settings, member, why, before),
    };
    match named_at {
        // What it tells is remembered all the same: one that stays after all is let go by readings that are in a row.
        Some(at) => {
            Seen { memory: MemberMemory { retired_at: Some(at), ..seen.memory }, standing: Standing::Settling, ..seen }
        }
        None => seen,
    }
}

/// A reading that says something about now, or why there is none.
fn reading<'a>(now: Timestamp, scrape: Option<&'a Scrape>, before: &MemberMemory) -> Result<&'a Reading, String> {
    let reading = match scrape {
        None => return Err("it was not asked".to_owned()),
        Some(Scrape::Failed(why)) => return Err(why.clone()),
        Some(Scrape::Good(reading)) => reading,
    };
    let age = now - reading.taken_at;
    if age > STALE {
        return Err(format!("its metrics are {} s old", age.0 / 1000));
    }
    if reading.taken_at - now > AHEAD {
        return Err(format!("its metrics are {} s ahead: look at its clock", -(age.0 / 1000)));
    }
    if before.taken_at.is_some_and(|last| reading.taken_at < last) {
        return Err("its metrics are older than the last".to_owned());
    }
    Ok(reading)
}

/// A member that tells.
fn told<'a>(settings: &Settings, member: &'a Member, reading: &Reading, before: MemberMemory) -> Seen<'a> {
    let mut memory = MemberMemory { failed: 0, retired_at: None, ..before };
    let idle = reading.jobs == 0 && reading.process == Process::Running;
    let same_jobs = memory.taken_at.is_some() && memory.jobs_total == reading.jobs_total;
    memory.idle = match (idle, same_jobs) {
        (false, _) => 0,
        // It took jobs since, or began anew: this scrape is the first that saw it idle.
        (true, false) => 1,
        // The same metrics twice are one scrape.
        (true, true) if memory.taken_at == Some(reading.taken_at) => memory.idle,
        (true, true) => memory.idle.saturating_add(1),
    };
    (memory.taken_at, memory.jobs_total) = (Some(reading.taken_at), reading.jobs_total);
    let standing = match reading.process {
        Process::Draining => Standing::Draining,
        process => Standing::Serving {
            slots: reading.capacity.unwrap_or(settings.slots_per_member).into(),
            jobs: reading.jobs.into(),
            told: reading.capacity,
            process,
        },
    };
    Seen { member, memory, standing }
}

/// A member that does not.
fn silent<'a>(now: Timestamp, settings: &Settings, member: &'a Member, why: String, before: MemberMemory) -> Seen<'a> {
    let age = now - member.launched_at.unwrap_or(before.first_seen);
    let mut memory = MemberMemory { idle: 0, retired_at: None, ..before };
    let never_told = memory.taken_at.is_none();
    if never_told && age <= settings.warm_up {
        return Seen { member, memory, standing: Standing::Coming };
    }
    if member.phase == Phase::InService {
        memory.failed = memory.failed.saturating_add(1);
    }
    let standing = if never_told {
        Standing::Late { age, why }
    } else {
        Standing::Unknown { slots: settings.slots_per_member.into(), why }
    };
    Seen { member, memory, standing }
}
