//! `make hostile`: jobs that mean harm, one after the other through one executor, and after each a control job that must
//! find nothing of it.
//!
//! The executor is the real program, in a [`Cage`](crate::cage::Cage), between the emulator's ledger and the simulator. A
//! case says beforehand what GitLab sees in the end and whether the executor's process survives. What a control job finds
//! around it (files, processes, environment, limits) must be what one finds in a fresh process.

mod case;
mod clean;
mod growth;
mod judge;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cage::Cage;
use crate::case_lines::CaseLines;
use crate::demo::{said, tell};
use crate::desk::{Desk, DeskError, Run, Sandbox};
use crate::guard::Signals;
use crate::layout::{Layout, LayoutError};
use case::Case;
use clean::Baseline;
use growth::Growth;

/// Where our own cases are, below the checkout.
const OWN_CASES: &str = "crates/dev/local/cases/hostile";
/// How long a control job may take.
const CONTROL_LIMIT: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// The checkout and the state folder.
    pub layout: Layout,
    /// The folder with the case files; our own when absent.
    pub cases: Option<PathBuf>,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// The folder with the programs.
    pub programs: PathBuf,
}

/// The cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum HostileError {
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
    /// Another run has the state folder.
    #[error("hostile jobs run in {0} already; wait for them, or give another STATE")]
    Taken(PathBuf),
    /// The folders.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The executor and what is around it.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The control job does not work where nothing hostile ran.
    #[error("the control job failed before any hostile job ran: {0}")]
    Control(String),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Runs all cases; true when all that is expected of them held.
///
/// # Errors
/// When they could not be run at all. Whatever was started is ended in any case.
pub async fn hostile(wish: &Hostile, signals: &mut Signals) -> Result<bool, HostileError> {
    tokio::select! {
        held = run_all(wish) => held,
        () = signals.any() => Err(HostileError::Interrupted),
    }
}

async fn run_all(wish: &Hostile) -> Result<bool, HostileError> {
    let began = Instant::now();
    let _lock = take(&wish.layout.at("hostile.lock"))?;
    let folder = wish.cases.clone().unwrap_or_else(|| wish.layout.source(OWN_CASES));
    let files = case_files(&folder)?;
    let out = wish.out.as_deref();
    let mut lines = CaseLines::new("hostile", out).map_err(at(out.unwrap_or(&folder)))?;
    let cage = match Cage::new().await {
        Ok(cage) => cage,
        Err(error) => return skip(lines, &files, &error.to_string(), began.elapsed()),
    };
    tell(&format!("hostile jobs run as user {}", cage.user()));
    let mut round = Round::start(wish, cage).await?;
    let mut passed = 0;
    for file in &files {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (expected, got, why) = match Case::read(file) {
            Ok(case) => round.case(&id, &case).await?,
            Err(error) => (json!({}), json!({}), vec![said(&error)]),
        };
        let ok = why.is_empty();
        passed += usize::from(ok);
        tell(&format!("{} {id}{}", if ok { "ok    " } else { "FAILED" }, reasons(&why)));
        lines.case(&id, &expected, &with_why(got, &why), false, ok);
    }
    round.desk.stop().await;
    let failed = files.len() - passed;
    lines.summary(passed, failed, 0, began.elapsed());
    lines.finish().map_err(at(out.unwrap_or(&folder)))?;
    Ok(failed == 0)
}

/// Nothing was run, for a reason that `docs/limits.md` lists.
fn skip(mut lines: CaseLines, files: &[PathBuf], why: &str, took: Duration) -> Result<bool, HostileError> {
    tell(&format!("skipped: {why}"));
    for file in files {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        lines.case(&id, &json!({}), &json!({"skipped": why}), false, true);
    }
    lines.summary(0, 0, files.len(), took);
    lines.finish().map_err(at(Path::new("OUT")))?;
    Ok(true)
}

/// One desk, and what is known of its executor.
struct Round {
    desk: Desk,
    folder: PathBuf,
    baseline: Baseline,
    growth: Growth,
}

impl Round {
    async fn start(wish: &Hostile, cage: Cage) -> Result<Self, HostileError> {
        let folder = wish.layout.at("hostile");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        fs::create_dir_all(folder.join("logs")).map_err(at(&folder))?;
        let layout = Layout::new(wish.layout.root(), &folder)?;
        let mut desk = Desk::start(layout, &wish.programs, cage, Sandbox::Shared).await?;
        let run = desk.run(&clean::job(), CONTROL_LIMIT).await?;
        let baseline = Baseline::of(&run).map_err(HostileError::Control)?;
        let growth = Growth::from(desk.vitals());
        Ok(Self { desk, folder, baseline, growth })
    }

    /// What was expected, what came of it, and what of the expectations did not hold.
    async fn case(&mut self, id: &str, case: &Case) -> Result<(Value, Value, Vec<String>), HostileError> {
        let expected = case.expected().clone();
        self.desk.prepare().await?;
        let before = self.desk.process();
        let run = match self.desk.run(case.description(), case.limit).await {
            Ok(run) => run,
            Err(error) => return Ok((expected, json!({}), vec![said(&error)])),
        };
        self.keep(id, &run)?;
        let mut why = judge::unmet(case, &run);
        let control = self.desk.run(&clean::job(), CONTROL_LIMIT).await;
        let differences = match &control {
            Ok(control) => self.baseline.differences(control),
            Err(error) => vec![format!("the control job could not be run: {}", said(error))],
        };
        let same = before.is_some() && before == self.desk.process();
        why.extend(differences.iter().map(|difference| format!("the next job is not clean: {difference}")));
        let vitals = self.desk.vitals();
        why.extend(self.growth.beyond(vitals));
        if run.fate.survived() && !same {
            why.push("the executor answered, and another process served the next job".to_owned());
        }
        let mut got = judge::view(&run);
        got["next_job"] = json!({"same_process": same, "clean": differences.is_empty()});
        got["process"] = vitals.map_or(Value::Null, |vitals| vitals.view());
        got["log"] = json!(self.log(id));
        Ok((expected, got, why))
    }

    fn log(&self, id: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{id}.log"))
    }

    fn keep(&self, id: &str, run: &Run) -> Result<(), HostileError> {
        let path = self.log(id);
        fs::write(&path, &run.log).map_err(at(&path))
    }
}

/// Held until it is dropped: two runs would remove each other's files.
fn take(path: &Path) -> Result<File, HostileError> {
    let file = File::create(path).map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HostileError::Taken(path.with_extension(""))),
        Err(TryLockError::Error(source)) => Err(at(path)(source)),
    }
}

/// The case files of a folder, by name.
fn case_files(folder: &Path) -> Result<Vec<PathBuf>, HostileError> {
    let listing = fs::read_dir(folder).map_err(at(folder))?;
    let paths = listing.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let is_case = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let mut files: Vec<_> = paths.map_err(at(folder))?.into_iter().filter(is_case).collect();
    files.sort();
    if files.is_empty() { Err(HostileError::NoCases(folder.to_owned())) } else { Ok(files) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> HostileError {
    let path = path.to_owned();
    move |source| HostileError::File { path, source }
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
