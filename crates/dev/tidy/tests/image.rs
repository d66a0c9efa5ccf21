//! The image of EC2 runners: its template, its script and the main template speak of the same things.

use std::collections::BTreeSet;

use runnerless_tidy::read;
use runnerless_tidy::template::{Template, each, mappings, references, text};

const SCRIPT: &str = "ami/provision.sh";

fn template() -> Template {
    Template::at("ami/template.yaml")
}

/// The one resource of a type.
fn the<'t>(template: &'t Template, kind: &str) -> &'t serde_json::Value {
    let found: Vec<_> = template.resources(kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].1
}

/// The component's document.
fn component(template: &Template) -> &str {
    text(&the(template, "AWS::ImageBuilder::Component")["Data"]["!Sub"][0])
}

/// The words between the brackets of an array of the script.
fn array(script: &str, name: &str) -> BTreeSet<String> {
    let start = format!("{name}=(");
    let words = script.split_once(&start).and_then(|(_, rest)| rest.split_once(')')).map(|(words, _)| words);
    words.unwrap_or_else(|| panic!("{SCRIPT} has no {start}")).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_component_gives_each_mandatory_option_and_no_other() {
    let (template, script) = (template(), read(SCRIPT));
    // The call's first line and those that follow it, as long as a line says that it goes on.
    let lines = component(&template).lines().skip_while(|line| !line.trim().starts_with("bash provision.sh"));
    let mut goes_on = true;
    let call = lines.take_while(|line| std::mem::replace(&mut goes_on, line.ends_with('\\')));
    let call = call.collect::<Vec<_>>().join(" ");
    let given: BTreeSet<String> =
        call.split_whitespace().filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect();
    assert_eq!(given, array(&script, "ORDER"));
}

#[test]
fn the_component_gives_each_option_of_members_and_no_other() {
    let (template, script) = (template(), read(SCRIPT));
    let groups = component(&template).split("members+=(").skip(1).filter_map(|rest| rest.split_once(')'));
    let given: BTreeSet<String> = groups
        .flat_map(|(group, _)| group.split_whitespace())
        .filter_map(|word| word.strip_prefix("--"))
        .map(str::to_owned)
        .collect();
    let wanted: BTreeSet<String> = array(&script, "MEMBER").union(&array(&script, "GITLAB_RUNNER")).cloned().collect();
    assert_eq!(given, wanted);
}

#[test]
fn what_only_members_have_is_given_wholly_or_not_at_all() {
    let template = template();
    for name in ["Member", "GitLabRunner"] {
        let pair: BTreeSet<String> = ["Version", "Sha256"].map(|what| format!("{name}{what}")).into();
        for parameter in &pair {
            let parameter = &template.value["Parameters"][parameter];
            assert_eq!(parameter["Default"], "", "{pair:?}: every image would have it");
            assert!(!parameter["AllowedPattern"].is_null(), "{pair:?}: one takes anything");
        }
        assert!(
            template.section("Rules").any(|(_, rule)| references(rule) == pair),
            "no rule looks whether {pair:?} are both there"
        );
    }
}

#[test]
fn what_is_downloaded_has_a_version_and_a_sum_without_defaults() {
    let template = template();
    for name in ["RunnerVersion", "RunnerSha256", "AwsCliVersion", "AwsCliSha256", "BuildxVersion", "BuildxSha256"]
        .into_iter()
        .chain(["ProvisionSha256", "Release", "ImageVersion"])
    {
        let parameter = &template.value["Parameters"][name];
        assert!(!parameter.is_null(), "there is no parameter {name}");
        assert!(parameter["Default"].is_null(), "{name} has a default: nobody would look at it");
        assert!(!parameter["AllowedPattern"].is_null(), "{name} takes anything");
    }
}

#[test]
fn every_parameter_is_described_and_used() {
    let template = template();
    let used: BTreeSet<String> =
        ["Conditions", "Resources", "Outputs"].iter().flat_map(|name| references(&template.value[name])).collect();
    for (name, parameter) in template.section("Parameters") {
        assert!(!text(&parameter["Description"]).is_empty(), "parameter {name} has no Description");
        assert!(used.contains(name), "nothing uses parameter {name}");
    }
}

#[test]
fn the_machine_that_builds_is_closed_and_what_it_builds_is_encrypted() {
    let template = template();
    let metadata = &the(&template, "AWS::ImageBuilder::InfrastructureConfiguration")["InstanceMetadataOptions"];
    assert_eq!(metadata["HttpTokens"], "required");
    let group = the(&template, "AWS::EC2::SecurityGroup");
    assert!(group["SecurityGroupIngress"].is_null(), "somebody may call the machine that builds");
    let volumes = each(&the(&template, "AWS::ImageBuilder::ImageRecipe")["BlockDeviceMappings"]);
    assert_eq!(volumes.len(), 1);
    assert_eq!((&volumes[0]["Ebs"]["Encrypted"], &volumes[0]["Ebs"]["VolumeType"]), (&"true".into(), &"gp3".into()));
}

#[test]
fn no_right_has_a_wildcard_action_and_every_wildcard_resource_is_explained() {
    let template = template();
    let statements: Vec<_> = mappings(&template.value).into_iter().filter(|map| !map["Effect"].is_null()).collect();
    assert!(statements.len() > 5, "only {} statements were found", statements.len());
    for action in statements.iter().flat_map(|statement| each(&statement["Action"])) {
        assert!(!text(action).contains('*'), "action {action} has a wildcard");
    }
    let lines: Vec<&str> = template.text.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("Resource:") && line.contains('*')) {
        assert!(lines[at - 1].starts_with('#'), "line {}: {line} is not explained", at + 1);
    }
}

#[test]
fn the_image_is_where_the_main_template_looks_for_it() {
    let (template, main) = (template(), Template::load());
    let path = text(&main.value["Parameters"]["ParameterPath"]["Default"]).to_owned();
    let name = text(&template.value["Parameters"]["ParameterName"]["Default"]);
    assert_eq!(name, format!("{path}/ami"), "the defaults of ParameterName and ParameterPath disagree");
    let distribution = the(&template, "AWS::ImageBuilder::DistributionConfiguration");
    let published = &distribution["Distributions"][0]["SsmParameterConfigurations"][0];
    assert_eq!(
        (&published["ParameterName"]["!Ref"], &published["DataType"]),
        (&"ParameterName".into(), &"aws:ec2:image".into())
    );
}

#[test]
fn the_test_of_an_image_asks_for_what_the_script_makes() {
    let (template, script) = (template(), read(SCRIPT));
    let constant = |name: &str| {
        let line = script.lines().find_map(|line| line.strip_prefix(&format!("readonly {name}=")));
        line.unwrap_or_else(|| panic!("{SCRIPT} has no {name}")).to_owned()
    };
    let test = component(&template).split_once("name: test").expect("the component's test").1;
    assert!(test.contains(&format!("runuser -u {} ", constant("JOB_USER"))), "the test asks as another user");
    assert!(test.contains(&format!("test -s {}\n", constant("STATEMENT"))), "the test asks for another statement");
    assert!(test.contains(&format!("PATH={}:", constant("BIN"))), "the test looks elsewhere");
}
