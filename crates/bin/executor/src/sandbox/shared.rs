//! An environment that launches share: what a job may have left is removed before the next begins.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use runnerless_engine::{EndError, IpcObjects, ScrubError, ScrubRoot, Snapshot, end_descendants};

use super::Scrub;
use super::marks::Marks;

/// Is in the first folder while a launch runs. It is new there, so that scrubbing removes it, too. A process that finds
/// it starts where another one died in a launch. A job can remove it: one that kills its runner besides can leave files
/// to the next (`docs/security.md`).
const MARK: &str = ".runnerless-launch";

/// This process cannot be made clean.
#[derive(Debug, thiserror::Error)]
pub enum NotClean {
    /// Processes of a job are left.
    #[error("processes of an earlier job are left")]
    Processes(#[from] EndError),
    /// Files of a job are left.
    #[error("files of an earlier job are left")]
    Files(#[from] ScrubError),
    /// Shared memory, semaphores or queues of a job are left.
    #[error("System V IPC of an earlier job is left")]
    Ipc(#[source] io::Error),
    /// A job changed what its processes and those of the next inherit, and this user may not change it back.
    #[error("an earlier job changed this process's {0}")]
    Marked(&'static str),
}

/// See the module.
#[derive(Debug)]
pub struct Shared {
    roots: Vec<ScrubRoot>,
    before: Snapshot,
    /// None where other programs of this user may be at work.
    ipc: Option<IpcObjects>,
    marks: Marks,
}

impl Shared {
    pub(super) fn new(scrub: Scrub) -> Result<Self, ScrubError> {
        let Scrub { roots, ipc } = scrub;
        let died = roots.iter().any(|root| root.path().join(MARK).symlink_metadata().is_ok());
        let before = if died { Snapshot::of_nothing(roots.clone()) } else { Snapshot::take(roots.clone())? };
        let ipc = ipc.then(IpcObjects::now);
        Ok(Self { roots, before, ipc, marks: Marks::of_this_process() })
    }

    /// Ends every process below this one and removes all that came since the start.
    pub(super) async fn clean(&self) -> Result<(), NotClean> {
        end_descendants().await?;
        self.before.restore()?;
        self.ipc.as_ref().map_or(Ok(()), IpcObjects::restore).map_err(NotClean::Ipc)?;
        self.marks.changed().map_or(Ok(()), |what| Err(NotClean::Marked(what)))
    }

    /// Leaves word that a launch runs here. Without a folder that can be written nothing can be left in one either.
    pub(super) fn mark(&self) {
        if let Some(root) = self.roots.first() {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(root.path().join(MARK));
            if let Err(error) = file {
                tracing::debug!(target: "runnerless", service = "executor", error = %error, "no mark of the launch");
            }
        }
    }
}
