//! Instances: what EC2 shows of a stack, beside what the ledger knows of it.

use crate::change::{Plan, put};
use crate::fleet::{EXPIRES_TAG, Instance, InstanceState, LANE_TAG, LAUNCH_TAG, STACK_TAG};
use crate::id::LaunchId;
use crate::instance_row::InstanceRow;
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::time::Timestamp;

/// What an instance of this stack looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The stack's name, in [`STACK_TAG`].
    pub stack: String,
    /// The ARN of the instance profile. Nobody gives it to an instance who may not pass the stack's role.
    pub profile: String,
}

/// What the ledger knows of an instance.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// The row of the launch that its tag names, which may name another instance, or none yet.
    Launch(&'a LaunchRow),
    /// No such row.
    Nothing,
    /// A row that cannot be read.
    Unreadable,
}

/// What is to be done about an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum InstanceDuty {
    /// Nothing: its launch leads it, or it ends.
    Leave,
    /// Nobody knows it: it gets one lease, and this is written.
    Adopt(Plan),
    /// It is ended, for this reason.
    Terminate(String),
    /// It carries the stack's tag and is not ours, for this reason: an operator is told, and it is not touched.
    LookAlike(String),
}

/// The launch that an instance's tag names, if it carries what instances of this stack carry; else what is wrong.
///
/// # Errors
/// Why it is none of ours.
pub fn launch_of_instance(ours: &Ours, instance: &Instance) -> Result<LaunchId, String> {
    if instance.tag(STACK_TAG) != Some(&ours.stack) {
        return Err(format!("its tag {STACK_TAG} names another stack"));
    }
    if instance.profile.as_deref() != Some(&ours.profile) {
        return Err("its instance profile is not this stack's".to_owned());
    }
    if instance.tag(LANE_TAG).is_none() {
        return Err(format!("it has no tag {LANE_TAG}"));
    }
    if expiry(instance).is_none() {
        return Err(format!("its tag {EXPIRES_TAG} is no time"));
    }
    let launch = instance.tag(LAUNCH_TAG).filter(|id| id.starts_with("l-"));
    launch.map(LaunchId::new).ok_or_else(|| format!("its tag {LAUNCH_TAG} names no launch"))
}

/// Those of the instances with a launch's tag that are this stack's. Whoever gives an instance of his own that tag has not
/// made it ours: it is neither the launch's nor to be ended with it. `ours` is `None` in a stack that launches none.
#[must_use]
pub fn brought_by(ours: Option<&Ours>, launch: &LaunchId, tagged: Vec<Instance>) -> Vec<Instance> {
    let is_its = |instance: &Instance| {
        ours.is_some_and(|ours| launch_of_instance(ours, instance).is_ok_and(|named| named == *launch))
    };
    tagged.into_iter().filter(is_its).collect()
}

fn expiry(instance: &Instance) -> Option<Timestamp> {
    instance.tag(EXPIRES_TAG)?.parse().ok().map(Timestamp)
}

/// Decides about an instance that EC2 shows with the stack's tag. `watched` is the row that says since when nobody knows
/// it.
#[must_use]
pub fn instance_duty(
    ours: &Ours,
    instance: &Instance,
    known: Known<'_>,
    watched: Option<&InstanceRow>,
    now: Timestamp,
) -> InstanceDuty {
    if !instance.state.is_there() {
        return InstanceDuty::Leave;
    }
    if let Err(why) = launch_of_instance(ours, instance) {
        return InstanceDuty::LookAlike(why);
    }
    if expiry(instance).is_some_and(|at| at <= now) {
        return InstanceDuty::Terminate("its hard end is over".to_owned());
    }
    match known {
        Known::Unreadable => InstanceDuty::Leave,
        Known::Launch(launch) if launch.instance_id.as_ref() == Some(&instance.id) => match launch.state {
            LaunchState::Closed => InstanceDuty::Terminate("its launch is over".to_owned()),
            _ => InstanceDuty::Leave,
        },
        // It may name it yet, also while this is decided: whoever sends its request again is told of this instance.
        Known::Launch(launch) if launch.state == LaunchState::Charged => match stranger(instance, watched, now) {
            InstanceDuty::Terminate(_) => InstanceDuty::Leave,
            duty => duty,
        },
        Known::Launch(_) | Known::Nothing => stranger(instance, watched, now),
    }
}

/// Its launch may be about to name it: an answer of EC2 was lost, and the same request is sent again.
fn stranger(instance: &Instance, watched: Option<&InstanceRow>, now: Timestamp) -> InstanceDuty {
    let why = "no launch names it";
    match watched {
        Some(row) if now - row.first_seen >= limits::ADOPTION => InstanceDuty::Terminate(why.to_owned()),
        Some(_) => InstanceDuty::Leave,
        None => {
            let row = InstanceRow::new(&instance.id, now);
            InstanceDuty::Adopt(Plan::because(why).with_some(put(None, row)))
        }
    }
}

