//! The events that API Gateway makes of a request for the authorizer and for ingest (HTTP API, payload format 2.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::case::{Body, Case, Target};
use super::request::Request;

/// The event as it is sent. Headers are written one by one, because a map would keep one of two equal names.
pub(super) fn event(case: &Case, request: &Request) -> String {
    let headers = if case.event.exact_headers { request.headers.clone() } else { joined(&request.headers) };
    let mut whole = json!({
        "version": "2.0",
        "routeKey": "POST /webhook",
        "rawPath": case.path.split('?').next(),
        "rawQueryString": case.path.split_once('?').map_or("", |(_, query)| query),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "attack",
            "http": {
                "method": case.method, "path": case.path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.66",
                "userAgent": "attack",
            },
            "requestId": "attack",
            "routeKey": "POST /webhook",
            "stage": "$default",
        },
    });
    if case.target == Target::Authorizer {
        whole["type"] = "REQUEST".into();
        whole["identitySource"] = Value::Array(vec![]);
    } else {
        let (body, encoded) = body(case, &headers, &request.body);
        whole["body"] = body.into();
        whole["isBase64Encoded"] = encoded.into();
    }
    let pairs: Vec<String> =
        headers.iter().map(|(name, value)| format!("{}:{}", Value::from(&**name), Value::from(&**value))).collect();
    let text = whole.to_string();
    format!("{{\"headers\":{{{}}},{}", pairs.join(","), text.strip_prefix('{').unwrap_or_default())
}

/// Names in lower case, and values of equal names joined by commas.
fn joined(headers: &[(String, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        match all.iter_mut().find(|(other, _)| *other == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value);
            }
            None => all.push((name, value.clone())),
        }
    }
    all
}

/// The body and its flag: text for the content types that API Gateway takes for text, else base64.
fn body(case: &Case, headers: &[(String, String)], bytes: &[u8]) -> (String, bool) {
    if let (Some(flag), Body::Text(_)) = (case.event.is_base64_encoded, &case.body) {
        return (String::from_utf8_lossy(bytes).into_owned(), flag);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if is_text(headers) => (text.to_owned(), false),
        _ => (STANDARD.encode(bytes), true),
    }
}

fn is_text(headers: &[(String, String)]) -> bool {
    let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let kind = kind.map_or("", |(_, value)| value.split(';').next().unwrap_or_default().trim());
    kind.starts_with("text/") || ["application/json", "application/xml", "application/javascript"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::super::read::read_all;
    use super::*;

    fn case(more: &Value) -> Case {
        let mut whole = json!({"id": "a", "target": "ingest", "expect": {"status": [200]}});
        for (key, value) in more.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), whole.to_string()).unwrap();
        read_all(folder.path()).unwrap().remove(0)
    }

    fn request(headers: &[(&str, &str)], body: &[u8]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { headers, body: body.to_owned() }
    }

    const DOUBLED: [(&str, &str); 3] = [("X-Token", "a"), ("x-token", ""), ("Content-Type", "application/json; v=1")];

    #[test]
    fn headers_are_joined_as_the_api_joins_them_or_left_alone() {
        let text = event(&case(&json!({})), &request(&DOUBLED, b"{}"));
        let event_: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event_["headers"], json!({"x-token": "a,", "content-type": "application/json; v=1"}));
        assert_eq!((&event_["body"], &event_["isBase64Encoded"]), (&json!("{}"), &json!(false)));
        let exact = event(&case(&json!({"event": {"exact_headers": true}})), &request(&DOUBLED, b"{}"));
        assert!(exact.starts_with(r#"{"headers":{"X-Token":"a","x-token":"","Content-Type""#), "{exact}");
    }

    #[test]
    fn a_body_is_text_only_where_it_can_be() {
        let flag = |headers: &[(&str, &str)], body: &[u8]| {
            let event: Value = serde_json::from_str(&event(&case(&json!({})), &request(headers, body))).unwrap();
            event["isBase64Encoded"].as_bool().unwrap()
        };
        assert!(!flag(&DOUBLED, b"{}") && flag(&DOUBLED, b"\xff") && flag(&[("content-type", "x/y")], b"{}"));
        let lie = case(&json!({"body": "{}", "event": {"is_base64_encoded": true}}));
        let event: Value = serde_json::from_str(&event(&lie, &request(&DOUBLED, b"{}"))).unwrap();
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(true)));
    }

    #[test]
    fn an_authorizer_sees_no_body() {
        let text = event(&case(&json!({"target": "authorizer", "path": "/webhook?a=1"})), &request(&DOUBLED, b"{}"));
        let event: Value = serde_json::from_str(&text).unwrap();
        assert!(event.get("body").is_none() && event["type"] == "REQUEST");
        assert_eq!((&event["rawPath"], &event["rawQueryString"]), (&json!("/webhook"), &json!("a=1")));
    }
}
