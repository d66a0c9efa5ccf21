//! The lanes that a run looks at: those that are due, and those of the mapping that nobody looked after yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runnerless_aws::AwsError;
use runnerless_aws::ports::{DueRow, Ledger, Mapping};
use runnerless_core::change::RowKey;
use runnerless_core::drain::Draining;
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::lane::Engine;
use runnerless_core::lane_row::{LANES, LaneRow};
use runnerless_core::launch::LaunchRow;
use runnerless_core::route::{DefaultRoute, LaneEntry};
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::metrics;
use runnerless_router::{Ports, Rules};
use serde_json::json;

use crate::SERVICE;
use crate::load::read;
use crate::window::choose;

/// Most lanes that a stack may have: beyond that the index is not read, and nothing is done for lanes at its end.
const KNOWN: usize = 10_000;
/// Most lanes that one run does something for: each may cost a call of GitLab's.
const LOOKED_AT: usize = 100;

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadedLanes {
    /// The lanes that can be launched in, by their ids.
    pub mapped: BTreeMap<LaneId, LaneEntry>,
    /// Whether the mapping has entries that cannot be read.
    pub hides_lanes: bool,
    /// The lanes to look at.
    pub looked_at: Vec<LaneId>,
    /// Their rows.
    pub rows: BTreeMap<LaneId, LaneRow>,
    /// Their last sentinels.
    pub sentinels: HashMap<LaunchId, LaunchRow>,
    /// Rows that cannot be read: reported, and left alone.
    pub unreadable: Vec<String>,
}

/// Loads. A stack that drains has no lane any more, whatever the mapping says.
///
/// # Errors
/// Ledger or mapping are out of reach.
pub(crate) async fn load<P: Ports>(
    ports: &P,
    rules: &Rules,
    draining: Option<Draining>,
    now: Timestamp,
) -> Result<LoadedLanes, AwsError> {
    let mut lanes = LoadedLanes::default();
    if draining.is_none() {
        lanes.read_mapped(ports, rules).await?;
    }
    let ledger = ports.ledger();
    let index = ledger.due(LANES, Timestamp(i64::MAX), KNOWN).await?;
    let id = |pk: &str| pk.strip_prefix("lane#").map(LaneId::new);
    let known: BTreeSet<LaneId> = index.iter().filter_map(|row| id(&row.pk)).collect();
    // A stack that drains looks at all of them: they go.
    let is_due = |row: &&DueRow| row.at <= now || draining.is_some();
    let due = index.iter().filter(is_due).filter_map(|row| id(&row.pk));
    let new = lanes.mapped.keys().filter(|lane| !known.contains(lane)).cloned();
    lanes.looked_at = choose(due.chain(new).collect(), LOOKED_AT, now);
    lanes.read_rows(ledger).await?;
    lanes.read_sentinels(ledger).await?;
    Ok(lanes)
}

impl LoadedLanes {
    /// The lanes that can be launched in.
    async fn read_mapped<P: Ports>(&mut self, ports: &P, rules: &Rules) -> Result<(), AwsError> {
        let entries = ports.mapping().lanes().await?;
        for bad in entries.iter().filter_map(|entry| entry.as_ref().err()) {
            tracing::warn!(target: "runnerless", verdict = %bad, map.row = bad.row, "a lane entry cannot be read");
            metrics::count(SERVICE, "UnusableRows", 1, &json!({"map.row": bad.row}));
            self.hides_lanes = true;
        }
        let default = match &rules.default {
            DefaultRoute::Lane(lane) => Some(LaneEntry { lane: lane.clone(), tenancy: None }),
            DefaultRoute::None => None,
        };
        for entry in default.into_iter().chain(entries.into_iter().flatten()) {
            // In a stack that launches no instances nobody needs the tokens of their lanes.
            if entry.lane.engine == Engine::Lambda || rules.ground.is_some() {
                self.mapped.insert(entry.lane.id(), entry);
            }
        }
        Ok(())
    }

    async fn read_rows(&mut self, ledger: &impl Ledger) -> Result<(), AwsError> {
        let keys: Vec<RowKey> = self.looked_at.iter().cloned().map(RowKey::Lane).collect();
        let rows = read(ledger, &keys).await?;
        let mut readable = Vec::new();
        for lane in std::mem::take(&mut self.looked_at) {
            match rows.lane(&lane) {
                Ok(row) => {
                    self.rows.extend(row.map(|row| (lane.clone(), row)));
                    readable.push(lane);
                }
                Err(bad) => self.unreadable.push(bad.pk),
            }
        }
        self.looked_at = readable;
        Ok(())
    }

    /// A lane whose sentinel cannot be read is left alone: unknown is not over.
    async fn read_sentinels(&mut self, ledger: &impl Ledger) -> Result<(), AwsError> {
        let sentinels: Vec<(LaneId, LaunchId)> =
            self.rows.values().filter_map(|row| Some((row.lane.clone(), row.sentinel.clone()?))).collect();
        let keys: Vec<RowKey> = sentinels.iter().map(|(_, launch)| RowKey::Launch(launch.clone())).collect();
        let rows = read(ledger, &keys).await?;
        for (lane, id) in sentinels {
            match rows.launch(&id) {
                Ok(row) => self.sentinels.extend(row.map(|row| (id, row))),
                Err(bad) => {
                    self.unreadable.push(bad.pk);
                    self.looked_at.retain(|other| *other != lane);
                }
            }
        }
        Ok(())
    }
}
