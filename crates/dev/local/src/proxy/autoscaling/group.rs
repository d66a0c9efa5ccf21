//! An Auto Scaling group as AWS keeps it: bounds, members and their states, the terminating hook, suspended processes. Pure;
//! who carries out what it wants is [`super`].
//!
//! From AWS's guide and API reference: the group launches up to its desired capacity; of more members than that it ends
//! unprotected ones; a member that is to end waits at the hook until it is answered or no heartbeat came in time, at most a
//! hundred heartbeats or 48 hours; members that end do not count; one whose instance is gone is replaced.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// Every process that can be suspended.
pub(super) const PROCESSES: [&str; 9] = [
    "AZRebalance",
    "AddToLoadBalancer",
    "AlarmNotification",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
];
/// A hook's longest wait: this, or so many heartbeats.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);
const BEATS: i32 = 100;
/// The most instances of one request for protection.
const PROTECTED_AT_ONCE: usize = 50;

/// AWS's refusal: its code and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: "ValidationError", message: message.into() }
    }
}

/// The terminating hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) heartbeat: SignedDuration,
}

/// What is said of a group from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: String,
    pub(super) minimum: u32,
    pub(super) maximum: u32,
    pub(super) desired: u32,
    /// Whether new members are protected from the group's own choice.
    pub(super) protects: bool,
    pub(super) subnets: Vec<String>,
    pub(super) zones: Vec<String>,
    /// Key, value, whether members get it.
    pub(super) tags: Vec<(String, String, bool)>,
    /// Launch template and version.
    pub(super) template: Option<(String, String)>,
    pub(super) hook: Option<Hook>,
}

/// Where a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    InService,
    /// At the hook, since then, until then unless a heartbeat comes.
    Waits {
        since: Timestamp,
        until: Timestamp,
    },
    /// The hook is over, or there is none.
    Ends,
}

impl State {
    /// As AWS writes it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InService => "InService",
            Self::Waits { .. } => "Terminating:Wait",
            Self::Ends => "Terminating:Proceed",
        }
    }

    /// What the metadata service says that the instance is on its way to.
    pub(super) const fn target(&self) -> &'static str {
        match self {
            Self::Pending | Self::InService => "InService",
            Self::Waits { .. } | Self::Ends => "Terminated",
        }
    }

    const fn counts(&self) -> bool {
        matches!(self, Self::Pending | Self::InService)
    }
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) zone: String,
    pub(super) state: State,
    pub(super) protected: bool,
}

/// What the group wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// So many more.
    Launch(u32),
    /// The end of this instance.
    Terminate(String),
}

/// The group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) definition: Definition,
    /// In the order in which they were launched.
    pub(super) members: Vec<Member>,
    pub(super) suspended: BTreeSet<&'static str>,
}

impl Group {
    /// Whether the group may want so many.
    pub(super) fn may_want(&self, desired: u32) -> Result<(), Refusal> {
        let Definition { minimum, maximum, .. } = self.definition;
        if desired > maximum {
            let text = format!(
                "New SetDesiredCapacity value {desired} is above max value {maximum} for the AutoScalingGroup."
            );
            return Err(Refusal::invalid(text));
        }
        if desired < minimum {
            let text = format!(
                "New SetDesiredCapacity value {desired} is below min value {minimum} for the AutoScalingGroup."
            );
            return Err(Refusal::invalid(text));
        }
        Ok(())
    }

    /// Ends a member by its id, protected or not. Without `decrement` the group replaces it.
    pub(super) fn terminate(&mut self, id: &str, decrement: bool, now: Timestamp) -> Result<(), Refusal> {
        let Definition { minimum, desired, .. } = self.definition;
        let state = &self.member(id)?.state;
        if !state.counts() {
            let message = format!("Instance {id} is in {} already", state.name());
            return Err(Refusal { code: "ScalingActivityInProgress", message });
        }
        if decrement && desired <= minimum {
            return Err(Refusal::invalid(format!(
                "Currently, desiredSize equals minSize ({minimum}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
            )));
        }
        if decrement {
            self.definition.desired -= 1;
        }
        self.begin_end(id, now);
        Ok(())
    }

