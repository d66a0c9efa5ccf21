//! How the listing is done.

use runnerless_core::limits;
use runnerless_lambda_kit::{Env, EnvError};

/// How the listing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// How many calls a run may make; 0 lists nothing.
    pub calls: u32,
    /// Where GitLab sends this stack's hooks.
    pub webhook_url: String,
}

impl Listing {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        const CALLS: &str = "RUNNERLESS_LISTING_CALLS";
        let calls = env.number(CALLS)?;
        let wrong = || EnvError::Wrong { name: CALLS, value: calls.to_string(), what: "0, or 4 to 1000 calls a run" };
        let fits = calls == 0 || (u64::from(limits::LISTING_CALLS_MIN)..=1000).contains(&calls);
        let calls = u32::try_from(calls).ok().filter(|_| fits).ok_or_else(wrong)?;
        Ok(Self { calls, webhook_url: env.text("RUNNERLESS_WEBHOOK_URL")? })
    }
}
