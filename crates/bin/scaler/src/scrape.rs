//! The members' metrics, asked for side by side within one time limit.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;

use futures_util::{StreamExt as _, stream};
use runnerless_aws_ec2::Machine;
use runnerless_core::chain::chain;
use runnerless_core::pool::{Group, Scrape, exposition};
use runnerless_core::time::Millis;
use runnerless_gitlab::metrics::Tables;
use runnerless_lambda_kit::{Clock, within};

/// Members that are asked at once: each is a connection, of which a function has a thousand, and a body in memory.
const AT_ONCE: usize = 100;
/// What all of them together are worth of a run. A thousand that do not answer at all take as long.
const LIMIT: Millis = Millis::secs(20);

/// Asks every member that may be running. A member that is not among the answers, or failed, counts as busy.
pub(crate) async fn all(
    tables: &impl Tables,
    group: &Group,
    machines: &BTreeMap<String, Machine>,
    clock: &impl Clock,
) -> BTreeMap<String, Scrape> {
    let asked = group.members.iter().filter(|member| member.phase.counts()).map(|member| member.id.clone());
    let asked: Vec<String> = asked.collect();
    let late = || failed("it was not asked in time");
    let mut scrapes: BTreeMap<String, Scrape> = asked.iter().map(|id| (id.clone(), late())).collect();
    let answers = stream::iter(asked).map(|id| async move {
        let address = machines.get(&id).and_then(|machine| machine.address);
        let scrape = match address {
            Some(address) => one(tables, address, clock).await,
            None => failed("EC2 shows no address of it"),
        };
        (id, scrape)
    });
    let mut answers = pin!(answers.buffer_unordered(AT_ONCE));
    let until = clock.now() + LIMIT;
    while let Some(Some((id, scrape))) = within(clock, until - clock.now(), answers.next()).await {
        scrapes.insert(id, scrape);
    }
    scrapes
}

async fn one(tables: &impl Tables, address: IpAddr, clock: &impl Clock) -> Scrape {
    let table = match tables.ask(address).await {
        Ok(table) => table,
        Err(error) => return Scrape::Failed(chain(&error)),
    };
    match exposition::read(&table.text, table.made_at.unwrap_or_else(|| clock.now())) {
        Ok(reading) => Scrape::Good(reading),
        Err(error) => Scrape::Failed(chain(&error)),
    }
}

fn failed(why: &str) -> Scrape {
    Scrape::Failed(why.to_owned())
}
