//! What a deployed stack needs before it can serve: the secrets, a runner in GitLab for each lane, and `stack.env`.

use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnerless_core::lane::{Engine, TagSet, lane_id};
use serde_json::{Value, json};

use crate::aws::{ACCOUNT, Aws, DYNAMODB, REGION, SECRET, SSM};
use crate::deploy::Deployment;
use crate::gitlab::{NewRunner, Simulator};
use crate::http::HttpError;
use crate::stack::Stack;
use crate::stack_env::{self, upper_snake};

/// The longest job of a Lambda lane: Lambda's 900 s less what the end of a job needs. GitLab shows it on the runner.
const LAMBDA_TIMEOUT_S: u64 = 840;
/// The longest job of a lane of instances, where its rows do not say.
pub(crate) const EC2_TIMEOUT_S: u64 = 3 * 3600;

/// The stack cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// AWS or GitLab.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// The stack has no GitLab.
    #[error("this stack was started without a simulator")]
    NoGitLab,
    /// The template lacks an output.
    #[error("the stack has no output {0}; template.yaml names it")]
    NoOutput(&'static str),
    /// No random bytes.
    #[error("the machine gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// `stack.env`.
    #[error("{path} cannot be written")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where GitLab's hooks go, and how they prove themselves.
#[derive(Clone, Debug)]
pub struct Hook {
    /// On 127.0.0.1.
    pub url: String,
    /// The API's own name, which does not resolve everywhere.
    pub host_header: String,
    /// The secret token.
    pub secret_token: String,
    /// The signing token.
    pub signing_token: String,
}

/// A lane of the local stack.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'a> {
    /// What people read in GitLab.
    pub description: &'a str,
    /// Its tags; none for the default lane, which takes untagged jobs.
    pub tags: &'a [&'a str],
    /// On what its jobs run.
    pub engine: Engine,
}

/// What a lane launches for a mapped job.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// This function, by its ARN.
    Function(&'a str),
    /// An instance of the stack's own types and disk.
    Instance {
        /// `spot` or `on-demand`; none: the stack's own.
        market: Option<&'a str>,
        /// The longest job (s); none: the product's own.
        timeout_s: Option<u64>,
        /// Whether each launch has a runner of its own.
        own_runner: bool,
    },
}

impl Target<'_> {
    /// On what its jobs run.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Function(_) => Engine::Lambda,
            Self::Instance { .. } => Engine::Ec2,
        }
    }
}

/// The lane of the default route.
pub const DEFAULT_LANE: Lane<'_> = Lane { description: "Runnerless, default lane", tags: &[], engine: Engine::Lambda };

