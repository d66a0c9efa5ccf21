//! The stack under the cases: the main one, a pool beside it, and jobs that a person plays.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::group::{Group, Hand};
use crate::aws::{DYNAMODB, EVENTS, LOGS, SSM, plain};
use crate::deploy::{self, Deployment};
use crate::field::until;
use crate::gitlab::{NewRunner, Simulator};
use crate::http::Http;
use crate::instance_cases::gate::Gate;
use crate::instances::{Ec2, address_of_member};
use crate::pipelines::repository;
use crate::processes::{self, Process};
use crate::seed::{EC2_TIMEOUT_S, SeedError, output};
use crate::stack::Stack;
use crate::suite::SuiteError;
use crate::{strays, up};

/// The pool's stack and group.
pub(super) const POOL: &str = "acme-pool";
/// The tag of its runner.
const TAG: &str = "pool";
/// The project of the jobs.
const PROJECT: &str = "acme/pool";
/// The jobs.
pub(super) const JOBS: [&str; 3] = ["first", "second", "third"];
/// Jobs of a member at once.
pub(super) const SLOTS: u32 = 2;
/// The most members.
pub(super) const MAXIMUM: u32 = 3;
/// In so many runs a member must have been seen idle.
pub(super) const IDLE_RUNS: u32 = 2;
/// After so many runs a member that does not tell is told of.
pub(super) const UNHEALTHY_RUNS: u32 = 2;
/// Longer than anything that a case builds on takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// A member's metrics are there at once, or not.
const METRICS: Duration = Duration::from_secs(5);
/// The runner manager's name among the processes of a member.
const MANAGER: &str = "gitlab-runner";

/// The stack, ready for the cases.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) stack: &'a Stack,
    pub(super) hand: Hand,
    pub(super) gate: Gate,
    simulator: Simulator,
    scaler: String,
    ledger: String,
    project: u64,
    jobs: HashMap<String, u64>,
}

impl<'a> Ground<'a> {
    /// Deploys both stacks, makes the pool's runner and the jobs, and switches the schedules off.
    pub(super) async fn prepare(stack: &'a Stack, official: Option<&Path>) -> Result<Self, SuiteError> {
        let deployment = up::deploy(stack).await?;
        let gate = Gate::new().await.map_err(SuiteError::machine("a port of loopback"))?;
        let folder = stack.layout().tmp().join("pool-cases");
        let files = folder.join("files");
        let written =
            fs::create_dir_all(&files).and_then(|()| fs::write(files.join(".gitlab-ci.yml"), pipeline(&gate)));
        written.map_err(SuiteError::machine(files.display()))?;
        let source = repository::commit(&files, &folder.join("repository")).await?;
        let gitlab = stack.gitlab().ok_or(SeedError::NoGitLab)?;
        let simulator = Simulator::new(gitlab);
        let project = simulator.create_project(PROJECT, &source.display().to_string(), &json!([])).await?;
        let runner =
            NewRunner { description: "A pool", tags: vec![TAG], run_untagged: false, maximum_timeout: EC2_TIMEOUT_S };
        let token = simulator.create_runner(&runner).await?;
        let path = output(&deployment, "ParameterPath")?;
        for (name, value, kind) in [
            (format!("{path}/pool/{POOL}/token"), token.as_str(), "SecureString"),
            (format!("{path}/pool/{POOL}/ami"), "ami-0123456789abcdef0", "String"),
            (format!("{path}/control/ApiToken"), gitlab.admin_token.as_str(), "SecureString"),
        ] {
            let input = json!({"Name": name, "Value": value, "Type": kind, "Overwrite": true});
            stack.aws().call(SSM, "PutParameter", &input).await?;
        }
        bring(stack, official)?;
        let pool = pool(stack, &deployment, project).await?;
        let scaler = output(&pool, "ScalerFunctionName")?.to_owned();
        let hand = Hand::new(stack.endpoint());
        let ledger = output(&deployment, "LedgerTableName")?.to_owned();
        let mut ground = Self { stack, hand, gate, simulator, scaler, ledger, project, jobs: HashMap::new() };
        ground.switch_schedules_off().await?;
        ground.jobs = ground.pipeline().await?;
        Ok(ground)
    }

    async fn switch_schedules_off(&self) -> Result<(), SuiteError> {
        let aws = self.stack.aws();
        let rules = aws.call(EVENTS, "ListRules", &json!({})).await?;
        let rules = rules["Rules"].as_array().into_iter().flatten();
        for rule in rules.filter(|rule| rule["ScheduleExpression"].is_string()) {
            aws.call(EVENTS, "DisableRule", &json!({"Name": rule["Name"]})).await?;
        }
        Ok(())
    }

