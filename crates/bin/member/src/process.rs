//! Processes as the kernel shows them.

use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runnerless_core::pool::leaving::Process;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The process of this number, unless it has ended: one that only waits to be reaped runs nothing any more.
pub(crate) fn find(pid: i32) -> io::Result<Option<Process>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            let (state, started) =
                read(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is unreadable")))?;
            Ok((!matches!(state, 'Z' | 'X')).then_some(Process { pid, started }))
        }
        // The second is what the kernel says when it ends while it is read.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// "No such process".
const ESRCH: i32 = 3;

/// State and start time. The name in parentheses before them may hold anything, parentheses too.
fn read(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The 22nd field of all; the state is the third.
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

/// When it started, by the wall clock.
pub(crate) fn started_at(process: Process) -> io::Result<SystemTime> {
    let stat = fs::read_to_string("/proc/stat")?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|text| text.trim().parse().ok());
    let boot = boot.ok_or_else(|| io::Error::other("/proc/stat does not tell the time of the boot"))?;
    let ticks = rustix::param::clock_ticks_per_second();
    Ok(UNIX_EPOCH + Duration::from_secs(boot) + Duration::from_millis(process.started.saturating_mul(1000) / ticks))
}

/// Sends SIGQUIT to exactly this process, and to none that has its number meanwhile. False when it is gone.
pub(crate) fn quit(process: Process) -> io::Result<bool> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(false) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    // The handle is of one process for ever: if that is the one, the signal goes to it.
    if find(process.pid)? != Some(process) {
        return Ok(false);
    }
    match pidfd_send_signal(&handle, Signal::QUIT) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_read_over() {
        let rest = "S 1 42 42 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 9 0 123456 1000 50 18446744073709551615";
        assert_eq!(read(&format!("42 (a) R (b) {rest}")), Some(('S', 123_456)));
        assert_eq!(read("42 (a"), None);
        assert_eq!(read("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_found_and_has_started_before_now() {
        let own = i32::try_from(std::process::id()).unwrap();
        let process = find(own).unwrap().unwrap();
        assert!(started_at(process).unwrap() <= SystemTime::now());
        let another = Process { started: process.started + 1, ..process };
        assert!(!quit(another).unwrap(), "the number alone is not it");
    }
}
