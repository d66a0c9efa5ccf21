//! The stack under the cases: what is hit there, and what they look at.

use std::rc::Rc;
use std::time::Duration;

use hyper::Method;
use runnerless_core::lane::{Engine, TagSet, lane_id};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::case::{Case, Fault};
use super::gate::Gate;
use super::left::Look;
use super::op::Op;
use crate::aws::SSM;
use crate::deploy::Deployment;
use crate::field::{Field, Plot};
use crate::instances::Ec2;
use crate::seed::{Target, output};
use crate::stack::Stack;
use crate::suite::SuiteError;

/// The project of the cases' jobs.
const PROJECT: &str = "acme/faults";
/// GitLab's two minutes for an acceptance, shortened: a runner still asks when they are over.
const TWO_PHASE_S: u64 = 10;
/// How long the instance still runs after GitLab knows its job's end, in a case whose end hook comes early.
const EARLY_MS: u64 = 20_000;
/// What one look shows is good for so long: each look is for all cases.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The stack, ready for the cases.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) field: Field<'a>,
    pub(super) gate: Gate,
    pub(super) ec2: Ec2,
    looked: Mutex<Option<(Instant, Rc<Look>)>>,
}

/// A case's job and lane, as those know them who are asked for them.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// GitLab's number of the job.
    pub(super) job: u64,
    /// The lane's id.
    pub(super) lane: String,
    /// The lane's runner token.
    token: String,
}

impl<'a> Ground<'a> {
    /// Seeds, and makes a lane and a job for each case.
    pub(super) async fn prepare(
        stack: &'a Stack,
        deployment: &'a Deployment,
        cases: &[Case],
    ) -> Result<Self, SuiteError> {
        let gate = Gate::new().await.map_err(SuiteError::machine("a port of loopback"))?;
        let target = |case: &Case| Target::Instance {
            market: case.market.map(super::Market::name),
            timeout_s: case.timeout_s,
            own_runner: false,
        };
        let plots: Vec<Plot<'_>> = cases
            .iter()
            .map(|case| Plot { id: &case.id, lane: &case.id, target: target(case), has_token: true })
            .collect();
        let folder = stack.layout().at("faults");
        let file: String = cases.iter().map(|case| job(&case.id, &gate)).collect();
        let field = Field::prepare(stack, deployment, PROJECT, &plots, &folder, &file).await?;
        field.two_phase(true, TWO_PHASE_S).await?;
        // It verifies the lanes' tokens: later sweeps have time for launches.
        field.sweep().await?;
        let ec2 = Ec2::new(stack.aws());
        let ground = Self { field, gate, ec2, looked: Mutex::default() };
        for case in cases.iter().filter(|case| !case.alone) {
            let names = ground.names(case).await?;
            ground.field.witness.watch(&case.id, &[&names.lane, &names.job.to_string()]).await?;
        }
        Ok(ground)
    }

    /// The case's job and lane.
    pub(super) async fn names(&self, case: &Case) -> Result<Names, SuiteError> {
        let lane = lane_id(Engine::Ec2, &TagSet::new([&case.id]).unwrap_or_default()).to_string();
        let path = output(self.field.deployment, "ParameterPath")?;
        let name = format!("{path}/runner/EC2/{lane}/RegistrationToken");
        let input = json!({"Names": [name], "WithDecryption": true});
        let answer = self.field.stack.aws().call(SSM, "GetParameters", &input).await?;
        let token = answer["Parameters"][0]["Value"].as_str().unwrap_or_default().to_owned();
        Ok(Names { job: self.field.job_id(&case.id)?, lane, token })
    }

    /// Sets faults of the case. Those of instances are no calls, and the case's own play.
    pub(super) async fn set(&self, case: &Case, names: &Names, faults: &[Fault]) -> Result<(), SuiteError> {
        for fault in faults {
            match Op::parse(&fault.op, &fault.deed) {
                Ok(Op::Aws) => self.field.witness.set(&self.call(case, fault)?).await?,
                Ok(Op::GitLab) => self.tell_gitlab(&json!(of_gitlab(case, names, fault))).await?,
                Ok(Op::Hook) => self.tell_gitlab(&of_hook(case, names, fault)).await?,
                Ok(Op::Instance) => {}
                Err(bad) => unreachable!("the table was checked: {bad}"),
            }
        }
        Ok(())
    }

    /// A fault of a call to AWS, for the witness.
    fn call(&self, case: &Case, fault: &Fault) -> Result<Value, SuiteError> {
        let mut body = json!({"op": fault.op, "nth": fault.nth, "do": fault.deed});
        if fault.lasting {
            body["lasting"] = json!(true);
        } else {
            body["times"] = json!(fault.times);
        }
        if let Some(part) = &fault.function {
            body["function"] = json!(self.field.function(part)?.name);
        }
        if !case.alone {
            body["about"] = json!(case.id);
        }
        Ok(body)
    }

