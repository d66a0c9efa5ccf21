//! `stack remove` over ports in memory: what it has done, in which order, and when it refuses.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runnerless_aws::fake::{FakeClock, FakeLedger};
use runnerless_aws::ports::Ledger as _;
use runnerless_aws_admin::fake::{FakeFunctionCalls, FakeSecrets, FakeStacks};
use runnerless_aws_admin::ports::{Answered, SecretStore as _, Stacks as _};
use runnerless_cli::removal::{Known, Ports, Wish, remove, resume};
use runnerless_cli::{CliError, Environment, Screen, Settings};
use runnerless_core::change::{RowKey, shard};
use runnerless_core::drain::{DRAIN_SETTLES, Draining};
use runnerless_core::time::{Millis, Timestamp};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_789_373_730_000);
const STACK: &str = "runnerless";
const OUTPUTS: [(&str, &str); 5] = [
    ("LedgerTableName", "ledger"),
    ("MappingTableName", "mapping"),
    ("ReconcilerFunctionName", "sweep"),
    ("ParameterPath", "/runnerless"),
    ("WebhookUrl", "https://abc.example.com/webhook"),
];

struct World {
    ledger: Arc<FakeLedger>,
    functions: FakeFunctionCalls,
    stacks: FakeStacks,
    secrets: FakeSecrets,
    clock: FakeClock,
    sweeps: Arc<AtomicUsize>,
}

impl World {
    /// A stack whose sweeps do this, given their number, and answer with it besides what all do.
    async fn new(sweep: impl Fn(&FakeLedger, usize) -> Value + Send + 'static) -> Self {
        let world = Self {
            ledger: Arc::default(),
            functions: FakeFunctionCalls::default(),
            stacks: FakeStacks::default(),
            secrets: FakeSecrets::default(),
            clock: FakeClock::leaping(NOW),
            sweeps: Arc::default(),
        };
        world.stacks.put(STACK, &OUTPUTS);
        world.secrets.put("/runnerless/ingress/SecretToken", &"sesame".to_owned().into()).await.unwrap();
        let (ledger, sweeps) = (Arc::clone(&world.ledger), Arc::clone(&world.sweeps));
        world.functions.deploy("sweep", move |event| {
            assert_eq!(event["dry_run"], false);
            let mut report = json!({"dry_run": false, "draining": "wait", "instances": 0, "counts": {}, "items": []});
            let said = sweep(&ledger, sweeps.fetch_add(1, Ordering::Relaxed));
            report.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            report.as_object_mut().unwrap().retain(|_, value| *value != "absent");
            Answered::Value(report.to_string())
        });
        world
    }

    fn has(&self, mut row: Value, due: bool) {
        let pk = row["pk"].as_str().unwrap().to_owned();
        if due {
            row["open"] = if pk.starts_with("lane#") { "lanes".into() } else { shard(&pk).into() };
            row["next_check_at"] = (NOW.0 + 600_000).into();
        }
        let Value::Object(row) = row else { panic!("no row") };
        self.ledger.put(row);
    }

    async fn removed(&self, wish: &Wish, stdin: &str) -> (Result<(), CliError>, String) {
        let facts = self.stacks.show(&wish.stack).await.unwrap();
        let known = Known::new(&settings(&[]), facts.as_ref()).unwrap();
        let ports = Ports {
            ledger: self.ledger.as_ref(),
            functions: &self.functions,
            stacks: &self.stacks,
            parameters: &self.secrets,
            clock: &self.clock,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err);
        let done = remove(&ports, wish, facts.as_ref(), &known, &mut stdin.as_bytes(), &mut screen).await;
        (done, String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap())
    }

    async fn draining(&self) -> Option<Draining> {
        self.ledger.load(&[RowKey::Drain]).await.unwrap().draining()
    }
}

fn settings(variables: &[(&str, &str)]) -> Settings {
    let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::new(Environment::from_iter(pairs), STACK, None).unwrap()
}

fn wish() -> Wish {
    Wish { stack: STACK.to_owned(), yes: true, wait: Millis::minutes(10), now: false, without_gitlab: false }
}

fn launch(id: &str, state: &str) -> Value {
    json!({"pk": format!("launch#{id}"), "schema": 1, "rev": 1, "launch": id, "state": state, "lane": "aa", "lane_tags": [],
        "run_untagged": true, "engine": "LAMBDA", "target": "executor", "attempt": 1, "system_id": "s", "nonce_sha256": "n",
        "bound_job": if state == "bound" { json!("41/7") } else { Value::Null }, "lease_until": NOW.0, "deadline": NOW.0})
}

