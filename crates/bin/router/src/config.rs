//! What the router reads from its environment, and the ports that it makes of it.

use std::time::Duration;

use runnerless_aws::{Credentials, DynamoLedger, DynamoMapping, LambdaInvoker, ParameterCache, ParameterStore, Place};
use runnerless_core::chain::chain;
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::live::Caps;
use runnerless_core::route::{Abilities, DefaultRoute};
use runnerless_core::time::Millis;
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Secret};
use runnerless_gitlab::rest::RestClient;
use runnerless_lambda_kit::{Env, EnvError, SystemClock, SystemDice, within};

use crate::Ports;

/// The rules of this stack.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Where jobs without a row go.
    pub default: DefaultRoute,
    /// What this stack can run.
    pub abilities: Abilities,
    /// The most live launches.
    pub caps: Caps,
    /// The only GitLab, for the launch event.
    pub gitlab_url: String,
    /// Who speaks to the ledger for targets of others.
    pub claim_function: String,
    /// The stack's own executor, and whether it isolates tenants.
    pub executor: (String, bool),
}

/// The function's configuration.
#[derive(Debug)]
pub struct Config {
    /// The rules of this stack.
    pub rules: Rules,
    ledger: DynamoLedger,
    mapping: DynamoMapping,
    invoker: LambdaInvoker,
    api: GitLabApi,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, credentials) = (env.place()?, env.credentials()?);
        Ok(Self {
            rules: Rules::read(env)?,
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            mapping: DynamoMapping::new(&place, &credentials, env.text("RUNNERLESS_MAPPING_TABLE")?),
            invoker: LambdaInvoker::new(&place, &credentials),
            api: GitLabApi::read(env, &place, &credentials)?,
        })
    }

    /// The ports, with the jobs API if there is a token for it now.
    pub async fn ports(&self) -> impl Ports<Ledger = DynamoLedger> + '_ {
        AwsPorts { config: self, jobs: self.api.client().await }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &DynamoLedger {
        &self.ledger
    }
}

impl Rules {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let executor = env.text("RUNNERLESS_EXECUTOR_ARN")?;
        Ok(Self {
            default: default_route(env, &executor)?,
            // Instances are launched by a later release's provisioner.
            abilities: Abilities { ec2: false },
            caps: Caps { lane: env.number("RUNNERLESS_LANE_CAP")?, stack: env.number("RUNNERLESS_STACK_CAP")? },
            gitlab_url: env.text("RUNNERLESS_GITLAB_URL")?,
            claim_function: env.text("RUNNERLESS_CLAIM_FUNCTION")?,
            executor: (executor, env.flag("RUNNERLESS_TENANT_ISOLATION")?),
        })
    }
}

fn default_route(env: &Env, executor: &str) -> Result<DefaultRoute, EnvError> {
    const ROUTE: &str = "RUNNERLESS_DEFAULT_ROUTE";
    const TAGS: &str = "RUNNERLESS_DEFAULT_TAGS";
    let texts = env.optional(TAGS).unwrap_or_default();
    let tags = TagSet::new(texts.split(',').map(str::trim).filter(|tag| !tag.is_empty()));
    let tags = tags.map_err(|_| EnvError::Wrong { name: TAGS, value: texts, what: "tags separated by commas" })?;
    let value = env.text(ROUTE)?;
    match value.as_str() {
        "NONE" => Ok(DefaultRoute::None),
        "LAMBDA" => Ok(DefaultRoute::Lane(Lane {
            run_untagged: tags.is_empty(),
            tags,
            engine: Engine::Lambda,
            target: executor.to_owned(),
        })),
        _ => Err(EnvError::Wrong { name: ROUTE, value, what: "LAMBDA or NONE" }),
    }
}

/// What the API tells is worth this much of a function's twenty seconds, and so is its token: without it the job is routed
/// by its name.
const API_LIMIT: Millis = Millis::secs(3);

/// GitLab's jobs API, if somebody stored a token for it.
#[derive(Debug)]
pub struct GitLabApi {
    store: ParameterStore,
    control: ParameterCache,
    url: String,
}

impl GitLabApi {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn read(env: &Env, place: &Place, credentials: &Credentials) -> Result<Self, EnvError> {
        let path = env.text("RUNNERLESS_PARAMETER_PATH")?;
        Ok(Self {
            store: ParameterStore::new(place, credentials),
            control: ParameterCache::new(format!("{}/control", path.trim_end_matches('/'))),
            url: env.text("RUNNERLESS_GITLAB_URL")?,
        })
    }

    /// A client; `None` without a token. A token that cannot be read or used costs the job its tags, not its launch.
    pub async fn client(&self) -> Option<RestClient> {
        let branch = match within(&SystemClock, API_LIMIT, self.control.get(&self.store, &SystemClock)).await {
            Some(Ok(branch)) => branch,
            Some(Err(error)) => return unread(&format!("{}: {}", error.name(), chain(&error))),
            None => return unread(&format!("no answer within {} ms", API_LIMIT.0)),
        };
        let token = Secret::new(branch.get("ApiToken")?);
        let info = Info::new("runnerless", env!("CARGO_PKG_VERSION"), "");
        let limit = Duration::from_millis(API_LIMIT.0.unsigned_abs());
        let limits =
            ClientConfig { connect_timeout: limit, request_timeout: limit, ..ClientConfig::new(&self.url, info) };
        let client = Client::new(limits).map_err(|error| error.to_string());
        let client = client.and_then(|client| RestClient::new(client, &token).map_err(|error| error.to_string()));
        match client {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::warn!(target: "runnerless", error, "the jobs API cannot be used");
                None
            }
        }
    }
}

fn unread(error: &str) -> Option<RestClient> {
    tracing::warn!(target: "runnerless", error, "the API token cannot be read");
    None
}

struct AwsPorts<'a> {
    config: &'a Config,
    jobs: Option<RestClient>,
}

impl Ports for AwsPorts<'_> {
    type Ledger = DynamoLedger;
    type Mapping = DynamoMapping;
    type Invoker = LambdaInvoker;
    type Jobs = RestClient;
    type Clock = SystemClock;
    type Dice = SystemDice;

    fn ledger(&self) -> &DynamoLedger {
        &self.config.ledger
    }
    fn mapping(&self) -> &DynamoMapping {
        &self.config.mapping
    }
    fn invoker(&self) -> &LambdaInvoker {
        &self.config.invoker
    }
    fn jobs(&self) -> Option<&RestClient> {
        self.jobs.as_ref()
    }
    fn clock(&self) -> &SystemClock {
        &SystemClock
    }
    fn dice(&self) -> &SystemDice {
        &SystemDice
    }
}
