//! Projects become known by their hooks, at the price of a write every few minutes and of no hook.

use runnerless_aws::AwsError;
use runnerless_aws::fake::{FakeClock, FakeLedger};
use runnerless_aws::ports::{Applied, DueRow, Ledger, Rows};
use runnerless_core::change::{Plan, RowKey, decode};
use runnerless_core::limits;
use runnerless_core::project::{PARTITION, ProjectRow, project_pk};
use runnerless_core::route::Learned;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_ingest::{Noted, Response, handle};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{Door, KEY, NOW, TOKEN, event, with_field};

fn project(door: &Door) -> Option<ProjectRow> {
    door.item(&project_pk(KEY.project)).map(|item| decode(&item).unwrap())
}

#[tokio::test]
async fn the_first_hook_of_a_project_makes_it_known_and_the_next_ones_write_nothing() {
    let door = Door::with_token();
    door.take(&event("job-pending")).await.unwrap();
    let row = project(&door).expect("it is known");
    assert_eq!((row.path.as_str(), row.hook_seen, row.rev), ("acme/widgets", Some(NOW), 1));
    assert_eq!(row.due.open.as_deref(), Some(PARTITION));
    let soon = NOW + limits::NOTE_EVERY - Millis(1);
    door.take_at(&event("job-running"), soon).await.unwrap();
    assert_eq!(project(&door).unwrap().rev, 1);
    door.take_at(&event("job-success"), NOW + limits::NOTE_EVERY).await.unwrap();
    assert_eq!((project(&door).unwrap().rev, project(&door).unwrap().hook_seen), (2, Some(NOW + limits::NOTE_EVERY)));
}

#[tokio::test]
async fn a_process_that_did_not_note_the_project_writes_nothing_either() {
    let mut door = Door::with_token();
    door.take(&event("job-pending")).await.unwrap();
    door.noted = Noted::default();
    door.take_at(&event("job-running"), NOW + Millis::secs(60)).await.unwrap();
    assert_eq!(project(&door).unwrap().rev, 1);
}

#[tokio::test]
async fn hooks_that_are_only_answered_make_no_project_known() {
    let door = Door::with_token();
    for case in ["pipeline", "job-created", "job-pending-resent-a-month-later"] {
        door.take(&event(case)).await.unwrap();
    }
    assert!(door.is_untouched());
}

#[tokio::test]
async fn who_proves_another_path_renames_no_project() {
    let door = Door::with_token();
    door.take(&event("job-pending")).await.unwrap();
    let known = project(&door).unwrap();
    let bound = Door { ledger: door.ledger, ..Door::without_secrets() };
    bound.store.put("/stack/ingress/hooks/mallory/SecretToken", TOKEN);
    bound.store.put("/stack/ingress/hooks/mallory/Prefixes", "mallory");
    let mut twin = with_field(event("job-pending"), "build_id", json!(77));
    twin["body"] = twin["body"].as_str().unwrap().replace("acme/widgets", "mallory/twin").into();
    let outcome = bound.take_at(&twin, NOW + Millis::days(1)).await.unwrap();
    assert_eq!(Response::to(&outcome).status_code, 200, "a job of which nothing is known contradicts nobody");
    assert_eq!(project(&bound).unwrap(), known);
}

/// A ledger that knows no projects, and counts what it is asked for them.
struct NoProjects<'a>(&'a FakeLedger, AtomicU32);

impl Ledger for NoProjects<'_> {
    async fn load(&self, keys: &[RowKey]) -> Result<Rows, AwsError> {
        if keys.iter().any(|key| matches!(key, RowKey::Project(_))) {
            self.1.fetch_add(1, Ordering::Relaxed);
            return Err(AwsError::Contended("project".into()));
        }
        self.0.load(keys).await
    }
    async fn apply(&self, plan: &Plan) -> Result<Applied, AwsError> {
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

#[tokio::test]
async fn a_project_that_cannot_be_noted_costs_no_hook_its_answer() {
    let door = Door::with_token();
    let ledger = NoProjects(&door.ledger, AtomicU32::new(0));
    let clock = FakeClock::leaping(NOW);
    let ports = door.ports(&ledger, &door.bus, &door.store, &clock);
    let request = serde_json::from_value(event("job-pending")).unwrap();
    let outcome = handle(&request, &ports, &door.rules, NOW).await.unwrap();
    assert_eq!(Response::to(&outcome).status_code, 200);
    assert!(door.job().is_some() && project(&door).is_none());
    assert_eq!((door.bus.announced().len(), ledger.1.load(Ordering::Relaxed)), (1, 1), "and it is tried once");
}