    /// Protects members, or lifts their protection: all of them or none.
    pub(super) fn protect(&mut self, ids: &[String], on: bool) -> Result<(), Refusal> {
        if ids.is_empty() || ids.len() > PROTECTED_AT_ONCE {
            return Err(Refusal::invalid(format!("1 to {PROTECTED_AT_ONCE} instances are taken at once")));
        }
        for id in ids {
            let state = &self.member(id)?.state;
            if *state != State::InService {
                return Err(Refusal::invalid(format!(
                    "The instance {id} is not in InService or EnteringStandby or Standby."
                )));
            }
        }
        let named = self.members.iter_mut().filter(|member| ids.contains(&member.id));
        named.for_each(|member| member.protected = on);
        Ok(())
    }

    /// A heartbeat of a member at the hook.
    pub(super) fn beat(&mut self, hook: &str, id: &str, now: Timestamp) -> Result<(), Refusal> {
        let heartbeat = self.heartbeat(hook)?;
        let until = match self.at_hook(id)? {
            State::Waits { since, .. } => until(*since, now, heartbeat),
            _ => return Err(no_action(id)),
        };
        if let State::Waits { until: old, .. } = self.at_hook(id)? {
            *old = until;
        }
        Ok(())
    }

    /// The hook's answer: both results let an instance that is to end go on to its end.
    pub(super) fn complete(&mut self, hook: &str, id: &str, result: &str) -> Result<(), Refusal> {
        if !matches!(result, "CONTINUE" | "ABANDON") {
            return Err(Refusal::invalid("LifecycleActionResult must be CONTINUE or ABANDON"));
        }
        self.heartbeat(hook)?;
        *self.at_hook(id)? = State::Ends;
        Ok(())
    }

    /// Suspends processes, or lets them go on: those that are named, or all.
    pub(super) fn suspend(&mut self, names: &[String], on: bool) -> Result<(), Refusal> {
        let known = |name: &String| PROCESSES.into_iter().find(|process| process == name);
        if let Some(unknown) = names.iter().find(|name| known(name).is_none()) {
            return Err(Refusal::invalid(format!("{unknown} is not a valid process type")));
        }
        let named: Vec<&'static str> =
            if names.is_empty() { PROCESSES.to_vec() } else { names.iter().filter_map(known).collect() };
        for process in named {
            if on {
                self.suspended.insert(process);
            } else {
                self.suspended.remove(process);
            }
        }
        Ok(())
    }

    /// An instance that was launched for the group is its member.
    pub(super) fn join(&mut self, id: &str, kind: &str, zone: &str) {
        let protected = self.definition.protects;
        self.members.push(Member {
            id: id.to_owned(),
            kind: kind.to_owned(),
            zone: zone.to_owned(),
            state: State::Pending,
            protected,
        });
    }

    /// What comes of time and of what EC2 shows: the state of each instance by its id.
    pub(super) fn step(&mut self, seen: &BTreeMap<String, String>, now: Timestamp) -> Vec<Deed> {
        let shown = |id: &str| seen.get(id).map(String::as_str);
        self.members.retain(|member| !matches!(shown(&member.id), None | Some("terminated" | "shutting-down")));
        for member in &mut self.members {
            match member.state {
                State::Pending if shown(&member.id) == Some("running") => member.state = State::InService,
                State::Waits { until, .. } if now >= until => member.state = State::Ends,
                _ => {}
            }
        }
        let is_suspended = |process: &str| self.suspended.contains(process);
        let counted =
            u32::try_from(self.members.iter().filter(|member| member.state.counts()).count()).unwrap_or(u32::MAX);
        let desired = self.definition.desired;
        let (missing, surplus) = (desired.saturating_sub(counted), counted.saturating_sub(desired));
        let may_launch = !is_suspended("Launch");
        if surplus > 0 && !is_suspended("Terminate") {
            self.choose(surplus, now);
        }
        let over = self.members.iter().filter(|member| member.state == State::Ends);
        let mut deeds: Vec<Deed> = over.map(|member| Deed::Terminate(member.id.clone())).collect();
        if missing > 0 && may_launch {
            deeds.push(Deed::Launch(missing));
        }
        deeds
    }

    /// The group's own choice: the oldest that are in service and not protected.
    fn choose(&mut self, surplus: u32, now: Timestamp) {
        let free = self.members.iter().filter(|member| member.state == State::InService && !member.protected);
        let chosen: Vec<String> = free.take(surplus as usize).map(|member| member.id.clone()).collect();
        chosen.iter().for_each(|id| self.begin_end(id, now));
    }

