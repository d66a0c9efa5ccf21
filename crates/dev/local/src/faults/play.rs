//! One case: its job is started, hit by the fault, ends, and leaves nothing.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::case::{Case, Fault, Job, Phase};
use super::ground::{Ground, Names};
use super::lines::verdict;
use crate::case_lines::Verdict;
use crate::demo::said;
use crate::field::until;
use crate::suite::SuiteError;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// A launch that is met at a moment is there within this, or the moment was missed.
const MET_WITHIN: Duration = Duration::from_secs(60);
/// A fault of the script's time strikes within this: a sign of life comes every ten seconds.
const STRIKES_WITHIN: Duration = Duration::from_secs(90);
/// A job that cannot be served was refused so often before its case believes that it waits, or as often as it may be charged.
const REFUSED: u64 = 2;

/// What was seen of a case so far.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) got: Value,
    pub(super) why: Vec<String>,
}

impl Seen {
    pub(super) fn unless(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.why.push(why());
        }
    }
}

impl Ground<'_> {
    /// Plays a case. What goes wrong on the way is the case's failure.
    pub(super) async fn play(&self, case: &Case) -> Verdict {
        let began = Instant::now();
        let mut seen = Seen { got: json!({}), why: Vec::new() };
        if let Err(error) = self.try_to_play(case, &mut seen).await {
            seen.why.push(said(&error));
        }
        // The next cases are to meet nothing of this one.
        if let Err(error) = self.clean_up(case).await {
            seen.why.push(said(&error));
        }
        seen.got["seconds"] = json!(began.elapsed().as_secs());
        verdict(case, seen.got, seen.why)
    }

    async fn try_to_play(&self, case: &Case, seen: &mut Seen) -> Result<(), SuiteError> {
        let names = self.names(case).await?;
        let faults = case.faults();
        if case.during.is_early() {
            self.set(case, &names, &faults).await?;
        }
        self.pause_at(case, &names).await?;
        self.field.start(names.job).await?;
        let mut since = Instant::now();
        if let Some(moment) = case.moment().filter(|moment| *moment != "script") {
            self.meet(case, &names, moment, seen).await?;
        }
        if case.expect.job == Job::Pending {
            self.wait_in_vain(case, &names, seen).await?;
        } else if self.runs_or_ends(case, &names).await? {
            if !case.during.is_early() {
                self.strike(case, &names, &faults, seen).await?;
                since = Instant::now();
            }
            if case.expect.job == Job::Success {
                self.gate.open(&case.id);
            }
        }
        let shown = self.end(case, &names, since, seen).await?;
        self.settle(case, &names, &shown, seen).await?;
        self.judge(case, &names, &shown, seen).await
    }

    /// Waits until the script runs; false when the job ends, or its time is over, before.
    async fn runs_or_ends(&self, case: &Case, names: &Names) -> Result<bool, SuiteError> {
        let limit = Duration::from_secs(case.expect.ends_s);
        let come = async || {
            let runs = self.gate.runs(&case.id) > 0;
            let over = runs || self.field.shown(names.job).await?["ended"] == true;
            Ok::<_, SuiteError>(over.then_some(runs))
        };
        Ok(until(PAUSE, limit, come).await?.unwrap_or(false))
    }

    /// The fault hits while the script waits; one that ends with it only has to be there.
    async fn strike(&self, case: &Case, names: &Names, faults: &[Fault], seen: &mut Seen) -> Result<(), SuiteError> {
        self.set(case, names, faults).await?;
        if case.moment().is_some() {
            return self.meet(case, names, "script", seen).await;
        }
        if case.during == Phase::Stop {
            return Ok(());
        }
        if let Some(seconds) = case.deed.strip_prefix("down:").and_then(|seconds| seconds.parse().ok()) {
            sleep(Duration::from_secs(seconds)).await;
            seen.got["struck"] = json!(self.struck(case).await?);
            return self.mend_gitlab(case).await;
        }
        let done = async || {
            let all = self.struck(case).await?;
            let enough = |fault: &Value| fault["hits"].as_u64() >= Some(fault["times"].as_u64().unwrap_or(1));
            Ok::<_, SuiteError>(all.iter().all(enough).then_some(()))
        };
        until(PAUSE, STRIKES_WITHIN, done).await?;
        Ok(())
    }

    /// Waits until launches were in vain, and the job still waits; then a person cancels it.
    async fn wait_in_vain(&self, case: &Case, names: &Names, seen: &mut Seen) -> Result<(), SuiteError> {
        let limit = Duration::from_secs(case.expect.ends_s);
        let enough = REFUSED.min(case.expect.launches);
        let refused = async || {
            let row = self.field.row(names.job).await?;
            let waits = row["charge"].is_null() && row["launch"].is_null();
            Ok::<_, SuiteError>((waits && row["attempt"].as_u64() >= Some(enough)).then_some(()))
        };
        let met = until(PAUSE, limit, refused).await?;
        let (row, shown) = (self.field.row(names.job).await?, self.field.shown(names.job).await?);
        seen.unless(met.is_some(), || format!("no {enough} launches were refused within {limit:?}: row {row}"));
        seen.unless(shown["status"] == "pending", || format!("GitLab shows {} instead of pending", shown["status"]));
        let path = format!("/_sim/v1/jobs/{}/cancel", names.job);
        self.field.simulator.call(Method::POST, &path, &Value::Null).await?;
        Ok(())
    }

    /// Waits until the job has ended. Returns it as GitLab shows it.
    async fn end(&self, case: &Case, names: &Names, since: Instant, seen: &mut Seen) -> Result<Value, SuiteError> {
        let limit = Duration::from_secs(case.expect.ends_s).saturating_sub(since.elapsed());
        let over = async || {
            let shown = self.field.shown(names.job).await?;
            Ok::<_, SuiteError>((shown["ended"] == true).then_some(shown))
        };
        if let Some(shown) = until(PAUSE, limit, over).await? {
            seen.got["ended_s"] = json!(since.elapsed().as_secs());
            return Ok(shown);
        }
        let (shown, row) = (self.field.shown(names.job).await?, self.field.row(names.job).await?);
        let launch = self.field.launch(names.job, &row).await?;
        let within = case.expect.ends_s;
        seen.why.push(format!("GitLab shows {} after {within} s; row {row}, launch {launch}", shown["status"]));
        Ok(shown)
    }

    /// Waits until nothing is left, or the bound is over.
    async fn settle(&self, case: &Case, names: &Names, shown: &Value, seen: &mut Seen) -> Result<(), SuiteError> {
        let Some(finished) = shown["t"]["finished"].as_i64() else { return Ok(()) };
        let passed = || (jiff::Timestamp::now().as_millisecond() - finished).max(0);
        let bound = i64::try_from(case.expect.bound_s).unwrap_or(i64::MAX).saturating_mul(1000);
        let since = Instant::now();
        loop {
            let row = self.field.row(names.job).await?;
            // Without an API token a lost end hook leaves the job's row to its own end, in fourteen days.
            let told = (!case.loses_end()).then_some(&row);
            let left = self.look(since).await?.left(&case.id, names, told);
            if left.is_empty() || passed() > bound {
                let said: Vec<String> = left.iter().map(|left| format!("{} {}", left.what, left.id)).collect();
                seen.unless(left.is_empty(), || format!("left after {} s: {said:?}", case.expect.bound_s));
                seen.got["gone_s"] = if left.is_empty() { json!(passed() / 1000) } else { Value::Null };
                seen.got["left"] = json!(said);
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    /// What is there in the end against what was stated.
    async fn judge(&self, case: &Case, names: &Names, shown: &Value, seen: &mut Seen) -> Result<(), SuiteError> {
        let expect = &case.expect;
        let (status, reason) = match expect.job {
            Job::Success => ("success", None),
            Job::Failed => ("failed", expect.reason.as_deref()),
            // The case has cancelled it.
            Job::Pending => ("canceled", None),
        };
        let is_so = shown["status"] == status && reason.is_none_or(|reason| shown["failure_reason"] == reason);
        seen.unless(is_so, || format!("the job is {} ({})", shown["status"], shown["failure_reason"]));
        let row = self.field.row(names.job).await?;
        let (launches, runs) = (row["attempt"].as_u64().unwrap_or_default(), self.gate.runs(&case.id));
        let begun = self.field.begun(names.job).await?;
        seen.unless((1..=expect.launches).contains(&launches), || format!("{launches} launches were charged"));
        let most = usize::from(expect.job != Job::Pending);
        let least = usize::from(expect.job == Job::Success);
        seen.unless((least..=most).contains(&runs), || format!("the script ran {runs} times"));
        seen.unless(begun <= 1, || format!("GitLab saw it begin {begun} times"));
        if seen.got["struck"].is_null() {
            seen.got["struck"] = json!(self.struck(case).await?);
        }
        let struck = seen.got["struck"].as_array().cloned().unwrap_or_default();
        // Of GitLab that is down not every call is made.
        let hit = |fault: &Value| fault["hits"].as_u64() > Some(0);
        let missed = if case.deed.starts_with("down:") { !struck.iter().any(hit) } else { !struck.iter().all(hit) };
        seen.unless(!missed, || "a fault did not strike".to_owned());
        let told = |fault: &Value| {
            let what = fault["op"].as_str().or(fault["do"].as_str()).unwrap_or("hook");
            format!("{what}: {}", fault["hits"])
        };
        seen.got["struck"] = json!(struck.iter().map(told).collect::<Vec<_>>());
        let word = |name: &str| shown[name].as_str().unwrap_or_default();
        let job = [word("status"), word("failure_reason")].join(" ");
        seen.got["job"] = json!(job.trim());
        seen.got["launches"] = json!(launches);
        seen.got["runs"] = json!(runs);
        Ok(())
    }

    /// Whatever a case left is ended, so that it disturbs no other and costs the machine nothing.
    async fn clean_up(&self, case: &Case) -> Result<(), SuiteError> {
        self.mend(case).await?;
        self.gate.open(&case.id);
        let names = self.names(case).await?;
        if self.field.shown(names.job).await?["ended"] != true {
            let path = format!("/_sim/v1/jobs/{}/cancel?force=true", names.job);
            self.field.simulator.call(Method::POST, &path, &Value::Null).await?;
        }
        let look = self.look(Instant::now()).await?;
        for record in look.instances_of(&names.lane).filter(|record| record.is_on()) {
            self.ec2.end(&record.id, true).await?;
        }
        Ok(())
    }

    /// Instances are met where the launch stands still for it: EC2's answer, or GitLab's, comes some seconds late.
    async fn pause_at(&self, case: &Case, names: &Names) -> Result<(), SuiteError> {
        let pause = |op: &str, deed: &str| Fault {
            op: op.to_owned(),
            nth: 1,
            times: 1,
            lasting: false,
            function: None,
            deed: deed.to_owned(),
        };
        let pause = match case.moment() {
            Some("pending" | "running") => pause("ec2:CreateFleet", "hang:4"),
            Some("polling") => pause("gitlab:POST jobs/request", "delay:4000"),
            Some("bound") => pause("gitlab:PUT jobs/*", "delay:4000"),
            _ => return Ok(()),
        };
        self.set(case, names, &[pause]).await
    }

    /// Waits until the launch's instance has come so far, and does to it what the case says.
    async fn meet(&self, case: &Case, names: &Names, moment: &str, seen: &mut Seen) -> Result<(), SuiteError> {
        let Some(instance) = until(PAUSE / 2, MET_WITHIN, async || self.is_met(names, moment).await).await? else {
            let row = self.field.row(names.job).await?;
            seen.why.push(format!("no instance was met at the moment {moment}: row {row}"));
            return Ok(());
        };
        seen.got["instance"] = json!(instance);
        match case.deed.as_str() {
            "kill" => self.ec2.end(&instance, true).await?,
            "warn" => self.field.witness.interrupt(&instance).await?,
            // The table was checked.
            _ => {
                self.field.witness.interrupt(&instance).await?;
                self.field.witness.interrupt(&instance).await?;
            }
        }
        Ok(())
    }

    /// The instance, once it has come so far.
    async fn is_met(&self, names: &Names, moment: &str) -> Result<Option<String>, SuiteError> {
        if matches!(moment, "pending" | "running") {
            let instances = self.ec2.instances().await?;
            let of_lane = |record: &&crate::instances::Record| {
                record.is_on() && record.tags.get(runnerless_core::fleet::LANE_TAG) == Some(&names.lane)
            };
            let instance = instances.iter().find(of_lane).map(|record| record.id.clone());
            let has_begun = |id: &String| {
                let notes = std::fs::read_to_string(self.field.stack.layout().instances()).unwrap_or_default();
                notes.lines().any(|line| line.contains(id.as_str()) && line.contains("\"begun\""))
            };
            return Ok(instance.filter(|id| moment == "pending" || has_begun(id)));
        }
        let row = self.field.row(names.job).await?;
        let launch = self.field.launch(names.job, &row).await?;
        let state = if moment == "script" { "bound" } else { moment };
        Ok(launch["instance_id"].as_str().filter(|_| launch["state"] == state).map(str::to_owned))
    }
}
