//! Accepting connections.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::serve::serve;
use crate::sim::Sim;
use crate::storage;

/// How long a connection may take to send the head of a request, or to finish its handshake.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Pause when no connection can be accepted (too many files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who answers at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    /// GitLab, and the control calls.
    GitLab,
    /// Where artifacts are stored.
    Storage,
}

/// Accepts and serves until `stop` is ready; its word. The connections have ended then, and nothing is done for them any
/// more.
pub(crate) async fn run<T>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    sim: Sim,
    door: Door,
    stop: impl Future<Output = T>,
) -> T {
    let tls = tls.map(Arc::new);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            why = &mut stop => {
                connections.shutdown().await;
                return why;
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let (sim, tls) = (sim.clone(), tls.clone());
                    connections.spawn(async move {
                        // A broken connection is the client's affair; faults break them on purpose.
                        let _ = connection(socket, tls, sim, door).await;
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn connection(
    socket: tokio::net::TcpStream,
    tls: Option<Arc<TlsAcceptor>>,
    sim: Sim,
    door: Door,
) -> Result<(), io::Error> {
    socket.set_nodelay(true)?;
    match tls {
        None => http(TokioIo::new(socket), sim, door).await,
        Some(tls) => {
            let stream = tokio::time::timeout(HEAD_LIMIT, tls.accept(socket)).await??;
            http(TokioIo::new(stream), sim, door).await
        }
    }
}

async fn http<I>(io: I, sim: Sim, door: Door) -> Result<(), io::Error>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let sim = sim.clone();
        async move {
            match door {
                Door::GitLab => serve(sim, request).await,
                Door::Storage => Ok(storage::serve(&sim, &request)),
            }
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(io, service)
        .await
        .map_err(io::Error::other)
}
