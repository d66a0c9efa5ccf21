//! The right to make runners at GitLab, as an operator stored it.

use runnerless_aws::AwsError;
use runnerless_aws::ports::Parameters;
use runnerless_gitlab::protocol::{RunnerScope, Secret};

/// An API token that may make runners, and whose they are to be.
#[derive(Debug)]
pub struct MakingRight {
    /// The token, of scope `create_runner`.
    pub token: Secret,
    /// Whose runners it makes.
    pub scope: RunnerScope,
}

/// The branch of the parameters about GitLab's API, below the stack's path.
pub(crate) fn control_path(root: &str) -> String {
    format!("{}/control", root.trim_end_matches('/'))
}

/// The right to make runners. `None` where an operator did not give it; an inner error is what is wrong with it.
///
/// # Errors
/// Parameter Store cannot be read.
pub async fn making_right(
    parameters: &impl Parameters,
    root: &str,
) -> Result<Option<Result<MakingRight, String>>, AwsError> {
    let path = control_path(root);
    let held = parameters.below(&path).await?;
    let text = |name: &str| held.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let (Some(token), Some(scope)) = (text("ApiToken"), text("RunnerScope")) else { return Ok(None) };
    Ok(Some(match RunnerScope::parse(scope) {
        Ok(scope) => Ok(MakingRight { token: Secret::new(token), scope }),
        Err(error) => Err(format!("parameter {path}/RunnerScope: {error}")),
    }))
}
