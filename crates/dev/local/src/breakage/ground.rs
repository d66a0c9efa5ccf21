//! The stack under the cases: what they set, send and look at.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::case::{Case, Fault, Part};
use super::pipeline;
use super::workflows::Workflows;
use crate::aws::SQS;
use crate::deploy::Deployment;
use crate::field::{self, Field, FieldError, Plot, until};
use crate::seed::{Target, output};
use crate::stack::Stack;
use crate::suite::SuiteError;
use crate::{schedule, sentinels};

/// The project of the cases' jobs.
const PROJECT: &str = "acme/breakage";
/// GitLab's two minutes for an acceptance, shortened: a runner still asks when they are over.
const TWO_PHASE_S: u64 = 3;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// The stack, ready for the cases.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) field: Field<'a>,
    pub(super) workflows: Workflows,
    folder: PathBuf,
}

impl<'a> Ground<'a> {
    /// Seeds, makes a lane and a job for each case, and switches the sweep's schedule and sentinels off.
    pub(super) async fn prepare(
        stack: &'a Stack,
        deployment: &'a Deployment,
        cases: &[Case],
    ) -> Result<Self, SuiteError> {
        let executor = &field::function(deployment, "Executor")?.arn;
        let plots: Vec<Plot<'_>> = cases
            .iter()
            .map(|case| Plot { id: &case.id, lane: &case.id, target: Target::Function(executor), has_token: true })
            .collect();
        let folder = stack.layout().at("breakage");
        let file = pipeline::file(cases, &folder);
        let field = Field::prepare(stack, deployment, PROJECT, &plots, &folder, &file).await?;
        if !schedule::switch_off(&stack.aws()).await? {
            return Err(missing("scheduled rule"));
        }
        // A sentinel would take a case's job before the launch that the sweep starts for it.
        if !sentinels::every(&stack.aws(), deployment, 0).await? {
            return Err(missing("variable for sentinels"));
        }
        Ok(Self { field, workflows: Workflows::new(stack.aws(), deployment)?, folder })
    }

    /// GitLab's mode for the next jobs.
    pub(super) async fn two_phase(&self, on: bool) -> Result<(), SuiteError> {
        Ok(self.field.two_phase(on, TWO_PHASE_S).await?)
    }

    /// New processes for a function, as after a deployment.
    pub(super) async fn renew(&self, part: Part) -> Result<(), SuiteError> {
        let name = &self.field.function(part)?.name;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let same = json!({"Runtime": "provided.al2023"});
        self.field.stack.aws().request("lambda", Method::PUT, &path, &same).await?;
        Ok(())
    }

    /// Puts the case's faults where they belong. GitLab's are about the case's own job, where a path names one.
    pub(super) async fn set_faults(&self, case: &Case) -> Result<(), SuiteError> {
        let job = self.field.job_id(&case.id)?.to_string();
        let own = |path: &str| path.replace('*', &job);
        for fault in &case.faults {
            match fault {
                Fault::Aws { part, op, nth, times } => {
                    let function = &self.field.function(part)?.name;
                    let mut body = json!({"op": op, "nth": nth, "do": case.kind.deed(), "function": function});
                    match times {
                        Some(times) => body["times"] = json!(times),
                        None => body["lasting"] = json!(true),
                    }
                    self.field.witness.set(&body).await?;
                }
                Fault::Unanswered(part, op) => {
                    let function = &self.field.function(part)?.name;
                    let body = json!({"op": op, "nth": 1, "do": "hang", "function": function});
                    self.field.witness.set(&body).await?;
                }
                Fault::GitLab(method, path, deed) => {
                    let body = json!({"match": {"method": method, "path": own(path)}, "do": deed});
                    self.field.simulator.call(Method::POST, "/_sim/v1/faults", &body).await?;
                }
                Fault::GitLabFrom(nth, method, path, deed) => {
                    let matched = json!({"method": method, "path": own(path)});
                    let body = json!({"match": matched, "nth": nth, "every": 1, "do": deed});
                    self.field.simulator.call(Method::POST, "/_sim/v1/faults", &body).await?;
                }
                Fault::Unstartable(workflow) => self.workflows.cut_off(*workflow).await?,
                Fault::OtherWord(workflow, word) => self.workflows.rename(*workflow, word).await?,
            }
        }
        Ok(())
    }

    /// Everything is in order again.
    pub(super) async fn lift_faults(&self) -> Result<(), SuiteError> {
        self.field.witness.clear().await?;
        self.field.simulator.call(Method::DELETE, "/_sim/v1/faults", &Value::Null).await?;
        self.workflows.restore().await
    }

    /// How many calls the witness hit.
    pub(super) async fn hits(&self) -> Result<u64, SuiteError> {
        Ok(self.field.witness.faults().await?.iter().filter_map(|fault| fault["hits"].as_u64()).sum())
    }

    /// Whether the simulator was asked what it is not to answer.
    pub(super) async fn was_asked(&self) -> Result<bool, SuiteError> {
        let faults = self.field.simulator.call(Method::GET, "/_sim/v1/faults", &Value::Null).await?;
        let hit = |fault: &Value| fault["seen"].as_u64() >= Some(fault["nth"].as_u64().unwrap_or(1));
        Ok(faults["http"].as_array().into_iter().flatten().any(hit))
    }

    /// Invokes a function as its schedule does, without waiting for its end.
    pub(super) async fn invoke_as_scheduled(&self, part: Part) -> Result<(), SuiteError> {
        let name = &self.field.function(part)?.name;
        self.field.stack.aws().invoke_later(name, "{}".to_owned()).await?;
        Ok(())
    }

    /// Whether the dead letters have an invocation of this function.
    pub(super) async fn is_dead_letter(&self, part: Part) -> Result<bool, SuiteError> {
        let queue = output(self.field.deployment, "DeadLetterQueueUrls")?;
        let arn = &self.field.function(part)?.arn;
        let input = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
        let found = self.field.stack.aws().call(SQS, "ReceiveMessage", &input).await?;
        let of_part = |message: &Value| {
            let record: Value = serde_json::from_str(message["Body"].as_str().unwrap_or_default()).unwrap_or_default();
            record["requestContext"]["functionArn"] == arn.as_str()
        };
        Ok(found["Messages"].as_array().into_iter().flatten().any(of_part))
    }

    /// How often the case's script ran.
    pub(super) fn runs(&self, case: &Case) -> usize {
        std::fs::read_to_string(pipeline::runs(&self.folder, &case.id)).unwrap_or_default().lines().count()
    }

    /// Lets a waiting script go on.
    pub(super) fn let_go(&self, case: &Case) -> Result<(), SuiteError> {
        let path = pipeline::leave(&self.folder, &case.id);
        std::fs::write(&path, "").map_err(|source| FieldError::File { path, source }.into())
    }

    /// Looks until something is there, or the time is over.
    pub(super) async fn until<T>(
        &self,
        limit: Duration,
        look: impl AsyncFn() -> Result<Option<T>, SuiteError>,
    ) -> Result<Option<T>, SuiteError> {
        until(PAUSE, limit, look).await
    }
}

fn missing(what: &str) -> SuiteError {
    SuiteError::Field(FieldError::Missing(what.to_owned()))
}
