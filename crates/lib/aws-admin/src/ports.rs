//! The ports: narrow traits, no SDK type in a signature.

use std::collections::BTreeMap;
use std::future::Future;

use runnerless_core::change::Item;
use serde_json::Value;
use zeroize::Zeroizing;

/// The cause of an error, of whatever type the SDK has.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A call to AWS that did not work. Nothing was changed unless the operation's own documentation says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// AWS does not know the caller, or no longer.
    #[error("{operation}: AWS does not accept the credentials; export fresh ones")]
    Unknown {
        /// What was tried.
        operation: &'static str,
        /// AWS's words.
        #[source]
        source: Cause,
    },
    /// AWS refused the caller.
    #[error("{operation} was refused; the credentials need the right {right}")]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// The IAM action.
        right: &'static str,
        /// AWS's words.
        #[source]
        source: Cause,
    },
    /// AWS could not be reached, was busy, or answered something unexpected.
    #[error("{operation} failed")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The table or the function is not there.
    #[error("{operation}: {what} does not exist in this region and account")]
    Missing {
        /// What was tried.
        operation: &'static str,
        /// What is missing.
        what: String,
    },
}

/// One write of the mapping table: the row becomes `after` only if it still is `before`, attribute by attribute. With
/// both alike the row is not written, and the others of its transaction are only if it still is so.
#[derive(Clone, Debug, PartialEq)]
pub struct MapChange {
    /// The row as it was read; `None` when there was none.
    pub before: Option<Item>,
    /// The row as it is to be, under the same keys; `None` deletes it.
    pub after: Option<Item>,
}

impl MapChange {
    /// The row's `pk` and `sk`; `None` for a change of nothing.
    #[must_use]
    pub fn key(&self) -> Option<(&str, &str)> {
        self.before.as_ref().or(self.after.as_ref()).and_then(key)
    }
}

/// The `pk` and `sk` of a row.
#[must_use]
pub fn key(item: &Item) -> Option<(&str, &str)> {
    Some((item.get("pk").and_then(Value::as_str)?, item.get("sk").and_then(Value::as_str)?))
}

/// Whether changes were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// All of them.
    All,
    /// None of them: somebody wrote one of the rows in between. Read again and decide again.
    Conflict,
}

/// The most changes of one transaction: DynamoDB's limit.
pub const TRANSACTION: usize = 100;

/// The mapping table as its operator sees it.
pub trait MappingStore {
    /// Every item: rows, patterns and lane entries, in no order. A whole read of the table, strongly consistent.
    fn all(&self) -> impl Future<Output = Result<Vec<Item>, RemoteError>> + Send;

    /// Applies changes of different rows together or not at all; at most [`TRANSACTION`].
    fn apply(&self, changes: &[MapChange]) -> impl Future<Output = Result<Applied, RemoteError>> + Send;
}

/// What AWS says about a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionFacts {
    /// Its ARN.
    pub arn: String,
    /// Its timeout (s).
    pub timeout_s: u64,
    /// Whether it isolates tenants.
    pub tenancy: bool,
    /// How often AWS repeats a failed asynchronous invocation; 2 unless it is configured.
    pub retries: u64,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
}

/// Reads the settings of functions.
pub trait Functions {
    /// The function's settings, by name or ARN; `None` when there is no such function.
    fn facts(&self, function: &str) -> impl Future<Output = Result<Option<FunctionFacts>, RemoteError>> + Send;
}

/// What a function that was waited for came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Its answer, as it gave it.
    Value(String),
    /// It failed.
    Failed {
        /// The error's name.
        name: String,
        /// Its words.
        message: String,
    },
}

/// Invokes functions and waits for their answers.
pub trait FunctionCalls {
    /// Invokes a function, by name or ARN, with an event in JSON, once. A function that is not there is
    /// [`RemoteError::Missing`]; one that fails has answered.
    fn call(&self, function: &str, event: &str) -> impl Future<Output = Result<Answered, RemoteError>> + Send;
}

/// Reads and writes secrets.
pub trait SecretStore {
    /// An encrypted parameter's value; `None` when there is no such parameter.
    fn get(&self, name: &str) -> impl Future<Output = Result<Option<Zeroizing<String>>, RemoteError>> + Send;

    /// The names of all parameters below a path, in order, of whatever kind they are.
    fn names_below(&self, path: &str) -> impl Future<Output = Result<Vec<String>, RemoteError>> + Send;

    /// Writes an encrypted parameter, over an older value.
    fn put(&self, name: &str, value: &Zeroizing<String>) -> impl Future<Output = Result<(), RemoteError>> + Send;
}

/// Reads the ledger.
pub trait LedgerReader {
    /// One row, strongly consistent.
    fn row(&self, pk: &str) -> impl Future<Output = Result<Option<Item>, RemoteError>> + Send;
}

/// What CloudFormation says about a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackFacts {
    /// Its id, which it keeps after its end.
    pub id: String,
    /// Its status, such as `DELETE_FAILED`.
    pub status: String,
    /// Why it is in that status, where that is said.
    pub reason: Option<String>,
    /// Whether it is protected from its deletion.
    pub protected: bool,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

/// Stacks of CloudFormation.
pub trait Stacks {
    /// A stack, by its name, or by its id also after its end; `None` when there is none.
    fn show(&self, stack: &str) -> impl Future<Output = Result<Option<StackFacts>, RemoteError>> + Send;

    /// Begins to delete a stack. One that is not there, or is being deleted, is as good as that.
    fn delete(&self, stack: &str) -> impl Future<Output = Result<(), RemoteError>> + Send;
}
