//! What must hold of instances: whose they are, how many, who may end them, and when they are gone.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::fleet::{FleetRequest, LAUNCH_TAG, Market};
use runnerless_core::frozen::FrozenFleet;
use runnerless_core::id::LaunchId;
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};

use super::rows::Launch;
use super::{Check, Promise, Whom};
use crate::ec2::{Cloud, Machine};
use crate::fault::Delay;
use crate::gitlab::GitLab;

/// How long after its hard end an instance may still be there: its watchdog's pace and what it gives the runner; and where
/// nothing on it goes on any more, the sweep's minute and what keeps that from ending it.
const AFTER_EXPIRY: Millis = Millis::minutes(10);
/// How long an instance that no launch names may be there: until EC2 shows it, a sweep, its grace, and a sweep.
const STRANGER: Millis = Millis(limits::ADOPTION.0 + 60_000 + 2 * 60_000 + 30_000);
/// What a trouble of the sweep adds to that.
const STRANGER_TROUBLED: Millis = Millis::secs(150);
/// By how much two clocks may differ from what is written.
const TOLERANCE: Millis = Millis::secs(30);

/// What is kept for these rules.
#[derive(Debug, Default)]
pub(super) struct Instances {
    /// The instances that were started for each launch.
    of_launch: BTreeMap<LaunchId, BTreeSet<String>>,
    /// How many of them EC2 started at once for one request.
    at_once: BTreeMap<LaunchId, usize>,
    /// Those whose end somebody asked for when EC2 did not show them yet.
    unseen: BTreeSet<String>,
    /// The request of each token.
    tokens: BTreeMap<String, FleetRequest>,
    /// Processes that were told that there is nothing for a request, with its token.
    refused: BTreeSet<(u32, String)>,
    /// The requests that each launch's row had to be sent.
    frozen: BTreeMap<LaunchId, Vec<FleetRequest>>,
    /// Since when each launch waits for no answer of EC2 any more.
    answered: BTreeMap<LaunchId, Timestamp>,
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

    /// A launch's row was written: what is to be sent for it next.
    pub(super) fn freezes(&mut self, id: &LaunchId, request: &str) {
        if let Ok(frozen) = FrozenFleet::read(request) {
            let requests = self.instances.frozen.entry(id.clone()).or_default();
            if !requests.contains(frozen.next()) {
                requests.push(frozen.next().clone());
            }
        }
    }

    /// A request is sent to EC2: it is, or was, the one that is frozen in its launch's row, and of a market that neither the lane nor
    /// the job excludes. Its token is no other request's, and nobody sends it again who was told that there is nothing for it.
    pub(crate) fn requests(&mut self, process: u32, request: &FleetRequest) {
        let launch = LaunchId::new(request.tags.get(LAUNCH_TAG).map_or("", String::as_str));
        let Some(row) = self.rows.launches.get(&launch) else {
            return self.breaks(Promise::Row, format!("EC2 is asked for an instance of {launch}, which has no row"));
        };
        let first = self.instances.tokens.entry(request.token.clone()).or_insert_with(|| request.clone());
        if first != request {
            let what = format!("{:?} is asked for launch {launch} with the token of another request", request.market);
            return self.breaks(Promise::Row, what);
        }
        let retried = self.rows.of_retries.contains(&launch);
        let excludes_spot = retried || row.target.split('/').nth(2) == Some("on-demand");
        let was_frozen = self.instances.frozen.get(&launch).is_some_and(|frozen| frozen.contains(request));
        if request.market == Market::Spot && excludes_spot {
            self.breaks(Promise::Row, format!("spot is asked for launch {launch}, which is to be on demand"));
        } else if self.instances.refused.contains(&(process, request.token.clone())) {
            let what = format!("process {process} asks for {:?} for launch {launch} again", request.market);
            self.breaks(Promise::Row, what);
        } else if !was_frozen {
            let what = format!("EC2 is asked for {:?} for launch {launch}, and no row said so", request.market);
            self.breaks(Promise::Row, what);
        }
    }

