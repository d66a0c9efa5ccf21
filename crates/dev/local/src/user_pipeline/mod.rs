//! `make user-pipeline`: a user's repository whose jobs deploy a Lambda function by `pipelines/lambda.gitlab-ci.yml`, as jobs of
//! our own runner: GitLab's webhook, the stack, an executor, and AWS, which the job speaks to as the role that its ID token
//! lets it be.
//!
//! The function has an alias, which is what its callers call. After each step it is asked what they get.

mod ground;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::case_lines::Verdict;
use crate::demo::tell;
use crate::guard::Signals;
use crate::pipelines::leftovers::Before;
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
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
pub async fn user_pipeline(wish: &UserPipeline, signals: &mut Signals) -> Result<bool, SuiteError> {
    let layout = &wish.stack.layout;
    let mut tally = Tally::new("user-pipeline", "user-pipeline", wish.out.as_deref())?;
    let before = Before::new(layout);
    let stack = Stack::start(&wish.stack).await?;
    let endpoints = stack.endpoints().clone();
    tokio::select! {
        played = steps(wish, &stack, &mut tally) => played?,
        () = signals.any() => return Err(SuiteError::Interrupted),
    }
    stack.stop().await;
    before.leftovers(layout, Some(&endpoints)).iter().for_each(|left| tally.left(left));
    tally.end()
}

async fn steps(wish: &UserPipeline, stack: &Stack, tally: &mut Tally) -> Result<(), SuiteError> {
    tell("deploying the stack, a function and its repository");
    let ground = Ground::prepare(wish, stack).await?;
    for step in &STEPS {
        tally.of(&played(&ground, step).await?);
    }
    let mut contract = Verdict::new("GitLab noticed nothing against its contract", json!([]));
    contract.why = ground.simulator.violations().await?;
    contract.got = json!(contract.why);
    tally.of(&contract);
    Ok(())
}

/// One step, and what came of it.
async fn played(ground: &Ground<'_>, step: &Step) -> Result<Verdict, SuiteError> {
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
    verdict.unless(status == step.status, || format!("it should be {}", step.status));
    let says = || format!("its log does not say {:?}, it ends with:\n{}", step.says, end_of(&log));
    verdict.unless(log.contains(step.says), says);
    verdict.unless(callers.contains(step.callers), || format!("callers should get {:?}", step.callers));
    verdict.unless(tests == json!("success"), || "the job before it did not end well".to_owned());
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
