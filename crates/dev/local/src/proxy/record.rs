//! The witness's record: one JSON line a call.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// One call as it was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When it came (ms since the epoch).
    pub t: i64,
    /// The function whose role session signed it; null for calls from outside.
    pub function: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// The operation.
    pub op: String,
    /// The answer's status; null when the caller was gone or got none.
    pub status: Option<u16>,
    /// Until the answer began (ms).
    pub ms: i64,
    /// The function that a `lambda:Invoke` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `Event` for an asynchronous invoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// The tenant that an invoke names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it is about, of what a suite watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The instances that a call to EC2 names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
    /// The fault that was put on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The file.
#[derive(Debug)]
pub struct Record {
    file: Mutex<File>,
}

impl Record {
    /// Opens the file for appending.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(OpenOptions::new().create(true).append(true).open(path)?) })
    }

    /// Appends a line with one write, so that readers never see half of it.
    pub fn append(&self, line: &Line) {
        let Ok(mut text) = serde_json::to_string(line) else { return };
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not change what the functions see; the missing line shows in whatever counts them.
        let _ = file.write_all(text.as_bytes());
    }
}
