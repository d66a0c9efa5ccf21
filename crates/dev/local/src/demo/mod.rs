//! `make demo`: the main job end to end on the local stack, in six stages, and nothing left of it afterwards.

mod explore;
mod instances;
mod prepare;
mod watch;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::bare::{self, Bare, NoBare};
use crate::deploy::Deployment;
use crate::gitlab::Simulator;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::{Confinement, NoConfinement};
use crate::layout::Layout;
use crate::pipelines::expect::{BadExpect, Expect};
use crate::pipelines::ledger::Ledger;
use crate::pipelines::leftovers::{Before, Leftover};
use crate::pipelines::lines::{JobLine, Lines, Summary};
use crate::pipelines::{RepositoryError, jobs, repository, timeline};
use crate::seed::{self, SeedError};
use crate::stack::{Options, Stack};
use crate::up::{self, UpError};
use explore::Kept;
use prepare::Project;

/// The job of the demo's pipeline that prints the nonce.
const NONCE_JOB: &str = "greet";
/// How long the demo's own pipeline may take.
const OWN_LIMIT: Duration = Duration::from_secs(180);
/// How long another pipeline may take: the longest Lambda invocation.
const FOREIGN_LIMIT: Duration = Duration::from_secs(900);

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The stack.
    pub stack: Options,
    /// Leave the stack running.
    pub keep: bool,
    /// It fails where the executor cannot find exactly what Lambda has. Without this the demo's own jobs do without where it
    /// must be, and others' are not asked to do with so little.
    pub bare: bool,
    /// A repository instead of the demo's own.
    pub repo: Option<PathBuf>,
    /// Expectations instead of the demo's own.
    pub expect: Option<PathBuf>,
    /// Given to the jobs as `NONCE`.
    pub nonce: Option<String>,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// Give the stack an API token, so that it knows jobs' tags and lists projects.
    pub api_token: bool,
    /// How long the build took before us.
    pub build_ms: u64,
    /// Where `unshare` and the like are.
    pub search_path: String,
    /// How long the pipeline may take; three minutes for the demo's own, a quarter of an hour for another.
    pub limit: Option<Duration>,
}