    fn begin_end(&mut self, id: &str, now: Timestamp) {
        let state = match &self.definition.hook {
            Some(hook) => State::Waits { since: now, until: until(now, now, hook.heartbeat) },
            None => State::Ends,
        };
        let member = self.members.iter_mut().find(|member| member.id == id);
        member.into_iter().for_each(|member| member.state = state.clone());
    }

    fn member(&self, id: &str) -> Result<&Member, Refusal> {
        let found = self.members.iter().find(|member| member.id == id);
        let name = &self.definition.name;
        found.ok_or_else(|| {
            Refusal::invalid(format!("Instance Id not found - {id} is not part of Auto Scaling group {name}"))
        })
    }

    fn heartbeat(&self, hook: &str) -> Result<SignedDuration, Refusal> {
        let found = self.definition.hook.as_ref().filter(|own| own.name == hook).map(|own| own.heartbeat);
        found.ok_or_else(|| Refusal::invalid(format!("No Lifecycle Hook found with name {hook}")))
    }

    fn at_hook(&mut self, id: &str) -> Result<&mut State, Refusal> {
        let member = self.members.iter_mut().find(|member| member.id == id);
        let waits = member.map(|member| &mut member.state).filter(|state| matches!(state, State::Waits { .. }));
        waits.ok_or_else(|| no_action(id))
    }
}

fn until(since: Timestamp, beaten: Timestamp, heartbeat: SignedDuration) -> Timestamp {
    let longest = (heartbeat * BEATS).min(LONGEST);
    (beaten + heartbeat).min(since + longest)
}

