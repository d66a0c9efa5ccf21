//! The state machines: each name in them leads somewhere, each wait ends in time, each error that passes is retried.

use std::collections::BTreeSet;

use runnerless_tidy::source::{error_names, of_crate};
use runnerless_tidy::template::{Template, each, references, text};
use runnerless_tidy::{files, read};
use serde_json::Value;

/// An Express workflow is ended by AWS after this, in seconds.
const EXPRESS: f64 = 300.0;
/// The adapters of `runnerless-aws`, and the first part of the names by which their errors leave a function. The
/// parameters' are not among them: whoever reads secrets handles that they cannot be read.
const SERVICES: [(&str, &str); 5] = [
    ("DynamoLedger", "Ledger"),
    ("DynamoMapping", "Mapping"),
    ("LambdaInvoker", "Invoke"),
    ("EventBus", "Bus"),
    ("Ec2Fleet", "Fleet"),
];

struct Machine {
    path: String,
    value: Value,
    /// The substitutions that the template gives it: name and the value.
    given: Vec<(String, Value)>,
}

fn machines() -> Vec<Machine> {
    let template = Template::load();
    let machine = |(_, properties): (&str, &Value)| {
        let path = text(&properties["DefinitionUri"]).to_owned();
        let value = serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let given = properties["DefinitionSubstitutions"].as_object().cloned().unwrap_or_default();
        assert_eq!(properties["Type"], "EXPRESS", "{path}: the rules below are for Express workflows");
        Machine { path, value, given: given.into_iter().collect() }
    };
    let machines: Vec<_> = template.resources("AWS::Serverless::StateMachine").map(machine).collect();
    let used: BTreeSet<_> = machines.iter().map(|machine| machine.path.clone()).collect();
    assert_eq!(used, files("statemachines", ".asl.json").into_iter().collect(), "files and template differ");
    machines
}

impl Machine {
    fn states(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value["States"].as_object().into_iter().flatten()
    }

    fn tasks(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.states().filter(|(_, state)| state["Type"] == "Task")
    }

    fn retried(&self) -> BTreeSet<String> {
        self.tasks().flat_map(|(_, task)| retried_by(task)).collect()
    }

    /// The part whose function a task calls, through the substitution in its `FunctionName`.
    fn part(&self, task: &Value) -> String {
        let name = text(&task["Arguments"]["FunctionName"]);
        let value = self.given.iter().find(|(given, _)| name == format!("${{{given}}}")).map(|(_, value)| value);
        let ids = references(value.unwrap_or_else(|| panic!("{}: {name} is no substitution", self.path)));
        let function = Template::load().functions().into_iter().find(|function| ids.contains(&function.id));
        function.unwrap_or_else(|| panic!("{}: {name} is no function", self.path)).part
    }
}

fn retried_by(task: &Value) -> BTreeSet<String> {
    let names = each(&task["Retry"]).into_iter().flat_map(|retrier| each(&retrier["ErrorEquals"]));
    names.map(|name| text(name).to_owned()).collect()
}

