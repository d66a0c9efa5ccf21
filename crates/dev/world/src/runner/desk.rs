//! The stack's two routes as an instance's runner calls them, see `bin/runner`.

use std::sync::Arc;

use runnerless_core::id::LaunchId;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::{Clock as _, within};
use serde_json::{Value, json};

use crate::functions::checkin::{self, Answer, Call};
use crate::hands::Hands;

/// One call: the function behind it is ended after fifteen seconds.
const LIMIT: Millis = Millis::secs(20);
/// The pause before a word that got no answer is said again.
const PAUSE: Millis = Millis::secs(1);

/// What became of a call.
pub(super) enum Said {
    /// It was carried out.
    Yes(Value),
    /// The rules do not allow it; another try will not help.
    No,
    /// It may be made again.
    Again,
}

/// An instance's side of the routes.
pub(super) struct Desk<'a, 'w> {
    pub(super) hands: &'a Hands<'w>,
    pub(super) instance: &'a str,
    pub(super) launch: &'a LaunchId,
}

impl Desk<'_, '_> {
    /// Begins the launch under `claim`.
    pub(super) async fn begin(&self, claim: &str) -> Said {
        let body = json!({"do": "begin", "launch": self.launch, "claim": claim});
        match self.call("POST /claim", body).await {
            // A role that is new is not known everywhere at once.
            Some((403, _)) => Said::Again,
            answer => judge(answer),
        }
    }

    /// Says a word for a launch that began.
    pub(super) async fn say(&self, nonce: &str, word: &Value) -> Said {
        let mut body = word.clone();
        body["launch"] = self.launch.as_str().into();
        body["nonce"] = nonce.into();
        judge(self.call("POST /launch", body).await)
    }

    /// Says a word until it is answered; whether it was carried out.
    pub(super) async fn insist(&self, nonce: &str, word: &Value) -> bool {
        loop {
            match self.say(nonce, word).await {
                Said::Yes(_) => return true,
                Said::No => return false,
                Said::Again => self.hands.pause(PAUSE).await,
            }
        }
    }

    async fn call(&self, route: &'static str, body: Value) -> Option<(u16, Value)> {
        let Self { hands, instance, .. } = self;
        hands.step().await;
        let answer = Arc::new(Answer::default());
        let (instance, from) = ((*instance).to_owned(), hands.process.number);
        checkin::send(hands, Call { route, instance, body, from, answer: Arc::clone(&answer) });
        let came = within(*hands, LIMIT, answer.came()).await;
        hands.step().await;
        came
    }
}

/// 409 says no, unless it says that the same call may be made again; so may all that only failed.
fn judge(answer: Option<(u16, Value)>) -> Said {
    match answer {
        Some((200, body)) => Said::Yes(body),
        Some((status, body)) if body["again"] != true && status < 500 && status != 429 => Said::No,
        Some(_) | None => Said::Again,
    }
}
