//! What is there after the upgrade: the builds, each job's end, and what is left.

use std::cell::RefCell;
use std::time::Duration;

use runnerless_core::lane::{Engine, TagSet, lane_id, system_id};
use serde_json::{Value, json};

use super::ground::{Ground, Job, LIMIT, words};
use crate::case_lines::Verdict;
use crate::field::until;
use crate::pipelines::ledger::Ledger;
use crate::seed::output;
use crate::strays;
use crate::suite::SuiteError;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

impl Ground<'_> {
    /// Whether each function has another build than before: else the upgrade shows nothing.
    pub(super) fn renewed(&self, seen: &Value, all: bool) -> Verdict {
        let mut verdict = Verdict::new("every function has the new build", json!("all of them"));
        verdict.unless(all, || {
            format!(
                "some have the build that they had, so that this shows no upgrade of them: {seen}; name a commit with other code, FROM=<commit>"
            )
        });
        verdict.got = seen.clone();
        verdict
    }

    /// What came of a job, once it is over and its rows are.
    pub(super) async fn ended(&self, job: &Job) -> Result<Verdict, SuiteError> {
        let (field, id) = (&self.field, self.field.job_id(&job.name)?);
        let end = if job.exit_code == 0 { "success" } else { "failed" };
        let expected = json!({"status": end, "exit_code": job.exit_code, "begun": 1, "launches": 1, "words": [1, 1]});
        let mut verdict = Verdict::new(&job.name, expected);
        let over = until(PAUSE, LIMIT, async || {
            let row = field.row(id).await?;
            let is_over = field.shown(id).await?["ended"] == true && row["expires_at"].is_number();
            Ok::<_, SuiteError>(is_over.then_some(()))
        });
        verdict.unless(over.await?.is_some(), || "it, or its row, is not over".to_owned());
        let (shown, row) = (field.shown(id).await?, field.row(id).await?);
        let (log, begun) = (self.log(id).await?, field.begun(id).await?);
        let said = words(job).map(|word| log.matches(&word).count());
        let code = if shown["exit_code"].is_null() && shown["status"] == "success" {
            json!(0)
        } else {
            shown["exit_code"].clone()
        };
        verdict.got = json!({"status": shown["status"], "exit_code": code, "begun": begun, "launches": row["attempt"],
            "words": said, "on": if job.on_instance { "instance" } else { "lambda" }, "row": row["state"]});
        for key in ["status", "exit_code", "begun", "launches", "words"] {
            let (want, got) = (verdict.expected[key].clone(), verdict.got[key].clone());
            verdict.unless(want == got, || format!("{key} is {got}, and should be {want}"));
        }
        Ok(verdict)
    }

    /// What is left, once nothing is or the time is over.
    pub(super) async fn left(&self) -> Result<Verdict, SuiteError> {
        let mut verdict = Verdict::new("nothing is left", json!([]));
        let left = RefCell::new(Vec::new());
        let gone = until(PAUSE, LIMIT, async || {
            let look = self.look().await?;
            let nothing = look.is_empty().then_some(());
            left.replace(look);
            Ok::<_, SuiteError>(nothing)
        });
        gone.await?;
        let left = left.into_inner();
        verdict.unless(left.is_empty(), || left.join("; "));
        let violations = self.field.simulator.violations().await?;
        verdict.unless(violations.is_empty(), || violations.join("; "));
        verdict.got = json!(left);
        Ok(verdict)
    }

    async fn look(&self) -> Result<Vec<String>, SuiteError> {
        let field = &self.field;
        let (instances, volumes) = (self.ec2.instances().await?, self.ec2.volumes().await?);
        let mut left = Vec::new();
        for instance in &instances {
            if instance.state != "terminated" {
                left.push(format!("instance {} is {}", instance.id, instance.state));
            }
            let own = instance.volumes.iter().filter(|volume| volumes.contains(&volume.id));
            left.extend(own.map(|volume| format!("volume {}", volume.id)));
            left.extend(strays::naming(&instance.id));
        }
        let ledger = Ledger { aws: field.stack.aws(), table: output(field.deployment, "LedgerTableName")? };
        let launches = ledger.launches().await?;
        let open = launches.iter().filter(|launch| launch["state"] != "closed");
        left.extend(open.map(|launch| format!("{} is {}", launch["pk"], launch["state"])));
        // Those of the lanes stay as long as the lanes do.
        let lanes = [("lambda", Engine::Lambda), ("instance", Engine::Ec2)];
        let own = lanes.map(|(tag, engine)| system_id(&lane_id(engine, &TagSet::new([tag]).unwrap_or_default())));
        for runner in self.runners().await? {
            let managers = runner["managers"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let others = managers.filter(|manager| !own.iter().any(|own| own == manager));
            left.extend(others.map(|manager| format!("runner manager {manager} of {}", runner["description"])));
        }
        Ok(left)
    }
}
