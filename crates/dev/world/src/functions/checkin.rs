//! Checkin: what the API hands on to it, and the way back.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use runnerless_checkin::{Http, Ports, Reply, Role, Settings, handle};
use runnerless_core::time::Millis;
use runnerless_lambda_kit::Clock as _;
use serde_json::{Value, json};

use super::function;
use crate::check::Whom;
use crate::event::Event;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::setup::{GITLAB, PARAMETERS, RUNNER_ROLE, RUNNER_SESSIONS};
use crate::world::World;

/// The function's time limit (see the template).
const LIMIT: Millis = Millis::secs(15);
/// A call takes so long each way (ms).
const WAY: std::ops::Range<i64> = 3..40;
/// The API's own word that the function did not answer.
const NO_ANSWER: u16 = 500;

/// A call on its way through the API.
#[derive(Debug)]
pub(crate) struct Call {
    /// `POST /claim`, whose signature names the instance, or `POST /launch`.
    pub(crate) route: &'static str,
    /// The instance that calls.
    pub(crate) instance: String,
    /// What it says.
    pub(crate) body: Value,
    /// The process that calls.
    pub(crate) from: u32,
    /// Where the answer goes.
    pub(crate) answer: Arc<Answer>,
}

/// A status and a body, once they are there.
#[derive(Debug, Default)]
pub(crate) struct Answer(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    reply: Option<(u16, Value)>,
    waits: Option<Waker>,
}

impl Answer {
    fn put(&self, status: u16, body: Value) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.reply = Some((status, body));
        if let Some(waker) = slot.waits.take() {
            waker.wake();
        }
    }

    /// Waits for it, for ever if it was lost.
    pub(crate) fn came(&self) -> impl Future<Output = (u16, Value)> + '_ {
        poll_fn(|context| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.reply.take() {
                Some(reply) => Poll::Ready(reply),
                None => {
                    slot.waits = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

/// Sends a call, or loses it. It is carried out whatever becomes of its caller.
pub(crate) fn send(hands: &Hands<'_>, call: Call) {
    if hands.strikes(Fault::CheckInFailed) {
        return;
    }
    let length = hands.draw(|rng| Millis(rng.i64(WAY)));
    hands.world.timeline.happens_in(length, Event::CheckIn(Box::new(call)));
}

/// A call arrives.
pub(crate) async fn serves(world: &World, call: Call) {
    let hands = function(world, "checkin", LIMIT);
    world.state().check.speaks_for(hands.process.number, call.from);
    let (status, body) = hands.live(serve(&hands, &call)).await.unwrap_or((NO_ANSWER, Value::Null));
    if world.strikes(Fault::CheckInAnswerLost, &Whom::Process(call.from)) {
        return;
    }
    world.timeline.pause(world.draw(|rng| Millis(rng.i64(WAY)))).await;
    call.answer.put(status, body);
}

async fn serve(hands: &Hands<'_>, call: &Call) -> (u16, Value) {
    let context = match call.route {
        "POST /claim" => json!({"authorizer": {"iam": {"userArn": format!("{RUNNER_SESSIONS}{}", call.instance)}}}),
        _ => json!({}),
    };
    let event = json!({"routeKey": call.route, "requestContext": context, "body": call.body.to_string()});
    let Ok(http) = serde_json::from_value::<Http>(event) else { unreachable!("it is API Gateway's form") };
    let settings = Settings {
        parameter_path: PARAMETERS.to_owned(),
        gitlab_url: GITLAB.to_owned(),
        image_policy: "fail".to_owned(),
        caches: None,
        role: Role::of_arn(RUNNER_ROLE),
    };
    let desk = hands.draw(|rng| rng.usize(..hands.world.desks.len()));
    let memory = &hands.world.desks[desk];
    let ports = Ports { ledger: hands, parameters: hands, fleet: hands, settings: &settings, memory };
    let reply = handle(&http, &ports, hands.now()).await.unwrap_or_else(|error| Reply::of_error(&error));
    hands.world.note(format_args!("{hands} says {} to {}", reply.status(), call.instance));
    (reply.status(), serde_json::from_str(&reply.body()).unwrap_or_default())
}
