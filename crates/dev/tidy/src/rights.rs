//! Who may do what, from the template: each role's statements in one shape, and `docs/iam.md` made of them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::template::{POOL, Template, each, text};
use crate::why;

/// The document.
pub const FILE: &str = "docs/iam.md";
/// How to make it anew.
pub const COMMAND: &str = "make iam";

/// One action that a role is allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `service:Operation`.
    pub action: String,
    /// Whether it is a denial.
    pub denied: bool,
    /// On what, as readers know it.
    pub resource: String,
    /// When, as readers know it; empty for always.
    pub condition: String,
}

/// One role, and what it may do.
#[derive(Clone, Debug)]
pub struct Role {
    /// The logical id of the function, workflow or role.
    pub id: String,
    /// Who takes it on.
    pub bearer: String,
    /// In the template's order.
    pub rights: Vec<Right>,
    /// Policies that SAM adds by itself.
    pub added: Vec<&'static str>,
}

/// Every role that the template makes, in its order.
#[must_use]
pub fn roles(template: &Template) -> Vec<Role> {
    let mut found = Vec::new();
    for (id, resource) in template.section("Resources") {
        let properties = &resource["Properties"];
        let (bearer, policies) = match text(&resource["Type"]) {
            "AWS::Serverless::Function" => ("the function".to_owned(), &properties["Policies"]),
            "AWS::Serverless::StateMachine" => ("the workflow".to_owned(), &properties["Policies"]),
            "AWS::IAM::Role" => {
                let trusted = &each(&properties["AssumeRolePolicyDocument"]["Statement"])[0]["Principal"]["Service"];
                (format!("`{}`", text(trusted)), &properties["Policies"])
            }
            _ => continue,
        };
        let mut rights = Vec::new();
        for policy in each(policies).into_iter().chain(each(&properties["ManagedPolicyArns"])) {
            of_policy(template, policy, "", &mut rights);
        }
        let is_function = resource["Type"] == "AWS::Serverless::Function";
        let mut added = Vec::new();
        if is_function {
            added.push("AWSLambdaBasicExecutionRole");
        }
        if is_function && !properties["VpcConfig"].is_null() {
            added.push("AWSLambdaVPCAccessExecutionRole");
        }
        found.push(Role { id: id.to_owned(), bearer, rights, added });
    }
    found
}

