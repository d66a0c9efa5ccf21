//! The deployed stack under deliveries that a well-behaved GitLab would not make: doubled, late, reordered; and under its
//! operator's hand.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use runnerless_core::change::shard_name;
use runnerless_gitlab::proof::SigningKey;
use runnerless_local::aws::{ACCOUNT, DYNAMODB, EVENTS, REGION, SECRET, plain};
use runnerless_local::deploy::{self, Deployment};
use runnerless_local::http::Http;
use runnerless_local::seed::{self, Hook, output};
use runnerless_local::stack::{Options, Stack};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;

const PROJECT: u64 = 41;
/// A launch that finds no job asks for 20 s, and a cold machine takes its time before.
const PATIENCE: Duration = Duration::from_secs(90);

struct Deployed {
    stack: Stack,
    deployment: Deployment,
    hook: Hook,
    http: Http,
}

impl Deployed {
    async fn start() -> Self {
        let options = Options { simulator: true, ..Options::for_tests("stack").unwrap() };
        let stack = Stack::start(&options).await.unwrap();
        let parameters = deploy::parameters(&stack.gitlab().unwrap().url);
        let deployment = deploy::deploy(&stack, &parameters).await.unwrap();
        let hook = seed::seed(&stack, &deployment, &[seed::DEFAULT_LANE], false).await.unwrap();
        Self { stack, deployment, hook, http: Http::default() }
    }

