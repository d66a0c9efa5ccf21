//! The two workflows and the bus's rules: put out of order, put right again, and looked at.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::case::Workflow;
use crate::aws::{Aws, EVENTS, STATES};
use crate::deploy::Deployment;
use crate::field::FieldError;
use crate::seed::{SeedError, output};
use crate::suite::SuiteError;

/// How it was before.
#[derive(Debug)]
enum Before {
    /// A rule's target.
    Target { rule: String, target: Value },
    /// A workflow's definition.
    Definition { arn: String, definition: Value },
}

/// Both workflows.
#[derive(Debug)]
pub(super) struct Workflows {
    aws: Aws,
    bus: String,
    /// Their ARNs.
    start: String,
    stop: String,
    /// What is out of order, as it was before.
    before: RefCell<Vec<Before>>,
}

impl Workflows {
    pub(super) fn new(aws: Aws, deployment: &Deployment) -> Result<Self, SeedError> {
        let named = |name| output(deployment, name).map(str::to_owned);
        Ok(Self {
            aws,
            bus: named("EventBusName")?,
            start: named("StartRunnerArn")?,
            stop: named("StopRunnerArn")?,
            before: RefCell::default(),
        })
    }

    fn arn(&self, workflow: Workflow) -> &str {
        match workflow {
            Workflow::StartRunner => &self.start,
            Workflow::StopRunner => &self.stop,
        }
    }

    /// The rule's target is none any more: the bus takes events, and starts nothing.
    pub(super) async fn cut_off(&self, workflow: Workflow) -> Result<(), SuiteError> {
        let arn = self.arn(workflow);
        let input = json!({"TargetArn": arn, "EventBusName": self.bus});
        let rules = self.aws.call(EVENTS, "ListRuleNamesByTarget", &input).await?;
        let rule = rules["RuleNames"][0].as_str().ok_or_else(|| missing("rule of a workflow"))?.to_owned();
        let targets =
            self.aws.call(EVENTS, "ListTargetsByRule", &json!({"Rule": rule, "EventBusName": self.bus})).await?;
        let target = targets["Targets"].as_array().into_iter().flatten().find(|target| target["Arn"] == arn);
        let target = target.cloned().ok_or_else(|| missing("target of a rule"))?;
        let mut gone = target.clone();
        gone["Arn"] = json!(format!("{arn}-that-is-gone"));
        self.before.borrow_mut().push(Before::Target { rule: rule.clone(), target });
        self.aim(&rule, &gone).await
    }

    async fn aim(&self, rule: &str, target: &Value) -> Result<(), SuiteError> {
        let input = json!({"Rule": rule, "EventBusName": self.bus, "Targets": [target]});
        self.aws.call(EVENTS, "PutTargets", &input).await?;
        Ok(())
    }

    /// The workflow knows another word than this one, as one of another release may.
    pub(super) async fn rename(&self, workflow: Workflow, word: &str) -> Result<(), SuiteError> {
        let arn = self.arn(workflow).to_owned();
        let shown = self.aws.call(STATES, "DescribeStateMachine", &json!({"stateMachineArn": arn})).await?;
        let definition = shown["definition"].clone();
        let text = definition.as_str().unwrap_or_default();
        let other = text.replace(&format!("'{word}'"), &format!("'not_{word}'"));
        if other == text {
            return Err(missing("such word in a workflow"));
        }
        self.before.borrow_mut().push(Before::Definition { arn: arn.clone(), definition });
        self.define(&arn, &json!(other)).await
    }

    async fn define(&self, arn: &str, definition: &Value) -> Result<(), SuiteError> {
        let input = json!({"stateMachineArn": arn, "definition": definition});
        self.aws.call(STATES, "UpdateStateMachine", &input).await?;
        Ok(())
    }

    /// Everything is as it was.
    pub(super) async fn restore(&self) -> Result<(), SuiteError> {
        let before = std::mem::take(&mut *self.before.borrow_mut());
        for before in before {
            match before {
                Before::Target { rule, target } => self.aim(&rule, &target).await?,
                Before::Definition { arn, definition } => self.define(&arn, &definition).await?,
            }
        }
        Ok(())
    }

    /// The error with which the job's run of the workflow failed, if it did. AWS shows it in the workflow's log only; the
    /// emulator keeps it as a standard workflow's.
    pub(super) async fn failure(&self, workflow: Workflow, job: &str) -> Result<Option<String>, SuiteError> {
        let input = json!({"stateMachineArn": self.arn(workflow), "statusFilter": "FAILED"});
        let failed = self.aws.call(STATES, "ListExecutions", &input).await?;
        for run in failed["executions"].as_array().into_iter().flatten() {
            let run = json!({"executionArn": run["executionArn"]});
            let shown = self.aws.call(STATES, "DescribeExecution", &run).await?;
            let event: Value = serde_json::from_str(shown["input"].as_str().unwrap_or_default()).unwrap_or_default();
            if event["detail"]["job"] == job {
                return Ok(shown["error"].as_str().map(str::to_owned));
            }
        }
        Ok(None)
    }
}

fn missing(what: &str) -> SuiteError {
    SuiteError::Field(FieldError::Missing(what.to_owned()))
}
