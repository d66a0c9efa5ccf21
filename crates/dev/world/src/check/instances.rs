//! What must hold of instances: whose they are, how many, who may end them, and when they are gone.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::fleet::{FleetRequest, LAUNCH_TAG};
use runnerless_core::id::LaunchId;
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};

use super::rows::Launch;
use super::{Check, Promise};
use crate::ec2::{Cloud, Machine};

/// How long after its hard end an instance may still be there: its watchdog's pace and what it gives the runner; and where
/// nothing on it goes on any more, the sweep's minute and what keeps that from ending it.
const AFTER_EXPIRY: Millis = Millis::minutes(10);

/// What is kept for these rules.
#[derive(Debug, Default)]
pub(super) struct Instances {
    /// The instances that were started for each launch.
    of_launch: BTreeMap<LaunchId, BTreeSet<String>>,
    /// How many of them EC2 started at once for one request.
    at_once: BTreeMap<LaunchId, usize>,
    /// Those whose end somebody asked for when EC2 did not show them yet.
    unseen: BTreeSet<String>,
}

impl Check {
    /// EC2 started an instance, one of so many for the same request.
    pub(crate) fn instance_started(&mut self, id: &str, request: &FleetRequest, at_once: usize) {
        let launch = LaunchId::new(request.tags.get(LAUNCH_TAG).map_or("", String::as_str));
        self.instances.at_once.entry(launch.clone()).or_insert(at_once);
        let own = self.instances.of_launch.entry(launch.clone()).or_default();
        own.insert(id.to_owned());
        let (count, allowed) = (own.len(), self.instances.at_once[&launch]);
        if count > allowed {
            self.breaks(
                Promise::Launches,
                format!("launch {launch} started {count} instances, and EC2 gave {allowed} at once"),
            );
        }
    }

    /// A runner began its launch on this instance: the row names it.
    pub(crate) fn begins_on(&mut self, launch: &LaunchId, instance: &str) {
        let own = self.rows.launches.get(launch).and_then(|row| row.instance.clone());
        if own.as_deref() != Some(instance) {
            self.breaks(Promise::Doubled, format!("{instance} began launch {launch}, whose row names {own:?}"));
        }
    }

    /// A script begins on an instance: what a job could read of its metadata service, nobody can any more.
    pub(crate) fn begins_beside(&mut self, instance: &str, machine: Option<&Machine>, now: Timestamp) {
        if machine.is_none_or(|machine| !machine.is_hidden(now)) {
            self.breaks(Promise::SecretLeft, format!("a job runs on {instance}, whose metadata service is on"));
        }
    }

    /// Somebody of ours asks for an instance's end.
    pub(crate) fn terminates(&mut self, id: &str, machine: &Machine, now: Timestamp) {
        if machine.is_alike {
            return self.breaks(Promise::Touched, format!("{id} only looks like ours, and was terminated"));
        }
        let launch = machine.launch();
        let Some(row) = self.rows.launches.get(&launch) else { return };
        let over = matches!(row.state.as_str(), "closing" | "closed") || now >= machine.expires();
        let what = match row.instance.as_deref() {
            Some(own) if own == id && !over => "it has it",
            // An answer that was lost may be about to come again.
            None if !over && now < machine.launched_at() + limits::ADOPTION => "it may be about to have it",
            _ => return,
        };
        let what = format!("{id} was terminated while launch {launch} was {}: {what}", row.state);
        self.breaks(Promise::Killed, what);
    }

    /// What a launch's row says of its instance.
    pub(super) fn names_its_instance(&mut self, id: &LaunchId, before: &Launch, after: &Launch, cloud: &Cloud) {
        if before.instance.is_some() && before.instance != after.instance {
            let what = format!("launch {id} had {:?} and has {:?}", before.instance, after.instance);
            self.breaks(Promise::Row, what);
        }
        let is_its = |instance: &String| self.instances.of_launch.get(id).is_some_and(|own| own.contains(instance));
        if let Some(instance) = after.instance.as_ref().filter(|instance| !is_its(instance)) {
            self.breaks(Promise::Row, format!("launch {id} has {instance}, which EC2 did not start for it"));
        }
        if let Some(instance) = after.instance.as_ref().filter(|_| after.is_over() && !before.is_over()) {
            let ends = cloud.machine(instance).is_none_or(|machine| machine.ended_at().is_some());
            if !ends && !self.instances.unseen.contains(instance) {
                self.breaks(Promise::Leaked, format!("launch {id} is closed, and nobody ends its {instance}"));
            }
        }
    }

    /// Somebody asked for the end of an instance that EC2 did not show: it said that there is none.
    pub(crate) fn seems_gone(&mut self, id: &str) {
        self.instances.unseen.insert(id.to_owned());
    }

    /// What is left of instances when all is quiet.
    pub(super) fn judge_instances(&mut self, cloud: &Cloud, now: Timestamp) {
        let left: Vec<&str> = cloud.left().map(|(id, _)| id).take(3).collect();
        if !left.is_empty() {
            self.breaks(Promise::InstancesLeft, format!("instances that nobody ends: {left:?}"));
        }
        let late = |machine: &Machine| machine.ended_at().unwrap_or(now) > machine.expires() + AFTER_EXPIRY;
        let late: Vec<&str> = cloud
            .machines()
            .filter(|(_, machine)| !machine.is_alike && late(machine))
            .map(|(id, _)| id)
            .take(3)
            .collect();
        if !late.is_empty() {
            self.breaks(Promise::PastDeadline, format!("instances outlived their hard end: {late:?}"));
        }
    }
}
