//! Processes of the job: one shell per stage, and the end of everything that it started.

mod family;
mod guard;
mod ipc;
mod shell;

pub(crate) use family::Family;
pub use family::{EndError, end_descendants};
pub use guard::{GuardError, protect_process};
pub use ipc::IpcObjects;
pub(crate) use shell::{Ended, Grace, Shell, ShellSpec, code_of};