fn targets(state: &Value) -> Vec<String> {
    let inner = ["Choices", "Catch"].iter().flat_map(|key| each(&state[*key])).map(|entry| &entry["Next"]);
    let own = [&state["Next"], &state["Default"]];
    inner.chain(own).map(text).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_transition_leads_to_a_state_and_every_state_is_reached() {
    for machine in machines() {
        let all: BTreeSet<String> = machine.states().map(|(name, _)| name.clone()).collect();
        let mut reached = BTreeSet::new();
        let mut left = vec![text(&machine.value["StartAt"]).to_owned()];
        while let Some(name) = left.pop() {
            assert!(all.contains(&name), "{}: there is no state {name:?}", machine.path);
            if reached.insert(name.clone()) {
                left.extend(targets(&machine.value["States"][&name]));
            }
        }
        assert_eq!(reached, all, "{}: states that nothing leads to", machine.path);
    }
}

#[test]
fn every_state_ends_or_goes_on() {
    for machine in machines() {
        for (name, state) in machine.states() {
            let ends = matches!(text(&state["Type"]), "Succeed" | "Fail") || state["End"] == true;
            assert!(ends || !targets(state).is_empty(), "{}: {name} neither ends nor goes on", machine.path);
            if state["Type"] == "Choice" {
                assert!(state["Default"].is_string(), "{}: {name} has no Default", machine.path);
            }
            // The local stack ignores it, so that it would be shown by no test.
            assert!(state["Type"] != "Succeed" || state["Output"].is_null(), "{}: {name} has an Output", machine.path);
        }
    }
}

#[test]
fn every_task_ends_in_time_with_all_its_retries() {
    let number = |value: &Value, default: f64| value.as_f64().unwrap_or(default);
    for machine in machines() {
        let whole = number(&machine.value["TimeoutSeconds"], f64::INFINITY);
        assert!(whole <= EXPRESS, "{}: TimeoutSeconds must be at most {EXPRESS}", machine.path);
        let mut longest = 0.0;
        for (name, task) in machine.tasks() {
            let timeout = number(&task["TimeoutSeconds"], f64::INFINITY);
            assert!(timeout.is_finite(), "{}: {name} has no TimeoutSeconds", machine.path);
            let function: f64 =
                text(&Template::load().function(&machine.part(task)).properties["Timeout"]).parse().unwrap();
            assert!(timeout > function, "{}: {name} gives up before its function does", machine.path);
            longest += timeout;
            for retrier in each(&task["Retry"]) {
                // The defaults are those of the Amazon States Language.
                let mut pause = number(&retrier["IntervalSeconds"], 1.0);
                let mut retries = number(&retrier["MaxAttempts"], 3.0);
                while retries > 0.0 {
                    longest += timeout + pause.min(number(&retrier["MaxDelaySeconds"], f64::INFINITY));
                    pause *= number(&retrier["BackoffRate"], 2.0);
                    retries -= 1.0;
                }
            }
        }
        assert!(longest <= whole, "{}: with all retries it takes {longest} s, and it has {whole} s", machine.path);
    }
}

#[test]
fn what_is_retried_is_what_the_function_can_answer() {
    let shared = error_names(&of_crate("crates/lib/aws"));
    for machine in machines() {
        for (name, task) in machine.tasks() {
            let part = machine.part(task);
            let own = of_crate(&format!("crates/bin/{part}"));
            let services: Vec<_> = SERVICES.iter().filter(|(adapter, _)| own.contains(adapter)).collect();
            let mut answered = error_names(&own);
            let of_services =
                |error: &&String| services.iter().any(|(_, service)| error.split('.').next() == Some(service));
            answered.extend(shared.iter().filter(of_services).cloned());
            let retried = retried_by(task);
            for error in retried.iter().filter(|error| !is_of_aws(error)) {
                assert!(
                    answered.contains(error),
                    "{}: {name} retries {error}, which {part} never answers",
                    machine.path
                );
            }
            for error in
                answered.iter().filter(|error| error.ends_with(".Throttled") || error.ends_with(".Unavailable"))
            {
                assert!(retried.contains(error), "{}: {name} does not retry {error} of {part}", machine.path);
            }
        }
    }
}

fn is_of_aws(error: &str) -> bool {
    error.starts_with("States.") || error.starts_with("Lambda.")
}

#[test]
fn nothing_permanent_is_retried() {
    for machine in machines() {
        for error in machine.retried() {
            let permanent = [".Refused", ".BadRow", ".BadRequest", "States.ALL", "States.TaskFailed"];
            assert!(!permanent.iter().any(|end| error.ends_with(end)), "{}: {error} is retried", machine.path);
        }
    }
}

#[test]
fn the_outcomes_that_are_chosen_by_are_those_of_the_router() {
    let source = of_crate("crates/bin/router");
    let answers: BTreeSet<String> =
        source.split("answer(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
    assert!(answers.len() > 2, "the router's answers were not found in its source");
    let machine = machines().into_iter().find(|machine| machine.path.ends_with("start-runner.asl.json")).unwrap();
    let choices = machine.states().flat_map(|(_, state)| each(&state["Choices"]));
    let conditions: String = choices.map(|choice| text(&choice["Condition"])).collect();
    let chosen: BTreeSet<String> = conditions.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(chosen, answers, "{}: its choices and the router's Answer differ", machine.path);
}

#[test]
fn substitutions_are_given_and_used() {
    for machine in machines() {
        let source = read(&machine.path);
        let used: BTreeSet<&str> = source.split("${").skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let given: BTreeSet<&str> = machine.given.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(used, given, "{} and the template's DefinitionSubstitutions differ", machine.path);
    }
}
