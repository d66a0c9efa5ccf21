//! The ledger: the stand-in that the contract suite holds to DynamoDB, and what goes wrong on the way to it.

use runnerless_aws::ports::{Applied, DueRow, Ledger, Rows};
use runnerless_aws::{AwsError, Service};
use runnerless_core::change::{Item, Plan, RowKey, Write};
use runnerless_core::route::Learned;
use runnerless_core::time::{Millis, Timestamp};
use serde_json::Value;

use super::{Call, Hands, at_once};
use crate::fault::Fault;
use crate::world::State;

/// How far the index is behind its table at most (ms).
const BEHIND: std::ops::Range<i64> = 500..90_000;

fn reads(operation: &'static str) -> Call {
    Call { answer_lost: None, ..writes(operation) }
}

fn writes(operation: &'static str) -> Call {
    Call {
        service: Service::Ledger,
        operation,
        throttled: Some(Fault::LedgerThrottled),
        failed: Some(Fault::LedgerFailed),
        answer_lost: Some(Fault::LedgerAnswerLost),
        slow: Some(Fault::LedgerSlow),
    }
}

impl Hands<'_> {
    fn apply_now(&self, plan: &Plan) -> Result<Applied, AwsError> {
        if self.strikes(Fault::LedgerConflict) {
            return Ok(Applied::Conflict);
        }
        let late = self.strikes(Fault::IndexLate).then(|| self.draw(|rng| Millis(rng.i64(BEHIND))));
        let puts = || {
            plan.changes.iter().filter_map(|change| match &change.write {
                Write::Put(item) => Some((change.pk.as_str(), item)),
                Write::Check => None,
            })
        };
        let stale: Vec<(String, Option<(String, Timestamp)>)> = match late {
            None => Vec::new(),
            Some(_) => puts()
                .map(|(pk, _)| (pk.to_owned(), self.world.ledger.item(pk).and_then(|item| place(&item))))
                .collect(),
        };
        let applied = at_once(self.world.ledger.as_writer(self.process.number).apply(plan))?;
        if applied == Applied::Conflict {
            return Ok(applied);
        }
        let now = self.world.now();
        let mut state = self.world.state();
        for (pk, old) in stale {
            state.stale.insert(pk, (now + late.unwrap_or_default(), old));
        }
        let State { check, trace, gitlab, cloud, .. } = &mut *state;
        for (pk, item) in puts() {
            let word = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or("-");
            trace.add(now, format_args!("{self} writes {pk} {} {}", word("state"), word("gitlab_status")));
            check.written((pk, item), plan, self.process.number, (gitlab, cloud), now);
        }
        Ok(applied)
    }
}

/// The place of an item in the due index.
fn place(item: &Item) -> Option<(String, Timestamp)> {
    Some((item.get("open")?.as_str()?.to_owned(), Timestamp(item.get("next_check_at")?.as_i64()?)))
}

impl Ledger for Hands<'_> {
    async fn load(&self, keys: &[RowKey]) -> Result<Rows, AwsError> {
        self.call(reads("BatchGetItem"), || at_once(self.world.ledger.load(keys))).await
    }

    async fn apply(&self, plan: &Plan) -> Result<Applied, AwsError> {
        if plan.changes.is_empty() {
            return Ok(Applied::All);
        }
        let applied = self.call(writes("TransactWriteItems"), || self.apply_now(plan)).await;
        if applied.is_err() {
            self.world.state().check.unanswered(plan);
        }
        applied
    }

    async fn recount(&self, counts: &[(String, u64)]) -> Result<(), AwsError> {
        self.call(writes("PutItem"), || at_once(self.world.ledger.recount(counts))).await
    }

    async fn learn(&self, learned: &Learned) -> Result<(), AwsError> {
        self.call(writes("PutItem"), || at_once(self.world.ledger.learn(learned))).await
    }

    async fn due(&self, partition: &str, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, AwsError> {
        let effect = || {
            let now = self.world.now();
            let mut state = self.world.state();
            state.stale.retain(|_, (until, _)| *until > now);
            let mut rows = at_once(self.world.ledger.due(partition, until, limit))?;
            if !state.stale.is_empty() {
                rows.retain(|row| !state.stale.contains_key(&row.pk));
                for (pk, (_, old)) in &state.stale {
                    if let Some((shard, at)) = old
                        && shard == partition
                        && *at <= until
                    {
                        rows.push(DueRow { at: *at, pk: pk.clone() });
                    }
                }
                rows.sort();
                rows.truncate(limit);
            }
            Ok(rows)
        };
        self.call(reads("Query"), effect).await
    }
}
