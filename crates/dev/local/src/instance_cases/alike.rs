//! What imitates this stack's instances, its runner and the stack itself, and is not touched by sweeps and ends; beside an
//! instance that is this stack's, and is.

use std::collections::BTreeSet;

use hyper::Method;
use runnerless_core::fleet::{EXPIRES_TAG, LANE_TAG, LAUNCH_TAG, STACK_TAG};
use serde_json::{Value, json};

use super::ground::{Ground, LANE, now};
use crate::aws::{CLOUDFORMATION, EC2, IAM};
use crate::case_lines::Verdict;
use crate::deploy::STACK;
use crate::gitlab::NewRunner;
use crate::seed::EC2_TIMEOUT_S;
use crate::suite::SuiteError;

/// The profile and the role of somebody else.
const OTHER: &str = "runnerless-imitation";
/// Another stack's name, which begins like ours.
const OTHER_STACK: &str = "runnerless-2";
/// A stack of one resource.
const TEMPLATE: &str = r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#;

/// What becomes of an instance in sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not touched, and told.
    Told,
    /// Not touched, and not seen.
    Unseen,
    /// Terminated.
    Ended,
}

/// An instance that is planted.
struct Plant {
    what: &'static str,
    tags: Vec<(&'static str, String)>,
    profile: Profile,
    fate: Fate,
}

#[derive(Clone, Copy)]
enum Profile {
    None,
    Ours,
    Other,
}

/// Plants, has a job run, sweeps twice, and looks.
pub(super) async fn look_alikes(ground: &Ground<'_>) -> Result<Vec<Verdict>, SuiteError> {
    let job = ground.job("watched")?;
    ground.play(job).await?;
    let bound = ground.comes_to(job, &["bound"]).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (instance, system_id) = (text(&bound.launch["instance_id"]), text(&bound.launch["system_id"]));
    let profile = profile_of(ground, &instance).await?;
    other_profile(ground).await?;
    let mut planted = Vec::new();
    for plant in plants() {
        let id = plant.grow(ground, &profile).await?;
        planted.push((id, plant));
    }
    let runner = imitate_runner(ground, &system_id).await?;
    imitate_stack(ground).await?;

    // While a job of ours runs, and after its end.
    let mut told = vec![ground.sweep().await?];
    let ended_at = now();
    ground.gate.let_through("watched");
    ground.is_over(job).await?;
    told.push(ground.sweep().await?);
    let mut verdicts = Vec::new();
    for (id, plant) in &planted {
        verdicts.push(plant.judge(ground, id, &told).await?);
    }
    verdicts.push(runner_stays(ground, &runner, &system_id).await?);
    verdicts.push(stack_stays(ground).await?);
    let mut ours = Verdict::new(
        "look-alikes: of all instances the job's end ended its own",
        json!({"terminated": "the instance of the job, and no look-alike"}),
    );
    let terminated = ground.terminated_since(ended_at)?;
    let others: Vec<&String> = terminated.iter().filter(|id| **id != instance).collect();
    ours.unless(terminated.contains(&instance) && others.is_empty(), || format!("terminated were {terminated:?}"));
    ours.got = json!({"job_ran_on": instance, "terminated": terminated});
    verdicts.push(ours);
    Ok(verdicts)
}

/// Everything that an instance of this stack carries, past its hard end: whoever takes it for ours ends it at once.
fn tags() -> Vec<(&'static str, String)> {
    vec![
        (STACK_TAG, STACK.to_owned()),
        (LAUNCH_TAG, "l-00000000000000000000".to_owned()),
        (LANE_TAG, "0000000000000000".to_owned()),
        (EXPIRES_TAG, "1".to_owned()),
    ]
}

fn plants() -> Vec<Plant> {
    let with = |name: &'static str, value: &str| {
        tags().into_iter().map(|(key, old)| (key, if key == name { value.to_owned() } else { old })).collect()
    };
    let without = |name: &str| tags().into_iter().filter(|(key, _)| *key != name).collect();
    let plant = |what, tags, profile, fate| Plant { what, tags, profile, fate };
    vec![
        plant("our tags and no instance profile", tags(), Profile::None, Fate::Told),
        plant("our tags and another instance profile", tags(), Profile::Other, Fate::Told),
        plant("our profile and no launch", without(LAUNCH_TAG), Profile::Ours, Fate::Told),
        plant("our profile and a launch of another form", with(LAUNCH_TAG, "imitation"), Profile::Ours, Fate::Told),
        plant("our profile and an expiry that is no time", with(EXPIRES_TAG, "soon"), Profile::Ours, Fate::Told),
        plant("the tags of a stack with a longer name", with(STACK_TAG, OTHER_STACK), Profile::Other, Fate::Unseen),
        plant("our name, and no tag of ours", vec![("Name", STACK.to_owned())], Profile::None, Fate::Unseen),
        plant("all that ours have, past its hard end (the control)", tags(), Profile::Ours, Fate::Ended),
    ]
}