    /// EC2 has nothing for a request.
    pub(crate) fn has_nothing(&mut self, process: u32, request: &FleetRequest) {
        self.instances.refused.insert((process, request.token.clone()));
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
    pub(super) fn names_its_instance(
        &mut self,
        id: &LaunchId,
        before: &Launch,
        after: &Launch,
        cloud: &Cloud,
        now: Timestamp,
    ) {
        if before.state == "charged" && after.state != "charged" {
            self.instances.answered.insert(id.clone(), now);
        }
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

    /// A launch whose instance is there, and whose job waits for it, is not given up while that has time to boot: what EC2
    /// does not show yet is not gone.
    pub(super) fn has_time_to_boot(
        &mut self,
        id: &LaunchId,
        before: &Launch,
        after: &Launch,
        process: u32,
        (gitlab, cloud): (&GitLab, &Cloud),
        now: Timestamp,
    ) {
        let given_up = before.state == "starting" && matches!(after.state.as_str(), "closing" | "closed");
        let Some(machine) = before.instance.as_ref().filter(|_| given_up).and_then(|own| cloud.machine(own)) else {
            return;
        };
        let is_over = machine.ended_at().is_some() || machine.is_warned();
        let speaks_for = self.runners.get(&self.speaker(process)).and_then(|runner| runner.launch.as_ref());
        let waits = before.charged_to.filter(|job| {
            let row = self.rows.jobs.get(job);
            row.is_some_and(|row| row.state == "charged" && row.charge.as_ref() == Some(id))
                && gitlab.job(*job).is_some_and(|job| !job.status.is_ended())
        });
        let is_early = now + TOLERANCE < machine.launched_at() + limits::EC2_BOOT;
        if let Some(job) = waits.filter(|_| is_early && !is_over && speaks_for != Some(id)) {
            let age = (now - machine.launched_at()).0 / 1000;
            let what = format!("launch {id} of job {job} was given up, and its instance is there and {age} s old");
            self.breaks(Promise::Killed, what);
        }
    }

    /// Somebody asked for the end of an instance that EC2 did not show: it said that there is none.
    pub(crate) fn seems_gone(&mut self, id: &str) {
        self.instances.unseen.insert(id.to_owned());
    }

    /// The launch that has this instance, if it is bound.
    pub(crate) fn bound_on(&self, instance: &str) -> Option<LaunchId> {
        let has = |row: &Launch| row.state == "bound" && row.instance.as_deref() == Some(instance);
        self.rows.launches.iter().find(|(_, row)| has(row)).map(|(id, _)| id.clone())
    }

    /// The terminator did what it does about EC2's warning of this instance, whose launch was bound when it began.
    pub(crate) fn heeded(&mut self, instance: &str, launch: &LaunchId) {
        if self.bound_on(instance).as_ref() == Some(launch) {
            let what = format!("EC2 takes {instance} back, the terminator heard of it, and launch {launch} is bound");
            self.breaks(Promise::Lost, what);
        }
    }

    /// An instance that no launch names is ended once it was watched for its grace.
    fn judge_strangers(&mut self, cloud: &Cloud, now: Timestamp) {
        let hinders = |met: &&super::Met| {
            met.whom == Whom::Everybody && !matches!(met.fault.delay(), Delay::Nothing | Delay::Seconds | Delay::Pool)
        };
        for (id, machine) in cloud.machines().filter(|(_, machine)| !machine.is_alike) {
            let launch = machine.launch();
            let named = self.rows.launches.get(&launch).is_some_and(|row| row.instance.as_deref() == Some(id));
            if named {
                continue;
            }
            let answered = self.instances.answered.get(&launch).copied();
            let since = answered.map_or(machine.launched_at(), |at| at.max(machine.launched_at()));
            let until = machine.ended_at().unwrap_or(now);
            let from = since - STRANGER_TROUBLED;
            let within = self.met.iter().filter(|met| met.at >= from && met.at <= until).filter(hinders);
            let troubles = i64::try_from(within.count()).unwrap_or(i64::MAX);
            let allowed = Millis(STRANGER.0 + troubles * STRANGER_TROUBLED.0);
            if until - since > allowed {
                let what = format!(
                    "{id} of launch {launch}, which does not name it, was there for {} s, {} s were allowed",
                    (until - since).0 / 1000,
                    allowed.0 / 1000
                );
                return self.breaks(Promise::InstancesLeft, what);
            }
        }
    }

    /// What is left of instances when all is quiet.
    pub(super) fn judge_instances(&mut self, cloud: &Cloud, now: Timestamp) {
        let left: Vec<&str> = cloud.left().map(|(id, _)| id).take(3).collect();
        if !left.is_empty() {
            self.breaks(Promise::InstancesLeft, format!("instances that nobody ends: {left:?}"));
        }
        self.judge_strangers(cloud, now);
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
