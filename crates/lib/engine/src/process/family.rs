//! Ending exactly our own descendants: never by name, by user or by "everything".
//!
//! This process is the parent of orphans, so whatever the job started is below it in the process tree, however often it
//! forked and whatever session it opened. Children that were there before the job are left alone, with all that is
//! below them.
//!
//! A look at the process table is no picture of one moment: a process that replaces itself by a child all the time can be
//! missing in it. That nothing is left is therefore asked of the kernel in one call, and such processes are killed by
//! their groups, and as our children faster than they fork.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, getpgrp, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid, waitpid,
};
use tokio::time::{Instant, sleep};

/// How long processes may take to leave after SIGTERM when nothing waits for their output any more.
const TERM_GRACE: Duration = Duration::from_secs(1);
/// How long the kernel may take to remove killed processes; more means that one hangs in a system call.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// Pause between two looks; a look costs about a millisecond on a machine with a few hundred processes.
const PAUSE: Duration = Duration::from_millis(10);
/// Looks at our children alone, without a pause between them: each takes a few hundredths of a millisecond.
const QUICK_LOOKS: usize = 200;

/// Processes of the job are left.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// They cannot be looked for.
    #[error("/proc cannot be read")]
    Proc(#[source] io::Error),
    /// So many are there all the same.
    #[error("{0} processes of the job could not be ended")]
    Left(usize),
}

/// Ends everything below this process, whoever started it. To be called between two runs.
///
/// # Errors
/// Something is left.
pub async fn end_descendants() -> Result<(), EndError> {
    Family { others: HashSet::new() }.end().await
}

/// A process: its id, and its start time, which tells it from a later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    pid: i32,
    started: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    process: Process,
    parent: i32,
    group: i32,
    zombie: bool,
}

/// The processes that one job started.
#[derive(Debug)]
pub(crate) struct Family {
    /// Children that were there before.
    others: HashSet<Process>,
}

impl Family {
    /// From now on every new child of this process belongs to the job.
    pub(crate) fn begin() -> Result<Self, EndError> {
        if is_childless() {
            return Ok(Self { others: HashSet::new() });
        }
        let own = own_pid();
        let entries = processes().map_err(EndError::Proc)?;
        Ok(Self { others: entries.iter().filter(|entry| entry.parent == own).map(|entry| entry.process).collect() })
    }

