//! What a runner manager tells of itself when it is asked for its metrics.

use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::metrics::{NoTable, Table};

use super::member::Running;
use crate::fault::Fault;
use crate::hands::Hands;

/// Metrics of the past are at most so old.
const OLDEST: Millis = Millis::minutes(10);
/// Metrics of the future are so far ahead (s).
const AHEAD: std::ops::Range<i64> = 61..9_000;

/// One answer, for the checks: what was true when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// When it was made.
    pub(crate) made: Timestamp,
    /// When it says that it was.
    pub(crate) stamp: Timestamp,
    /// Whether it came whole.
    pub(crate) whole: bool,
    /// Whether it says that the runner manager takes jobs and has none.
    pub(crate) idle: bool,
}

/// Why nothing came.
pub(crate) enum Silence {
    /// Whoever asks waits until its time is up.
    TimedOut,
    /// There is nobody.
    Refused,
    /// Somebody else answers.
    Another,
}

impl Silence {
    pub(crate) fn error(&self) -> NoTable {
        match self {
            Self::TimedOut => NoTable::NoAnswer("the operation timed out".into()),
            Self::Refused => NoTable::NoAnswer("connection refused".into()),
            Self::Another => NoTable::NoAnswer("the connection was closed".into()),
        }
    }
}

/// What a member answers.
pub(crate) fn answers(hands: &Hands<'_>, id: &str) -> Result<Table, Silence> {
    let now = hands.world.now();
    if hands.strikes(Fault::ScrapeTimedOut) {
        return Err(Silence::TimedOut);
    }
    if hands.strikes(Fault::ScrapeRefused) {
        return Err(if hands.draw(|rng| rng.bool()) { Silence::Refused } else { Silence::Another });
    }
    let slots = hands.world.setup.pool.as_ref().map_or(0, |setup| setup.settings.slots_per_member);
    let (made, mut table) = fresh(hands, id, slots, now)?;
    let whole = !hands.strikes(Fault::ScrapeCut);
    if hands.strikes(Fault::MetricsAhead) {
        let ahead = hands.draw(|rng| Millis::secs(rng.i64(AHEAD)));
        table.made_at = table.made_at.map(|at| at + ahead);
    }
    let idle = says_idle(&table.text);
    if !whole {
        let length = hands.draw(|rng| rng.usize(..table.text.len()));
        table.text.truncate(length);
        // What happens to end with a line says nothing wrong, and less.
        table.text.push_str("gitlab_runner_con");
    }
    let told = Told { made, stamp: table.made_at.unwrap_or(made), whole, idle };
    hands.world.state().check.told(hands.process.number, id, told);
    Ok(table)
}

/// The metrics of now, or some that were told a while ago.
fn fresh(hands: &Hands<'_>, id: &str, slots: u32, now: Timestamp) -> Result<(Timestamp, Table), Silence> {
    let old = hands.strikes(Fault::MetricsOld);
    let mut state = hands.world.state();
    let member = state.pool.as_mut().and_then(|pool| pool.members.get_mut(id)).ok_or(Silence::TimedOut)?;
    if member.silent_until > now {
        return Err(Silence::TimedOut);
    }
    let Some(running) = &member.running else { return Err(Silence::Refused) };
    let table = table(running, slots, now + member.clock_off);
    let told = member.told.replace((now, table.clone()));
    Ok(told.filter(|(made, _)| old && now - *made < OLDEST).unwrap_or((now, table)))
}

/// As the official one writes it, as far as it is read; by its own clock, in whole seconds.
fn table(running: &Running, slots: u32, clock: Timestamp) -> Table {
    let Running { jobs, taken, .. } = running;
    let state = if running.quits { "graceful-shutdown" } else { "running" };
    let of_jobs = format!(
        "gitlab_runner_jobs{{executor_stage=\"docker_run\",runner=\"aBcDeFgHi\",stage=\"step_script\",state=\"running\"}} {jobs}\n\
         gitlab_runner_jobs_total{{runner=\"aBcDeFgHi\"}} {taken}\n"
    );
    // Before its first job it has no such series.
    let of_jobs = if *taken > 0 || running.quits { of_jobs } else { String::new() };
    let text = format!(
        "# TYPE gitlab_runner_jobs gauge\n{of_jobs}gitlab_runner_concurrent {slots}\n\
         gitlab_runner_limit{{runner=\"aBcDeFgHi\"}} 0\ngitlab_runner_process_state_info{{state=\"{state}\"}} 1\n"
    );
    Table { text, made_at: Some(Timestamp(clock.0.div_euclid(1000) * 1000)) }
}

/// Whether these metrics, whole, are those of an idle runner manager.
fn says_idle(text: &str) -> bool {
    let jobs = text.lines().find(|line| line.starts_with("gitlab_runner_jobs{"));
    jobs.is_none_or(|line| line.ends_with(" 0")) && text.contains("state=\"running\"} 1\n")
}
