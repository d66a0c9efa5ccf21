//! What keeps the runner and the job apart, and the job's processes within reach.
//!
//! The only place with unsafe code: a hook between fork and exec has no safe form, nor have the watching and the marking
//! of a descriptor and the removal of System V IPC.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    DumpableBehavior, Signal, set_child_subreaper, set_dumpable_behavior, set_parent_process_death_signal,
};
use tokio::io::unix::AsyncFd;

use super::ipc::Kind;

/// The process could not be protected; nothing of a job may start then.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// `PR_SET_DUMPABLE` failed.
    #[error("this process cannot be closed to others (PR_SET_DUMPABLE)")]
    Dumpable(#[source] io::Error),
    /// `PR_SET_CHILD_SUBREAPER` failed.
    #[error("this process cannot become the parent of orphans (PR_SET_CHILD_SUBREAPER)")]
    Subreaper(#[source] io::Error),
    /// `/proc/self/fd` cannot be read.
    #[error("the descriptors that this process was started with cannot be kept from the job")]
    Descriptors(#[source] io::Error),
}

/// Closes this process to others of the same user, who could else read its memory and its environment through
/// `/proc`, and makes it the parent of whatever the job's processes leave behind, so that it can be ended. Descriptors
/// that it was started with are not handed on to the job; what it opens itself never is.
///
/// To be called before the process holds a secret; calling it again does nothing more.
///
/// # Errors
/// When the kernel refuses.
pub fn protect_process() -> Result<(), GuardError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|errno| GuardError::Dumpable(errno.into()))?;
    // Any process id switches it on; the call's own is the one that cannot be wrong.
    set_child_subreaper(Some(rustix::process::getpid())).map_err(|errno| GuardError::Subreaper(errno.into()))?;
    keep_descriptors().map_err(GuardError::Descriptors)
}

/// Marks every descriptor but standard input, output and error as not to be inherited. Those three are replaced for
/// every process of the job.
fn keep_descriptors() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.collect::<io::Result<Vec<_>>>()?;
    let numbers = names.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number| *number > 2) {
        #[expect(unsafe_code, reason = "descriptors that others opened have no owner in this program")]
        // SAFETY: it is used for this one call, which changes nothing but the mark; a number that is not open any more,
        // as that of the listing itself, is answered with an error.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
    Ok(())
}

/// Lets the kernel kill the command's process when the thread that starts it dies, and gives it a process group of its
/// own.
pub(super) fn bind_to_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let hook = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above: then nobody would ever send the signal.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    command.process_group(0);
    #[expect(unsafe_code, reason = "the hook makes two system calls and allocates nothing, which fork allows")]
    // SAFETY: between fork and exec only async-signal-safe work is allowed; prctl and getppid are.
    unsafe {
        command.pre_exec(hook);
    }
}

/// Removes an object of System V IPC. That it is gone already is fine.
pub(super) fn remove_ipc(kind: Kind, id: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the calls have no safe form")]
    // SAFETY: with IPC_RMID the kernel reads nothing but the id: shmctl and msgctl ignore their pointer, semctl has no
    // fourth argument then.
    let result = unsafe {
        match kind {
            Kind::SharedMemory => libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()),
            Kind::Semaphores => libc::semctl(id, 0, libc::IPC_RMID),
            Kind::Queue => libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()),
        }
    };
    let error = io::Error::last_os_error();
    let gone = [libc::EINVAL, libc::EIDRM].contains(&error.raw_os_error().unwrap_or_default());
    if result == 0 || gone { Ok(()) } else { Err(error) }
}

/// Lets the runtime tell when the descriptor is readable.
pub(super) fn watch_handle(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "the runtime needs the promise that the descriptor stays the same and open")]
    // SAFETY: an OwnedFd names one open descriptor for its whole life, and the AsyncFd owns it from here on.
    let registered = unsafe { AsyncFd::register(handle) };
    registered.map_err(io::Error::from)
}
