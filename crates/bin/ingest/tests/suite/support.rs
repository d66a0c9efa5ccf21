//! Hooks of one GitLab, and a front door over the stand-ins.

use std::collections::HashMap;
use std::future::pending;

use runnerless_aws::fake::{FakeBus, FakeClock, FakeLedger, FakeParameters};
use runnerless_aws::ports::{Applied, DueRow, Ledger, Parameters, Rows};
use runnerless_aws::{AwsError, ParameterCache};
use runnerless_core::change::{Item, Plan, RowKey, decode};
use runnerless_core::id::JobKey;
use runnerless_core::job::JobRow;
use runnerless_core::route::Learned;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::proof::{SigningKey, TokenAlone};
use runnerless_gitlab::webhook::Instance;
use runnerless_ingest::{Noted, Outcome, Ports, Request, Response, Rules, handle, report};
use serde_json::Value;
use zeroize::Zeroizing;

/// When the hooks in `events/ingest` were sent.
pub(crate) const NOW: Timestamp = Timestamp(1_789_453_600_000);
pub(crate) const KEY: JobKey = JobKey { project: 7301, job: 5_000_000_101 };
pub(crate) const TOKEN: &str = "token-of-the-examples";
pub(crate) const SIGNING_TOKEN: &str = "whsec_QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";

/// An event of `events/ingest`.
pub(crate) fn event(case: &str) -> Value {
    let path = format!("{}/../../../events/ingest/{case}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn with_header(mut event: Value, name: &str, value: &str) -> Value {
    event["headers"][name] = value.into();
    event
}

pub(crate) fn without_header(mut event: Value, name: &str) -> Value {
    event["headers"].as_object_mut().unwrap().remove(name);
    event
}

/// The event with its body changed in one field.
pub(crate) fn with_field(mut event: Value, field: &str, value: Value) -> Value {
    let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    body[field] = value;
    event["body"] = body.to_string().into();
    event
}

/// The event signed instead of carrying the token, as the hook with this id.
pub(crate) fn signed(event: Value, id: &str) -> Value {
    let timestamp = NOW.epoch_secs().to_string();
    let body = event["body"].as_str().unwrap();
    let signature = SigningKey::parse(SIGNING_TOKEN).unwrap().sign(id, &timestamp, body.as_bytes());
    let event = with_header(event, "webhook-signature", &signature);
    let event = with_header(event, "webhook-timestamp", &timestamp);
    without_header(with_header(event, "webhook-id", id), "x-gitlab-token")
}

/// A ledger whose calls take turns with everything else, as calls over a network do.
pub(crate) struct Busy<'a>(pub &'a FakeLedger);

impl Ledger for Busy<'_> {
    async fn load(&self, keys: &[RowKey]) -> Result<Rows, AwsError> {
        tokio::task::yield_now().await;
        let rows = self.0.load(keys).await;
        tokio::task::yield_now().await;
        rows
    }

    async fn apply(&self, plan: &Plan) -> Result<Applied, AwsError> {
        tokio::task::yield_now().await;
        self.0.apply(plan).await
    }

    async fn recount(&self, counts: &[(String, u64)]) -> Result<(), AwsError> {
        self.0.recount(counts).await
    }

    async fn learn(&self, learned: &Learned) -> Result<(), AwsError> {
        self.0.learn(learned).await
    }

    async fn due(&self, partition: &str, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, AwsError> {
        self.0.due(partition, until, limit).await
    }
}

/// A ledger, and secrets, that never answer.
pub(crate) struct Silent;

impl Ledger for Silent {
    async fn load(&self, _: &[RowKey]) -> Result<Rows, AwsError> {
        pending().await
    }

    async fn apply(&self, _: &Plan) -> Result<Applied, AwsError> {
        pending().await
    }

    async fn recount(&self, _: &[(String, u64)]) -> Result<(), AwsError> {
        pending().await
    }

    async fn learn(&self, _: &Learned) -> Result<(), AwsError> {
        pending().await
    }

    async fn due(&self, _: &str, _: Timestamp, _: usize) -> Result<Vec<DueRow>, AwsError> {
        pending().await
    }
}

impl Parameters for Silent {
    async fn below(&self, _: &str) -> Result<HashMap<String, Zeroizing<String>>, AwsError> {
        pending().await
    }
}

/// The front door of a stack.
pub(crate) struct Door {
    pub(crate) ledger: FakeLedger,
    pub(crate) bus: FakeBus,
    pub(crate) store: FakeParameters,
    pub(crate) secrets: ParameterCache,
    pub(crate) noted: Noted,
    pub(crate) rules: Rules,
}

impl Door {
    /// With a secret token alone.
    pub(crate) fn with_token() -> Self {
        let door = Self::without_secrets();
        door.store.put("/stack/ingress/SecretToken", TOKEN);
        door
    }

    /// With a secret token and a signing key.
    pub(crate) fn with_key() -> Self {
        let door = Self::with_token();
        door.store.put("/stack/ingress/SigningToken", SIGNING_TOKEN);
        door
    }

    pub(crate) fn without_secrets() -> Self {
        Self {
            ledger: FakeLedger::default(),
            bus: FakeBus::default(),
            store: FakeParameters::default(),
            secrets: ParameterCache::new("/stack/ingress"),
            noted: Noted::default(),
            rules: Rules {
                instance: Instance::parse("https://gitlab.acme.example").unwrap(),
                token_alone: TokenAlone::Refused,
                store_limit: Millis::secs(60),
                announce_limit: Millis::secs(60),
            },
        }
    }

    pub(crate) async fn take(&self, event: &Value) -> Result<Outcome, AwsError> {
        self.take_at(event, NOW).await
    }

    pub(crate) async fn take_at(&self, event: &Value, now: Timestamp) -> Result<Outcome, AwsError> {
        let request: Request = serde_json::from_value(event.clone()).unwrap();
        let ledger = Busy(&self.ledger);
        let clock = FakeClock::at(now);
        let ports = self.ports(&ledger, &self.bus, &self.store, &clock);
        let outcome = handle(&request, &ports, &self.rules, now).await?;
        report(&outcome, &request);
        Ok(outcome)
    }

    /// The door's own memory over these ports.
    pub(crate) fn ports<'a, L, B, P, C>(
        &'a self,
        ledger: &'a L,
        bus: &'a B,
        store: &'a P,
        clock: &'a C,
    ) -> Ports<'a, L, B, P, C> {
        Ports { ledger, bus, store, secrets: &self.secrets, noted: &self.noted, clock }
    }

    /// The answer's status and body.
    pub(crate) async fn answer(&self, event: &Value) -> (u16, Value) {
        let response = Response::to(&self.take(event).await.unwrap());
        (response.status_code, serde_json::from_str(&response.body).unwrap())
    }

    pub(crate) fn job(&self) -> Option<JobRow> {
        self.item(&KEY.pk()).map(|item| decode(&item).unwrap())
    }

    pub(crate) fn item(&self, pk: &str) -> Option<Item> {
        self.ledger.items().get(pk).cloned()
    }

    /// Nothing was stored, nobody was told.
    pub(crate) fn is_untouched(&self) -> bool {
        self.ledger.items().is_empty() && self.bus.announced().is_empty()
    }
}
