//! Acting for a lane, on its row as it is read again.

use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, Ledger, Parameters, TokenStore};
use runnerless_aws::{AwsError, LaneToken, TokenError, lane_token, runner_token, runner_token_name};
use runnerless_aws_ec2::Fleet;
use runnerless_core::chain::chain;
use runnerless_core::change::RowKey;
use runnerless_core::id::LaneId;
use runnerless_core::lane::{Engine, Lane, system_id};
use runnerless_core::lane_row::{LaneRow, TokenTrouble};
use runnerless_core::limits;
use runnerless_core::moves::{
    self, Introduction, LaneDuty, LaneView, forgotten, hold_sentinel, lane_duty, look_again, registers, troubled,
    unverified, verified,
};
use runnerless_core::route::LaneEntry;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::{Deleted, Forgotten, Runners, Secret, Verified};
use runnerless_lambda_kit::{metrics, within};
use runnerless_lost::Reporter;
use runnerless_provisioner::making_right;
use runnerless_router::{Launched, Ports, freeze_sentinel, start_target};
use serde_json::json;

use super::{make, sentinels_of};
use crate::act::{gone, write};
use crate::report::Result;
use crate::{SERVICE, Sweep};

/// How long one run waits for GitLab's word about one lane: a run has less than a minute for everything.
const PATIENCE: Millis = Millis::secs(5);

type Acted = std::result::Result<Result, AwsError>;

/// Has a lane's token verified, or a runner made for a lane without one.
pub(crate) async fn verify<P: Ports, S: Parameters + TokenStore, R: Reporter, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    of: &Lane,
    now: Timestamp,
) -> Acted {
    let (lane, engine) = (&of.id(), of.engine);
    let (ports, sentinels) = (sweep.ports, sentinels_of(sweep, engine));
    let row = ports.ledger().load(&[RowKey::Lane(lane.clone())]).await?.lane(lane)?;
    let is_verified = |row: &LaneRow| row.due.next_check_at.is_some() && row.next_verify_at.is_some_and(|at| at > now);
    if row.as_ref().is_some_and(is_verified) {
        return Ok(gone());
    }
    let later = unverified(row.as_ref(), lane, engine, sentinels, now);
    let trouble = async |trouble: TokenTrouble, why: String| {
        let (plan, tell) = troubled(row.as_ref(), lane, engine, trouble, sentinels, now);
        let written = write(ports, &plan).await?;
        if written == Result::Done && tell {
            tell_trouble(sweep, lane, engine, trouble, &why);
        }
        Ok(if written == Result::Done { Result::Held(why) } else { written })
    };
    let token = match lane_token(sweep.lost.parameters, sweep.lost.parameter_path, engine, lane).await {
        Ok(LaneToken::Runner(token)) => Secret::new(token.as_str()),
        Ok(LaneToken::Registration(_)) if engine == Engine::Ec2 => {
            return write(ports, &registers(row.as_ref(), lane, engine, now)).await;
        }
        Ok(LaneToken::Registration(_)) => {
            let parameter = runner_token_name(sweep.lost.parameter_path, engine, lane);
            return trouble(TokenTrouble::Missing, TokenError::Registration(parameter).to_string()).await;
        }
        Err(TokenError::Unread { source, .. }) => {
            write(ports, &later).await?;
            return Err(source);
        }
        Err(error) => match making_right(sweep.lost.parameters, sweep.lost.parameter_path).await? {
            Some(Ok(right)) => return make::make(sweep, of, row.as_ref(), &right, now).await,
            Some(Err(why)) => return trouble(TokenTrouble::Missing, why).await,
            None => return trouble(TokenTrouble::Missing, error.to_string()).await,
        },
    };
    let system = system_id(lane);
    let asked = sweep.lanes.runners.verify(&token, &system);
    match within(ports.clock(), PATIENCE, asked).await.unwrap_or_else(|| Verified::Unknown(late())) {
        Verified::Runner(runner_id) => {
            let said = Introduction { lane, engine, token: token.expose(), runner_id };
            let (row, runner) = Book(ports.ledger()).introduction_rows(said).await?;
            write(ports, &verified(row.as_ref(), runner.as_ref(), said, sentinels, now)).await
        }
        Verified::Refused(why) => trouble(TokenTrouble::Refused, why).await,
        Verified::Unknown(why) => {
            metrics::count(SERVICE, "GitLabUnanswered", 1, &json!({"lane.id": lane}));
            let written = write(ports, &later).await?;
            Ok(if written == Result::Done { Result::Held(why) } else { written })
        }
    }
}

fn tell_trouble<P: Ports, S, R, G, F>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    lane: &LaneId,
    engine: Engine,
    trouble: TokenTrouble,
    why: &str,
) {
    let name = match trouble {
        TokenTrouble::Missing => "LaneTokenMissing",
        TokenTrouble::Refused => "LaneTokenRefused",
    };
    let parameter = runner_token_name(sweep.lost.parameter_path, engine, lane);
    metrics::trouble(SERVICE, name, 1, &json!({"lane.id": lane, "parameter": parameter, "why": why}));
}

