//! Where the metrics are told: `/metrics`, to anybody, as the official runner does.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::exposition::Exposition;

/// What is told, as it stands.
pub(crate) type Board = Arc<Mutex<Exposition>>;

/// Listens at `address`; `:9252` are all addresses of the machine. Serves until the process ends.
pub(crate) async fn start(address: &str, board: Board) -> io::Result<()> {
    let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&board)))),
                // Out of descriptors.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(())
}

async fn connection(stream: TcpStream, board: Board) {
    let service = service_fn(move |request| {
        let answer = answer(&request, &board);
        async move { Ok::<_, Infallible>(answer) }
    });
    // An error is a caller that left.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    let is_metrics = request.method() == Method::GET && request.uri().path() == "/metrics";
    let text = if is_metrics { board.lock().unwrap_or_else(PoisonError::into_inner).text() } else { String::new() };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    if !is_metrics {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let kind =
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}
