//! Processes that belong to a stack, found by its temporary folder: also those whose parents are gone.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::processes::own_pid;

/// The processes of the stack whose programs have `tmp` as their temporary folder, each as its id and its command line.
///
/// Everything in a stack has its `TMPDIR`, or, as the jobs' processes whose environment is cleared, works below it.
#[must_use]
pub fn of_stack(tmp: &Path) -> Vec<String> {
    let Ok(listing) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own_pid() && belongs(*pid, tmp))
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&line).replace('\0', " ");
            format!("{pid} {}", words.trim())
        })
        .collect()
}

fn belongs(pid: i32, tmp: &Path) -> bool {
    let mut wanted = b"TMPDIR=".to_vec();
    wanted.extend_from_slice(tmp.as_os_str().as_bytes());
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let works_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| {
        // A folder that is gone is shown as `<path> (deleted)`.
        cwd.starts_with(tmp)
    });
    works_there || environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}

/// The processes of this machine with this text in their command lines, each as its id and its command line.
#[must_use]
pub(crate) fn naming(text: &str) -> Vec<String> {
    let entries = crate::processes::table().into_iter().filter(|entry| !entry.zombie);
    let pids = entries.map(|entry| entry.process.pid).filter(|pid| *pid != own_pid());
    let lines = pids.map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|(_, line)| line.contains(text)).map(|(pid, line)| format!("{pid} {}", line.trim())).collect()
}
