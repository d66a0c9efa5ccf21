//! The few AWS calls of the driver itself, as the emulator's root: JSON and query services and one REST path, signed
//! with Signature Version 4. The functions under test use the SDK; this client keeps the driver free of it.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::http::{Answer, Http, HttpError};

/// The account of the emulator: its root's access key is the account number.
pub const ACCOUNT: &str = "000000000000";
/// The root's secret.
pub const SECRET: &str = "test";
/// The region of everything.
pub const REGION: &str = "us-east-1";
/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A JSON service: its name in signatures, and how its operations are called.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    name: &'static str,
    target: &'static str,
    content_type: &'static str,
}

/// DynamoDB.
pub const DYNAMODB: Service =
    Service { name: "dynamodb", target: "DynamoDB_20120810", content_type: "application/x-amz-json-1.0" };
/// Parameter Store.
pub const SSM: Service = Service { name: "ssm", target: "AmazonSSM", content_type: "application/x-amz-json-1.1" };
/// EventBridge.
pub const EVENTS: Service = Service { name: "events", target: "AWSEvents", content_type: "application/x-amz-json-1.1" };
/// Step Functions.
pub const STATES: Service =
    Service { name: "states", target: "AWSStepFunctions", content_type: "application/x-amz-json-1.0" };
/// SQS.
pub const SQS: Service = Service { name: "sqs", target: "AmazonSQS", content_type: "application/x-amz-json-1.0" };
/// Security tokens.
pub const STS: Service =
    Service { name: "sts", target: "AWSSecurityTokenServiceV20110615", content_type: "application/x-amz-json-1.1" };
/// CloudWatch Logs.
pub const LOGS: Service = Service { name: "logs", target: "Logs_20140328", content_type: "application/x-amz-json-1.1" };

/// A service of the query protocol, which answers with XML: its name in signatures, and its version.
#[derive(Clone, Copy, Debug)]
pub struct QueryService {
    name: &'static str,
    version: &'static str,
}

/// EC2.
pub const EC2: QueryService = QueryService { name: "ec2", version: "2016-11-15" };
/// IAM.
pub const IAM: QueryService = QueryService { name: "iam", version: "2010-05-08" };
/// Auto Scaling.
pub const AUTO_SCALING: QueryService = QueryService { name: "autoscaling", version: "2011-01-01" };
/// CloudFormation.
pub const CLOUDFORMATION: QueryService = QueryService { name: "cloudformation", version: "2010-05-15" };

/// The client.
#[derive(Clone, Debug)]
pub struct Aws {
    http: Http,
    endpoint: String,
}

