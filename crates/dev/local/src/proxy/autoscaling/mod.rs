//! Auto Scaling, which the emulator has records of and nothing more: it makes up ids of instances, and knows no protection, no
//! end of one member, and no hook that anybody waits at.
//!
//! Groups and hooks are the emulator's, as CloudFormation and callers made them there; their members are ours: instances of
//! the emulator that are launched from the group's launch template, and then run as all others do (see
//! [`crate::instances`]). What a caller may is the emulator's to say: each call is sent there first. CloudFormation's
//! mixed instances policy is dropped by the emulator, so the deployment writes down the launch template that a group has
//! by it.

mod answers;
mod emulated;
mod group;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;

use super::Body;
use super::ec2::{listed, parameter};
use crate::aws::Aws;
use crate::demo::{said, tell};
use crate::instances::register::Register;
use emulated::{Emulated, Trouble};
use group::{Deed, Definition, Group, Refusal};

/// Between two looks at time and instances, while a group has members.
const BUSY: Duration = Duration::from_millis(300);
/// Between two looks, else.
const IDLE: Duration = Duration::from_secs(2);
/// The least and the most groups of one page.
const PAGE: std::ops::RangeInclusive<usize> = 1..=100;
/// Groups in a page where none is asked for.
const USUAL_PAGE: usize = 50;

/// What is answered here, and not by the emulator.
const OURS: [&str; 10] = [
    "CompleteLifecycleAction",
    "DescribeAutoScalingGroups",
    "DescribeAutoScalingInstances",
    "RecordLifecycleActionHeartbeat",
    "ResumeProcesses",
    "SetDesiredCapacity",
    "SetInstanceProtection",
    "SuspendProcesses",
    "TerminateInstanceInAutoScalingGroup",
    "UpdateAutoScalingGroup",
];

/// The launch template of a group that has it by a mixed instances policy, as the deployment wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Mixed {
    template: String,
    version: String,
}

/// The groups of the account.
#[derive(Debug)]
pub(super) struct AutoScaling {
    emulated: Emulated,
    /// The deployment's file: group name to [`Mixed`].
    mixed: PathBuf,
    register: Arc<Register>,
    groups: Mutex<BTreeMap<String, Group>>,
    changed: Notify,
}

impl AutoScaling {
    pub(super) fn new(aws: Aws, mixed: PathBuf, register: Arc<Register>) -> Self {
        let emulated = Emulated::new(aws);
        Self { emulated, mixed, register, groups: Mutex::default(), changed: Notify::new() }
    }