    /// A person's call to GitLab's faults.
    pub(super) async fn tell_gitlab(&self, faults: &Value) -> Result<(), SuiteError> {
        self.field.simulator.call(Method::POST, "/_sim/v1/faults", faults).await?;
        Ok(())
    }

    /// GitLab is in order again for the case.
    pub(super) async fn mend_gitlab(&self, case: &Case) -> Result<(), SuiteError> {
        let path = format!("/_sim/v1/faults?name={}", case.id);
        self.field.simulator.call(Method::DELETE, &path, &Value::Null).await?;
        Ok(())
    }

    /// Everything is in order again for the case.
    pub(super) async fn mend(&self, case: &Case) -> Result<(), SuiteError> {
        self.mend_gitlab(case).await?;
        if case.alone {
            self.field.witness.clear().await?;
        } else {
            self.field.witness.clear_about(&case.id).await?;
        }
        Ok(())
    }

    /// The faults of the case, with what became of them: as the witness and the simulator have them, each with `hits`.
    pub(super) async fn struck(&self, case: &Case) -> Result<Vec<Value>, SuiteError> {
        let of_case = |fault: &Value| fault["about"] == case.id.as_str() || case.alone;
        let calls = self.field.witness.faults().await?.into_iter().filter(of_case);
        let shown = self.field.simulator.call(Method::GET, "/_sim/v1/faults", &Value::Null).await?;
        let listed = |kind: &str| shown[kind].as_array().cloned().unwrap_or_default();
        let named = |fault: &Value| fault["name"] == case.id.as_str();
        let answers = listed("http").into_iter().filter(named).map(|mut fault| {
            let first = fault["nth"].as_u64().unwrap_or(1);
            let hits = (fault["seen"].as_u64().unwrap_or_default() + 1).saturating_sub(first);
            fault["hits"] = json!(fault["times"].as_u64().map_or(hits, |times| times.min(hits)));
            fault
        });
        let hooks = listed("hooks_of").into_iter().filter(named);
        Ok(calls.chain(answers).chain(hooks).collect())
    }

    /// What is there now, or was after that moment.
    pub(super) async fn look(&self, after: Instant) -> Result<Rc<Look>, SuiteError> {
        let mut looked = self.looked.lock().await;
        if let Some((at, look)) = &*looked
            && *at >= after
            && at.elapsed() < LOOK_AGAIN
        {
            return Ok(Rc::clone(look));
        }
        let at = Instant::now();
        let look = Rc::new(Look::new(self).await?);
        *looked = Some((at, Rc::clone(&look)));
        Ok(look)
    }
}

/// The case's job: its script says that it runs, and waits.
fn job(id: &str, gate: &Gate) -> String {
    let line = gate.line(id);
    format!("{id}:\n  when: manual\n  tags: [{id}]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - '{line}'\n")
}

/// Rules for GitLab's answers. Those whose path names a job are about the case's job, the others about its runner's token.
fn of_gitlab(case: &Case, names: &Names, fault: &Fault) -> Vec<Value> {
    let rule = |method: Option<&str>, path: &str, deed: &str| {
        let own = path.replace('*', &names.job.to_string());
        let matched = if own == path {
            json!({"method": method, "path": path, "holds": names.token})
        } else {
            json!({"method": method, "path": own})
        };
        let mut rule = json!({"match": matched, "nth": fault.nth, "every": 1, "do": deed, "name": case.id});
        if !fault.lasting {
            rule["times"] = json!(fault.times);
        }
        rule
    };
    match fault.op.strip_prefix("gitlab:").and_then(|call| call.split_once(' ')) {
        Some((method, path)) => vec![rule(Some(method), path, &fault.deed)],
        // Down: whatever is asked about the job or by its runner. `**` stays what it is: all that is below.
        None => {
            let (job, token) = (names.job, &names.token);
            let matches = [
                json!({"path": format!("jobs/{job}")}),
                json!({"path": format!("jobs/{job}/**")}),
                json!({"holds": token}),
            ];
            let all = |matched: Value| json!({"match": matched, "every": 1, "do": "status:502", "name": case.id});
            matches.map(all).to_vec()
        }
    }
}

/// A rule for a hook about the case's job.
fn of_hook(case: &Case, names: &Names, fault: &Fault) -> Value {
    let status = fault.op.trim_start_matches("hook:");
    if fault.deed == "early" {
        // The hook leaves when GitLab has taken the report, whose answer the instance still waits for.
        let matched = json!({"method": "PUT", "path": format!("jobs/{}", names.job)});
        return json!({"match": matched, "nth": fault.nth, "do": format!("late_answer:{EARLY_MS}"), "name": case.id});
    }
    let deed = match fault.deed.strip_prefix("late:").and_then(|seconds| seconds.parse::<u64>().ok()) {
        Some(seconds) => format!("late:{}", seconds * 1000),
        None => fault.deed.clone(),
    };
    json!({"hooks_of": [{"job": names.job, "status": status, "do": deed, "name": case.id}]})
}