    /// Sends a signal to every process of the job.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), EndError> {
        for entry in self.members()?.iter().filter(|entry| !entry.zombie) {
            send(entry.process, signal);
        }
        Ok(())
    }

    /// Ends every process of the job: SIGTERM, a second later SIGKILL, until none is left.
    pub(crate) async fn end(&self) -> Result<(), EndError> {
        let begun = Instant::now();
        let mut asked = HashSet::new();
        loop {
            // The usual end of a stage, for the price of one system call instead of a look at every process of the machine.
            if is_childless() {
                return Ok(());
            }
            let table = processes().map_err(EndError::Proc)?;
            let members = descendants(&table, own_pid(), &self.others);
            reap(&members);
            let alive: Vec<Process> = members.iter().filter(|entry| !entry.zombie).map(|entry| entry.process).collect();
            if alive.is_empty() && self.is_all() {
                return Ok(());
            }
            let waited = begun.elapsed();
            if waited > TERM_GRACE + KILL_GRACE {
                return Err(EndError::Left(alive.len().max(1)));
            }
            if waited > TERM_GRACE {
                kill_groups(&table, &members);
                self.kill_children();
            }
            for process in alive {
                if waited > TERM_GRACE {
                    send(process, Signal::KILL);
                } else if asked.insert(process) {
                    send(process, Signal::TERM);
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether nothing is below this process but what was there before. An orphan is our child from the moment at which its
    /// parent ends, so that who has no child has nothing below.
    fn is_all(&self) -> bool {
        // Where others' children are there too, a look at all of ours is the best there is.
        is_childless() || (!self.others.is_empty() && self.children().is_empty())
    }

    /// Our children, ended ones too, as the kernel lists them; none where it has no such list.
    fn children(&self) -> Vec<i32> {
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let pids: Vec<i32> = lists
            .flat_map(|list| list.split_ascii_whitespace().map(str::parse).collect::<Vec<_>>())
            .filter_map(Result::ok)
            .collect();
        pids.into_iter().filter(|pid| !self.others.iter().any(|other| other.pid == *pid)).collect()
    }

    /// Kills our children of the job and takes their exit status, again and again while there are some. The number of a
    /// child is its own until its status is taken.
    fn kill_children(&self) {
        for _ in 0..QUICK_LOOKS {
            let children: Vec<Pid> = self.children().into_iter().filter_map(Pid::from_raw).collect();
            if children.is_empty() {
                return;
            }
            for child in children {
                let _ = kill_process(child, Signal::KILL);
                let _ = waitpid(Some(child), WaitOptions::NOHANG);
            }
        }
    }

    fn members(&self) -> Result<Vec<Entry>, EndError> {
        if is_childless() {
            return Ok(Vec::new());
        }
        let entries = processes().map_err(EndError::Proc)?;
        Ok(descendants(&entries, own_pid(), &self.others))
    }
}

/// Whether the kernel knows no child of this process, alive or not; then there is no descendant either, because orphans
/// become our children. Nothing is reaped. If the kernel will not say, one has to look.
fn is_childless() -> bool {
    let looks = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, looks), Err(Errno::CHILD))
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Everything below `root`, but for the children in `others` and what is below them.
fn descendants(entries: &[Entry], root: i32, others: &HashSet<Process>) -> Vec<Entry> {
    let mut children: HashMap<i32, Vec<Entry>> = HashMap::new();
    for entry in entries {
        children.entry(entry.parent).or_default().push(*entry);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for entry in children.remove(&parent).unwrap_or_default() {
            if parent == root && others.contains(&entry.process) {
                continue;
            }
            open.push(entry.process.pid);
            found.push(entry);
        }
    }
    found
}

/// Kills every process group that consists of members alone, at one stroke: no member can fork meanwhile. Never our own
/// group, and none that a stranger is in.
fn kill_groups(table: &[Entry], members: &[Entry]) {
    let own: HashSet<i32> = members.iter().map(|entry| entry.process.pid).collect();
    let strangers: HashSet<i32> =
        table.iter().filter(|entry| !own.contains(&entry.process.pid)).map(|entry| entry.group).collect();
    let groups: HashSet<i32> = members.iter().map(|entry| entry.group).collect();
    for group in groups.difference(&strangers).filter_map(|group| Pid::from_raw(*group)) {
        if group != getpgrp() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Signals a process if it is still the one that was seen. That it ended meanwhile is what we want anyway; that the
/// kernel refuses shows in the next look.
fn send(process: Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The handle is opened first: what has the start time now is what the handle names.
    if read_entry(process.pid).is_some_and(|entry| entry.process == process) {
        let _ = pidfd_send_signal(handle, signal);
    }
}

/// Takes the exit status of orphans that ended; nobody else asks for it.
fn reap(members: &[Entry]) {
    let own = own_pid();
    for entry in members.iter().filter(|entry| entry.zombie && entry.parent == own) {
        if let Some(pid) = Pid::from_raw(entry.process.pid) {
            // An error means that it is gone already.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Every process that can be seen.
fn processes() -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            // `None`: it ended between the listing and the look.
            found.extend(read_entry(pid));
        }
    }
    Ok(found)
}

fn read_entry(pid: i32) -> Option<Entry> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/<pid>/stat` (proc(5)): the name in parentheses may hold anything, so count from its last `)`.
fn parse_stat(pid: i32, line: &str) -> Option<Entry> {
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Field 22 of the line, the twentieth after the name; three are taken.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Entry { process: Process { pid, started }, parent, group, zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: i32, parent: i32) -> Entry {
        Entry { process: Process { pid, started: 1 }, parent, group: pid, zombie: false }
    }

    #[test]
    fn descendants_are_found_at_every_depth_and_strangers_are_not() {
        let entries = [entry(2, 1), entry(3, 2), entry(4, 3), entry(5, 1), entry(6, 5), entry(7, 99), entry(8, 4)];
        let others = HashSet::from([entry(5, 1).process]);
        let mut pids: Vec<i32> = descendants(&entries, 1, &others).iter().map(|e| e.process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [2, 3, 4, 8]);
    }

    #[test]
    fn a_child_with_the_id_of_an_earlier_one_is_not_spared() {
        let others = HashSet::from([Process { pid: 5, started: 0 }]);
        assert_eq!(descendants(&[entry(5, 1)], 1, &others).len(), 1);
    }

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let line = "42 (a) b) S 7 41 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 18446744073709551615 0";
        let entry = parse_stat(42, line).unwrap();
        assert_eq!((entry.process.pid, entry.parent, entry.group), (42, 7, 41));
        assert_eq!((entry.process.started, entry.zombie), (987_654, false));
        assert!(parse_stat(1, "nonsense").is_none());
    }

    #[test]
    fn a_child_is_known_until_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(!is_childless());
        let handle = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        waitid(WaitId::Pid(handle), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(!is_childless(), "it has ended and still counts");
        assert!(child.wait().unwrap().success(), "and its status is still there");
    }

    #[test]
    fn this_very_process_is_seen() {
        let own = read_entry(own_pid()).unwrap();
        assert!(processes().unwrap().iter().any(|entry| entry.process == own.process));
    }
}
