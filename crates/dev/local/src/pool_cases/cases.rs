//! The cases, in the order in which they are played.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ground::{Ground, IDLE_RUNS, JOBS, MAXIMUM, POOL, UNHEALTHY_RUNS};
use crate::aws::{CLOUDFORMATION, EC2};
use crate::case_lines::Verdict;
use crate::deploy::STACK;
use crate::instances::{Element, GROUP_TAG};
use crate::strays;
use crate::suite::SuiteError;

/// A group of others, whose name begins with the pool's.
const OTHER: &str = "acme-pool-of-others";

/// Three jobs wait, and nobody is there.
pub(super) async fn grows(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let mut verdict = Verdict::new("grows for a burst of jobs", json!({"members": 2, "jobs": "run"}));
    // Whoever looks like a member or a pool is there from now on.
    make_others(ground).await?;
    ground.play_all().await?;
    ground.scale().await?;
    let group = ground.group().await?;
    verdict.unless(group.desired == 2, || format!("desired are {}", group.desired));
    let group = ground.serves(2).await?;
    verdict.unless(group.members.iter().all(|member| member.protected), || "a member is not protected".to_owned());
    verdict.unless(group.suspended == ["AZRebalance"], || format!("suspended: {:?}", group.suspended));
    ground.all_wait().await?;
    ground.scale().await?;
    let group = ground.group().await?;
    verdict.unless(group.desired == 2, || format!("with nothing waiting desired are {}", group.desired));
    verdict.got = json!({"members": group.members.len(), "jobs": "run"});
    Ok(verdict)
}

/// A runner manager hangs, and nobody can read what it does.
pub(super) async fn unreachable(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let expected = json!({"ended": 0, "told": true});
    let mut verdict = Verdict::new("a member that cannot be read counts as busy and is told", expected);
    let ids: Vec<String> = ground.group().await?.in_service().into_iter().map(str::to_owned).collect();
    let id = ids.first().ok_or_else(|| SuiteError::Missing("member".to_owned()))?;
    let manager = ground.manager_of(id).ok_or_else(|| SuiteError::Missing(format!("runner manager on {id}")))?;
    ground.freeze(manager, true);
    for _ in 0..UNHEALTHY_RUNS + IDLE_RUNS {
        ground.scale().await?;
    }
    let told = ground.said(&[id, "nhealthy"]).await?;
    ground.freeze(manager, false);
    let group = ground.group().await?;
    let ended = ground.scalers_calls("TerminateInstanceInAutoScalingGroup");
    verdict.unless(group.in_service().len() == ids.len() && ended == 0, || format!("{ended} were ended: {group:?}"));
    verdict.unless(told, || format!("nobody was told of {id}"));
    verdict.got = json!({"ended": ended, "told": told});
    Ok(verdict)
}