/// The demo did not get through.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The expectations.
    #[error(transparent)]
    Expect(#[from] BadExpect),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Start or deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// Secrets and runners.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// AWS or GitLab.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// EC2.
    #[error(transparent)]
    Instances(#[from] Ec2Error),
    /// The environment that AWS gives.
    #[error("BARE=1 is not possible here: {0}")]
    Bare(#[from] NoBare),
    /// The pipeline did not end.
    #[error("the pipeline is still {status} after {limit:?}; unfinished: {unfinished}")]
    Late {
        /// Its status.
        status: String,
        /// How long it was given.
        limit: Duration,
        /// The jobs that are not over.
        unfinished: String,
    },
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Runs the demo; true when all that was expected held. What it started is ended in any case, unless it is kept.
///
/// # Errors
/// Only when it cannot say anything on its lines; whatever else fails is said there and on standard error.
pub async fn demo(demo: &Demo, signals: &mut Signals) -> Result<bool, DemoError> {
    let begun = Instant::now();
    let out = demo.out.as_deref();
    let mut lines = Lines::new(out)
        .map_err(|source| DemoError::Out { path: out.map_or_else(PathBuf::new, PathBuf::from), source })?;
    let before = Before::new(&demo.stack.layout);
    let mut run = Run {
        demo,
        stack: None,
        project: None,
        pipeline: None,
        jobs: Vec::new(),
        failures: Vec::new(),
        rows: Vec::new(),
        no_instances: None,
        stays: false,
    };
    lines.stage("build", demo.build_ms);
    let result = tokio::select! {
        result = run.stages(&mut lines) => result,
        () = signals.any() => Err(DemoError::Interrupted),
    };
    if let Err(error) = result {
        run.failures.push(said(&error));
    }
    let cleanup = Instant::now();
    let leftovers = run.clean_up(&before).await;
    lines.stage("cleanup", ms(cleanup));
    for left in &leftovers {
        lines.leftover(left.what, &left.id);
        run.failures.push(format!("left behind: {} {}", left.what, left.id));
    }
    Ok(run.sum_up(&mut lines, begun.elapsed()))
}

/// One run.
struct Run<'a> {
    demo: &'a Demo,
    /// As soon as there is one.
    stack: Option<Stack>,
    /// GitLab's project, and the number of its pipeline, as soon as they are there.
    project: Option<Project>,
    pipeline: Option<u64>,
    jobs: Vec<JobLine>,
    /// What went wrong beside the jobs.
    failures: Vec<String>,
    /// Launches that did not end, and what is left of instances.
    rows: Vec<Leftover>,
    /// Why no job gets an instance here.
    no_instances: Option<String>,
    /// Whether the stack outlives this run.
    stays: bool,
}

impl Run<'_> {
    async fn stages(&mut self, lines: &mut Lines) -> Result<(), DemoError> {
        let demo = self.demo;
        self.no_instances = demo.confinement().await.err().map(|error| error.to_string());
        if let Some(why) = &self.no_instances {
            tell(&format!("skipped, {:?}: {why}", instances::JOB));
        }
        let expect = self.expect()?;
        if let Some(repo) = &demo.repo {
            // Before anything is started for it.
            repository::check(repo).await?;
        }
        let at = Instant::now();
        tell("starting the AWS emulator, the witness and GitLab");
        let stack = self.stack.insert(up::take(&demo.stack).await.map_err(UpError::from)?);
        lines.stage("stack", ms(at));
        let at = Instant::now();
        tell("deploying template.yaml");
        let bare = demo.around(stack.layout()).await?;
        let deployment = up::deploy_around(stack, bare.as_ref()).await?;
        let python = if demo.repo.is_none() { Some(prepare::python_function(stack, &deployment).await?) } else { None };
        lines.stage("deploy", ms(at));
        let at = Instant::now();
        tell("writing secrets, making runners, the mapping, a project and its hook");
        let with_instances = self.no_instances.is_none();
        let project = prepare::seed_project(demo, stack, &deployment, python.as_deref(), with_instances).await?;
        lines.stage("seed", ms(at));
        let at = Instant::now();
        let project_id = project.id;
        self.project = Some(project);
        let result = self.pipeline(&deployment, project_id, &expect).await;
        lines.stage("pipeline", ms(at));
        for job in &self.jobs {
            lines.job(job);
        }
        result
    }

    async fn pipeline(&mut self, deployment: &Deployment, project: u64, expect: &Expect) -> Result<(), DemoError> {
        let Some(stack) = &self.stack else { return Ok(()) };
        let simulator = Simulator::new(stack.gitlab().ok_or(SeedError::NoGitLab)?);
        let id = simulator.start_pipeline(project).await?;
        self.pipeline = Some(id);
        tell(&format!("pipeline {id} runs"));
        let (pipeline, late) = watch::wait(&simulator, id, self.limit()).await?;
        let ledger = Ledger { aws: stack.aws(), table: seed::output(deployment, "LedgerTableName")? };
        if late.is_none() {
            let open = ledger.open_launches().await?;
            self.rows.extend(open.into_iter().map(|id| Leftover { what: "row", id }));
            self.rows.extend(instances::leftovers(stack, &simulator).await?);
        }
        let logs = stack.layout().at("jobs");
        self.jobs = jobs::collect(&simulator, &ledger, project, &pipeline, expect, &logs).await?;
        instances::complete(stack.layout(), &mut self.jobs);
        let names: Vec<String> = self.jobs.iter().map(|job| job.name.clone()).collect();
        self.failures
            .extend(expect.unknown(&names).map(|name| format!("EXPECT names {name:?}, which no job is called")));
        self.failures.extend(simulator.failed_deliveries(project).await?);
        let violations = simulator.violations().await?;
        self.failures.extend(violations.into_iter().map(|said| format!("against GitLab's contract: {said}")));
        late.map_or(Ok(()), Err)
    }

    fn limit(&self) -> Duration {
        self.demo.limit.unwrap_or(if self.demo.repo.is_some() { FOREIGN_LIMIT } else { OWN_LIMIT })
    }

    fn expect(&self) -> Result<Expect, DemoError> {
        let own = self.demo.stack.layout.source("demo/expect.json");
        match (&self.demo.expect, &self.demo.repo) {
            (Some(path), _) => Ok(Expect::read(path)?),
            (None, None) => {
                let mut expect = self.with_nonce(Expect::read(&own)?);
                if self.no_instances.is_some() {
                    expect.jobs.remove(instances::JOB);
                }
                Ok(expect)
            }
            (None, Some(_)) => Ok(Expect::default()),
        }
    }

    /// The demo's own pipeline greets the nonce.
    fn with_nonce(&self, mut expect: Expect) -> Expect {
        if let (Some(nonce), Some(job)) = (&self.demo.nonce, expect.jobs.get_mut(NONCE_JOB)) {
            job.log_has.push(nonce.clone());
        }
        expect
    }

    /// Ends the stack, unless it is kept or was there before, and looks for what is left.
    async fn clean_up(&mut self, before: &Before) -> Vec<Leftover> {
        let mut left = std::mem::take(&mut self.rows);
        let layout = &self.demo.stack.layout;
        let endpoints = match self.stack.take() {
            None => None,
            Some(stack) if self.demo.keep || !stack.is_ours() => {
                stack.keep();
                self.stays = true;
                return left;
            }
            Some(stack) => {
                tell("ending the stack");
                let endpoints = stack.endpoints().clone();
                stack.stop().await;
                Some(endpoints)
            }
        };
        left.extend(before.leftovers(layout, endpoints.as_ref()));
        left
    }

    fn sum_up(&mut self, lines: &mut Lines, took: Duration) -> bool {
        self.failures.extend(self.demo.unwritten(lines));
        let count = |wanted: fn(&JobLine) -> bool| self.jobs.iter().filter(|job| wanted(job)).count();
        let skipped = |job: &JobLine| job.ok && matches!(job.status.as_str(), "skipped" | "manual");
        let failed = count(|job| !job.ok);
        let left_out = count(skipped);
        let passed = self.jobs.len() - failed - left_out;
        let left_out = left_out + usize::from(self.no_instances.is_some() && self.demo.repo.is_none());
        let ok = failed == 0 && self.failures.is_empty() && !self.jobs.is_empty();
        tell(&format!("\n{}", timeline::table(&self.jobs)));
        for job in &self.jobs {
            tell(&format!("log of {}: {}", job.name, job.log.as_deref().unwrap_or("none")));
            for why in &job.why {
                tell(&format!("  NOT AS EXPECTED: {why}"));
            }
        }
        for failure in &self.failures {
            tell(&format!("FAILED: {failure}"));
        }
        let layout = &self.demo.stack.layout;
        if self.stays {
            let kept = Kept { layout, project: self.project.as_ref(), pipeline: self.pipeline, jobs: &self.jobs };
            tell(&format!("\n{}", kept.commands()));
        }
        if ok {
            tell(NEXT);
        } else {
            tell(&format!("logs of the programs: {}", layout.at("log").display()));
        }
        let seconds = (took.as_secs_f64() * 10.0).round() / 10.0;
        lines.summary(&Summary { target: "demo", passed, failed, skipped: left_out, seconds, ok });
        let unwritten = self.demo.unwritten(lines);
        if ok && let Some(failure) = &unwritten {
            tell(&format!("FAILED: {failure}"));
        }
        ok && unwritten.is_none()
    }
}

impl Demo {
    /// Whether instances can run here, see `docs/limits.md`.
    async fn confinement(&self) -> Result<Confinement, NoConfinement> {
        let layout = &self.stack.layout;
        let folder = layout.at("probe-of-the-demo");
        Confinement::new(&layout.command("runnerless-runner"), &self.search_path, &folder).await
    }

    /// What the executor finds around it; nothing where that is this machine.
    async fn around(&self, layout: &Layout) -> Result<Option<Bare>, NoBare> {
        if self.repo.is_some() && !self.bare {
            return Ok(None);
        }
        let bare = match bare::layer(layout) {
            Ok(layer) => Bare::new(layout, &layout.at("bare"), &layout.command("executor"), Some(layer)).await,
            Err(why) => Err(why),
        };
        match bare {
            Ok(bare) => {
                tell("the executor finds no more than Lambda has, and the tools layer");
                Ok(Some(bare))
            }
            Err(why) if self.bare => Err(why),
            Err(why) => {
                tell(&format!("the executor finds what this machine has, which is more than Lambda: {why}"));
                Ok(None)
            }
        }
    }

    /// That lines are missing in the file, in words.
    fn unwritten(&self, lines: &mut Lines) -> Option<String> {
        let path = self.out.clone().unwrap_or_default();
        lines.failure().map(|source| said(&DemoError::Out { path, source }))
    }
}

/// What comes after the demo.
const NEXT: &str = "
To run your own pipeline here:  make demo REPO=/path/to/repository NONCE=hello
For a real GitLab and AWS account, with credentials of that account in your environment:
  make layer && sam build && sam deploy --parameter-overrides GitLabUrl=https://gitlab.example.com
  runnerless secrets put ...      the webhook's tokens, and the token of a GitLab runner for each lane
  runnerless map load FILE        which job gets which runner
and add the stack's output WebhookUrl to the project or group as a webhook for job events.";

/// Progress, on standard error.
pub fn tell(text: &str) {
    use std::io::Write as _;
    // A reader that left does not end the demo.
    let _ = writeln!(io::stderr(), "{text}");
}

/// An error with all its reasons.
#[must_use]
pub fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text.push_str(&format!(": {reason}"));
        source = reason.source();
    }
    text
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
