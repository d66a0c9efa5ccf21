//! What stays when a stack is gone, because it is not the stack's: each with the command that removes it, or the place.

use runnerless_aws::ports::Ledger;
use runnerless_aws_admin::ports::SecretStore;
use runnerless_core::change::RowKey;
use runnerless_core::id::LaneId;
use runnerless_core::lane_row::LANES;
use runnerless_core::project::{PARTITION, project_of};
use runnerless_core::time::Timestamp;

use super::{Known, named};
use crate::error::CliError;
use crate::screen::Screen;

/// Most rows that are read of one partition of the index.
const MOST: usize = 10_000;
/// The most names that Parameter Store deletes in one call.
const NAMES: usize = 10;

/// What is known to stay.
#[derive(Debug)]
pub(super) struct Left<'a> {
    stack: &'a str,
    known: &'a Known,
    projects: Vec<String>,
    runners: Vec<u64>,
}

impl<'a> Left<'a> {
    pub(super) const fn new(stack: &'a str, known: &'a Known) -> Self {
        Self { stack, known, projects: Vec::new(), runners: Vec::new() }
    }

    /// Looks into the ledger, while there is one: which projects have a webhook, and as which runners lanes ask that others
    /// made.
    pub(super) async fn look(&mut self, ledger: &impl Ledger) -> Result<(), CliError> {
        let keys = ledger.due(PARTITION, Timestamp(i64::MAX), MOST).await?;
        let ids: Vec<u64> = keys.iter().filter_map(|key| project_of(&key.pk)).collect();
        if !ids.is_empty() {
            let rows = ledger.load(&ids.iter().copied().map(RowKey::Project).collect::<Vec<_>>()).await?;
            let path = |id: u64| rows.project(id).ok().flatten().map(|row| row.path).filter(|path| !path.is_empty());
            self.projects = ids.into_iter().map(|id| path(id).unwrap_or_else(|| format!("project {id}"))).collect();
        }
        let keys = ledger.due(LANES, Timestamp(i64::MAX), MOST).await?;
        let lanes: Vec<LaneId> = keys.iter().filter_map(|key| key.pk.strip_prefix("lane#")).map(LaneId::new).collect();
        if !lanes.is_empty() {
            let rows = ledger.load(&lanes.iter().cloned().map(RowKey::Lane).collect::<Vec<_>>()).await?;
            let theirs = lanes.iter().filter_map(|lane| rows.lane(lane).ok().flatten());
            self.runners = theirs.filter(|row| row.made_mark.is_none()).filter_map(|row| row.runner_id).collect();
        }
        Ok(())
    }

    /// Says it.
    pub(super) async fn tell(&self, parameters: &impl SecretStore, screen: &mut Screen<'_>) -> Result<(), CliError> {
        screen.say("what stays, because it is not the stack's:")?;
        if let Some(table) = &self.known.mapping {
            screen.say(format!("- the mapping, table {table}: aws dynamodb update-table --no-deletion-protection-enabled --table-name {table} && aws dynamodb delete-table --table-name {table}"))?;
        }
        match &self.known.parameter_path {
            None => screen.say("- the parameters below the stack's ParameterPath")?,
            Some(path) => {
                let names = parameters.names_below(path).await?;
                if names.is_empty() {
                    screen.say(format!("- no parameter: there is none below {path}"))?;
                }
                for names in names.chunks(NAMES) {
                    let some = names.join(" ");
                    screen.say(format!("- parameters: aws ssm delete-parameters --names {some}"))?;
                }
            }
        }
        let hook = self.known.webhook.as_deref().unwrap_or("the stack's WebhookUrl");
        let of = match self.projects.len() {
            0 => String::new(),
            n => format!(" of {}", named(n, "project", "projects", self.projects.iter().cloned())),
        };
        screen.say(format!("- the webhook to {hook}{of}: in GitLab, Settings, Webhooks"))?;
        let runners = match self.runners.len() {
            0 => String::new(),
            n => format!(": {}", named(n, "runner", "runners", self.runners.iter().map(u64::to_string))),
        };
        screen.say(format!("- the runners that you made in GitLab{runners}: in GitLab, CI/CD settings, Runners"))?;
        let stack = self.stack;
        screen.say(format!("- log groups that a function's last words made anew: aws logs describe-log-groups --log-group-name-prefix /aws/lambda/{stack}"))?;
        screen.say("- images and their snapshots, the stacks of ami/, images/ and network/, the bucket with the code, layers with certificates: aws cloudformation delete-stack for each stack")?;
        Ok(())
    }
}
