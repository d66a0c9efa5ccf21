//! The jobs that are run.

use std::path::Path;

use serde_json::{Value, json};

/// What a line of the log starts with when the script speaks; the shell's clock follows.
pub(super) const MARK: &str = "first output at ";

/// One job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No repository, one line.
    NoSources,
    /// A repository of one file, one line.
    TinyRepository,
    /// No repository; speaks, and then goes on until its first words have arrived.
    FirstOutput,
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    Case { name: "no_sources", kind: Kind::NoSources },
    Case { name: "tiny_repository", kind: Kind::TinyRepository },
    Case { name: "first_output", kind: Kind::FirstOutput },
];

impl Case {
    /// Whether it is about the first words only.
    pub(super) fn waits_for_words(&self) -> bool {
        self.kind == Kind::FirstOutput
    }

    /// The job for the simulator. `go` is a file that appears when the script's first words have arrived.
    pub(super) fn description(&self, go: &Path) -> Value {
        let speak = format!("echo \"{MARK}$EPOCHREALTIME\"");
        // Ten seconds at most: longer than the slowest runner takes, so that a slow one is measured too.
        let wait = format!("for n in {{1..200}}; do if [ -e '{}' ]; then break; fi; sleep 0.05; done", go.display());
        match self.kind {
            Kind::NoSources => json!({"script": ["echo hello"], "variables": {"GIT_STRATEGY": "none"}}),
            Kind::TinyRepository => json!({"script": ["echo hello"]}),
            Kind::FirstOutput => json!({"script": [speak, wait], "variables": {"GIT_STRATEGY": "none"}}),
        }
    }
}
