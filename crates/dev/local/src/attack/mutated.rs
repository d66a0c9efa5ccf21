//! Mutated hooks through ingest's handler in this process, over the in-memory ports: no panic, no 5xx, nothing changed
//! without proof, and with it at most the row of the job that the body names.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnerless_aws::ParameterCache;
use runnerless_aws::clock::SystemClock;
use runnerless_aws::fake::{FakeBus, FakeLedger, FakeParameters};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::proof::TokenAlone;
use runnerless_gitlab::webhook::Instance;
use runnerless_ingest::{Noted, Outcome, Ports, Request, Response, Rules, handle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AttackError;
use super::mutate::mutate;
use super::request::{near, signature, signing_token};
use crate::dice::Dice;

/// When the hooks in `events/ingest` were sent, and the GitLab that sent them.
const NOW: Timestamp = Timestamp(1_789_453_600_000);
const INSTANCE: &str = "https://gitlab.acme.example";
const KEY: [u8; 32] = [7; 32];
const WRONG_KEY: [u8; 32] = [8; 32];
const TOKEN: &str = "token-of-the-mutations";
/// The most failures that are told.
const TOLD: usize = 5;

/// What came of it all.
#[derive(Debug, Default)]
pub(super) struct Summary {
    bodies: u32,
    proved: u32,
    recorded: u32,
    pub(super) unproved_changes: u32,
    panics: u32,
    errors: u32,
    /// Sentences, the first few.
    pub(super) failures: Vec<String>,
}

impl Summary {
    pub(super) fn view(&self, seed: u64) -> Value {
        json!({
            "seed": seed, "bodies": self.bodies, "proved": self.proved, "refused": self.bodies - self.proved,
            "recorded": self.recorded, "panics": self.panics, "status_5xx": self.errors,
            "state_changed_without_proof": self.unproved_changes, "why": self.failures,
        })
    }
}

/// The bodies of the events of a folder.
pub(super) fn hooks(folder: &Path) -> Result<Vec<Vec<u8>>, AttackError> {
    let at = |path: &Path, source| AttackError::Events { path: path.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| at(folder, source))? {
        paths.push(entry.map_err(|source| at(folder, source))?.path());
    }
    // A seed means the same on every file system.
    paths.sort();
    let bodies: Result<Vec<_>, _> = paths.iter().map(|path| body(path).map_err(|source| at(path, source))).collect();
    bodies.and_then(|bodies| {
        let none = || at(folder, io::Error::from(io::ErrorKind::NotFound));
        if bodies.is_empty() { Err(none()) } else { Ok(bodies) }
    })
}

fn body(path: &Path) -> io::Result<Vec<u8>> {
    let event: Value = serde_json::from_slice(&fs::read(path)?)?;
    let text = event["body"].as_str().unwrap_or_default();
    if event["isBase64Encoded"] == true { STANDARD.decode(text).map_err(io::Error::other) } else { Ok(text.into()) }
}

/// Sends `count` mutations of the hooks through the handler, in a thread of their own.
pub(super) fn run(hooks: &[Vec<u8>], seed: u64, count: u32) -> Summary {
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        // A panic of the handler is caught for each hook; what is left is this function's own.
        let _ = scope.spawn(|| all(hooks, seed, count, &mut summary)).join();
    });
    if summary.bodies < count {
        summary.failures.push(format!("only {} of {count} bodies were sent", summary.bodies));
    }
    summary
}

fn all(hooks: &[Vec<u8>], seed: u64, count: u32, summary: &mut Summary) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let Ok(instance) = Instance::parse(INSTANCE) else { return };
    let limit = Millis::secs(60);
    let rules = Rules { instance, token_alone: TokenAlone::Refused, announce_limit: limit, store_limit: limit };
    for index in 0..count {
        let shot = Shot::new(seed, index, hooks);
        let door = Door::new(shot.signs);
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(door.take(&shot, &rules))));
        summary.bodies += 1;
        summary.proved += u32::from(shot.proved);
        let why = match outcome {
            Err(_) => {
                summary.panics += 1;
                Some("the handler panicked".to_owned())
            }
            Ok(Err(error)) => {
                summary.errors += 1;
                Some(format!("the handler failed: {error}"))
            }
            Ok(Ok(outcome)) => door.judge(&shot, &outcome, summary),
        };
        if let Some(why) = why.filter(|_| summary.failures.len() < TOLD) {
            summary.failures.push(format!("body {index} of seed {seed} ({}): {why}", STANDARD.encode(&shot.body)));
        }
    }
}

/// One mutated hook with a right or a broken proof.
struct Shot {
    body: Vec<u8>,
    headers: Value,
    proved: bool,
    /// Whether the stack has a signing key.
    signs: bool,
}

