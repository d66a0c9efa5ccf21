//! The removal of a stack with three live launches, by the operator's own command: an executor and an instance that have a job
//! each, and a runner that asks for one. It is played twice, side by side, each time on a stack of its own: once the jobs are
//! waited for, once they are not. A further job waits for a runner when its stack launches nothing any more.

use std::cell::RefCell;
use std::process::Stdio;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::InstanceCases;
use super::gate::Gate;
use super::runners::allow_making;
use crate::aws::{ACCOUNT, DYNAMODB, REGION, SECRET};
use crate::case_lines::Verdict;
use crate::deploy::STACK;
use crate::field::{self, Field, Plot, until};
use crate::instances::Ec2;
use crate::layout::Layout;
use crate::pipelines::leftovers::Leftover;
use crate::seed::{Target, output};
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
use crate::{strays, up};

/// The part's name.
pub(super) const PART: &str = "removal";
/// The project of the jobs.
const PROJECT: &str = "acme/removal";
/// The jobs; each lane is called as its job. The first two run, the third is gone when its runner asks, the fourth comes late.
const ON_LAMBDA: &str = "on-lambda";
const ON_INSTANCE: &str = "on-instance";
const ASKING: &str = "asking";
const LATE: &str = "late";
const JOBS: [&str; 4] = [ON_LAMBDA, ON_INSTANCE, ASKING, LATE];
/// What the command says when the stack has begun to drain.
const DRAINS: &str = "the stack launches nothing more";
/// Longer than anything that a case builds on takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// What a job that is reported as failed by another than its runner cannot do without: nobody has its log's checksum, and its
/// runner says a word more.
const REPORTED: [&str; 2] = ["\"no_checksum\"", "\"dead_token\""];
/// Where the simulator is told of its faults.
const FAULTS: &str = "/_sim/v1/faults";

/// What becomes of the jobs that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Waits,
    Now,
}

/// Plays it both ways.
pub(super) async fn removal(wish: &InstanceCases, tally: &mut Tally) -> Result<(), SuiteError> {
    let (waits, now) = tokio::try_join!(removed(&wish.stack, How::Waits), removed(&wish.stack, How::Now))?;
    for (verdict, left) in [waits, now] {
        left.iter().for_each(|left| tally.left(left));
        tally.of(&verdict);
    }
    Ok(())
}

/// A stack of its own, beside the other parts'.
fn options(other: &Options, how: How) -> Result<Options, SuiteError> {
    let name = if how == How::Waits { "removal" } else { "removal-now" };
    Ok(Options { layout: Layout::new(other.layout.root(), &other.layout.at(name))?, ..other.clone() })
}

async fn removed(other: &Options, how: How) -> Result<(Verdict, Vec<Leftover>), SuiteError> {
    let options = options(other, how)?;
    let stack = Stack::start(&options).await?;
    let deployment = up::deploy(&stack).await?;
    let executor = field::function(&deployment, "Executor")?.arn.clone();
    let instance = Target::Instance { market: None, timeout_s: None, own_runner: false };
    let plots = JOBS.map(|id| match id {
        // The sweep makes its runner.
        ON_INSTANCE => Plot { id, lane: id, target: instance, has_token: false },
        _ => Plot { id, lane: id, target: Target::Function(&executor), has_token: true },
    });
    let gate = Gate::new().await.map_err(SuiteError::machine("a port of loopback"))?;
    let folder = stack.layout().tmp().join("removal-cases");
    let field = Field::prepare(&stack, &deployment, PROJECT, &plots, &folder, &pipeline(&gate)).await?;
    let ground = Ground { field, gate, how };
    ground.go_live().await?;
    let (mut verdict, mut left) = ground.remove().await?;
    drop(ground);
    stack.stop().await;
    let processes = strays::of_stack(options.layout.tmp().as_path());
    left.extend(processes.into_iter().map(|id| Leftover { what: "process", id }));
    verdict.unless(left.is_empty(), || format!("left: {left:?}"));
    verdict.got["left"] = left.iter().map(|left| format!("{} {}", left.what, left.id)).collect();
    Ok((verdict, left))
}

/// The `.gitlab-ci.yml`.
fn pipeline(gate: &Gate) -> String {
    let script = gate.script().replace('\\', "\\\\").replace('"', "\\\"");
    let job = |name: &str| {
        format!(
            "{name}:\n  when: manual\n  tags: [{name}]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - \"{script}\"\n"
        )
    };
    JOBS.map(job).concat()
}

