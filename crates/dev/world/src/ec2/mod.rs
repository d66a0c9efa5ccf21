//! EC2: what it started, what it shows of it and when, and what it answers.
//!
//! An instance is here whether or not anything runs on it: it boots late or never, its runner may end beside it, and what is
//! asked about it follows by seconds what became of it.

mod answer;
mod life;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runnerless_core::fleet::{EXPIRES_TAG, FleetAnswer, FleetRequest, Instance, InstanceState, LAUNCH_TAG};
use runnerless_core::id::LaunchId;
use runnerless_core::time::{Millis, Timestamp};

pub(crate) use answer::{Luck, answer};
pub(crate) use life::{boots, imitates, loses_power, starts, stops, terminated, warns};

/// How long after its end an instance is still somebody's business.
const BUSY: Millis = Millis::minutes(5);
/// How long EC2 shows an instance that is over.
const SHOWN_AFTER: Millis = Millis::minutes(60);

/// An instance, and what is known of it beside what EC2 shows.
#[derive(Debug)]
pub(crate) struct Machine {
    /// As EC2 shows it, but for its state.
    instance: Instance,
    /// From when on EC2 shows it.
    shown_from: Timestamp,
    /// From when on EC2 does something with it.
    known_from: Timestamp,
    running: bool,
    /// When it began to end, and when it is over.
    ends: Option<(Timestamp, Timestamp)>,
    /// From when on its metadata service is off.
    hidden_from: Option<Timestamp>,
    /// Its runner's process, and what ends that from outside.
    runner: Option<(u32, Arc<AtomicBool>)>,
    /// Whether EC2 said that it takes it back.
    warned: bool,
    /// Whether somebody else's stack launched it, which only looks like ours.
    pub(crate) is_alike: bool,
}

impl Machine {
    const fn new(instance: Instance, shown_from: Timestamp, known_from: Timestamp) -> Self {
        Self {
            instance,
            shown_from,
            known_from,
            running: false,
            ends: None,
            hidden_from: None,
            runner: None,
            warned: false,
            is_alike: false,
        }
    }

    fn state(&self, now: Timestamp) -> InstanceState {
        match self.ends {
            Some((_, over)) if over <= now => InstanceState::Terminated,
            Some(_) => InstanceState::ShuttingDown,
            None if self.running => InstanceState::Running,
            None => InstanceState::Pending,
        }
    }

    /// Whether EC2 does something with it: it knows its id, and not only later.
    pub(crate) fn is_known(&self, now: Timestamp) -> bool {
        self.known_from <= now && self.ends.is_none_or(|(_, over)| now < over + SHOWN_AFTER)
    }

    fn is_shown(&self, now: Timestamp) -> bool {
        self.shown_from <= now && self.ends.is_none_or(|(_, over)| now < over + SHOWN_AFTER)
    }

    fn as_shown(&self, now: Timestamp) -> Instance {
        Instance { state: self.state(now), ..self.instance.clone() }
    }

    /// The launch that its tag names.
    pub(crate) fn launch(&self) -> LaunchId {
        LaunchId::new(self.instance.tag(LAUNCH_TAG).unwrap_or_default())
    }

    /// Its hard end, by its tag.
    pub(crate) fn expires(&self) -> Timestamp {
        let tag = self.instance.tag(EXPIRES_TAG).and_then(|text| text.parse().ok());
        tag.map_or(Timestamp(i64::MAX), Timestamp)
    }

    /// When it was launched.
    pub(crate) const fn launched_at(&self) -> Timestamp {
        self.instance.launched_at
    }

    /// When it began to end.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        self.ends.map(|(at, _)| at)
    }

    /// Whether EC2 said that it takes it back.
    pub(crate) const fn is_warned(&self) -> bool {
        self.warned
    }

    /// Whether its metadata service is off.
    pub(crate) fn is_hidden(&self, now: Timestamp) -> bool {
        self.hidden_from.is_some_and(|at| at <= now)
    }
}

/// All instances of the account.
#[derive(Debug, Default)]
pub(crate) struct Cloud {
    machines: BTreeMap<String, Machine>,
    /// The first request of each token, and its answer.
    answered: BTreeMap<String, (FleetRequest, FleetAnswer)>,
}

impl Cloud {
    /// An instance.
    pub(crate) fn machine(&self, id: &str) -> Option<&Machine> {
        self.machines.get(id)
    }

    /// All instances, by id.
    pub(crate) fn machines(&self) -> impl Iterator<Item = (&str, &Machine)> {
        self.machines.iter().map(|(id, machine)| (id.as_str(), machine))
    }

    /// Instances of ours that nobody has ended.
    pub(crate) fn left(&self) -> impl Iterator<Item = (&str, &Machine)> {
        self.machines().filter(|(_, machine)| machine.ends.is_none() && !machine.is_alike)
    }

    /// Whether EC2 had this token before.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.answered.contains_key(token)
    }

    /// Whether an instance is there, or was a moment ago.
    pub(crate) fn is_busy(&self, now: Timestamp) -> bool {
        self.machines.values().any(|machine| machine.ends.is_none_or(|(_, over)| now < over + BUSY))
    }

    /// An instance as EC2 shows it; `None` where it does not, not yet or no longer.
    pub(crate) fn describe(&self, id: &str, now: Timestamp) -> Option<Instance> {
        self.machines.get(id).filter(|machine| machine.is_shown(now)).map(|machine| machine.as_shown(now))
    }

    /// Those of the instances that EC2 shows.
    pub(crate) fn list(&self, now: Timestamp, wanted: impl Fn(&Instance) -> bool) -> Vec<Instance> {
        let shown = self.machines.values().filter(|machine| machine.is_shown(now) && wanted(&machine.instance));
        shown.map(|machine| machine.as_shown(now)).collect()
    }

    /// Begins to end an instance, unless it is at it; whether it was there.
    fn ends(&mut self, id: &str, now: Timestamp, length: Millis) -> bool {
        let Some(machine) = self.machines.get_mut(id).filter(|machine| machine.ends.is_none()) else { return false };
        machine.ends = Some((now, now + length));
        true
    }

    /// Switches an instance's metadata service off; whether that can be done.
    pub(crate) fn hides(&mut self, id: &str, now: Timestamp, length: Millis) -> bool {
        let there = |machine: &&mut Machine| machine.ends.is_none() && machine.is_known(now);
        let Some(machine) = self.machines.get_mut(id).filter(there) else { return false };
        machine.hidden_from.get_or_insert(now + length);
        true
    }

    /// Ends an instance's runner from outside; its process, if it has one.
    fn unplug(&self, id: &str) -> Option<u32> {
        let (process, plug) = self.machines.get(id)?.runner.as_ref()?;
        plug.store(true, Ordering::Relaxed);
        Some(*process)
    }
}
