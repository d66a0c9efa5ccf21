//! The runner on an instance, as `bin/runner instance` serves one launch.

use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Clock as _, Dice as _, within};
use serde_json::{Value, json};

use super::desk::{Desk, Said};
use super::engine::{self, Outcome};
use crate::gitlab::Offer;
use crate::hands::Hands;
use crate::world::State;

/// How long to try to begin.
const BEGIN_LIMIT: Millis = Millis::secs(240);
/// The pause before a call is made again.
const PAUSE: Millis = Millis::secs(1);
/// How long the metadata service may take to go off.
const METADATA_LIMIT: Millis = Millis::secs(15);
/// The pause between two looks at it.
const LOOK: Millis = Millis(250);
/// How long ending the launch is tried.
const END_LIMIT: Millis = Millis::secs(45);
/// What is kept of the launch's time for ending it.
const OWN_END: Millis = Millis::secs(30);

/// What an instance that begins is given.
struct Begun {
    token: String,
    system_id: String,
    nonce: String,
    wait: Millis,
    /// By its own clock.
    ends_at: Timestamp,
    sent: Timestamp,
}

/// Serves one launch, until the instance may power off.
pub(crate) async fn serve(hands: &Hands<'_>, instance: &str, launch: &LaunchId) {
    let desk = Desk { hands, instance, launch };
    let Some(begun) = begin(&desk).await else { return };
    began(hands, instance, launch);
    let serving = Serving { desk, begun };
    let ending = serving.serve().await;
    if let Some((outcome, reason, job)) = ending {
        let word = json!({"do": "end", "outcome": outcome, "reason": reason, "job": job});
        // What cannot be written is the sweep's.
        let _ = within(hands, END_LIMIT, serving.desk.insist(&serving.begun.nonce, &word)).await;
    }
}

fn began(hands: &Hands<'_>, instance: &str, launch: &LaunchId) {
    let mut state = hands.world.state();
    state.check.began(launch, hands.process.number);
    state.check.begins_on(launch, instance);
}

async fn begin(desk: &Desk<'_, '_>) -> Option<Begun> {
    let hands = desk.hands;
    let (until, claim) = (hands.now() + BEGIN_LIMIT, hands.token(16));
    loop {
        let sent = hands.now();
        match desk.begin(&claim).await {
            Said::Yes(body) => return read(&body, sent),
            Said::No => return None,
            Said::Again if hands.now() >= until => return None,
            Said::Again => hands.pause(PAUSE).await,
        }
    }
}

fn read(body: &Value, sent: Timestamp) -> Option<Begun> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let length = |name: &str| body[name].as_i64().map(Millis);
    Some(Begun {
        token: text("token")?,
        system_id: text("system_id")?,
        nonce: text("nonce")?,
        wait: length("wait_ms")?.min(limits::WAIT),
        ends_at: sent + length("left_ms")?,
        sent,
    })
}

/// How a launch ends, in the words of its route, and the job that it ran.
type Ending = Option<(&'static str, &'static str, Option<Value>)>;

/// A launch that began.
struct Serving<'a, 'w> {
    desk: Desk<'a, 'w>,
    begun: Begun,
}

impl Serving<'_, '_> {
    async fn serve(&self) -> Ending {
        let (hands, begun) = (self.desk.hands, &self.begun);
        let wait = Millis(begun.wait.0 - (hands.now() - begun.sent).0);
        if wait.0 <= 0 && begun.wait.0 > 0 {
            return Some(("unanswered", "it became too late to ask GitLab", None));
        }
        match engine::ask(hands, &begun.token, &begun.system_id, wait.max(Millis(0))).await {
            Outcome::Job(offer, at) => self.take(&offer, at).await,
            Outcome::Nothing => Some(("no_job", "", None)),
            Outcome::Refused => Some(("failed", "GitLab does not accept the lane's runner token", None)),
            Outcome::Unreachable => Some(("unanswered", "GitLab could not be asked", None)),
        }
    }

    async fn take(&self, offer: &Offer, at: Timestamp) -> Ending {
        let hands = self.desk.hands;
        let bind = async {
            if !self.metadata_off().await {
                return false;
            }
            let beat = limits::BEAT.0;
            let word = json!({"do": "bind", "job": ids(offer.key), "job_token": offer.token, "beat_ms": beat});
            self.desk.insist(&self.begun.nonce, &word).await
        };
        let unbind = async {
            self.desk.insist(&self.begun.nonce, &json!({"do": "give_back", "job": ids(offer.key)})).await;
        };
        if !engine::take(hands, offer, at, bind, unbind).await {
            // Giving back has ended the launch.
            return None;
        }
        self.accepted(offer.key);
        let run = engine::run(hands, offer, self.begun.ends_at - OWN_END);
        let told = engine::beside(run, self.beat()).await;
        hands.world.state().check.done(hands.process.number);
        let (outcome, reason) = if told { ("done", "") } else { ("untold", "GitLab was not told") };
        Some((outcome, reason, Some(ids(offer.key))))
    }

    fn accepted(&self, job: JobKey) {
        let Desk { hands, instance, launch } = self.desk;
        let now = hands.world.now();
        let mut state = hands.world.state();
        let State { check, cloud, .. } = &mut *state;
        check.accepted(launch, job, hands.process.number);
        check.begins_beside(instance, cloud.machine(instance), now);
    }

    /// Waits until the metadata service is off: no line of a job may run before.
    async fn metadata_off(&self) -> bool {
        let hands = self.desk.hands;
        let until = hands.now() + METADATA_LIMIT;
        loop {
            let now = hands.world.now();
            let off =
                hands.world.state().cloud.machine(self.desk.instance).is_some_and(|machine| machine.is_hidden(now));
            if off || hands.now() >= until {
                return off;
            }
            hands.pause(LOOK).await;
        }
    }

    /// Renews from the acceptance on, the first time at once. A refusal does not stop the job.
    async fn beat(&self) {
        let (hands, mut word) = (self.desk.hands, "accepted");
        loop {
            match self.desk.say(&self.begun.nonce, &json!({"do": word})).await {
                Said::Yes(_) => {
                    word = "renew";
                    hands.pause(limits::BEAT).await;
                }
                Said::Again => {
                    hands.world.state().check.not_renewed(self.desk.launch, hands.world.now());
                    hands.pause(PAUSE).await;
                }
                Said::No => return,
            }
        }
    }
}

fn ids(job: JobKey) -> Value {
    json!({"project_id": job.project, "job_id": job.job})
}