/// A person ends the member that runs most.
pub(super) async fn named_by_hand(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let expected = json!({"jobs": "success", "member": "terminated", "desired": 1, "answers": 1});
    let mut verdict = Verdict::new("a busy member that a person names finishes its jobs first", expected);
    let mut busiest: Option<(u32, String)> = None;
    for id in ground.group().await?.in_service() {
        let jobs = ground.jobs_on(id).await.unwrap_or_default();
        if busiest.as_ref().is_none_or(|(most, _)| jobs > *most) {
            busiest = Some((jobs, id.to_owned()));
        }
    }
    let (jobs, id) = busiest.ok_or_else(|| SuiteError::Missing("member".to_owned()))?;
    verdict.unless(jobs > 0, || format!("{id} runs nothing"));
    ground.hand.end(&id).await?;
    ground
        .until("the member says that it is at work", async || {
            Ok((ground.calls("RecordLifecycleActionHeartbeat", None) > 0).then_some(()))
        })
        .await?;
    // It takes no further part, and is not asked to end twice.
    ground.scale().await?;
    let group = ground.group().await?;
    let state = group.members.iter().find(|member| member.id == id).map(|member| member.state.as_str());
    verdict.unless(state == Some("Terminating:Wait"), || format!("it is {state:?}"));
    let answered = ground.calls("CompleteLifecycleAction", None);
    verdict.unless(answered == 0, || "its hook was answered before".to_owned());
    let still = ground.jobs_on(&id).await;
    verdict.unless(still == Some(jobs), || format!("it ran {jobs}, and now {still:?}"));

    JOBS.iter().for_each(|job| ground.gate.let_through(job));
    let ended = ground.all_end().await?;
    let are_well = JOBS.iter().all(|job| ended[*job] == "success");
    verdict.unless(are_well, || format!("the jobs ended: {ended}"));
    ground
        .until("the member is gone", async || {
            Ok((ground.instances().await?.get(&id).is_none_or(|state| state == "terminated")).then_some(()))
        })
        .await?;
    let group = ground.serves(1).await?;
    verdict.unless(group.desired == 1, || format!("desired are {}", group.desired));
    let answers = ground.calls("CompleteLifecycleAction", None);
    verdict.unless(answers == 1, || format!("the hook was answered {answers} times"));
    verdict.got = json!({"jobs": ended, "member": "terminated", "desired": group.desired, "answers": answers});
    Ok(verdict)
}

/// A person wants as many members as there may be.
pub(super) async fn changed_by_hand(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let expected = json!({"set_back": 0, "above_maximum": "refused"});
    let mut verdict = Verdict::new("a size that a person set is not set back", expected);
    let before = ground.scalers_calls("SetDesiredCapacity");
    ground.hand.set_desired(POOL, MAXIMUM).await?;
    ground.serves(MAXIMUM as usize).await?;
    ground.scale().await?;
    let set_back = ground.scalers_calls("SetDesiredCapacity") - before;
    verdict.unless(set_back == 0, || format!("desired capacity was set {set_back} times"));
    let refused = ground.hand.set_desired(POOL, MAXIMUM + 1).await;
    let refused = refused.is_err_and(|error| error.to_string().contains("above max value"));
    verdict.unless(refused, || "the group took more than its maximum".to_owned());
    verdict.got = json!({"set_back": set_back, "above_maximum": if refused { "refused" } else { "taken" }});
    Ok(verdict)
}

/// Nothing is left to do.
pub(super) async fn shrinks(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let expected = json!({"members": 0, "lowered": 0});
    let mut verdict = Verdict::new("shrinks to nothing when idle, member by member", expected);
    let grown = ground.scalers_calls("SetDesiredCapacity");
    ground
        .until("the group is empty", async || {
            ground.scale().await?;
            let group = ground.group().await?;
            Ok((group.desired == 0 && group.members.is_empty()).then_some(()))
        })
        .await?;
    let lowered = ground.scalers_calls("SetDesiredCapacity") - grown;
    verdict.unless(lowered == 0, || format!("desired capacity was set {lowered} times"));
    let (beats, answers) =
        (ground.calls("RecordLifecycleActionHeartbeat", None), ground.calls("CompleteLifecycleAction", None));
    verdict.unless(answers == 1 + MAXIMUM as usize, || format!("hooks were answered {answers} times"));
    verdict.got = json!({"members": 0, "lowered": lowered, "heartbeats": beats, "answers": answers});
    Ok(verdict)
}

