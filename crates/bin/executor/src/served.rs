//! One invocation, from the event to the end of its launch.

use std::future::Future;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::{AwsError, runner_token, runner_token_name};
use runnerless_core::chain::chain;
use runnerless_core::change::RowKey;
use runnerless_core::event::LaunchEvent;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::limits;
use runnerless_core::moves::{BeginRefused, End, Evidence};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_engine::{self as engine, JobIds, JobReport, Reported, RunConfig, WorkRoot, run_one, stop_channel};
use runnerless_gitlab::protocol::{Client, Secret};
use runnerless_lambda_kit::{Call, metrics, token};
use runnerless_lost::{LostJobs, Written};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::error::Error;
use crate::folder::LaunchFolder;
use crate::heartbeat::{Heartbeat, Stage};
use crate::host::LaunchHost;
use crate::introduce::introduce;
use crate::outcome::{Ended, Outcome};
use crate::surroundings::{Settings, Terms};

/// Random bytes of a claim: enough that two processes never draw the same.
const CLAIM_BYTES: usize = 16;

/// What an executor speaks to.
#[derive(Debug)]
pub struct Ports<'a, L, P> {
    /// The ledger.
    pub ledger: &'a L,
    /// Parameter Store.
    pub parameters: &'a P,
    /// GitLab, or why it cannot be called.
    pub gitlab: Result<&'a Client, String>,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

/// Serves one launch. `terminated` ends when the process is told to end.
///
/// # Errors
/// The executor's own failures; a job that failed is none.
pub async fn handle<L: Ledger, P: Parameters>(
    call: &Call<Value>,
    ports: &Ports<'_, L, P>,
    settings: &Settings,
    terminated: impl Future<Output = ()> + Send,
) -> Result<Outcome, Error> {
    let event = LaunchEvent::read(&call.event)?;
    settings.sandbox.admit(call.tenant.as_deref(), &event.launch).await?;
    let (book, now) = (Book(ports.ledger), (ports.clock)());
    let (hash, claim) = (event.nonce.sha256(), token(CLAIM_BYTES));
    let mut begun = book.begin(&event.launch, &hash, &claim, now).await;
    if let Err(MoveError::Ledger(AwsError::Unavailable { .. })) = begun {
        // Its answer may be lost. Under the same claim it is the same begin.
        begun = book.begin(&event.launch, &hash, &claim, now).await;
    }
    let launch = match begun {
        Ok(launch) => launch,
        Err(MoveError::Ledger(error)) => return Err(Error::NotBegun(error)),
        Err(gone @ (MoveError::Refused(_) | MoveError::NoLaunch(_))) => {
            let (id, reason) = (event.launch.as_str(), gone.to_string());
            if let MoveError::Refused(BeginRefused::Begun) = gone {
                owner_may_be_lost(ports, settings, &event.launch).await?;
            }
            tracing::info!(target: "runnerless", service = "executor", "launch.id" = id, reason, "not ours to serve");
            return Ok(Outcome::without_job(Ended::Gone, reason));
        }
    };
    let lane = launch.lane.as_str();
    tracing::info!(target: "runnerless", service = "executor", "launch.id" = launch.launch.as_str(), "lane.id" = lane, "begun");
    let serving = Serving { call, event: &event, launch: &launch, began: now, ports, settings };
    let (served, folder) = serving.serve(terminated).await;
    conclude(&book, &launch, &served, (ports.clock)()).await;
    // Last, because it may take as long as what the job left is large, and Lambda waits for nobody.
    if let Some(folder) = folder {
        folder.remove();
    }
    served.answer
}

/// Another delivery of this event began the launch. Should that one be silent for longer than its lease, its job is
/// reported here and now.
async fn owner_may_be_lost<L: Ledger, P: Parameters>(
    ports: &Ports<'_, L, P>,
    settings: &Settings,
    launch: &LaunchId,
) -> Result<(), Error> {
    let Ok(reporter) = ports.gitlab else { return Ok(()) };
    let parameter_path = &settings.parameter_path;
    let jobs = LostJobs { ledger: ports.ledger, parameters: ports.parameters, parameter_path, reporter };
    match jobs.lose(launch, Evidence::RowOnly, (ports.clock)()).await.map_err(Error::NotBegun)? {
        Written::NotLost(_) => {}
        Written::Lost(told) => metrics::lost("executor", launch, told.job(), &told.sentence()),
    }
    Ok(())
}

/// What is left to say when the work is over.
struct Served {
    /// How the launch ends; `None` when it has ended already.
    end: Option<End>,
    answer: Result<Outcome, Error>,
}

