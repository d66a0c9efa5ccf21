//! The signals that end a runner by hand: each ends its job with a report.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::{fs, io};

use runnerless_engine::StopHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Exit;

/// Those that are watched.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None where whoever started this had it ignored, as `nohup` does: the job goes on without its terminal.
    hangup: Option<Signal>,
}

impl Signals {
    /// Watches them from now on.
    ///
    /// # Errors
    /// The kernel does not say what is ignored, or lets none be watched.
    pub(crate) fn new() -> io::Result<Self> {
        let hangup = if is_hangup_ignored(&fs::read_to_string("/proc/self/status")?) {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Hands them on to the run, and keeps how the first one has the command end; never ends by itself.
    pub(crate) async fn watch(mut self, handle: &StopHandle, ended_by: &Cell<Option<Exit>>) -> Infallible {
        loop {
            let exit = tokio::select! {
                _ = self.terminate.recv() => Exit::Terminated,
                _ = self.interrupt.recv() => Exit::Interrupted,
                () = hung_up(self.hangup.as_mut()) => Exit::HungUp,
            };
            ended_by.set(ended_by.get().or(Some(exit)));
            handle.stop();
        }
    }
}

async fn hung_up(hangup: Option<&mut Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => pending().await,
    }
}

/// From `SigIgn` of proc_pid_status(5): a mask in hex digits, whose lowest bit is signal 1, SIGHUP.
fn is_hangup_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
