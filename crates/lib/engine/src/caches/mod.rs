//! Caches: files that are there again in a later job, if all goes well. A job does without them if it does not.
//!
//! Where they are is the host's to say. What is found there may come from another branch or another's hand, and so is unpacked
//! as carefully as an archive of another job.

mod key;
mod names;
mod restore;
mod save;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use runnerless_core::cache::CacheUse;
use tokio::time::timeout;

use crate::config::{CachePlace, CacheUnknown, Host, JobIds};
use crate::files::{Courier, Says, pause};
use crate::job::Stages;
use crate::verdict::Verdict;
use key::{Made, NoKey};
use names::Names;
pub(crate) use names::named;

/// How long the host may take to say where a cache is.
const HOST_LIMIT: Duration = Duration::from_secs(30);
/// How long a request to a storage may take unless the job says otherwise, in minutes; the official runner's.
const REQUEST_MINUTES: u32 = 10;
/// Attempts beside the first, and the wait before each; the official runner's.
const REPEATS: u32 = 2;
const WAIT: Duration = Duration::from_secs(1);
/// What an archive is called for the moment in which it has a name, in a folder that is the job's.
const ARCHIVE: &str = "runnerless-cache";

/// One job's caches.
#[derive(Debug)]
pub(crate) struct Caches<'a, H> {
    courier: Courier<'a>,
    host: &'a H,
    ids: &'a JobIds,
    /// When what is stored under a key was stored there, as far as this job knows.
    stored: HashMap<String, SystemTime>,
}

/// What a cache is to be done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    pulls: bool,
    pushes: bool,
}

impl Policy {
    /// Reads GitLab's word; `None` when it is none.
    fn new(word: &str) -> Option<Self> {
        let (pulls, pushes) = match word {
            "" | "pull-push" => (true, true),
            "pull" => (true, false),
            "push" => (false, true),
            _ => return None,
        };
        Some(Self { pulls, pushes })
    }
}

/// What became of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Done {
    Yes,
    No,
    /// The host keeps none; its sentence.
    Nowhere(String),
}

impl<'a, H: Host> Caches<'a, H> {
    pub(crate) fn new(courier: Courier<'a>, host: &'a H, ids: &'a JobIds) -> Self {
        Self { courier, host, ids, stored: HashMap::new() }
    }

    fn names(&self) -> Names<'a> {
        Names { body: self.courier.body, setup: self.courier.setup }
    }

    /// Where the host keeps it.
    async fn place(&self, key: &str, what: CacheUse) -> Result<CachePlace, CacheUnknown> {
        match timeout(HOST_LIMIT, self.host.cache(self.ids, key, what)).await {
            Ok(place) => place,
            Err(_) => Err(CacheUnknown(format!("it was not known within {} seconds", HOST_LIMIT.as_secs()))),
        }
    }

    fn request_limit(&self) -> Duration {
        let asked = self.courier.setup.number("CACHE_REQUEST_TIMEOUT").filter(|minutes| *minutes > 0);
        Duration::from_secs(60 * u64::from(asked.unwrap_or(REQUEST_MINUTES)))
    }
}

/// The key, and what is to be said about it.
fn aloud(stages: &Stages, made: Made, what: &str) -> Result<String, NoKey> {
    if let Some(warning) = &made.warning {
        stages.log().caution(warning);
    }
    made.key.inspect_err(|why| stages.log().announce(&format!("Skipping cache {what} due to {why}")))
}

/// Says that a request is made again, and waits before.
async fn again(stages: &Stages, why: &str, says: &Says) -> Result<(), Verdict> {
    pause(stages, WAIT).await?;
    says.warn("Retrying...", &[("error", why.to_owned())]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_those_of_gitlab() {
        for (word, pulls, pushes) in
            [("", true, true), ("pull-push", true, true), ("pull", true, false), ("push", false, true)]
        {
            assert_eq!(Policy::new(word), Some(Policy { pulls, pushes }), "{word}");
        }
        assert_eq!(Policy::new("Pull"), None);
    }
}