fn job(id: u64, state: &str) -> Value {
    json!({"pk": format!("job#41#{id}"), "schema": 1, "rev": 1, "project_id": 41, "job_id": id, "gitlab_status": "pending",
        "state": state, "attempt": 1, "reason": "", "name": "unit", "stage": "test", "ref": "main", "project_path": "g/p"})
}

fn lane() -> Value {
    json!({"pk": "lane#aa", "schema": 1, "rev": 1, "lane": "aa", "engine": "LAMBDA", "runner_id": 7})
}

#[tokio::test]
async fn nothing_is_deleted_before_all_of_it_is_over_and_the_minute_is() {
    let world = World::new(|ledger, number| {
        let end = |mut row: Value| {
            row["state"] = "closed".into();
            let Value::Object(row) = row else { panic!("no row") };
            ledger.put(row);
        };
        match number {
            0 => json!({"instances": 1}),
            1 => {
                end(launch("l-1", "bound"));
                json!({"instances": 1})
            }
            2 => {
                end(launch("l-2", "polling"));
                json!({"instances": 1})
            }
            3 => {
                let Value::Object(row) = lane() else { panic!("no row") };
                ledger.put(row);
                json!({"instances": 1})
            }
            _ => json!({}),
        }
    })
    .await;
    world.has(launch("l-1", "bound"), true);
    world.has(launch("l-2", "polling"), true);
    world.has(lane(), true);
    world.has(job(9, "waiting"), true);
    let (done, said) = world.removed(&wish(), "").await;
    done.unwrap();
    assert_eq!(world.stacks.status(STACK).as_deref(), Some("DELETE_COMPLETE"));
    assert_eq!(world.draining().await, Some(Draining::Wait));
    let lines = [
        "- jobs that run are waited for, 10 minutes at most",
        "1 job waits (41/9) and will get no runner of this stack; GitLab shows them as pending",
        "waiting for 1 job that runs (41/7), 1 launch without a job (l-2), 1 lane at GitLab (aa), 1 instance",
        "waiting for 1 launch without a job (l-2), 1 lane at GitLab (aa), 1 instance",
        "waiting for 1 lane at GitLab (aa), 1 instance",
        "waiting for 1 instance",
        "nothing is left; whoever began before the stack drained has a minute to end",
        "CloudFormation deletes stack runnerless",
        "stack runnerless is gone",
        "--table-name mapping",
        "- parameters: aws ssm delete-parameters --names /runnerless/ingress/SecretToken",
        "- the webhook to https://abc.example.com/webhook: in GitLab",
        "- the runners that you made in GitLab: 1 runner (7)",
    ];
    let mut rest = said.as_str();
    for line in lines {
        let (_, after) = rest.split_once(line).unwrap_or_else(|| panic!("{line:?} is not after the others: {said}"));
        rest = after;
    }
    assert!(!said.contains("sesame"));
    // Five seconds between two sweeps: so many until the minute is over.
    assert!(world.sweeps.load(Ordering::Relaxed) as i64 >= DRAIN_SETTLES.0 / 5000);
    let (again, said) = world.removed(&wish(), "").await;
    again.unwrap();
    assert!(said.contains("there is no stack runnerless"), "{said}");
}

#[tokio::test]
async fn who_does_not_write_the_stacks_name_changes_nothing() {
    let world = World::new(|_, _| json!({})).await;
    for answer in ["", "yes\n", "runnerless-2\n", "y\nrunnerless\n"] {
        let (done, _) = world.removed(&Wish { yes: false, ..wish() }, answer).await;
        let error = done.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    assert!(world.ledger.items().is_empty() && world.sweeps.load(Ordering::Relaxed) == 0);
    let (done, said) = world.removed(&Wish { yes: false, ..wish() }, "runnerless\r\n").await;
    done.unwrap();
    assert!(said.contains("type the stack's name"), "{said}");
}

#[tokio::test]
async fn a_missing_right_is_named_and_the_next_run_goes_on() {
    let world = World::new(|_, _| json!({})).await;
    world.stacks.refuse(true);
    let error = world.removed(&wish(), "").await.0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("cloudformation:DeleteStack"), "{error}");
    world.stacks.refuse(false);
    let before = world.sweeps.load(Ordering::Relaxed);
    world.removed(&wish(), "").await.0.unwrap();
    assert_eq!(world.sweeps.load(Ordering::Relaxed), before + 1, "the minute was over long ago");
}

