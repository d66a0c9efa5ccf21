//! The stack under the cases: one lane of instances, and jobs that a person plays.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use runnerless_core::lane::Engine;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::gate::Gate;
use super::reach;
use crate::aws::{DYNAMODB, plain};
use crate::deploy::{Deployment, Function};
use crate::gitlab::{NewHook, Simulator};
use crate::instances::Ec2;
use crate::pipelines::repository;
use crate::seed::{self, Lane, SeedError, Target, output};
use crate::stack::Stack;
use crate::suite::SuiteError;
use crate::{schedule, up};

/// The lane of all cases.
pub(super) const LANE: Lane<'_> =
    Lane { description: "Runnerless, a lane of instances", tags: &["instance"], engine: Engine::Ec2 };
/// The lane's machines: the stack's own.
const OF_THE_STACK: Target<'_> = Target::Instance { market: None, timeout_s: None, own_runner: false };
/// The project of the jobs.
const PROJECT: &str = "acme/instances";
/// Jobs that end at once.
const QUICK: [&str; 1] = ["counted"];
/// Jobs that wait at the gate.
const WAITING: [&str; 4] = ["first", "second", "watched", "neighbour"];
/// The job with the probe.
const REACH: &str = "reach";
/// Longer than anything that a case builds on takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The stack, ready for the cases.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) stack: &'a Stack,
    pub(super) simulator: Simulator,
    pub(super) deployment: Deployment,
    pub(super) gate: Gate,
    project: u64,
    jobs: HashMap<String, u64>,
}

/// The rows of a job: its own, and the newest launch's that it names.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) job: Value,
    pub(super) launch: Value,
}

impl<'a> Ground<'a> {
    /// Deploys, seeds, makes the project and its jobs, and switches the sweep's schedule off.
    pub(super) async fn prepare(stack: &'a Stack) -> Result<Self, SuiteError> {
        let deployment = up::deploy(stack).await?;
        let hook = seed::seed(stack, &deployment, &[LANE], false).await?;
        for job in QUICK.iter().chain(&WAITING).chain(&[REACH]) {
            seed::map_job(stack, &deployment, job, &LANE, &OF_THE_STACK, PROJECT).await?;
        }
        if !schedule::switch_off(&stack.aws()).await? {
            return Err(SuiteError::Missing("scheduled rule".to_owned()));
        }
        let gate = Gate::new().await.map_err(SuiteError::machine("a port of loopback"))?;
        let folder = stack.layout().tmp().join("instance-cases");
        let files = folder.join("files");
        write(&files, &pipeline(&gate)).map_err(SuiteError::machine(files.display()))?;
        let source = repository::commit(&files, &folder.join("repository")).await?;
        let simulator = Simulator::new(stack.gitlab().ok_or(SeedError::NoGitLab)?);
        let project = simulator.create_project(PROJECT, &source.display().to_string(), &json!([])).await?;
        let hook = NewHook {
            url: &hook.url,
            host_header: &hook.host_header,
            token: &hook.secret_token,
            signing_token: &hook.signing_token,
        };
        simulator.create_hook(project, &hook).await?;
        let mut ground = Self { stack, simulator, deployment, gate, project, jobs: HashMap::new() };
        ground.jobs = ground.pipeline(&json!([])).await?;
        Ok(ground)
    }

    /// Starts a pipeline with these variables; GitLab's numbers of its jobs by their names.
    async fn pipeline(&self, variables: &Value) -> Result<HashMap<String, u64>, SuiteError> {
        let body = json!({"project": self.project, "variables": variables});
        let made = self.simulator.call(Method::POST, "/_sim/v1/pipelines", &body).await?;
        let made = self.simulator.pipeline(made["id"].as_u64().unwrap_or_default(), 0).await?;
        let named = |job: &Value| Some((job["name"].as_str()?.to_owned(), job["id"].as_u64()?));
        Ok(made["jobs"].as_array().into_iter().flatten().filter_map(named).collect())
    }

    /// GitLab's number of a job in a pipeline of its own, with these variables.
    pub(super) async fn job_of_pipeline(&self, name: &str, variables: &Value) -> Result<u64, SuiteError> {
        let jobs = self.pipeline(variables).await?;
        jobs.get(name).copied().ok_or_else(|| SuiteError::Missing(format!("job {name}")))
    }

    /// GitLab's number of a job.
    pub(super) fn job(&self, name: &str) -> Result<u64, SuiteError> {
        self.jobs.get(name).copied().ok_or_else(|| SuiteError::Missing(format!("job {name}")))
    }

    /// A person plays the job.
    pub(super) async fn play(&self, job: u64) -> Result<(), SuiteError> {
        Ok(self.simulator.play(self.project, job).await?)
    }

    /// The job as GitLab shows it.
    pub(super) async fn shown(&self, job: u64) -> Result<Value, SuiteError> {
        Ok(self.simulator.job(job).await?)
    }

