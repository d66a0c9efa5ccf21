//! What the template sets and what the functions read are the same names.

use std::collections::BTreeSet;

use runnerless_tidy::source::{literals, of_function};
use runnerless_tidy::template::{Template, references, text};

const PREFIX: &str = "RUNNERLESS_";
/// Parameters beyond this are decisions that an operator should not have to make: a dozen, four that say whether and where
/// instances are launched and whether they need the official runner, four for a network and an account that have rules of
/// their own, and the bucket of the jobs' caches. Nobody can know those nine but the operator.
const MOST_PARAMETERS: usize = 21;

fn set_by(variables: &serde_json::Value) -> BTreeSet<String> {
    let names = variables["Environment"]["Variables"].as_object().into_iter().flat_map(|map| map.keys().cloned());
    names.filter(|name| name.starts_with(PREFIX)).collect()
}

#[test]
fn each_function_reads_what_the_template_sets_and_nothing_else() {
    let mut wrong = Vec::new();
    for (template, function) in Template::both()
        .iter()
        .flat_map(|template| template.functions().into_iter().map(move |function| (template, function)))
    {
        let global = set_by(&template.value["Globals"]["Function"]);
        let (own, read) = (set_by(&function.properties), literals(&of_function(&function.part), PREFIX));
        assert!(!read.is_empty() || own.is_empty(), "{}: no source was found", function.part);
        let unread = own.difference(&read).map(|name| format!("{}: {name} is set and nobody reads it", function.id));
        let all: BTreeSet<_> = own.union(&global).cloned().collect();
        let unset = read
            .difference(&all)
            .map(|name| format!("{}: {name} is read and the template does not set it", function.id));
        wrong.extend(unread.chain(unset));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_all_functions_are_given_is_read_by_more_than_one() {
    let template = Template::load();
    for name in set_by(&template.value["Globals"]["Function"]) {
        let functions = template.functions();
        let readers =
            functions.iter().filter(|function| literals(&of_function(&function.part), PREFIX).contains(&name));
        assert!(readers.count() > 1, "{name} of Globals belongs to the one function that reads it, if any does");
    }
}

#[test]
fn every_parameter_is_described_and_used_and_there_are_few() {
    for template in Template::both() {
        let sections = ["Conditions", "Globals", "Resources", "Outputs"];
        let used: BTreeSet<String> = sections.iter().flat_map(|name| references(&template.value[name])).collect();
        let parameters: Vec<_> = template.section("Parameters").collect();
        assert!(parameters.len() <= MOST_PARAMETERS, "{} parameters", parameters.len());
        for (name, parameter) in parameters {
            assert!(!text(&parameter["Description"]).is_empty(), "parameter {name} has no Description");
            assert!(used.contains(name), "nothing uses parameter {name}");
        }
    }
}

#[test]
fn every_condition_is_used_and_every_reference_leads_somewhere() {
    for template in Template::both() {
        let sections = ["Conditions", "Globals", "Resources", "Outputs"];
        let used: BTreeSet<String> = sections.iter().flat_map(|name| references(&template.value[name])).collect();
        let known: BTreeSet<&str> = ["Parameters", "Conditions", "Resources"]
            .iter()
            .flat_map(|name| template.section(name))
            .map(|(name, _)| name)
            .collect();
        for (name, _) in template.section("Conditions") {
            assert!(used.contains(name), "nothing uses condition {name}");
        }
        for name in used.iter().filter(|name| !name.starts_with("AWS::")) {
            assert!(known.contains(name.as_str()), "{name} is referred to and is nothing");
        }
    }
}

#[test]
fn the_caps_of_the_template_are_those_of_the_code() {
    use runnerless_core::limits::{LANE_CAP, STACK_CAP};
    let template = Template::load();
    let caps = text(&template.value["Parameters"]["LaunchCaps"]["Default"]);
    assert_eq!(caps, format!("{LANE_CAP},{STACK_CAP}"), "LaunchCaps and limits.rs differ");
}
