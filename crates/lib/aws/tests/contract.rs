//! One suite for every port: the stand-in in memory and the adapter against the emulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod suite;

use runnerless_aws::clock::SystemClock;
use runnerless_aws::fake::{FakeBus, FakeClock, FakeInvoker, FakeLedger, FakeMapping, FakeParameters};
use runnerless_aws::{Credentials, DynamoLedger, DynamoMapping, EventBus, LambdaInvoker, ParameterStore, Place};
use runnerless_core::time::Timestamp;
use runnerless_local::aws as local;
use runnerless_local::stack::{Options, Stack};
use serde_json::json;
use suite::bus::Arrived;
use suite::emulator;

#[tokio::test]
async fn the_ledger_in_memory() {
    suite::ledger::all(|| async { FakeLedger::default() }).await;
    suite::ledger::answers(|| async { FakeLedger::default() }, async |ledger| ledger.lose_answers(1)).await;
    let one = FakeLedger::default();
    suite::ledger::processes(&one, &one.as_writer(1)).await;
}

#[tokio::test]
async fn the_mapping_in_memory() {
    let mapping = FakeMapping::default();
    suite::mapping::items().into_iter().for_each(|item| mapping.put(item));
    suite::mapping::all(&mapping).await;
    mapping.fail(true);
    suite::mapping::that_fails(&mapping).await;
}

#[tokio::test]
async fn parameters_in_memory() {
    let store = FakeParameters::default();
    for (name, value) in suite::parameters::VALUES {
        store.put(name, value);
    }
    suite::parameters::all(&store, async |name, value| store.put(name, value)).await;
}

#[tokio::test]
async fn the_bus_in_memory() {
    let bus = FakeBus::default();
    suite::bus::all(&bus, async |events| {
        let announced = bus.announced();
        assert_eq!(announced.len(), events);
        announced.iter().map(FakeBus::event).map(|event| Arrived::read(&event)).collect()
    })
    .await;
    let refusing = FakeBus::default();
    refusing.fail(true);
    suite::bus::that_refuses(&refusing).await;
    assert!(refusing.announced().is_empty());
}

#[tokio::test]
async fn the_invoker_in_memory() {
    let invoker = FakeInvoker::default();
    invoker.deploy("arn:plain", false);
    invoker.deploy("arn:isolating", true);
    let arrived = async || invoker.started().pop().unwrap().payload;
    suite::invoker::all(&invoker, "arn:plain", arrived).await;
    suite::invoker::tenants(&invoker, "arn:isolating", "arn:plain").await;
}

#[tokio::test]
async fn clocks() {
    suite::clock::all(&SystemClock).await;
    suite::clock::all(&FakeClock::leaping(Timestamp(1_789_373_730_000))).await;
    suite::clock::never_before(&FakeClock::at(Timestamp(1_789_373_730_000))).await;
}

/// One stack for all adapters: starting it is what costs.
#[tokio::test]
async fn the_adapters_on_the_emulator() {
    let stack = Stack::start(&Options::for_tests("contract").unwrap()).await.unwrap();
    let place = Place::new(local::REGION, Some(stack.endpoint().to_owned()));
    let credentials =
        Credentials { key_id: local::ACCOUNT.to_owned(), secret: local::SECRET.to_owned().into(), session: None };
    let ledger = || async {
        let table = emulator::ledger_table(&place, &credentials).await;
        DynamoLedger::new(&place, &credentials, table)
    };
    suite::ledger::all(ledger).await;
    suite::ledger::answers(ledger, async |_| {
        for operation in ["dynamodb:PutItem", "dynamodb:TransactWriteItems"] {
            stack.set_fault(&json!({"op": operation, "do": "reset"})).await.unwrap();
        }
    })
    .await;
    stack.clear_faults().await.unwrap();
    let table = emulator::ledger_table(&place, &credentials).await;
    let [one, other] = [0, 1].map(|_| DynamoLedger::new(&place, &credentials, table.clone()));
    suite::ledger::processes(&one, &other).await;
    let put = async |name: &str, value: &str| emulator::parameter(&place, &credentials, name, value).await;
    for (name, value) in suite::parameters::VALUES {
        put(name, value).await;
    }
    suite::parameters::all(&ParameterStore::new(&place, &credentials), put).await;
    let table = emulator::mapping_table(&place, &credentials, &suite::mapping::items()).await;
    suite::mapping::all(&DynamoMapping::new(&place, &credentials, table)).await;
    suite::mapping::that_fails(&DynamoMapping::new(&place, &credentials, "no-such-table")).await;
    let (bus, queue) = emulator::bus(&place, &credentials, &stack).await;
    let arrived = async |events| queue.next(events).await.iter().map(Arrived::read).collect();
    suite::bus::all(&EventBus::new(&place, &credentials, bus), arrived).await;
    // It answers 200, with an entry that failed.
    let foreign = format!("arn:aws:events:eu-west-1:{}:event-bus/other", local::ACCOUNT);
    suite::bus::that_refuses(&EventBus::new(&place, &credentials, foreign)).await;
    let (function, queue) = emulator::function(&stack).await;
    let arrived = async || queue.next(1).await[0]["requestPayload"].to_string();
    suite::invoker::all(&LambdaInvoker::new(&place, &credentials), &function, arrived).await;
    stack.stop().await;
}
