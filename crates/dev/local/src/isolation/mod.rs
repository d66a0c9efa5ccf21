//! `make isolation`: what a job can reach, one row an attempt, and whether the same attempt works on a process that
//! protects nothing.
//!
//! The engine is the real one: as the executor in both of its sandboxes, and as the command `runnerless-runner once`. A job
//! runs `probe.py`, which tries to get at the process that runs it, at what an earlier job left, and at the Runtime API.
//! The control runs the same text below `victim.py`. All of it runs as an unprivileged user, also when the caller is
//! root. Nothing but the loopback addresses of these very processes is contacted.

mod hand;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cage::Cage;
use crate::case_lines::CaseLines;
use crate::conformance::log::plain;
use crate::demo::tell;
use crate::desk::{CANARY, Desk, DeskError, Fate, Run, Sandbox};
use crate::guard::Signals;
use crate::layout::Layout;
use table::{ATTEMPTS, Expectation, proves};

const PROBE: &str = include_str!("probe.py");
const VICTIM: &str = include_str!("victim.py");
const PLANT: &str = include_str!("plant.sh");
/// How a row of the probe begins in a log.
const ROW: &str = "@@row ";
/// How long a job with the probe may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Attempts at what an earlier job left, and at the Runtime API.
const OF_EARLIER: &str = "earlier job";
const OF_API: &str = "Runtime API";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// The checkout and the state folder.
    pub layout: Layout,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// The folder with the programs.
    pub programs: PathBuf,
}

/// The attempts cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// A file or folder.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The executor and what is around it.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// A program in the cage.
    #[error("{what} did not do its work: {why}")]
    Program {
        /// Which.
        what: &'static str,
        /// Its words.
        why: String,
    },
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Makes all attempts; true when all of them came out as expected and every control shows that its attempt works.
///
/// # Errors
/// When they could not be made at all. Whatever was started is ended in any case.
pub async fn isolation(wish: &Isolation, signals: &mut Signals) -> Result<bool, IsolationError> {
    tokio::select! {
        held = run_all(wish) => held,
        () = signals.any() => Err(IsolationError::Interrupted),
    }
}

async fn run_all(wish: &Isolation) -> Result<bool, IsolationError> {
    let began = Instant::now();
    let folder = wish.layout.at("isolation");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(at(&folder))?;
    }
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let lines = CaseLines::new("isolation", wish.out.as_deref()).map_err(at(&folder))?;
    let mut table = Table { lines, control: Vec::new(), passed: 0, failed: 0 };
    let skipped = match Cage::new().await {
        Err(error) => Some(error.to_string()),
        Ok(_) if !Path::new("/usr/bin/python3").exists() => {
            Some("there is no /usr/bin/python3 for the probe".to_owned())
        }
        Ok(cage) => {
            tell(&format!("attempts are made as user {}; ptrace_scope is {}", cage.user(), ptrace_scope()));
            table.control = hand::control(&cage).await?;
            executor(wish, &cage, &folder, &mut table).await?;
            None
        }
    };
    if let Some(why) = &skipped {
        tell(&format!("skipped: {why}"));
    }
    table.lines.summary(table.passed, table.failed, usize::from(skipped.is_some()), began.elapsed());
    table.lines.finish().map_err(at(&folder))?;
    Ok(table.failed == 0)
}

/// The executor in both sandboxes, then the command.
async fn executor(wish: &Isolation, cage: &Cage, folder: &Path, table: &mut Table) -> Result<(), IsolationError> {
    let layout = Layout::new(wish.layout.root(), folder).map_err(|error| DeskError::Stack(error.into()))?;
    let mut desk = Desk::start(layout, &wish.programs, cage.clone(), Sandbox::Shared).await?;
    let api = desk.prepare().await?;
    desk.run(&planting(), LIMIT).await?;
    let run = desk.run(&probing(&api), LIMIT).await?;
    table.engine("executor, shared", &run_rows(&run)?, |_| true);

    desk.change_sandbox(Sandbox::Tenant);
    desk.run(&planting(), LIMIT).await?;
    let second = desk.run(&planting(), LIMIT).await?;
    table.second_launch(&second);
    desk.change_sandbox(Sandbox::Tenant);
    let api = desk.prepare().await?;
    let run = desk.run(&probing(&api), LIMIT).await?;
    table.engine("executor, tenant", &run_rows(&run)?, |row| row["target"] != OF_EARLIER);

    let rows = hand::runner(&desk, cage, &wish.programs, &probing("none")).await?;
    table.engine("runner by hand", &rows, |row| row["target"] != OF_EARLIER && row["target"] != OF_API);
    desk.stop().await;
    Ok(())
}

