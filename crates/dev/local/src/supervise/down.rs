//! Ending a stack that was kept, or that lost its supervisor, and the commands that work on it: only what their notes
//! name, and what is below that. Done is what nothing is left of.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::record::Record;
use super::{Driver, SuperviseError, folder};
use crate::layout::Layout;
use crate::processes::{self, Left, Process};
use crate::strays;

/// Longer than a supervisor needs in the worst case: two guards, one after the other.
pub const PATIENCE: Duration = Duration::from_secs(35);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// A command ends its own stack before it leaves.
const COMMANDS: Duration = Duration::from_secs(45);
/// How long the guards of a killed supervisor may take.
const GUARDS: Duration = Duration::from_secs(15);
/// How long killed processes, and what loses its server, may take.
const LAST: Duration = Duration::from_secs(10);

/// Something of the stack is left.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// Processes that were killed and did not go.
    #[error(transparent)]
    Left(#[from] Left),
    /// The state folder.
    #[error(transparent)]
    Folder(SuperviseError),
    /// A supervisor that is not written down, and does not go.
    #[error("a supervisor still has {state}, {seconds} s after it was to end; its words are in {log}")]
    Held {
        /// What it has.
        state: PathBuf,
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// Processes that nobody guards any more, because their guards were killed.
    #[error("processes of the stack are left, and whoever guarded them is gone; end them by their ids: {}", .0.join(", "))]
    Strays(Vec<String>),
}

/// Ends the stack of a state folder, and the commands that work on it. Nothing happens where none runs. Returns whether
/// one did. What is not written down, because it is
/// just starting or ending, has `patience` to leave.
///
/// # Errors
/// What is left.
pub async fn down(layout: &Layout, patience: Duration) -> Result<bool, DownError> {
    let begun = Instant::now();
    let (mut did, mut recorded) = (false, false);
    loop {
        did |= end_commands(layout).await?;
        if let Some(record) = Record::read(&layout.record()) {
            recorded = true;
            did |= end(&record).await?;
        }
        match folder::take(layout) {
            // Nobody starts while we have it.
            Ok(_lock) => {
                if recorded {
                    folder::leave(layout);
                }
                return no_strays(layout, patience.min(LAST)).await.map(|()| did);
            }
            Err(SuperviseError::Taken(state)) if begun.elapsed() > patience => {
                let log = layout.supervisor_log();
                return Err(DownError::Held { state, seconds: begun.elapsed().as_secs(), log });
            }
            // A supervisor that just starts has no record yet; one whose starter is gone leaves by itself.
            Err(SuperviseError::Taken(_)) => did = true,
            Err(error) => return Err(DownError::Folder(error)),
        }
        sleep(PAUSE).await;
    }
}

async fn end_commands(layout: &Layout) -> Result<bool, Left> {
    let commands = Driver::running(layout);
    for command in &commands {
        command.signal(Signal::TERM);
    }
    for command in &commands {
        if !command.ended_within(COMMANDS).await {
            end_with_all_below(*command).await?;
        }
    }
    Ok(!commands.is_empty())
}

async fn end(record: &Record) -> Result<bool, Left> {
    let mut did = record.is_alive();
    record.supervisor.signal(Signal::TERM);
    if !record.supervisor.ended_within(PATIENCE).await {
        record.supervisor.signal(Signal::KILL);
        gone(record.supervisor).await?;
    }
    // A guard whose supervisor is gone ends by itself; one that hangs is ended with everything below it.
    for guard in &record.guards {
        did |= guard.is_alive();
        if !guard.ended_within(GUARDS).await {
            end_with_all_below(*guard).await?;
        }
    }
    Ok(did)
}

async fn end_with_all_below(root: Process) -> Result<(), Left> {
    let below = processes::descendants(&processes::table(), root.pid);
    root.signal(Signal::KILL);
    gone(root).await?;
    for entry in below {
        entry.process.signal(Signal::KILL);
        gone(entry.process).await?;
    }
    Ok(())
}

async fn gone(process: Process) -> Result<(), Left> {
    if process.ended_within(LAST).await { Ok(()) } else { Err(Left(vec![process.pid])) }
}

/// Waits for the last processes of the stack, which end when they find their server gone.
async fn no_strays(layout: &Layout, patience: Duration) -> Result<(), DownError> {
    let begun = Instant::now();
    loop {
        let left = strays::of_stack(&layout.tmp());
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > patience {
            return Err(DownError::Strays(left));
        }
        sleep(PAUSE).await;
    }
}