/// A policy: a list of statements, the name of a managed one, a role's inline one, or one of these under a condition.
fn of_policy(template: &Template, policy: &Value, condition: &str, rights: &mut Vec<Right>) {
    let chosen = each(&policy["!If"]);
    if let [name, then, other] = chosen[..] {
        let name = text(name);
        of_policy(template, then, &both(condition, &format!("only {}", parameter_of(name))), rights);
        if !is_nothing(other) {
            of_policy(template, other, &both(condition, &format!("unless {}", parameter_of(name))), rights);
        }
        return;
    }
    let managed = text(&policy["!Ref"]);
    let document = if managed.is_empty() {
        if policy["PolicyDocument"].is_null() { policy } else { &policy["PolicyDocument"] }
    } else {
        &template.value["Resources"][managed]["Properties"]["PolicyDocument"]
    };
    for statement in each(&document["Statement"]) {
        let when = both(condition, &conditions(&statement["Condition"]));
        for action in each(&statement["Action"]) {
            for resource in each(&statement["Resource"]) {
                rights.push(Right {
                    action: text(action).to_owned(),
                    denied: statement["Effect"] == "Deny",
                    resource: place(resource),
                    condition: when.clone(),
                });
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    value["!Ref"] == "AWS::NoValue"
}

fn both(one: &str, other: &str) -> String {
    [one, other].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("; ")
}

/// What an operator has set where a condition holds.
fn parameter_of(condition: &str) -> String {
    match condition {
        "LaunchesInstances" => "with `Ec2Subnets`".to_owned(),
        "InVpc" => "with `FunctionSubnets`".to_owned(),
        "HasCache" => "with `CacheBucket`".to_owned(),
        other => format!("where `{other}` holds"),
    }
}

fn conditions(value: &Value) -> String {
    let mut said = Vec::new();
    for (operator, keys) in value.as_object().into_iter().flatten() {
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            let wanted: Vec<String> = each(wanted).into_iter().map(place).collect();
            let is = if operator.ends_with("Like") { "is like" } else { "is" };
            said.push(format!("`{key}` {is} {}", wanted.join(" or ")));
        }
    }
    said.join("; ")
}

/// A resource, or a value of a condition, without what is the same in all ARNs of a stack.
fn place(value: &Value) -> String {
    // A stack has one of the two.
    if let [_, then, other] = each(&value["!If"])[..] {
        return format!("{} or {}", place(then), place(other));
    }
    let (reference, attribute, sub) = (text(&value["!Ref"]), text(&value["!GetAtt"]), text(&value["!Sub"]));
    if !reference.is_empty() {
        return format!("`{}`", reference.trim_start_matches("AWS::"));
    }
    if !attribute.is_empty() {
        return format!("`{}`", attribute.split('.').next().unwrap_or_default());
    }
    if sub.is_empty() {
        return if text(value) == "*" { "everything".to_owned() } else { format!("`{}`", text(value)) };
    }
    let mut short = sub.to_owned();
    for (long, instead) in [
        ("arn:${AWS::Partition}:", ""),
        (":${AWS::Region}:${AWS::AccountId}:", " "),
        (":${AWS::Region}::", " "),
        ("ssm parameter", "parameter "),
        ("lambda function:", "function "),
        ("execute-api ${Api}", "API "),
        ("autoscaling autoScalingGroup:*:autoScalingGroupName/", "group "),
        ("dynamodb table/", "table "),
        ("s3:::", "bucket "),
        ("ec2 ", ""),
        (".Arn}", "}"),
        ("AWS::StackName", "StackName"),
    ] {
        short = short.replace(long, instead);
    }
    format!("`{short}`")
}

/// The document's text, from these templates in turn.
///
/// # Errors
/// The rights for which nobody says why, and the reasons that are for no right.
pub fn document(templates: &[Template]) -> Result<String, Vec<String>> {
    let mut text = String::from(HEAD);
    let mut wrong = Vec::new();
    let mut used = vec![false; why::WHY.len()];
    for (template, role) in
        templates.iter().flat_map(|template| roles(template).into_iter().map(move |role| (template, role)))
    {
        let _ = write!(text, "\n## {}\n\nTaken on by {}{}.", role.id, role.bearer, of_pool(template));
        for policy in &role.added {
            let _ = write!(text, " SAM adds `{policy}`.");
        }
        text.push_str("\n\n| action | on | when | why |\n|---|---|---|---|\n");
        let mut reasoned = Vec::new();
        for right in &role.rights {
            match why::of(&role.id, &right.action, &right.resource) {
                Some(at) => {
                    used[at] = true;
                    reasoned.push((right.clone(), why::WHY[at].3));
                }
                None => {
                    let (who, what, on) = (&role.id, &right.action, &right.resource);
                    wrong.push(format!("why may {who} {what} on {on}? Say it in {}", why::PATH));
                }
            }
        }
        for (right, why) in grouped(reasoned) {
            let denied = if right.denied { "**denied:** " } else { "" };
            let _ = writeln!(text, "| {denied}`{}` | {} | {} | {why} |", right.action, right.resource, right.condition);
        }
    }
    let idle = why::WHY.iter().zip(&used).filter(|(_, used)| !**used);
    wrong.extend(idle.map(|((role, action, on, _), _)| format!("{}: nobody may {role} {action} {on}", why::PATH)));
    if wrong.is_empty() { Ok(text) } else { Err(wrong) }
}

fn of_pool(template: &Template) -> &'static str {
    if template.path == POOL { " of a pool's stack" } else { "" }
}

/// The same action under the same condition and for the same reason on several resources is one line.
fn grouped(rights: Vec<(Right, &'static str)>) -> Vec<(Right, &'static str)> {
    let mut lines: Vec<(Right, &'static str)> = Vec::new();
    for (right, why) in rights {
        let same = |(line, reason): &&mut (Right, &'static str)| {
            (&line.action, line.denied, &line.condition, *reason)
                == (&right.action, right.denied, &right.condition, why)
        };
        match lines.iter_mut().find(same) {
            Some((line, _)) if line.resource.split(", ").any(|there| there == right.resource) => {}
            Some((line, _)) => {
                line.resource.push_str(", ");
                line.resource.push_str(&right.resource);
            }
            None => lines.push((right, why)),
        }
    }
    lines
}

const HEAD: &str = "\
# Rights

Every role that `template.yaml` and `pool/template.yaml` make, and what it may do. This page is made from the templates by `make iam`, and a test
compares them; the reasons are in `crates/dev/tidy/src/why.rs`. No right has a wildcard in its action. Where AWS takes an action on all resources
only, the template says so beside it.

`${ParameterPath}` is the parameter of that name, and `StackName` the stack's. Each role is bounded by the parameter `PermissionsBoundary`, if
one is given.

Three things are not in the tables. SAM gives every function AWS's managed policy `AWSLambdaBasicExecutionRole`, for its log, and those that can
be put into a network `AWSLambdaVPCAccessExecutionRole`, for its interfaces. It lets a function with a destination for failures send there:
the executor may invoke the terminator; terminator, reconciler and scaler may write to the dead letters of their stack. And who deploys needs rights of his own:
CloudFormation, IAM roles and all services that the template has.

`runnerless` works with the rights of the person who calls it: read and write on the mapping table, read on the ledger, `ssm:PutParameter`
below `ParameterPath` for secrets, and `lambda:InvokeFunction` on the reconciler for `runnerless sweep`.
";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arns_and_conditions_are_said_shortly() {
        let sub = |text: &str| json!({"!Sub": text});
        for (value, short) in [
            (json!("*"), "everything"),
            (json!({"!GetAtt": "LedgerTable.Arn"}), "`LedgerTable`"),
            (sub("${LedgerTable.Arn}/index/due"), "`${LedgerTable}/index/due`"),
            (
                sub("arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${ParameterPath}/control/*"),
                "`parameter ${ParameterPath}/control/*`",
            ),
            (sub("arn:${AWS::Partition}:ec2:${AWS::Region}::image/*"), "`image/*`"),
        ] {
            assert_eq!(place(&value), short);
        }
        let condition = json!({"StringEquals": {"a:b": [{"!Ref": "AWS::StackName"}, "x"]}});
        assert_eq!(conditions(&condition), "`a:b` is `StackName` or `x`");
        let group = "arn:${AWS::Partition}:autoscaling:${AWS::Region}:${AWS::AccountId}:autoScalingGroup:*:autoScalingGroupName/";
        let either = json!({"!If": ["MakesGroup", sub(&format!("{group}${{AWS::StackName}}")), sub(&format!("{group}${{GroupName}}"))]});
        assert_eq!(place(&either), "`group ${StackName}` or `group ${GroupName}`");
    }

    #[test]
    fn a_policy_under_a_condition_says_so_and_a_managed_one_is_opened() {
        let template = crate::yaml::load(
            "Resources:\n  M:\n    Type: AWS::IAM::ManagedPolicy\n    Properties:\n      PolicyDocument:\n        Statement: [{Effect: Allow, Action: [a:B, a:C], Resource: '*'}]\n  \
             F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Policies: [!If [LaunchesInstances, !Ref M, !Ref 'AWS::NoValue']]\n",
        );
        let template = Template { path: "t.yaml".to_owned(), text: String::new(), value: template.unwrap() };
        let roles = roles(&template);
        let right = |action: &str| Right {
            action: action.to_owned(),
            denied: false,
            resource: "everything".to_owned(),
            condition: "only with `Ec2Subnets`".to_owned(),
        };
        assert_eq!(roles[0].rights, [right("a:B"), right("a:C")]);
    }
}
