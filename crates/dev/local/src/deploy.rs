//! Deploying `template.yaml` to the emulator, through CloudFormation and its SAM transform.
//!
//! The work is done by `python/deploy.py` with the SDK that the emulator's environment brings. It takes the template as
//! it is, but for the addresses of the code, as `sam package` does; what the emulator cannot evaluate is adjusted
//! afterwards, see there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::aws::{ACCOUNT, Aws, REGION, SECRET};
use crate::bare::{self, Bare};
use crate::http::{Http, HttpError};
use crate::instances::{Ec2, Ec2Error};
use crate::layout::Layout;
use crate::stack::Stack;
use crate::stack_env::quoted;

/// The stack's name.
pub const STACK: &str = "runnerless";
/// The functions: the names of their folders below `crates/bin` and of their binaries.
pub const PARTS: [&str; 9] =
    ["authorizer", "ingest", "router", "provisioner", "executor", "claim", "checkin", "terminator", "reconciler"];
/// The script, part of this program so that it needs no checkout beside it.
const SCRIPT: &str = include_str!("../python/deploy.py");
/// It takes two seconds; much more on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// The deployment failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A host build cannot be put in its place.
    #[error("{path} cannot be put into target/lambda; run `cargo build --release`")]
    Binary {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A release's template cannot be read.
    #[error("{path} cannot be read")]
    Template {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The script could not be run.
    #[error("the deployment cannot be run")]
    Run(#[source] io::Error),
    /// It did not end.
    #[error("the deployment did not end within {LIMIT:?}")]
    Late,
    /// It said no.
    #[error("the deployment failed:\n{0}")]
    Failed(String),
    /// It answered something else than expected.
    #[error("the deployment's answer cannot be read")]
    Answer(#[source] serde_json::Error),
    /// The witness does not answer.
    #[error(transparent)]
    Witness(#[from] HttpError),
    /// The emulator's network.
    #[error(transparent)]
    Network(#[from] Ec2Error),
}

/// What was deployed.
#[derive(Clone, Debug, Deserialize)]
pub struct Deployment {
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
    /// The functions by logical id.
    pub functions: BTreeMap<String, Function>,
}

/// A deployed function.
#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its role's ARN.
    pub role: String,
}

/// A function that is not part of the stack: the demo's second target.
#[derive(Clone, Debug)]
pub struct Foreign<'a> {
    /// Its name, and its role's.
    pub name: &'a str,
    /// The folder with its Python files.
    pub folder: PathBuf,
    /// Its handler.
    pub handler: &'a str,
    /// What it may do.
    pub statements: Value,
    /// The function that is told of its failures.
    pub on_failure: &'a str,
}

/// Another release than this checkout's.
#[derive(Clone, Debug)]
pub struct Release {
    /// A checkout of it: its template, and what that names.
    pub source: PathBuf,
    /// The folder with its builds.
    pub programs: PathBuf,
}

/// Puts the host builds where they are promised, `target/lambda/<part>/bootstrap`, and deploys them. Deploying again
/// updates what changed.
///
/// # Errors
/// When a part is not built, or the deployment fails.
pub async fn deploy(stack: &Stack, parameters: &BTreeMap<&str, String>) -> Result<Deployment, DeployError> {
    deploy_around(stack, parameters, None).await
}

/// The same, with this around the executor: then nothing of its configuration is changed but that its environment is shared.
///
/// # Errors
/// As above.
pub async fn deploy_around(
    stack: &Stack,
    parameters: &BTreeMap<&str, String>,
    bare: Option<&Bare>,
) -> Result<Deployment, DeployError> {
    let layout = stack.layout();
    let mut order = order(layout, &layout.source("template.yaml"), &place(layout)?, parameters);
    if let Some(bare) = bare {
        order["variables"]["ExecutorFunction"] = json!({"RUNNERLESS_SANDBOX": "shared"});
        order["starters"] = json!({"executor": starter(bare)});
    }
    deployed(stack, order).await
}

/// Deploys another release, or this checkout's, whose executor survives what the emulator does to it when the other one is
/// deployed: it ends the processes of a function that is updated, while AWS lets invocations finish.
///
/// # Errors
/// As above.
pub async fn deploy_release(
    stack: &Stack,
    parameters: &BTreeMap<&str, String>,
    release: Option<&Release>,
) -> Result<Deployment, DeployError> {
    let layout = stack.layout();
    let (template, binaries) = match release {
        Some(Release { source, programs }) => {
            (source.join("template.yaml"), PARTS.into_iter().map(|part| (part, programs.join(part))).collect())
        }
        None => (layout.source("template.yaml"), place(layout)?),
    };
    let executor = quoted(&binaries["executor"].to_string_lossy());
    let text =
        fs::read_to_string(&template).map_err(|source| DeployError::Template { path: template.clone(), source })?;
    let mut parameters = parameters.clone();
    // An earlier release lacks what came later.
    parameters.retain(|name, _| release.is_none() || text.contains(&format!("\n  {name}:\n    Type: ")));
    let mut order = order(layout, &template, &binaries, &parameters);
    order["starters"] = json!({"executor": format!("#!/bin/sh\nsetsid {executor} &\nwait\n")});
    deployed(stack, order).await
}

fn order(
    layout: &Layout,
    template: &Path,
    binaries: &BTreeMap<&str, PathBuf>,
    parameters: &BTreeMap<&str, String>,
) -> Value {
    json!({
        "do": "stack",
        "stack": STACK,
        "template": template,
        "binaries": binaries,
        "parameters": parameters,
        "scopes": layout.at("scopes.json"),
        "groups": layout.at("groups.json"),
        "variables": {"ExecutorFunction": {
            "RUNNERLESS_SANDBOX": "shared",
            "RUNNERLESS_WORK_ROOT": layout.tmp().join("runnerless"),
            // Nothing of anybody's is there: function processes that run at the same time share it.
            "RUNNERLESS_SCRUB": layout.tmp().join("scrub"),
        }},
    })
}

/// Deploys `pool/template.yaml` beside the main stack, under this name. `variables` take the place of the scaler's own.
///
/// # Errors
/// When the scaler is not built, or the deployment fails.
pub async fn pool(
    stack: &Stack,
    name: &str,
    parameters: &BTreeMap<&str, String>,
    variables: &BTreeMap<&str, String>,
) -> Result<Deployment, DeployError> {
    let layout = stack.layout();
    let binaries = BTreeMap::from([("scaler", place_one(layout, "scaler")?)]);
    let mut order = order(layout, &layout.source("pool/template.yaml"), &binaries, parameters);
    order["stack"] = name.into();
    order["variables"] = json!({"ScalerFunction": variables});
    deployed(stack, order).await
}

async fn deployed(stack: &Stack, order: Value) -> Result<Deployment, DeployError> {
    let deployment = serde_json::from_value(run(stack, order).await?).map_err(DeployError::Answer)?;
    refresh(stack).await?;
    Ok(deployment)
}

/// Makes or renews a function that is not part of the stack. Returns its ARN.
///
/// # Errors
/// When the deployment fails.
pub async fn foreign(stack: &Stack, function: &Foreign<'_>) -> Result<String, DeployError> {
    let order = json!({
        "do": "function",
        "name": function.name,
        "folder": function.folder,
        "handler": function.handler,
        "runtime": "python3.12",
        "timeout": 900,
        "statements": function.statements,
        "tags": {"runnerless:target": "true"},
        "on_failure": function.on_failure,
    });
    let answer = run(stack, order).await?;
    refresh(stack).await?;
    Ok(answer["arn"].as_str().unwrap_or_default().to_owned())
}

/// The parameters that let a local deployment launch instances: the emulator's own network.
///
/// # Errors
/// When the emulator does not tell.
pub async fn network(aws: &Aws) -> Result<BTreeMap<&'static str, String>, DeployError> {
    let subnets = Ec2::new(aws.clone()).subnets().await?;
    let vpc = subnets.first().map(|(_, vpc)| vpc.clone()).unwrap_or_default();
    let of_it: Vec<&str> = subnets.iter().filter(|(_, of)| *of == vpc).map(|(id, _)| id.as_str()).collect();
    Ok(BTreeMap::from([("Ec2Subnets", of_it.join(",")), ("Ec2Vpc", vpc)]))
}

/// The parameters that every local deployment has.
#[must_use]
pub fn parameters(gitlab_url: &str) -> BTreeMap<&'static str, String> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    BTreeMap::from([
        ("GitLabUrl", gitlab_url.to_owned()),
        ("Architecture", architecture.to_owned()),
        // The emulator takes a tenant id and ignores it: the call is made as on AWS, the isolation is not there, and the
        // executor is told so after the deployment.
        ("ExecutorSandbox", "tenant".to_owned()),
    ])
}