#[tokio::test]
async fn a_gitlab_that_does_not_answer_ends_the_wait_and_may_be_left_alone() {
    let held = json!([{"row": "lane#aa", "action": "forget", "reason": "r", "result": "held", "why": "502"}]);
    let world = World::new(move |_, _| json!({"items": held})).await;
    world.has(lane(), true);
    let error = world.removed(&wish(), "").await.0.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let words = error.to_string();
    for word in ["after 10 minutes", "1 lane at GitLab (aa)", "forget lane#aa held: 502", "--without-gitlab", "resume"]
    {
        assert!(words.contains(word), "{word}: {words}");
    }
    assert_eq!(world.stacks.status(STACK).as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(world.draining().await, Some(Draining::Wait), "nothing is launched meanwhile");
    world.removed(&Wish { without_gitlab: true, ..wish() }, "").await.0.unwrap();
    assert_eq!(world.stacks.status(STACK).as_deref(), Some("DELETE_COMPLETE"));
}

#[tokio::test]
async fn without_gitlab_a_job_that_runs_is_waited_for_all_the_same() {
    let world = World::new(|_, _| json!({})).await;
    world.has(launch("l-1", "bound"), true);
    let error = world.removed(&Wish { without_gitlab: true, ..wish() }, "").await.0.unwrap_err();
    assert!(error.to_string().contains("1 job that runs (41/7)") && error.to_string().contains("--now"), "{error}");
    let world = World::new(|_, _| json!({"instances": null})).await;
    let error = world.removed(&Wish { without_gitlab: true, ..wish() }, "").await.0.unwrap_err();
    assert!(error.to_string().contains("EC2's word"), "unknown is not zero: {error}");
}

#[tokio::test]
async fn the_sweep_is_told_whether_jobs_are_waited_for_and_the_stack_may_be_kept() {
    let world = World::new(|_, _| json!({})).await;
    world.has(launch("l-1", "bound"), true);
    world.removed(&wish(), "").await.0.unwrap_err();
    let (done, said) = world.removed(&Wish { now: true, ..wish() }, "").await;
    assert!(done.is_err() && said.contains("runner_system_failure"), "{said}");
    assert_eq!(world.draining().await, Some(Draining::Now));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    resume(world.ledger.as_ref(), &world.clock, &mut Screen::new(&mut out, &mut err)).await.unwrap();
    assert_eq!(world.draining().await, None);
}

#[tokio::test]
async fn a_release_that_cannot_drain_is_left_as_it_is() {
    let world = World::new(|_, _| json!({"draining": "absent"})).await;
    let error = world.removed(&wish(), "").await.0.unwrap_err();
    assert_eq!((error.exit_code(), world.draining().await), (1, None));
    assert!(error.to_string().contains("Deploy this release first"), "{error}");
    assert_eq!(world.stacks.status(STACK).as_deref(), Some("CREATE_COMPLETE"));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_may_be_a_launch() {
    let world = World::new(|_, _| json!({})).await;
    world.has(json!({"pk": "launch#l-9", "schema": 9, "rev": "x"}), true);
    let error = world.removed(&wish(), "").await.0.unwrap_err();
    assert!(error.to_string().contains("1 row that cannot be read (launch#l-9)"), "{error}");
}

#[tokio::test]
async fn a_deletion_that_failed_says_why_and_is_tried_again_without_the_functions() {
    let world = World::new(|_, _| json!({})).await;
    world.stacks.fail(Some("The following resource(s) failed to delete: [InstanceSecurityGroup]."));
    let error = world.removed(&wish(), "").await.0.unwrap_err();
    assert!(error.to_string().contains("[InstanceSecurityGroup]") && error.exit_code() == 1, "{error}");
    world.stacks.fail(None);
    let before = world.sweeps.load(Ordering::Relaxed);
    world.removed(&wish(), "").await.0.unwrap();
    assert_eq!(world.sweeps.load(Ordering::Relaxed), before, "they may be gone");
}

#[tokio::test]
async fn what_cannot_be_deleted_is_not_drained() {
    let world = World::new(|_, _| json!({})).await;
    world.stacks.protect(STACK);
    let error = world.removed(&wish(), "").await.0.unwrap_err();
    assert!(error.to_string().contains("--no-enable-termination-protection"), "{error}");
    world.stacks.put("others", &[("Bucket", "b")]);
    let error = world.removed(&Wish { stack: "others".into(), ..wish() }, "").await.0.unwrap_err();
    assert!(error.to_string().contains("no stack of Runnerless"), "{error}");
    assert!(world.ledger.items().is_empty());
}

#[tokio::test]
async fn outputs_of_another_stack_are_refused() {
    let world = World::new(|_, _| json!({})).await;
    let facts = world.stacks.show(STACK).await.unwrap();
    let error = Known::new(&settings(&[("LEDGER_TABLE_NAME", "another")]), facts.as_ref()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("LEDGER_TABLE_NAME") && error.to_string().contains("another"), "{error}");
    assert!(Known::new(&settings(&[("LEDGER_TABLE_NAME", "ledger")]), facts.as_ref()).is_ok());
}
