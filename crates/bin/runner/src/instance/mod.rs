//! `instance`: the runner on a throwaway instance. Three programs in turn, all this one: [`watchdog`] starts [`ask`], which
//! begins the launch, asks GitLab and replaces itself by [`job`], which runs what GitLab handed out; or has [`official`] do both.

mod ask;
mod desk;
mod handover;
mod job;
mod launch;
mod official;
mod watchdog;

use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use runnerless_engine::{Deadline, ImagePolicy, RunConfig, StopHandle, log};
use runnerless_gitlab::protocol::{Client, ClientConfig, ConfigError, Info, Proxy, Secret};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

pub(crate) use handover::WORD as JOB_WORD;
pub(crate) use watchdog::WORD as ASK_WORD;

use crate::once::{Exit, REPORT_LIMIT, environment};
use crate::{Surroundings, say};

/// What is kept of the launch's time for ending it.
const OWN_END: Duration = Duration::from_secs(30);
/// What is kept before that for `after_script`, the last of the log and the report.
const GRACE: Duration = Duration::from_secs(60);

/// An `instance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceArguments {
    /// `--claim-url`.
    pub(crate) claim_url: String,
    /// `--work`.
    pub(crate) work: PathBuf,
    /// `--user`.
    pub(crate) user: Option<String>,
}

/// Which of its programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The one that people start.
    Watchdog(InstanceArguments),
    /// Begins the launch of this id, and asks.
    Ask(InstanceArguments, String),
    /// Runs what standard input hands over.
    Job,
}

impl Surroundings {
    fn proxy(&self) -> Option<Proxy> {
        (!self.https_proxy.is_empty()).then(|| Proxy { url: self.https_proxy.clone(), bypass: self.no_proxy.clone() })
    }
}

/// Runs one of the programs.
pub(crate) fn run(program: &Program, surroundings: &Surroundings) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("the runtime could not be started: {error}"));
            return Exit::NotBegun;
        }
    };
    runtime.block_on(async {
        match program {
            Program::Watchdog(arguments) => watchdog::watch(arguments, surroundings).await,
            Program::Ask(arguments, launch) => ask::ask(arguments, launch, surroundings).await,
            Program::Job => job::run(surroundings).await,
        }
    })
}

/// The stack's routes.
fn desk(claim_url: &str, surroundings: &Surroundings) -> Result<desk::Desk, desk::DeskError> {
    desk::Desk::new(claim_url, surroundings.proxy().as_ref())
}

/// GitLab's client.
fn gitlab(url: &str, surroundings: &Surroundings) -> Result<Client, ConfigError> {
    let mut config = ClientConfig::new(url, Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), ""));
    config.proxy = surroundings.proxy();
    Client::new(config)
}

/// The engine's configuration, with no wait yet. The error is a sentence.
fn config(
    token: Secret,
    system_id: &str,
    instance: &str,
    image_policy: &str,
    ends_at: Instant,
    surroundings: &Surroundings,
) -> Result<RunConfig, String> {
    Ok(RunConfig {
        token,
        system_id: Some(system_id.to_owned()),
        runner_name: instance.to_owned(),
        wait: Duration::ZERO,
        images: images(image_policy)?,
        disposable: true,
        environment: environment(),
        deadline: Some(Deadline {
            at: ends_at.checked_sub(OWN_END).unwrap_or(ends_at),
            grace: GRACE,
            of_what: "the instance".to_owned(),
            cure: "An instance ends with its launch: raise timeout_s in the lane's mapping row.".to_owned(),
        }),
        log_limit: log::DEFAULT_LIMIT,
        proxy: surroundings.proxy(),
        ca_pem: None,
        report_limit: REPORT_LIMIT,
    })
}

fn images(policy: &str) -> Result<ImagePolicy, String> {
    match policy {
        "fail" => Ok(ImagePolicy::Fail),
        "warn" => Ok(ImagePolicy::Warn),
        "ignore" => Ok(ImagePolicy::Ignore),
        other => Err(format!("the stack's image policy {other:?} is none of fail, warn and ignore")),
    }
}

/// Hands SIGTERM on to the run; never ends by itself.
async fn watch_signal(handle: &StopHandle) -> Infallible {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => loop {
            terminate.recv().await;
            handle.stop();
        },
        Err(error) => {
            say(&format!("SIGTERM cannot be watched: {error}"));
            pending().await
        }
    }
}
