//! The mapping in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use runnerless_core::change::Item;
use runnerless_core::route::{BadMapRow, LANES_PK, LaneEntry, MapRow};
use serde_json::Value;

use super::limits::stored;
use super::{failed, locked};
use crate::error::{AwsError, Service};
use crate::ports::Mapping;

/// The mapping's table in memory.
#[derive(Debug, Default)]
pub struct FakeMapping {
    /// By partition key and sort key.
    rows: Mutex<BTreeMap<(String, String), Item>>,
    failing: Mutex<bool>,
    reads: Mutex<u64>,
}

impl FakeMapping {
    /// Writes a row as it is, also one that cannot be read, over one of the same keys.
    ///
    /// # Panics
    /// Without a `pk` and an `sk`, which the table does not take.
    pub fn put(&self, item: Value) {
        let key = |name: &str| item[name].as_str().filter(|key| !key.is_empty()).map(str::to_owned);
        let (Some(pk), Some(sk), Some(row)) = (key("pk"), key("sk"), item.as_object()) else {
            panic!("a row of the mapping has a pk and an sk: {item}")
        };
        locked(&self.rows).insert((pk, sk), stored(row));
    }

    /// From now on every call fails, or no call does.
    pub fn fail(&self, failing: bool) {
        *locked(&self.failing) = failing;
    }

    /// How often a partition was read so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        *locked(&self.reads)
    }

    fn partition(&self, pk: &str) -> Result<Vec<Item>, AwsError> {
        *locked(&self.reads) += 1;
        if *locked(&self.failing) {
            return Err(failed(Service::Mapping, "Query"));
        }
        let rows = locked(&self.rows);
        Ok(rows.iter().filter(|((partition, _), _)| partition == pk).map(|(_, row)| row.clone()).collect())
    }
}

impl Mapping for FakeMapping {
    async fn rows(&self, partition: &str) -> Result<Vec<Result<MapRow, BadMapRow>>, AwsError> {
        Ok(self.partition(partition)?.iter().map(MapRow::from_item).collect())
    }

    async fn lanes(&self) -> Result<Vec<Result<LaneEntry, BadMapRow>>, AwsError> {
        Ok(self.partition(LANES_PK)?.iter().map(LaneEntry::from_item).collect())
    }
}
