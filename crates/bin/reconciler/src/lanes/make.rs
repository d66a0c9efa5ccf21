//! A runner for a lane whose token nobody stored, where an API token allows it.

use runnerless_aws::ports::{Applied, Ledger as _, Parameters, Stored, TokenStore};
use runnerless_aws::{AwsError, runner_token_name};
use runnerless_core::change::RowKey;
use runnerless_core::lane::{Engine, Lane};
use runnerless_core::lane_row::{LaneRow, lane_runner_name, mark};
use runnerless_core::moves::{LaneMade, LaneMaking, lane_made, lane_making};
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::{Deleted, Made, NewRunner, Runners, Secret};
use runnerless_lambda_kit::metrics;
use runnerless_provisioner::MakingRight;
use runnerless_router::Ports;
use serde_json::json;
use zeroize::Zeroizing;

use crate::act::{gone, write};
use crate::report::Result;
use crate::{SERVICE, Sweep};

/// What the runner of a lane tells whoever looks at it in GitLab.
const NOTE: &str = "Made for a lane by Runnerless, and deleted when the mapping no longer has it.";

/// The longest job of a Lambda lane (s), which GitLab shows and enforces: Lambda's own limit.
const LAMBDA_LONGEST_S: u64 = 900;

/// What came of it, for the report; and what the lane's row is to say.
struct Outcome {
    made: LaneMade,
    told: std::result::Result<(), String>,
}

/// Makes the lane's runner and stores its token.
pub(super) async fn make<P: Ports, S: Parameters + TokenStore, R, G: Runners, F>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    lane: &Lane,
    row: Option<&LaneRow>,
    right: &MakingRight,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let (id, ports) = (lane.id(), sweep.ports);
    let LaneMaking::Ask { plan, lost } = lane_making(row, &id, lane.engine, now) else {
        return Ok(Result::Held("GitLab is asked for its runner".to_owned()));
    };
    if ports.ledger().apply(&plan).await? == Applied::Conflict {
        return Ok(gone());
    }
    if lost.is_some() {
        unaccounted(lane, "a sweep that asked for it did not come back");
    }
    let name = lane_runner_name(&id);
    let new = NewRunner {
        description: &name,
        note: NOTE,
        tags: &lane.tags,
        run_untagged: lane.run_untagged,
        longest_s: (lane.engine == Engine::Lambda).then_some(LAMBDA_LONGEST_S),
    };
    let outcome = match sweep.lanes.runners.create(&right.token, right.scope, &new).await {
        Made::Runner { id, token } => store(sweep, lane, id, &token).await,
        Made::Refused(why) | Made::Later(why) => Outcome { made: LaneMade::Nothing, told: Err(why) },
        Made::Unknown(why) => {
            unaccounted(lane, &why);
            Outcome { made: LaneMade::Unknown, told: Err(why) }
        }
    };
    let Some(row) = ports.ledger().load(&[RowKey::Lane(id.clone())]).await?.lane(&id)? else { return Ok(gone()) };
    let sentinels = super::sentinels_of(sweep, lane.engine);
    let written = write(ports, &lane_made(&row, outcome.made, sentinels, now)).await?;
    Ok(match outcome.told {
        Err(why) => Result::Held(format!("GitLab made no runner for it: {why}")),
        Ok(()) => written,
    })
}

/// Stores the token of a runner that was made. What cannot be stored is deleted again.
async fn store<P: Ports, S: TokenStore, R, G: Runners, F>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    lane: &Lane,
    runner: u64,
    token: &Secret,
) -> Outcome {
    let parameter = runner_token_name(sweep.lost.parameter_path, lane.engine, &lane.id());
    let why = match sweep.lost.parameters.add(&parameter, &Zeroizing::new(token.expose().to_owned())).await {
        Ok(Stored::New) => {
            metrics::count(SERVICE, "RunnersMade", 1, &json!({"lane.id": lane.id(), "runner.id": runner}));
            return Outcome { made: LaneMade::Runner(mark(token.expose())), told: Ok(()) };
        }
        Ok(Stored::There) => "somebody stored a token meanwhile".to_owned(),
        Err(error) => error.to_string(),
    };
    match sweep.lanes.runners.unregister(token).await {
        Deleted::Gone | Deleted::Stranger(_) => Outcome { made: LaneMade::Nothing, told: Err(why) },
        Deleted::Unknown(error) => {
            unaccounted(
                lane,
                &format!(
                    "runner {runner} was made, its token could not be stored ({why}), nor itself deleted: {error}"
                ),
            );
            Outcome { made: LaneMade::Unknown, told: Err(why) }
        }
    }
}

fn unaccounted(lane: &Lane, why: &str) {
    let why = format!("{why}; look for {:?} and delete it", lane_runner_name(&lane.id()));
    metrics::trouble(SERVICE, "RunnersUnaccounted", 1, &json!({"lane.id": lane.id(), "why": why}));
}
