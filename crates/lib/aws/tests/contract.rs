//! One suite for every port: the stand-in in memory and the adapter against the emulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod suite;

use runnerless_aws::fake::{FakeLedger, FakeParameters};
use runnerless_aws::{Credentials, DynamoLedger, DynamoMapping, EventBus, LambdaInvoker, ParameterStore, Place};
use runnerless_local::aws as local;
use runnerless_local::stack::{Options, Stack};
use suite::emulator;

#[tokio::test]
async fn the_ledger_in_memory() {
    suite::ledger::all(|| async { FakeLedger::default() }).await;
}

#[tokio::test]
async fn parameters_in_memory() {
    let store = FakeParameters::default();
    for (name, value) in suite::parameters::VALUES {
        store.put(name, value);
    }
    suite::parameters::all(&store).await;
}

/// One stack for all adapters: starting it is what costs.
#[tokio::test]
async fn the_adapters_on_the_emulator() {
    let stack = Stack::start(&Options::for_tests("contract").unwrap()).await.unwrap();
    let place = Place::new(local::REGION, Some(stack.endpoint().to_owned()));
    let credentials =
        Credentials { key_id: local::ACCOUNT.to_owned(), secret: local::SECRET.to_owned().into(), session: None };
    suite::ledger::all(|| async {
        let table = emulator::ledger_table(&place, &credentials).await;
        DynamoLedger::new(&place, &credentials, table)
    })
    .await;
    emulator::parameters(&place, &credentials, &suite::parameters::VALUES).await;
    suite::parameters::all(&ParameterStore::new(&place, &credentials)).await;
    let table = emulator::mapping_table(&place, &credentials, &suite::mapping::items()).await;
    suite::mapping::all(&DynamoMapping::new(&place, &credentials, table)).await;
    let bus = emulator::bus(&place, &credentials).await;
    suite::others::bus(&EventBus::new(&place, &credentials, bus)).await;
    suite::others::invoker(&LambdaInvoker::new(&place, &credentials)).await;
    stack.stop().await;
}
