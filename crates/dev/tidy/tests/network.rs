//! Networks and accounts: which functions are where, by which way they go out, and what bounds their roles.

use std::collections::BTreeSet;

use runnerless_tidy::source::{crates_of, of_crate};
use runnerless_tidy::template::{Function, POOL, Template, each, mappings, references, text};
use serde_json::Value;

const NETWORK: &str = "network/template.yaml";
const TEMPLATES: [&str; 4] = ["template.yaml", POOL, "ami/template.yaml", NETWORK];
/// Where the client itself is; who makes one is told from the rest.
const CLIENTS: &str = "crates/lib/gitlab";

/// The parts whose sources make a client for GitLab.
fn speak_to_gitlab(functions: &[Function]) -> BTreeSet<String> {
    let makes_one = |part: &String| {
        crates_of(part).iter().any(|folder| folder != CLIENTS && of_crate(folder).contains("ClientConfig::new("))
    };
    functions.iter().map(|function| function.part.clone()).filter(makes_one).collect()
}

#[test]
fn what_speaks_to_gitlab_can_be_put_into_its_network_and_nothing_else() {
    let functions: Vec<Function> = Template::both().iter().flat_map(Template::functions).collect();
    let speak = speak_to_gitlab(&functions);
    assert!(speak.contains("executor") && speak.contains("scaler") && !speak.contains("authorizer"), "{speak:?}");
    for function in functions {
        let properties = &function.properties;
        let variables = &properties["Environment"]["Variables"];
        let (part, speaks) = (&function.part, speak.contains(&function.part));
        for (what, there) in [
            ("VpcConfig", !properties["VpcConfig"].is_null()),
            ("Layers with CaLayer", references(&properties["Layers"]).contains("CaLayer")),
            ("RUNNERLESS_PROXY", !variables["RUNNERLESS_PROXY"].is_null()),
            ("RUNNERLESS_CA_FILE", !variables["RUNNERLESS_CA_FILE"].is_null()),
            // SAM gives a function with VpcConfig more rights than its code may have.
            ("the policy LambdasInterfaces", references(&properties["Policies"]).contains("LambdasInterfaces")),
        ] {
            assert_eq!(there, speaks, "{part} {} speak to GitLab: {what}", if speaks { "does" } else { "does not" });
        }
    }
}

#[test]
fn the_networks_outputs_are_parameters_of_the_template() {
    let (network, template) = (Template::at(NETWORK), Template::load());
    let parameters: BTreeSet<&str> = template.section("Parameters").map(|(name, _)| name).collect();
    let outputs: BTreeSet<&str> = network.section("Outputs").map(|(name, _)| name).collect();
    for name in ["Ec2Vpc", "Ec2Subnets", "FunctionSubnets"] {
        assert!(outputs.contains(name) && parameters.contains(name), "{name}");
    }
    let others: Vec<_> = outputs.difference(&parameters).collect();
    assert_eq!(others, [&"Addresses"], "an output that is no parameter of the template");
}

#[test]
fn the_networks_parameters_are_described_and_used() {
    let network = Template::at(NETWORK);
    let used: BTreeSet<String> =
        ["Conditions", "Resources", "Outputs"].iter().flat_map(|name| references(&network.value[name])).collect();
    for (name, parameter) in network.section("Parameters") {
        assert!(!text(&parameter["Description"]).is_empty(), "parameter {name} has no Description");
        assert!(used.contains(name), "nothing uses parameter {name}");
    }
}

#[test]
fn nothing_takes_a_connection() {
    for path in TEMPLATES {
        let template = Template::at(path);
        for (id, group) in template.resources("AWS::EC2::SecurityGroup") {
            if (path, id) == (POOL, "MemberSecurityGroup") {
                takes_only_its_scalers(group);
            } else {
                assert!(group["SecurityGroupIngress"].is_null(), "{path}: {id} takes connections");
            }
        }
        assert_eq!(template.resources("AWS::EC2::SecurityGroupIngress").count(), 0, "{path}");
    }
}

/// A pool's members are asked for their metrics by their scaler, and by nobody else.
fn takes_only_its_scalers(group: &Value) {
    let [rule] = each(&group["SecurityGroupIngress"])[..] else { panic!("one rule: {group}") };
    assert_eq!(
        (&rule["IpProtocol"], &rule["FromPort"], &rule["ToPort"]),
        (&"tcp".into(), &"9252".into(), &"9252".into())
    );
    assert_eq!(rule["SourceSecurityGroupId"]["!GetAtt"], "ScalerSecurityGroup.GroupId");
    assert!(rule["CidrIp"].is_null() && rule["CidrIpv6"].is_null() && rule["SourcePrefixListId"].is_null(), "{rule}");
}

#[test]
fn every_role_is_bounded_by_the_parameter() {
    let template = Template::load();
    let bounded = |value: &Value| references(&value["PermissionsBoundary"]).contains("PermissionsBoundary");
    assert!(bounded(&template.value["Globals"]["Function"]), "the functions' roles are not bounded");
    for kind in ["AWS::Serverless::StateMachine", "AWS::IAM::Role"] {
        for (id, properties) in template.resources(kind) {
            assert!(bounded(properties), "{id} has a role that PermissionsBoundary does not bound");
        }
    }
    let pool = Template::at(POOL);
    for kind in ["AWS::Serverless::Function", "AWS::IAM::Role"] {
        for (id, properties) in pool.resources(kind) {
            assert!(bounded(properties), "{POOL}: {id} has a role that PermissionsBoundary does not bound");
        }
    }
}

#[test]
fn no_arn_and_no_address_is_of_one_partition() {
    for path in TEMPLATES {
        let template = Template::at(path);
        for map in mappings(&template.value["Resources"]).into_iter().chain(mappings(&template.value["Outputs"])) {
            for value in map.as_object().into_iter().flatten().flat_map(|(_, value)| each(value)) {
                assert!(!text(value).contains("arn:aws"), "{path}: write ${{AWS::Partition}}: {value}");
                let principal = text(value).ends_with(".amazonaws.com") && !text(value).contains('/');
                assert!(
                    principal || !text(value).contains("amazonaws.com"),
                    "{path}: write ${{AWS::URLSuffix}}: {value}"
                );
            }
        }
    }
}
