//! A lane's runner token: one parameter, read for one launch.

use runnerless_core::id::LaneId;
use runnerless_core::lane::Engine;
use runnerless_core::moves::End;
use zeroize::Zeroizing;

use crate::error::AwsError;
use crate::ports::Parameters;

/// The parameter's name below its lane.
const NAME: &str = "RegistrationToken";
/// What runner authentication tokens start with: of runners made in GitLab, and of those that registered themselves.
const AUTHENTICATION: [&str; 2] = ["glrt-", "glrtr-"];
/// A lane without a token to ask GitLab with.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The parameter is absent or empty.
    #[error("parameter {0} holds no token: write the lane's runner authentication token (glrt-...) to it")]
    Missing(String),
    /// It holds a legacy registration token. That registers runners; it cannot ask for jobs.
    #[error(
        "parameter {0} holds no runner authentication token (glrt-...) but, it seems, a registration token, which cannot \
         ask for jobs: create a runner in GitLab and write its token there"
    )]
    Registration(String),
    /// Parameter Store could not be read.
    #[error("parameter {parameter} could not be read")]
    Unread {
        /// The parameter.
        parameter: String,
        /// Why not.
        #[source]
        source: AwsError,
    },
}

impl TokenError {
    /// What it means for the launch that needed the token: an attempt that found nothing, with the parameter in its
    /// reason; or, when Parameter Store only asks to slow down or does not answer, no attempt at all.
    #[must_use]
    pub fn end(&self) -> End {
        match self {
            Self::Unread { source: AwsError::Throttled { .. } | AwsError::Unavailable { .. }, .. } => {
                End::Unanswered(self.to_string())
            }
            _ => End::Fruitless(self.to_string()),
        }
    }
}

/// The whole name of a lane's token below `root`, the stack's parameter path.
#[must_use]
pub fn runner_token_name(root: &str, engine: Engine, lane: &LaneId) -> String {
    format!("{}/{NAME}", lane_path(root, engine, lane))
}

/// Reads the token of one lane, and nothing of any other.
///
/// # Errors
/// There is none that could ask for jobs.
pub async fn runner_token(
    port: &impl Parameters,
    root: &str,
    engine: Engine,
    lane: &LaneId,
) -> Result<Zeroizing<String>, TokenError> {
    let parameter = runner_token_name(root, engine, lane);
    let values = match port.below(&lane_path(root, engine, lane)).await {
        Ok(values) => values,
        Err(source) => return Err(TokenError::Unread { parameter, source }),
    };
    // Editors and `echo` leave white space around it.
    let token = values.get(NAME).map(|value| value.trim()).unwrap_or_default();
    if token.is_empty() {
        Err(TokenError::Missing(parameter))
    } else if AUTHENTICATION.iter().any(|prefix| token.starts_with(prefix)) {
        Ok(Zeroizing::new(token.to_owned()))
    } else {
        Err(TokenError::Registration(parameter))
    }
}

fn lane_path(root: &str, engine: Engine, lane: &LaneId) -> String {
    format!("{}/runner/{engine}/{lane}", root.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeParameters;

    async fn token(stored: Option<&str>) -> Result<String, TokenError> {
        let (store, lane) = (FakeParameters::default(), LaneId::new("aa"));
        store.put("/r/runner/LAMBDA/bb/RegistrationToken", "glrt-of-another-lane");
        if let Some(stored) = stored {
            store.put("/r/runner/LAMBDA/aa/RegistrationToken", stored);
        }
        runner_token(&store, "/r/", Engine::Lambda, &lane).await.map(|token| token.to_string())
    }

    #[tokio::test]
    async fn only_authentication_tokens_are_used() {
        for good in ["glrt-t3_abc", "glrt-abc", "glrtr-abc", " glrt-abc\n"] {
            assert_eq!(token(Some(good)).await.unwrap(), good.trim());
        }
        for legacy in ["GR1348941abcdef", "abcdefghijklmnopqrst"] {
            let error = token(Some(legacy)).await.unwrap_err();
            assert!(matches!(error, TokenError::Registration(_)));
            assert!(!error.to_string().contains(legacy), "the token is not shown");
        }
        for none in [None, Some(" ")] {
            let error = token(none).await.unwrap_err();
            assert!(error.to_string().contains("/r/runner/LAMBDA/aa/RegistrationToken"), "{error}");
            assert!(matches!(error.end(), End::Fruitless(reason) if reason.contains("/r/runner/LAMBDA/aa/")));
        }
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_burns_no_attempt() {
        let store = FakeParameters::default();
        store.fail(true);
        let error = runner_token(&store, "/r", Engine::Lambda, &LaneId::new("aa")).await.unwrap_err();
        assert!(matches!(error.end(), End::Unanswered(_)));
    }
}
