//! The table of faults: ours, and tables that cannot be carried out.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::collections::BTreeSet;
use std::path::Path;

use runnerless_local::faults::{BadTable, Case, Fault, Phase, read};

fn table(lines: &str) -> Result<Vec<Case>, BadTable> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.jsonl");
    std::fs::write(&path, lines).unwrap();
    read(&path)
}

fn line(key: &str, value: &str) -> String {
    let mut case = serde_json::json!({
        "id": "one", "op": "ec2:CreateFleet", "nth": 1, "do": "reset", "during": "launch",
        "expect": {"job": "success", "launches": 1, "bound_s": 60},
    });
    case[key] = serde_json::from_str(value).unwrap();
    case.to_string()
}

/// The calls of a launch, its boot and its stop; each must go wrong somewhere in our own table.
const CALLS: [&str; 13] = [
    "ec2:CreateFleet",
    "ec2:DescribeInstances",
    "ec2:ModifyInstanceMetadataOptions",
    "ec2:TerminateInstances",
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:PutItem",
    "dynamodb:TransactWriteItems",
    "ssm:GetParametersByPath",
    "execute-api:POST /claim",
    "none:POST /launch",
    "gitlab:POST jobs/request",
    "gitlab:DELETE runners/managers",
];

#[test]
fn our_own_table_has_each_call_phase_and_moment() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/faults/ec2.jsonl");
    let cases = read(&path).unwrap();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let faults: Vec<Fault> = cases.iter().flat_map(Case::faults).collect();
    for call in CALLS {
        assert!(faults.iter().any(|fault| fault.op == call), "nothing goes wrong with {call}");
    }
    for deed in ["error:InternalError", "reset", "hang", "answer_twice"] {
        assert!(faults.iter().any(|fault| fault.deed == deed), "no case does {deed}");
    }
    for phase in [Phase::Launch, Phase::Boot, Phase::Run, Phase::Stop] {
        assert!(cases.iter().any(|case| case.during == phase), "no case during {phase:?}");
    }
    let moments: BTreeSet<_> =
        faults.iter().filter(|fault| fault.deed == "kill").map(|fault| fault.op.as_str()).collect();
    assert_eq!(moments.len(), 5, "an instance is killed at five moments: {moments:?}");
    for hook in ["lose", "double", "early"] {
        assert!(faults.iter().any(|fault| fault.op == "hook:success" && fault.deed == hook), "no end hook: {hook}");
    }
    assert!(faults.iter().any(|fault| fault.deed == "down:600"), "GitLab is never down for ten minutes");
}

#[test]
fn what_cannot_be_carried_out_is_refused_with_its_line_and_the_cure() {
    for (lines, words) in [
        (String::new(), "has no case"),
        ("{".to_owned(), "line 1"),
        (line("op", "\"ec2\""), "<service>:<Operation>"),
        (line("op", "\"gitlab:jobs/request\""), "gitlab:<METHOD> <path>"),
        (line("op", "\"execute-api:post /claim\""), "<METHOD> /<segment>"),
        (line("op", "\"execute-api:POST /claim/x\""), "<METHOD> /<segment>"),
        (line("id", "\"A case\""), "a-z"),
        (line("op", "\"instance:asleep\""), "pending, running"),
        (line("op", "\"hook:success\""), "lose, double, early"),
        (line("do", "\"explode\""), "answer_twice"),
        (line("do", "\"status:503\""), "answer_twice"),
        (line("nth", "0"), "nth"),
        (line("during", "\"never\""), "launch"),
        (line("lasting", "1"), "boolean"),
        (line("times", "2").replace("\"nth\"", "\"lasting\":true,\"nth\""), "leave times out"),
        (line("unknown", "1"), "unknown field"),
        (line("op", "\"instance:script\"").replace("\"reset\"", "\"kill\""), "during run"),
        (line("also", r#"[{"op": "instance:script", "do": "kill"}]"#), "own op"),
        (line("expect", r#"{"job": "success", "launches": 1, "bound_s": 0}"#), "bound_s"),
        (line("expect", r#"{"job": "success", "launches": 0, "bound_s": 1}"#), "launches"),
        (line("expect", r#"{"job": "failed", "launches": 1, "bound_s": 1}"#), "reason"),
        (line("also", r#"[{"op": "ec2:X", "do": "no"}]"#), "answer_twice"),
        (format!("{0}\n{0}", line("nth", "1")), "line 2"),
    ] {
        let error = table(&lines).unwrap_err().to_string();
        assert!(error.contains(words), "{lines}: {error}");
    }
    assert!(table(&line("nth", "2")).is_ok());
    assert!(table(&line("op", "\"execute-api:POST /claim\"")).is_ok());
}
