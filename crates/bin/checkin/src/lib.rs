//! Checkin: the ledger and the lane's token for the runners on instances.
//!
//! It has two routes. `POST /claim` is signed: AWS says which instance calls, and only the launch whose row names that
//! instance begins. `POST /launch` is proved by the nonce that the instance was given then. It is a function of its own,
//! apart from claim, because who may invoke claim could else write the caller's name into the event himself; nobody but
//! the API has a right to invoke this one. `docs/instances.md` describes the calls.

mod arrive;
mod error;
mod function;
mod memory;
mod request;
mod speak;
mod wire;

use runnerless_aws::CacheBucket;
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws_ec2::Fleet;
use runnerless_core::time::Timestamp;

pub use error::Error;
pub use function::{Checkin, Config};
pub use memory::Memory;
pub use wire::{Http, Reply, Role};

/// This function's name in logs and metrics.
pub(crate) const SERVICE: &str = "checkin";

/// What the stack's instances are told besides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the secrets are in Parameter Store.
    pub parameter_path: String,
    /// The only GitLab to ask.
    pub gitlab_url: String,
    /// What the runner does about `image:` and `services:`: `fail`, `warn` or `ignore`.
    pub image_policy: String,
    /// The bucket with the jobs' caches; `None` where the stack keeps none.
    pub caches: Option<CacheBucket>,
    /// The role of the stack's instances; `None` where it launches none.
    pub role: Option<Role>,
}

/// What checkin speaks to.
#[derive(Debug)]
pub struct Ports<'a, L, P, F> {
    /// The ledger.
    pub ledger: &'a L,
    /// Parameter Store.
    pub parameters: &'a P,
    /// The instances.
    pub fleet: &'a F,
    /// The stack's settings.
    pub settings: &'a Settings,
    /// What this process remembers.
    pub memory: &'a Memory,
}

/// Answers one request, whatever it holds.
///
/// # Errors
/// What this side could not do; [`Reply::of_error`] answers the caller.
pub async fn handle<L: Ledger, P: Parameters, F: Fleet>(
    http: &Http,
    ports: &Ports<'_, L, P, F>,
    now: Timestamp,
) -> Result<Reply, Error> {
    match http.route() {
        Some("POST /claim") => {
            let Some(instance) = ports.settings.role.as_ref().and_then(|role| role.instance(http.caller())) else {
                return Ok(Reply::Forbidden);
            };
            arrive::arrive(instance, &http.body()?, ports, now).await
        }
        Some("POST /launch") => speak::speak(&http.body()?, ports, now).await,
        _ => Ok(Reply::NoRoute),
    }
}
