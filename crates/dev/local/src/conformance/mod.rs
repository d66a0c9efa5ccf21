//! `make conformance`: job descriptions through our runner and, when it is given, through the official one, against the
//! simulator; one JSON line a case.

mod case;
pub(crate) mod control;
mod end;
mod judge;
mod kept;
pub(crate) mod log;
mod runner;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case_lines::CaseLines;
use crate::demo::{said, tell};
use crate::guard::Signals;
use crate::http::HttpError;
use crate::layout::Layout;
use crate::processes::{self, own_pid};
use case::Case;
use control::{Control, SimulatorProcess};
use end::End;
use runner::{Runner, Trip};

/// Where our own cases are, below the checkout.
const OWN_CASES: &str = "crates/dev/local/cases/conformance";
/// How long whatever a runner left may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// The checkout and the state folder.
    pub layout: Layout,
    /// The folder with the case files; our own when absent.
    pub cases: Option<PathBuf>,
    /// The official runner, to run the same cases.
    pub official: Option<PathBuf>,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// The folder with `gitlab-sim` and `runnerless-runner`.
    pub programs: PathBuf,
    /// The `PATH` of all that is started.
    pub search_path: String,
}

/// The cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// A file or folder.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing to run is no success.
    #[error("CASES={0} holds no *.json file")]
    NoCases(PathBuf),
    /// A program is not there.
    #[error("{program} is not there; {cure}")]
    Missing {
        /// Which.
        program: PathBuf,
        /// What to do.
        cure: &'static str,
    },
    /// Another run has the state folder.
    #[error("other cases run in {0} already; wait for them, or give another STATE")]
    Taken(PathBuf),
    /// The simulator did not become ready.
    #[error("the simulator did not become ready; its words are in {0}")]
    NotReady(PathBuf),
    /// The simulator does not do as it is told.
    #[error(transparent)]
    Simulator(#[from] HttpError),
    /// A process would not end.
    #[error(transparent)]
    Left(#[from] processes::Left),
    /// The kernel refused something.
    #[error("this machine does not let the cases be run")]
    Machine(#[from] io::Error),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Runs all cases; true when all that is expected of them held.
///
/// # Errors
/// When they could not be run at all. Whatever was started is ended in any case.
pub async fn conformance(wish: &Conformance, signals: &mut Signals) -> Result<bool, ConformanceError> {
    // What a runner leaves behind becomes our child, so that it can be ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(io::Error::from)?;
    let ended = tokio::select! {
        held = run_all(wish) => held,
        () = signals.any() => Err(ConformanceError::Interrupted),
    };
    processes::end_descendants(own_pid(), GRACE).await?;
    ended
}

async fn run_all(wish: &Conformance) -> Result<bool, ConformanceError> {
    let began = Instant::now();
    let _lock = take(&wish.layout.at("conformance.lock"))?;
    let folder = wish.cases.clone().unwrap_or_else(|| wish.layout.source(OWN_CASES));
    let files = case_files(&folder)?;
    let desk = Desk::new(wish).await?;
    let mut lines =
        CaseLines::new("conformance", wish.out.as_deref()).map_err(at(wish.out.as_deref().unwrap_or(&folder)))?;
    let mut passed = 0;
    for file in &files {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (expected, got, why) = match Case::read(file) {
            Ok(case) => desk.run(&id, &case).await,
            Err(error) => (json!({}), json!({}), vec![said(&error)]),
        };
        let ok = why.is_empty();
        passed += usize::from(ok);
        tell(&format!("{} {id}{}", if ok { "ok    " } else { "FAILED" }, reasons(&why)));
        // Nothing but the job's own log and folders ever changes.
        lines.case(&id, &expected, &with_why(got, &why), false, ok);
    }
    let failed = files.len() - passed;
    lines.summary(passed, failed, 0, began.elapsed());
    lines.finish().map_err(at(wish.out.as_deref().unwrap_or(&folder)))?;
    Ok(failed == 0)
}

/// Held until it is dropped: two runs would remove each other's files.
fn take(path: &Path) -> Result<File, ConformanceError> {
    let file = File::create(path).map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ConformanceError::Taken(path.with_extension(""))),
        Err(TryLockError::Error(source)) => Err(at(path)(source)),
    }
}

/// The runners and the simulator.
struct Desk {
    ours: Runner,
    official: Option<Runner>,
    control: Control,
    folder: PathBuf,
    /// Ended when this is dropped.
    _simulator: SimulatorProcess,
}

impl Desk {
    async fn new(wish: &Conformance) -> Result<Self, ConformanceError> {
        let folder = wish.layout.at("conformance");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let program = |name: &str| present(wish.programs.join(name), "run `cargo build --release` (or `make build`)");
        let (simulator, ours) = (program("gitlab-sim")?, program("runnerless-runner")?);
        let official = wish.official.as_deref().map(official).transpose()?;
        let (process, gitlab) = SimulatorProcess::start(&simulator, &folder, &wish.search_path).await?;
        let control = Control::new(&gitlab);
        // As GitLab.com has it: archives come from another host, which no token may reach.
        control.settings(&json!({"object_storage": true})).await?;
        let ours = Runner::ours(ours, &gitlab.url, control.create_runner("ours").await?);
        let official = match official {
            Some(program) => Some(Runner::official(
                program,
                &gitlab.url,
                control.create_runner("official").await?,
                wish.search_path.clone(),
            )),
            None => None,
        };
        Ok(Self { ours, official, control, folder, _simulator: process })
    }

    /// What was expected, what came of it, and what of the expectations did not hold.
    async fn run(&self, id: &str, case: &Case) -> (Value, Value, Vec<String>) {
        let expected = case.expected();
        let ours = match self.trip(id, case, &self.ours).await {
            Ok(end) => end,
            Err(why) => return (expected, json!({}), vec![why]),
        };
        let mut why = judge::unmet(case, &ours);
        let mut got = ours.view();
        if let Some(runner) = &self.official {
            match self.trip(id, case, runner).await {
                Ok(theirs) => {
                    let differences = judge::differences(&ours, &theirs);
                    got["official"] = theirs.view();
                    got["differences"] = json!(differences);
                    if case.differs.is_none() {
                        why.extend(differences);
                    }
                }
                Err(trouble) => why.push(format!("the official runner: {trouble}")),
            }
        }
        (expected, got, why)
    }

    /// One runner on one case; the error is a sentence.
    async fn trip(&self, id: &str, case: &Case, runner: &Runner) -> Result<End, String> {
        let folder = self.folder.join("cases").join(id).join(runner.name());
        fs::create_dir_all(&folder).map_err(|error| said(&at(&folder)(error)))?;
        let job = self.control.create_job(case.description()).await.map_err(|error| said(&error))?;
        let trip = runner.run(&folder, case.limit).await.map_err(|error| said(&error));
        let end = self.end(job, &folder, trip?).await.map_err(|error| said(&error));
        // Else the next runner would get this one's job.
        self.control.drop_job(job).await.map_err(|error| said(&error))?;
        end
    }

    async fn end(&self, job: u64, folder: &Path, trip: Trip) -> Result<End, ConformanceError> {
        let seen = self.control.job(job).await?;
        let bytes = self.control.log(job).await?;
        let path = folder.join("job.log");
        fs::write(&path, &bytes).map_err(at(&path))?;
        Ok(End::new(&seen, &bytes, path, trip, self.control.violations_of(job).await?))
    }
}

/// The case files of a folder, by name.
fn case_files(folder: &Path) -> Result<Vec<PathBuf>, ConformanceError> {
    let listing = fs::read_dir(folder).map_err(at(folder))?;
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(ConformanceError::NoCases(folder.to_owned())) } else { Ok(files) }
}

fn official(path: &Path) -> Result<PathBuf, ConformanceError> {
    let path = present(path.to_owned(), "OFFICIAL must be the path of a gitlab-runner program")?;
    path.canonicalize().map_err(at(&path))
}

fn present(program: PathBuf, cure: &'static str) -> Result<PathBuf, ConformanceError> {
    if program.is_file() { Ok(program) } else { Err(ConformanceError::Missing { program, cure }) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ConformanceError {
    let path = path.to_owned();
    move |source| ConformanceError::File { path, source }
}

fn reasons(why: &[String]) -> String {
    if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) }
}

fn with_why(mut got: Value, why: &[String]) -> Value {
    if !why.is_empty() {
        got["why"] = json!(why);
    }
    got
}