/// A job that leaves something everywhere.
fn planting() -> Value {
    json!({"script": [PLANT], "variables": {"GIT_STRATEGY": "none"}})
}

/// A job that runs the probe on the process that runs the job's shell.
fn probing(api: &str) -> Value {
    let script = format!("python3 - $PPID {} {api} <<'PROBE'\n{PROBE}PROBE\n", backwards(CANARY));
    json!({"script": [script], "variables": {"GIT_STRATEGY": "none"}})
}

fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

/// The rows of a job that the executor ran to its end as if nobody had tried anything.
fn run_rows(run: &Run) -> Result<Vec<Value>, IsolationError> {
    let failed = |why: String| IsolationError::Program { what: "the probe's job", why };
    if !matches!(run.fate, Fate::Answered(_)) || run.seen["status"] != "success" {
        let log = plain(&String::from_utf8_lossy(&run.log));
        return Err(failed(format!("{:?}, {}; its log:\n{log}", run.fate, run.seen["status"])));
    }
    rows(&String::from_utf8_lossy(&run.log)).ok_or_else(|| failed("its rows cannot be read".to_owned()))
}

/// What the probe printed.
fn rows(log: &str) -> Option<Vec<Value>> {
    let text = plain(log);
    let rows = text.lines().filter_map(|line| line.strip_prefix(ROW));
    rows.map(|row| serde_json::from_str(row).ok()).collect()
}

fn ptrace_scope() -> String {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    scope.map_or_else(|_| "absent (no Yama)".to_owned(), |scope| scope.trim().to_owned())
}

/// The lines so far.
struct Table {
    lines: CaseLines,
    control: Vec<Value>,
    passed: usize,
    failed: usize,
}

impl Table {
    /// One line for every attempt that concerns this engine.
    fn engine(&mut self, engine: &str, rows: &[Value], concerns: impl Fn(&Value) -> bool) {
        for (name, expectation, secret) in ATTEMPTS {
            let control = find(&self.control, name);
            if !concerns(&control) {
                continue;
            }
            let got = find(rows, name);
            let ok = expectation.holds(&got) && proves(&control, secret);
            let expected = json!({"job": expectation.words(), "control": "reached"});
            let got = json!({"engine": engine, "attempt": name, "target": got["target"], "error": got["error"],
                "bytes": got["bytes"], "secret": got["secret"], "control": without_names(&control)});
            self.line(&format!("{engine}: {name}"), &expected, &got, ok);
        }
    }

    fn second_launch(&mut self, run: &Run) {
        let got = json!({"engine": "executor, tenant", "attempt": "a second launch in the same environment",
            "error": format!("{:?}", run.fate), "row": run.row});
        let ok = run.fate == Fate::Failed("Executor.WrongTenant".to_owned()) && run.row["state"] == "charged";
        let expected = json!({"job": Expectation::Refused.words()});
        self.line("executor, tenant: a second launch in the same environment", &expected, &got, ok);
    }

    fn line(&mut self, id: &str, expected: &Value, got: &Value, ok: bool) {
        let words = got["error"].as_str().map_or_else(|| format!("{} bytes", got["bytes"]), str::to_owned);
        tell(&format!("{} {id}: {words}", if ok { "ok    " } else { "FAILED" }));
        self.lines.case(id, expected, got, false, ok);
        if ok {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

fn find(rows: &[Value], name: &str) -> Value {
    rows.iter().find(|row| row["attempt"] == name).cloned().unwrap_or_else(|| json!({"attempt": name}))
}

fn without_names(row: &Value) -> Value {
    json!({"error": row["error"], "bytes": row["bytes"], "secret": row["secret"]})
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> IsolationError {
    let path = path.to_owned();
    move |source| IsolationError::File { path, source }
}
