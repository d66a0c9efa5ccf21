//! Which operation a request is, whether it is signed for it, and the operations that are not DynamoDB's.
//!
//! Wire: AWS JSON 1.0 and 1.1 (target header), Lambda's REST path, and forms that are answered in XML, as the SDK's own
//! models have them.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::{Refusal, State};

type Named = Result<(&'static str, String), Refusal>;
type Answered = Result<(StatusCode, Value), Refusal>;

/// The services with the prefix of their targets.
const TARGETS: [(&str, &str); 3] = [("DynamoDB_20120810", "dynamodb"), ("AmazonSSM", "ssm"), ("AWSEvents", "events")];

/// The services that speak forms and XML.
const FORMS: [&str; 2] = ["autoscaling", "ec2"];

/// Service and operation of a request that is signed for that service.
pub(super) fn name(head: &Parts, body: &Bytes) -> Named {
    let (service, operation) = match header(head, "x-amz-target").and_then(|target| target.split_once('.')) {
        Some((prefix, operation)) => {
            let known = TARGETS.iter().find(|(target, _)| *target == prefix);
            let (_, service) = known.ok_or_else(|| unknown(prefix))?;
            (*service, operation.to_owned())
        }
        None if head.uri.path().ends_with("/invocations") => ("lambda", "Invoke".to_owned()),
        None if head.uri.path() == "/" => form(head, body)?,
        None => return Err(unknown(head.uri.path())),
    };
    let signed = header(head, "authorization").unwrap_or_default();
    let scope = format!("/{service}/aws4_request");
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=") || !signed.contains(&scope) {
        return Err(Refusal { code: "IncompleteSignatureException", message: format!("not signed for {service}") });
    }
    Ok((service, operation))
}

/// A form names its operation, and its signature the service.
fn form(head: &Parts, body: &Bytes) -> Named {
    let signed = header(head, "authorization").unwrap_or_default();
    let service = FORMS.into_iter().find(|service| signed.contains(&format!("/{service}/aws4_request")));
    let service = service.ok_or_else(|| unknown(head.uri.path()))?;
    let text = std::str::from_utf8(body).unwrap_or_default();
    let action = text.split('&').find_map(|field| field.strip_prefix("Action="));
    Ok((service, action.ok_or_else(|| Refusal::invalid("Action is missing"))?.to_owned()))
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

fn unknown(what: &str) -> Refusal {
    Refusal { code: "UnknownOperationException", message: format!("{what} is nothing that the stand-in knows") }
}

/// The answer to a call.
pub(super) fn answer(state: &mut State, service: &str, operation: &str, body: &Bytes) -> Answered {
    if service == "lambda" {
        serde_json::from_slice::<Value>(body).map_err(|_| Refusal::invalid("the payload is no JSON"))?;
        return Ok((StatusCode::ACCEPTED, Value::Null));
    }
    if FORMS.contains(&service) {
        let name = format!("{service}:{operation}");
        let document = state.texts.get(&name).cloned().ok_or_else(|| unknown(&name))?;
        return Ok((StatusCode::OK, Value::String(document)));
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::invalid("the body is no JSON"))?;
    let answered = match (service, operation) {
        ("ssm", "GetParametersByPath") => parameters(state, &body)?,
        ("events", "PutEvents") => events(&body)?,
        ("dynamodb", operation) => state.tables.answer(operation, &body)?,
        (service, operation) => return Err(unknown(&format!("{service}:{operation}"))),
    };
    Ok((StatusCode::OK, answered))
}

fn parameters(state: &State, body: &Value) -> Result<Value, Refusal> {
    let path = body["Path"].as_str().ok_or_else(|| Refusal::invalid("Path is missing"))?;
    if body["WithDecryption"] != true || body["Recursive"] != true {
        return Err(Refusal::invalid("the secrets are encrypted, and below the path at any depth"));
    }
    let below = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let parameters = state.parameters.iter().filter(|(name, _)| below(name)).map(|(name, value)| {
        json!({
            "Name": name, "Type": "SecureString", "Value": value, "Version": 1, "DataType": "text",
            "LastModifiedDate": 1_789_453_600.123,
            "ARN": format!("arn:aws:ssm:us-east-1:000000000000:parameter{name}"),
        })
    });
    Ok(json!({"Parameters": parameters.collect::<Vec<_>>()}))
}

fn events(body: &Value) -> Result<Value, Refusal> {
    let entries = body["Entries"].as_array().filter(|entries| (1..=10).contains(&entries.len()));
    let entries = entries.ok_or_else(|| Refusal::invalid("Entries must be one to ten"))?;
    for entry in entries {
        let detail = entry["Detail"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let whole = ["Source", "DetailType", "EventBusName"].iter().all(|field| entry[*field].is_string());
        if !whole || !detail.is_some_and(|detail| detail.is_object()) {
            return Err(Refusal::invalid("an entry lacks its source, type, bus or a detail that is an object"));
        }
    }
    let ids: Vec<_> = entries.iter().map(|_| json!({"EventId": "11111111-2222-4333-8444-555555555555"})).collect();
    Ok(json!({"FailedEntryCount": 0, "Entries": ids}))
}
