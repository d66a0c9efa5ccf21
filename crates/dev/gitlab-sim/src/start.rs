//! Starting and ending.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::hooks::deliver::Clients;
use crate::id_token::SignerError;
use crate::random;
use crate::saved::{self, SavedError};
use crate::server::listen::{self, Door};
use crate::server::tls;
use crate::sim::Sim;
use crate::world::{Place, World};

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen: a loopback address, port 0 for any.
    pub listen: SocketAddr,
    /// Where logs, repositories, artifacts and the saved world go. It is made when it is not there.
    pub state: PathBuf,
    /// Speak TLS, with an authority of the state directory's own.
    pub tls: bool,
    /// The token for the user API; a new one when absent.
    pub admin_token: Option<String>,
    /// The path that everything of this GitLab is below (`/gitlab`, its relative URL root); empty for none. The control
    /// calls are reached with it and without.
    pub root: String,
}

/// The simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not a loopback one.
    #[error("--listen {0}: only the loopback interface is allowed, as in 127.0.0.1:0")]
    NotLoopback(SocketAddr),
    /// The relative URL root is no path.
    #[error("--root {0:?}: write a path that begins with a slash and ends without one, as in /gitlab")]
    Root(String),
    /// The address cannot be had.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The state directory cannot be made.
    #[error("cannot make {}", .0.display())]
    State(PathBuf, #[source] io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] tls::TlsError),
    /// What an earlier run left cannot be gone on with.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The key of ID tokens.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The client for hooks cannot be set up.
    #[error("cannot set up the client for hooks")]
    Client(#[source] reqwest::Error),
}

/// Why serving ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to: the world is saved, and the next start with the same state directory goes on.
    Asked,
    /// Nobody is left to start it again: nothing is written.
    Orphaned,
}

/// A simulator that listens and is not served yet.
pub struct Simulator {
    listener: TcpListener,
    storage: TcpListener,
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
    /// Takes the address, makes the state directory, and goes on with the world that an earlier run saved there.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        if !is_root(&options.root) {
            return Err(StartError::Root(options.root));
        }
        std::fs::create_dir_all(&options.state).map_err(|error| StartError::State(options.state.clone(), error))?;
        let dir = options.state.canonicalize().map_err(|error| StartError::State(options.state.clone(), error))?;
        let cannot = |error| StartError::Listen(options.listen, error);
        let listener = TcpListener::bind(options.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let storage = TcpListener::bind(SocketAddr::new(options.listen.ip(), 0)).await.map_err(cannot)?;
        let storage_address = storage.local_addr().map_err(cannot)?;
        let ca_file = options.tls.then(|| dir.join(tls::CA_FILE));
        let tls = options.tls.then(|| tls::acceptor(&dir)).transpose()?;
        let clients = Clients::new().map_err(StartError::Client)?;
        let saved = saved::load(&dir)?;
        let known = saved.as_ref().map(|saved| saved.admin_token.clone());
        let scheme = if options.tls { "https" } else { "http" };
        let place = Arc::new(Place {
            url: format!("{scheme}://{address}{}", options.root),
            storage_url: format!("{scheme}://{storage_address}"),
            root: options.root,
            dir,
            admin_token: options.admin_token.or(known).unwrap_or_else(|| format!("glpat-{}", random::word(20))),
            signer: Mutex::default(),
        });
        let world = match saved {
            Some(saved) => saved.go_on(place)?,
            None => World::new(place),
        };
        if world.jobs.values().any(|job| !job.spec.id_tokens.is_empty()) {
            world.place.signer()?;
        }
        Ok(Self { listener, storage, tls, sim: Sim::new(world, clients), ca_file })
    }

    /// Where it listens, as in `http://127.0.0.1:4000`, with its root.
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

    /// Serves until `stop` is ready. What is under way then is broken off, and what it did is in the saved world.
    ///
    /// # Errors
    /// [`SavedError::Write`] when the world cannot be saved.
    pub async fn serve(self, stop: impl Future<Output = Stop>) -> Result<(), SavedError> {
        self.sim.with(World::resume_deliveries);
        let timers = tokio::spawn(self.sim.clone().run_timers());
        let never = std::future::pending::<Infallible>();
        let why = tokio::select! {
            why = listen::run(self.listener, self.tls.clone(), self.sim.clone(), Door::GitLab, stop) => why,
            never = listen::run(self.storage, self.tls, self.sim.clone(), Door::Storage, never) => match never {},
        };
        timers.abort();
        self.sim.end_deliveries();
        match why {
            Stop::Asked => self.sim.look(saved::save),
            Stop::Orphaned => Ok(()),
        }
    }
}

/// Whether this is no root, or one as GitLab takes it.
fn is_root(root: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    root.is_empty()
        || root
            .strip_prefix('/')
            .is_some_and(|path| path.split('/').all(|part| !part.is_empty() && part.chars().all(plain)))
}
