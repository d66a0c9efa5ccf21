//! The token that a launch's runner asks with: its lane's, which is one parameter, or one of its own, which is sealed under
//! what that parameter holds.

use runnerless_core::id::LaneId;
use runnerless_core::lane::Engine;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::End;
use zeroize::Zeroizing;

use crate::error::AwsError;
use crate::job_token::RunnerSeal;
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
    /// The launch has a runner of its own, and what its token is sealed under is not there any more.
    #[error(
        "the token of the launch's own runner cannot be opened: parameter {0} held another token when the launch was started"
    )]
    Sealed(String),
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
    /// reason; or, when Parameter Store only asks to slow down or does not answer, or the token was replaced just now, no
    /// attempt at all.
    #[must_use]
    pub fn end(&self) -> End {
        match self {
            Self::Unread { source: AwsError::Throttled { .. } | AwsError::Unavailable { .. }, .. }
            | Self::Sealed(_) => End::Unanswered(self.to_string()),
            _ => End::Fruitless(self.to_string()),
        }
    }
}

/// The whole name of a lane's token below `root`, the stack's parameter path.
#[must_use]
pub fn runner_token_name(root: &str, engine: Engine, lane: &LaneId) -> String {
    format!("{}/{NAME}", lane_path(root, engine, lane))
}

/// What a lane's parameter holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneToken {
    /// A runner's token: the lane's launches ask with it.
    Runner(Zeroizing<String>),
    /// A legacy registration token, or what can only be one: each launch gets a runner that is registered with it.
    Registration(Zeroizing<String>),
}

impl LaneToken {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Runner(token) | Self::Registration(token) => token,
        }
    }
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
    match lane_token(port, root, engine, lane).await? {
        LaneToken::Runner(token) => Ok(token),
        LaneToken::Registration(_) => Err(TokenError::Registration(runner_token_name(root, engine, lane))),
    }
}

/// Reads the token that the runner of one launch asks with.
///
/// # Errors
/// There is none that could ask for jobs.
pub async fn launch_token(
    port: &impl Parameters,
    root: &str,
    launch: &LaunchRow,
) -> Result<Zeroizing<String>, TokenError> {
    let Some(own) = &launch.own_runner else { return runner_token(port, root, launch.engine, &launch.lane).await };
    let held = lane_token(port, root, launch.engine, &launch.lane).await?;
    let sealed = || TokenError::Sealed(runner_token_name(root, launch.engine, &launch.lane));
    let token = own.token.as_ref().ok_or_else(sealed)?;
    let seal = RunnerSeal::new(held.expose(), &launch.launch).map_err(|_| sealed())?;
    seal.open(token).map_err(|_| sealed())
}

/// Reads what one lane's parameter holds, and nothing of any other.
///
/// # Errors
/// Nothing, or it could not be read.
pub async fn lane_token(
    port: &impl Parameters,
    root: &str,
    engine: Engine,
    lane: &LaneId,
) -> Result<LaneToken, TokenError> {
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
        Ok(LaneToken::Runner(Zeroizing::new(token.to_owned())))
    } else {
        Ok(LaneToken::Registration(Zeroizing::new(token.to_owned())))
    }
}

fn lane_path(root: &str, engine: Engine, lane: &LaneId) -> String {
    format!("{}/runner/{engine}/{lane}", root.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use runnerless_core::own_runner::{Maker, OwnRunner};
    use runnerless_core::time::Timestamp;
    use serde_json::json;

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

    #[tokio::test]
    async fn a_launch_with_a_runner_of_its_own_asks_with_that_ones_token() {
        let (store, name) = (FakeParameters::default(), "/r/runner/EC2/aa/RegistrationToken");
        let row = json!({"rev": 1, "launch": "l-1", "state": "starting", "lane": "aa", "lane_tags": [], "run_untagged": true,
            "engine": "EC2", "target": "//", "attempt": 1, "system_id": "r_x", "nonce_sha256": "", "lease_until": 1,
            "deadline": 2});
        let shared: LaunchRow = serde_json::from_value(row).unwrap();
        let own = |under: &str| {
            let token = RunnerSeal::new(under, &shared.launch).unwrap().seal("glrt-of-the-launch").unwrap();
            let own = OwnRunner { by: Maker::ApiToken, asked_at: Timestamp(0), id: Some(9), token: Some(token) };
            LaunchRow { own_runner: Some(own), ..shared.clone() }
        };
        for held in ["glrt-of-the-lane", "GR1348941x"] {
            store.put(name, held);
            let token = launch_token(&store, "/r", &own(held)).await.unwrap();
            assert_eq!(token.as_str(), "glrt-of-the-launch");
            let of_lane = launch_token(&store, "/r", &shared).await;
            assert_eq!(of_lane.is_ok(), held.starts_with("glrt-"), "without one it asks as its lane's runner");
            let error = launch_token(&store, "/r", &own("another")).await.unwrap_err();
            assert!(matches!(error.end(), End::Unanswered(why) if why.contains(name)));
        }
        let mut unmade = own("GR1348941x");
        unmade.own_runner.as_mut().unwrap().token = None;
        assert!(matches!(launch_token(&store, "/r", &unmade).await, Err(TokenError::Sealed(_))), "never the lane's");
    }
}
