//! A receiver of hooks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// One message.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn status(&self) -> String {
        self.json()["build_status"].as_str().unwrap().to_owned()
    }
}

/// Listens, keeps what comes, and answers as told.
pub(crate) struct Receiver {
    pub(crate) url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    hanging: watch::Sender<bool>,
    arrived: watch::Receiver<usize>,
    connections: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let messages = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let (hanging, hangs) = watch::channel(false);
        let (arrives, arrived) = watch::channel(0);
        let (kept, told) = (Arc::clone(&messages), Arc::clone(&answers));
        let connections = Arc::new(AtomicUsize::new(0));
        let opened = Arc::clone(&connections);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let (kept, told, hangs, arrives) =
                    (Arc::clone(&kept), Arc::clone(&told), hangs.clone(), arrives.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = receive(request, Arc::clone(&kept), Arc::clone(&told));
                    let (mut hangs, arrives) = (hangs.clone(), arrives.clone());
                    async move {
                        let answer = answer.await;
                        arrives.send_modify(|count| *count += 1);
                        let _ = hangs.wait_for(|hangs| !hangs).await;
                        answer
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { url, messages, answers, hanging, arrived, connections, server }
    }

    /// From now on messages are taken and not answered, or answered again.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hanging.send_replace(hangs);
    }

    /// Waits until so many messages have come.
    pub(crate) async fn count(&self, wanted: usize) {
        self.arrived.clone().wait_for(|count| *count >= wanted).await.unwrap();
    }

    /// The answers to the next messages; 200 to all others.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// How many connections were opened to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What came so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }
}

async fn receive(
    request: Request<Incoming>,
    kept: Arc<Mutex<Vec<Message>>>,
    told: Arc<Mutex<VecDeque<u16>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    kept.lock().unwrap().push(Message { headers: parts.headers, body });
    let status = told.lock().unwrap().pop_front().unwrap_or(200);
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}
