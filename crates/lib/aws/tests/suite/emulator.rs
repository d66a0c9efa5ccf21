//! Tables, parameters and a bus on the emulator, as the template makes them.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use runnerless_aws::attributes::to_attributes;
use runnerless_aws::{Credentials, Place, client};
use serde_json::Value;

fn name(kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{kind}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

/// A table like the template's `LedgerTable`.
pub async fn ledger_table(place: &Place, credentials: &Credentials) -> String {
    let client = client!(aws_sdk_dynamodb, place, credentials);
    let index = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("open", KeyType::Hash))
        .key_schema(key("next_check_at", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
    let table = name("ledger");
    let create = client
        .create_table()
        .table_name(&table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("open", ScalarAttributeType::S))
        .attribute_definitions(attribute("next_check_at", ScalarAttributeType::N))
        .key_schema(key("pk", KeyType::Hash))
        .global_secondary_indexes(index.build().unwrap());
    create.send().await.unwrap();
    table
}

/// A table like the template's `MappingTable`, with these items.
pub async fn mapping_table(place: &Place, credentials: &Credentials, items: &[Value]) -> String {
    let client = client!(aws_sdk_dynamodb, place, credentials);
    let table = name("mapping");
    let create = client
        .create_table()
        .table_name(&table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range));
    create.send().await.unwrap();
    for item in items {
        let item = to_attributes(item.as_object().expect("items are objects"));
        client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
    }
    table
}

/// Encrypted parameters.
pub async fn parameters(place: &Place, credentials: &Credentials, values: &[(&str, &str)]) {
    let client = client!(aws_sdk_ssm, place, credentials);
    for (name, value) in values {
        let put = client.put_parameter().name(*name).value(*value);
        put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.unwrap();
    }
}

/// An event bus.
pub async fn bus(place: &Place, credentials: &Credentials) -> String {
    let client = client!(aws_sdk_eventbridge, place, credentials);
    let bus = name("bus");
    client.create_event_bus().name(&bus).send().await.unwrap();
    bus
}