    /// The job's rows; null where there is none.
    pub(super) async fn rows(&self, job: u64) -> Result<Rows, SuiteError> {
        let job = self.item(&format!("job#{}#{job}", self.project)).await?;
        let launch = match job["launch"].as_str().or_else(|| job["charge"].as_str()) {
            Some(launch) => self.launch(launch).await?,
            None => Value::Null,
        };
        Ok(Rows { job, launch })
    }

    /// The row of a launch.
    pub(super) async fn launch(&self, id: &str) -> Result<Value, SuiteError> {
        self.item(&format!("launch#{id}")).await
    }

    async fn item(&self, pk: &str) -> Result<Value, SuiteError> {
        let table = output(&self.deployment, "LedgerTableName")?;
        let input = json!({"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": true});
        Ok(plain(&self.stack.aws().call(DYNAMODB, "GetItem", &input).await?["Item"]))
    }

    /// Waits until the job has a launch in one of these states.
    pub(super) async fn comes_to(&self, job: u64, states: &[&str]) -> Result<Rows, SuiteError> {
        self.until(&format!("job {job} has a launch that is {}", states.join(" or ")), async || {
            let rows = self.rows(job).await?;
            let there = rows.launch["state"].as_str().is_some_and(|state| states.contains(&state));
            Ok(there.then_some(rows))
        })
        .await
    }

    /// Waits until the job is over, and nothing of its launch is left.
    pub(super) async fn is_over(&self, job: u64) -> Result<Rows, SuiteError> {
        let over = self.comes_to(job, &["closed"]).await?;
        self.until(&format!("job {job} is over"), async || Ok((self.shown(job).await?["ended"] == true).then_some(())))
            .await?;
        Ok(over)
    }

    /// Looks until something is there.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFn() -> Result<Option<T>, SuiteError>,
    ) -> Result<T, SuiteError> {
        let begun = Instant::now();
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            if begun.elapsed() > LIMIT {
                return Err(SuiteError::Late(LIMIT.as_secs(), what.to_owned()));
            }
            sleep(PAUSE).await;
        }
    }

    /// The state of an instance; none when EC2 does not show it.
    pub(super) async fn state(&self, instance: &str) -> Result<String, SuiteError> {
        let all = self.ec2().instances().await?;
        let found = all.into_iter().find(|record| record.id == instance);
        Ok(found.map_or_else(|| "none".to_owned(), |record| record.state))
    }

    /// EC2, as the emulator's root.
    pub(super) fn ec2(&self) -> Ec2 {
        Ec2::new(self.stack.aws())
    }

    /// One sweep, by hand; what it says that it did.
    pub(super) async fn sweep(&self) -> Result<Value, SuiteError> {
        let name = &self.function("Reconciler")?.name;
        let path = format!("/2015-03-31/functions/{name}/invocations");
        Ok(self.stack.aws().request("lambda", Method::POST, &path, &json!({})).await?)
    }

    fn function(&self, part: &str) -> Result<&Function, SuiteError> {
        let function = self.deployment.functions.get(&format!("{part}Function"));
        function.ok_or_else(|| SuiteError::Missing(part.to_owned()))
    }

    /// What the witness saw from then on (ms since the epoch), as JSON lines.
    pub(super) fn calls(&self) -> Result<String, SuiteError> {
        let path = self.stack.layout().calls();
        std::fs::read_to_string(&path).map_err(SuiteError::machine(path.display()))
    }

    /// The instances that functions of the stack terminated from then on, in order.
    pub(super) fn terminated_since(&self, since: i64) -> Result<Vec<String>, SuiteError> {
        let calls = self.calls()?;
        let lines = calls.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ends = lines.filter(|call| {
            call["op"] == "TerminateInstances" && call["function"].is_string() && call["t"].as_i64() >= Some(since)
        });
        Ok(ends.flat_map(|call| call["instances"].as_array().cloned().unwrap_or_default()).filter_map(text).collect())
    }
}

fn text(value: Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Now, as witness and simulator count (ms since the epoch).
pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Writes the repository's files.
fn write(folder: &Path, pipeline: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(".gitlab-ci.yml"), pipeline)?;
    reach::FILES.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

/// The `.gitlab-ci.yml`.
fn pipeline(gate: &Gate) -> String {
    let job = |name: &str, script: &str| {
        let script = script.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}:\n  when: manual\n  tags: [instance]\n  script:\n    - \"{script}\"\n")
    };
    let without = |name: &str, script: &str| format!("{}  variables: {{GIT_STRATEGY: none}}\n", job(name, script));
    let quick = QUICK.iter().map(|name| without(name, "echo done"));
    let waiting = WAITING.iter().map(|name| without(name, &gate.script()));
    let reach = format!("{}  cache: {{key: {}, paths: [kept/]}}\n", job(REACH, reach::SCRIPT), reach::CACHE);
    quick.chain(waiting).chain([reach]).collect()
}
