//! The ground of a suite of cases: a deployed stack, and a project with a manual job for each case. Mostly each job has
//! a lane of its own, so that no launch serves another case's job.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::aws::{DYNAMODB, LOGS, plain};
use crate::deploy::{Deployment, Function};
use crate::gitlab::{NewHook, Simulator};
use crate::http::HttpError;
use crate::pipelines::{RepositoryError, repository};
use crate::seed::{self, Lane, SeedError, Target, output};
use crate::stack::Stack;
use crate::up::{self, UpError};
use crate::witness::Witness;

/// How long GitLab's own part of the set-up may take on a busy machine.
const SET_UP_S: u64 = 60;

/// A suite's ground cannot be made, or not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The stack's deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// Its secrets and lanes.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The repository of the cases' jobs.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file of the cases' jobs.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The emulator, the witness or the simulator.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// The stack lacks something that the cases need.
    #[error("the stack has no {0}")]
    Missing(String),
}

/// One job of the suite's pipeline, which is called as its case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot<'a> {
    /// The name.
    pub(crate) id: &'a str,
    /// What its lane's tag and description are; jobs of one lane have one engine. Mostly the job's name.
    pub(crate) lane: &'a str,
    /// What its lane launches.
    pub(crate) target: Target<'a>,
    /// Whether the lane has a runner whose token is stored.
    pub(crate) has_token: bool,
}

/// The stack, ready for the cases.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) simulator: Simulator,
    pub(crate) witness: Witness,
    pub(crate) deployment: &'a Deployment,
    pub(crate) project: u64,
    jobs: HashMap<String, u64>,
    /// The newest launch of each job: rows name it only while it matters to them.
    launches: RefCell<HashMap<u64, String>>,
}

