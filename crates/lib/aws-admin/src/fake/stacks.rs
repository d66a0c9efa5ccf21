//! Stacks in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::locked;
use crate::ports::{RemoteError, StackFacts, Stacks};

/// Stacks by name. Deleting one takes a look: the first after it shows that it is under way.
#[derive(Debug, Default)]
pub struct FakeStacks {
    stacks: Mutex<BTreeMap<String, StackFacts>>,
    failing: Mutex<Option<String>>,
    refusing: Mutex<bool>,
}

impl FakeStacks {
    /// A stack that is complete, under an id of its name.
    pub fn put(&self, name: &str, outputs: &[(&str, &str)]) {
        let outputs = outputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (id, status) = (id(name), "CREATE_COMPLETE".to_owned());
        let facts = StackFacts { id, status, outputs, ..StackFacts::default() };
        locked(&self.stacks).insert(name.to_owned(), facts);
    }

    /// The stack is protected from its deletion.
    pub fn protect(&self, name: &str) {
        if let Some(stack) = locked(&self.stacks).get_mut(name) {
            stack.protected = true;
        }
    }

    /// From now on a deletion fails for this reason, or none does.
    pub fn fail(&self, why: Option<&str>) {
        *locked(&self.failing) = why.map(str::to_owned);
    }

    /// From now on the caller may delete nothing, or may.
    pub fn refuse(&self, refusing: bool) {
        *locked(&self.refusing) = refusing;
    }

    /// A stack's status; `None` for one that was never there.
    #[must_use]
    pub fn status(&self, name: &str) -> Option<String> {
        locked(&self.stacks).get(name).map(|stack| stack.status.clone())
    }
}

fn id(name: &str) -> String {
    format!("arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/1")
}

impl Stacks for FakeStacks {
    async fn show(&self, stack: &str) -> Result<Option<StackFacts>, RemoteError> {
        let mut stacks = locked(&self.stacks);
        let by_id = |name: &String| id(name) == stack;
        let Some(name) = stacks.keys().find(|name| name.as_str() == stack || by_id(name)).cloned() else {
            return Ok(None);
        };
        let Some(found) = stacks.get_mut(&name) else { return Ok(None) };
        let shown = found.clone();
        if found.status == "DELETE_IN_PROGRESS" {
            found.reason.clone_from(&locked(&self.failing));
            found.status = if found.reason.is_some() { "DELETE_FAILED" } else { "DELETE_COMPLETE" }.to_owned();
        }
        // A name is free once its stack is gone; the id stays its.
        Ok(Some(shown).filter(|shown| shown.status != "DELETE_COMPLETE" || by_id(&name)))
    }

    async fn delete(&self, stack: &str) -> Result<(), RemoteError> {
        if *locked(&self.refusing) {
            let (operation, right) = ("DeleteStack", "cloudformation:DeleteStack");
            return Err(RemoteError::Denied { operation, right, source: "the test said so".into() });
        }
        let mut stacks = locked(&self.stacks);
        let found = stacks.iter_mut().find(|(name, _)| name.as_str() == stack || id(name) == stack);
        let Some((_, found)) = found.filter(|(_, found)| found.status != "DELETE_COMPLETE") else { return Ok(()) };
        if found.protected {
            let source = "ValidationError: TerminationProtection is enabled".into();
            return Err(RemoteError::Failed { operation: "DeleteStack", source });
        }
        found.status = "DELETE_IN_PROGRESS".to_owned();
        Ok(())
    }
}
