//! A member: its instance, its runner manager's process as the kernel shows it, and what the program beside that noted.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runnerless_core::pool::leaving::{self, Manager, Process};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::metrics::Table;

use super::{Happens, agent};
use crate::event::Event;
use crate::world::World;

/// What comes up of what a member's user data starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// All of it.
    Well,
    /// No runner manager ever.
    NoManager,
    /// Nothing at all.
    Dead,
}

/// The runner manager that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its process.
    pub(crate) process: Process,
    /// The world's number of it.
    pub(crate) number: u32,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What ends it from outside.
    plug: Arc<AtomicBool>,
    /// Whether it was told to take no more jobs.
    pub(crate) quits: bool,
    /// The jobs that it has.
    pub(crate) jobs: u32,
    /// The jobs that it took since it counts.
    pub(crate) taken: u64,
}

/// The hook that waits for a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hooked {
    /// Until when, if no heartbeat comes.
    pub(crate) until: Timestamp,
    /// Until when, however many come.
    pub(crate) limit: Timestamp,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) address: IpAddr,
    pub(crate) health: Health,
    pub(crate) booted: bool,
    /// By how much its clock is off.
    pub(crate) clock_off: Millis,
    pub(crate) running: Option<Running>,
    /// What the program beside the runner manager noted.
    pub(crate) notes: leaving::Memory,
    /// From when on its metadata service tells that it is to leave.
    pub(crate) leaves_from: Option<Timestamp>,
    pub(crate) hooked: Option<Hooked>,
    /// Whether its instance is ending.
    pub(crate) ends: bool,
    /// Until when nobody reaches it.
    pub(crate) silent_until: Timestamp,
    /// The metrics that it told last, and when they were made.
    pub(crate) told: Option<(Timestamp, Table)>,
}

impl Member {
    /// The nth that was launched.
    pub(crate) fn new(nth: u32, health: Health) -> Self {
        let [_, high, middle, low] = nth.to_be_bytes();
        Self {
            address: IpAddr::V4(Ipv4Addr::new(10, high, middle, low)),
            health,
            booted: false,
            clock_off: Millis(0),
            running: None,
            notes: leaving::Memory::default(),
            leaves_from: None,
            hooked: None,
            ends: false,
            silent_until: Timestamp(0),
            told: None,
        }
    }

    /// Whether the group has it go.
    pub(crate) const fn leaves(&self) -> bool {
        self.leaves_from.is_some()
    }

    /// Whether its runner manager takes jobs.
    pub(crate) fn takes_jobs(&self) -> bool {
        !self.leaves() && self.running.as_ref().is_some_and(|running| !running.quits)
    }

    /// The jobs that it has.
    pub(crate) fn jobs(&self) -> u32 {
        self.running.as_ref().map_or(0, |running| running.jobs)
    }

    /// Its runner manager has begun. The program beside it sees that within seconds.
    pub(crate) fn begins(&mut self, number: u32, plug: Arc<AtomicBool>, now: Timestamp) {
        let process = Process { pid: i32::try_from(number).unwrap_or(i32::MAX), started: now.0.unsigned_abs() };
        self.running = Some(Running { process, number, since: now, plug, quits: false, jobs: 0, taken: 0 });
        self.notes.manager = Some(process);
    }

    /// What the program beside it sees of the runner manager.
    pub(crate) fn manager(&self) -> Manager {
        match (&self.running, self.notes.manager) {
            (Some(running), _) => Manager::Runs(running.process),
            (None, Some(_)) => Manager::Gone,
            (None, None) => Manager::NeverSeen,
        }
    }

    /// Nothing on it goes a step further; the process that ended by that.
    pub(crate) fn unplug(&mut self) -> Option<u32> {
        let running = self.running.take()?;
        running.plug.store(true, Ordering::Relaxed);
        Some(running.number)
    }
}

/// A member's system is up: what its user data starts begins.
pub(super) fn boots(world: &World, id: &str) {
    let (health, leaves) = {
        let mut state = world.state();
        let Some(member) = state.pool.as_mut().and_then(|pool| pool.members.get_mut(id)) else { return };
        member.booted = true;
        (member.health, member.leaves())
    };
    if health == Health::Well {
        world.timeline.happens_in(Millis::secs(1), Event::Pool(Happens::Manager(id.to_owned())));
    }
    if leaves {
        agent::begins(world, id);
    }
}
