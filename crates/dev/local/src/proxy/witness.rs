//! What happens to one call: it is told what it is and whose, disturbed if a fault waits for it, passed on, recorded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT};
use hyper::{Method, Request, Response, StatusCode, Uri, http};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use tokio::time::Instant;

use super::autoscaling::AutoScaling;
use super::ec2::{Lacking, instances};
use super::faults::{Deed, Faults, HANG_LIMIT};
use super::identify::Identities;
use super::kin::{Kin, Watch};
use super::operation::{Call, is_form, text};
use super::record::{Line, Record};
use super::server::Files;
use super::{Body, answers, never};
use crate::aws::Aws;
use crate::instances::register::Register;

/// The most of a body that is held; AWS takes no larger ones in the services that need holding.
const HELD: usize = 8 << 20;
/// Shorter than the 75 s after which the emulator closes idle connections, so that none is used while it closes.
const IDLE: Duration = Duration::from_secs(30);

/// The caller gets no answer: its connection closes.
#[derive(Debug, thiserror::Error)]
#[error("the connection closes without an answer")]
pub(super) struct Dropped;

/// The witness.
#[derive(Debug)]
pub(super) struct Witness {
    /// `<host>:<port>`.
    emulator: String,
    client: Client<HttpConnector, Body>,
    identities: Identities,
    faults: Faults,
    kin: Kin,
    record: Record,
    /// What the emulator lacks of EC2.
    lacking: Lacking,
    groups: Arc<AutoScaling>,
}

/// A request whose body names the operation, or any other.
struct Asked<'a> {
    call: &'a Call,
    form: Option<Bytes>,
    about: Option<String>,
    /// When the instances that it makes have their hard end, where a fault says so.
    expires: Option<Timestamp>,
}

/// Writes the line also when the caller leaves and with it this future.
struct Pending<'a> {
    record: &'a Record,
    line: Line,
    begun: Instant,
}

impl Pending<'_> {
    fn answered(mut self, status: StatusCode) {
        self.line.status = Some(status.as_u16());
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.line.ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.record.append(&self.line);
    }
}

impl Witness {
    /// A witness in front of `emulator`, see [`super::Bound::serve`].
    pub(super) fn new(emulator: &str, files: &Files, register: Arc<Register>) -> io::Result<Self> {
        let aws = Aws::new(&format!("http://{emulator}"));
        let mut connector = HttpConnector::new();
        // Else a request in two writes waits for the other side's delayed acknowledgement, 40 ms.
        connector.set_nodelay(true);
        Ok(Self {
            emulator: emulator.to_owned(),
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .set_host(false)
                .build(connector),
            identities: Identities::new(aws.clone(), files.scopes.clone()),
            faults: Faults::default(),
            kin: Kin::default(),
            record: Record::open(&files.calls)?,
            lacking: Lacking::new(aws.clone(), Arc::clone(&register)),
            groups: Arc::new(AutoScaling::new(aws, files.groups.clone(), register)),
        })
    }

    /// The groups.
    pub(super) fn groups(&self) -> Arc<AutoScaling> {
        Arc::clone(&self.groups)
    }

