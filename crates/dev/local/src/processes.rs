//! Processes, told apart by id and start time, and ending exactly what descends from us: never by name, by user or by
//! "everything".

pub(crate) mod part;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// Pause between two looks at the process table; a look costs about a millisecond.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the kernel may take to remove killed processes; more means that one hangs in a system call.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// A process: its id, and its start time, which tells it from a later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat` (proc(5)): clock ticks since the machine started.
    pub started: u64,
}

/// A line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub process: Process,
    /// Whose child.
    pub parent: i32,
    /// Over, and only waiting for its parent to ask for its status.
    pub zombie: bool,
}

/// Processes that would not end.
#[derive(Debug, thiserror::Error)]
#[error("{} processes could not be ended: {:?}", .0.len(), .0)]
pub struct Left(pub Vec<i32>);

impl Process {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        let pid = own_pid();
        Self { pid, started: entry(pid).map_or(0, |entry| entry.process.started) }
    }

    /// The process that has this id now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        entry(pid).map(|entry| entry.process)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        entry(self.pid).is_some_and(|entry| entry.process == *self && !entry.zombie)
    }

    /// Signals it if it is still the one that was meant; that it ended meanwhile is not an error.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        // The handle is opened first: what has the start time now is what the handle names.
        if entry(self.pid).is_some_and(|entry| entry.process == *self) {
            let _ = pidfd_send_signal(handle, signal);
        }
    }

    /// Waits until it is over.
    pub async fn ended_within(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        while self.is_alive() {
            if begun.elapsed() > limit {
                return false;
            }
            sleep(PAUSE).await;
        }
        true
    }
}

/// Ends everything below `root`: SIGTERM, and SIGKILL to what is left after `grace`, until nothing is left. Orphans of
/// this process are reaped meanwhile.
///
/// # Errors
/// The processes that would not end.
pub async fn end_descendants(root: i32, grace: Duration) -> Result<(), Left> {
    let begun = Instant::now();
    let mut asked = std::collections::HashSet::new();
    loop {
        let below = descendants(&table(), root);
        reap(&below);
        let alive: Vec<Process> = below.iter().filter(|entry| !entry.zombie).map(|entry| entry.process).collect();
        if alive.is_empty() {
            return Ok(());
        }
        let waited = begun.elapsed();
        if waited > grace + KILL_GRACE {
            return Err(Left(alive.iter().map(|process| process.pid).collect()));
        }
        for process in alive {
            if waited > grace {
                process.signal(Signal::KILL);
            } else if asked.insert(process) {
                process.signal(Signal::TERM);
            }
        }
        sleep(PAUSE).await;
    }
}

/// Everything below `root`.
#[must_use]
pub fn descendants(entries: &[Entry], root: i32) -> Vec<Entry> {
    let mut children: HashMap<i32, Vec<Entry>> = HashMap::new();
    for entry in entries {
        children.entry(entry.parent).or_default().push(*entry);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for entry in children.remove(&parent).unwrap_or_default() {
            open.push(entry.process.pid);
            found.push(entry);
        }
    }
    found
}

/// Takes the exit status of children of ours that ended and that nobody waits for by handle.
pub fn reap(entries: &[Entry]) {
    let own = own_pid();
    for entry in entries.iter().filter(|entry| entry.zombie && entry.parent == own) {
        if let Some(pid) = Pid::from_raw(entry.process.pid) {
            // An error means that it is gone already.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Every process that can be seen.
#[must_use]
pub fn table() -> Vec<Entry> {
    let Ok(listing) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = listing.flatten().filter_map(|found| found.file_name().to_str().and_then(|name| name.parse().ok()));
    // `None`: it ended between the listing and the look.
    pids.filter_map(entry).collect()
}

/// The id of this process.
#[must_use]
pub fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn entry(pid: i32) -> Option<Entry> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/<pid>/stat` (proc(5)): the name in parentheses may hold anything, so count from its last `)`.
fn parse_stat(pid: i32, line: &str) -> Option<Entry> {
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the line, the twentieth after the name; two are taken.
    let started = fields.nth(17)?.parse().ok()?;
    Some(Entry { process: Process { pid, started }, parent, zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(pid: i32, parent: i32) -> Entry {
        Entry { process: Process { pid, started: 1 }, parent, zombie: false }
    }

    #[test]
    fn descendants_are_found_at_every_depth_and_strangers_are_not() {
        let entries = [(2, 1), (3, 2), (4, 3), (5, 9), (6, 5), (8, 4)].map(|(pid, parent)| entry_of(pid, parent));
        let mut pids: Vec<i32> = descendants(&entries, 1).iter().map(|found| found.process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [2, 3, 4, 8]);
    }

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 18446744073709551615 0";
        let read = parse_stat(42, line).unwrap();
        assert_eq!((read.process.pid, read.parent, read.process.started, read.zombie), (42, 7, 987_654, false));
        assert!(parse_stat(1, "nonsense").is_none());
    }

    #[test]
    fn a_process_with_the_same_id_and_another_start_is_not_it() {
        let own = Process::own();
        assert!(own.is_alive());
        let other = Process { started: own.started + 1, ..own };
        assert!(!other.is_alive());
        // Would end this very test if the start time were not looked at.
        other.signal(Signal::KILL);
    }
}
