//! The stand-in takes what AWS takes and refuses what AWS refuses.

use bytes::Bytes;
use hyper::Method;
use runnerless_local::http::Http;
use std::time::Duration;

use super::*;

const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=k/20261124/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=a";

async fn call(stand_in: &StandIn, operation: &str, authorization: &str, body: &Value) -> (u16, Value) {
    let target = format!("DynamoDB_20120810.{operation}");
    let headers = [("x-amz-target", target.as_str()), ("authorization", authorization)];
    let body = Bytes::from(body.to_string());
    let url = stand_in.url();
    let answer = Http::default().call(Method::POST, &url, &headers, body, Duration::from_secs(10)).await.unwrap();
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
}

#[tokio::test]
async fn a_row_is_there_once_it_was_put_and_its_conditions_hold() {
    let stand_in = StandIn::new(&["ledger"], &[]).await.unwrap();
    let key = json!({"TableName": "ledger", "Key": {"pk": {"S": "job#1#2"}}});
    let put = json!({"TableName": "ledger", "Item": {"pk": {"S": "job#1#2"}, "rev": {"N": "1"}},
        "ConditionExpression": "attribute_not_exists(pk)"});
    assert_eq!(call(&stand_in, "GetItem", SIGNED, &key).await, (200, json!({})));
    assert_eq!(call(&stand_in, "PutItem", SIGNED, &put).await.0, 200);
    let (status, refused) = call(&stand_in, "PutItem", SIGNED, &put).await;
    assert_eq!((status, &refused["__type"]), (400, &json!("ConditionalCheckFailedException")));
    assert_eq!(call(&stand_in, "GetItem", SIGNED, &key).await.1["Item"], put["Item"]);
    let (calls, refused) = stand_in.take_calls();
    assert_eq!(calls, Calls::from([("dynamodb:GetItem".to_owned(), 2), ("dynamodb:PutItem".to_owned(), 2)]));
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn what_aws_would_refuse_is_refused_and_told() {
    let stand_in = StandIn::new(&["ledger"], &[]).await.unwrap();
    let get = json!({"TableName": "ledger", "Key": {"pk": {"S": "a"}}});
    let elsewhere = json!({"TableName": "other", "Key": {"pk": {"S": "a"}}});
    let for_another = SIGNED.replace("dynamodb", "ssm");
    for (operation, signed, body) in [
        ("GetItem", "", &get),
        ("GetItem", for_another.as_str(), &get),
        ("GetItem", SIGNED, &elsewhere),
        ("GetItem", SIGNED, &json!({"TableName": "ledger"})),
        ("DeleteTable", SIGNED, &get),
    ] {
        assert_eq!(call(&stand_in, operation, signed, body).await.0, 400, "{operation} {signed} {body}");
        assert_eq!(stand_in.take_calls().1.len(), 1);
    }
}
