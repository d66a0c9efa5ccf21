//! The stack under the cases: what they set, send and look at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use runnerless_core::lane::Engine;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::case::{Case, Fault, Part};
use super::workflows::Workflows;
use super::{BreakageError, pipeline};
use crate::aws::{DYNAMODB, LOGS, SQS, plain};
use crate::deploy::{Deployment, Function};
use crate::gitlab::{NewHook, Simulator};
use crate::pipelines::repository;
use crate::seed::{self, Lane, SeedError, output};
use crate::stack::Stack;
use crate::witness::Witness;
use crate::{schedule, sentinels, up};

/// The project of the cases' jobs.
const PROJECT: &str = "acme/breakage";
/// GitLab's two minutes for an acceptance, shortened: a runner still asks when they are over.
const TWO_PHASE_S: u64 = 3;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);
/// How long GitLab's own part of the set-up may take on a busy machine.
const SET_UP_S: u64 = 60;

/// The stack, ready for the cases.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) stack: &'a Stack,
    pub(super) simulator: Simulator,
    pub(super) workflows: Workflows,
    witness: Witness,
    deployment: Deployment,
    project: u64,
    jobs: HashMap<String, u64>,
    /// The newest launch of each job: rows name it only while it matters to them.
    launches: RefCell<HashMap<u64, String>>,
    folder: PathBuf,
}

