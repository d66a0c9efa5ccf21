//! What happens in a world, one thing at a time.

use runnerless_aws::ports::Announcement;
use serde_json::Value;

use crate::functions::checkin;
use crate::gitlab::{Hook, Step};
use crate::pool::Happens;

/// Something happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A user, or somebody else's runner, does something.
    User(Step),
    /// Something is due at GitLab.
    GitLab,
    /// A hook arrives at the front door.
    Hook(Hook),
    /// The bus delivers an event: a workflow begins.
    Announced(Announcement),
    /// Lambda runs what it was asked to run.
    Invocation(Invocation),
    /// The terminator is handed Lambda's record of an invocation that failed, or EC2's warning.
    Record(Record),
    /// An instance's runner starts.
    Boots(String),
    /// An instance's call arrives at the API.
    CheckIn(Box<checkin::Call>),
    /// EC2 warns that it takes an instance back.
    Warns(String),
    /// EC2, or whoever has it, takes an instance.
    Taken(String),
    /// Nothing on an instance goes a step further.
    LosesPower(String),
    /// GitLab gives the runner of the lane with this number a new token.
    Rotates(usize),
    /// That token is written to Parameter Store.
    Written(usize),
    /// The schedule starts a sweep.
    Sweep,
    /// Something happens to the pool.
    Pool(Happens),
    /// Nothing more goes wrong from now on.
    Calm,
    /// Somebody looks whether the world is quiet.
    Look,
}

/// An asynchronous invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The function.
    pub(crate) function: String,
    /// What it is given.
    pub(crate) payload: Value,
    /// The tenant, for functions that isolate tenants.
    pub(crate) tenant: Option<String>,
    /// Whether it took place before.
    pub(crate) again: bool,
}

/// What the terminator is told.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The record.
    pub(crate) record: Value,
    /// How often the terminator failed at it.
    pub(crate) failures: u32,
}