    /// GitLab's numbers of the jobs of a new pipeline by their names.
    async fn pipeline(&self) -> Result<HashMap<String, u64>, SuiteError> {
        let made = self.simulator.start_pipeline(self.project).await?;
        let made = self.simulator.pipeline(made, 0).await?;
        let named = |job: &Value| Some((job["name"].as_str()?.to_owned(), job["id"].as_u64()?));
        Ok(made["jobs"].as_array().into_iter().flatten().filter_map(named).collect())
    }

    /// A person plays all jobs.
    pub(super) async fn play_all(&self) -> Result<(), SuiteError> {
        for job in self.jobs.values() {
            self.simulator.play(self.project, *job).await?;
        }
        Ok(())
    }

    /// Waits until every job's script stands at the gate.
    pub(super) async fn all_wait(&self) -> Result<(), SuiteError> {
        for name in JOBS {
            if !self.gate.is_there(name).await {
                return Err(SuiteError::Late(LIMIT.as_secs(), format!("the script of {name} begins")));
            }
        }
        Ok(())
    }

    /// The jobs as GitLab shows them, once all are over.
    pub(super) async fn all_end(&self) -> Result<Value, SuiteError> {
        self.until("every job is over", async || {
            let mut jobs = json!({});
            for (name, id) in &self.jobs {
                let shown = self.simulator.job(*id).await?;
                if shown["ended"] != true {
                    return Ok(None);
                }
                jobs[name] = shown["status"].clone();
            }
            Ok(Some(jobs))
        })
        .await
    }

    /// One run of the scaler.
    pub(super) async fn scale(&self) -> Result<(), SuiteError> {
        let answer = self.stack.aws().invoke(&self.scaler, "{}".to_owned()).await?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success() && !answer.headers.contains_key("x-amz-function-error") {
            return Ok(());
        }
        Err(SuiteError::Refused { what: "the scaler".to_owned(), said: body })
    }

    /// The pool's group.
    pub(super) async fn group(&self) -> Result<Group, SuiteError> {
        self.hand.group(POOL).await?.ok_or_else(|| SuiteError::Missing(format!("group {POOL}")))
    }

    /// Waits until the group has so many members that take jobs.
    pub(super) async fn serves(&self, count: usize) -> Result<Group, SuiteError> {
        self.until(&format!("{count} members serve"), async || {
            let group = self.group().await?;
            let ids = group.in_service();
            let mut serving = 0;
            for id in &ids {
                serving += usize::from(self.jobs_on(id).await.is_some());
            }
            Ok((ids.len() == count && serving == count).then_some(group))
        })
        .await
    }

    /// How many jobs a member says that it runs; none while it says nothing.
    pub(super) async fn jobs_on(&self, instance: &str) -> Option<u32> {
        let url = format!("http://{}:9252/metrics", address_of_member(instance));
        let answer = Http::default().call(Method::GET, &url, &[], Bytes::new(), METRICS).await.ok()?;
        let text = answer.text(&url).ok()?;
        let series = text.lines().filter(|line| line.starts_with("gitlab_runner_jobs{"));
        series.map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum()
    }

