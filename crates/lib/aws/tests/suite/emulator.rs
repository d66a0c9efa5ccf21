//! Tables, parameters, a bus and a function on the emulator, as the template makes them.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs of this module")]

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use runnerless_aws::attributes::to_attributes;
use runnerless_aws::ports::Announcement;
use runnerless_aws::{Credentials, Place, client};
use runnerless_local::aws::{ACCOUNT, Aws, REGION, SQS};
use runnerless_local::deploy::{Foreign, foreign};
use runnerless_local::stack::Stack;
use serde_json::{Value, json};

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
        put(place, credentials, &table, item).await;
    }
    table
}

/// Writes an item whatever is there.
pub async fn put(place: &Place, credentials: &Credentials, table: &str, item: &Value) {
    let client = client!(aws_sdk_dynamodb, place, credentials);
    let item = to_attributes(item.as_object().expect("items are objects"));
    client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
}

/// An encrypted parameter, over an older value.
pub async fn parameter(place: &Place, credentials: &Credentials, name: &str, value: &str) {
    let client = client!(aws_sdk_ssm, place, credentials);
    let put = client.put_parameter().name(name).value(value).overwrite(true);
    put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.unwrap();
}

/// An event bus, and the queue that gets what is sent to it as the template's rules get it.
pub async fn bus(place: &Place, credentials: &Credentials, stack: &Stack) -> (String, Queue) {
    let client = client!(aws_sdk_eventbridge, place, credentials);
    let bus = name("bus");
    client.create_event_bus().name(&bus).send().await.unwrap();
    let queue = Queue::create(stack, &bus).await;
    let pattern = json!({"source": [Announcement::SOURCE], "detail-type": ["JobPending", "JobFinished"]});
    client.put_rule().name("all").event_bus_name(&bus).event_pattern(pattern.to_string()).send().await.unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(&queue.arn).build().unwrap();
    let put = client.put_targets().rule("all").event_bus_name(&bus).targets(target).send().await.unwrap();
    assert_eq!(put.failed_entry_count, 0);
    (bus, queue)
}

/// A function that fails each time, and the queue that then gets what it was given. Its ARN.
pub async fn function(stack: &Stack) -> (String, Queue) {
    let queue = Queue::create(stack, &name("failures")).await;
    let folder = stack.layout().at("failing");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("failing.py"), "def handle(event, context):\n    raise RuntimeError\n").unwrap();
    let function = Foreign {
        name: "failing",
        folder,
        handler: "failing.handle",
        statements: json!([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}]),
        on_failure: &queue.arn,
    };
    (foreign(stack, &function).await.unwrap(), queue)
}

/// A queue.
pub struct Queue {
    aws: Aws,
    url: String,
    pub arn: String,
}

impl Queue {
    async fn create(stack: &Stack, name: &str) -> Self {
        let aws = stack.aws();
        let made = aws.call(SQS, "CreateQueue", &json!({"QueueName": name})).await.unwrap();
        let url = made["QueueUrl"].as_str().unwrap().to_owned();
        Self { aws, url, arn: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}") }
    }

    /// The next messages, so many at least, and whatever lies beside them. Each call waits until one is there.
    pub async fn next(&self, messages: usize) -> Vec<Value> {
        let mut got: Vec<Value> = Vec::new();
        while got.len() < messages {
            let input = json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20});
            let answer = self.aws.call(SQS, "ReceiveMessage", &input).await.unwrap();
            let received = answer["Messages"].as_array().cloned().unwrap_or_default();
            assert!(!received.is_empty(), "nothing came for twenty seconds: {got:?}");
            for message in received {
                let input = json!({"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]});
                self.aws.call(SQS, "DeleteMessage", &input).await.unwrap();
                got.push(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap());
            }
        }
        got
    }
}
