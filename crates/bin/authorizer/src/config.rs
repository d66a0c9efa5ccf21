//! What the authorizer reads from its environment.

use runnerless_aws::{ParameterCache, ParameterStore};
use runnerless_core::time::Millis;
use runnerless_gitlab::proof::TokenAlone;
use runnerless_lambda_kit::{Env, EnvError};

/// How long Parameter Store may take before a request goes on unfiltered. The function ends after five seconds, and one
/// that ends without an answer is a refusal.
const PATIENCE: Millis = Millis::secs(2);

/// The rules of the filter.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What a token without a signature is worth.
    pub token_alone: TokenAlone,
    /// How long the secrets may take to come.
    pub patience: Millis,
}

/// The function's configuration.
#[derive(Debug)]
pub struct Config {
    /// Parameter Store.
    pub store: ParameterStore,
    /// The branch `ingress`.
    pub secrets: ParameterCache,
    /// The rules.
    pub rules: Rules,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let path = env.text("RUNNERLESS_PARAMETER_PATH")?;
        let allowed = env.flag("RUNNERLESS_ALLOW_TOKEN_WITH_SIGNING_KEY")?;
        let token_alone = if allowed { TokenAlone::Allowed } else { TokenAlone::Refused };
        Ok(Self {
            store: ParameterStore::new(&env.place()?, &env.credentials()?),
            secrets: ParameterCache::new(format!("{}/ingress", path.trim_end_matches('/'))),
            rules: Rules { token_alone, patience: PATIENCE },
        })
    }
}
