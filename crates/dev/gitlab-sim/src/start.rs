//! Starting and ending.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::hooks::deliver::Clients;
use crate::random;
use crate::server::{listen, tls};
use crate::sim::Sim;
use crate::world::Place;

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen: a loopback address, port 0 for any.
    pub listen: SocketAddr,
    /// Where logs, repositories and artifacts go. It is made when it is not there.
    pub state: PathBuf,
    /// Speak TLS, with an authority of this run's own.
    pub tls: bool,
    /// The token for the user API; a new one when absent.
    pub admin_token: Option<String>,
}

/// The simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not a loopback one.
    #[error("--listen {0}: only the loopback interface is allowed, as in 127.0.0.1:0")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The state directory cannot be made.
    #[error("cannot make {}", .0.display())]
    State(PathBuf, #[source] io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] tls::TlsError),
    /// The client for hooks cannot be set up.
    #[error("cannot set up the client for hooks")]
    Client(#[source] reqwest::Error),
}

/// A simulator that listens and is not served yet.
pub struct Simulator {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    sim: Sim,
    ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Takes the address and makes the state directory.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        std::fs::create_dir_all(&options.state).map_err(|error| StartError::State(options.state.clone(), error))?;
        let dir = options.state.canonicalize().map_err(|error| StartError::State(options.state.clone(), error))?;
        let cannot = |error| StartError::Listen(options.listen, error);
        let listener = TcpListener::bind(options.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let ca_file = options.tls.then(|| dir.join("ca.pem"));
        let tls = ca_file.as_deref().map(tls::acceptor).transpose()?;
        let place = Place {
            url: format!("{}://{address}", if options.tls { "https" } else { "http" }),
            dir,
            admin_token: options.admin_token.unwrap_or_else(|| format!("glpat-{}", random::word(20))),
        };
        let clients = Clients::new().map_err(StartError::Client)?;
        Ok(Self { listener, tls, sim: Sim::new(place, clients), ca_file })
    }

    /// Where it listens, as in `http://127.0.0.1:4000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.sim.place().url
    }

    /// The token for the user API.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.sim.place().admin_token
    }

    /// The certificate of the authority, when it speaks TLS.
    #[must_use]
    pub fn ca_file(&self) -> Option<&std::path::Path> {
        self.ca_file.as_deref()
    }

    /// Serves until `stop` is ready.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let timers = tokio::spawn(self.sim.clone().run_timers());
        listen::run(self.listener, self.tls, self.sim, stop).await;
        timers.abort();
    }
}
