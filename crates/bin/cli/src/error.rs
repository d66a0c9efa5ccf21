//! What ends a command early, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use runnerless_aws::AwsError;
use runnerless_aws_admin::ports::RemoteError;
use runnerless_core::change::BadRow;
use runnerless_gitlab::rest::RestError;

use crate::map::{FileError, Problem};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// A file that was named cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that the command needs was not told.
    #[error("{what}; {cure}")]
    NotConfigured {
        /// What is missing.
        what: String,
        /// Where it comes from.
        cure: String,
    },
    /// AWS.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// AWS, through the functions' own ports.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// GitLab.
    #[error(transparent)]
    GitLab(#[from] RestError),
    /// Somebody else kept writing it.
    #[error("others changed {what} each of {times} times that it was to be written; run the command again")]
    Contended {
        /// What.
        what: &'static str,
        /// How often it was tried.
        times: u32,
    },
    /// The file holds no mapping.
    #[error(transparent)]
    Mapping(#[from] FileError),
    /// The mapping is refused. Nothing was written, unless `written` says so.
    #[error("{} refused", counted(problems.len(), "thing was", "things were"))]
    Refused {
        /// Why, one by one.
        problems: Vec<Problem>,
        /// How many rows had been written before somebody else's write made the rest impossible.
        written: usize,
    },
    /// What was asked about is not there, or not as it should be.
    #[error("{0}")]
    Finding(String),
    /// A row of the ledger that this version cannot read.
    #[error(transparent)]
    BadRow(#[from] BadRow),
    /// A secret that cannot be right.
    #[error("{name}: {problem}; {cure}")]
    Secret {
        /// Which secret.
        name: String,
        /// What is wrong with it. Never the value.
        problem: String,
        /// What to give instead.
        cure: String,
    },
    /// What was found could not be printed.
    #[error("the result cannot be printed")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The command's exit code: 1 a finding or failed work, 2 usage, 3 not configured, 4 a remote error.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } => 2,
            Self::NotConfigured { .. } => 3,
            Self::Remote(_) | Self::Aws(_) | Self::GitLab(_) | Self::Contended { .. } => 4,
            Self::Mapping(_)
            | Self::Refused { .. }
            | Self::Finding(_)
            | Self::BadRow(_)
            | Self::Secret { .. }
            | Self::Output(_) => 1,
        }
    }

    /// The lines for standard error: the error and its causes in one, after the refusals if there are any.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Self::Refused { problems, written } = self {
            lines.extend(problems.iter().map(Problem::to_string));
            lines.push(match written {
                0 => format!("{self}; nothing was written"),
                written => format!("{self}; {} written before", counted(*written, "row was", "rows were")),
            });
            return lines;
        }
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.ends_with(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        lines.push(line);
        lines
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
