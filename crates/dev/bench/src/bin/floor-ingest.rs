//! Ingest's floor: secrets once, proof, write the row, read it where there is one, tell the bus, answer.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use lambda_runtime::Error;
use runnerless_bench::floor::{Aws, Event, SecretStore, serve, variable};
use runnerless_bench::floor_client;
use serde::{Deserialize, Serialize};

struct State {
    secrets: SecretStore,
    ledger: aws_sdk_dynamodb::Client,
    table: String,
    events: aws_sdk_eventbridge::Client,
    bus: String,
}

#[derive(Deserialize)]
struct Hook {
    build_id: u64,
    project_id: u64,
    build_status: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    body: &'static str,
}

fn main() -> Result<(), Error> {
    let aws = Aws::of_environment();
    let state = State {
        secrets: SecretStore::new(&aws),
        ledger: floor_client!(aws_sdk_dynamodb, aws),
        table: variable("RUNNERLESS_LEDGER_TABLE"),
        events: floor_client!(aws_sdk_eventbridge, aws),
        bus: variable("RUNNERLESS_EVENT_BUS"),
    };
    serve(state, handle)
}

async fn handle(state: &State, event: Event) -> Result<Answer, Error> {
    if !state.secrets.get().await?.prove(&event) {
        return Ok(Answer { status_code: 401, body: r#"{"result":"refused"}"# });
    }
    let hook: Hook = serde_json::from_str(&event.body)?;
    let pk = AttributeValue::S(format!("job#{}#{}", hook.project_id, hook.build_id));
    let write = state
        .ledger
        .put_item()
        .table_name(&state.table)
        .item("pk", pk.clone())
        .item("gitlab_status", AttributeValue::S(hook.build_status))
        .item("rev", AttributeValue::N("1".to_owned()))
        .condition_expression("attribute_not_exists(pk)");
    match write.send().await {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
            let read = state.ledger.get_item().table_name(&state.table).key("pk", pk).consistent_read(true);
            read.send().await?;
        }
        Err(error) => return Err(error.into()),
    }
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(&state.bus)
        .source("runnerless")
        .detail_type("JobPending")
        .detail(format!(r#"{{"job":"{}/{}"}}"#, hook.project_id, hook.build_id))
        .build();
    state.events.put_events().entries(entry).send().await?;
    Ok(Answer { status_code: 200, body: r#"{"result":"recorded"}"# })
}
