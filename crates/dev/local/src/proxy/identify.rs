//! Which function a key belongs to, and which parameters its role may read by path.
//!
//! Under `AUTH=true` the emulator gives each function one role session whose access key id is `ASIA` and the first 16
//! hex digits, in capitals, of SHA-256 over `<function ARN>:<role ARN>` (ministack 1.5.33, `execution_credentials`). So
//! the list of functions tells the owner of every key, and no answer of the emulator has to be read for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::aws::{ACCOUNT, Aws, REGION};

/// A key that nobody knows makes us ask again, but not more often than this.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The owners of the keys.
#[derive(Debug)]
pub struct Identities {
    aws: Aws,
    scopes: PathBuf,
    known: Mutex<Known>,
    asking: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    functions: HashMap<String, String>,
    scopes: HashMap<String, Scope>,
}

/// What a function's role may only do within bounds that the emulator cannot evaluate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Scope {
    /// The resources of its `ssm:GetParametersByPath`; none when it has no such right, and the emulator refuses.
    paths: Option<Vec<String>>,
    #[serde(default)]
    tagged: Vec<Tagged>,
    /// The groups whose members it may end by an instance's id; none when it has no such right, and the emulator refuses.
    #[serde(default)]
    groups: Option<Vec<String>>,
}

/// Actions of EC2 that are granted on condition of tags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tagged {
    /// As in `ec2:TerminateInstances`.
    pub actions: Vec<String>,
    /// Condition keys, as in `ec2:ResourceTag/<tag>`, and which values each takes.
    pub tags: HashMap<String, Vec<String>>,
}

impl Identities {
    /// Asks the emulator behind `aws`; `scopes` is the file that the deployment writes: function name to `paths`, the
    /// resources of its role's `ssm:GetParametersByPath`, and `tagged`, its grants on condition of tags.
    #[must_use]
    pub fn new(aws: Aws, scopes: PathBuf) -> Self {
        Self { aws, scopes, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The function whose session has this key.
    pub async fn function(&self, access_key: Option<&str>) -> Option<String> {
        let key = access_key.filter(|key| key.starts_with("ASIA"))?;
        if let Some(known) = self.known(key) {
            return Some(known);
        }
        let mut asked = self.asking.lock().await;
        let recently = asked.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        // Somebody else may have asked while we waited for the lock.
        if self.known(key).is_none() && !recently {
            self.refresh().await;
            *asked = Some(Instant::now());
        }
        self.known(key)
    }

    /// Forgets what it knows: after a deployment keys and scopes may be others.
    pub fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Known::default();
    }

    /// Whether the function may read all parameters below `path`. The emulator itself cannot tell: it evaluates
    /// `GetParametersByPath` against the resource `*`, so the deployment grants that and this check stands in.
    #[must_use]
    pub fn may_read(&self, function: &str, path: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let resource = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{}", path.trim_end_matches('/'));
        let paths = known.scopes.get(function).and_then(|scope| scope.paths.as_ref());
        paths.is_none_or(|paths| paths.iter().any(|path| matches(path, &resource)))
    }

    /// Whether the function may end members of the group with this ARN by an instance's id alone. The emulator does not know the
    /// group then and evaluates the call against the resource `*`, so the deployment grants that and this check stands in.
    #[must_use]
    pub fn may_end_in(&self, function: &str, group: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = known.scopes.get(function).and_then(|scope| scope.groups.as_ref());
        groups.is_none_or(|groups| groups.iter().any(|pattern| matches(pattern, group)))
    }

    /// The grants of an operation of EC2 to a function that have tags as a condition. One of them must hold, if there is
    /// one.
    #[must_use]
    pub fn tagged(&self, function: &str, op: &str) -> Vec<Tagged> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.scopes.get(function).map(|scope| scope.tagged.as_slice()).unwrap_or_default();
        all.iter().filter(|tagged| tagged.actions.iter().any(|action| action == op)).cloned().collect()
    }

    fn known(&self, key: &str) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).functions.get(key).cloned()
    }

    async fn refresh(&self) {
        let mut functions = HashMap::new();
        let mut query = String::new();
        // An emulator that does not answer leaves the key unknown; the next unknown key asks again.
        while let Ok(page) = self.aws.get("lambda", "/2015-03-31/functions", &query).await {
            let text = |function: &Value, name: &str| function[name].as_str().unwrap_or_default().to_owned();
            for function in page["Functions"].as_array().into_iter().flatten() {
                let key = key_of(&text(function, "FunctionArn"), &text(function, "Role"));
                functions.insert(key, text(function, "FunctionName"));
            }
            match page["NextMarker"].as_str().filter(|marker| !marker.is_empty()) {
                Some(marker) => query = format!("Marker={marker}"),
                None => break,
            }
        }
        let scopes = std::fs::read(&self.scopes).ok().and_then(|file| serde_json::from_slice(&file).ok());
        let known = Known { functions, scopes: scopes.unwrap_or_default() };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// The key id of a function's role session.
#[must_use]
pub fn key_of(function_arn: &str, role_arn: &str) -> String {
    let digest = hex::encode(Sha256::digest(format!("{function_arn}:{role_arn}")));
    format!("ASIA{}", digest[..16].to_uppercase())
}

/// IAM's `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(tail, &rest[at..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_one_that_the_emulator_gave() {
        // Seen in a Lambda process of ministack 1.5.33.
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:runnerless-ExecutorFunction-4712B37AF0B2C";
        let role = "arn:aws:iam::000000000000:role/runnerless-ExecutorFunctionRole-E1295EF455C33";
        assert_eq!(key_of(arn, role), "ASIA96D612DA41E0B2AE");
    }

    #[test]
    fn scopes_are_matched_as_policies_are() {
        let scopes = ["arn:p/ingress", "arn:p/ingress/*"];
        let any = |text: &str| scopes.iter().any(|scope| matches(scope, text));
        let group = "arn:g:*:autoScalingGroupName/acme";
        assert!(matches(group, "arn:g:1-2:autoScalingGroupName/acme"));
        assert!(!matches(group, "arn:g:1-2:autoScalingGroupName/acme-2"));
        assert!(any("arn:p/ingress") && any("arn:p/ingress/a/b"));
        assert!(!any("arn:p") && !any("arn:p/ingress2") && !any("arn:p/control"));
        assert!(matches("*", "") && matches("a*c*", "abcd") && !matches("a*c", "abcd"));
    }
}
