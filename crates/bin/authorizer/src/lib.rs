//! The authorizer: a cheap filter in front of ingest.
//!
//! API Gateway asks it about every request before ingest runs. It never sees a body, so it is not the proof: it takes a
//! right token, or the three `webhook-*` headers when they are well-formed and fresh, and leaves the signature to ingest.
//! When it cannot read its secrets it lets the request through, because ingest proves everything itself and a refusal
//! here would lose GitLab's hooks for a trouble of ours.

mod config;
mod event;

use std::future::Future;

use runnerless_aws::ports::Parameters;
use runnerless_aws::{AwsError, Branch, ParameterCache};
use runnerless_core::chain::chain;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::proof::{Credentials, Method, Refusal, filter};
use runnerless_lambda_kit::{Clock, metrics, within};
use serde_json::json;

pub use config::{Config, Rules};
pub use event::{Answer, Context, Filtered, Request};

const SERVICE: &str = "authorizer";

/// What the filter needs.
#[derive(Debug)]
pub struct Ports<'a, P, C> {
    /// Where the secrets are.
    pub store: &'a P,
    /// The secrets that were read already.
    pub secrets: &'a ParameterCache,
    /// Time.
    pub clock: &'a C,
}

/// Filters one request. There is always an answer: API Gateway makes an error of any other.
pub async fn handle<P: Parameters, C: Clock>(
    request: &Request,
    ports: &Ports<'_, P, C>,
    rules: Rules,
    now: Timestamp,
) -> Answer {
    let Some(branch) = in_time(ports.clock, rules, ports.secrets.get(ports.store, ports.clock)).await else {
        return Answer::let_through(Filtered::Unread);
    };
    let decided = match decide(request, &branch, rules, now) {
        Err(refusal) if refusal.may_be_rotation() => {
            match in_time(ports.clock, rules, ports.secrets.refreshed(ports.store, ports.clock)).await {
                Some(newer) => decide(request, &newer, rules, now),
                None => Err(refusal),
            }
        }
        decided => decided,
    };
    match decided {
        Ok(Method::Signature) => Answer::let_through(Filtered::Signature),
        Ok(Method::Token) => Answer::let_through(Filtered::Token),
        Err(refusal) => {
            refused(request, refusal);
            Answer::refuse()
        }
    }
}

/// The secrets, unless they cannot be read or do not come in time.
async fn in_time(
    clock: &impl Clock,
    rules: Rules,
    read: impl Future<Output = Result<Branch, AwsError>>,
) -> Option<Branch> {
    let why = match within(clock, rules.patience, read).await {
        Some(Ok(branch)) => return Some(branch),
        Some(Err(error)) => chain(&error),
        None => format!("Parameter Store did not answer within {} ms", rules.patience.0),
    };
    tracing::error!(target: "runnerless", service = SERVICE, error = why, "the secrets cannot be read");
    metrics::trouble(SERVICE, "SecretsUnread", 1, &json!({}));
    None
}

fn decide(request: &Request, branch: &Branch, rules: Rules, now: Timestamp) -> Result<Method, Refusal> {
    let credentials = Credentials::read(branch.names(), |name| branch.get(name));
    filter(&request.headers, &credentials, rules.token_alone, now)
}

fn refused(request: &Request, refusal: Refusal) {
    // One line is log and metric: who floods the door with refusals is not to cost two.
    let fields = json!({
        "refusal": refusal.name(), "http.source_ip": request.source_ip(), "message": format!("refused: {refusal}"),
    });
    metrics::count(SERVICE, "HooksRefused", 1, &fields);
    if refusal == Refusal::NothingConfigured {
        metrics::trouble(SERVICE, "SecretsMissing", 1, &json!({}));
    }
}