impl Plant {
    async fn grow(&self, ground: &Ground<'_>, ours: &str) -> Result<String, SuiteError> {
        let mut form = vec![
            ("ImageId".to_owned(), "ami-0abcdef1234567890".to_owned()),
            ("MinCount".to_owned(), "1".to_owned()),
            ("MaxCount".to_owned(), "1".to_owned()),
            ("TagSpecification.1.ResourceType".to_owned(), "instance".to_owned()),
        ];
        match self.profile {
            Profile::None => {}
            Profile::Ours => form.push(("IamInstanceProfile.Arn".to_owned(), ours.to_owned())),
            Profile::Other => form.push(("IamInstanceProfile.Name".to_owned(), OTHER.to_owned())),
        }
        for (at, (key, value)) in self.tags.iter().enumerate() {
            form.push((format!("TagSpecification.1.Tag.{}.Key", at + 1), (*key).to_owned()));
            form.push((format!("TagSpecification.1.Tag.{}.Value", at + 1), value.clone()));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answer = ground.stack.aws().query(EC2, "RunInstances", &form).await?;
        let id = answer.split_once("<instanceId>").and_then(|(_, rest)| rest.split_once('<')).map(|(id, _)| id);
        id.map(str::to_owned).ok_or_else(|| SuiteError::Missing(format!("instance in {answer}")))
    }

    async fn judge(&self, ground: &Ground<'_>, id: &str, told: &[Value]) -> Result<Verdict, SuiteError> {
        let (state, times) = match self.fate {
            Fate::Told => ("running", told.len()),
            Fate::Unseen => ("running", 0),
            Fate::Ended => ("terminated", 0),
        };
        let expected = json!({"state": state, "told_by_sweeps": times});
        let mut verdict = Verdict::new(format!("look-alikes: an instance with {}", self.what), expected);
        let is = ground.state(id).await?;
        let row = format!("instance#{id}");
        let items = told.iter().flat_map(|report| report["items"].as_array().into_iter().flatten());
        let said: Vec<&Value> = items.filter(|item| item["row"] == row.as_str()).collect();
        let alike = said.iter().filter(|item| item["action"] == "look_alike").count();
        verdict.unless(is == state, || format!("it is {is}"));
        verdict.unless(alike == times, || format!("sweeps told {said:?}"));
        verdict.got = json!({"instance": id, "state": is, "told_by_sweeps": alike, "why": said.first().map(|item| &item["reason"])});
        Ok(verdict)
    }
}

/// The instance profile's ARN of an instance of this stack.
async fn profile_of(ground: &Ground<'_>, instance: &str) -> Result<String, SuiteError> {
    let all = ground.ec2().instances().await?;
    let found = all.into_iter().find(|record| record.id == instance).and_then(|record| record.profile);
    found.ok_or_else(|| SuiteError::Missing("instance profile".to_owned()))
}

/// A profile with a role that EC2 may use.
async fn other_profile(ground: &Ground<'_>) -> Result<(), SuiteError> {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let aws = ground.stack.aws();
    aws.query(IAM, "CreateRole", &[("RoleName", OTHER), ("AssumeRolePolicyDocument", trust)]).await?;
    aws.query(IAM, "CreateInstanceProfile", &[("InstanceProfileName", OTHER)]).await?;
    aws.query(IAM, "AddRoleToInstanceProfile", &[("InstanceProfileName", OTHER), ("RoleName", OTHER)]).await?;
    Ok(())
}

/// Another runner of the same description and tags, with a manager of the same system id as the launch's. Returns its token.
async fn imitate_runner(ground: &Ground<'_>, system_id: &str) -> Result<String, SuiteError> {
    let runner = NewRunner {
        description: LANE.description,
        tags: LANE.tags.to_vec(),
        run_untagged: false,
        maximum_timeout: EC2_TIMEOUT_S,
    };
    let token = ground.simulator.create_runner(&runner).await?;
    let verify = json!({"token": token, "system_id": system_id});
    ground.simulator.call(Method::POST, "/api/v4/runners/verify", &verify).await?;
    let all = managers(ground).await?;
    let has = all.iter().filter(|managers| managers.contains(system_id)).count();
    if has == 2 { Ok(token) } else { Err(SuiteError::Missing(format!("second manager {system_id}: {all:?}"))) }
}

/// The managers of each runner that looks like the lane's.
async fn managers(ground: &Ground<'_>) -> Result<Vec<BTreeSet<String>>, SuiteError> {
    let runners = ground.simulator.call(Method::GET, "/_sim/v1/runners", &Value::Null).await?;
    let alike = runners.as_array().into_iter().flatten().filter(|runner| runner["description"] == LANE.description);
    let names = |runner: &Value| {
        let managers = runner["managers"].as_array().into_iter().flatten();
        managers.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    Ok(alike.map(names).collect())
}

async fn runner_stays(ground: &Ground<'_>, token: &str, system_id: &str) -> Result<Verdict, SuiteError> {
    let mut verdict = Verdict::new(
        "look-alikes: a runner of our description and tags, with a manager of the launch's system id",
        json!({"runners": 2, "managers_of_that_id": 1, "its_token": "works"}),
    );
    let all = managers(ground).await?;
    let left = all.iter().filter(|managers| managers.contains(system_id)).count();
    let verify = json!({"token": token, "system_id": system_id});
    let works = ground.simulator.call(Method::POST, "/api/v4/runners/verify", &verify).await.is_ok();
    verdict.unless(all.len() == 2 && left == 1 && works, || {
        format!("managers {all:?}; its token {}", if works { "works" } else { "is refused" })
    });
    verdict.got = json!({"runners": all.len(), "managers_of_that_id": left, "its_token": if works { "works" } else { "is refused" }});
    Ok(verdict)
}

async fn imitate_stack(ground: &Ground<'_>) -> Result<(), SuiteError> {
    let form = [
        ("StackName", OTHER_STACK),
        ("TemplateBody", TEMPLATE),
        ("Tags.member.1.Key", STACK_TAG),
        ("Tags.member.1.Value", STACK),
    ];
    ground.stack.aws().query(CLOUDFORMATION, "CreateStack", &form).await?;
    let complete = async || Ok(stack_state(ground).await?.contains("CREATE_COMPLETE").then_some(()));
    ground.until("the other stack is made", complete).await
}

async fn stack_state(ground: &Ground<'_>) -> Result<String, SuiteError> {
    let form = [("StackName", OTHER_STACK)];
    Ok(ground.stack.aws().query(CLOUDFORMATION, "DescribeStackResources", &form).await?)
}

async fn stack_stays(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let mut verdict = Verdict::new(
        "look-alikes: a stack whose name begins like ours and that carries our tag",
        json!({"resource": "CREATE_COMPLETE"}),
    );
    let state = stack_state(ground).await?;
    let is_there = state.contains("CREATE_COMPLETE");
    verdict.unless(is_there, || state.clone());
    verdict.got = json!({"resource": if is_there { "CREATE_COMPLETE" } else { "gone" }});
    Ok(verdict)
}
