//! `make stack-up`: a deployed and seeded stack that stays.

use std::collections::BTreeMap;

use crate::bare::Bare;
use crate::deploy::{self, DeployError, Deployment, Release};
use crate::seed::{self, DEFAULT_LANE, Hook, SeedError};
use crate::stack::{Options, Stack, StackError};

/// The bucket with the jobs' caches, which the deployment makes as an operator would before.
pub(crate) const CACHES: &str = "runnerless-caches";

/// The stack cannot be brought up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// It does not start.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// It has no GitLab.
    #[error("the stack that runs here has no simulator; end it with `make stack-down` first")]
    NoGitLab,
    /// The template cannot be deployed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// It cannot be seeded.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

/// Starts a stack, or takes the one that runs, deploys and seeds it, and leaves it running. Doing so twice brings the
/// second time's builds into the running stack.
///
/// # Errors
/// When a step fails; a stack that this call started is ended then.
pub async fn up(options: &Options, with_api_token: bool) -> Result<Hook, UpError> {
    let stack = take(options).await?;
    let deployment = deploy(&stack).await?;
    let hook = seed::seed(&stack, &deployment, &[DEFAULT_LANE], with_api_token).await?;
    stack.keep();
    Ok(hook)
}

/// The stack that runs in this folder, or a new one.
///
/// # Errors
/// When it does not start.
pub async fn take(options: &Options) -> Result<Stack, StackError> {
    match Stack::running(&options.layout) {
        Some(stack) => Ok(stack),
        None => Stack::start(options).await,
    }
}

/// Deploys the template with the parameters of every local stack.
///
/// # Errors
/// When it cannot be deployed.
pub async fn deploy(stack: &Stack) -> Result<Deployment, UpError> {
    deploy_with(stack, []).await
}

/// The same with other parameters besides.
///
/// # Errors
/// When it cannot be deployed.
pub async fn deploy_with(
    stack: &Stack,
    others: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Deployment, UpError> {
    Ok(deploy::deploy(stack, &parameters(stack, others).await?).await?)
}

/// The same, with this around the executor's jobs.
///
/// # Errors
/// When it cannot be deployed.
pub async fn deploy_around(stack: &Stack, bare: Option<&Bare>) -> Result<Deployment, UpError> {
    Ok(deploy::deploy_around(stack, &parameters(stack, []).await?, bare).await?)
}

/// Deploys another release, or this checkout's, with them, see [`deploy::deploy_release`].
///
/// # Errors
/// When it cannot be deployed.
pub async fn deploy_release(stack: &Stack, release: Option<&Release>) -> Result<Deployment, UpError> {
    Ok(deploy::deploy_release(stack, &parameters(stack, []).await?, release).await?)
}

async fn parameters(
    stack: &Stack,
    others: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<BTreeMap<&'static str, String>, UpError> {
    let gitlab = stack.gitlab().ok_or(UpError::NoGitLab)?;
    let mut parameters = deploy::parameters(&gitlab.url);
    parameters.insert("CacheBucket", CACHES.to_owned());
    parameters.extend(deploy::network(&stack.aws()).await?);
    parameters.extend(others);
    Ok(parameters)
}
