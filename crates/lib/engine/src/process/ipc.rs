//! System V IPC: shared memory, semaphores and queues, which outlive every process.

use std::collections::HashSet;
use std::fs;
use std::io;

use rustix::process::getuid;

use super::guard::remove_ipc;

/// What kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    SharedMemory,
    Semaphores,
    Queue,
}

/// Each kind, its list below `/proc/sysvipc`, and the column with its ids.
const KINDS: [(Kind, &str, &str); 3] =
    [(Kind::SharedMemory, "shm", "shmid"), (Kind::Semaphores, "sem", "semid"), (Kind::Queue, "msg", "msqid")];

/// The objects that there were when this was made.
#[derive(Clone, Debug)]
pub struct IpcObjects(HashSet<(Kind, i32)>);

impl IpcObjects {
    /// Looks at what there is now.
    #[must_use]
    pub fn now() -> Self {
        Self(listed(|_| true).collect())
    }

    /// Removes those of this process's user that came since.
    ///
    /// # Errors
    /// The first that could not be removed.
    pub fn restore(&self) -> io::Result<()> {
        let own = getuid().as_raw();
        let new = listed(|owner| owner == own).filter(|object| !self.0.contains(object));
        let mut first = None;
        for (kind, id) in new {
            first = first.or(remove_ipc(kind, id).err());
        }
        first.map_or(Ok(()), Err)
    }
}

/// Objects whose owner is one of these. A kernel without System V IPC has no lists.
fn listed(owners: impl Fn(u32) -> bool) -> impl Iterator<Item = (Kind, i32)> {
    KINDS.into_iter().flat_map(move |(kind, list, column)| {
        let text = fs::read_to_string(format!("/proc/sysvipc/{list}")).unwrap_or_default();
        ids(&text, column, &owners).into_iter().map(move |id| (kind, id))
    })
}

/// The ids of a list (proc(5)): a line of column names, then a line an object.
fn ids(text: &str, column: &str, owners: &impl Fn(u32) -> bool) -> Vec<i32> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let at = |name: &str| names.iter().position(|other| *other == name);
    let (Some(id), Some(owner)) = (at(column), at("uid")) else { return Vec::new() };
    let object = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_one = owners(fields.get(owner)?.parse().ok()?);
        fields.get(id)?.parse().ok().filter(|_| is_one)
    };
    lines.filter_map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_by_the_names_of_the_columns() {
        let text = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n\
            -631073694          0   644          2  4394  4394  4394  4394          0 1795539586\n\
            -631073695          7   644          2     0     0     0     0          0 1795539586\n\
            broken\n";
        assert_eq!(ids(text, "semid", &|owner| owner == 4394), [0]);
        assert_eq!(ids(text, "semid", &|_| true), [0, 7]);
        assert!(ids(text, "shmid", &|_| true).is_empty() && ids("", "semid", &|_| true).is_empty());
    }

    #[test]
    fn new_objects_are_removed_and_old_ones_stay() {
        let make = |flag: &str| {
            let output = std::process::Command::new("ipcmk").args([flag, "64"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        let nothing = IpcObjects::now();
        if !make("-M") || nothing.0 == IpcObjects::now().0 {
            // Without util-linux, or without System V IPC, there is nothing to remove.
            return;
        }
        let before = IpcObjects::now();
        assert!(make("-M") && make("-S") && make("-Q"));
        assert_eq!(IpcObjects::now().0.len(), before.0.len() + 3);
        before.restore().unwrap();
        assert_eq!(IpcObjects::now().0, before.0);
        nothing.restore().unwrap();
        assert_eq!(IpcObjects::now().0, nothing.0);
    }
}
