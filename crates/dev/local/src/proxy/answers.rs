//! Answers of the witness's own, in the shape that each protocol's callers read.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use super::operation::is_form;
use super::{Body, never};

/// An AWS error with this code: XML for query services and S3, else JSON.
pub(super) fn error(service: Option<&str>, headers: &HeaderMap, code: &str, message: &str) -> Response<Body> {
    let status = status_of(code);
    let form = is_form(headers);
    let (kind, text) = match service {
        Some("ec2") => (
            "text/xml",
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>witness</RequestID></Response>"
            ),
        ),
        Some("s3") => ("application/xml", format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")),
        _ if form => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>{}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>witness</RequestId></ErrorResponse>",
                if status.is_server_error() { "Receiver" } else { "Sender" }
            ),
        ),
        _ => {
            let body = serde_json::json!({"__type": code, "message": message, "Message": message});
            ("application/x-amz-json-1.1", body.to_string())
        }
    };
    let mut response = with(status, kind, text);
    if let Ok(value) = HeaderValue::from_str(code) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), value);
    }
    response
}

/// The status that AWS sends with a code. Only the class matters to an SDK: it retries 5xx and throttling codes.
fn status_of(code: &str) -> StatusCode {
    match code {
        "ServiceUnavailable" | "ServiceUnavailableException" | "Unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "TooManyRequestsException" => StatusCode::TOO_MANY_REQUESTS,
        "ResourceNotFoundException" => StatusCode::NOT_FOUND,
        _ if code.starts_with("Internal") || code == "ServiceException" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The code by which a service asks to slow down, as its API reference has it.
pub(super) fn throttle_code(service: Option<&str>) -> &'static str {
    match service {
        Some("dynamodb") => "ProvisionedThroughputExceededException",
        Some("lambda") => "TooManyRequestsException",
        Some("ec2") => "RequestLimitExceeded",
        Some("autoscaling") => "Throttling",
        _ => "ThrottlingException",
    }
}

/// The code by which a service says that it failed itself, always with a 500.
pub(super) fn failure_code(service: Option<&str>) -> &'static str {
    match service {
        Some("dynamodb" | "ssm") => "InternalServerError",
        Some("events") => "InternalException",
        Some("lambda") => "ServiceException",
        _ => "InternalFailure",
    }
}

/// The answer to an instant fleet that got nothing: a success, with the error of the one pool in it.
pub(super) fn no_instances(code: &str) -> Response<Body> {
    let error = format!(
        "<item><lifecycle>spot</lifecycle><errorCode>{code}</errorCode><errorMessage>put there by the witness</errorMessage></item>"
    );
    let fleet = "fleet-00000000-0000-0000-0000-000000000000";
    let text = format!(
        "<CreateFleetResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>witness</requestId><fleetId>{fleet}</fleetId><errorSet>{error}</errorSet><fleetInstanceSet/></CreateFleetResponse>"
    );
    with(StatusCode::OK, "text/xml", text)
}

/// XML.
pub(super) fn xml(status: StatusCode, text: String) -> Response<Body> {
    with(status, "text/xml", text)
}

/// The answer to a `PutEvents` of which the bus took nothing: a success, with each entry's own error in it.
pub(super) fn refused_entries(request: &[u8]) -> Response<Body> {
    let request: serde_json::Value = serde_json::from_slice(request).unwrap_or_default();
    let count = request["Entries"].as_array().map_or(1, Vec::len);
    let refused = serde_json::json!({"ErrorCode": "InternalFailure", "ErrorMessage": "put there by the witness"});
    let body = serde_json::json!({"FailedEntryCount": count, "Entries": vec![refused; count]});
    with(StatusCode::OK, "application/x-amz-json-1.1", body.to_string())
}

/// JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    with(status, "application/json", serde_json::to_string(body).unwrap_or_default())
}

/// A sentence.
pub(super) fn plain(status: StatusCode, body: &str) -> Response<Body> {
    with(status, "text/plain; charset=utf-8", format!("{body}\n"))
}

fn with(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).map_err(never).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