    /// Does what time and EC2 bring, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut said_before = String::new();
        loop {
            let stepped = self.step().await;
            // The emulator may be busy, or ending; the next look tells.
            let words = stepped.as_ref().err().map(|error| said(error)).unwrap_or_default();
            if !words.is_empty() && words != said_before {
                tell(&format!("groups cannot be looked after: {words}"));
            }
            said_before = words;
            let pause = if stepped.unwrap_or_default() { BUSY } else { IDLE };
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One look. True while there is a group that has, or wants, members.
    async fn step(&self) -> Result<bool, Trouble> {
        let mut groups = self.groups.lock().await;
        let gone = self.read(&mut groups).await?;
        for id in gone {
            self.emulated.end(&id).await?;
            self.register.nudge();
        }
        if groups.values().all(|group| group.members.is_empty() && group.definition.desired == 0) {
            return Ok(false);
        }
        let seen = self.emulated.instances().await?;
        for group in groups.values_mut() {
            for deed in group.step(&seen, Timestamp::now()) {
                match deed {
                    Deed::Terminate(id) => self.emulated.end(&id).await?,
                    Deed::Launch(count) => {
                        for _ in 0..count {
                            self.launch(group).await?;
                        }
                    }
                }
                self.register.nudge();
            }
            for member in &group.members {
                self.register.head(&member.id, member.state.target());
            }
        }
        Ok(true)
    }

    async fn launch(&self, group: &mut Group) -> Result<(), Trouble> {
        let definition = &group.definition;
        let at = group.members.len();
        let subnet = definition.subnets.get(at % definition.subnets.len().max(1)).map(String::as_str);
        let launched = self.emulated.launch(definition, subnet).await?;
        self.register.head(&launched.id, "InService");
        group.join(&launched.id, &launched.kind, &launched.zone);
        Ok(())
    }

    /// Takes over what the emulator says of groups. Returns the members of groups that are there no more.
    async fn read(&self, groups: &mut BTreeMap<String, Group>) -> Result<Vec<String>, Trouble> {
        let mut there = self.emulated.groups().await?;
        let known = groups.keys().cloned().collect::<Vec<_>>();
        let mut gone = Vec::new();
        for name in known.into_iter().filter(|name| there.iter().all(|one| one.name != *name)) {
            gone.extend(groups.remove(&name).into_iter().flat_map(|group| group.members).map(|member| member.id));
        }
        let mixed = std::fs::read(&self.mixed).ok().and_then(|file| serde_json::from_slice(&file).ok());
        let mixed: HashMap<String, Mixed> = mixed.unwrap_or_default();
        for definition in &mut there {
            definition.hook = self.emulated.hook(&definition.name).await?;
            if let Some(Mixed { template, version }) = mixed.get(&definition.name) {
                definition.template = Some((template.clone(), version.clone()));
            }
        }
        for definition in there {
            let name = definition.name.clone();
            groups.entry(name).or_default().definition = definition;
        }
        Ok(gone)
    }

    /// The ARN of the group whose member a call is to end.
    pub(super) async fn arn_of(&self, form: &[u8]) -> Option<String> {
        let id = parameter(form, "InstanceId").or_else(|| listed(form, "InstanceIds.member").into_iter().next())?;
        let groups = self.groups.lock().await;
        let group = groups.values().find(|group| group.members.iter().any(|member| member.id == id));
        group.map(|group| group.definition.arn.clone())
    }

    /// Answers a call; `sent` is the emulator's answer, which is not asked for where it would change what must not change.
    pub(super) async fn answer(
        &self,
        operation: &str,
        form: &Bytes,
        sent: impl Future<Output = Response<Body>>,
    ) -> Response<Body> {
        if !OURS.contains(&operation) {
            let response = sent.await;
            self.changed.notify_one();
            return response;
        }
        let answer = self.ours(operation, form, sent).await;
        self.changed.notify_one();
        match answer {
            Ok(response) => response,
            Err(Trouble::Refused(refusal)) => answers::refused(&refusal),
            Err(trouble) => super::answers::plain(StatusCode::BAD_GATEWAY, &said(&trouble)),
        }
    }

    async fn ours(
        &self,
        operation: &str,
        form: &Bytes,
        sent: impl Future<Output = Response<Body>>,
    ) -> Result<Response<Body>, Trouble> {
        let mut groups = self.groups.lock().await;
        self.read(&mut groups).await?;
        let asked = Asked { form };
        // The emulator would take any size.
        match operation {
            "SetDesiredCapacity" => asked.group(&mut groups)?.may_want(asked.number("DesiredCapacity")?)?,
            "UpdateAutoScalingGroup" => drop(asked.bounds(asked.group(&mut groups)?)?),
            _ => {}
        }
        let response = sent.await;
        // Who may not gets the emulator's no. What else it says is of groups without members.
        if response.status() == StatusCode::FORBIDDEN || response.status().is_server_error() {
            return Ok(response);
        }
        let now = Timestamp::now();
        let result = match operation {
            "DescribeAutoScalingGroups" => Some(asked.page(&groups)?),
            "DescribeAutoScalingInstances" => Some(asked.instances(&groups)),
            "SetDesiredCapacity" => None,
            "UpdateAutoScalingGroup" => {
                let group = asked.group(&mut groups)?;
                let desired = asked.bounds(group)?;
                self.emulated.set_desired(&group.definition.name, desired).await?;
                None
            }
            "TerminateInstanceInAutoScalingGroup" => {
                let (id, decrement) = (asked.ended()?, asked.flag("ShouldDecrementDesiredCapacity")?);
                let group = asked.group_of(&mut groups, &id)?;
                group.terminate(&id, decrement, now)?;
                self.register.head(&id, "Terminated");
                let Definition { name, desired, .. } = &group.definition;
                if decrement {
                    self.emulated.set_desired(name, *desired).await?;
                }
                Some(answers::activity(name, &id, now))
            }
            "SetInstanceProtection" => {
                let on = asked.flag("ProtectedFromScaleIn")?;
                asked.group(&mut groups)?.protect(&listed(form, "InstanceIds.member"), on)?;
                Some(String::new())
            }
            "RecordLifecycleActionHeartbeat" => {
                let (hook, id) = (asked.text("LifecycleHookName")?, asked.text("InstanceId")?);
                asked.group(&mut groups)?.beat(&hook, &id, now)?;
                Some(String::new())
            }
            "CompleteLifecycleAction" => {
                let (hook, id) = (asked.text("LifecycleHookName")?, asked.text("InstanceId")?);
                asked.group(&mut groups)?.complete(&hook, &id, &asked.text("LifecycleActionResult")?)?;
                Some(String::new())
            }
            _ => {
                let names = listed(form, "ScalingProcesses.member");
                asked.group(&mut groups)?.suspend(&names, operation == "SuspendProcesses")?;
                None
            }
        };
        Ok(answers::done(operation, result.as_deref()))
    }
}

/// A request's parameters.
struct Asked<'a> {
    form: &'a Bytes,
}