impl<'a> Ground<'a> {
    /// Deploys, seeds, makes a lane and a job for each case, and switches the sweep's schedule and sentinels off.
    pub(super) async fn prepare(stack: &'a Stack, cases: &[Case]) -> Result<Self, BreakageError> {
        let deployment = up::deploy(stack).await?;
        let tags: Vec<[&str; 1]> = cases.iter().map(|case| [case.id.as_str()]).collect();
        let lanes: Vec<Lane<'_>> =
            tags.iter().map(|tags| Lane { description: tags[0], tags, engine: Engine::Lambda }).collect();
        let hook = seed::seed(stack, &deployment, &lanes, false).await?;
        let executor = function(&deployment, "Executor")?.arn.clone();
        for (case, lane) in cases.iter().zip(&lanes) {
            seed::map_job(stack, &deployment, &case.id, lane, &executor, PROJECT).await?;
        }
        let folder = stack.layout().at("breakage");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|source| BreakageError::File { path: folder.clone(), source })?;
        }
        let source = folder.join("source");
        let file = source.join(".gitlab-ci.yml");
        std::fs::create_dir_all(&source)
            .and_then(|()| std::fs::write(&file, pipeline::file(cases, &folder)))
            .map_err(|source| BreakageError::File { path: file, source })?;
        let repository = repository::commit(&source, &folder.join("repository")).await?;
        let simulator = Simulator::new(stack.gitlab().ok_or(SeedError::NoGitLab)?);
        let project = simulator.create_project(PROJECT, &repository.display().to_string(), &json!([])).await?;
        let hook = NewHook {
            url: &hook.url,
            host_header: &hook.host_header,
            token: &hook.secret_token,
            signing_token: &hook.signing_token,
        };
        simulator.create_hook(project, &hook).await?;
        let made = simulator.start_pipeline(project).await?;
        let made = simulator.pipeline(made, 0).await?;
        let named = |job: &Value| Some((job["name"].as_str()?.to_owned(), job["id"].as_u64()?));
        let jobs = made["jobs"].as_array().into_iter().flatten().filter_map(named).collect();
        let ground = Self {
            stack,
            simulator,
            workflows: Workflows::new(stack.aws(), &deployment)?,
            witness: Witness::new(stack.endpoint()),
            deployment,
            project,
            jobs,
            launches: RefCell::default(),
            folder,
        };
        // The hooks of the jobs' creation are over before anything breaks.
        ground.simulator.call(Method::GET, &format!("/_sim/v1/deliveries?wait_s={SET_UP_S}"), &Value::Null).await?;
        if !schedule::switch_off(&stack.aws()).await? {
            return Err(missing("scheduled rule"));
        }
        // A sentinel would take a case's job before the launch that the sweep starts for it.
        if !sentinels::every(&stack.aws(), &ground.deployment, 0).await? {
            return Err(missing("variable for sentinels"));
        }
        Ok(ground)
    }

    /// GitLab's mode for the next jobs.
    pub(super) async fn two_phase(&self, on: bool) -> Result<(), BreakageError> {
        let settings = json!({"two_phase": on, "two_phase_s": TWO_PHASE_S});
        self.simulator.call(Method::POST, "/_sim/v1/settings", &settings).await?;
        Ok(())
    }

    /// New processes for a function, as after a deployment.
    pub(super) async fn renew(&self, part: Part) -> Result<(), BreakageError> {
        let name = &function(&self.deployment, part)?.name;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let same = json!({"Runtime": "provided.al2023"});
        self.stack.aws().request("lambda", Method::PUT, &path, &same).await?;
        Ok(())
    }

    /// Puts the case's faults where they belong. GitLab's are about the case's own job, where a path names one.
    pub(super) async fn set_faults(&self, case: &Case) -> Result<(), BreakageError> {
        let job = self.job_id(case)?.to_string();
        let own = |path: &str| path.replace('*', &job);
        for fault in &case.faults {
            match fault {
                Fault::Aws { part, op, nth, times } => {
                    let function = &function(&self.deployment, part)?.name;
                    let mut body = json!({"op": op, "nth": nth, "do": case.kind.deed(), "function": function});
                    match times {
                        Some(times) => body["times"] = json!(times),
                        None => body["lasting"] = json!(true),
                    }
                    self.witness.set(&body).await?;
                }
                Fault::Unanswered(part, op) => {
                    let function = &function(&self.deployment, part)?.name;
                    let body = json!({"op": op, "nth": 1, "do": "hang", "function": function});
                    self.witness.set(&body).await?;
                }
                Fault::GitLab(method, path, deed) => {
                    let body = json!({"match": {"method": method, "path": own(path)}, "do": deed});
                    self.simulator.call(Method::POST, "/_sim/v1/faults", &body).await?;
                }
                Fault::GitLabFrom(nth, method, path, deed) => {
                    let matched = json!({"method": method, "path": own(path)});
                    let body = json!({"match": matched, "nth": nth, "every": 1, "do": deed});
                    self.simulator.call(Method::POST, "/_sim/v1/faults", &body).await?;
                }
                Fault::Unstartable(workflow) => self.workflows.cut_off(*workflow).await?,
                Fault::OtherWord(workflow, word) => self.workflows.rename(*workflow, word).await?,
            }
        }
        Ok(())
    }

    /// Everything is in order again.
    pub(super) async fn lift_faults(&self) -> Result<(), BreakageError> {
        self.witness.clear().await?;
        self.simulator.call(Method::DELETE, "/_sim/v1/faults", &Value::Null).await?;
        self.workflows.restore().await
    }

    /// How many calls the witness hit.
    pub(super) async fn hits(&self) -> Result<u64, BreakageError> {
        Ok(self.witness.faults().await?.iter().filter_map(|fault| fault["hits"].as_u64()).sum())
    }

    /// Whether the simulator was asked what it is not to answer.
    pub(super) async fn was_asked(&self) -> Result<bool, BreakageError> {
        let faults = self.simulator.call(Method::GET, "/_sim/v1/faults", &Value::Null).await?;
        let hit = |fault: &Value| fault["seen"].as_u64() >= Some(fault["nth"].as_u64().unwrap_or(1));
        Ok(faults["http"].as_array().into_iter().flatten().any(hit))
    }

    /// The case's job in GitLab.
    pub(super) fn job_id(&self, case: &Case) -> Result<u64, BreakageError> {
        self.jobs.get(&case.id).copied().ok_or_else(|| missing(&case.id))
    }

    /// Its key, as the ledger and metrics have it.
    pub(super) fn key(&self, job: u64) -> String {
        format!("{}/{job}", self.project)
    }

    /// A person plays the job.
    pub(super) async fn start(&self, job: u64) -> Result<(), BreakageError> {
        let path = format!("/api/v4/projects/{}/jobs/{job}/play", self.project);
        self.simulator.call(Method::POST, &path, &Value::Null).await?;
        Ok(())
    }

    /// The job as GitLab shows it.
    pub(super) async fn shown(&self, job: u64) -> Result<Value, BreakageError> {
        Ok(self.simulator.call(Method::GET, &format!("/_sim/v1/jobs/{job}"), &Value::Null).await?)
    }

    /// The first delivery of the job's `pending`.
    pub(super) async fn delivery(&self, job: u64) -> Result<Value, BreakageError> {
        let all = self.simulator.call(Method::GET, "/_sim/v1/deliveries", &Value::Null).await?;
        let ours = |delivery: &&Value| delivery["job"] == job && delivery["status"] == "pending";
        Ok(all.as_array().into_iter().flatten().find(ours).cloned().unwrap_or_default())
    }

    /// A person sends a delivery again.
    pub(super) async fn resend(&self, delivery: &Value) -> Result<(), BreakageError> {
        let path = format!("/_sim/v1/deliveries/{}/resend", delivery["id"]);
        self.simulator.call(Method::POST, &path, &Value::Null).await?;
        Ok(())
    }

    /// The job's row; null when there is none.
    pub(super) async fn row(&self, job: u64) -> Result<Value, BreakageError> {
        self.item(&format!("job#{}#{job}", self.project)).await
    }

    /// The row of the newest launch that had the job, or was charged to it; null when there was none.
    pub(super) async fn launch(&self, job: u64, row: &Value) -> Result<Value, BreakageError> {
        if let Some(named) = row["launch"].as_str().or_else(|| row["charge"].as_str()) {
            self.launches.borrow_mut().insert(job, named.to_owned());
        }
        let known = self.launches.borrow().get(&job).cloned();
        match known {
            Some(id) => self.item(&format!("launch#{id}")).await,
            None => Ok(Value::Null),
        }
    }

    async fn item(&self, pk: &str) -> Result<Value, BreakageError> {
        let table = output(&self.deployment, "LedgerTableName")?;
        let input = json!({"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": true});
        Ok(plain(&self.stack.aws().call(DYNAMODB, "GetItem", &input).await?["Item"]))
    }

    /// One sweep, by hand.
    pub(super) async fn sweep(&self) -> Result<Value, BreakageError> {
        let name = &function(&self.deployment, "Reconciler")?.name;
        let path = format!("/2015-03-31/functions/{name}/invocations");
        Ok(self.stack.aws().request("lambda", Method::POST, &path, &json!({})).await?)
    }

    /// Invokes a function as its schedule does, without waiting for its end.
    pub(super) async fn invoke_as_scheduled(&self, part: Part) -> Result<(), BreakageError> {
        let name = &function(&self.deployment, part)?.name;
        self.stack.aws().invoke_later(name, "{}".to_owned()).await?;
        Ok(())
    }

    /// Whether the dead letters have an invocation of this function.
    pub(super) async fn is_dead_letter(&self, part: Part) -> Result<bool, BreakageError> {
        let queue = output(&self.deployment, "DeadLetterQueueUrls")?;
        let arn = &function(&self.deployment, part)?.arn;
        let input = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
        let found = self.stack.aws().call(SQS, "ReceiveMessage", &input).await?;
        let of_part = |message: &Value| {
            let record: Value = serde_json::from_str(message["Body"].as_str().unwrap_or_default()).unwrap_or_default();
            record["requestContext"]["functionArn"] == arn.as_str()
        };
        Ok(found["Messages"].as_array().into_iter().flatten().any(of_part))
    }

    /// Whether a function's log has this metric with this job's key.
    pub(super) async fn counted(&self, metric: &str, job: u64) -> Result<bool, BreakageError> {
        let aws = self.stack.aws();
        let (name, key) = (format!("\"{metric}\""), format!("\"{}\"", self.key(job)));
        let groups = aws.call(LOGS, "DescribeLogGroups", &json!({})).await?;
        for group in groups["logGroups"].as_array().into_iter().flatten() {
            let input = json!({"logGroupName": group["logGroupName"]});
            let found = aws.call(LOGS, "FilterLogEvents", &input).await?;
            let mut said =
                found["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
            if said.any(|line| line.contains("\"_aws\"") && line.contains(&name) && line.contains(&key)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How often the job began to run in GitLab's eyes: an acceptance, or a 201 where those are none.
    pub(super) async fn begun(&self, job: u64) -> Result<usize, BreakageError> {
        let lines = self.simulator.text("/_sim/v1/events?since=0&follow=false").await?;
        let of_job =
            |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|e| e["job"] == job && e["event"] == "running");
        Ok(lines.lines().filter(|line| of_job(line)).count())
    }

    /// How often the case's script ran.
    pub(super) fn runs(&self, case: &Case) -> usize {
        std::fs::read_to_string(pipeline::runs(&self.folder, &case.id)).unwrap_or_default().lines().count()
    }

    /// Lets a waiting script go on.
    pub(super) fn let_go(&self, case: &Case) -> Result<(), BreakageError> {
        let path = pipeline::leave(&self.folder, &case.id);
        std::fs::write(&path, "").map_err(|source| BreakageError::File { path, source })
    }

    /// Looks until something is there, or the time is over.
    pub(super) async fn until<T>(
        &self,
        limit: Duration,
        look: impl AsyncFn() -> Result<Option<T>, BreakageError>,
    ) -> Result<Option<T>, BreakageError> {
        let begun = Instant::now();
        loop {
            let seen = look().await?;
            if seen.is_some() || begun.elapsed() > limit {
                return Ok(seen);
            }
            sleep(PAUSE).await;
        }
    }
}

fn function(deployment: &Deployment, part: Part) -> Result<&Function, BreakageError> {
    deployment.functions.get(&format!("{part}Function")).ok_or_else(|| missing(part))
}

fn missing(what: &str) -> BreakageError {
    BreakageError::Missing(what.to_owned())
}
