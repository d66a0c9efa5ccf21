//! The commands that start a stack or work on one (`up`, `demo`), written down while they run: [`super::down`] ends one
//! whose `make` was killed. It would start or keep a stack behind the back of whoever ends it.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::SuperviseError;
use super::record::{boot, write_private};
use crate::layout::Layout;
use crate::processes::Process;

/// A command that runs. Its note is removed when this is dropped.
#[derive(Debug)]
pub struct Driver {
    note: PathBuf,
}

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The boot of the machine that start times are counted from.
    boot: String,
    process: Process,
}

impl Driver {
    /// Writes this process down.
    ///
    /// # Errors
    /// When the state folder cannot be written to.
    pub fn begin(layout: &Layout) -> Result<Self, SuperviseError> {
        Self::of(layout, Process::own())
    }

    fn of(layout: &Layout, process: Process) -> Result<Self, SuperviseError> {
        let folder = layout.drivers();
        let note = folder.join(process.pid.to_string());
        let text = serde_json::to_string(&Note { boot: boot(), process }).unwrap_or_default();
        let written = fs::create_dir_all(&folder).and_then(|()| write_private(&note, &text));
        written.map_err(|source| SuperviseError::File { path: note.clone(), source })?;
        Ok(Self { note })
    }

    /// The commands that run in a state folder. Notes of those that were killed are removed.
    #[must_use]
    pub fn running(layout: &Layout) -> Vec<Process> {
        let mut running = Vec::new();
        for entry in fs::read_dir(layout.drivers()).into_iter().flatten().flatten() {
            let note: Option<Note> = fs::read(entry.path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match note {
                Some(note) if note.boot == boot() && note.process.is_alive() => running.push(note.process),
                // One that is being written has another name until it is whole.
                Some(_) => drop(fs::remove_file(entry.path())),
                None => {}
            }
        }
        running
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A note of a process that is gone says nothing.
        let _ = fs::remove_file(&self.note);
    }
}

/// Makes the kernel send this process SIGTERM when its parent ends, for whatever reason.
///
/// # Errors
/// When the parent is another than `parent`: it ended before, and nobody would ever be told of this process's work.
pub fn follow(parent: i32) -> Result<(), SuperviseError> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|errno| SuperviseError::Kernel("being told of the parent's end", errno.into()))?;
    // Asked after the line above: a parent that ended before it sends no signal.
    let is_there = rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent);
    if is_there { Ok(()) } else { Err(SuperviseError::Orphan(parent)) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_what_runs_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("template.yaml"), "").unwrap();
        let layout = Layout::new(folder.path(), Path::new("state")).unwrap();
        assert!(Driver::running(&layout).is_empty());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        let driver = Driver::of(&layout, process).unwrap();
        let other = Process { pid: process.pid, started: process.started + 1 };
        let found = Driver::running(&layout);
        std::mem::forget(Driver::of(&layout, other).unwrap());
        let found_of_another_start = Driver::running(&layout);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((found, found_of_another_start), (vec![process], vec![]));
        assert!(!driver.note.exists(), "the note of a process that is gone");
    }

    #[test]
    fn who_has_another_parent_does_not_begin() {
        assert!(matches!(follow(crate::processes::own_pid()), Err(SuperviseError::Orphan(_))));
    }
}
