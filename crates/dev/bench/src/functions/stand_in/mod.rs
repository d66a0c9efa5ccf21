//! A stand-in for AWS that is as fast as a server in the same process can be, so that what is left is the function's own
//! time: the emulator takes tens of milliseconds for a call, which would hide everything.
//!
//! It is strict: a call that AWS would refuse (unsigned, signed for another service, without a field that it needs, on a
//! table that does not exist) is refused here, and the bench fails by it. Every call is counted by its operation, so that
//! a function and its floor can be shown to make the same ones.

mod dynamo;
mod services;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use dynamo::Tables;

/// How often each operation was called, by its name.
pub(crate) type Calls = BTreeMap<String, u64>;

/// The served stand-in. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    tables: Tables,
    parameters: Vec<(String, String)>,
    /// What calls of services are answered that speak forms and XML, by their names.
    texts: BTreeMap<String, String>,
    calls: Calls,
    refused: Vec<String>,
}

/// A call that AWS would not have taken.
#[derive(Debug)]
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { code: "ValidationException", message: message.into() }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl StandIn {
    /// With these tables, all with the partition key `pk`, and these parameters, by their whole names.
    ///
    /// # Errors
    /// There is no loopback port.
    pub(crate) async fn new(tables: &[&str], parameters: &[(&str, &str)]) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let state = State { tables: Tables::new(tables), parameters, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// From now on this operation of a service that speaks forms and XML (`autoscaling:SetDesiredCapacity`) is answered with
    /// this document.
    pub(crate) fn say(&self, operation: &str, document: String) {
        held(&self.state).texts.insert(operation.to_owned(), document);
    }

    /// The address for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls since the last time this was asked, and what was refused of them.
    #[must_use]
    pub(crate) fn take_calls(&self) -> (Calls, Vec<String>) {
        let mut state = held(&self.state);
        (std::mem::take(&mut state.calls), std::mem::take(&mut state.refused))
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, state: Arc<Mutex<State>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(serve(request, &state).await) }
    });
    // An error is a function that left.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn serve(request: Request<Incoming>, state: &Mutex<State>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return answer(StatusCode::BAD_REQUEST, &Value::Null) };
    let body = body.to_bytes();
    let mut state = held(state);
    let named = services::name(&head, &body);
    let answered = match &named {
        Ok((service, operation)) => {
            *state.calls.entry(format!("{service}:{operation}")).or_default() += 1;
            services::answer(&mut state, service, operation, &body)
        }
        Err(refusal) => Err(Refusal { code: refusal.code, message: refusal.message.clone() }),
    };
    match answered {
        Ok((status, body)) => answer(status, &body),
        Err(Refusal { code, message }) => {
            // A condition that does not hold is an answer like any other.
            if code != "ConditionalCheckFailedException" {
                state.refused.push(format!("{} {code}: {message}", head.uri.path()));
            }
            answer(StatusCode::BAD_REQUEST, &json!({"__type": code, "message": message}))
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let body = match body {
        Value::Null => Bytes::new(),
        Value::String(document) => Bytes::from(document.clone()),
        other => Bytes::from(other.to_string()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/x-amz-json-1.0"));
    headers.insert("x-amzn-requestid", hyper::header::HeaderValue::from_static("00000000-0000-4000-8000-000000000000"));
    response
}

#[cfg(test)]
mod tests;