/// The stack under the case.
struct Ground<'a> {
    field: Field<'a>,
    gate: Gate,
    how: How,
}

impl Ground<'_> {
    /// Brings three launches to life.
    async fn go_live(&self) -> Result<(), SuiteError> {
        let field = &self.field;
        allow_making(field).await?;
        field.sweep().await?;
        for name in [ON_LAMBDA, ON_INSTANCE] {
            field.start(field.job_id(name)?).await?;
        }
        for name in [ON_LAMBDA, ON_INSTANCE] {
            if !self.gate.is_there(name).await {
                return Err(SuiteError::Late(LIMIT.as_secs(), format!("the script of {name} begins")));
            }
        }
        let job = field.job_id(ASKING)?;
        let held = json!({"match": {"method": "POST", "path": "jobs/request"}, "do": "hold"});
        field.simulator.call(Method::POST, FAULTS, &held).await?;
        field.start(job).await?;
        let asked = until(PAUSE, LIMIT, async || {
            let faults = field.simulator.call(Method::GET, FAULTS, &Value::Null).await?;
            let row = field.row(job).await?;
            let launch = field.launch(job, &row).await?;
            let asks = faults["http"][0]["seen"].as_u64() >= Some(1) && launch["state"] == "polling";
            Ok::<_, SuiteError>(asks.then_some(()))
        });
        let late = || SuiteError::Late(LIMIT.as_secs(), "the third runner asks".to_owned());
        asked.await?.ok_or_else(late)?;
        // Its job goes, and it still asks.
        field.simulator.call(Method::POST, &format!("/_sim/v1/jobs/{job}/cancel"), &Value::Null).await?;
        Ok(())
    }

    /// Has the operator remove the stack.
    async fn remove(&self) -> Result<(Verdict, Vec<Leftover>), SuiteError> {
        let (field, waits) = (&self.field, self.how == How::Waits);
        let (about, job) = match self.how {
            How::Waits => ("three live launches, whose jobs are waited for", "success"),
            How::Now => ("three live launches, whose jobs are not waited for", "failed runner_system_failure"),
        };
        let expected = json!({"jobs": {ON_LAMBDA: job, ON_INSTANCE: job, ASKING: "canceled", LATE: "pending"},
            "launches_meanwhile": 0, "exit_code": 0, "left": []});
        let mut verdict = Verdict::new(format!("removal: {about}"), expected);
        let launches = self.live_launches().await?;
        verdict.unless(launches == ["bound", "bound", "polling"], || format!("live are {launches:?}"));

        let (code, said) = self.command().await?;
        verdict.unless(code == Some(0), || format!("the command ended with {code:?}: {said}"));
        let late = format!("1 job waits ({})", field.key(field.job_id(LATE)?));
        verdict.unless(said.contains(&late), || format!("{late:?} was not said: {said}"));
        let (jobs, want) = (self.jobs().await?, &verdict.expected["jobs"]);
        let are_so = jobs == *want;
        verdict.unless(are_so, || format!("the jobs are {jobs}"));
        let mut violations = field.simulator.violations().await?;
        if !waits {
            violations.retain(|said| !REPORTED.iter().any(|kind| said.contains(kind)));
        }
        verdict.unless(violations.is_empty(), || violations.join("; "));
        let path = output(field.deployment, "ParameterPath")?;
        let kept =
            said.contains(&format!("{path}/runner/LAMBDA/")) && said.contains(&format!("{path}/control/ApiToken"));
        verdict.unless(kept && !said.contains("/runner/EC2/"), || format!("other parameters stay: {said}"));
        let mapping = output(field.deployment, "MappingTableName")?;
        verdict.unless(self.has_table(mapping).await?, || "the mapping is gone".to_owned());
        verdict.got =
            json!({"live": launches, "jobs": jobs, "exit_code": code, "waited": waits, "said": said.lines().count()});
        Ok((verdict, self.left().await?))
    }

    /// Runs the command. When the stack drains, a further job comes, the runner that asks is answered, and the scripts go on
    /// where they are waited for. Its exit code and all that it said.
    async fn command(&self) -> Result<(Option<i32>, String), SuiteError> {
        let program = self.field.stack.layout().command("runnerless");
        let mut words = vec!["--stack", STACK, "stack", "remove", "--yes", "--wait", "5"];
        if self.how == How::Now {
            words.push("--now");
        }
        let failed = |source| SuiteError::Program { path: program.clone(), source };
        let mut command = Command::new(&program)
            .args(words)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.field.stack.endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (mut out, mut err) = (command.stdout.take(), command.stderr.take());
        let mut said = String::new();
        if let Some(out) = &mut out {
            let mut lines = BufReader::new(out).lines();
            while let Some(line) = lines.next_line().await.map_err(failed)? {
                said.push_str(&line);
                said.push('\n');
                if line == DRAINS {
                    self.goes_on().await?;
                }
            }
        }
        if let Some(err) = &mut err {
            err.read_to_string(&mut said).await.map_err(failed)?;
        }
        Ok((command.wait().await.map_err(failed)?.code(), said))
    }

    async fn goes_on(&self) -> Result<(), SuiteError> {
        let field = &self.field;
        let job = field.job_id(LATE)?;
        field.start(job).await?;
        let held = until(PAUSE, LIMIT, async || {
            let row = field.row(job).await?;
            let why = row["reason"].as_str().unwrap_or_default();
            Ok::<_, SuiteError>(why.contains("being removed").then_some(()))
        });
        held.await?.ok_or_else(|| SuiteError::Late(LIMIT.as_secs(), "the late job is held".to_owned()))?;
        field.simulator.call(Method::DELETE, FAULTS, &Value::Null).await?;
        if self.how == How::Waits {
            [ON_LAMBDA, ON_INSTANCE].iter().for_each(|name| self.gate.let_through(name));
        }
        Ok(())
    }

    /// The states of the launches that are not over, in order.
    async fn live_launches(&self) -> Result<Vec<String>, SuiteError> {
        let mut states = Vec::new();
        for name in JOBS {
            let job = self.field.job_id(name)?;
            let launch = self.field.launch(job, &self.field.row(job).await?).await?;
            states.extend(launch["state"].as_str().filter(|state| *state != "closed").map(str::to_owned));
        }
        states.sort();
        Ok(states)
    }

    /// The jobs as GitLab shows them: status, and why one failed. A job that was reported as failed is so at once.
    async fn jobs(&self) -> Result<Value, SuiteError> {
        let mut jobs = json!({});
        for name in JOBS {
            let shown = self.field.shown(self.field.job_id(name)?).await?;
            let word = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
            let words = if word("status") == "failed" {
                [word("status"), word("failure_reason")].join(" ")
            } else {
                word("status")
            };
            jobs[name] = words.into();
        }
        Ok(jobs)
    }

    async fn has_table(&self, name: &str) -> Result<bool, SuiteError> {
        let tables = self.field.stack.aws().call(DYNAMODB, "ListTables", &json!({})).await?;
        Ok(tables["TableNames"].as_array().into_iter().flatten().any(|table| table == name))
    }

    /// What is left of the stack, once nothing is or the time is over: processes end a moment after what they served.
    async fn left(&self) -> Result<Vec<Leftover>, SuiteError> {
        let left = RefCell::new(Vec::new());
        let gone = until(PAUSE, LIMIT, async || {
            let look = self.look().await?;
            let nothing = look.is_empty().then_some(());
            left.replace(look);
            Ok::<_, SuiteError>(nothing)
        });
        gone.await?;
        Ok(left.into_inner())
    }

    async fn look(&self) -> Result<Vec<Leftover>, SuiteError> {
        let ec2 = Ec2::new(self.field.stack.aws());
        let (instances, volumes) = (ec2.instances().await?, ec2.volumes().await?);
        let mut left = Vec::new();
        let mut add = |what: &'static str, id: String| left.push(Leftover { what, id });
        for instance in &instances {
            if instance.state != "terminated" {
                add("instance", format!("{} is {}", instance.id, instance.state));
            }
            let own = instance.volumes.iter().filter(|volume| volumes.contains(&volume.id));
            own.for_each(|volume| add("volume", volume.id.clone()));
            strays::naming(&instance.id).into_iter().for_each(|process| add("process", process));
        }
        let runners = self.field.simulator.call(Method::GET, "/_sim/v1/runners", &Value::Null).await?;
        for runner in runners.as_array().into_iter().flatten() {
            let name = runner["description"].as_str().unwrap_or_default();
            // Those of the plots were made by a person, and are a person's to delete.
            if !JOBS.contains(&name) {
                add("runner", name.to_owned());
            }
            let managers = runner["managers"].as_array().into_iter().flatten();
            managers.for_each(|manager| add("runner", format!("manager {manager} of {name}")));
        }
        let ledger = output(self.field.deployment, "LedgerTableName")?;
        if self.has_table(ledger).await? {
            add("row", format!("table {ledger}"));
        }
        Ok(left)
    }
}
