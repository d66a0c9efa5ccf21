//! The ledger in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runnerless_core::change::{Change, Expect, Item, Plan, RowKey, SCHEMA, Write};
use runnerless_core::drain::DRAIN_PK;
use runnerless_core::id::LaneId;
use runnerless_core::live::{LIVE_PK, Live, counts};
use runnerless_core::route::Learned;
use runnerless_core::time::Timestamp;
use serde_json::Value;

use super::limits::{refuse_keys, refuse_plan, stored};
use crate::error::{AwsError, Service};
use crate::ports::{Applied, DueRow, Ledger, Rows};

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<String, Item>,
    /// Who wrote each row that a plan wrote.
    writers: BTreeMap<String, u32>,
    /// The due index: by partition, when and which row.
    due: BTreeMap<String, BTreeSet<DueRow>>,
    /// How many of the next writes meet a conflict that somebody else's write made.
    conflicts: u32,
    /// How many of the next writes take effect and lose their answer.
    lost_answers: u32,
    failing: bool,
    /// Whether every call fails once a plan was applied.
    fails_after_write: bool,
    calls: u64,
}

/// A table in memory, as one process writes to it.
#[derive(Clone, Debug, Default)]
pub struct FakeLedger {
    state: Arc<Mutex<State>>,
    writer: u32,
}

impl FakeLedger {
    /// The same table, as this process writes to it.
    #[must_use]
    pub fn as_writer(&self, writer: u32) -> Self {
        Self { state: Arc::clone(&self.state), writer }
    }

    /// Every item, by primary key.
    #[must_use]
    pub fn items(&self) -> BTreeMap<String, Item> {
        self.state().items.clone()
    }

    /// The item of this primary key.
    #[must_use]
    pub fn item(&self, pk: &str) -> Option<Item> {
        self.state().items.get(pk).cloned()
    }

    /// The counts of live launches, of one lane and of the stack, and whether the stack drains.
    #[must_use]
    pub fn live(&self, lane: &LaneId) -> Live {
        let row = |pk: &str| self.item(pk).map(|item| (pk.to_owned(), item));
        Rows([LIVE_PK, DRAIN_PK].into_iter().filter_map(row).collect()).live(lane)
    }

    /// Writes an item as somebody else would.
    pub fn put(&self, item: Item) {
        let pk = item.get("pk").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut state = self.state();
        state.writers.remove(&pk);
        state.store(pk, &item);
    }

    /// The next `times` plans are refused although their revisions are right.
    pub fn conflict(&self, times: u32) {
        self.state().conflicts = times;
    }

    /// The next `times` plans are applied, and the caller gets an error.
    pub fn lose_answers(&self, times: u32) {
        self.state().lost_answers = times;
    }

    /// From now on every call fails, or no call does.
    pub fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// The next plan is still applied, and from then on every call fails.
    pub fn fail_after_write(&self) {
        self.state().fails_after_write = true;
    }

    /// How many calls it took so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reachable(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, AwsError> {
        let mut state = self.state();
        state.calls += 1;
        if state.failing { Err(unavailable(operation)) } else { Ok(state) }
    }
}

fn unavailable(operation: &'static str) -> AwsError {
    AwsError::Unavailable { service: Service::Ledger, operation, source: "the test said so".into() }
}

/// A row's place in the due index; `None` for a row that is not in it.
fn place(pk: &str, item: &Item) -> Option<(String, DueRow)> {
    let at = Timestamp(item.get("next_check_at")?.as_i64()?);
    Some((item.get("open")?.as_str()?.to_owned(), DueRow { at, pk: pk.to_owned() }))
}

impl State {
    /// Every write of an item: table and index change together.
    fn store(&mut self, pk: String, item: &Item) {
        let item = stored(item);
        let old = self.items.get(&pk).and_then(|item| place(&pk, item));
        if let Some((partition, row)) = old
            && let Some(rows) = self.due.get_mut(&partition)
        {
            rows.remove(&row);
        }
        if let Some((partition, row)) = place(&pk, &item) {
            self.due.entry(partition).or_default().insert(row);
        }
        self.items.insert(pk, item);
    }

