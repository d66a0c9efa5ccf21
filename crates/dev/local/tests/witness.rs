//! The witness in front of a stand-in for the emulator that counts what reaches it.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use runnerless_local::http::{Answer, Http, HttpError};
use runnerless_local::proxy::identify::key_of;
use runnerless_local::proxy::{Bound, Files, Proxy};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(30);
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:router";
const ROLE: &str = "arn:aws:iam::000000000000:role/router";

/// What reached the emulator: method, path, host, body length.
type Reached = Arc<Mutex<Vec<(String, String, String, usize)>>>;

struct Setting {
    proxy: Proxy,
    reached: Reached,
    folder: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scopes = json!({"router": {
            "paths": ["arn:aws:ssm:us-east-1:000000000000:parameter/r/control/*"],
            "tagged": [{"actions": ["ec2:CreateFleet"], "tags": {"aws:RequestTag/stack": ["ours"]}},
                {"actions": ["ec2:TerminateInstances"], "tags": {"ec2:ResourceTag/stack": ["ours"]}}],
        }});
        std::fs::write(folder.path().join("scopes.json"), scopes.to_string()).unwrap();
        let (emulator, reached) = emulator().await;
        let at = |name: &str| folder.path().join(name);
        let files = Files { calls: at("calls"), scopes: at("scopes.json"), groups: at("groups.json") };
        let proxy = Bound::new().await.unwrap().serve(&emulator, &files, Arc::default()).unwrap();
        Self { proxy, reached, folder }
    }

    /// A call of a JSON service, signed by the router's session.
    async fn target(&self, service: &str, target: &str, body: &str) -> Result<Answer, HttpError> {
        self.call(Method::POST, "/", service, &[("x-amz-target", target)], body.to_owned(), LIMIT).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: String,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let scope = format!("{}/20261124/us-east-1/{service}/aws4_request", key_of(ARN, ROLE));
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=ab");
        let mut all = vec![("authorization", signed.as_str())];
        all.extend_from_slice(headers);
        Http::default().call(method, &format!("{}{path}", self.proxy.url()), &all, body.into(), limit).await
    }

    async fn fault(&self, op: &str, deed: &str) -> StatusCode {
        let url = format!("{}/_proxy/faults", self.proxy.url());
        let body = json!({"op": op, "nth": 1, "do": deed}).to_string();
        Http::default().call(Method::POST, &url, &[], body.into(), LIMIT).await.unwrap().status
    }

    /// How often the emulator was asked, the list of functions apart.
    fn reached(&self) -> usize {
        self.reached
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, path, _, _)| !path.starts_with("/2015-03-31/functions?") && path != "/2015-03-31/functions")
            .count()
    }

    /// The lines, once there are as many; the last one is written when its caller has its answer already.
    async fn lines(&self, count: usize) -> Vec<Value> {
        let path = self.folder.path().join("calls");
        tokio::time::timeout(LIMIT, read_lines(&path, count)).await.expect("the witness writes a line for each call")
    }
}

async fn read_lines(path: &Path, count: usize) -> Vec<Value> {
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.len() >= count {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn emulator() -> (String, Reached) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let reached = Reached::default();
    let all = Arc::clone(&reached);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reached = Arc::clone(&all);
            let service = service_fn(move |request| answer(request, Arc::clone(&reached)));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, reached)
}

async fn answer(request: Request<Incoming>, reached: Reached) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let length = body.collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
    let path = parts.uri.to_string();
    let host = parts.headers.get("host").map(|host| host.to_str().unwrap().to_owned()).unwrap_or_default();
    let is_list = parts.method == Method::GET && path.starts_with("/2015-03-31/functions");
    reached.lock().unwrap().push((parts.method.to_string(), path, host, length));
    let functions = json!({"Functions": [{"FunctionName": "router", "FunctionArn": ARN, "Role": ROLE}]});
    let body = if is_list { functions.to_string() } else { format!("{{\"length\":{length}}}") };
    Ok(Response::new(Full::new(Bytes::from(body))))
}

