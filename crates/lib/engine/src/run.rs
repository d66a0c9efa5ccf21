//! One run of the engine: ask, take, execute, report.

use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{Assignment, Client, JobBody, Secret, UpdateState};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::accept::{Accepted, Offer};
use crate::ask::{Asked, ask};
use crate::caches::{self, Caches};
use crate::config::{Host, JobIds, RunConfig};
use crate::files::Courier;
use crate::job::{self, Limits, Setup, SetupError, Signal, Stages, header, log_format};
use crate::log::Log;
use crate::places::WorkRoot;
use crate::process::{Family, protect_process};
use crate::report::{Reported, Reporter};
use crate::stop::Stop;
use crate::verdict::Verdict;

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// A job ran, or was refused after it was accepted; GitLab was told, unless `reported` says otherwise.
    Ran(JobReport),
    /// A job was handed out and given back, because it could not be bound or accepted.
    GaveBack {
        /// Which.
        job: JobIds,
        /// Why.
        why: String,
    },
    /// There was no job for this runner.
    NoJob,
    /// GitLab does not accept the runner's token; its sentence.
    TokenRefused(String),
    /// GitLab could not be reached or did not make sense; the last trouble.
    Unreachable(String),
    /// Told to end before a job came.
    Stopped,
    /// This process could not be made safe for a job; GitLab was not asked.
    Unsafe(String),
}

/// The end of one job.
#[derive(Debug)]
pub struct JobReport {
    /// Which.
    pub job: JobIds,
    /// How it ended.
    pub verdict: Verdict,
    /// The state that was reported.
    pub state: UpdateState,
    /// The failure reason that was reported.
    pub reason: Option<&'static str>,
    /// The exit code that was reported.
    pub exit_code: Option<i32>,
    /// Whether GitLab knows.
    pub reported: Reported,
    /// Size of the log in bytes.
    pub log_bytes: u64,
    /// From the acceptance to the end of the report.
    pub took: Duration,
}

/// A job that GitLab handed out.
#[derive(Debug)]
pub struct Handed {
    /// The job.
    pub assignment: Box<Assignment>,
    /// When its 201 arrived: all limits count from then.
    pub at: Instant,
}

/// Asks for one job and runs it to its reported end.
///
/// The process is closed to others first (see [`protect_process`]), and every process that the job leaves behind is
/// ended; so at most one run may be under way in a process.
pub async fn run_one<H: Host>(
    config: &RunConfig,
    client: &Client,
    host: &H,
    root: &WorkRoot,
    mut stop: Stop,
) -> Outcome {
    match ask_one(config, client, &mut stop).await {
        Ok(mut handed) => {
            handed.assignment.wire = Secret::default();
            run_handed(config, client, host, root, stop, &handed).await
        }
        Err(outcome) => outcome,
    }
}

/// Asks for one job. The first half of [`run_one`], for a host that lets go of the runner's token before the second.
///
/// # Errors
/// How the run ended without a job.
pub async fn ask_one(config: &RunConfig, client: &Client, stop: &mut Stop) -> Result<Handed, Outcome> {
    if let Err(error) = protect_process() {
        return Err(Outcome::Unsafe(chain(&error)));
    }
    match ask(client, &config.token, config.system_id.as_deref(), config.wait, stop).await {
        Asked::Job(assignment, at) => Ok(Handed { assignment, at }),
        Asked::Nothing => Err(Outcome::NoJob),
        Asked::Refused(why) => Err(Outcome::TokenRefused(why)),
        Asked::Unreachable(why) => Err(Outcome::Unreachable(why)),
        Asked::Stopped => Err(Outcome::Stopped),
    }
}

/// Runs a job that was handed out to its reported end. Of the runner's token it needs what may be shown of it: `config` may
/// have [`Secret::short`] in its place.
pub async fn run_handed<H: Host>(
    config: &RunConfig,
    client: &Client,
    host: &H,
    root: &WorkRoot,
    mut stop: Stop,
    handed: &Handed,
) -> Outcome {
    if let Err(error) = protect_process() {
        return Outcome::Unsafe(chain(&error));
    }
    let Handed { assignment, at } = handed;
    let ids = ids(assignment);
    let unreadable = JobBody::default();
    let body = assignment.body.as_ref().unwrap_or(&unreadable);
    let setup = Setup::new(config, client, root, assignment.id, body);
    let named = setup.as_ref().map(|setup| caches::named(body, setup)).unwrap_or_default();
    let offer = Offer { client, id: assignment.id, token: &assignment.token, ids: &ids, caches: &named, at: *at };
    match offer.take(host, &mut stop).await {
        Err(why) => Outcome::GaveBack { job: ids, why },
        Ok(accepted) => {
            let run = OneJob { config, client, host, assignment, body, stop };
            // The host stores what it needs beside the job's first stages: it must not delay them.
            let ((), report) = tokio::join!(host.accepted(&ids), run.execute(&ids, setup, accepted));
            Outcome::Ran(report)
        }
    }
}

