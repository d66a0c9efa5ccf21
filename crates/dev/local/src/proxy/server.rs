//! Listening and serving.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::faults::Faults;
use super::witness::Witness;
use crate::instances::register::Register;

/// The running witness.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    witness: Arc<Witness>,
}

/// The witness's files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The record.
    pub calls: PathBuf,
    /// See [`Identities::new`](super::identify::Identities::new); the deployment writes it.
    pub scopes: PathBuf,
    /// Which launch templates groups have by a mixed instances policy: group name to `template` and `version`. The deployment
    /// writes it.
    pub groups: PathBuf,
}

/// What a proxy needs before it knows its emulator: its address is part of the emulator's environment.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes a free port on loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn new() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// The address for the functions.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins to serve: `emulator` is `<host>:<port>`, `register` where instances are noted.
    ///
    /// # Errors
    /// When the record cannot be opened.
    pub fn serve(self, emulator: &str, files: &Files, register: Arc<Register>) -> io::Result<Proxy> {
        let witness = Arc::new(Witness::new(emulator, files, register)?);
        tokio::spawn(accept(self.listener, Arc::clone(&witness)));
        Ok(Proxy { address: self.address, witness })
    }
}

impl Proxy {
    /// The address for the functions.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins to do what Auto Scaling does by itself: it keeps groups at the size that they are to have.
    pub fn look_after_groups(&self) {
        tokio::spawn(self.witness.groups().run());
    }

    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.witness.faults()
    }
}

async fn accept(listener: TcpListener, witness: Arc<Witness>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&witness)));
            }
            // Out of descriptors: the callers see a slow witness, not a dead one.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, witness: Arc<Witness>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let witness = Arc::clone(&witness);
        async move { witness.answer(request).await }
    });
    // An error is a caller that left, or one that we dropped on purpose.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