/// A group of somebody else, and an instance that wears the pool's tags.
async fn make_others(ground: &Ground<'_>) -> Result<(), SuiteError> {
    let aws = ground.stack.aws();
    let template = [
        ("LaunchTemplateName", OTHER),
        ("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"),
        ("LaunchTemplateData.InstanceType", "m7i.large"),
    ];
    aws.query(EC2, "CreateLaunchTemplate", &template).await?;
    let group = [
        ("AutoScalingGroupName", OTHER),
        ("LaunchTemplate.LaunchTemplateName", OTHER),
        ("LaunchTemplate.Version", "$Latest"),
        ("MinSize", "0"),
        ("MaxSize", "1"),
        ("DesiredCapacity", "1"),
    ];
    ground.hand.call("CreateAutoScalingGroup", &group).await?;
    let alike = [
        ("ImageId", "ami-0123456789abcdef0"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "runnerless:pool"),
        ("TagSpecification.1.Tag.1.Value", POOL),
        ("TagSpecification.1.Tag.2.Key", "Name"),
        ("TagSpecification.1.Tag.2.Value", OTHER),
    ];
    aws.query(EC2, "RunInstances", &alike).await?;
    Ok(())
}

/// What only looks like the pool's is as it was.
pub(super) async fn look_alikes(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let mut verdict =
        Verdict::new("what only looks like the pool's is left alone", json!({"group": 1, "instance": "running"}));
    let group = ground.hand.group(OTHER).await?.unwrap_or_default();
    verdict.unless(group.desired == 1 && group.in_service().len() == 1, || format!("the group is {group:?}"));
    let answer = ground.stack.aws().query(EC2, "DescribeInstances", &[]).await?;
    let answer = Element::parse(&answer).unwrap_or_default();
    let mut instances = answer.list("reservationSet").flat_map(|reservation| reservation.list("instancesSet"));
    let tagged = |instance: &&Element, key: &str, value: Option<&str>| {
        let mut tags = instance.list("tagSet");
        tags.any(|tag| tag.text_at(&["key"]) == Some(key) && (value.is_none() || tag.text_at(&["value"]) == value))
    };
    let alike = instances.find(|one| tagged(one, "Name", Some(OTHER)) && !tagged(one, GROUP_TAG, None));
    let state = alike.and_then(|instance| instance.text_at(&["instanceState", "name"])).unwrap_or("gone").to_owned();
    verdict.unless(state == "running", || format!("the instance is {state}"));
    verdict.got = json!({"group": group.members.len(), "instance": state});
    Ok(verdict)
}

/// An operator deletes the pool's stack.
pub(super) async fn removed(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let mut verdict =
        Verdict::new("nothing is left of a pool whose stack is deleted", json!({"left": [], "row": "expires"}));
    // With a member, which goes with its group.
    ground.hand.set_desired(POOL, 1).await?;
    ground.serves(1).await?;
    let members: Vec<String> = ground.group().await?.members.into_iter().map(|member| member.id).collect();
    ground.stack.aws().query(CLOUDFORMATION, "DeleteStack", &[("StackName", POOL)]).await?;
    ground
        .until("the group and its members are gone", async || {
            let instances = ground.instances().await?;
            let are_gone = members.iter().all(|id| instances.get(id).is_none_or(|state| state == "terminated"));
            Ok((are_gone && ground.hand.group(POOL).await?.is_none()).then_some(()))
        })
        .await?;
    let processes = || members.iter().flat_map(|id| strays::naming(&format!("instances/{id}"))).collect::<Vec<_>>();
    ground.until("their processes end", async || Ok(processes().is_empty().then_some(()))).await?;
    let main = ground.stack.aws().query(CLOUDFORMATION, "DescribeStacks", &[("StackName", STACK)]).await?;
    verdict.unless(main.contains("_COMPLETE"), || "the main stack is gone, too".to_owned());
    let rows = ground.rows().await?;
    let expires = |row: &Value| row["expires_at"].as_i64().is_some_and(|at| at > Timestamp::now().as_second());
    let is_its_own = rows.len() == 1 && rows[0]["pk"] == format!("pool#{POOL}") && expires(&rows[0]);
    verdict.unless(is_its_own, || format!("rows of pools: {rows:?}"));
    verdict.got = json!({"left": [], "row": if is_its_own { "expires" } else { "stays" }});
    Ok(verdict)
}