impl Served {
    /// Our own failure: it says nothing about the launch's job.
    fn failed(error: Error) -> Self {
        Self { end: Some(End::Unanswered(chain(&error))), answer: Err(error) }
    }

    /// GitLab was not really asked.
    fn unanswered(ended: Ended, reason: impl Into<String>) -> Self {
        let outcome = Outcome::without_job(ended, reason);
        Self { end: outcome.reason.clone().map(End::Unanswered), answer: Ok(outcome) }
    }

    fn without_job(ended: Ended, reason: impl Into<String>) -> Self {
        let outcome = Outcome::without_job(ended, reason);
        Self { end: outcome.reason.clone().map(End::Fruitless), answer: Ok(outcome) }
    }
}

/// Ends the launch in the ledger. When that fails, its row stays due and the sweep ends it.
async fn conclude<L: Ledger>(book: &Book<'_, L>, launch: &LaunchRow, served: &Served, now: Timestamp) {
    let id = launch.launch.as_str();
    if let Some(end) = &served.end {
        match book.conclude_about(&launch.launch, launch.charged_to, end, now).await {
            Ok(concluded) => metrics::concluded("executor", concluded),
            Err(error) => {
                let error = chain(&error);
                tracing::error!(target: "runnerless", service = "executor", "launch.id" = id, error, "the launch's end was not recorded");
            }
        }
    }
    if let Ok(outcome) = &served.answer {
        let job = outcome.job.as_deref();
        let (ended, reason) = (outcome.outcome.as_str(), outcome.reason.as_deref());
        tracing::info!(target: "runnerless", service = "executor", "launch.id" = id, "job.key" = job, outcome = ended, reason, "ended");
    }
}

/// A launch that began.
struct Serving<'a, L, P> {
    call: &'a Call<Value>,
    event: &'a LaunchEvent,
    launch: &'a LaunchRow,
    began: Timestamp,
    ports: &'a Ports<'a, L, P>,
    settings: &'a Settings,
}

