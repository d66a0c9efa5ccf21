//! `make attack`: bad requests against the front door of a deployed stack, each with the state before and after it, and
//! then mutated hooks through ingest's handler; one JSON line a case.

mod case;
mod desk;
mod event;
mod mutate;
mod mutated;
mod read;
mod request;
mod state;
mod wire;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::case_lines::CaseLines;
use crate::demo::{said, tell};
use crate::deploy::Deployment;
use crate::dice::clock_seed;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::seed::{self, DEFAULT_LANE, Hook, SeedError};
use crate::stack::{Options, Stack, StackError};
use crate::up::{self, UpError};
use case::Case;
use desk::Desk;
pub use read::CaseError;
use request::{Request, Secrets};
use state::{State, StateError};

/// Where our own cases are, below the checkout.
const OWN_CASES: &str = "crates/dev/local/cases/attack";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Attack {
    /// The stack: the one that runs in its state folder, or a new one.
    pub stack: Options,
    /// The folder with the case files; our own when absent.
    pub cases: Option<PathBuf>,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// How many mutated hooks go through ingest's handler.
    pub mutations: u32,
    /// What they are made from; from the clock when absent.
    pub seed: Option<u64>,
}

/// The cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// Files that are no cases.
    #[error("{}", listed(.0))]
    Cases(Vec<CaseError>),
    /// Nothing to run is no success.
    #[error("CASES={0} holds no *.json file")]
    NoCases(PathBuf),
    /// The file for the lines.
    #[error("{path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// No deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// No secrets.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A function is missing.
    #[error("the stack has no {0}; template.yaml names it")]
    NoFunction(&'static str),
    /// The stack's own signing token cannot be used.
    #[error("the stack holds no usable signing token; end it with `make stack-down` and begin anew")]
    NoKey,
    /// The stack works.
    #[error("launches are open in this stack ({0}); wait for their jobs, or give another STATE")]
    Busy(String),
    /// No random bytes.
    #[error("the machine gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// A call of the runner's own.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A request got no answer.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The hooks that mutations are made from.
    #[error("{path} is no event of ingest")]
    Events {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

pub use wire::WireError;

fn listed(errors: &[CaseError]) -> String {
    errors.iter().map(|error| said(error)).collect::<Vec<_>>().join("\n")
}

/// Runs all cases, then the mutations; true when all that is expected of them held.
///
/// # Errors
/// When they could not be run at all. A stack that was started for them is ended, and another left as it was.
pub async fn attack(wish: &Attack, signals: &mut Signals) -> Result<bool, AttackError> {
    let began = Instant::now();
    let folder = wish.cases.clone().unwrap_or_else(|| wish.stack.layout.source(OWN_CASES));
    let mut cases = read::read_all(&folder).map_err(AttackError::Cases)?;
    if cases.is_empty() {
        return Err(AttackError::NoCases(folder));
    }
    // The functions get new processes when what the stack holds changes.
    cases.sort_by_key(|case| case.stack);
    let unwritten = |source| AttackError::Out { path: wish.out.clone().unwrap_or_default(), source };
    let mut lines = CaseLines::new("attack", wish.out.as_deref()).map_err(unwritten)?;
    let stack = tokio::select! {
        stack = up::take(&wish.stack) => stack?,
        () = signals.any() => return Err(AttackError::Interrupted),
    };
    let ran = on_stack(&stack, &cases, &mut lines, signals).await;
    if stack.is_ours() {
        stack.stop().await;
    }
    let (mut passed, mut failed) = ran?;
    let held = mutations(wish, &mut lines)?;
    passed += usize::from(held);
    failed += usize::from(!held);
    lines.summary(passed, failed, 0, began.elapsed());
    lines.finish().map_err(unwritten)?;
    Ok(failed == 0)
}

/// How many cases passed and failed. Whatever was changed for them is put back where the stack stays.
async fn on_stack(
    stack: &Stack,
    cases: &[Case],
    lines: &mut CaseLines,
    signals: &mut Signals,
) -> Result<(usize, usize), AttackError> {
    let mut desk = tokio::select! {
        desk = prepare(stack) => desk?,
        () = signals.any() => return Err(AttackError::Interrupted),
    };
    let ran = run_all(&mut desk, cases, lines, signals).await;
    if !stack.is_ours() {
        desk.put_back().await?;
    }
    ran
}

async fn prepare(stack: &Stack) -> Result<Desk<'_>, AttackError> {
    let deployment: Deployment = up::deploy(stack).await?;
    let hook: Hook = seed::seed(stack, &deployment, &[DEFAULT_LANE], false).await?;
    let open = desk::open_launches(stack, &deployment).await?;
    if !open.is_empty() {
        return Err(AttackError::Busy(open.join(", ")));
    }
    let secrets = Secrets::new(&hook)?.ok_or(AttackError::NoKey)?;
    Desk::new(stack, &deployment, hook, secrets).await
}

/// A signal is heard between two cases, so that what a request changes is known before it is put back.
async fn run_all(
    desk: &mut Desk<'_>,
    cases: &[Case],
    lines: &mut CaseLines,
    signals: &mut Signals,
) -> Result<(usize, usize), AttackError> {
    desk.silence().await?;
    // No other run on this stack has these numbers.
    let base = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let mut passed = 0;
    let mut held = None;
    let mut before = State::default();
    for (case, fresh) in cases.iter().zip(base..) {
        tokio::select! {
            biased;
            () = signals.any() => return Err(AttackError::Interrupted),
            () = std::future::ready(()) => {}
        }
        if held != Some(case.stack) {
            desk.hold(case.stack).await?;
            before = desk.look(None).await?;
            held = Some(case.stack);
        }
        let request = Request::of(case, &desk.secrets, &desk.instance, fresh, Timestamp::now());
        let answer = desk.knock(case, &request).await;
        let after = desk.look(Some(&before)).await?;
        let end =
            End { status: answer, changed: before.differences(&after), before: before.digest(), after: after.digest() };
        let why = end.unmet(case);
        passed += usize::from(why.is_empty());
        tell(&format!("{} {}{}", if why.is_empty() { "ok    " } else { "FAILED" }, case.id, reasons(&why)));
        lines.case(&case.id, &case.expected, &end.view(&why), !end.changed.is_empty(), why.is_empty());
        before = after;
    }
    Ok((passed, cases.len() - passed))
}

/// What came of a case.
struct End {
    status: Result<u16, AttackError>,
    /// The names of what changed.
    changed: Vec<String>,
    before: String,
    after: String,
}

impl End {
    /// What of the expectations did not hold.
    fn unmet(&self, case: &Case) -> Vec<String> {
        let mut why = Vec::new();
        match &self.status {
            Ok(status) if case.status.contains(status) => {}
            Ok(status) => why.push(format!("the status is {status}, none of {:?}", case.status)),
            Err(error) => why.push(said(error)),
        }
        if !case.state_changed && !self.changed.is_empty() {
            why.push(format!("the state changed: {}", self.changed.join(", ")));
        }
        if case.state_changed {
            why.extend(self.strange());
        }
        why
    }

    /// What an accepted hook changes is the row of one job, the note of its project, and what ingest called for both.
    fn strange(&self) -> Option<String> {
        let jobs: Vec<&str> = self.changed.iter().filter_map(|name| name.strip_prefix("ledger job#")).collect();
        let project = jobs.first().and_then(|job| job.split_once('#')).map(|(project, _)| project);
        let note = project.map(|project| format!("ledger project#{project}"));
        let is_known = |name: &&String| {
            name.starts_with("ledger job#") || name.starts_with("calls ") || note.as_ref() == Some(*name)
        };
        match jobs.len() {
            0 => Some("the state was to change, and no job's row did".to_owned()),
            1 if self.changed.iter().all(|name| is_known(&name)) => None,
            _ => Some(format!("more than one job's row changed: {}", self.changed.join(", "))),
        }
    }

    fn view(&self, why: &[String]) -> Value {
        let mut view = json!({
            "status": self.status.as_ref().ok(),
            "state": {"before": self.before, "after": self.after, "changed": self.changed},
        });
        if !why.is_empty() {
            view["why"] = json!(why);
        }
        view
    }
}

/// The mutated hooks; whether all that is expected of them held.
fn mutations(wish: &Attack, lines: &mut CaseLines) -> Result<bool, AttackError> {
    let seed = wish.seed.unwrap_or_else(clock_seed);
    let hooks = mutated::hooks(&wish.stack.layout.source("events/ingest"))?;
    tell(&format!("{} mutated hooks through ingest's handler, seed {seed}", wish.mutations));
    let outcome = mutated::run(&hooks, seed, wish.mutations);
    let ok = outcome.failures.is_empty() && wish.mutations > 0;
    let id = format!("mutated-{}", wish.mutations);
    tell(&format!("{} {id}{}", if ok { "ok    " } else { "FAILED" }, reasons(&outcome.failures)));
    let expected = json!({"panics": 0, "status_5xx": 0, "state_changed_without_proof": false});
    lines.case(&id, &expected, &outcome.view(seed), outcome.unproved_changes > 0, ok);
    Ok(ok)
}

fn reasons(why: &[String]) -> String {
    if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) }
}
