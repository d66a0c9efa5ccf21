//! The lane's first launch: GitLab tells as which runner the lane asks.
//!
//! Hooks name runners by id. A `running` hook that names ours although no launch is bound to its job is the only sign of a
//! 201 that was lost, so the id must be known before the first ask.

use std::time::Duration;

use runnerless_aws::book::Book;
use runnerless_aws::ports::Ledger;
use runnerless_core::chain::chain;
use runnerless_core::lane_row::LaneRow;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::Introduction;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::{Client, Secret};
use tokio::time::timeout;

/// What the id is worth of the twenty seconds that a launch may ask: without it only an alarm is missing.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks GitLab for the runner's id unless it is known of this token, and remembers it.
pub(crate) async fn introduce<L: Ledger>(
    ledger: &L,
    client: &Client,
    launch: &LaunchRow,
    token: &Secret,
    known: Option<&LaneRow>,
    now: Timestamp,
) {
    if known.is_some_and(|lane| lane.knows(token.expose())) {
        return;
    }
    let asked = timeout(LIMIT, client.verify(token, Some(&launch.system_id))).await;
    let learned = match asked {
        Ok(Ok(Some(id))) => {
            let (lane, engine) = (&launch.lane, launch.engine);
            let said = Introduction { lane, engine, token: token.expose(), runner_id: Some(id) };
            Book(ledger).introduce(said, now).await.map_err(|error| chain(&error))
        }
        Ok(Ok(None)) => Err("GitLab's answer has no id".to_owned()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    };
    if let Err(why) = learned {
        let lane = launch.lane.as_str();
        tracing::warn!(target: "runnerless", service = "executor", "lane.id" = lane, why, "the lane's runner is not known yet");
    }
}