async fn token<P: Ports, S: Parameters, R, G, F>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    lane: &LaneId,
    engine: Engine,
) -> std::result::Result<Secret, TokenError> {
    let token = runner_token(sweep.lost.parameters, sweep.lost.parameter_path, engine, lane).await?;
    Ok(Secret::new(token.as_str()))
}

fn late() -> String {
    format!("GitLab did not answer within {} ms", PATIENCE.0)
}

/// Sends a lane's sentinel, unless somebody was faster.
pub(crate) async fn sentinel<P: Ports, S: Parameters, R: Reporter, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    entry: &LaneEntry,
    now: Timestamp,
) -> Acted {
    let Sweep { ports, rules, lanes, .. } = sweep;
    let (ports, ledger, id) = (*ports, ports.ledger(), entry.lane.id());
    let Some(every) = lanes.sentinels(ports) else { return Ok(gone()) };
    let rows = ledger.load(&[&[RowKey::Lane(id.clone())][..], &RowKey::ROOM].concat()).await?;
    let Some(row) = rows.lane(&id)? else { return Ok(gone()) };
    let last = match &row.sentinel {
        Some(last) => Book(ledger).launch(last).await?,
        None => None,
    };
    let view =
        LaneView { mapped: true, in_use: true, draining: false, last_sentinel: last.as_ref(), sentinels: Some(every) };
    if lane_duty(Some(&row), view, now) != LaneDuty::Sentinel {
        return Ok(gone());
    }
    if let Some(full) = rules.caps.exceeded(rows.live(&id), &id) {
        metrics::count(SERVICE, "LaunchesHeld", 1, &json!({"lane": id}));
        let written = write(ports, &hold_sentinel(&row, &full, now)).await?;
        return Ok(if written == Result::Done { Result::Held(full) } else { written });
    }
    let start = freeze_sentinel(entry, rules, ports.dice(), now);
    let launch = start.launch.clone();
    let plan = moves::sentinel(&row, &entry.lane, start, every, now);
    if ledger.apply(&plan).await? == Applied::Conflict {
        return Ok(gone());
    }
    let Some(launch) = plan.leaves(&launch.pk()) else { return Ok(gone()) };
    Ok(match start_target(ports, &launch, now).await? {
        Launched::UnderWay => {
            metrics::count(SERVICE, "Sentinels", 1, &json!({"lane.id": id, "launch.id": launch.launch}));
            Result::Done
        }
        // A lane of instances has no sentinel.
        Launched::Provision => Result::NotNeeded("its target is an instance".to_owned()),
        Launched::Throttled(_) => Result::Held("Lambda was throttled".to_owned()),
        Launched::Refused(error) => Result::Failed(error.name().to_owned()),
    })
}

/// Removes the runner manager of a lane that is gone, or the runner that was made for it, and retires its row.
pub(crate) async fn forget<P: Ports, S: Parameters + TokenStore, R: Reporter, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    lane: &LaneId,
    engine: Engine,
    due: Timestamp,
    now: Timestamp,
) -> Acted {
    let ports = sweep.ports;
    let Some(row) = ports.ledger().load(&[RowKey::Lane(lane.clone())]).await?.lane(lane)? else { return Ok(gone()) };
    if row.due.next_check_at != Some(due) {
        return Ok(gone());
    }
    let why = match token(sweep, lane, engine).await {
        Ok(token) if row.made(token.expose()) => {
            let asked = sweep.lanes.runners.unregister(&token);
            match within(ports.clock(), PATIENCE, asked).await.unwrap_or_else(|| Deleted::Unknown(late())) {
                Deleted::Gone | Deleted::Stranger(_) => {
                    let name = runner_token_name(sweep.lost.parameter_path, engine, lane);
                    sweep.lost.parameters.remove(&name).await?;
                    "the runner that was made for it is deleted".to_owned()
                }
                Deleted::Unknown(why) => {
                    write(ports, &look_again(&row, now + limits::VERIFY_RETRY, &why)).await?;
                    return Ok(Result::Held(why));
                }
            }
        }
        Ok(token) => {
            let system = system_id(lane);
            let asked = sweep.lanes.runners.forget(&token, &system);
            match within(ports.clock(), PATIENCE, asked).await.unwrap_or_else(|| Forgotten::Unknown(late())) {
                Forgotten::Gone => "its runner manager is removed".to_owned(),
                Forgotten::Refused(why) => format!("its runner manager cannot be removed: {why}"),
                Forgotten::Unknown(why) => {
                    write(ports, &look_again(&row, now + limits::VERIFY_RETRY, &why)).await?;
                    return Ok(Result::Held(why));
                }
            }
        }
        Err(TokenError::Unread { source, .. }) => return Err(source),
        Err(error) => format!("its runner manager cannot be removed: {}", chain(&error)),
    };
    tracing::info!(target: "runnerless", service = SERVICE, "lane.id" = lane.as_str(), reason = why, "a lane is gone");
    write(ports, &forgotten(&row, &why, now)).await
}
