//! `sweep` over a reconciler in memory: what is asked, what is said, and what the exit code is.

use std::sync::{Arc, Mutex};

use runnerless_aws_admin::fake::FakeFunctionCalls;
use runnerless_aws_admin::ports::Answered;
use runnerless_cli::sweep::sweep;
use runnerless_cli::{CliError, Screen};
use serde_json::{Value, json};

const RECONCILER: &str = "stack-ReconcilerFunction";

/// A reconciler that answers this, and what it was asked.
async fn swept(report: &Value, dry_run: bool, as_json: bool) -> (Result<(), CliError>, String, String, Value) {
    answered(Answered::Value(report.to_string()), dry_run, as_json).await
}

async fn answered(answer: Answered, dry_run: bool, as_json: bool) -> (Result<(), CliError>, String, String, Value) {
    let (functions, asked) = (FakeFunctionCalls::default(), Arc::new(Mutex::new(Value::Null)));
    let seen = Arc::clone(&asked);
    functions.deploy(RECONCILER, move |event| {
        *seen.lock().expect("nobody panics") = event.clone();
        answer.clone()
    });
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let done = sweep(&functions, RECONCILER, dry_run, as_json, &mut Screen::new(&mut out, &mut err)).await;
    let asked = asked.lock().expect("nobody panics").clone();
    (done, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"), asked)
}

fn report(items: &Value, counts: &Value) -> Value {
    json!({
        "dry_run": false, "live_launches": 3, "due_jobs": 2, "unreadable": [], "more": false,
        "counts": counts, "items": items,
    })
}

fn two_items() -> Value {
    let items = json!([
        {"row": "job#41#7", "action": "route", "reason": "it waits without a launch", "result": "done"},
        {"row": "job#41#8", "action": "assign", "reason": "a spare launch", "result": "not_needed", "why": "its row changed"},
    ]);
    report(&items, &json!({"route.done": 1, "assign.not_needed": 1}))
}

#[tokio::test]
async fn each_item_is_said_with_its_reason_and_its_outcome() {
    let (done, out, err, asked) = swept(&two_items(), false, false).await;
    done.unwrap();
    assert_eq!(asked, json!({"dry_run": false}));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "job#41#7  route  done  because: it waits without a launch");
    assert_eq!(lines[1], "job#41#8  assign  not needed: its row changed  because: a spare launch");
    assert_eq!(lines[2], "due jobs: 2, live launches: 3");
    assert_eq!(lines[3..], ["assign not needed: 1", "route done: 1"]);
    assert_eq!(err, "");
    let (done, out, _, _) = swept(&report(&json!([]), &json!({})), false, false).await;
    done.unwrap();
    assert!(out.ends_with("nothing to do\n"), "{out}");
}

#[tokio::test]
async fn a_dry_run_asks_for_a_plan_and_takes_nothing_else_for_one() {
    let mut planned = two_items();
    planned["dry_run"] = true.into();
    let (done, _, _, asked) = swept(&planned, true, false).await;
    done.unwrap();
    assert_eq!(asked, json!({"dry_run": true}));
    let (done, out, _, _) = swept(&two_items(), true, false).await;
    assert_eq!((done.unwrap_err().exit_code(), out.as_str()), (4, ""), "a sweep that was done is no plan");
}

#[tokio::test]
async fn json_lines_hold_every_item_and_then_all_the_rest() {
    let mut said = two_items();
    // What a later reconciler adds is passed on.
    said["listing"] = json!({"calls": 4});
    let (done, out, _, _) = swept(&said, false, true).await;
    done.unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[..2], said["items"].as_array().unwrap()[..]);
    let mut rest = said.clone();
    rest.as_object_mut().unwrap().remove("items");
    assert_eq!(lines[2], rest);
}

#[tokio::test]
async fn failed_items_and_unreadable_rows_are_findings_and_what_is_left_is_not() {
    let failed = report(&json!([]), &json!({"route.failed": 2, "route.done": 5, "start.failed": 1, "lost.held": 1}));
    let (done, out, err, _) = swept(&failed, false, false).await;
    let error = done.unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().as_str()), (1, "3 items failed and stay due"));
    assert!(out.contains("route failed: 2"), "the outcomes are said all the same: {out}");
    assert!(err.contains("9 more items"), "{err}");

    let mut unreadable = two_items();
    unreadable["unreadable"] = json!(["job#1#2"]);
    let error = swept(&unreadable, false, true).await.0.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("job#1#2"), "{error}");

    for (field, value) in [("more", json!(true)), ("counts", json!({"route.left": 2}))] {
        let mut left = two_items();
        left[field] = value;
        let (done, _, err, _) = swept(&left, false, false).await;
        done.unwrap();
        assert!(err.contains("the next one goes on"), "{field}: {err}");
    }
}

#[tokio::test]
async fn a_reconciler_that_fails_or_says_nothing_usable_is_no_sweep() {
    let failed = Answered::Failed { name: "Sweep.NothingDone".into(), message: "all of 3 items failed".into() };
    let (done, out, _, _) = answered(failed, false, false).await;
    let error = done.unwrap_err();
    assert_eq!((error.exit_code(), out.as_str()), (1, ""));
    assert!(error.to_string().contains("Sweep.NothingDone: all of 3 items failed"), "{error}");
    for text in ["", "null", "[]", "{}", r#"{"dry_run":false,"counts":{},"items":[{"row":"x"}]}"#] {
        let (done, out, _, _) = answered(Answered::Value(text.into()), false, true).await;
        assert_eq!((done.unwrap_err().exit_code(), out.as_str()), (4, ""), "{text}");
    }
    let nobody = FakeFunctionCalls::default();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let done = sweep(&nobody, RECONCILER, false, false, &mut Screen::new(&mut out, &mut err)).await;
    let error = done.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.lines()[0].contains(RECONCILER), "{:?}", error.lines());
}
