//! What the demo adds to a seeded stack: a project with a hook, and a function of somebody else with its mapping.

use runnerless_core::lane::Engine;
use serde_json::json;

use super::{Demo, DemoError, instances};
use crate::deploy::{self, Deployment, Foreign};
use crate::gitlab::{NewHook, Simulator};
use crate::pipelines::repository;
use crate::seed::{self, DEFAULT_LANE, Lane, SeedError, Target};
use crate::stack::Stack;
use crate::up::UpError;

/// The lane of the second function, see `demo/python-runner`.
const PYTHON_LANE: Lane<'_> =
    Lane { description: "Runnerless, a Python function's lane", tags: &["python-function"], engine: Engine::Lambda };
/// The job of the demo's pipeline that goes there.
const PYTHON_JOB: &str = "in a python function";
/// Instances as the stack's parameters have them.
const OF_THE_STACK: Target<'_> = Target::Instance { market: None, timeout_s: None, own_runner: false };
/// The second function.
const PYTHON_FUNCTION: &str = "runnerless-demo-python";

/// The function of somebody else: it may invoke `claim`, and has no other right.
pub(super) async fn python_function(stack: &Stack, deployment: &Deployment) -> Result<String, DemoError> {
    let arn =
        |logical: &str| deployment.functions.get(logical).map(|function| function.arn.clone()).unwrap_or_default();
    let claim = arn("ClaimFunction");
    let terminator = arn("TerminatorFunction");
    let may = |resource: &str| json!({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": resource});
    let function = Foreign {
        name: PYTHON_FUNCTION,
        folder: stack.layout().source("demo/python-runner"),
        handler: "runner.handler",
        // The second one is what Lambda itself asks for before it takes a failure destination.
        statements: json!([may(&claim), may(&terminator)]),
        on_failure: &terminator,
    };
    Ok(deploy::foreign(stack, &function).await.map_err(UpError::from)?)
}

/// The project whose pipeline runs.
#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) id: u64,
    pub(super) path: String,
}

pub(super) async fn seed_project(
    demo: &Demo,
    stack: &Stack,
    deployment: &Deployment,
    python: Option<&str>,
    with_instances: bool,
) -> Result<Project, DemoError> {
    let hook = seed::seed(stack, deployment, &[DEFAULT_LANE, PYTHON_LANE, instances::LANE], demo.api_token).await?;
    let simulator = Simulator::new(stack.gitlab().ok_or(SeedError::NoGitLab)?);
    let name = format!("demo/pipeline-{}", jiff::Timestamp::now().as_millisecond());
    if let Some(python) = python {
        seed::map_job(stack, deployment, PYTHON_JOB, &PYTHON_LANE, &Target::Function(python), &name).await?;
        seed::map_job(stack, deployment, instances::JOB, &instances::LANE, &OF_THE_STACK, &name).await?;
    }
    let source = match &demo.repo {
        Some(repo) => repository::check(repo).await?,
        None => {
            let files = stack.layout().source("demo/repository");
            let without = if with_instances { None } else { Some(instances::JOB) };
            repository::commit_without(without, &files, &stack.layout().tmp().join(name.replace('/', "-"))).await?
        }
    };
    let variables = json!([
        {"key": "NONCE", "value": demo.nonce.as_deref().unwrap_or("none")},
        {"key": "DEMO_SECRET", "value": "a-secret-that-no-log-shows", "masked": true},
    ]);
    let id = simulator.create_project(&name, &source.display().to_string(), &variables).await?;
    let hook = NewHook {
        url: &hook.url,
        host_header: &hook.host_header,
        token: &hook.secret_token,
        signing_token: &hook.signing_token,
    };
    simulator.create_hook(id, &hook).await?;
    Ok(Project { id, path: name })
}