    /// One delivery, signed under a webhook id of its own.
    async fn deliver(&self, id: &str, job: u64, status: &str, created: jiff::Timestamp) -> u16 {
        let body = body(job, status, created);
        let at = jiff::Timestamp::now().as_second().to_string();
        let key = SigningKey::parse(&self.hook.signing_token).unwrap();
        let signature = key.sign(id, &at, body.as_bytes());
        let headers = [
            ("host", self.hook.host_header.as_str()),
            ("content-type", "application/json"),
            ("x-gitlab-event", "Job Hook"),
            ("webhook-id", id),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        let limit = Duration::from_secs(30);
        self.http.call(Method::POST, &self.hook.url, &headers, Bytes::from(body), limit).await.unwrap().status.as_u16()
    }

    async fn row(&self, pk: &str) -> Value {
        let table = output(&self.deployment, "LedgerTableName").unwrap();
        let input = json!({"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": true});
        plain(&self.stack.aws().call(DYNAMODB, "GetItem", &input).await.unwrap()["Item"])
    }

    async fn job(&self, id: u64) -> Value {
        self.row(&format!("job#{PROJECT}#{id}")).await
    }

    /// The invocations of targets that the witness saw.
    fn invocations(&self) -> usize {
        let calls = std::fs::read_to_string(self.stack.layout().at("aws-calls.jsonl")).unwrap();
        calls.lines().filter(|line| line.contains(r#""op":"Invoke""#)).count()
    }

    /// What `helper-scripts/sweep.sh` ends with, and says.
    async fn sweep(&self, words: &[&str]) -> (i32, String, String) {
        let layout = self.stack.layout();
        let done = Command::new(layout.source("helper-scripts/sweep.sh"))
            .args(words)
            .env("RUNNERLESS_BIN", layout.command("runnerless"))
            .env("RECONCILER_FUNCTION_NAME", output(&self.deployment, "ReconcilerFunctionName").unwrap())
            .envs([("AWS_ENDPOINT_URL", self.stack.endpoint()), ("AWS_REGION", REGION)])
            .envs([("AWS_ACCESS_KEY_ID", ACCOUNT), ("AWS_SECRET_ACCESS_KEY", SECRET)])
            .env_remove("AWS_SESSION_TOKEN")
            .output()
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    }

    /// Looks until the row is as wanted.
    async fn until(&self, pk: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let row = self.row(pk).await;
            if wanted(&row) {
                return row;
            }
            assert!(begun.elapsed() < PATIENCE, "{pk} stays {row}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn body(job: u64, status: &str, created: jiff::Timestamp) -> String {
    json!({
        "object_kind": "build", "ref": "main", "tag": false, "build_id": job, "build_name": "unit",
        "build_stage": "test", "build_status": status, "build_created_at": created.to_string(),
        "project_id": PROJECT, "user": null, "runner": null,
        "project": {"path_with_namespace": "acme/widgets"},
    })
    .to_string()
}

#[tokio::test]
async fn doubled_late_and_reordered_deliveries_launch_once_and_move_nothing_back() {
    let deployed = Deployed::start().await;
    the_executor_scrubs_nothing_of_the_machine(&deployed).await;
    fifty_deliveries_of_one_transition(&deployed).await;
    stale_and_reordered(&deployed).await;
    the_operator_sweeps(&deployed).await;
    deployed.stack.stop().await;
}

/// The template's folders are `/tmp` and the like, which on this machine are other people's, too.
async fn the_executor_scrubs_nothing_of_the_machine(deployed: &Deployed) {
    let name = &deployed.deployment.functions["ExecutorFunction"].name;
    let path = format!("/2015-03-31/functions/{name}/configuration");
    let function = deployed.stack.aws().get("lambda", &path, "").await.unwrap();
    let variables = &function["Environment"]["Variables"];
    assert_eq!(variables["RUNNERLESS_SANDBOX"], "shared", "{variables}");
    let state = deployed.stack.layout().state().to_str().unwrap();
    for name in ["RUNNERLESS_SCRUB", "RUNNERLESS_WORK_ROOT"] {
        let paths = variables[name].as_str().unwrap();
        assert!(paths.split(':').all(|path| path.starts_with(state)), "{name} is {paths}");
    }
}

/// From two hooks, each delivery under an id of its own, twenty at once.
async fn fifty_deliveries_of_one_transition(deployed: &Deployed) {
    let now = jiff::Timestamp::now();
    for round in [0..20, 20..40, 40..50] {
        let deliveries = round.map(|n| async move {
            let hook = if n % 2 == 0 { "group" } else { "project" };
            deployed.deliver(&format!("{hook}-{n}"), 1, "pending", now).await
        });
        let answers = futures_util::future::join_all(deliveries).await;
        assert!(answers.iter().all(|status| (200..300).contains(status)), "{answers:?}");
    }
    let charged = deployed.until(&format!("job#{PROJECT}#1"), |row| row["charge"].is_string()).await;
    let launch = format!("launch#{}", charged["charge"].as_str().unwrap());
    let closed = deployed.until(&launch, |row| row["state"] == "closed").await;
    assert_eq!(closed["end_reason"], "GitLab had no job for this runner", "it asked, and nobody stopped it");
    assert_eq!(deployed.job(1).await["attempt"], 1, "one charge");
    assert_eq!(deployed.invocations(), 1, "one invocation in the witness");
}

async fn stale_and_reordered(deployed: &Deployed) {
    let now = jiff::Timestamp::now();
    for (n, status) in ["success", "pending", "created", "running", "pending"].into_iter().enumerate() {
        assert_eq!(deployed.deliver(&format!("late-{n}"), 2, status, now).await, 200, "{status}");
    }
    let row = deployed.job(2).await;
    assert_eq!(
        (&row["gitlab_status"], &row["state"], &row["attempt"]),
        (&json!("success"), &json!("ended"), &json!(0))
    );
    let month = now - jiff::SignedDuration::from_hours(31 * 24);
    assert_eq!(deployed.deliver("resent", 3, "pending", month).await, 200);
    assert!(deployed.job(3).await.is_null(), "the resend of a month-old pending is counted, not launched");
    // A job that waits is routed after all of those, so that what they led to has happened before it.
    assert_eq!(deployed.deliver("after", 4, "pending", now).await, 200);
    let charged = deployed.until(&format!("job#{PROJECT}#4"), |row| row["charge"].is_string()).await;
    let launch = format!("launch#{}", charged["charge"].as_str().unwrap());
    deployed.until(&launch, |row| row["state"] == "polling").await;
    assert!(deployed.row(&format!("job#{PROJECT}#2")).await["charge"].is_null());
    assert!(deployed.row(&format!("job#{PROJECT}#3")).await.is_null());
}

/// `runnerless sweep` and its helper script, while the schedule is off.
async fn the_operator_sweeps(deployed: &Deployed) {
    let (aws, table) = (deployed.stack.aws(), output(&deployed.deployment, "LedgerTableName").unwrap());
    let rules = aws.call(EVENTS, "ListRules", &json!({})).await.unwrap();
    let mut rules = rules["Rules"].as_array().unwrap().iter();
    let scheduled = rules.find(|rule| rule["ScheduleExpression"].is_string()).unwrap();
    aws.call(EVENTS, "DisableRule", &json!({"Name": scheduled["Name"]})).await.unwrap();
    // Whatever the jobs before have left is done by the first one.
    assert_eq!(deployed.sweep(&[]).await.0, 0);

    // A job that nobody was told of, at the time when the sweep looks at it.
    deployed.stack.set_fault(&json!({"op": "events:PutEvents", "do": "fail", "lasting": true})).await.unwrap();
    assert_eq!(deployed.deliver("untold", 9, "pending", jiff::Timestamp::now()).await, 200);
    deployed.stack.clear_faults().await.unwrap();
    let pk = format!("job#{PROJECT}#9");
    let due = json!({"TableName": table, "Key": {"pk": {"S": pk}}, "UpdateExpression": "SET next_check_at = :now",
        "ExpressionAttributeValues": {":now": {"N": "1"}}});
    aws.call(DYNAMODB, "UpdateItem", &due).await.unwrap();
    let before = deployed.job(9).await;

    let (code, out, err) = deployed.sweep(&["--dry-run", "--json"]).await;
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let planned = lines.iter().find(|line| line["row"] == pk).unwrap_or_else(|| panic!("{code} {out} {err}"));
    assert_eq!((code, &planned["action"], &planned["result"]), (0, &json!("route"), &json!("planned")));
    assert_eq!((&lines.last().unwrap()["dry_run"], deployed.job(9).await), (&json!(true), before), "only a plan");

    let (code, out, err) = deployed.sweep(&[]).await;
    let line = format!("{pk}  route  done  because: it waits without a launch");
    assert!(code == 0 && out.lines().any(|said| said == line), "{code} {out} {err}");
    assert!(deployed.job(9).await["charge"].is_string());

    let row = json!({"pk": {"S": "job#41#900"}, "open": {"S": shard_name(0)}, "next_check_at": {"N": "1"}});
    aws.call(DYNAMODB, "PutItem", &json!({"TableName": table, "Item": row})).await.unwrap();
    let (code, _, err) = deployed.sweep(&["--dry-run"]).await;
    assert!(code == 1 && err.contains("job#41#900"), "{code} {err}");

    let reconciler = output(&deployed.deployment, "ReconcilerFunctionName").unwrap();
    let refused = json!({"op": "dynamodb:Query", "do": "error:AccessDeniedException", "lasting": true,
        "function": reconciler});
    deployed.stack.set_fault(&refused).await.unwrap();
    let (code, out, err) = deployed.sweep(&["--json"]).await;
    assert!(code == 1 && out.is_empty() && err.contains("Ledger.Refused"), "{code} {out} {err}");
}