/// What is deployed in the executor's place: it starts the executor where there is nothing but what Lambda has.
fn starter(bare: &Bare) -> String {
    let words = bare.words(bare::PROGRAM);
    let words: Vec<String> = words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    format!("#!/bin/sh\nexec {}\n", words.join(" "))
}

fn place(layout: &Layout) -> Result<BTreeMap<&'static str, PathBuf>, DeployError> {
    PARTS.into_iter().map(|part| place_one(layout, part).map(|path| (part, path))).collect()
}

/// A new file takes the place of the old one: a running function keeps the one that it was started from. Several deployments
/// may do so at once.
fn place_one(layout: &Layout, part: &str) -> Result<PathBuf, DeployError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let built = layout.command(part);
    let folder = layout.source("target/lambda").join(part);
    let placed = folder.join("bootstrap");
    let new = folder.join(format!("bootstrap.{}-{number}", std::process::id()));
    let put = || {
        fs::create_dir_all(&folder)?;
        fs::copy(&built, &new)?;
        fs::rename(&new, &placed)
    };
    put().map_err(|source| DeployError::Binary { path: built.clone(), source })?;
    Ok(placed)
}

async fn refresh(stack: &Stack) -> Result<(), HttpError> {
    let url = format!("{}/_proxy/refresh", stack.endpoint());
    let limit = Duration::from_secs(10);
    Http::default().json(hyper::Method::POST, &url, &[], &Value::Null, limit).await.map(drop)
}

async fn run(stack: &Stack, mut order: Value) -> Result<Value, DeployError> {
    order["endpoint"] = stack.emulator().into();
    order["account"] = ACCOUNT.into();
    order["secret"] = SECRET.into();
    order["region"] = REGION.into();
    let output = tokio::time::timeout(LIMIT, python(&stack.layout().python(), &order)).await;
    let output = output.map_err(|_| DeployError::Late)?.map_err(DeployError::Run)?;
    if !output.status.success() {
        return Err(DeployError::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(DeployError::Answer)
}

/// With an empty environment: no credentials, profile or proxy of the caller gets into it.
async fn python(interpreter: &Path, order: &Value) -> io::Result<std::process::Output> {
    let mut child = Command::new(interpreter)
        .args(["-c", SCRIPT])
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(order.to_string().as_bytes()).await?;
    }
    child.wait_with_output().await
}