impl Shot {
    fn new(seed: u64, index: u32, hooks: &[Vec<u8>]) -> Self {
        let mut dice = Dice::new(seed, index);
        let original = dice.pick(hooks);
        let other = dice.pick(hooks);
        let body = mutate(&mut dice, original, other);
        let at = NOW.epoch_secs();
        let signed = |key: &[u8; 32], at: i64, body: &[u8]| {
            let at = at.to_string();
            json!({"webhook-id": "m", "webhook-timestamp": at, "webhook-signature": signature(key, "m", &at, body)})
        };
        let with = |mut headers: Value, name: &str, value: &str| {
            headers[name] = value.into();
            headers
        };
        let right = signed(&KEY, at, &body);
        let (mut headers, proved, signs) = match dice.below(15) {
            0..4 => (right, true, true),
            4 => (json!({"x-gitlab-token": TOKEN}), true, false),
            5 if *original != body => (signed(&KEY, at, original), false, true),
            5 | 6 => (signed(&WRONG_KEY, at, &body), false, true),
            7 => (signed(&KEY, at - 301, &body), false, true),
            8 => (signed(&KEY, at + 301, &body), false, true),
            9 => (with(with(right, "webhook-signature", ""), "x-gitlab-token", TOKEN), false, true),
            10 => {
                let twice = format!("{0},{0}", right["webhook-signature"].as_str().unwrap_or_default());
                (with(right, "webhook-signature", &twice), false, true)
            }
            11 => (json!({"x-gitlab-token": TOKEN}), false, true),
            12 => (json!({"x-gitlab-token": &TOKEN[1..]}), false, false),
            13 => {
                let text = right["webhook-signature"].as_str().unwrap_or_default();
                let near = near(text, dice.below(32), 1 << dice.below(8));
                (with(right, "webhook-signature", &near), false, true)
            }
            _ => (with(right, "webhook-id", "n"), false, true),
        };
        headers["x-gitlab-event"] = "Job Hook".into();
        headers["x-gitlab-instance"] = INSTANCE.into();
        Self { body, headers, proved, signs }
    }

    fn request(&self) -> Option<Request> {
        serde_json::from_value(json!({
            "rawPath": "/webhook", "requestContext": {"http": {"method": "POST"}}, "headers": self.headers,
            "body": STANDARD.encode(&self.body), "isBase64Encoded": true,
        }))
        .ok()
    }

    /// The only row that this body may change, read by other means than the handler's.
    fn own_row(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Ids {
            project_id: Value,
            build_id: Value,
        }
        let ids: Ids = serde_json::from_slice(&self.body).ok()?;
        let [project, job] = [ids.project_id, ids.build_id].map(|id| match id.as_u64() {
            Some(id) => id.to_string(),
            None => format!("{:.0}", id.as_f64().unwrap_or_default()),
        });
        Some(format!("job#{project}#{job}"))
    }
}

/// A front door whose ledger knows a job of the hooks already.
struct Door {
    ledger: FakeLedger,
    bus: FakeBus,
    store: FakeParameters,
    secrets: ParameterCache,
    noted: Noted,
}

impl Door {
    fn new(signs: bool) -> Self {
        let store = FakeParameters::default();
        store.put("/m/ingress/SecretToken", TOKEN);
        if signs {
            store.put("/m/ingress/SigningToken", &signing_token(&KEY));
        }
        Self {
            ledger: FakeLedger::default(),
            bus: FakeBus::default(),
            store,
            secrets: ParameterCache::new("/m/ingress"),
            noted: Noted::default(),
        }
    }

    async fn take(&self, shot: &Shot, rules: &Rules) -> Result<Outcome, String> {
        let request = shot.request().ok_or("the event cannot be read")?;
        let ports = Ports {
            ledger: &self.ledger,
            bus: &self.bus,
            store: &self.store,
            secrets: &self.secrets,
            noted: &self.noted,
            clock: &SystemClock,
        };
        handle(&request, &ports, rules, NOW).await.map_err(|error| error.to_string())
    }

    /// What did not hold.
    fn judge(&self, shot: &Shot, outcome: &Outcome, summary: &mut Summary) -> Option<String> {
        let status = Response::to(outcome).status_code;
        let rows: Vec<String> = self.ledger.items().into_keys().collect();
        let told: Vec<String> = self.bus.announced().iter().map(|told| told.job.pk()).collect();
        summary.recorded += u32::from(!rows.is_empty());
        if status >= 500 {
            summary.errors += 1;
            return Some(format!("the status is {status}"));
        }
        if shot.proved {
            let own = shot.own_row();
            let project = own.as_deref().and_then(project_row);
            let is_own = |row: &String| Some(row) == own.as_ref() || Some(row) == project.as_ref();
            let strange = rows.iter().chain(&told).find(|row| !is_own(row));
            return match strange {
                Some(row) => Some(format!("{row} changed, and the body names {}", own.unwrap_or_default())),
                None => (status != 200).then(|| format!("an authentic hook is answered {status}")),
            };
        }
        if !rows.is_empty() || !told.is_empty() {
            summary.unproved_changes += 1;
            return Some(format!("{rows:?} changed without proof"));
        }
        (!(400..500).contains(&status)).then(|| format!("an unproved hook is answered {status}"))
    }
}

/// The row of the project that a job's row belongs to.
fn project_row(job: &str) -> Option<String> {
    let (project, _) = job.strip_prefix("job#")?.split_once('#')?;
    Some(format!("project#{project}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutated_hooks_change_nothing_without_proof_and_break_nothing_with_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../events/ingest");
        let hooks = hooks(&folder).unwrap();
        let summary = run(&hooks, 20_260_915, 1500);
        assert_eq!(summary.failures, Vec::<String>::new());
        // Else nothing was shown.
        assert_eq!(summary.bodies, 1500);
        assert!((300..900).contains(&summary.proved), "{summary:?}");
        assert!(summary.recorded > 50, "{summary:?}");
    }
}
