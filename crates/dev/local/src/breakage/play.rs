//! One case until its fault is over, and until its end where nobody has to sweep for that.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::case::{Case, Struck};
use super::expect::{Healer, ended};
use super::ground::Ground;
use super::lines::verdict;
use crate::case_lines::Verdict;
use crate::processes::part::of_part;
use crate::suite::SuiteError;

/// GitLab stops to listen after this.
const GITLAB_WAITS_MS: i64 = 10_000;
/// How long a fault may take to do its work: a workflow whose function's calls hang is given up after forty-six seconds.
const STRIKES_WITHIN: Duration = Duration::from_secs(60);

/// What was seen of a case so far.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) job: u64,
    pub(super) got: Value,
    pub(super) why: Vec<String>,
    /// When everything was in order again: here, and by the ledger's clock (ms).
    pub(super) lifted: Instant,
    pub(super) lifted_ms: i64,
}

impl Seen {
    pub(super) fn verdict(self, case: &Case) -> Verdict {
        verdict(case, self.got, self.why)
    }

    fn unless(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.why.push(why());
        }
    }
}

impl Ground<'_> {
    /// Breaks what the case breaks, and looks.
    pub(super) async fn play(&self, case: &Case) -> Result<Seen, SuiteError> {
        self.two_phase(case.two_phase).await?;
        for part in &case.fresh {
            self.renew(part).await?;
        }
        self.set_faults(case).await?;
        let job = self.field.job_id(&case.id)?;
        self.field.start(job).await?;
        let mut seen = Seen { job, got: json!({}), why: Vec::new(), lifted: Instant::now(), lifted_ms: 0 };
        let delivery = self.answer(case, &mut seen).await?;
        self.strike(case, &mut seen).await?;
        if let Some(signal) = case.kind.signal() {
            self.kill(case, signal, &mut seen);
        }
        self.follow_up(case, &mut seen).await?;
        self.lift_faults().await?;
        (seen.lifted, seen.lifted_ms) = (Instant::now(), jiff::Timestamp::now().as_millisecond());
        if case.holds && !case.ends_executor() {
            self.let_go(case)?;
        }
        if case.expect.healed_by == Healer::Resend {
            self.field.resend(&delivery).await?;
        }
        if !matches!(case.expect.healed_by, Healer::Sweep | Healer::Terminator) {
            self.end(case, &mut seen).await?;
        }
        Ok(seen)
    }

    /// What GitLab's hook got.
    async fn answer(&self, case: &Case, seen: &mut Seen) -> Result<Value, SuiteError> {
        let job = seen.job;
        let over = async || {
            let delivery = self.field.delivery(job).await?;
            Ok((delivery["answer"].is_number() || delivery["error"].is_string()).then_some(delivery))
        };
        let delivery = self.until(STRIKES_WITHIN, over).await?.unwrap_or_default();
        let status = delivery["answer"].as_u64();
        let took = delivery["answered_at"].as_i64().zip(delivery["sent_at"].as_i64()).map(|(end, begin)| end - begin);
        seen.got["answered"] = json!(status);
        seen.got["answered_ms"] = json!(took);
        let wanted = if case.expect.taken { 200..300 } else { 500..600 };
        seen.unless(status.is_some_and(|status| wanted.contains(&status)), || format!("GitLab's hook got {delivery}"));
        seen.unless(took.is_some_and(|took| took < GITLAB_WAITS_MS), || "GitLab did not wait for the answer".into());
        Ok(delivery)
    }

    /// Waits until the fault has done its work, and looks what is stored.
    async fn strike(&self, case: &Case, seen: &mut Seen) -> Result<(), SuiteError> {
        let job = seen.job;
        if let Struck::DeadLetter(part) = case.struck {
            self.invoke_as_scheduled(part).await?;
        }
        let struck = self.until(STRIKES_WITHIN, async || self.has_struck(case, case.struck, job).await).await?;
        let row = match struck {
            Some(row) => row,
            None => {
                let (row, shown) = (self.field.row(job).await?, self.field.shown(job).await?);
                let launch = self.field.launch(job, &row).await?;
                let found = format!("GitLab shows {}, row {row}, launch {launch}", shown["status"]);
                seen.why.push(format!("the fault did not strike as stated ({:?}): {found}", case.struck));
                row
            }
        };
        let stored = row["state"].as_str().unwrap_or("nothing").to_owned();
        seen.got["hits"] = json!(self.hits().await?);
        seen.unless(stored == case.expect.stored, || format!("the row is {row}"));
        seen.got["stored"] = json!(stored);
        Ok(())
    }

    /// The job's row, once what the case waits for is there.
    async fn has_struck(&self, case: &Case, struck: Struck, job: u64) -> Result<Option<Value>, SuiteError> {
        let row = self.field.row(job).await?;
        let launch = self.field.launch(job, &row).await?;
        // The launch is read after the row: only together they are what was stated.
        let stored = row["state"].as_str().unwrap_or("nothing") == case.expect.stored;
        let struck = match struck {
            Struck::Answered => true,
            Struck::DeadLetter(part) => stored && self.is_dead_letter(part).await?,
            Struck::Failed(workflow, errors) => {
                let failure = self.workflows.failure(workflow, &self.field.key(job)).await?;
                stored && failure.is_some_and(|error| errors.contains(&error.as_str()))
            }
            Struck::SweepFails => self.field.sweep().await?["errorType"].is_string(),
            Struck::Row(state, attempts) => row["state"] == state && row["attempt"] == attempts,
            Struck::Launch(state, hits) => stored && launch["state"] == state && self.hits().await? >= hits,
            Struck::Hits(hits) => stored && self.hits().await? >= hits,
            Struck::Asked(state) => stored && launch["state"] == state && self.was_asked().await?,
            Struck::Job(status, hits) => {
                let runs = status != "running" || (self.runs(case) > 0 && stored);
                let told = status == "running" || row["state"] == "ended";
                runs && told && self.field.shown(job).await?["status"] == status && self.hits().await? >= hits
            }
        };
        Ok(struck.then_some(row))
    }

    /// Kills the victim, or lets it stand still. An idle process of an earlier case may be there beside it, and is hit as well.
    fn kill(&self, case: &Case, signal: Signal, seen: &mut Seen) {
        let part = case.victim.to_ascii_lowercase();
        let victims = of_part(self.field.stack.layout(), &part);
        if victims.is_empty() {
            seen.why.push(format!("no process of {part} runs, and one was to be hit"));
        }
        victims.iter().for_each(|victim| victim.signal(signal));
    }

    /// Waits for what is to be seen before the fault is over.
    async fn follow_up(&self, case: &Case, seen: &mut Seen) -> Result<(), SuiteError> {
        let Some(then) = case.then else { return Ok(()) };
        let job = seen.job;
        let followed = self.until(STRIKES_WITHIN, async || self.has_struck(case, then, job).await).await?;
        let row = self.field.row(job).await?;
        seen.unless(followed.is_some(), || format!("it did not go on as stated ({then:?}): row {row}"));
        Ok(())
    }

    /// Waits for the end, and compares.
    async fn end(&self, case: &Case, seen: &mut Seen) -> Result<(), SuiteError> {
        let job = seen.job;
        self.until(case.expect.within, async || self.is_over(case, job).await).await?;
        self.judge(case, seen).await
    }

    /// Whether GitLab, the job's row and its launch say that all is over; with the metric that is stated.
    pub(super) async fn is_over(&self, case: &Case, job: u64) -> Result<Option<()>, SuiteError> {
        let shown = self.field.shown(job).await?;
        let row = self.field.row(job).await?;
        let launch = self.field.launch(job, &row).await?;
        let settled = !case.expect.retired || row["expires_at"].is_number();
        let ended = match case.expect.job.0 {
            // Nobody can end it but GitLab, later.
            "running" => shown["status"] == "running",
            _ => shown["ended"] == true && row["state"] == "ended",
        };
        let over = ended && launch["state"] == "closed" && settled;
        let counted = match case.expect.metric {
            Some(metric) if over => self.field.counted(metric, job).await?,
            _ => true,
        };
        Ok((over && counted).then_some(()))
    }

    /// What is there in the end against what was stated.
    pub(super) async fn judge(&self, case: &Case, seen: &mut Seen) -> Result<(), SuiteError> {
        let over = self.is_over(case, seen.job).await?.is_some();
        let shown = self.field.shown(seen.job).await?;
        let row = self.field.row(seen.job).await?;
        let launch = self.field.launch(seen.job, &row).await?;
        let job = ended(shown["status"].as_str().unwrap_or_default(), shown["failure_reason"].as_str());
        let (attempts, runs) = (row["attempt"].as_u64().unwrap_or_default(), self.runs(case));
        let begun = self.field.begun(seen.job).await?;
        seen.unless(begun <= 1, || format!("GitLab saw it begin {begun} times"));
        if !over {
            let untaken = self.field.untaken(seen.job).await?;
            let (within, untaken) = (case.expect.within, json!(untaken));
            seen.why.push(format!(
                "not over within {within:?}: row {row}, launch {launch}, deliveries not taken {untaken}"
            ));
        }
        seen.unless(job == ended(case.expect.job.0, case.expect.job.1), || format!("the job is {job}"));
        seen.unless(attempts == case.expect.attempts, || format!("{attempts} launches were charged"));
        seen.unless(runs == case.expect.runs, || format!("the script ran {runs} times"));
        seen.got["job"] = json!(job);
        seen.got["launches"] = json!(attempts);
        seen.got["runs"] = json!(runs);
        seen.got["begun"] = json!(begun);
        let stamps = [&shown["t"]["finished"], &launch["closed_at"]].into_iter().filter_map(Value::as_i64);
        let healed = stamps.max().map(|at| (at - seen.lifted_ms).max(0));
        let within = i64::try_from(case.expect.within.as_millis()).unwrap_or(i64::MAX);
        // A sweep by hand comes when the other cases let it: its own time is looked at before.
        let soon = case.expect.healed_by == Healer::Sweep || healed.is_some_and(|healed| healed <= within);
        seen.unless(soon || !over, || format!("it took {healed:?} ms"));
        seen.got["healed_ms"] = json!(healed);
        if case.holds {
            // A script whose executor was killed may still wait for its leave.
            self.let_go(case)?;
        }
        Ok(())
    }
}