impl<'a> Field<'a> {
    /// Seeds a deployed stack, makes a lane and a job for each case, and starts the pipeline, whose file is `file`. All of
    /// the suite's files go below `folder`, which is made anew.
    pub(crate) async fn prepare(
        stack: &'a Stack,
        deployment: &'a Deployment,
        path: &str,
        plots: &[Plot<'_>],
        folder: &Path,
        file: &str,
    ) -> Result<Self, FieldError> {
        let tags: Vec<[&str; 1]> = plots.iter().map(|plot| [plot.lane]).collect();
        let lanes = plots.iter().zip(&tags);
        let lanes: Vec<Lane<'_>> =
            lanes.map(|(plot, tags)| Lane { description: plot.lane, tags, engine: plot.target.engine() }).collect();
        let with_token = plots.iter().zip(&lanes).filter(|(plot, _)| plot.has_token).map(|(_, lane)| *lane);
        let hook = seed::seed(stack, deployment, &with_token.collect::<Vec<_>>(), false).await?;
        for (plot, lane) in plots.iter().zip(&lanes) {
            seed::map_job(stack, deployment, plot.id, lane, &plot.target, path).await?;
        }
        let repository = repository_of(folder, file).await?;
        let simulator = Simulator::new(stack.gitlab().ok_or(SeedError::NoGitLab)?);
        let project = simulator.create_project(path, &repository.display().to_string(), &json!([])).await?;
        let hook = NewHook {
            url: &hook.url,
            host_header: &hook.host_header,
            token: &hook.secret_token,
            signing_token: &hook.signing_token,
        };
        simulator.create_hook(project, &hook).await?;
        let made = simulator.start_pipeline(project).await?;
        let made = simulator.pipeline(made, 0).await?;
        let named = |job: &Value| Some((job["name"].as_str()?.to_owned(), job["id"].as_u64()?));
        let jobs = made["jobs"].as_array().into_iter().flatten().filter_map(named).collect();
        // The hooks of the jobs' creation are over before anything breaks.
        simulator.call(Method::GET, &format!("/_sim/v1/deliveries?wait_s={SET_UP_S}"), &Value::Null).await?;
        let witness = Witness::new(stack.endpoint());
        Ok(Self { stack, simulator, witness, deployment, project, jobs, launches: RefCell::default() })
    }

    /// GitLab's mode for the next jobs: two-phase commit, with so many seconds for an acceptance, or without.
    pub(crate) async fn two_phase(&self, on: bool, seconds: u64) -> Result<(), FieldError> {
        let settings = json!({"two_phase": on, "two_phase_s": seconds});
        self.simulator.call(Method::POST, "/_sim/v1/settings", &settings).await?;
        Ok(())
    }

    /// A function of the stack, by its logical id without `Function`.
    pub(crate) fn function(&self, part: &str) -> Result<&Function, FieldError> {
        function(self.deployment, part)
    }

    /// The case's job in GitLab.
    pub(crate) fn job_id(&self, case: &str) -> Result<u64, FieldError> {
        self.jobs.get(case).copied().ok_or_else(|| FieldError::Missing(format!("job {case}")))
    }

    /// Its key, as the ledger and metrics have it.
    pub(crate) fn key(&self, job: u64) -> String {
        format!("{}/{job}", self.project)
    }

    /// The key of its row in the ledger.
    pub(crate) fn pk(&self, job: u64) -> String {
        format!("job#{}#{job}", self.project)
    }

    /// A person plays the job.
    pub(crate) async fn start(&self, job: u64) -> Result<(), FieldError> {
        Ok(self.simulator.play(self.project, job).await?)
    }

    /// The job as GitLab shows it.
    pub(crate) async fn shown(&self, job: u64) -> Result<Value, FieldError> {
        Ok(self.simulator.job(job).await?)
    }

    /// The first delivery of the job's `pending`.
    pub(crate) async fn delivery(&self, job: u64) -> Result<Value, FieldError> {
        let mut all = self.deliveries(job).await?.into_iter();
        Ok(all.find(|delivery| delivery["status"] == "pending").unwrap_or_default())
    }

    /// The deliveries about this job that GitLab has not seen taken.
    pub(crate) async fn untaken(&self, job: u64) -> Result<Vec<Value>, FieldError> {
        let taken = |delivery: &Value| delivery["answer"].as_u64().is_some_and(|status| (200..300).contains(&status));
        Ok(self.deliveries(job).await?.into_iter().filter(|delivery| !taken(delivery)).collect())
    }

    /// All deliveries about this job, in the order in which they were made.
    async fn deliveries(&self, job: u64) -> Result<Vec<Value>, FieldError> {
        let all = self.simulator.call(Method::GET, "/_sim/v1/deliveries", &Value::Null).await?;
        Ok(all.as_array().into_iter().flatten().filter(|delivery| delivery["job"] == job).cloned().collect())
    }

    /// A person sends a delivery again.
    pub(crate) async fn resend(&self, delivery: &Value) -> Result<(), FieldError> {
        let path = format!("/_sim/v1/deliveries/{}/resend", delivery["id"]);
        self.simulator.call(Method::POST, &path, &Value::Null).await?;
        Ok(())
    }

    /// The job's row; null when there is none.
    pub(crate) async fn row(&self, job: u64) -> Result<Value, FieldError> {
        self.item(&self.pk(job)).await
    }

    /// The row of the newest launch that had the job, or was charged to it; null when there was none.
    pub(crate) async fn launch(&self, job: u64, row: &Value) -> Result<Value, FieldError> {
        if let Some(named) = row["launch"].as_str().or_else(|| row["charge"].as_str()) {
            self.launches.borrow_mut().insert(job, named.to_owned());
        }
        let known = self.launches.borrow().get(&job).cloned();
        match known {
            Some(id) => self.item(&format!("launch#{id}")).await,
            None => Ok(Value::Null),
        }
    }

    /// A row of the ledger; null when there is none.
    pub(crate) async fn item(&self, pk: &str) -> Result<Value, FieldError> {
        let table = output(self.deployment, "LedgerTableName")?;
        let input = json!({"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": true});
        Ok(plain(&self.stack.aws().call(DYNAMODB, "GetItem", &input).await?["Item"]))
    }

    /// One sweep, by hand.
    pub(crate) async fn sweep(&self) -> Result<Value, FieldError> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.function("Reconciler")?.name);
        Ok(self.stack.aws().request("lambda", Method::POST, &path, &json!({})).await?)
    }

    /// Whether a function's log has this metric with this job's key.
    pub(crate) async fn counted(&self, metric: &str, job: u64) -> Result<bool, FieldError> {
        let aws = self.stack.aws();
        let (name, key) = (format!("\"{metric}\""), format!("\"{}\"", self.key(job)));
        let groups = aws.call(LOGS, "DescribeLogGroups", &json!({})).await?;
        for group in groups["logGroups"].as_array().into_iter().flatten() {
            let input = json!({"logGroupName": group["logGroupName"]});
            let found = aws.call(LOGS, "FilterLogEvents", &input).await?;
            let mut said =
                found["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
            if said.any(|line| line.contains("\"_aws\"") && line.contains(&name) && line.contains(&key)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How often the job began to run in GitLab's eyes: an acceptance, or a 201 where those are none.
    pub(crate) async fn begun(&self, job: u64) -> Result<usize, FieldError> {
        let lines = self.simulator.text("/_sim/v1/events?since=0&follow=false").await?;
        let of_job =
            |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|e| e["job"] == job && e["event"] == "running");
        Ok(lines.lines().filter(|line| of_job(line)).count())
    }
}

/// A function of a deployment, by its logical id without `Function`.
pub(crate) fn function<'d>(deployment: &'d Deployment, part: &str) -> Result<&'d Function, FieldError> {
    let function = deployment.functions.get(&format!("{part}Function"));
    function.ok_or_else(|| FieldError::Missing(format!("function {part}")))
}

/// Deploys the template for a suite.
pub(crate) async fn deploy(stack: &Stack) -> Result<Deployment, FieldError> {
    Ok(up::deploy(stack).await?)
}

/// Looks until something is there, or the time is over; with this pause between two looks.
pub(crate) async fn until<T, E>(
    pause: Duration,
    limit: Duration,
    look: impl AsyncFn() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let begun = Instant::now();
    loop {
        let seen = look().await?;
        if seen.is_some() || begun.elapsed() > limit {
            return Ok(seen);
        }
        sleep(pause).await;
    }
}

/// The repository with this pipeline file, below a folder that is made anew.
async fn repository_of(folder: &Path, file: &str) -> Result<PathBuf, FieldError> {
    let bad = |path: &Path| {
        let path = path.to_owned();
        move |source| FieldError::File { path, source }
    };
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(bad(folder))?;
    }
    let source = folder.join("source");
    let path = source.join(".gitlab-ci.yml");
    std::fs::create_dir_all(&source).and_then(|()| std::fs::write(&path, file)).map_err(bad(&path))?;
    Ok(repository::commit(&source, &folder.join("repository")).await?)
}
