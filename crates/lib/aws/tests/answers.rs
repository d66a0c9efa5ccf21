//! Answers that the emulator never gives: pages, batches that are cut, collisions, throttles, and entries that a bus
//! rejected.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use runnerless_aws::ports::{Announcement, Applied, Bus as _, Invoked, Invoker as _, Ledger as _};
use runnerless_aws::{Credentials, DynamoLedger, EventBus, LambdaInvoker, Place};
use runnerless_core::change::{Change, Expect, Item, Plan, RowKey, Write};
use runnerless_core::id::JobKey;
use runnerless_core::moves::Announce;
use runnerless_core::time::Timestamp;
use serde_json::{Value, json};

/// A service that gives these answers in turn, and the last one from then on.
struct Service {
    place: Place,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                seen.lock().unwrap().push(read(&stream));
                let (status, body) =
                    if answers.len() > 1 { answers.pop().unwrap() } else { answers.last().unwrap().clone() };
                let text = body.to_string();
                let kind = body["__type"].as_str().unwrap_or_default();
                let length = text.len();
                let head = format!("content-length: {length}\r\nx-amzn-errortype: {kind}\r\nconnection: close\r\n\r\n");
                stream.write_all(format!("HTTP/1.1 {status} Said\r\n{head}{text}").as_bytes()).unwrap();
            }
        });
        Self { place: Place::new("us-east-1", Some(endpoint)), requests }
    }

    fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(&self.place, &credentials(), "ledger").as_writer("us")
    }

    /// Heads and bodies, in order.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn credentials() -> Credentials {
    Credentials { key_id: "key".to_owned(), secret: "secret".to_owned().into(), session: None }
}

/// One request: its head in small letters, and its body.
fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the request is whole");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn due(pk: &str) -> Value {
    json!({"pk": {"S": pk}, "open": {"S": "0"}, "next_check_at": {"N": "5"}})
}

fn job(job: u64) -> RowKey {
    RowKey::Job(JobKey { project: 1, job })
}

fn change(pk: &str) -> Change {
    let item = Item::from_iter([("pk".to_owned(), pk.into()), ("rev".to_owned(), 2.into())]);
    Change { pk: pk.to_owned(), expect: Expect::Rev(1), write: Write::Put(item) }
}

#[tokio::test]
async fn due_rows_are_read_page_after_page_up_to_the_limit() {
    let first = json!({"Items": [due("a"), due("b")], "LastEvaluatedKey": due("b")});
    let service = Service::answering([(200, first), (200, json!({"Items": [due("c"), due("d")]}))]);
    let rows = service.ledger().due("open#0", Timestamp(9), 3).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.pk.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let requests = service.requests();
    assert!(requests.len() == 2 && requests[1].contains("ExclusiveStartKey"), "{requests:?}");
}

#[tokio::test]
async fn what_a_batch_left_out_is_asked_for_again() {
    let (one, two) = (job(1).pk(), job(2).pk());
    let row = |pk: &str| json!({"ledger": [{"pk": {"S": pk}}]});
    let left = json!({"ledger": {"Keys": [{"pk": {"S": two}}]}});
    let service = Service::answering([
        (200, json!({"Responses": row(&one), "UnprocessedKeys": left})),
        (200, json!({"Responses": row(&two), "UnprocessedKeys": {}})),
    ]);
    assert_eq!(service.ledger().load(&[job(1), job(2)]).await.unwrap().0.len(), 2);
    let requests = service.requests();
    assert!(requests.len() == 2 && !requests[1].contains(&format!("\"{one}\"")), "{requests:?}");

    let never = Service::answering([(200, json!({"UnprocessedKeys": left}))]);
    let error = never.ledger().load(&[job(1), job(2)]).await.unwrap_err();
    assert_eq!(error.name(), "Ledger.Throttled", "rows that were not read are not absent");
}

