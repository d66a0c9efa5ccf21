//! The Runtime API's side of the socket. Anybody who finds the port may call it, as on Lambda: an answer counts only for
//! the event that is under way, and nobody gets another event before that is answered.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::invocation::{Failure, Invocation, Outcome};

const API: &str = "/2018-06-01/runtime/";

/// What a function did.
#[derive(Debug)]
pub(super) enum Heard {
    /// It asks for an event.
    Next(Waiting),
    /// It answered one.
    Answer { id: String, outcome: Outcome, at: Instant },
    /// It cannot start.
    Init(Bytes),
}

/// A request for an event that stays open until there is one.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    answer: oneshot::Sender<Invocation>,
}

impl Waiting {
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Answers the request; false when the function does not wait for it any more.
    pub(super) fn hand(self, invocation: Invocation) -> bool {
        self.answer.send(invocation).is_ok()
    }
}

/// The served API. It ends when it is dropped, with all its connections.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(super) async fn new(arn: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (told, heard) = mpsc::unbounded_channel();
        let function = Arc::new(Side { told, arn: arn.to_owned(), under_way: Mutex::default() });
        Ok(Self { address, heard, accepting: tokio::spawn(accept(listener, function)) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the function does next; never, when it does nothing more.
    pub(super) async fn hear(&mut self) -> Heard {
        match self.heard.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }
}

/// What a connection needs.
#[derive(Debug)]
struct Side {
    told: mpsc::UnboundedSender<Heard>,
    arn: String,
    /// The id of the event that waits for its answer.
    under_way: Mutex<Option<String>>,
}

async fn accept(listener: TcpListener, function: Arc<Side>) {
    // Dropped with this task: an aborted server leaves no connection open.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, Arc::clone(&function)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, function: Arc<Side>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let function = Arc::clone(&function);
        async move { Ok::<_, Infallible>(function.serve(request).await) }
    });
    // An error is a function that left.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Side {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().strip_prefix(API).unwrap_or_default().to_owned();
        match (request.method(), path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => match self.under_way() {
                None => self.next().await,
                Some(_) => plain(StatusCode::FORBIDDEN),
            },
            (&Method::POST, ["invocation", id, "response" | "error"]) if self.under_way().as_deref() != Some(*id) => {
                plain(StatusCode::BAD_REQUEST)
            }
            (&Method::POST, ["invocation", id, "response"]) => {
                let body = whole(request).await;
                self.told(id, body.map(Outcome::Response))
            }
            (&Method::POST, ["invocation", id, "error"]) => {
                let error_type = request.headers().get("lambda-runtime-function-error-type");
                let error_type = error_type.and_then(|text| text.to_str().ok()).map(str::to_owned);
                let body = whole(request).await;
                self.told(id, body.map(|body| Outcome::Failure(Failure { error_type, body })))
            }
            (&Method::POST, ["init", "error"]) => match whole(request).await {
                Some(body) => self.accepted(Heard::Init(body)),
                None => plain(StatusCode::BAD_REQUEST),
            },
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    fn under_way(&self) -> Option<String> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now_under_way(&self, id: Option<&str>) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = id.map(str::to_owned);
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let (answer, handed) = oneshot::channel();
        let told = self.told.send(Heard::Next(Waiting { since: Instant::now(), answer }));
        match handed.await {
            Ok(invocation) if told.is_ok() => {
                self.now_under_way(Some(&invocation.request_id));
                event(&invocation, &self.arn)
            }
            _ => plain(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn told(&self, id: &str, outcome: Option<Outcome>) -> Response<Full<Bytes>> {
        match outcome {
            Some(outcome) => {
                self.now_under_way(None);
                self.accepted(Heard::Answer { id: id.to_owned(), outcome, at: Instant::now() })
            }
            None => plain(StatusCode::BAD_REQUEST),
        }
    }

    fn accepted(&self, heard: Heard) -> Response<Full<Bytes>> {
        let told = self.told.send(heard);
        plain(if told.is_ok() { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE })
    }
}

/// The body; none when the function broke off.
async fn whole(request: Request<Incoming>) -> Option<Bytes> {
    request.into_body().collect().await.ok().map(http_body_util::Collected::to_bytes)
}

fn event(invocation: &Invocation, arn: &str) -> Response<Full<Bytes>> {
    let deadline = invocation.deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &invocation.request_id)
        .header("lambda-runtime-deadline-ms", deadline.to_string())
        .header("lambda-runtime-invoked-function-arn", arn);
    if let Some(tenant) = &invocation.tenant {
        response = response.header("lambda-runtime-aws-tenant-id", tenant);
    }
    // Only an id or a tenant that is no header text fails, and a test sees the function wait for ever no longer.
    response.body(Full::new(invocation.event.clone())).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
