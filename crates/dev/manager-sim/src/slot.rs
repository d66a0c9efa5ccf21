//! A process for one job: it asks GitLab once, and runs what it gets. Its standard output tells the runner manager of it: a
//! line `bound` when it has a job, `gone` when that went back, and `failed <reason>` when it failed.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use runnerless_engine::{
    BindRefused, CachePlace, CacheUnknown, CacheUse, Environment, GuardError, Host, ImagePolicy, JobIds, NamedCaches,
    Outcome, PlaceError, RunConfig, WorkRoot, log, protect_process, run_one, stop_channel,
};
use runnerless_gitlab::protocol::{Client, ClientConfig, ConfigError, Info, Secret};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Slot;
use crate::say;

/// The folders that every Linux has its tools in.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long reporting a job's end may take.
const REPORT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// A job got, and its line.
pub(crate) const BOUND: &str = "bound";
/// A job given back.
pub(crate) const GONE: &str = "gone";
/// What a failed job's line begins with.
pub(crate) const FAILED: &str = "failed ";

/// The slot cannot ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotError {
    #[error("the machine does not let a slot begin")]
    Machine(#[from] io::Error),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Client(#[from] ConfigError),
}

struct Telling;

impl Host for Telling {
    async fn bind(&self, _job: &JobIds, _token: &Secret, _caches: &NamedCaches) -> Result<(), BindRefused> {
        tell(BOUND);
        Ok(())
    }

    async fn unbind(&self, _job: &JobIds) {
        tell(GONE);
    }

    async fn accepted(&self, _job: &JobIds) {}

    async fn cache(&self, _job: &JobIds, _key: &str, _what: CacheUse) -> Result<CachePlace, CacheUnknown> {
        Ok(CachePlace::Nowhere("a pool's runner manager keeps caches by its own configuration".to_owned()))
    }
}

/// The runner manager reads lines; one that is gone needs none.
fn tell(line: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Asks, and runs the job.
pub(crate) fn run(slot: &Slot) -> Result<ExitCode, SlotError> {
    // A job does not outlive its runner manager.
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)?;
    protect_process()?;
    let mut token = String::new();
    io::stdin().read_to_string(&mut token)?;
    let root = WorkRoot::take(&slot.work)?;
    let info = Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "");
    let client = Client::new(ClientConfig::new(&slot.url, info))?;
    let config = RunConfig {
        token: Secret::new(token.trim()),
        system_id: Some(slot.system_id.clone()),
        runner_name: slot.name.clone(),
        wait: Duration::ZERO,
        images: ImagePolicy::Ignore,
        disposable: false,
        environment: Environment {
            path: PATH.to_owned(),
            lang: "C.UTF-8".to_owned(),
            user: "root".to_owned(),
            cure: "Install it in the member's image.".to_owned(),
        },
        deadline: None,
        log_limit: log::DEFAULT_LIMIT,
        proxy: None,
        ca_pem: None,
        report_limit: REPORT_LIMIT,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let (handle, stop) = stop_channel();
        let mut terminate = signal(SignalKind::terminate())?;
        let ending = async {
            loop {
                terminate.recv().await;
                handle.stop();
            }
        };
        tokio::select! {
            outcome = run_one(&config, &client, &Telling, &root, stop) => Ok::<_, io::Error>(outcome),
            () = ending => unreachable!("it listens for ever"),
        }
    })?;
    match outcome {
        Outcome::Ran(report) => {
            if let Some(reason) = report.reason {
                tell(&format!("{FAILED}{reason}"));
            }
        }
        Outcome::NoJob | Outcome::Stopped | Outcome::GaveBack { .. } => {}
        other => say(&format!("no job: {other:?}")),
    }
    Ok(ExitCode::SUCCESS)
}
