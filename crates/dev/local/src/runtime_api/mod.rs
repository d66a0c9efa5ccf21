//! One function process and its Lambda Runtime API, for tests and benches: no emulator, no container.
//!
//! A [`Function`] starts a program as Lambda starts `bootstrap`, serves the [Runtime API] to it on a loopback port of its
//! own, hands it one event at a time and returns its answer with the times at which things happened. The times are
//! those of this process's monotonic clock, taken as close to the socket as this side can.
//!
//! [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

mod invocation;
mod program;
mod server;

use std::io;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::process::Child;
use tokio::time::timeout;

use crate::processes::Process;
use server::{Heard, Server, Waiting};

pub use invocation::{Answer, Failure, Invocation, Outcome};
pub use program::Program;

/// How long a killed process may take to be gone; more means that it hangs in a system call.
const GONE: Duration = Duration::from_secs(10);

/// The function did not do what the Runtime API asks for.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeApiError {
    /// There is no loopback port.
    #[error("no loopback port for the Runtime API")]
    Listen(#[source] io::Error),
    /// The program cannot be started.
    #[error("{program} cannot be started")]
    Spawn {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process ended, by itself or killed.
    #[error("the function's process ended: {0}")]
    Ended(ExitStatus),
    /// The process's end cannot be waited for.
    #[error("the function's process is out of reach")]
    Lost(#[source] io::Error),
    /// The function said by `/runtime/init/error` that it cannot start.
    #[error("the function cannot start: {}", String::from_utf8_lossy(.0))]
    Init(Bytes),
    /// It asked for no event, or gave no answer, in time.
    #[error("the function did not {what} within {limit:?}")]
    Late {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// It did something that is out of turn.
    #[error("the function {0}, which is out of turn")]
    OutOfTurn(String),
}

/// A running function. Dropping it kills its process.
#[derive(Debug)]
pub struct Function {
    child: Child,
    process: Option<Process>,
    server: Server,
    patience: Duration,
    spawned: Instant,
    first_next: Option<Instant>,
    waiting: Option<Waiting>,
    handed: Option<(String, Instant)>,
}

impl Function {
    /// Starts the program. What it then does is waited for at most `patience` at a time.
    ///
    /// # Errors
    /// There is no port, or no such program.
    pub async fn start(program: &Program, patience: Duration) -> Result<Self, RuntimeApiError> {
        let server = Server::new(&program.arn()).await.map_err(RuntimeApiError::Listen)?;
        let mut command = program.command(server.address());
        let spawned = Instant::now();
        let child = command
            .spawn()
            .map_err(|source| RuntimeApiError::Spawn { program: program.path().display().to_string(), source })?;
        let process = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Process::of);
        Ok(Self { child, process, server, patience, spawned, first_next: None, waiting: None, handed: None })
    }

    /// When the process was started.
    #[must_use]
    pub fn spawned(&self) -> Instant {
        self.spawned
    }

    /// The process: the program itself, and before that what a prefix starts with, which becomes the program. None when
    /// it had ended before it could be looked at.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        self.process
    }

    /// The address that the Runtime API is served at.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.server.address()
    }

    /// Waits until the function asks for an event. Returns when it did so for the first time: the end of its start.
    ///
    /// # Errors
    /// It ended, gave up or takes too long.
    pub async fn ready(&mut self) -> Result<Instant, RuntimeApiError> {
        if self.waiting.is_none() {
            match self.hear("ask for an event").await? {
                Heard::Next(waiting) => {
                    self.first_next.get_or_insert(waiting.since());
                    self.waiting = Some(waiting);
                }
                Heard::Init(body) => return Err(RuntimeApiError::Init(body)),
                Heard::Answer { id, .. } => return Err(out_of_turn(format!("answered {id}"))),
            }
        }
        self.first_next.ok_or_else(|| out_of_turn("never asked for an event".to_owned()))
    }

    /// Hands the function an event, once it asks for one. Returns when that was.
    ///
    /// # Errors
    /// It ended, gave up or takes too long; or it has an event already.
    pub async fn hand(&mut self, invocation: &Invocation) -> Result<Instant, RuntimeApiError> {
        if let Some((id, _)) = &self.handed {
            return Err(out_of_turn(format!("has {id} already")));
        }
        let at = loop {
            self.ready().await?;
            let Some(waiting) = self.waiting.take() else { continue };
            let at = Instant::now();
            // One that was killed meanwhile does not take it; the next look says so.
            if waiting.hand(invocation.clone()) {
                break at;
            }
        };
        self.handed = Some((invocation.request_id.clone(), at));
        Ok(at)
    }

    /// Waits for the answer to the event that was handed.
    ///
    /// # Errors
    /// It ended, answers something else or takes too long; or it has no event.
    pub async fn answer(&mut self) -> Result<Answer, RuntimeApiError> {
        let (wanted, handed) = self.handed.take().ok_or_else(|| out_of_turn("has no event".to_owned()))?;
        match self.hear("answer").await? {
            Heard::Answer { id, outcome, at } if id == wanted => Ok(Answer { outcome, handed, answered: at }),
            Heard::Answer { id, .. } => Err(out_of_turn(format!("answered {id} instead of {wanted}"))),
            Heard::Next(_) => Err(out_of_turn(format!("asked for an event before it answered {wanted}"))),
            Heard::Init(body) => Err(RuntimeApiError::Init(body)),
        }
    }

    /// [`Self::hand`] and [`Self::answer`].
    ///
    /// # Errors
    /// Those of both.
    pub async fn invoke(&mut self, invocation: &Invocation) -> Result<Answer, RuntimeApiError> {
        self.hand(invocation).await?;
        self.answer().await
    }

    /// Kills the process and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(&mut self) -> Result<ExitStatus, RuntimeApiError> {
        // By number and start time: what the number names now may be somebody else.
        if let Some(process) = self.process {
            process.signal(Signal::KILL);
        }
        match timeout(GONE, self.child.wait()).await {
            Ok(status) => status.map_err(RuntimeApiError::Lost),
            Err(_) => Err(RuntimeApiError::Late { what: "end", limit: GONE }),
        }
    }

    /// What the function does next.
    async fn hear(&mut self, what: &'static str) -> Result<Heard, RuntimeApiError> {
        let limit = self.patience;
        let heard = async {
            tokio::select! {
                // What it said before it ended counts.
                biased;
                heard = self.server.hear() => Ok(heard),
                status = self.child.wait() => Err(status.map_or_else(RuntimeApiError::Lost, RuntimeApiError::Ended)),
            }
        };
        timeout(limit, heard).await.unwrap_or(Err(RuntimeApiError::Late { what, limit }))
    }
}

fn out_of_turn(what: String) -> RuntimeApiError {
    RuntimeApiError::OutOfTurn(what)
}
