//! A function in another language: it speaks to the ledger through `claim` alone.

use runnerless_claim::{Answer, Ports, handle};
use runnerless_core::event::LaunchEvent;
use runnerless_core::id::JobKey;
use runnerless_core::limits;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::{Clock as _, Dice as _};
use serde_json::{Value, json};

use super::engine::{self, Outcome};
use crate::functions;
use crate::gitlab::Offer;
use crate::hands::Hands;
use crate::setup::PARAMETERS;

/// Claim's time limit (see the template).
const CLAIM_LIMIT: Millis = Millis::secs(10);
/// How often a call that failed is made again.
const TRIES: u32 = 3;
/// The pause before it is.
const PAUSE: Millis = Millis::secs(1);
/// How often such a function renews: the documented minute.
const RENEW: Millis = Millis::minutes(1);

/// Serves one launch. The error is the name by which it leaves the function.
pub(crate) async fn serve(hands: &Hands<'_>, payload: &Value) -> Result<(), &'static str> {
    let Ok(event) = LaunchEvent::read(payload) else { return Err("ValueError") };
    let caller = Caller { hands, payload, claim: hands.token(6) };
    let began = hands.now();
    let (token, system_id) = match caller.call(json!({"do": "begin"})).await? {
        Answer::Begun { token, system_id } => (token, system_id),
        _ => return Ok(()),
    };
    hands.world.state().check.began(&event.launch, hands.process.number);
    let elapsed = hands.now() - began;
    if elapsed >= limits::WAIT {
        return caller.end("failed", "it became too late to ask").await;
    }
    let wanted = Millis::secs(i64::try_from(event.wait_s).unwrap_or(i64::MAX / 1000));
    match engine::ask(hands, &token, &system_id, wanted.min(limits::WAIT - elapsed)).await {
        Outcome::Job(offer, at) => {
            let bind =
                async { matches!(caller.call(json!({"do": "bind", "job": ids(offer.key)})).await, Ok(Answer::Done)) };
            let unbind = async {
                let _ = caller.call(json!({"do": "give_back", "job": ids(offer.key)})).await;
            };
            if !engine::take(hands, &offer, at, bind, unbind).await {
                return Ok(());
            }
            hands.world.state().check.accepted(&event.launch, offer.key, hands.process.number);
            caller.runs(&event, &offer).await
        }
        Outcome::Nothing => caller.end("no_job", "").await,
        Outcome::Refused | Outcome::Unreachable => caller.end("failed", "GitLab did not answer").await,
    }
}

fn ids(job: JobKey) -> Value {
    json!({"project_id": job.project, "job_id": job.job})
}

struct Caller<'a, 'w> {
    hands: &'a Hands<'w>,
    payload: &'a Value,
    claim: String,
}

impl Caller<'_, '_> {
    async fn runs(&self, event: &LaunchEvent, offer: &Offer) -> Result<(), &'static str> {
        let hands = self.hands;
        let ends_at = (hands.process.ends_at + hands.process.clock_off).min(event.deadline_ms) - Millis::secs(10);
        let renews = async {
            loop {
                if self.call(json!({"do": "renew"})).await.is_err() {
                    hands.world.state().check.not_renewed(&event.launch, hands.world.now());
                }
                hands.pause(RENEW).await;
            }
        };
        let told = engine::beside(engine::run(hands, offer, ends_at), renews).await;
        hands.world.state().check.done(hands.process.number);
        if told { self.end("done", "").await } else { Err("RuntimeError") }
    }

    async fn end(&self, outcome: &str, reason: &str) -> Result<(), &'static str> {
        self.call(json!({"do": "end", "outcome": outcome, "reason": reason})).await.map(drop)
    }

    /// One call of claim, made again when it fails.
    async fn call(&self, mut request: Value) -> Result<Answer, &'static str> {
        for name in ["launch", "nonce"] {
            request[name] = self.payload.get(name).cloned().unwrap_or_default();
        }
        request["claim"] = self.claim.as_str().into();
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.hands.pause(PAUSE).await;
            }
            self.hands.step().await;
            if let Some(answer) = self.once(&request).await {
                return Ok(answer);
            }
        }
        Err("ConnectionError")
    }

    async fn once(&self, request: &Value) -> Option<Answer> {
        let world = self.hands.world;
        let claim = functions::function(world, "claim", CLAIM_LIMIT);
        world.state().check.speaks_for(claim.process.number, self.hands.process.number);
        let ports =
            Ports { ledger: &claim, parameters: &claim, parameter_path: PARAMETERS, caches: None, dice: &claim };
        let answered = claim.live(handle(request, &ports, claim.now())).await;
        answered.ok()?.ok()
    }
}
