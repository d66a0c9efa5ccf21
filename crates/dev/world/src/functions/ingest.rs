//! The front door: hooks leave GitLab, travel, and meet ingest.

use runnerless_core::time::Millis;
use runnerless_gitlab::proof::SigningKey;
use runnerless_ingest::{Outcome, Ports, Request, handle};
use runnerless_lambda_kit::Clock as _;
use serde_json::json;

use super::function;
use crate::check::Whom;
use crate::event::Event;
use crate::fault::Fault;
use crate::gitlab::Hook;
use crate::hands::Hands;
use crate::setup::{GITLAB, SECRET, SIGNING};
use crate::world::World;

/// The function's time limit (see the template).
const LIMIT: Millis = Millis::secs(9);
/// How long a hook travels (ms).
const WAY: std::ops::Range<i64> = 20..500;
/// How long it takes when GitLab's workers are behind (ms).
const LATE: std::ops::Range<i64> = 30_000..600_000;
/// By how much another hook may overtake it (ms).
const OVERTAKEN: std::ops::Range<i64> = 1_000..15_000;

/// A hook is on its way, or is not.
pub(crate) fn send(world: &World, hook: Hook) {
    let whom = Whom::Job(hook.job);
    if world.strikes(Fault::HookLost, &whom) {
        return;
    }
    let length = if world.strikes(Fault::HookLate, &whom) {
        LATE
    } else if world.strikes(Fault::HookReordered, &whom) {
        OVERTAKEN
    } else {
        WAY
    };
    let at = hook.at + world.draw(|rng| Millis(rng.i64(length)));
    if world.strikes(Fault::HookDoubled, &whom) {
        let again = world.draw(|rng| Millis(rng.i64(OVERTAKEN)));
        world.timeline.happens_at(at + again, Event::Hook(hook.clone()));
    }
    world.timeline.happens_at(at, Event::Hook(hook));
}

/// A hook arrives.
pub(crate) async fn arrives(world: &World, hook: Hook) {
    let project = hook.job.project;
    let leaves = world.at_gitlab(|gitlab, now| gitlab.hook_leaves(project, now));
    if !leaves {
        world.note(format_args!("the hook of {} is disabled", hook.job));
        world.state().check.hook_answered(&hook, false, world.now());
        return;
    }
    let hands = function(world, "ingest", LIMIT);
    world.note(format_args!("{hands} hears that {} is {}", hook.job, hook.status));
    let accepted = hands.live(take(&hands, &hook)).await.unwrap_or(false);
    world.state().check.hook_answered(&hook, accepted, world.now());
    world.at_gitlab(|gitlab, now| gitlab.hook_answered(project, accepted, now));
}

/// Whether it is answered by 2xx.
async fn take(hands: &Hands<'_>, hook: &Hook) -> bool {
    let door = hands.draw(|rng| rng.usize(..hands.world.front_doors.len()));
    let (secrets, noted) = &hands.world.front_doors[door];
    let ports = Ports { ledger: hands, bus: hands, store: hands, secrets, noted, clock: hands };
    let Some(request) = request(hands, hook) else { return false };
    match handle(&request, &ports, &hands.world.setup.front, hands.now()).await {
        Ok(outcome) => {
            hands.world.note(format_args!("{hands} answers {} {}", outcome.status(), word(&outcome)));
            outcome.status() == 200
        }
        Err(error) => {
            hands.world.note(format_args!("{hands} fails: {}", error.name()));
            false
        }
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Rejected(rejected) => rejected.name(),
        other => other.result(),
    }
}

/// The request as API Gateway hands it on.
fn request(hands: &Hands<'_>, hook: &Hook) -> Option<Request> {
    let body = std::str::from_utf8(&hook.body).ok()?;
    let mut headers = json!({
        "content-type": "application/json", "x-gitlab-event": "Job Hook", "x-gitlab-instance": GITLAB,
        "idempotency-key": hook.message,
    });
    if hands.world.setup.signed {
        let timestamp = hands.world.now().epoch_secs().to_string();
        let signature = SigningKey::parse(SIGNING).ok()?.sign(&hook.message, &timestamp, &hook.body);
        headers["webhook-id"] = hook.message.as_str().into();
        headers["webhook-timestamp"] = timestamp.into();
        headers["webhook-signature"] = signature.into();
    } else {
        headers["x-gitlab-token"] = SECRET.into();
    }
    let event = json!({
        "rawPath": "/webhook", "headers": headers, "body": body, "isBase64Encoded": false,
        "requestContext": {"http": {"method": "POST", "sourceIp": "192.0.2.44"}},
    });
    serde_json::from_value(event).ok()
}