fn no_action(id: &str) -> Refusal {
    Refusal::invalid(format!("No active Lifecycle Action found with instance ID {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: &str = "drain";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn group(desired: u32) -> Group {
        let hook = Some(Hook { name: HOOK.to_owned(), heartbeat: SignedDuration::from_secs(30) });
        let definition =
            Definition { name: "g".to_owned(), maximum: 5, desired, protects: true, hook, ..Definition::default() };
        Group { definition, ..Group::default() }
    }

    /// Does what it wants until it wants nothing, with instances that start and end at once.
    fn settle(group: &mut Group, ec2: &mut BTreeMap<String, String>, now: Timestamp) {
        loop {
            let deeds = group.step(ec2, now);
            if deeds.is_empty() {
                return;
            }
            for deed in deeds {
                match deed {
                    Deed::Launch(count) => (0..count).for_each(|_| {
                        let id = format!("i-{}", ec2.len());
                        ec2.insert(id.clone(), "running".to_owned());
                        group.join(&id, "m7i.large", "a");
                    }),
                    Deed::Terminate(id) => drop(ec2.insert(id, "terminated".to_owned())),
                }
            }
        }
    }

    fn states(group: &Group) -> Vec<(&str, &str)> {
        group.members.iter().map(|member| (member.id.as_str(), member.state.name())).collect()
    }

    fn running(desired: u32) -> (Group, BTreeMap<String, String>) {
        let (mut group, mut ec2) = (group(desired), BTreeMap::new());
        settle(&mut group, &mut ec2, at(0));
        (group, ec2)
    }

    #[test]
    fn it_launches_up_to_what_is_desired_and_never_wants_more_than_its_bounds() {
        let (mut group, mut ec2) = running(2);
        assert_eq!(states(&group), [("i-0", "InService"), ("i-1", "InService")]);
        assert!(group.members.iter().all(|member| member.protected));
        assert_eq!(group.may_want(6).unwrap_err().code, "ValidationError");
        group.definition.minimum = 1;
        assert!(group.may_want(0).is_err() && group.may_want(1).is_ok() && group.may_want(5).is_ok());
        group.definition.desired = 3;
        group.suspend(&["Launch".to_owned()], true).unwrap();
        settle(&mut group, &mut ec2, at(1));
        assert_eq!(group.members.len(), 2, "suspended");
        group.suspend(&[], false).unwrap();
        settle(&mut group, &mut ec2, at(1));
        assert_eq!(group.members.len(), 3);
    }

    #[test]
    fn a_lower_wish_ends_unprotected_members_only() {
        let (mut group, mut ec2) = running(3);
        group.definition.desired = 1;
        settle(&mut group, &mut ec2, at(1));
        assert_eq!(group.members.iter().filter(|member| member.state == State::InService).count(), 3);
        group.protect(&["i-1".to_owned()], false).unwrap();
        settle(&mut group, &mut ec2, at(2));
        assert_eq!(states(&group), [("i-0", "InService"), ("i-1", "Terminating:Wait"), ("i-2", "InService")]);
    }

    #[test]
    fn one_that_is_named_waits_at_the_hook_until_it_is_answered_and_is_not_replaced() {
        let (mut group, mut ec2) = running(2);
        group.terminate("i-0", true, at(0)).unwrap();
        assert_eq!(group.definition.desired, 1);
        settle(&mut group, &mut ec2, at(29));
        assert_eq!(states(&group), [("i-0", "Terminating:Wait"), ("i-1", "InService")]);
        assert_eq!(group.members[0].state.target(), "Terminated");
        assert_eq!(group.terminate("i-0", true, at(29)).unwrap_err().code, "ScalingActivityInProgress");
        assert_eq!(group.definition.desired, 1, "not twice");
        group.beat(HOOK, "i-0", at(29)).unwrap();
        settle(&mut group, &mut ec2, at(58));
        assert_eq!(group.members.len(), 2);
        group.complete(HOOK, "i-0", "CONTINUE").unwrap();
        settle(&mut group, &mut ec2, at(58));
        assert_eq!((states(&group), ec2["i-0"].as_str()), (vec![("i-1", "InService")], "terminated"));
        assert!(group.complete(HOOK, "i-0", "CONTINUE").unwrap_err().message.contains("No active Lifecycle Action"));
        assert!(group.beat(HOOK, "i-1", at(59)).unwrap_err().message.contains("No active Lifecycle Action"));
    }

    #[test]
    fn a_hook_without_heartbeats_is_over_and_no_heartbeat_keeps_it_for_ever() {
        let (mut group, mut ec2) = running(1);
        group.terminate("i-0", true, at(0)).unwrap();
        settle(&mut group, &mut ec2, at(30));
        assert_eq!(ec2["i-0"], "terminated");
        let (mut group, mut ec2) = running(1);
        group.terminate("i-0", true, at(0)).unwrap();
        for beat in 1..150 {
            let _ = group.beat(HOOK, "i-0", at(beat * 25));
            settle(&mut group, &mut ec2, at(beat * 25));
            assert_eq!(ec2["i-0"] == "terminated", beat * 25 >= 3000, "{beat}");
        }
    }

    #[test]
    fn the_least_size_holds_and_without_the_decrement_a_member_is_replaced() {
        let (mut group, mut ec2) = running(2);
        group.definition.minimum = 2;
        assert!(group.terminate("i-0", true, at(0)).unwrap_err().message.contains("desiredSize equals minSize (2)"));
        group.terminate("i-0", false, at(0)).unwrap();
        settle(&mut group, &mut ec2, at(1));
        assert_eq!(group.members.len(), 3);
        group.complete(HOOK, "i-0", "ABANDON").unwrap();
        settle(&mut group, &mut ec2, at(2));
        assert_eq!(states(&group), [("i-1", "InService"), ("i-2", "InService")]);
    }

    #[test]
    fn a_member_whose_instance_is_gone_is_replaced() {
        let (mut group, mut ec2) = running(1);
        ec2.insert("i-0".to_owned(), "terminated".to_owned());
        settle(&mut group, &mut ec2, at(1));
        assert_eq!(states(&group), [("i-1", "InService")]);
    }

    #[test]
    fn what_aws_refuses_is_refused_and_changes_nothing() {
        let (mut group, _) = running(1);
        let before = group.clone();
        let ids = |count: usize| vec!["i-0".to_owned(); count];
        assert!(group.protect(&["i-0".to_owned(), "i-9".to_owned()], false).is_err());
        assert!(group.protect(&[], false).is_err() && group.protect(&ids(51), false).is_err());
        assert!(group.terminate("i-9", true, at(0)).is_err());
        assert!(group.suspend(&["Reboot".to_owned()], true).is_err());
        assert!(group.beat("other", "i-0", at(0)).is_err());
        assert!(group.complete(HOOK, "i-0", "STOP").is_err());
        assert_eq!(group, before);
        group.terminate("i-0", true, at(0)).unwrap();
        assert!(group.protect(&ids(1), true).is_err(), "it is not in service any more");
    }
}
