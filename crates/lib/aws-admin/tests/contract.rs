//! One suite for every port of the operator's: the stand-in in memory and the adapter against the emulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

#[path = "../../aws/tests/suite/emulator.rs"]
mod emulator;
mod suite;

use runnerless_aws::{Credentials, Place};
use runnerless_aws_admin::fake::{
    FakeFunctionCalls, FakeFunctions, FakeLedgerTable, FakeMappingTable, FakeSecrets, FakeStacks,
};
use runnerless_aws_admin::ports::{Answered, FunctionCalls as _, Stacks as _};
use runnerless_aws_admin::{
    FunctionInvoker, FunctionSettings, LedgerTable, MappingTable, SecretParameters, StackService,
};
use runnerless_local::aws::{ACCOUNT, CLOUDFORMATION, REGION, SECRET};
use runnerless_local::deploy::{Foreign, foreign};
use runnerless_local::stack::{Options, Stack};
use serde_json::{Value, json};

#[tokio::test]
async fn the_mapping_in_memory() {
    suite::mapping::all(|| async { FakeMappingTable::default() }).await;
}

#[tokio::test]
async fn functions_in_memory() {
    let functions = FakeFunctions::default();
    functions.put(suite::functions::facts());
    suite::functions::all(&functions).await;
}

#[tokio::test]
async fn calls_in_memory() {
    let calls = FakeFunctionCalls::default();
    calls.deploy(suite::functions::NAME, |event| {
        if event["fail"] == true {
            Answered::Failed { name: "ValueError".to_owned(), message: "no luck".to_owned() }
        } else {
            Answered::Value(json!({"got": event}).to_string())
        }
    });
    suite::calls::all(&calls, suite::functions::NAME).await;
    assert!(calls.call(suite::functions::NAME, "no JSON").await.is_err());
}

#[tokio::test]
async fn secrets_in_memory() {
    suite::secrets::all(&FakeSecrets::default()).await;
    suite::secrets::limits(&FakeSecrets::default()).await;
}

#[tokio::test]
async fn the_ledger_in_memory() {
    let ledger = FakeLedgerTable::default();
    suite::ledger::all(&ledger, async |item: Value| ledger.put(item)).await;
}

#[tokio::test]
async fn stacks_in_memory() {
    let stacks = FakeStacks::default();
    stacks.put(suite::stacks::NAME, &[("Word", "a & b")]);
    suite::stacks::all(&stacks).await;
}

/// One stack for all adapters: starting it is what costs.
#[tokio::test]
async fn the_adapters_on_the_emulator() {
    let stack = Stack::start(&Options::for_tests("admin").unwrap()).await.unwrap();
    let place = Place::new(REGION, Some(stack.endpoint().to_owned()));
    let credentials = Credentials { key_id: ACCOUNT.to_owned(), secret: SECRET.to_owned().into(), session: None };
    suite::mapping::all(|| async {
        let table = emulator::mapping_table(&place, &credentials, &[]).await;
        MappingTable::new(&place, &credentials, table)
    })
    .await;
    suite::mapping::that_is_not_there(&MappingTable::new(&place, &credentials, "no-such-table")).await;
    suite::secrets::all(&SecretParameters::new(&place, &credentials)).await;
    let table = emulator::ledger_table(&place, &credentials).await;
    let put = async |item: Value| emulator::put(&place, &credentials, &table, &item).await;
    suite::ledger::all(&LedgerTable::new(&place, &credentials, table.as_str()), put).await;
    deployed(&stack).await;
    suite::functions::all(&FunctionSettings::new(&place, &credentials)).await;
    suite::calls::all(&FunctionInvoker::new(&place, &credentials), suite::functions::NAME).await;
    let stacks = StackService::new(&place, &credentials);
    made(&stack, &stacks).await;
    suite::stacks::all(&stacks).await;
    stack.stop().await;
}

/// The stack of the suite, complete.
async fn made(stack: &Stack, stacks: &StackService) {
    let template =
        json!({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}, "Outputs": {"Word": {"Value": "a & b"}}});
    let order = [("StackName", suite::stacks::NAME), ("TemplateBody", &template.to_string())];
    stack.aws().query(CLOUDFORMATION, "CreateStack", &order).await.unwrap();
    while stacks.show(suite::stacks::NAME).await.unwrap().unwrap().status == "CREATE_IN_PROGRESS" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A function that gives back what it gets, or fails if it is asked to.
async fn deployed(stack: &Stack) {
    let folder = stack.layout().at("echo");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "def handle(event, context):\n    if isinstance(event, dict) and event.get('fail'):\n        \
                raise ValueError('no luck')\n    return {'got': event}\n";
    std::fs::write(folder.join("echo.py"), text).unwrap();
    let nowhere = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:nowhere");
    let function = Foreign {
        name: suite::functions::NAME,
        folder,
        handler: "echo.handle",
        statements: json!([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": nowhere}]),
        on_failure: &nowhere,
    };
    assert_eq!(foreign(stack, &function).await.unwrap(), suite::functions::facts().arn);
}