    /// Revision 0 is that of a row that was written without one.
    fn holds(&self, change: &Change) -> bool {
        let item = self.items.get(&change.pk);
        match change.expect {
            Expect::Absent => item.is_none(),
            Expect::Rev(0) => item.is_some_and(|item| !item.contains_key("rev")),
            Expect::Rev(expected) => item.is_some_and(|item| item.get("rev").and_then(Value::as_u64) == Some(expected)),
        }
    }

    /// Whether the plan's first row stands as this writer was to write it: an answer was lost.
    fn stands(&self, plan: &Plan, writer: u32) -> bool {
        let written = plan.changes.iter().find_map(|change| match &change.write {
            Write::Put(item) => Some((&change.pk, item)),
            Write::Check => None,
        });
        written.is_some_and(|(pk, item)| {
            self.writers.get(pk) == Some(&writer) && self.items.get(pk) == Some(&stored(item))
        })
    }

    fn add(&mut self, name: &str, delta: i64) {
        let item = self.items.entry(LIVE_PK.to_owned()).or_default();
        item.insert("pk".to_owned(), LIVE_PK.into());
        let count = item.get(name).and_then(Value::as_i64).unwrap_or(0) + delta;
        item.insert(name.to_owned(), count.into());
    }
}

impl Ledger for FakeLedger {
    async fn load(&self, keys: &[RowKey]) -> Result<Rows, AwsError> {
        let state = self.reachable("BatchGetItem")?;
        refuse_keys(keys.iter().map(RowKey::pk))?;
        let row = |key: &RowKey| state.items.get(&key.pk()).map(|item| (key.pk(), item.clone()));
        Ok(Rows(keys.iter().filter_map(row).collect()))
    }

    async fn apply(&self, plan: &Plan) -> Result<Applied, AwsError> {
        if plan.changes.is_empty() {
            return Ok(Applied::All);
        }
        let mut state = self.reachable("TransactWriteItems")?;
        refuse_plan(plan)?;
        if state.conflicts > 0 {
            state.conflicts -= 1;
            return Ok(Applied::Conflict);
        }
        if plan.changes.iter().all(|change| state.holds(change)) {
            for change in &plan.changes {
                if let Write::Put(item) = &change.write {
                    state.store(change.pk.clone(), item);
                    state.writers.insert(change.pk.clone(), self.writer);
                }
            }
        } else if !state.stands(plan, self.writer) {
            return Ok(Applied::Conflict);
        }
        if std::mem::take(&mut state.fails_after_write) {
            state.failing = true;
        }
        if state.lost_answers > 0 {
            state.lost_answers -= 1;
            // Whoever gets no answer does not come to count.
            return Err(unavailable("TransactWriteItems"));
        }
        for (name, delta) in counts(plan) {
            state.add(&name, delta);
        }
        Ok(Applied::All)
    }

    async fn recount(&self, counts: &[(String, u64)]) -> Result<(), AwsError> {
        let mut item: Item = counts.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
        item.insert("pk".to_owned(), LIVE_PK.into());
        item.insert("schema".to_owned(), SCHEMA.into());
        self.reachable("PutItem")?.store(LIVE_PK.to_owned(), &item);
        Ok(())
    }

    async fn learn(&self, learned: &Learned) -> Result<(), AwsError> {
        let item = learned.to_item();
        self.reachable("PutItem")?.store(learned.pk.clone(), &item);
        Ok(())
    }

    async fn due(&self, partition: &str, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, AwsError> {
        let state = self.reachable("Query")?;
        let rows = state.due.get(partition).into_iter().flatten();
        Ok(rows.take_while(|row| row.at <= until).take(limit).cloned().collect())
    }
}
