//! What the router reads from its environment, and the ports that it makes of it.

use runnerless_aws::{DynamoLedger, DynamoMapping, LambdaInvoker, ParameterCache, ParameterStore};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::live::Caps;
use runnerless_core::route::{Abilities, DefaultRoute};
use runnerless_lambda_kit::{Env, EnvError, SystemClock, SystemDice};

use crate::Ports;
use crate::api::{GitLabApi, TokenHolder};

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
    api: GitLabApi<ParameterStore, SystemClock>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, credentials) = (env.place()?, env.credentials()?);
        let path = env.text("RUNNERLESS_PARAMETER_PATH")?;
        Ok(Self {
            rules: Rules::read(env)?,
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            mapping: DynamoMapping::new(&place, &credentials, env.text("RUNNERLESS_MAPPING_TABLE")?),
            invoker: LambdaInvoker::new(&place, &credentials),
            api: GitLabApi {
                store: ParameterStore::new(&place, &credentials),
                clock: SystemClock,
                control: ParameterCache::new(format!("{}/control", path.trim_end_matches('/'))),
                url: env.text("RUNNERLESS_GITLAB_URL")?,
            },
        })
    }

    /// The ports, with the jobs API if there is a token for it now.
    pub async fn ports(&self) -> impl Ports<Ledger = DynamoLedger> + '_ {
        AwsPorts { config: self, jobs: self.api.holder().await }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &DynamoLedger {
        &self.ledger
    }
}

impl Rules {
    /// Whether the target isolates tenants: ours by the stack's own setting, others by what the loader read of them.
    pub(crate) fn isolates(&self, target: &str, read: Option<bool>) -> bool {
        let (executor, tenancy) = &self.executor;
        if target == executor { *tenancy } else { read.unwrap_or(false) }
    }

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

struct AwsPorts<'a> {
    config: &'a Config,
    jobs: Option<TokenHolder<'a, ParameterStore, SystemClock>>,
}

impl<'a> Ports for AwsPorts<'a> {
    type Ledger = DynamoLedger;
    type Mapping = DynamoMapping;
    type Invoker = LambdaInvoker;
    type Jobs = TokenHolder<'a, ParameterStore, SystemClock>;
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
    fn jobs(&self) -> Option<&Self::Jobs> {
        self.jobs.as_ref()
    }
    fn clock(&self) -> &SystemClock {
        &SystemClock
    }
    fn dice(&self) -> &SystemDice {
        &SystemDice
    }
}
