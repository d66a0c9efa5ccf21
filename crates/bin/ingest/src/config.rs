//! What ingest reads from its environment.

use runnerless_aws::{DynamoLedger, EventBus, ParameterCache, ParameterStore};
use runnerless_core::time::Millis;
use runnerless_gitlab::proof::TokenAlone;
use runnerless_gitlab::webhook::Instance;
use runnerless_lambda_kit::{Env, EnvError};

use crate::Noted;

/// How long proving and storing may take together. GitLab waits ten seconds for an answer and repeats nothing, the authorizer
/// may have taken two of them and the bus takes two more ([`ANNOUNCE_LIMIT`]). An attempt of a call is given up after three
/// seconds, so that one that hangs leaves time for a second.
const STORE_LIMIT: Millis = Millis::secs(5);
/// How long the bus may take. The row is stored by then, and the sweep acts on it: a GitLab that waits longer than ten
/// seconds would count a failure of a hook that did its work.
const ANNOUNCE_LIMIT: Millis = Millis::secs(2);

/// The rules of the front door.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The GitLab that this stack serves.
    pub instance: Instance,
    /// What a token without a signature is worth.
    pub token_alone: TokenAlone,
    /// How long proving and storing may take together.
    pub store_limit: Millis,
    /// How long the bus may take.
    pub announce_limit: Millis,
}

/// The function's configuration.
#[derive(Debug)]
pub struct Config {
    /// The ledger.
    pub ledger: DynamoLedger,
    /// The stack's event bus.
    pub bus: EventBus,
    /// Parameter Store.
    pub store: ParameterStore,
    /// The branch `ingress`.
    pub secrets: ParameterCache,
    /// The projects that were noted already.
    pub noted: Noted,
    /// The rules.
    pub rules: Rules,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, credentials) = (env.place()?, env.credentials()?);
        let path = env.text("RUNNERLESS_PARAMETER_PATH")?;
        let allowed = env.flag("RUNNERLESS_ALLOW_TOKEN_WITH_SIGNING_KEY")?;
        Ok(Self {
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            bus: EventBus::new(&place, &credentials, env.text("RUNNERLESS_EVENT_BUS")?),
            store: ParameterStore::new(&place, &credentials),
            secrets: ParameterCache::new(format!("{}/ingress", path.trim_end_matches('/'))),
            noted: Noted::default(),
            rules: Rules {
                instance: instance(env)?,
                token_alone: if allowed { TokenAlone::Allowed } else { TokenAlone::Refused },
                store_limit: STORE_LIMIT,
                announce_limit: ANNOUNCE_LIMIT,
            },
        })
    }
}

fn instance(env: &Env) -> Result<Instance, EnvError> {
    const NAME: &str = "RUNNERLESS_GITLAB_URL";
    let value = env.text(NAME)?;
    Instance::parse(&value).map_err(|_| EnvError::Wrong {
        name: NAME,
        value,
        what: "GitLab's URL, with http:// or https:// and a host",
    })
}
