//! Ending a stack that was kept, or that lost its supervisor: only what its record names, and what is below that.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::folder;
use super::record::Record;
use crate::layout::Layout;
use crate::processes::{self, Left, Process};

/// Longer than a supervisor needs in the worst case: two guards, one after the other.
const PATIENCE: Duration = Duration::from_secs(35);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the guards of a killed supervisor may take.
const GUARDS: Duration = Duration::from_secs(15);

/// Ends the stack of a state folder. Nothing happens where none runs. Returns whether one did.
///
/// # Errors
/// The processes that would not end.
pub async fn down(layout: &Layout) -> Result<bool, Left> {
    let begun = Instant::now();
    let mut did = false;
    // A supervisor that just starts has no record yet; one whose starter is gone leaves by itself.
    loop {
        if let Some(record) = Record::read(&layout.record()) {
            did |= end(&record).await?;
            folder::leave(layout);
        }
        if folder::is_free(layout) || begun.elapsed() > PATIENCE {
            return Ok(did);
        }
        sleep(PAUSE).await;
    }
}

async fn end(record: &Record) -> Result<bool, Left> {
    let mut did = record.is_alive();
    record.supervisor.signal(Signal::TERM);
    if !record.supervisor.ended_within(PATIENCE).await {
        record.supervisor.signal(Signal::KILL);
    }
    // A guard whose supervisor is gone ends by itself; one that hangs is ended with everything below it.
    let mut left = Vec::new();
    for guard in &record.guards {
        did |= guard.is_alive();
        if !guard.ended_within(GUARDS).await {
            left.extend(end_guard(*guard).await.err().map(|left| left.0).unwrap_or_default());
        }
    }
    if left.is_empty() { Ok(did) } else { Err(Left(left)) }
}

async fn end_guard(guard: Process) -> Result<(), Left> {
    let below = processes::descendants(&processes::table(), guard.pid);
    guard.signal(Signal::KILL);
    for entry in below {
        entry.process.signal(Signal::KILL);
        if !entry.process.ended_within(GUARDS).await {
            return Err(Left(vec![entry.process.pid]));
        }
    }
    Ok(())
}
