//! `once`: one job, from the arguments to the exit code.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_engine::{
    Environment, GuardError, ImagePolicy, JobReport, Outcome, PlaceError, Reported, RunConfig, WorkRoot, log,
    protect_process, run_one, stop_channel,
};
use runnerless_gitlab::protocol::{Client, ClientConfig, ConfigError, Info, Proxy, Secret};

use crate::arguments::Arguments;
use crate::by_hand::ByHand;
use crate::identity::{system_id, user_name};
use crate::signals::Signals;
use crate::{Surroundings, say};

/// The folders that every Linux has its tools in. A login shell's profile may add others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The locale that every Linux has and that does not break UTF-8.
const LANG: &str = "C.UTF-8";
/// How long reporting a job's end may take: GitLab may need five minutes to store a log.
pub(crate) const REPORT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A job ran and its end was reported.
    Fine,
    /// The arguments, or a file that they name, cannot be used.
    Usage,
    /// GitLab does not accept the token.
    TokenRefused,
    /// GitLab could not be reached.
    Unreachable,
    /// No job came.
    NoJob,
    /// A job ran, and GitLab does not know how it ended.
    NotReported,
    /// An instance's launch did not begin: it is not this instance's, or could not be served in time.
    NotBegun,
    /// An instance is over its time.
    Expired,
    /// An instance's runner was killed.
    Killed,
    /// An instance's runner ended with this code, one of these.
    Runners(u8),
    /// Ended by SIGTERM.
    Terminated,
    /// Ended by SIGINT.
    Interrupted,
    /// Ended by SIGHUP: the terminal is gone.
    HungUp,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Usage => 2,
            Exit::TokenRefused => 3,
            Exit::Unreachable => 4,
            Exit::NoJob => 5,
            Exit::NotReported => 6,
            Exit::NotBegun => 7,
            Exit::Expired => 8,
            Exit::Killed => 9,
            Exit::Runners(code) => code,
            // 128 and the signal's number, as shells report it.
            Exit::HungUp => 129,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

/// What keeps a run from starting.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{path}: cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0}: holds no token")]
    NoToken(PathBuf),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("the system id cannot be kept in the work folder")]
    SystemId(#[source] io::Error),
    #[error(transparent)]
    Client(#[from] ConfigError),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
}

/// Runs one job.
pub(crate) fn once(arguments: &Arguments, surroundings: &Surroundings) -> Exit {
    match start(arguments, surroundings) {
        Ok(exit) => exit,
        Err(error) => {
            say(&chain(&error));
            Exit::Usage
        }
    }
}

fn start(arguments: &Arguments, surroundings: &Surroundings) -> Result<Exit, StartError> {
    // Before the token is in memory.
    protect_process()?;
    let root = WorkRoot::take(&arguments.work)?;
    let config = config(arguments, surroundings, &root)?;
    let info = Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "");
    let mut client = ClientConfig::new(&arguments.url, info);
    client.proxy.clone_from(&config.proxy);
    client.ca_pem = config.ca_pem.clone().map(String::into_bytes);
    let client = Client::new(client)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    let host = ByHand { work: root.path().to_owned() };
    runtime.block_on(async {
        let (handle, stop) = stop_channel();
        let signals = Signals::new().map_err(StartError::Runtime)?;
        let ended_by = Cell::new(None);
        let outcome = tokio::select! {
            outcome = run_one(&config, &client, &host, &root, stop) => outcome,
            never = signals.watch(&handle, &ended_by) => match never {},
        };
        let exit = conclude(&outcome);
        Ok(ended_by.get().unwrap_or(exit))
    })
}

/// The environment that a job's shells start with.
pub(crate) fn environment() -> Environment {
    Environment {
        path: PATH.to_owned(),
        lang: LANG.to_owned(),
        user: user_name(),
        cure: format!("Jobs look for commands in {PATH}: install it there, for this machine's image or by the script."),
    }
}

fn config(arguments: &Arguments, surroundings: &Surroundings, root: &WorkRoot) -> Result<RunConfig, StartError> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|source| StartError::Read { path: path.to_owned(), source });
    let token = Secret::new(read(&arguments.token_file)?.trim());
    if token.expose().is_empty() {
        return Err(StartError::NoToken(arguments.token_file.clone()));
    }
    let system_id = match &arguments.system_id {
        Some(id) => id.clone(),
        None => system_id(root.path()).map_err(StartError::SystemId)?,
    };
    let proxy = (!surroundings.https_proxy.is_empty())
        .then(|| Proxy { url: surroundings.https_proxy.clone(), bypass: surroundings.no_proxy.clone() });
    Ok(RunConfig {
        token,
        system_id: Some(system_id),
        runner_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        wait: arguments.wait,
        images: ImagePolicy::Warn,
        disposable: false,
        environment: environment(),
        deadline: None,
        log_limit: log::DEFAULT_LIMIT,
        proxy,
        ca_pem: arguments.ca_file.as_deref().map(read).transpose()?,
        report_limit: REPORT_LIMIT,
    })
}

/// Says how it ended, and which code that is.
pub(crate) fn conclude(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Ran(report) => {
            say(&sentence(report));
            if matches!(report.reported, Reported::No(_)) { Exit::NotReported } else { Exit::Fine }
        }
        Outcome::GaveBack { job, why } => {
            say(&format!("job {} was given back: {why}", job.job_id));
            Exit::NoJob
        }
        Outcome::NoJob => {
            say("GitLab had no job for this runner");
            Exit::NoJob
        }
        Outcome::TokenRefused(why) => {
            say(&format!("the runner's token is not accepted: {why}"));
            Exit::TokenRefused
        }
        Outcome::Unreachable(why) => {
            say(why);
            Exit::Unreachable
        }
        Outcome::Stopped => {
            say("ended before a job came");
            Exit::Terminated
        }
        Outcome::Unsafe(why) => {
            say(why);
            Exit::Usage
        }
    }
}

fn sentence(report: &JobReport) -> String {
    let how = match (report.reason, report.exit_code) {
        (None, _) => "succeeded".to_owned(),
        (Some(reason), None) => format!("failed ({reason})"),
        (Some(reason), Some(code)) => format!("failed ({reason}, exit code {code})"),
    };
    let known = match &report.reported {
        Reported::Acknowledged => "reported".to_owned(),
        Reported::EndedThere => "ended by GitLab".to_owned(),
        Reported::No(why) => format!("not reported: {why}"),
    };
    let project = report.job.project_id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    format!("job {project}/{} {how} after {} ms; {known}", report.job.job_id, report.took.as_millis())
}