#[tokio::test]
async fn every_call_is_recorded_with_who_and_what() {
    let setting = Setting::new().await;
    setting.target("dynamodb", "DynamoDB_20120810.PutItem", "{}").await.unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let action = "Action=DescribeInstances&Version=2016-11-15".to_owned();
    setting.call(Method::POST, "/", "ec2", &form, action, LIMIT).await.unwrap();
    let invoke = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aexecutor%3A%24LATEST/invocations";
    let event = [("x-amz-invocation-type", "Event"), ("x-amz-tenant-id", "l-1")];
    setting.call(Method::POST, invoke, "lambda", &event, "{}".to_owned(), LIMIT).await.unwrap();
    Http::default().call(Method::GET, &format!("{}/x", setting.proxy.url()), &[], Bytes::new(), LIMIT).await.unwrap();
    let lines = setting.lines(4).await;
    let shown: Vec<_> =
        lines.iter().map(|line| (&line["function"], &line["service"], &line["op"], &line["status"])).collect();
    let router = &json!("router");
    assert_eq!(shown[0], (router, &json!("dynamodb"), &json!("PutItem"), &json!(200)));
    assert_eq!(shown[1], (router, &json!("ec2"), &json!("DescribeInstances"), &json!(200)));
    assert_eq!(shown[2], (router, &json!("lambda"), &json!("Invoke"), &json!(200)));
    assert_eq!(
        (&lines[2]["target"], &lines[2]["invocation"], &lines[2]["tenant"]),
        (&json!("executor"), &json!("Event"), &json!("l-1"))
    );
    assert_eq!(shown[3], (&Value::Null, &Value::Null, &json!("GET /x"), &json!(200)));
    assert!(lines.iter().all(|line| line["t"].is_i64() && line["ms"].is_i64()));
}

#[tokio::test]
async fn requests_pass_unchanged_and_streams_are_not_held() {
    let setting = Setting::new().await;
    let host = setting.proxy.url().trim_start_matches("http://").to_owned();
    let large = "x".repeat(24 << 20);
    let path = "/bucket/a%2Fb%20c?versionId=1%2F2&x";
    let answer = setting.call(Method::PUT, path, "s3", &[], large.clone(), LIMIT).await.unwrap();
    assert_eq!(answer.json("").unwrap()["length"], json!(large.len()));
    let reached = setting.reached.lock().unwrap().clone();
    assert!(reached.contains(&("PUT".into(), path.into(), host, large.len())));
}

#[tokio::test]
async fn a_connection_serves_call_after_call() {
    let setting = Setting::new().await;
    let mut stream = TcpStream::connect(setting.proxy.url().trim_start_matches("http://")).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /again HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"{\"length\":0}") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).await.unwrap();
            assert_ne!(read, 0, "the witness closed the connection");
            seen.extend_from_slice(&part[..read]);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(setting.reached(), 3);
}

#[tokio::test]
async fn an_error_is_answered_in_the_callers_protocol_and_not_carried_out() {
    let setting = Setting::new().await;
    for op in ["dynamodb:PutItem", "ec2:DescribeInstances", "sqs:SendMessage", "lambda:Invoke"] {
        assert_eq!(setting.fault(op, "error:SomeCode").await, StatusCode::CREATED);
    }
    let json = setting.target("dynamodb", "DynamoDB_20120810.PutItem", "{}").await.unwrap();
    assert_eq!((json.status, json.json("").is_err()), (StatusCode::BAD_REQUEST, true));
    assert_eq!(serde_json::from_slice::<Value>(&json.body).unwrap()["__type"], "SomeCode");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (service, action, shape) in [
        ("ec2", "Action=DescribeInstances", "<Response><Errors><Error><Code>SomeCode</Code>"),
        ("sqs", "Action=SendMessage", "<ErrorResponse><Error><Type>Sender</Type><Code>SomeCode</Code>"),
    ] {
        let answer = setting.call(Method::POST, "/", service, &form, action.to_owned(), LIMIT).await.unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.starts_with(shape), "{text}");
    }
    let invoke = "/2015-03-31/functions/f/invocations";
    let answer = setting.call(Method::POST, invoke, "lambda", &[], String::new(), LIMIT).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(setting.reached(), 0);
    assert!(setting.lines(4).await.iter().all(|line| line["fault"] == "error:SomeCode" && line["status"] == 400));
}