    /// The faults.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        if let Some(path) = request.uri().path().strip_prefix("/_proxy/") {
            let path = path.to_owned();
            return Ok(self.control(&path, request).await);
        }
        let (parts, body) = request.into_parts();
        let is_read = is_form(&parts.headers) || needs_scope(&parts) || self.kin.watches();
        let (held, body) = if is_read { self.hold(body.boxed()).await? } else { (None, body.boxed()) };
        let call = Call::read(&parts.method, &parts.uri, &parts.headers, held.as_deref());
        let function = self.identities.function(call.access_key.as_deref()).await;
        let about = held.as_deref().and_then(|body| self.kin.read(body));
        let deed = self.faults.take(&call, function.as_deref(), about.as_deref());
        let mut pending = self.begin(&call, &parts, held.as_deref(), function.clone(), deed.as_ref());
        pending.line.about.clone_from(&about);
        if let (Some(function), Some(body)) = (&function, held.as_deref().filter(|_| needs_scope(&parts)))
            && let Some(refused) = self.out_of_scope(function, body)
        {
            pending.answered(refused.status());
            return Ok(refused);
        }
        if let (Some(function), Some(form)) = (&function, held.as_deref())
            && let Some(refused) =
                self.lacking.untagged(&self.identities.tagged(function, &call.op()), function, &call, form).await
        {
            pending.answered(refused.status());
            return Ok(refused);
        }
        if let (Some(function), Some(form)) = (&function, held.as_deref())
            && call.op() == "autoscaling:TerminateInstanceInAutoScalingGroup"
            && let Some(group) = self.groups.arn_of(form).await
            && !self.identities.may_end_in(function, &group)
        {
            let message = format!("{function} is not authorized to perform: {} on resource: {group}", call.op());
            let refused = answers::error(Some("autoscaling"), &parts.headers, "AccessDenied", &message);
            pending.answered(refused.status());
            return Ok(refused);
        }
        let asked = Asked { call: &call, form: held.filter(|_| is_form(&parts.headers)), about, expires: None };
        match deed {
            None => self.pass(&asked, parts, body, pending).await,
            Some(deed) => self.disturb(deed, &asked, parts, body, pending).await,
        }
    }

    async fn pass(
        &self,
        asked: &Asked<'_>,
        parts: http::request::Parts,
        body: Body,
        pending: Pending<'_>,
    ) -> Result<Response<Body>, Dropped> {
        let response = self.forward(asked, parts, body).await;
        pending.answered(response.status());
        Ok(response)
    }

    async fn disturb(
        &self,
        deed: Deed,
        asked: &Asked<'_>,
        parts: http::request::Parts,
        body: Body,
        pending: Pending<'_>,
    ) -> Result<Response<Body>, Dropped> {
        let service = asked.call.service.as_deref();
        let refuse = |code: &str, pending: Pending<'_>| {
            let response = answers::error(service, &parts.headers, code, "put there by the witness");
            pending.answered(response.status());
            Ok(response)
        };
        match deed {
            Deed::Error(code) => refuse(&code, pending),
            Deed::Throttle => refuse(answers::throttle_code(service), pending),
            Deed::Fail => refuse(answers::failure_code(service), pending),
            Deed::HangBefore => {
                tokio::time::sleep(HANG_LIMIT).await;
                Err(Dropped)
            }
            Deed::ResetBefore => Err(Dropped),
            Deed::Reset => {
                drain(self.forward(asked, parts, body).await).await;
                Err(Dropped)
            }
            Deed::Hang(late) => {
                let response = self.forward(asked, parts, body).await;
                tokio::time::sleep(late.unwrap_or(HANG_LIMIT)).await;
                if late.is_none() {
                    return Err(Dropped);
                }
                pending.answered(response.status());
                Ok(response)
            }
            Deed::AnswerTwice => {
                let (held, _) = self.hold(body).await?;
                let body = || Full::new(held.clone().unwrap_or_default()).map_err(never).boxed();
                let first = Pending { line: pending.line.clone(), record: pending.record, begun: Instant::now() };
                let response = self.forward(asked, parts.clone(), body()).await;
                first.answered(response.status());
                drain(response).await;
                self.pass(asked, parts, body(), pending).await
            }
            Deed::NoInstances(code) => {
                let response = answers::no_instances(&code);
                pending.answered(response.status());
                Ok(response)
            }
            Deed::Expires(seconds) => {
                let expires = Some(Timestamp::now() + Duration::from_secs(seconds.into()));
                let asked = Asked { call: asked.call, form: asked.form.clone(), about: asked.about.clone(), expires };
                self.pass(&asked, parts, body, pending).await
            }
            Deed::RefuseEntry => {
                let (held, _) = self.hold(body).await?;
                let response = answers::refused_entries(held.as_deref().unwrap_or_default());
                pending.answered(response.status());
                Ok(response)
            }
        }
    }

    /// Has a call carried out: by the emulator, with what that lacks.
    async fn forward(&self, asked: &Asked<'_>, parts: http::request::Parts, body: Body) -> Response<Body> {
        match &asked.form {
            Some(form) if asked.call.service.as_deref() == Some("ec2") => {
                let answer =
                    self.lacking.answer(&asked.call.operation, form, asked.expires, self.send(parts, body)).await;
                match &asked.about {
                    Some(about) if asked.call.operation == "CreateFleet" => self.learn(about, answer).await,
                    _ => answer,
                }
            }
            Some(form) if asked.call.service.as_deref() == Some("autoscaling") => {
                self.groups.answer(&asked.call.operation, form, self.send(parts, body)).await
            }
            _ => self.send(parts, body).await,
        }
    }

    /// Instances have their ids from the answer.
    async fn learn(&self, about: &str, answer: Response<Body>) -> Response<Body> {
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        self.kin.learn(about, &body);
        Response::from_parts(parts, Full::new(body).map_err(never).boxed())
    }

    async fn send(&self, mut parts: http::request::Parts, body: Body) -> Response<Body> {
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let Ok(uri) = format!("http://{}{path}", self.emulator).parse::<Uri>() else {
            return answers::plain(StatusCode::BAD_REQUEST, "the path cannot be forwarded");
        };
        parts.uri = uri;
        parts.headers.remove(CONNECTION);
        // The server side has sent its 100 already.
        parts.headers.remove(EXPECT);
        match self.client.request(Request::from_parts(parts, body)).await {
            Ok(response) => {
                let mut response = response.map(http_body_util::BodyExt::boxed);
                response.headers_mut().remove(CONNECTION);
                response
            }
            Err(error) => answers::plain(StatusCode::BAD_GATEWAY, &format!("the emulator did not answer: {error}")),
        }
    }

    async fn hold(&self, body: Body) -> Result<(Option<Bytes>, Body), Dropped> {
        let bytes = Limited::new(body, HELD).collect().await.map_err(|_| Dropped)?.to_bytes();
        Ok((Some(bytes.clone()), Full::new(bytes).map_err(never).boxed()))
    }

    fn begin(
        &self,
        call: &Call,
        parts: &http::request::Parts,
        held: Option<&[u8]>,
        function: Option<String>,
        deed: Option<&Deed>,
    ) -> Pending<'_> {
        let header = |name| text(&parts.headers, name).map(str::to_owned);
        let invoke = call.service.as_deref() == Some("lambda") && call.operation == "Invoke";
        let line = Line {
            t: Timestamp::now().as_millisecond(),
            function,
            service: call.service.clone(),
            op: call.operation.clone(),
            status: None,
            ms: 0,
            about: None,
            target: invoke.then(|| invoked(&parts.uri)).flatten(),
            invocation: invoke.then(|| header("x-amz-invocation-type")).flatten(),
            tenant: invoke.then(|| header("x-amz-tenant-id")).flatten(),
            instances: held.filter(|_| call.service.as_deref() == Some("ec2")).map(instances).unwrap_or_default(),
            fault: deed.map(ToString::to_string),
        };
        Pending { record: &self.record, line, begun: Instant::now() }
    }

    fn out_of_scope(&self, function: &str, body: &[u8]) -> Option<Response<Body>> {
        let input: serde_json::Value = serde_json::from_slice(body).ok()?;
        let path = input["Path"].as_str()?;
        if self.identities.may_read(function, path) {
            return None;
        }
        let message =
            format!("{function} is not authorized to perform: ssm:GetParametersByPath on resource: parameter{path}");
        Some(answers::error(Some("ssm"), &hyper::HeaderMap::new(), "AccessDeniedException", &message))
    }

    /// `GET`, `POST` and `DELETE /_proxy/faults?about=<name>`; `POST /_proxy/watch`, see [`super::kin`]; `POST /_proxy/refresh`
    /// after a deployment.
    async fn control(&self, path: &str, request: Request<Incoming>) -> Response<Body> {
        match (request.method().clone(), path) {
            (Method::GET, "faults") => answers::json(StatusCode::OK, &self.faults.list()),
            (Method::DELETE, "faults") => {
                let about = request.uri().query().and_then(|query| query.strip_prefix("about="));
                self.faults.clear(about);
                answers::json(StatusCode::OK, &self.faults.list())
            }
            (Method::POST, "faults" | "watch") => match Limited::new(request.into_body(), HELD).collect().await {
                Ok(body) if path == "watch" => match serde_json::from_slice::<Watch>(&body.to_bytes()) {
                    Ok(watch) => {
                        self.kin.watch(watch);
                        answers::json(StatusCode::CREATED, &())
                    }
                    Err(bad) => answers::plain(StatusCode::BAD_REQUEST, &bad.to_string()),
                },
                Ok(body) => match self.faults.set(&body.to_bytes()) {
                    Ok(fault) => answers::json(StatusCode::CREATED, &fault),
                    Err(bad) => answers::plain(StatusCode::BAD_REQUEST, &bad.to_string()),
                },
                Err(error) => answers::plain(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            (Method::POST, _) if path.starts_with("interrupt/") => self.interrupt(&path["interrupt/".len()..]).await,
            (Method::POST, "refresh") => {
                self.identities.forget();
                answers::json(StatusCode::OK, &())
            }
            _ => answers::plain(
                StatusCode::NOT_FOUND,
                "GET, POST, DELETE /_proxy/faults, POST /_proxy/watch, POST /_proxy/interrupt/<instance id> or POST /_proxy/refresh",
            ),
        }
    }

    /// `POST /_proxy/interrupt/<instance id>`: EC2 wants its spot instance back, and says so.
    async fn interrupt(&self, instance: &str) -> Response<Body> {
        match self.lacking.interrupt(instance, Timestamp::now()).await {
            Ok(at) => answers::json(StatusCode::OK, &serde_json::json!({"at": at.as_millisecond()})),
            Err(error) => answers::plain(StatusCode::BAD_GATEWAY, &crate::demo::said(&error)),
        }
    }
}

fn needs_scope(parts: &http::request::Parts) -> bool {
    text(&parts.headers, "x-amz-target") == Some("AmazonSSM.GetParametersByPath")
}

/// The function's name in an invoke's path; of an ARN its last part but a qualifier.
fn invoked(uri: &Uri) -> Option<String> {
    let segment = uri.path().split("/functions/").nth(1)?.split('/').next()?;
    let name = segment.replace("%3A", ":").replace("%3a", ":");
    let named = name.split_once(":function:").map_or(name.as_str(), |(_, rest)| rest);
    named.split(':').next().map(str::to_owned)
}

async fn drain(response: Response<Body>) {
    let _ = response.into_body().collect().await;
}
