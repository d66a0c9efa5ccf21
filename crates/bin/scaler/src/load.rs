//! What a run decides on.

use std::collections::BTreeMap;

use futures_util::future::join3;
use runnerless_aws::ports::Ledger;
use runnerless_aws_ec2::Pool;
use runnerless_core::change::RowKey;
use runnerless_core::pool::{Group, Pending, PoolRow, Scrape};
use runnerless_gitlab::metrics::Tables;
use runnerless_gitlab::rest::JobsApi;
use runnerless_lambda_kit::Clock;

use crate::error::Error;
use crate::run::Scaler;
use crate::{pending, scrape};

/// What a run decides on.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) group: Group,
    pub(crate) scrapes: BTreeMap<String, Scrape>,
    pub(crate) pending: Pending,
    pub(crate) row: Option<PoolRow>,
}

/// Loads it: metrics, waiting jobs and memory side by side.
///
/// # Errors
/// AWS did not tell. Metrics and waiting jobs that cannot be had are part of what is loaded.
pub(crate) async fn load<L: Ledger, P: Pool, M: Tables, J: JobsApi, C: Clock>(
    scaler: &Scaler<'_, L, P, M, J, C>,
) -> Result<Loaded, Error> {
    let Scaler { pool, clock, settings, .. } = scaler;
    let mut group = pool.group(scaler.group).await?.ok_or_else(|| Error::NoGroup(scaler.group.to_owned()))?;
    let scraped = async {
        let machines = pool.machines(scaler.group).await?;
        let scrapes = scrape::all(scaler.tables, &group, &machines, *clock).await;
        Ok::<_, Error>((machines, scrapes))
    };
    let key = [RowKey::Pool(scaler.group.to_owned())];
    let enough = settings.maximum.saturating_mul(settings.slots_per_member);
    let pending = pending::count(scaler.waiting, scaler.jobs, enough, *clock);
    let (scraped, rows, pending) = join3(scraped, scaler.ledger.load(&key), pending).await;
    let (machines, scrapes) = scraped?;
    for member in &mut group.members {
        member.launched_at = machines.get(&member.id).map(|machine| machine.launched_at);
    }
    Ok(Loaded { row: rows?.pool(scaler.group).map_err(runnerless_aws::AwsError::from)?, group, scrapes, pending })
}