    /// The runner manager of a member.
    pub(super) fn manager_of(&self, instance: &str) -> Option<Process> {
        let named = strays::naming(&format!("instances/{instance}")).into_iter();
        let pids = named.filter_map(|line| line.split(' ').next()?.parse::<i32>().ok());
        let table = processes::table();
        let below = pids.flat_map(|pid| processes::descendants(&table, pid));
        let is_manager = |pid: i32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            name.trim() == MANAGER && line.split(|byte| *byte == 0).any(|word| word == b"run")
        };
        below.map(|entry| entry.process).find(|process| is_manager(process.pid))
    }

    /// Stops a member's runner manager, or lets it go on.
    pub(super) fn freeze(&self, manager: Process, on: bool) {
        manager.signal(if on { Signal::STOP } else { Signal::CONT });
    }

    /// How often this operation of Auto Scaling was carried out, for this function where one is named.
    pub(super) fn calls(&self, operation: &str, function: Option<&str>) -> usize {
        let lines = fs::read_to_string(self.stack.layout().calls()).unwrap_or_default();
        let is_it = |line: &&str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let is_named = line["service"] == "autoscaling" && line["op"] == operation && line["status"] == 200;
            is_named && (function.is_none() || line["function"].as_str() == function)
        };
        lines.lines().filter(is_it).count()
    }

    /// The same, of the scaler's calls.
    pub(super) fn scalers_calls(&self, operation: &str) -> usize {
        self.calls(operation, Some(&self.scaler))
    }

    /// Whether a line of the scaler's log has all of these words.
    pub(super) async fn said(&self, words: &[&str]) -> Result<bool, SuiteError> {
        let input = json!({"logGroupName": format!("/aws/lambda/{POOL}/scaler")});
        let found = self.stack.aws().call(LOGS, "FilterLogEvents", &input).await?;
        let mut lines = found["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
        Ok(lines.any(|line| words.iter().all(|word| line.contains(word))))
    }

    /// The rows of pools in the ledger.
    pub(super) async fn rows(&self) -> Result<Vec<Value>, SuiteError> {
        let input = json!({"TableName": self.ledger, "FilterExpression": "begins_with(pk, :pool)",
            "ExpressionAttributeValues": {":pool": {"S": "pool#"}}});
        let found = self.stack.aws().call(DYNAMODB, "Scan", &input).await?;
        Ok(found["Items"].as_array().into_iter().flatten().map(plain).collect())
    }

    /// The state of each instance by its id.
    pub(super) async fn instances(&self) -> Result<BTreeMap<String, String>, SuiteError> {
        let all = Ec2::new(self.stack.aws()).instances().await?;
        Ok(all.into_iter().map(|instance| (instance.id, instance.state)).collect())
    }

    /// Looks until something is there.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFn() -> Result<Option<T>, SuiteError>,
    ) -> Result<T, SuiteError> {
        let seen = until(PAUSE, LIMIT, look).await?;
        seen.ok_or_else(|| SuiteError::Late(LIMIT.as_secs(), what.to_owned()))
    }
}

/// What the image of members has beside the runner.
fn bring(stack: &Stack, official: Option<&Path>) -> Result<(), SuiteError> {
    let (layout, image) = (stack.layout(), stack.layout().image());
    let manager = official.map_or_else(|| layout.command("manager-sim"), Path::to_path_buf);
    for (from, name) in [(manager, MANAGER), (layout.command("runnerless-member"), "runnerless-member")] {
        let copied = fs::create_dir_all(&image).and_then(|()| fs::copy(&from, image.join(name)));
        copied.map_err(SuiteError::machine(from.display()))?;
    }
    Ok(())
}

async fn pool(stack: &Stack, main: &Deployment, project: u64) -> Result<Deployment, SuiteError> {
    let network = deploy::network(&stack.aws()).await?;
    let of_network = |name: &str| network.get(name).cloned().unwrap_or_default();
    let common = deploy::parameters(&stack.gitlab().ok_or(SeedError::NoGitLab)?.url);
    let parameters = BTreeMap::from([
        ("GitLabUrl", common["GitLabUrl"].clone()),
        ("Architecture", common["Architecture"].clone()),
        ("LedgerTable", output(main, "LedgerTableName")?.to_owned()),
        ("ParameterPath", output(main, "ParameterPath")?.to_owned()),
        ("Vpc", of_network("Ec2Vpc")),
        ("Subnets", of_network("Ec2Subnets")),
        ("Members", format!("0,{MAXIMUM}")),
        ("SlotsPerMember", SLOTS.to_string()),
        ("TargetUtilisation", "100".to_owned()),
        ("HeadroomSlots", "0".to_owned()),
        ("PoolTags", TAG.to_owned()),
        ("PendingProjects", project.to_string()),
        ("Runner", "shell".to_owned()),
    ]);
    let variables = BTreeMap::from([
        ("RUNNERLESS_IDLE_RUNS", IDLE_RUNS.to_string()),
        ("RUNNERLESS_STABILISATION_MINUTES", "0".to_owned()),
        ("RUNNERLESS_UNHEALTHY_RUNS", UNHEALTHY_RUNS.to_string()),
    ]);
    Ok(deploy::pool(stack, POOL, &parameters, &variables).await?)
}

/// The `.gitlab-ci.yml`: jobs that a person plays, and that wait at the gate.
fn pipeline(gate: &Gate) -> String {
    let script = gate.script().replace('\\', "\\\\").replace('"', "\\\"");
    let job = |name: &str| {
        format!(
            "{name}:\n  when: manual\n  tags: [{TAG}]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - \"{script}\"\n"
        )
    };
    JOBS.map(job).concat()
}