impl<L: Ledger, P: Parameters> Serving<'_, L, P> {
    /// Serves, and gives back the folder that is to be removed when the launch has ended.
    async fn serve(&self, terminated: impl Future<Output = ()> + Send) -> (Served, Option<LaunchFolder>) {
        let (client, token) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(served) => return (served, None),
        };
        let folder = match LaunchFolder::make(&self.settings.work_root, &self.launch.launch) {
            Ok(folder) => folder,
            Err(error) => return (Served::failed(error.into()), None),
        };
        let now = (self.ports.clock)();
        if now - self.began >= limits::WAIT {
            let late = Served::unanswered(Ended::NoJob, "it became too late to ask GitLab");
            return (late, Some(folder));
        }
        let config = self.terms(token).config(self.settings, now);
        (self.run(&config, client, folder.root(), terminated).await, Some(folder))
    }

    /// What it takes to ask; the error is the launch's end.
    async fn prepare(&self) -> Result<(&Client, Secret), Served> {
        let same = |url: &str| url.trim_end_matches('/').to_owned();
        if same(&self.event.gitlab_url) != same(&self.settings.gitlab_url) {
            return Err(Served::failed(Error::WrongGitLab(self.settings.gitlab_url.clone())));
        }
        let client = match &self.ports.gitlab {
            Ok(client) => *client,
            Err(why) => return Err(Served::failed(Error::Client(why.clone()))),
        };
        let root = &self.settings.parameter_path;
        let (ledger, lane) = (self.ports.ledger, &self.launch.lane);
        let asked_before = [RowKey::Lane(lane.clone())];
        let (token, rows) = tokio::join!(
            runner_token(self.ports.parameters, root, self.launch.engine, lane),
            ledger.load(&asked_before),
        );
        let token = match token {
            Ok(token) => Secret::new(token.as_str()),
            Err(error) => return Err(Served { end: Some(error.end()), answer: Err(error.into()) }),
        };
        // A row that cannot be read is as good as none: GitLab is asked again.
        let known = rows.ok().and_then(|rows| rows.lane(lane).ok().flatten());
        introduce(ledger, client, self.launch, &token, known.as_ref(), self.began).await;
        Ok((client, token))
    }

    fn terms(&self, token: Secret) -> Terms {
        Terms {
            token,
            system_id: self.launch.system_id.clone(),
            wait_s: self.event.wait_s,
            began: self.began,
            disposable: self.settings.sandbox.is_disposable(),
            ends_at: self.call.ends_at.min(self.launch.deadline).min(self.event.deadline_ms),
        }
    }

    async fn run(
        &self,
        config: &RunConfig,
        client: &Client,
        root: &WorkRoot,
        terminated: impl Future<Output = ()> + Send,
    ) -> Served {
        let (handle, stop) = stop_channel();
        let (stage, follow) = watch::channel(Stage::Unbound);
        let (ledger, clock, launch) = (self.ports.ledger, self.ports.clock, &self.launch.launch);
        let heartbeat = Heartbeat { ledger, launch, clock, every: self.settings.beat, lost: AtomicBool::new(false) };
        let beat = Millis(i64::try_from(self.settings.beat.as_millis()).unwrap_or(i64::MAX));
        let hint = self.event.job_hint.as_ref();
        let (lane_token, caches) = (&config.token, self.settings.caches.as_ref());
        let host = LaunchHost { ledger, launch, hint, clock, lane_token, beat, caches, stage };
        let terminated = async {
            terminated.await;
            handle.stop();
            pending::<std::convert::Infallible>().await
        };
        let outcome = tokio::select! {
            outcome = run_one(config, client, &host, root, stop) => outcome,
            never = heartbeat.beat(follow) => match never {},
            never = terminated => match never {},
        };
        self.judge(outcome, &host, heartbeat.lost.load(Ordering::Relaxed))
    }

    /// What the engine's outcome means for the launch.
    fn judge(&self, outcome: engine::Outcome, host: &LaunchHost<'_, L>, lost: bool) -> Served {
        match outcome {
            engine::Outcome::Ran(report) => ran(&report, &self.name(host, &report.job), lost),
            engine::Outcome::GaveBack { job, why } => {
                // Giving back has closed the launch, unless the job had no key to do that with.
                let end = host.key(&job).is_none().then(|| End::Fruitless(why.clone()));
                let outcome = Outcome { outcome: Ended::GaveBack, job: Some(self.name(host, &job)), reason: Some(why) };
                Served { end, answer: Ok(outcome) }
            }
            engine::Outcome::NoJob => Served::without_job(Ended::NoJob, "GitLab had no job for this runner"),
            engine::Outcome::TokenRefused(why) => {
                let root = &self.settings.parameter_path;
                let parameter = runner_token_name(root, self.launch.engine, &self.launch.lane);
                let reason = format!("GitLab does not accept the token of parameter {parameter}: {why}");
                Served::without_job(Ended::TokenRefused, reason)
            }
            engine::Outcome::Unreachable(why) => {
                metrics::count("executor", "GitLabUnanswered", 1, &json!({"launch.id": self.launch.launch.as_str()}));
                Served::unanswered(Ended::Unreachable, format!("GitLab could not be asked: {why}"))
            }
            engine::Outcome::Stopped => {
                Served::unanswered(Ended::Stopped, "the process was told to end before a job came")
            }
            engine::Outcome::Unsafe(why) => Served::failed(Error::Unsafe(why)),
        }
    }

    /// The job as the ledger and people name it; the number alone where its project is not known.
    fn name(&self, host: &LaunchHost<'_, L>, job: &JobIds) -> String {
        host.key(job).map_or_else(|| format!("?/{}", job.job_id), |key| key.to_string())
    }
}

/// A job ran.
fn ran(report: &JobReport, job: &str, lost: bool) -> Served {
    let how = match (report.reason, report.exit_code) {
        (None, _) => "success".to_owned(),
        (Some(reason), None) => reason.to_owned(),
        (Some(reason), Some(code)) => format!("{reason}, exit code {code}"),
    };
    let told = match &report.reported {
        Reported::Acknowledged => None,
        Reported::EndedThere => Some("GitLab had ended it before".to_owned()),
        Reported::No(why) => Some(format!("GitLab was not told: {why}")),
    };
    let reason = told.map_or_else(|| how.clone(), |told| format!("{how}; {told}"));
    let done = format!("job {job} is done: {reason}");
    let end = Some(match &report.reported {
        Reported::No(_) => End::Untold(done),
        Reported::Acknowledged | Reported::EndedThere => End::JobDone(done),
    });
    let answer = match &report.reported {
        Reported::No(why) if !lost => Err(Error::NotReported { job: job.to_owned(), why: why.clone() }),
        _ => {
            let outcome = if lost { Ended::Lost } else { Ended::Ran };
            Ok(Outcome { outcome, job: Some(job.to_owned()), reason: Some(reason) })
        }
    };
    Served { end, answer }
}
