//! `make user-pipeline`: a user's repository whose jobs deploy a Lambda function by `pipelines/lambda.gitlab-ci.yml`, as jobs of
//! our own runner: GitLab's webhook, the stack, an executor, and AWS, which the job speaks to as the role that its ID token
//! lets it be.
//!
//! The function has an alias, which is what its callers call. After each step it is asked what they get.

mod ground;

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case_lines::{CaseLines, Verdict};
use crate::demo::tell;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::pipelines::RepositoryError;
use crate::pipelines::leftovers::Before;
use crate::seed::SeedError;
use crate::stack::{Options, Stack, StackError};
use crate::supervise::Endpoints;
use crate::up::UpError;
use ground::{Ground, PROJECT, STRANGER};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct UserPipeline {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// The folder with the AWS CLI's program.
    pub cli: PathBuf,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
}

/// It cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum UserPipelineError {
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the repository.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program.
    #[error("{path} cannot be run")]
    Program {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the play stands on cannot be made.
    #[error("{what} failed: {said}")]
    Refused {
        /// The command.
        what: String,
        /// What it said.
        said: String,
    },
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Its deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// Its secrets and lanes.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The emulator or the simulator.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Runs the pipeline with this folder as the function's source.
    Deploy(&'static str),
    /// Plays the newest pipeline's job that has not been played yet.
    RollBack,
}

/// A step of the function's life, and what comes of it.
struct Step {
    id: &'static str,
    /// In which project.
    project: &'static str,
    deed: Deed,
    /// How the job ends.
    status: &'static str,
    /// What its log says.
    says: &'static str,
    /// What callers of the alias get then.
    callers: &'static str,
}

const STEPS: [Step; 7] = [
    Step {
        id: "the first version",
        project: PROJECT,
        deed: Deed::Deploy("src"),
        status: "success",
        says: "live is at version 1",
        callers: "hello, you",
    },
    Step {
        id: "the next version",
        project: PROJECT,
        deed: Deed::Deploy("next"),
        status: "success",
        says: "live is at version 2, before: 1",
        callers: "good day, you",
    },
    Step {
        id: "a version that answers wrongly is kept out",
        project: PROJECT,
        deed: Deed::Deploy("wrong"),
        status: "failed",
        says: "live stays at version 2",
        callers: "good day, you",
    },
    Step {
        id: "a version that cannot be loaded is kept out",
        project: PROJECT,
        deed: Deed::Deploy("broken"),
        status: "failed",
        says: "live stays at version 2",
        callers: "good day, you",
    },
    Step {
        id: "the way back",
        project: PROJECT,
        deed: Deed::RollBack,
        status: "success",
        says: "live is at version 1 again, and no longer at 2",
        callers: "hello, you",
    },
    Step {
        id: "no way further back",
        project: PROJECT,
        deed: Deed::RollBack,
        status: "failed",
        says: "no version is remembered before it",
        callers: "hello, you",
    },
    Step {
        id: "another project's job is not let be the role",
        project: STRANGER,
        deed: Deed::Deploy("next"),
        status: "failed",
        says: "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        callers: "hello, you",
    },
];

/// Plays it; true when each step came to what it must, and nothing is left.
///
/// # Errors
/// When it cannot be played at all. The stack is ended in any case.
pub async fn user_pipeline(wish: &UserPipeline, signals: &mut Signals) -> Result<bool, UserPipelineError> {
    let began = Instant::now();
    let layout = &wish.stack.layout;
    let out = |source| UserPipelineError::Out { path: wish.out.clone().unwrap_or_default(), source };
    let mut lines = CaseLines::new("user-pipeline", wish.out.as_deref()).map_err(out)?;
    let before = Before::new(layout);
    let stack = Stack::start(&wish.stack).await?;
    let gitlab = stack.gitlab().cloned();
    let endpoints = Endpoints { emulator: stack.emulator().to_owned(), proxy: stack.endpoint().to_owned(), gitlab };
    let (mut passed, mut failed) = (0, 0);
    let played = async {
        tell("deploying the stack, a function and its repository");
        let ground = Ground::prepare(wish, &stack).await?;
        for step in &STEPS {
            let verdict = played(&ground, step).await?;
            passed += usize::from(verdict.holds());
            failed += usize::from(!verdict.holds());
            tell(&verdict.said());
            lines.case(&verdict.id, &verdict.expected, &verdict.seen(), true, verdict.holds());
        }
        let violations = ground.simulator.violations().await?;
        failed += violations.len();
        violations.iter().for_each(|violation| tell(&format!("FAILED GitLab noticed: {violation}")));
        Ok::<_, UserPipelineError>(())
    };
    tokio::select! {
        played = played => played?,
        () = signals.any() => return Err(UserPipelineError::Interrupted),
    }
    stack.stop().await;
    for left in before.leftovers(layout, Some(&endpoints)) {
        failed += 1;
        tell(&format!("LEFT BEHIND: {} {}", left.what, left.id));
        lines.leftover(left.what, &left.id);
    }
    lines.summary(passed, failed, 0, began.elapsed());
    lines.finish().map_err(out)?;
    Ok(failed == 0 && passed == STEPS.len())
}

/// One step, and what came of it.
async fn played(ground: &Ground<'_>, step: &Step) -> Result<Verdict, UserPipelineError> {
    let job = match step.deed {
        Deed::Deploy(source) => ground.deploy(step.project, source).await?,
        Deed::RollBack => ground.roll_back(step.project).await?,
    };
    let log = ground.log(&job).await?;
    let callers = ground.callers().await?;
    let status = job["status"].as_str().unwrap_or_default();
    let tests = ground.tests_of(&job).await?;
    let mut verdict = Verdict {
        id: step.id.to_owned(),
        expected: json!({"status": step.status, "says": step.says, "callers": step.callers, "tests": "success"}),
        got: json!({"status": status, "callers": callers, "tests": tests}),
        why: Vec::new(),
        words: format!("{}: {} {status}, callers get {callers}", step.id, job["name"].as_str().unwrap_or_default()),
    };
    let mut unless = |holds: bool, why: String| {
        if !holds {
            verdict.why.push(why);
        }
    };
    unless(status == step.status, format!("it should be {}", step.status));
    unless(log.contains(step.says), format!("its log does not say {:?}, it ends with:\n{}", step.says, end_of(&log)));
    unless(callers.contains(step.callers), format!("callers should get {:?}", step.callers));
    unless(tests == json!("success"), "the job before it did not end well".to_owned());
    Ok(verdict)
}

/// The last lines of a log.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The job of a pipeline with this name, the newest.
fn job_named<'p>(pipeline: &'p Value, name: &str) -> Option<&'p Value> {
    pipeline["jobs"].as_array()?.iter().rfind(|job| job["name"] == name)
}
