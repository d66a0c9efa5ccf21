//! The stack under the storm: lanes, projects, hooks and what disturbs them.

use std::time::Duration;

use hyper::Method;
use runnerless_core::lane::Engine;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::Storm;
use super::plan::{Plan, TAG};
use crate::deploy::{Deployment, Function};
use crate::gitlab::{NewHook, Simulator};
use crate::pipelines::expect::Expect;
use crate::pipelines::ledger::Ledger;
use crate::pipelines::repository;
use crate::seed::{self, DEFAULT_LANE, Lane, Target, output};
use crate::stack::Stack;
use crate::suite::SuiteError;
use crate::witness::Witness;
use crate::{schedule, sentinels, up};

/// The lane of the jobs with a tag.
const LANE: Lane<'_> = Lane { description: "Runnerless, the storm's lane", tags: &[TAG], engine: Engine::Lambda };
/// Of a hundred hooks so many are lost, sent twice, and sent after others that were made later.
const SHARES: [(&str, u64); 3] = [("lost", 20), ("doubled", 20), ("late", 10)];
/// How late.
const LATE_MS: u64 = 4_000;
/// The shortest pause between two sentinels of a lane; where the stack has an API token there are none.
const SENTINEL_MINUTES: u32 = 1;
/// How long one look at a pipeline waits for its end.
const LOOK_S: u64 = 2;

/// Everything that the storm speaks to.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) stack: &'a Stack,
    pub(super) deployment: Deployment,
    pub(super) simulator: Simulator,
    pub(super) witness: Witness,
    /// Whether hooks are lost, too.
    pub(super) loses: bool,
    /// GitLab's ids of the projects.
    projects: Vec<u64>,
}

/// A pipeline of the storm in GitLab.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) project: u64,
    pub(super) id: u64,
    pub(super) expect: Expect,
}

impl<'a> Ground<'a> {
    /// Deploys and seeds; nothing is disturbed yet, and no sweep comes by itself.
    pub(super) async fn prepare(stack: &'a Stack, storm: &Storm, plan: &Plan) -> Result<Self, SuiteError> {
        let deployment = up::deploy(stack).await?;
        let hook = seed::seed(stack, &deployment, &[DEFAULT_LANE, LANE], storm.api_token).await?;
        if !storm.api_token && !sentinels::every(&stack.aws(), &deployment, SENTINEL_MINUTES).await? {
            return Err(SuiteError::Missing("variable for sentinels".to_owned()));
        }
        if !schedule::switch_off(&stack.aws()).await? {
            return Err(SuiteError::Missing("scheduled rule".to_owned()));
        }
        let simulator = Simulator::new(stack.gitlab().ok_or(seed::SeedError::NoGitLab)?);
        let executor = function(&deployment, "ExecutorFunction")?.arn.clone();
        let hook = NewHook {
            url: &hook.url,
            host_header: &hook.host_header,
            token: &hook.secret_token,
            signing_token: &hook.signing_token,
        };
        let mut projects = Vec::new();
        for project in &plan.projects {
            let folder = stack.layout().tmp().join(project.path.replace('/', "-"));
            let source = folder.join("files");
            let file = source.join(".gitlab-ci.yml");
            std::fs::create_dir_all(&source)
                .and_then(|()| std::fs::write(&file, project.file()))
                .map_err(SuiteError::machine(file.display()))?;
            let source = repository::commit(&source, &folder.join("repository")).await?;
            let id = simulator.create_project(&project.path, &source.display().to_string(), &json!([])).await?;
            simulator.create_hook(id, &hook).await?;
            seed::map_job(stack, &deployment, &project.tagged(), &LANE, &Target::Function(&executor), &project.path)
                .await?;
            projects.push(id);
        }
        let witness = Witness::new(stack.endpoint());
        Ok(Self { stack, deployment, simulator, witness, loses: storm.lost, projects })
    }

    /// From now on hooks are lost, doubled and late, and some events are refused.
    pub(super) async fn disturb(&self, storm: &Storm, plan: &Plan) -> Result<(), SuiteError> {
        let mut drawn = json!({"seed": storm.seed, "late_ms": LATE_MS});
        for (what, share) in SHARES {
            drawn[what] = json!(if what == "lost" && !storm.lost { 0 } else { share });
        }
        self.simulator.call(Method::POST, "/_sim/v1/settings", &json!({"two_phase": true})).await?;
        self.simulator.call(Method::POST, "/_sim/v1/faults", &json!({"hooks": {"drawn": drawn}})).await?;
        let ingest = &function(&self.deployment, "IngestFunction")?.name;
        for nth in &plan.refused {
            let fault = json!({"op": "events:PutEvents", "nth": nth, "do": "refuse_entry", "function": ingest});
            self.witness.set(&fault).await?;
        }
        Ok(())
    }

    /// Starts each pipeline when its time has come, and waits until all are over or the time is.
    pub(super) async fn pipelines(&self, plan: &Plan, limit: Duration) -> Result<(Vec<Made>, bool), SuiteError> {
        let begun = Instant::now();
        let mut made = Vec::new();
        for pipeline in &plan.pipelines {
            sleep_until(begun + pipeline.at).await;
            let project = self.projects[pipeline.project];
            let id = self.simulator.start_pipeline(project).await?;
            made.push(Made { project, id, expect: plan.projects[pipeline.project].expect() });
        }
        for one in &made {
            while self.simulator.pipeline(one.id, LOOK_S).await?["settled"] != true {
                if begun.elapsed() > limit {
                    return Ok((made, false));
                }
            }
        }
        Ok((made, true))
    }

    /// The ledger.
    pub(super) fn ledger(&self) -> Result<Ledger<'_>, SuiteError> {
        Ok(Ledger { aws: self.stack.aws(), table: output(&self.deployment, "LedgerTableName")? })
    }

    /// Every delivery of a hook.
    pub(super) async fn deliveries(&self) -> Result<Vec<Value>, SuiteError> {
        let all = self.simulator.call(Method::GET, "/_sim/v1/deliveries?wait_s=20", &Value::Null).await?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }
}

/// A function of the stack, by its logical id.
pub(super) fn function<'a>(deployment: &'a Deployment, name: &'static str) -> Result<&'a Function, SuiteError> {
    deployment.functions.get(name).ok_or_else(|| SuiteError::Missing(name.to_owned()))
}