#[tokio::test]
async fn resets_hangs_and_repetitions_do_what_they_say() {
    let setting = Setting::new().await;
    let put = || setting.target("dynamodb", "DynamoDB_20120810.PutItem", "{}");
    setting.fault("dynamodb:PutItem", "reset:before").await;
    assert!(matches!(put().await, Err(HttpError::NoAnswer { .. })));
    assert_eq!(setting.reached(), 0);
    setting.fault("dynamodb:PutItem", "reset").await;
    assert!(matches!(put().await, Err(HttpError::NoAnswer { .. })));
    assert_eq!(setting.reached(), 1);
    setting.fault("dynamodb:PutItem", "hang:0.01").await;
    assert_eq!(put().await.unwrap().status, StatusCode::OK);
    assert_eq!(setting.reached(), 2);
    setting.fault("dynamodb:PutItem", "answer_twice").await;
    assert_eq!(put().await.unwrap().status, StatusCode::OK);
    assert_eq!(setting.reached(), 4);
    setting.fault("dynamodb:PutItem", "hang").await;
    let headers = [("x-amz-target", "DynamoDB_20120810.PutItem")];
    let late = setting.call(Method::POST, "/", "dynamodb", &headers, "{}".to_owned(), Duration::from_millis(200)).await;
    assert!(matches!(late, Err(HttpError::Late { .. })));
    assert_eq!(put().await.unwrap().status, StatusCode::OK);
    let lines = setting.lines(7).await;
    let said = |fault: &str| {
        lines.iter().filter(|line| line["fault"] == fault).map(|line| line["status"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (said("reset"), said("reset:before"), said("hang")),
        (vec![Value::Null], vec![Value::Null], vec![Value::Null])
    );
    assert_eq!((said("hang:0.01"), said("answer_twice")), (vec![json!(200)], vec![json!(200), json!(200)]));
}

#[tokio::test]
async fn a_service_that_is_down_answers_in_its_own_words_until_it_is_up_again() {
    let setting = Setting::new().await;
    let url = format!("{}/_proxy/faults", setting.proxy.url());
    let http = Http::default();
    let services = [
        ("dynamodb", "DynamoDB_20120810.GetItem", "ProvisionedThroughputExceededException", "InternalServerError"),
        ("ssm", "AmazonSSM.GetParameter", "ThrottlingException", "InternalServerError"),
        ("events", "AWSEvents.PutEvents", "ThrottlingException", "InternalException"),
    ];
    for (service, target, throttle, fail) in services {
        for (deed, code, status) in [("throttle", throttle, 400), ("fail", fail, 500)] {
            let fault = json!({"op": format!("{service}:*"), "lasting": true, "do": deed});
            http.json(Method::POST, &url, &[], &fault, LIMIT).await.unwrap();
            for _ in 0..3 {
                let answer = setting.target(service, target, "{}").await.unwrap();
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!((answer.status.as_u16(), &body["__type"]), (status, &json!(code)), "{service} {deed}");
            }
            http.json(Method::DELETE, &url, &[], &Value::Null, LIMIT).await.unwrap();
        }
    }
    assert_eq!(setting.reached(), 0);
    setting.fault("lambda:*", "throttle").await;
    let invoke = "/2015-03-31/functions/f/invocations";
    let throttled = setting.call(Method::POST, invoke, "lambda", &[], String::new(), LIMIT).await.unwrap();
    assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS);
    setting.fault("ssm:*", "hang:before").await;
    let headers = [("x-amz-target", "AmazonSSM.GetParameter")];
    let late = setting.call(Method::POST, "/", "ssm", &headers, "{}".to_owned(), Duration::from_millis(200)).await;
    assert!(matches!(late, Err(HttpError::Late { .. })));
    assert_eq!(setting.reached(), 0, "it was not carried out");
    assert_eq!(setting.target("ssm", "AmazonSSM.GetParameter", "{}").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn an_entry_that_the_bus_refuses_is_in_an_answer_of_success() {
    let setting = Setting::new().await;
    setting.fault("events:PutEvents", "refuse_entry").await;
    let put = || setting.target("events", "AWSEvents.PutEvents", r#"{"Entries":[{},{}]}"#);
    let refused = put().await.unwrap();
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &body["FailedEntryCount"]), (StatusCode::OK, &json!(2)));
    assert_eq!(body["Entries"].as_array().unwrap().len(), 2);
    assert!(body["Entries"].as_array().unwrap().iter().all(|entry| entry["ErrorCode"] == "InternalFailure"));
    assert_eq!(setting.reached(), 0, "it was not carried out");
    assert_eq!(put().await.unwrap().status, StatusCode::OK);
    assert_eq!(setting.reached(), 1);
}

#[tokio::test]
async fn bad_faults_are_refused_and_faults_can_be_seen_and_forgotten() {
    let setting = Setting::new().await;
    assert_eq!(setting.fault("PutItem", "reset").await, StatusCode::BAD_REQUEST);
    assert_eq!(setting.fault("a:B", "explode").await, StatusCode::BAD_REQUEST);
    setting.fault("a:B", "hang:3").await;
    let url = format!("{}/_proxy/faults", setting.proxy.url());
    let http = Http::default();
    let faults = http.json(Method::GET, &url, &[], &Value::Null, LIMIT).await.unwrap();
    assert_eq!(faults, json!([{"op": "a:B", "nth": 1, "do": "hang:3", "seen": 0, "hits": 0, "done": false}]));
    http.json(Method::DELETE, &url, &[], &Value::Null, LIMIT).await.unwrap();
    assert_eq!(http.json(Method::GET, &url, &[], &Value::Null, LIMIT).await.unwrap(), json!([]));
}

#[tokio::test]
async fn parameters_outside_the_roles_branches_are_refused() {
    let setting = Setting::new().await;
    let by_path = |path: &str| json!({"Path": path, "Recursive": true}).to_string();
    let read = |path| setting.target("ssm", "AmazonSSM.GetParametersByPath", path);
    let inside = by_path("/r/control/a");
    assert_eq!(read(&inside).await.unwrap().status, StatusCode::OK);
    let outside = by_path("/r/runner");
    let refused = read(&outside).await.unwrap();
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(serde_json::from_slice::<Value>(&refused.body).unwrap()["__type"], "AccessDeniedException");
    assert_eq!(setting.reached(), 1);
}

#[tokio::test]
async fn instances_are_made_and_ended_with_the_tags_of_the_grant_only() {
    let setting = Setting::new().await;
    let ask = async |form: &str| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        setting.call(Method::POST, "/", "ec2", &headers, form.to_owned(), LIMIT).await.unwrap()
    };
    let tagged = |kind: &str, value: &str| {
        format!(
            "Action=CreateFleet&TagSpecification.1.ResourceType={kind}&TagSpecification.1.Tag.1.Key=a\
             &TagSpecification.1.Tag.1.Value=b&TagSpecification.1.Tag.2.Key=stack&TagSpecification.1.Tag.2.Value={value}"
        )
    };
    let is_refused =
        |answer: &Answer| String::from_utf8_lossy(&answer.body).contains("<Code>UnauthorizedOperation</Code>");
    for form in ["Action=CreateFleet", &tagged("instance", "theirs"), &tagged("volume", "ours")] {
        assert!(is_refused(&ask(form).await), "{form}");
    }
    assert_eq!(setting.reached(), 0);
    assert_eq!(ask(&tagged("instance", "ours")).await.status, StatusCode::OK);
    assert_eq!(setting.reached(), 1);

    // The instance is looked at first; the stand-in shows none with that tag.
    assert!(is_refused(&ask("Action=TerminateInstances&InstanceId.1=i-1").await));
    assert_eq!(setting.reached(), 2);
    assert_eq!(ask("Action=DescribeInstances").await.status, StatusCode::OK, "no grant of it asks for tags");
}
