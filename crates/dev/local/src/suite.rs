//! What the suites on deployed stacks share: why one cannot be run, and what its cases add up to.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use crate::case_lines::{CaseLines, Verdict};
use crate::demo::tell;
use crate::deploy::DeployError;
use crate::faults::BadTable;
use crate::field::FieldError;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::NoConfinement;
use crate::layout::LayoutError;
use crate::pipelines::RepositoryError;
use crate::pipelines::leftovers::Leftover;
use crate::seed::SeedError;
use crate::stack::StackError;
use crate::up::UpError;

/// A suite that cannot be run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The table of the cases.
    #[error(transparent)]
    Table(#[from] BadTable),
    /// Nothing to run is no success.
    #[error("no case is called like {0:?}")]
    NoCases(String),
    /// No instance can run here.
    #[error(transparent)]
    Confinement(#[from] NoConfinement),
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Its folder.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// A deployment beside it.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Its secrets, lanes and outputs.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The ground of the cases.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The repository of the cases' jobs.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file or port of the cases' jobs.
    #[error("{what} cannot be used")]
    Machine {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program.
    #[error("{path} cannot be run; one of ours is built by `make build`")]
    Program {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the cases stand on cannot be made.
    #[error("{what} failed: {said}")]
    Refused {
        /// What was to do it.
        what: String,
        /// What it said.
        said: String,
    },
    /// The emulator, the witness or the simulator.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// EC2.
    #[error(transparent)]
    Ec2(#[from] Ec2Error),
    /// The stack lacks something that the cases need.
    #[error("the stack has no {0}")]
    Missing(String),
    /// What a case builds on did not come.
    #[error("it did not come to this in {0} s: {1}")]
    Late(u64, String),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

impl SuiteError {
    /// Of a file or port.
    pub(crate) fn machine(what: impl Display) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Machine { what, source }
    }
}

/// The lines of a suite's cases, and what they add up to.
#[derive(Debug)]
pub(crate) struct Tally {
    lines: CaseLines,
    out: PathBuf,
    began: Instant,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    /// For the cases of `suite`, which the make target `target` plays: on standard output, and in `out` from its beginning.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub(crate) fn new(suite: &'static str, target: &'static str, out: Option<&Path>) -> Result<Self, SuiteError> {
        let path = out.map(Path::to_owned).unwrap_or_default();
        let lines = CaseLines::new(suite, out).map_err(|source| SuiteError::Out { path: path.clone(), source })?;
        let lines = lines.of_target(target);
        Ok(Self { lines, out: path, began: Instant::now(), passed: 0, failed: 0, skipped: 0 })
    }

    /// A case, for people and as a line.
    pub(crate) fn of(&mut self, verdict: &Verdict) {
        let held = verdict.holds();
        self.passed += usize::from(held);
        self.failed += usize::from(!held);
        tell(&verdict.said());
        self.lines.case(&verdict.id, &verdict.expected, &verdict.seen(), true, held);
    }

    /// The suite cannot be played here, for a reason that `docs/limits.md` lists.
    pub(crate) fn skip(&mut self, why: &str) {
        tell(&format!("skipped: {why}"));
        self.skipped += 1;
    }

    /// Something that was left behind is a failure of its own.
    pub(crate) fn left(&mut self, left: &Leftover) {
        self.failed += 1;
        tell(&format!("LEFT BEHIND: {} {}", left.what, left.id));
        self.lines.leftover(left.what, &left.id);
    }

    /// Whether no case was played and none skipped.
    pub(crate) const fn is_empty(&self) -> bool {
        self.passed + self.failed + self.skipped == 0
    }

    /// The last line; whether all that was stated held, and something was.
    ///
    /// # Errors
    /// The file lacks lines.
    pub(crate) fn end(mut self) -> Result<bool, SuiteError> {
        self.lines.summary(self.passed, self.failed, self.skipped, self.began.elapsed());
        self.lines.finish().map_err(|source| SuiteError::Out { path: self.out, source })?;
        Ok(self.failed == 0 && self.passed + self.skipped > 0)
    }
}
