//! What the kernel says about a process: its memory, and its CPU seconds apart from those of its children.

use std::fs;
use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use wait4::Wait4 as _;

/// CPU seconds of a process that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Its own.
    pub(super) own: Duration,
    /// Those of the children that it, or one of them, waited for.
    pub(super) children: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// When it was started.
    pub(super) started: Instant,
    /// When it had ended.
    pub(super) at: Instant,
    pub(super) success: bool,
    pub(super) used: Used,
}

/// Waits for a child's end.
pub(super) fn wait(mut child: Child, started: Instant) -> io::Result<Ended> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    // It stays a zombie, whose own share can still be read.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let at = Instant::now();
    let own = own_cpu(child.id())?;
    let end = child.wait4()?;
    let all = end.rusage.utime + end.rusage.stime;
    Ok(Ended { started, at, success: end.status.success(), used: Used { own, children: all.saturating_sub(own) } })
}

/// CPU time of a process' first thread, which is all that a runner has: the first number of `schedstat`, in nanoseconds.
fn own_cpu(pid: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = text.split_whitespace().next().and_then(|word| word.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The largest memory of a running process so far, in KiB: `VmHWM` of its status.
pub(super) fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn own_work_and_that_of_children_are_told_apart() {
        let spin = "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done";
        let run = |script: &str| {
            let started = Instant::now();
            wait(Command::new("bash").args(["-c", script]).spawn().unwrap(), started).unwrap()
        };
        let alone = run(spin);
        assert!(alone.success && alone.used.own > alone.used.children, "{alone:?}");
        let apart = run(&format!("bash -c '{spin}'; exit 1"));
        assert!(!apart.success && apart.used.children > apart.used.own, "{apart:?}");
    }

    #[test]
    fn this_process_has_a_peak() {
        assert!(peak_kib(std::process::id()).unwrap() > 100);
    }
}