#[tokio::test]
async fn a_transaction_that_only_ever_meets_others_is_a_conflict() {
    let collision = json!({"__type": "TransactionCanceledException", "Message": "no",
        "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]});
    let busy = [(400, collision.clone()), (400, collision.clone()), (400, collision.clone())];
    let changes = vec![change("launch#1"), change("job#1#1")];
    let plan = Plan { changes, reason: "test".to_owned() };
    let passing = Service::answering(busy.clone().into_iter().chain([(200, json!({}))]));
    assert_eq!(passing.ledger().apply(&plan).await.unwrap(), Applied::All);
    assert_eq!(passing.requests().len(), 4);
    let ever = busy.into_iter().chain([(400, collision.clone()), (400, collision), (200, json!({}))]);
    assert_eq!(Service::answering(ever).ledger().apply(&plan).await.unwrap(), Applied::Conflict);
}

/// What stands is in the refusal: it costs no read.
#[tokio::test]
async fn a_refused_write_that_stands_already_was_made_and_any_other_is_a_conflict() {
    let by = |rev: u64, writer: &str| json!({"pk": {"S": "launch#1"}, "rev": {"N": rev.to_string()}, "writer": {"S": writer}});
    let stands = |rev: u64| by(rev, "us");
    let unsigned = json!({"pk": {"S": "launch#1"}, "rev": {"N": "2"}});
    let alone = |item: Value| (400, json!({"__type": "ConditionalCheckFailedException", "Item": item}));
    let together = |item: Value| {
        let reasons = json!([{"Code": "ConditionalCheckFailed", "Item": item}, {"Code": "ConditionalCheckFailed"}]);
        (400, json!({"__type": "TransactionCanceledException", "CancellationReasons": reasons}))
    };
    let one = Plan { changes: vec![change("launch#1")], reason: "test".to_owned() };
    let two = Plan { changes: vec![change("launch#1"), change("job#1#1")], reason: "test".to_owned() };
    for (plan, refusal, applied) in [
        (&one, alone(stands(2)), Applied::All),
        (&one, alone(stands(3)), Applied::Conflict),
        (&one, alone(by(2, "somebody else")), Applied::Conflict),
        (&one, alone(unsigned), Applied::Conflict),
        (&one, alone(Value::Null), Applied::Conflict),
        (&two, together(stands(2)), Applied::All),
        (&two, together(stands(1)), Applied::Conflict),
        (&two, together(by(2, "somebody else")), Applied::Conflict),
        (&two, together(Value::Null), Applied::Conflict),
    ] {
        let service = Service::answering([refusal]);
        assert_eq!(service.ledger().apply(plan).await.unwrap(), applied);
        let requests = service.requests();
        assert!(requests.len() == 1 && requests[0].contains("ALL_OLD"), "{requests:?}");
    }
    // Of a row that another transaction holds nothing is told: it is read.
    let reasons = json!([{"Code": "TransactionConflict"}, {"Code": "ConditionalCheckFailed"}]);
    let busy = (400, json!({"__type": "TransactionCanceledException", "CancellationReasons": reasons}));
    let service = Service::answering([busy, (200, json!({"Item": stands(2)}))]);
    assert_eq!(service.ledger().apply(&two).await.unwrap(), Applied::All);
    assert_eq!(service.requests().len(), 2);
}

#[tokio::test]
async fn a_tenant_is_passed_to_the_function_and_only_where_there_is_one() {
    let service = Service::answering([(202, json!({}))]);
    let invoker = LambdaInvoker::new(&service.place, &credentials());
    assert_eq!(invoker.start("executor", "{}", Some("l-1")).await.unwrap(), Invoked::Accepted);
    assert_eq!(invoker.start("executor", "{}", None).await.unwrap(), Invoked::Accepted);
    let requests = service.requests();
    assert!(requests[0].contains("x-amz-tenant-id: l-1\r\n"), "{}", requests[0]);
    assert!(!requests[1].contains("x-amz-tenant-id"), "{}", requests[1]);
    assert!(requests.iter().all(|request| request.contains("x-amz-invocation-type: event\r\n")), "{requests:?}");
}

#[tokio::test]
async fn a_throttled_invoke_is_an_answer_and_no_failure() {
    let service = Service::answering([(429, json!({"__type": "TooManyRequestsException", "Reason": "x"}))]);
    let invoker = LambdaInvoker::new(&service.place, &credentials());
    assert_eq!(invoker.start("executor", "{}", None).await.unwrap(), Invoked::Throttled);
}

#[tokio::test]
async fn an_entry_that_the_bus_rejected_is_an_error() {
    let announcement = Announcement { what: Announce::Pending, job: JobKey { project: 1, job: 2 }, launch: None };
    for entry in [json!({"ErrorCode": "InternalFailure", "ErrorMessage": "x"}), json!({})] {
        let service = Service::answering([(200, json!({"FailedEntryCount": 1, "Entries": [entry]}))]);
        let bus = EventBus::new(&service.place, &credentials(), "bus");
        assert_eq!(bus.announce(announcement.clone()).await.unwrap_err().name(), "Bus.Unavailable");
    }
}
