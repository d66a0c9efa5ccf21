//! What the simulator remembers of what was done to it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RequestLine {
    /// Number of the request.
    pub seq: u64,
    /// When it was complete.
    pub t: Millis,
    /// Method.
    pub method: String,
    /// Path, without query.
    pub path: String,
    /// The answer's status; null when the connection was dropped instead.
    pub status: Option<u16>,
    /// What kind of token it carried, never the token.
    pub token: Cow<'static, str>,
    /// The job that it is about.
    pub job: Option<u64>,
    /// The machine that sent it.
    pub system_id: Option<String>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The fault that was applied.
    pub fault: Option<String>,
    /// How long it took.
    pub ms: u64,
}

/// Something that a real GitLab would not forgive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Violation {
    /// When.
    pub t: Millis,
    /// What, in a word.
    pub kind: Cow<'static, str>,
    /// The job.
    pub job: Option<u64>,
    /// The runner.
    pub runner: Option<u64>,
    /// The machine.
    pub system_id: Option<String>,
    /// The circumstances; never a token.
    pub detail: String,
}