impl Aws {
    /// A client for the emulator, or the witness in front of it, at `endpoint`.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        Self { http: Http::default(), endpoint: endpoint.trim_end_matches('/').to_owned() }
    }

    /// Calls an operation of a JSON service.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub async fn call(&self, service: Service, operation: &str, input: &Value) -> Result<Value, HttpError> {
        let target = format!("{}.{operation}", service.target);
        let headers = [("content-type", service.content_type), ("x-amz-target", target.as_str())];
        self.send(service.name, Method::POST, "/", "", &headers, input.to_string()).await?.json(&self.endpoint)
    }

    /// Calls an operation of a query service. Returns the XML of a success.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub async fn query(
        &self,
        service: QueryService,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, HttpError> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", operation), ("Version", service.version)])
            .extend_pairs(parameters)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(service.name, Method::POST, "/", "", &headers, form).await?;
        answer.text(&self.endpoint)
    }

    /// Gets a REST resource (`query` sorted and encoded).
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub async fn get(&self, service: &str, path: &str, query: &str) -> Result<Value, HttpError> {
        self.send(service, Method::GET, path, query, &[], String::new())
            .await?
            .json(&format!("{}{path}", self.endpoint))
    }

    /// Invokes a function with an event, which is taken as it is, and waits for its end. Any answer is one.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn invoke(&self, function: &str, event: String) -> Result<Answer, HttpError> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.send("lambda", Method::POST, &path, "", &[("content-type", "application/json")], event).await
    }

    /// Queues an asynchronous invocation of a function.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub async fn invoke_later(&self, function: &str, event: String) -> Result<(), HttpError> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let headers = [("content-type", "application/json"), ("x-amz-invocation-type", "Event")];
        let answer = self.send("lambda", Method::POST, &path, "", &headers, event).await?;
        if answer.status.is_success() { Ok(()) } else { answer.json(&format!("{}{path}", self.endpoint)).map(drop) }
    }

    /// Calls a REST operation with a JSON body.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub async fn request(&self, service: &str, method: Method, path: &str, body: &Value) -> Result<Value, HttpError> {
        let headers = [("content-type", "application/json")];
        self.send(service, method, path, "", &headers, body.to_string())
            .await?
            .json(&format!("{}{path}", self.endpoint))
    }

    async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, HttpError> {
        let host = self.endpoint.trim_start_matches("http://");
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut signed: Vec<(&str, &str)> = vec![("host", host), ("x-amz-date", &now)];
        signed.extend_from_slice(headers);
        signed.sort_unstable();
        let authorization = authorization(&method, path, query, &signed, &body, service, &now);
        signed.push(("authorization", &authorization));
        let url = match query {
            "" => format!("{}{path}", self.endpoint),
            _ => format!("{}{path}?{query}", self.endpoint),
        };
        self.http.call(method, &url, &signed, Bytes::from(body), LIMIT).await
    }
}

/// The `Authorization` header. `headers` are sorted by name.
fn authorization(
    method: &Method,
    path: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
    service: &str,
    now: &str,
) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let payload = hex::encode(Sha256::digest(body.as_bytes()));
    let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
    let scope = format!("{}/{REGION}/{service}/aws4_request", &now[..8]);
    let hashed = hex::encode(Sha256::digest(request.as_bytes()));
    let mut key = hmac(format!("AWS4{SECRET}").as_bytes(), &now[..8]);
    for part in [REGION, service, "aws4_request"] {
        key = hmac(&key, part);
    }
    let signature = hex::encode(hmac(&key, &format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}")));
    format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/{scope}, SignedHeaders={names}, Signature={signature}")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Reads an item in DynamoDB's JSON into plain JSON; sets become lists.
#[must_use]
pub fn plain(item: &Value) -> Value {
    let Some(attributes) = item.as_object() else { return Value::Null };
    attributes.iter().map(|(name, value)| (name.clone(), plain_value(value))).collect::<serde_json::Map<_, _>>().into()
}

fn plain_value(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|value| value.iter().next()) else { return Value::Null };
    match (kind.as_str(), inner) {
        ("N", Value::String(digits)) => digits.parse::<i64>().map_or_else(|_| inner.clone(), Value::from),
        ("M", map) => plain(map),
        ("L", Value::Array(list)) => list.iter().map(plain_value).collect(),
        ("NULL", _) => Value::Null,
        _ => inner.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_into_plain_json() {
        let item = serde_json::json!({"a": {"N": "1795526369584"}, "b": {"M": {"c": {"L": [{"S": "x"}, {"BOOL": true}]}}},
            "d": {"NULL": true}, "e": {"SS": ["p", "q"]}});
        let expected =
            serde_json::json!({"a": 1_795_526_369_584_i64, "b": {"c": ["x", true]}, "d": null, "e": ["p", "q"]});
        assert_eq!(plain(&item), expected);
    }

    #[test]
    fn the_signature_covers_what_it_names() {
        let sign =
            |path, body| authorization(&Method::POST, path, "", &[("host", "h")], body, "ssm", "20261124T000000Z");
        let one = sign("/", "{}");
        assert!(one.starts_with(
            "AWS4-HMAC-SHA256 Credential=000000000000/20261124/us-east-1/ssm/aws4_request, SignedHeaders=host, "
        ));
        assert_ne!(one, sign("/", "[]"));
        assert_ne!(one, sign("/a", "{}"));
    }
}
