//! The supervisor: the one process that owns the emulator, the witness, the instances and the simulator of a state
//! folder, and ends them when it ends itself.
//!
//! It leaves on a signal, when one of its programs ends, or when its standard input ends: whoever started it holds the
//! other end, so the stack ends with its starter, unless that wrote a `K` (keep) before. [`down`] ends a kept one.

pub mod down;
mod driver;
mod emulator;
mod folder;
mod guarded;
pub mod record;
mod simulator;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::set_child_subreaper;
use tokio::io::AsyncReadExt as _;

pub use driver::{Driver, follow};
pub use record::{Endpoints, GitLab, Record};

use crate::guard::Signals;
use crate::instances::register::Register;
use crate::instances::{self, Instances};
use crate::layout::Layout;
use crate::processes::{self, own_pid};
use crate::proxy::{Bound, Files};
use guarded::Guarded;

/// The byte that lets a supervisor outlive its starter.
pub const KEEP: u8 = b'K';
/// How long orphans may take to leave after SIGTERM.
const GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// The stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Another supervisor has the state folder.
    #[error("a stack runs in {0} already; end it with `make stack-down` (or give another STATE)")]
    Taken(PathBuf),
    /// A file or folder of the state.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused something.
    #[error("{0} is not possible here")]
    Kernel(&'static str, #[source] io::Error),
    /// A program did not become ready.
    #[error("{program} did not become ready; its last words are in {log}:\n{words}")]
    NotReady {
        /// Which.
        program: &'static str,
        /// Where it writes.
        log: PathBuf,
        /// The end of that.
        words: String,
    },
    /// A program is not there.
    #[error("{program} is not there; {cure}")]
    Missing {
        /// Which.
        program: PathBuf,
        /// What to do.
        cure: &'static str,
    },
    /// A program ended while the stack was up.
    #[error("{program} ended by itself; its last words are in {log}:\n{words}")]
    Ended {
        /// Which.
        program: &'static str,
        /// Where it wrote.
        log: PathBuf,
        /// The end of that.
        words: String,
    },
    /// Whoever started this command is gone.
    #[error("process {0}, for which this command was to work, is gone; nothing was started")]
    Orphan(i32),
    /// Something would not end.
    #[error(transparent)]
    Left(#[from] processes::Left),
}

/// What the supervisor runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This very command, for guards.
    pub program: PathBuf,
    /// Whether a GitLab is wanted too.
    pub simulator: bool,
    /// The path that it is at; empty for the root of its address.
    pub gitlab_root: String,
    /// The `PATH` of the emulator and of all that it starts.
    pub search_path: String,
}

/// Starts everything, says so on standard output with one JSON line ([`Endpoints`]), and stays until it is time to end.
///
/// # Errors
/// When something does not start, or ends by itself; everything is ended then too.
pub async fn supervise(layout: &Layout, plan: &Plan) -> Result<(), SuperviseError> {
    // It fails only for the leader of a process group, who has left the starter's group already.
    let _ = rustix::process::setsid();
    set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| SuperviseError::Kernel("becoming the parent of orphans", errno.into()))?;
    // Never let go of before the process ends: who finds the folder free may rely on nothing being left of us.
    std::mem::forget(folder::take(layout)?);
    folder::clear(layout)?;
    let mut signals = Signals::new().map_err(|error| SuperviseError::Kernel("listening for signals", error))?;
    let mut parts = Parts::default();
    let ended = tokio::select! {
        result = run(layout, plan, &mut parts) => result,
        () = signals.any() => Ok(()),
        () = starter_gone() => Ok(()),
    };
    // First, because instances use all the others.
    if let Some(instances) = parts.instances.take() {
        instances.end().await;
    }
    for program in &mut parts.programs {
        program.end().await;
    }
    let left = processes::end_descendants(own_pid(), GRACE).await;
    folder::leave(layout);
    ended?;
    Ok(left?)
}

/// What runs.
#[derive(Debug, Default)]
struct Parts {
    programs: Vec<Guarded>,
    instances: Option<Instances>,
}

async fn run(layout: &Layout, plan: &Plan, parts: &mut Parts) -> Result<(), SuperviseError> {
    let witness = Bound::new().await.map_err(|error| SuperviseError::Kernel("listening on loopback", error))?;
    let (emulator, address) = emulator::start(layout, plan, &witness.url()).await?;
    parts.programs.push(emulator);
    let register = Arc::new(Register::default());
    let files = Files { calls: layout.calls(), scopes: layout.at("scopes.json"), groups: layout.at("groups.json") };
    let proxy = witness
        .serve(&address, &files, Arc::clone(&register))
        .map_err(|source| SuperviseError::File { path: files.calls, source })?;
    proxy.look_after_groups();
    let mut endpoints = Endpoints { emulator: format!("http://{address}"), proxy: proxy.url(), gitlab: None };
    if plan.simulator {
        let (simulator, gitlab) = simulator::start(layout, plan).await?;
        parts.programs.push(simulator);
        endpoints.gitlab = Some(gitlab);
    }
    let instances = instances::Plan {
        emulator: endpoints.emulator.clone(),
        witness: endpoints.proxy.clone(),
        layout: layout.clone(),
        program: plan.program.clone(),
        search_path: plan.search_path.clone(),
        register,
    };
    parts.instances = Some(Instances::start(instances));
    let guards = parts.programs.iter().filter_map(Guarded::process).collect();
    Record::new(guards, endpoints.clone()).write(&layout.record())?;
    announce(&endpoints);
    watch(&mut parts.programs).await
}

/// The starter waits for this line. It may be gone: then its end of the input tells.
fn announce(endpoints: &Endpoints) {
    if let Ok(line) = serde_json::to_string(endpoints) {
        let mut output = io::stdout();
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }
}

async fn watch(programs: &mut [Guarded]) -> Result<(), SuperviseError> {
    loop {
        for program in programs.iter_mut() {
            if program.has_ended() {
                let (log, words) = program.words();
                return Err(SuperviseError::Ended { program: program.name(), log, words });
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Returns when the standard input ends without a [`KEEP`].
async fn starter_gone() {
    let mut input = tokio::io::stdin();
    let mut byte = [0_u8; 1];
    while input.read(&mut byte).await.is_ok_and(|read| read > 0) {
        if byte[0] == KEEP {
            std::future::pending::<()>().await;
        }
    }
}