impl Asked<'_> {
    fn text(&self, name: &str) -> Result<String, Refusal> {
        let missing = || {
            Refusal::invalid(format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
            ))
        };
        parameter(self.form, name).ok_or_else(missing)
    }

    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Refusal::invalid(format!("{name} must be true or false, not {text}")))
    }

    fn number(&self, name: &str) -> Result<u32, Refusal> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Refusal::invalid(format!("{name} must be a number of 0 or more, not {text}")))
    }

    fn optional(&self, name: &str, otherwise: u32) -> Result<u32, Refusal> {
        if parameter(self.form, name).is_some() { self.number(name) } else { Ok(otherwise) }
    }

    fn group<'g>(&self, groups: &'g mut BTreeMap<String, Group>) -> Result<&'g mut Group, Refusal> {
        let name = self.text("AutoScalingGroupName")?;
        let missing =
            || Refusal::invalid(format!("AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"));
        groups.get_mut(&name).ok_or_else(missing)
    }

    /// The member that is to end. A list of several is AWS's newer form, which nobody here uses.
    fn ended(&self) -> Result<String, Refusal> {
        let listed = listed(self.form, "InstanceIds.member");
        match (listed.as_slice(), parameter(self.form, "InstanceId")) {
            ([], _) => self.text("InstanceId"),
            ([one], None) if parameter(self.form, "AutoScalingGroupName").is_some() => Ok(one.clone()),
            _ => Err(Refusal::invalid(
                "InstanceIds is taken with AutoScalingGroupName, without InstanceId, and here with one id",
            )),
        }
    }

    /// The group of a member, which is the one that is named, if one is.
    fn group_of<'g>(&self, groups: &'g mut BTreeMap<String, Group>, id: &str) -> Result<&'g mut Group, Refusal> {
        if parameter(self.form, "AutoScalingGroupName").is_some() {
            return self.group(groups);
        }
        let group = groups.values_mut().find(|group| group.members.iter().any(|member| member.id == id));
        let message = || format!("Instance Id not found - No managed instance found for instance ID: {id}");
        group.ok_or_else(|| Refusal::invalid(message()))
    }

    /// What a group wants after an update: what was asked for, or the nearest to what it wanted.
    fn bounds(&self, group: &Group) -> Result<u32, Refusal> {
        let Definition { minimum, maximum, desired, .. } = group.definition;
        let (minimum, maximum) = (self.optional("MinSize", minimum)?, self.optional("MaxSize", maximum)?);
        if minimum > maximum {
            return Err(Refusal::invalid(format!(
                "Max bound, {maximum}, must be greater than or equal to min bound, {minimum}"
            )));
        }
        let wanted = self.optional("DesiredCapacity", desired.clamp(minimum, maximum))?;
        if (minimum..=maximum).contains(&wanted) {
            return Ok(wanted);
        }
        Err(Refusal::invalid(format!(
            "Desired capacity:{wanted} must be between the specified min size:{minimum} and max size:{maximum}"
        )))
    }

    /// A page of groups: those that are named, or all.
    fn page(&self, groups: &BTreeMap<String, Group>) -> Result<String, Refusal> {
        let names = listed(self.form, "AutoScalingGroupNames.member");
        let most = parameter(self.form, "MaxRecords").map_or(Ok(USUAL_PAGE), |text| text.parse());
        let most = most.ok().filter(|most| PAGE.contains(most));
        let most = most.ok_or_else(|| Refusal::invalid("MaxRecords must be 1 to 100"))?;
        let from = parameter(self.form, "NextToken");
        let wanted = |name: &&String| {
            (names.is_empty() || names.contains(name)) && from.as_ref().is_none_or(|from| *name > from)
        };
        let all: Vec<&String> = groups.keys().filter(wanted).collect();
        let shown: String = all.iter().take(most).filter_map(|name| groups.get(*name)).map(answers::group).collect();
        let next = all.get(most - 1).filter(|_| all.len() > most).map(|last| format!("<NextToken>{last}</NextToken>"));
        Ok(format!("<AutoScalingGroups>{shown}</AutoScalingGroups>{}", next.unwrap_or_default()))
    }

    /// Members of all groups: those that are named, or all.
    fn instances(&self, groups: &BTreeMap<String, Group>) -> String {
        let ids = listed(self.form, "InstanceIds.member");
        let mut shown = String::new();
        for group in groups.values() {
            for member in group.members.iter().filter(|member| ids.is_empty() || ids.contains(&member.id)) {
                let one = answers::member(group, member, Some(&group.definition.name));
                shown.push_str(&format!("<member>{one}</member>"));
            }
        }
        format!("<AutoScalingInstances>{shown}</AutoScalingInstances>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> BTreeMap<String, Group> {
        ["a", "b", "c"].map(named).into()
    }

    fn named(name: &str) -> (String, Group) {
        let definition =
            Definition { name: name.to_owned(), minimum: 1, maximum: 4, desired: 2, ..Definition::default() };
        let mut group = Group { definition, ..Group::default() };
        group.join(&format!("i-{name}"), "m7i.large", "us-east-1a");
        (name.to_owned(), group)
    }

    fn of<T>(form: &str, read: impl FnOnce(&Asked<'_>) -> T) -> T {
        read(&Asked { form: &Bytes::from(form.to_owned()) })
    }

    #[test]
    fn groups_come_in_pages_and_those_that_are_not_there_do_not_come() {
        let shown = |form: &str| of(form, |asked| asked.page(&groups()).unwrap());
        let count = |text: &str| text.matches("<AutoScalingGroupARN>").count();
        let first = shown("MaxRecords=2");
        assert!(count(&first) == 2 && first.ends_with("<NextToken>b</NextToken>"), "{first}");
        let last = shown("MaxRecords=2&NextToken=b");
        assert!(count(&last) == 1 && !last.contains("NextToken"), "{last}");
        let named = shown("AutoScalingGroupNames.member.1=c&AutoScalingGroupNames.member.2=none");
        assert!(count(&named) == 1 && named.contains("<InstanceId>i-c</InstanceId>"), "{named}");
        for bad in ["MaxRecords=0", "MaxRecords=101", "MaxRecords=x"] {
            assert!(of(bad, |asked| asked.page(&groups())).is_err(), "{bad}");
        }
        let instances = of("InstanceIds.member.1=i-b", |asked| asked.instances(&groups()));
        assert!(instances.contains("<AutoScalingGroupName>b</AutoScalingGroupName>") && !instances.contains("i-a"));
    }

    #[test]
    fn an_update_keeps_the_size_within_the_bounds_and_is_refused_what_is_not() {
        let (_, group) = named("a");
        let bounds = |form: &str| of(form, |asked| asked.bounds(&group));
        assert_eq!(bounds("MinSize=3"), Ok(3));
        assert_eq!(bounds("MaxSize=1"), Ok(1));
        assert_eq!(bounds("MinSize=0"), Ok(2));
        assert_eq!(bounds("DesiredCapacity=4"), Ok(4));
        for bad in ["DesiredCapacity=5", "MinSize=5", "MaxSize=0", "MaxSize=-1", "MinSize=2&DesiredCapacity=1"] {
            assert!(bounds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_member_is_ended_by_its_id_alone_or_in_its_group() {
        let ended = |form: &str| {
            of(form, |asked| {
                let id = asked.ended()?;
                asked.group_of(&mut groups(), &id).map(|group| (group.definition.name.clone(), id))
            })
        };
        assert_eq!(ended("InstanceId=i-b"), Ok(("b".to_owned(), "i-b".to_owned())));
        assert_eq!(ended("AutoScalingGroupName=c&InstanceIds.member.1=i-c"), Ok(("c".to_owned(), "i-c".to_owned())));
        for bad in ["", "InstanceId=i-x", "InstanceIds.member.1=i-b", "AutoScalingGroupName=x&InstanceId=i-b"] {
            assert!(ended(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_request_lacks_is_named() {
        let missing = of("AutoScalingGroupName=a", |asked| asked.flag("ProtectedFromScaleIn")).unwrap_err();
        assert!(missing.message.contains("ProtectedFromScaleIn"));
        let unknown = of("AutoScalingGroupName=x", |asked| asked.group(&mut groups()).map(|_| ())).unwrap_err();
        assert!(unknown.message.contains("AutoScalingGroup 'x' not found"));
    }
}
