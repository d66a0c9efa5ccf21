//! Who runs in a state folder, and where it listens.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SuperviseError;
use crate::processes::Process;

/// Where a stack listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The emulator itself.
    pub emulator: String,
    /// The witness in front of it: what the functions use.
    pub proxy: String,
    /// The simulator.
    pub gitlab: Option<GitLab>,
}

/// The simulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitLab {
    /// Its address.
    pub url: String,
    /// The token of its administrator.
    pub admin_token: String,
}

/// What the supervisor writes down for [`super::down`] and for whoever uses a running stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The boot of the machine that start times are counted from.
    boot: String,
    /// The supervisor.
    pub supervisor: Process,
    /// Its guards.
    pub guards: Vec<Process>,
    /// Where the stack listens.
    pub endpoints: Endpoints,
}

impl Record {
    /// This process's record.
    #[must_use]
    pub fn new(guards: Vec<Process>, endpoints: Endpoints) -> Self {
        Self { boot: boot(), supervisor: Process::own(), guards, endpoints }
    }

    /// Writes it for the owner's eyes only: it holds the simulator's token.
    pub(super) fn write(&self, path: &Path) -> Result<(), SuperviseError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        write_private(path, &text).map_err(|source| SuperviseError::File { path: path.to_owned(), source })
    }

    /// Reads the record of a folder; `None` when there is none of this boot.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (record.boot == boot()).then_some(record)
    }

    /// Whether its supervisor still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.supervisor.is_alive()
    }
}

/// Writes a file that nobody else may read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    // A leftover with other rights would keep them.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

/// The boot of the machine that start times are counted from.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