/// What EC2 says about the instance of a launch that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// It is there, or EC2 may not show it yet.
    There,
    /// It ended: its runner asks no more, and runs nothing.
    Gone,
}

/// Decides whether the instance of a launch is gone. `shown` is EC2's answer about this one instance.
///
/// EC2 shows what it launched some seconds late, and what ended for about an hour.
#[must_use]
pub fn host(launch: &LaunchRow, shown: Option<&Instance>, now: Timestamp) -> Host {
    let young = launch.times.starting_at.or(launch.times.charged_at).is_none_or(|at| now - at < limits::EC2_VISIBLE);
    match shown.map(|instance| instance.state) {
        Some(InstanceState::Terminated | InstanceState::ShuttingDown | InstanceState::Stopped) => Host::Gone,
        Some(InstanceState::Pending | InstanceState::Running | InstanceState::Stopping) => Host::There,
        None if young => Host::There,
        None => Host::Gone,
    }
}

/// Nothing of an ended launch is left: neither its instance nor its runner manager's record. `None` while its row says
/// that it is not over, and when it is closed already.
#[must_use]
pub fn cleared(launch: &LaunchRow, why: &str, now: Timestamp) -> Option<Plan> {
    if !launch.is_winding_up() {
        return None;
    }
    let mut after = launch.clone();
    let ended = launch.end_reason.as_deref().unwrap_or("it ended");
    after.close_for_good(now, format!("{ended}; {why}"));
    Some(Plan::because(why).with_some(put(Some(launch), after)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::change::{Write, decode};
    use crate::moves::testing::{T0, bound_pair, charged_pair, launch_of, secs};
    use crate::moves::{End, conclude};
    use crate::time::Millis;

    fn ours() -> Ours {
        Ours { stack: "runnerless".into(), profile: "arn:profile".into() }
    }

    fn instance() -> Instance {
        let tags = [
            (STACK_TAG, "runnerless".to_owned()),
            (LAUNCH_TAG, "l-1".to_owned()),
            (LANE_TAG, "lane".to_owned()),
            (EXPIRES_TAG, secs(3600).0.to_string()),
        ];
        Instance {
            id: "i-1".into(),
            state: InstanceState::Running,
            tags: tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            launched_at: T0,
            instance_type: "c7i.large".into(),
            subnet: "subnet-a".into(),
            spot: true,
            profile: Some("arn:profile".into()),
        }
    }

    fn with_instance(launch: LaunchRow) -> LaunchRow {
        LaunchRow { instance_id: Some("i-1".into()), ..launch }
    }

    #[test]
    fn an_instance_that_its_launch_names_is_the_launchs_until_that_is_closed() {
        let (_, launch) = charged_pair(1, "l-1");
        let launch = with_instance(launch);
        let duty = |launch: &LaunchRow, now| instance_duty(&ours(), &instance(), Known::Launch(launch), None, now);
        assert_eq!(duty(&launch, T0), InstanceDuty::Leave);
        let closed = LaunchRow { state: LaunchState::Closed, ..launch.clone() };
        assert!(matches!(duty(&closed, T0), InstanceDuty::Terminate(_)));
        assert!(matches!(duty(&launch, secs(3600)), InstanceDuty::Terminate(_)), "its hard end holds in any case");
        let unreadable = |now| instance_duty(&ours(), &instance(), Known::Unreadable, None, now);
        assert_eq!(unreadable(secs(3599)), InstanceDuty::Leave);
        assert!(matches!(unreadable(secs(3600)), InstanceDuty::Terminate(_)));
    }

    #[test]
    fn an_unknown_instance_has_one_lease() {
        let (_, launch) = charged_pair(1, "l-1");
        let over = LaunchRow { state: LaunchState::Closed, ..launch.clone() };
        let other = LaunchRow { instance_id: Some("i-2".into()), state: LaunchState::Starting, ..launch };
        for known in [Known::Nothing, Known::Launch(&over), Known::Launch(&other)] {
            let duty = |watched: Option<&InstanceRow>, now| instance_duty(&ours(), &instance(), known, watched, now);
            let InstanceDuty::Adopt(plan) = duty(None, T0) else { panic!("not adopted") };
            let Write::Put(item) = &plan.changes[0].write else { panic!("nothing written") };
            let row: InstanceRow = decode(item).unwrap();
            assert_eq!((plan.changes[0].pk.as_str(), row.first_seen), ("instance#i-1", T0));
            let end = T0 + limits::ADOPTION;
            assert_eq!(duty(Some(&row), end - Millis(1)), InstanceDuty::Leave);
            assert!(matches!(duty(Some(&row), end), InstanceDuty::Terminate(_)));
        }
    }

    #[test]
    fn an_instance_that_its_launch_may_name_yet_is_watched_and_not_ended() {
        let (_, launch) = charged_pair(1, "l-1");
        let duty = |watched: Option<&InstanceRow>, now| {
            instance_duty(&ours(), &instance(), Known::Launch(&launch), watched, now)
        };
        assert!(matches!(duty(None, T0), InstanceDuty::Adopt(_)));
        let row = InstanceRow::new("i-1", T0);
        assert_eq!(duty(Some(&row), T0 + limits::ADOPTION), InstanceDuty::Leave);
        assert!(matches!(duty(Some(&row), secs(3600)), InstanceDuty::Terminate(_)), "its hard end holds in any case");
    }

    #[test]
    fn a_look_alike_is_told_and_never_touched() {
        let without = |name: &str| {
            let mut instance = instance();
            instance.tags.remove(name);
            instance
        };
        let with = |name: &str, value: &str| {
            let mut instance = instance();
            instance.tags.insert(name.to_owned(), value.to_owned());
            instance
        };
        let row = InstanceRow::new("i-1", T0 - Millis::days(1));
        for alike in [
            Instance { profile: None, ..instance() },
            Instance { profile: Some("arn:profile/other".into()), ..instance() },
            Instance { tags: BTreeMap::new(), ..instance() },
            without(LAUNCH_TAG),
            without(LANE_TAG),
            without(EXPIRES_TAG),
            with(EXPIRES_TAG, "soon"),
            with(LAUNCH_TAG, "i-am-one"),
            with(STACK_TAG, "another"),
        ] {
            let duty = instance_duty(&ours(), &alike, Known::Nothing, Some(&row), secs(9_999));
            assert!(matches!(duty, InstanceDuty::LookAlike(_)), "{alike:?}: {duty:?}");
        }
        let over = Instance { state: InstanceState::ShuttingDown, profile: None, ..instance() };
        assert_eq!(instance_duty(&ours(), &over, Known::Nothing, None, T0), InstanceDuty::Leave);
    }

    #[test]
    fn what_only_carries_a_launchs_tag_was_not_brought_by_it() {
        let alike = Instance { id: "i-2".into(), profile: None, ..instance() };
        let of = |ours: Option<&Ours>, launch: &str| {
            let brought = brought_by(ours, &LaunchId::new(launch), vec![alike.clone(), instance()]);
            brought.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        assert_eq!(of(Some(&ours()), "l-1"), ["i-1"]);
        assert!(of(Some(&ours()), "l-2").is_empty());
        assert!(of(None, "l-1").is_empty(), "a stack that launches none has none");
    }

    #[test]
    fn what_ec2_does_not_show_yet_is_not_gone() {
        let (_, mut launch) = charged_pair(1, "l-1");
        launch.times.starting_at = Some(T0);
        let seen = |state| Some(Instance { state, ..instance() });
        assert_eq!(host(&launch, None, T0 + limits::EC2_VISIBLE - Millis(1)), Host::There);
        assert_eq!(host(&launch, None, T0 + limits::EC2_VISIBLE), Host::Gone);
        assert_eq!(host(&launch, seen(InstanceState::Running).as_ref(), secs(9_999)), Host::There);
        assert_eq!(host(&launch, seen(InstanceState::Terminated).as_ref(), T0), Host::Gone);
        assert_eq!(host(&launch, seen(InstanceState::Stopped).as_ref(), T0), Host::Gone);
    }

    #[test]
    fn a_launch_is_closed_once_its_instance_is_gone_and_not_before() {
        let (job, launch) = bound_pair(1, "l-1");
        let launch = with_instance(launch);
        assert_eq!(cleared(&launch, "terminated", T0), None, "it is not over");
        let over = launch_of(&conclude(&launch, Some(&job), &End::JobDone("done".into()), T0).unwrap());
        assert_eq!((over.state, over.is_winding_up()), (LaunchState::Closing, true));
        let again = conclude(&over, None, &End::JobDone("again".into()), secs(9)).unwrap();
        assert!(again.changes.is_empty(), "an end that is said twice changes nothing");
        let after = launch_of(&cleared(&over, "terminated", secs(2)).unwrap());
        assert_eq!((after.state, after.due.next_check_at), (LaunchState::Closed, None));
        assert_eq!(after.end_reason.as_deref(), Some("done; terminated"));
        assert_eq!(cleared(&after, "terminated", secs(3)), None);
    }
}