/// A job that was accepted.
struct OneJob<'a, H> {
    config: &'a RunConfig,
    client: &'a Client,
    host: &'a H,
    assignment: &'a Assignment,
    /// What it says; nothing where that cannot be understood.
    body: &'a JobBody,
    stop: Stop,
}

impl<H: Host> OneJob<'_, H> {
    async fn execute(self, ids: &JobIds, setup: Result<Setup, SetupError>, accepted: Accepted) -> JobReport {
        let began = Instant::now();
        let (body, token) = (self.body, &self.assignment.token);
        let unreadable = |error| format!("GitLab's description of the job cannot be understood: {error}");
        let unread = self.assignment.body.as_ref().err().map(unreadable);
        let log = Log::new(log_format(self.config, token, body, setup.as_ref().ok()));
        let timeout = Duration::from_secs(body.runner_info.timeout_secs());
        let limits = Limits::new(began, timeout, self.config.deadline.as_ref());
        header(&log, self.config, self.client, &limits);

        let (signal, signals) = watch::channel(Signal::Go);
        let debug = debug_trace(body);
        let mut reporter =
            Reporter::new(self.client, self.assignment.id, token, log.clone(), signal, debug, accepted.interval);
        reporter.heed_status(accepted.status.as_ref());
        let (done, following) = watch::channel(false);
        let work = async {
            let verdict = match unread {
                Some(sentence) => Verdict::System(sentence),
                None => self.run_stages(ids, setup, &log, limits, signals).await,
            };
            verdict.write(&log);
            done.send_replace(true);
            verdict
        };
        let (verdict, ()) = tokio::join!(work, reporter.follow(following));
        let reasons = &body.features.failure_reasons;
        let reported = reporter.finish(&verdict, reasons, self.report_limit()).await;
        JobReport {
            job: ids.clone(),
            state: verdict.state(),
            reason: verdict.reason(reasons),
            exit_code: verdict.exit_code(),
            verdict,
            reported,
            log_bytes: log.len(),
            took: began.elapsed(),
        }
    }

    async fn run_stages(
        &self,
        ids: &JobIds,
        setup: Result<Setup, SetupError>,
        log: &Log,
        limits: Limits,
        signals: watch::Receiver<Signal>,
    ) -> Verdict {
        let setup = match setup {
            Ok(setup) => setup,
            Err(error) => return Verdict::Configuration(chain(&error)),
        };
        let family = match Family::begin() {
            Ok(family) => family,
            Err(error) => return Verdict::System(chain(&error)),
        };
        let environment = setup.environment(self.config);
        let mut stages = Stages::new(
            log.clone(),
            limits,
            family,
            self.config.environment.cure.clone(),
            environment,
            signals,
            self.stop.clone(),
        );
        let courier = Courier {
            config: self.config,
            client: self.client,
            id: self.assignment.id,
            token: &self.assignment.token,
            body: self.body,
            setup: &setup,
        };
        let mut caches = Caches::new(courier, self.host, ids);
        job::run(&courier, &mut caches, &mut stages).await
    }

    /// When reporting must be over: the configured limit, or the host's own end.
    fn report_limit(&self) -> Instant {
        let own = Instant::now() + self.config.report_limit;
        self.config.deadline.as_ref().map_or(own, |deadline| own.min(deadline.at))
    }
}

/// Whether the job asks for a debug log, which GitLab shows to fewer people.
fn debug_trace(body: &JobBody) -> bool {
    let last = body.variables.iter().rev().find(|variable| variable.key == "CI_DEBUG_TRACE");
    last.is_some_and(|variable| crate::variables::parse_flag(&variable.value) == Some(true))
}

/// The job's names for the host's records.
fn ids(assignment: &Assignment) -> JobIds {
    let Ok(body) = &assignment.body else {
        return JobIds { job_id: assignment.id, ..JobIds::default() };
    };
    let positive = |id: Option<i64>| id.and_then(|id| u64::try_from(id).ok());
    JobIds {
        job_id: assignment.id,
        project_id: positive(body.job_info.project_id),
        pipeline_id: positive(body.job_info.pipeline_id),
        name: body.job_info.name.clone(),
        stage: body.job_info.stage.clone(),
        ref_name: body.git_info.ref_name.clone(),
    }
}

// A run must be able to live on a runtime with several threads: Lambda's handler is one.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Outcome>();
    is_send::<Secret>();
};