/// Writes the secrets, makes the lanes' runners, writes `stack.env`. What is there already stays: seeding a running
/// stack again changes nothing.
///
/// # Errors
/// When AWS or GitLab refuses, or the file cannot be written.
pub async fn seed(
    stack: &Stack,
    deployment: &Deployment,
    lanes: &[Lane<'_>],
    with_api_token: bool,
) -> Result<Hook, SeedError> {
    let gitlab = stack.gitlab().ok_or(SeedError::NoGitLab)?;
    let parameters = Parameters { aws: stack.aws(), path: output(deployment, "ParameterPath")?.to_owned() };
    let secret = hex::encode(random()?);
    let signing = format!("whsec_{}", STANDARD.encode(random()?));
    let hook = Hook {
        secret_token: parameters.keep("ingress/SecretToken", &secret).await?,
        signing_token: parameters.keep("ingress/SigningToken", &signing).await?,
        ..address(stack, deployment)?
    };
    parameters.put("control/Url", &gitlab.url).await?;
    if with_api_token {
        parameters.put("control/ApiToken", &gitlab.admin_token).await?;
    }
    let simulator = Simulator::new(gitlab);
    for lane in lanes {
        parameters.runner(&simulator, lane).await?;
    }
    write_env(stack, deployment, &hook)?;
    Ok(hook)
}

/// Loads a mapping row: jobs of this name in this project go to the lane, which launches this target. The row's format is the
/// promised one.
///
/// # Errors
/// When the table refuses it.
pub async fn map_job(
    stack: &Stack,
    deployment: &Deployment,
    job: &str,
    lane: &Lane<'_>,
    target: &Target<'_>,
    project: &str,
) -> Result<(), SeedError> {
    let tags = tags(lane).sort_key();
    let text = |value: &str| json!({"S": value});
    let mut row = json!({
        "pk": text(&format!("job#{job}")), "sk": text(&tags), "type": text(lane.engine.as_str()),
        "projects": {"L": [text(project)]}, "owner": text("demo"),
    });
    let target = match *target {
        Target::Function(arn) => {
            row["arn"] = text(arn);
            row["tenancy"] = json!({"BOOL": false});
            row["function_timeout_s"] = json!({"N": "900"});
            row["retries"] = json!({"N": "0"});
            arn.to_owned()
        }
        Target::Instance { market, timeout_s, own_runner } => {
            if let Some(market) = market {
                row["market"] = text(market);
            }
            if let Some(timeout_s) = timeout_s {
                row["timeout_s"] = json!({"N": timeout_s.to_string()});
            }
            if own_runner {
                row["runner_per_launch"] = json!({"BOOL": true});
            }
            let own = if own_runner { "/own-runner" } else { "" };
            format!("//{}{own}", market.unwrap_or_default())
        }
    };
    let entry = json!({
        "pk": text("lanes"), "sk": text(&tags), "type": text(lane.engine.as_str()), "target": text(&target),
        "run_untagged": {"BOOL": false}, "lane": text(lane_id(lane.engine, &self::tags(lane)).as_str()),
    });
    let table = output(deployment, "MappingTableName")?;
    for item in [row, entry] {
        stack.aws().call(DYNAMODB, "PutItem", &json!({"TableName": table, "Item": item})).await?;
    }
    Ok(())
}

/// An output of the stack.
///
/// # Errors
/// When the template lacks it.
pub fn output<'a>(deployment: &'a Deployment, name: &'static str) -> Result<&'a str, SeedError> {
    deployment.outputs.get(name).map(String::as_str).ok_or(SeedError::NoOutput(name))
}

fn address(stack: &Stack, deployment: &Deployment) -> Result<Hook, SeedError> {
    let url = output(deployment, "WebhookUrl")?;
    let api = url.trim_start_matches("https://").split('.').next().unwrap_or_default();
    let port = stack.emulator().rsplit(':').next().unwrap_or_default();
    Ok(Hook {
        url: format!("{}/webhook", stack.emulator()),
        host_header: format!("{api}.execute-api.localhost:{port}"),
        secret_token: String::new(),
        signing_token: String::new(),
    })
}

fn write_env(stack: &Stack, deployment: &Deployment, hook: &Hook) -> Result<(), SeedError> {
    let gitlab = stack.gitlab().ok_or(SeedError::NoGitLab)?;
    let named = |name: &str, value| (name.to_owned(), value);
    let fixed = [
        named("AWS_ENDPOINT_URL", stack.endpoint()),
        named("EMULATOR_URL", stack.emulator()),
        named("AWS_ACCESS_KEY_ID", ACCOUNT),
        named("AWS_SECRET_ACCESS_KEY", SECRET),
        named("AWS_REGION", REGION),
        named("AWS_DEFAULT_REGION", REGION),
        named("GITLAB_URL", &gitlab.url),
        named("GITLAB_ADMIN_TOKEN", &gitlab.admin_token),
        named("HOOK_URL", &hook.url),
        named("HOOK_HOST_HEADER", &hook.host_header),
        named("HOOK_SECRET_TOKEN", &hook.secret_token),
        named("HOOK_SIGNING_TOKEN", &hook.signing_token),
    ];
    let outputs = deployment.outputs.iter().map(|(name, value)| (upper_snake(name), value.as_str()));
    let path = stack.layout().stack_env();
    stack_env::write(&path, fixed.into_iter().chain(outputs)).map_err(|source| SeedError::File { path, source })
}

/// The stack's branch of Parameter Store.
struct Parameters {
    aws: Aws,
    path: String,
}

impl Parameters {
    /// The value that is there, or this one from now on.
    async fn keep(&self, name: &str, value: &str) -> Result<String, HttpError> {
        match self.get(name).await? {
            Some(there) => Ok(there),
            None => self.put(name, value).await.map(|()| value.to_owned()),
        }
    }

    async fn runner(&self, simulator: &Simulator, lane: &Lane<'_>) -> Result<(), HttpError> {
        let id = lane_id(lane.engine, &tags(lane));
        let name = format!("runner/{}/{}/RegistrationToken", lane.engine.as_str(), id.as_str());
        if self.get(&name).await?.is_some() {
            return Ok(());
        }
        let runner = NewRunner {
            description: lane.description,
            tags: lane.tags.to_vec(),
            run_untagged: lane.tags.is_empty(),
            maximum_timeout: match lane.engine {
                Engine::Lambda => LAMBDA_TIMEOUT_S,
                Engine::Ec2 => EC2_TIMEOUT_S,
            },
        };
        let token = simulator.create_runner(&runner).await?;
        self.put(&name, &token).await
    }

    async fn get(&self, name: &str) -> Result<Option<String>, HttpError> {
        let input = json!({"Names": [format!("{}/{name}", self.path)], "WithDecryption": true});
        let answer = self.aws.call(SSM, "GetParameters", &input).await?;
        Ok(answer["Parameters"][0]["Value"].as_str().map(str::to_owned))
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), HttpError> {
        let full = format!("{}/{name}", self.path);
        let input = json!({"Name": full, "Value": value, "Type": "SecureString", "Overwrite": true});
        self.aws.call(SSM, "PutParameter", &input).await.map(|_: Value| ())
    }
}

/// The lanes here are constants of this crate, whose tags are fine.
fn tags(lane: &Lane<'_>) -> TagSet {
    TagSet::new(lane.tags).unwrap_or_default()
}

fn random() -> Result<[u8; 32], SeedError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SeedError::Random)?;
    Ok(bytes)
}
