//! The caches that a job names, read from the job alone.

use runnerless_core::cache::{CacheKey, CacheUse, NamedCaches};
use runnerless_gitlab::protocol::{CacheEntry, JobBody};

use super::Policy;
use super::key::{self, Made};
use crate::job::Setup;
use crate::verdict::Verdict;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) body: &'a JobBody,
    pub(super) setup: &'a Setup,
}

/// A key that a cache is looked for under, should there be none of its own.
#[derive(Debug)]
pub(super) enum Fallback {
    Key(Made),
    /// The one of `CACHE_FALLBACK_KEY`, which may not name a protected branch's.
    Protected(String),
}

/// What a host records of the job's caches before any line of the job runs.
pub(crate) fn named(body: &JobBody, setup: &Setup) -> NamedCaches {
    let names = Names { body, setup };
    let mut named = NamedCaches::default();
    let mut add = |what, key: Result<String, _>| {
        if let Some(key) = key.ok().and_then(|key| CacheKey::new(key).ok()) {
            named.add(what, &key);
        }
    };
    for entry in names.entries() {
        let Some(policy) = Policy::new(&names.expanded(&entry.policy)) else { continue };
        if policy.pushes {
            add(CacheUse::Save, names.key(&entry.key).key);
        }
        if policy.pulls {
            add(CacheUse::Restore, names.key(&entry.key).key);
            for fallback in names.fallbacks(entry) {
                if let Fallback::Key(made) = fallback {
                    add(CacheUse::Restore, made.key);
                }
            }
        }
    }
    named
}

impl<'a> Names<'a> {
    /// The caches that say of what they are made; one that does not is passed over.
    pub(super) fn entries(self) -> impl Iterator<Item = &'a CacheEntry> {
        self.body.cache.iter().filter(|entry| !entry.paths.is_empty() || entry.untracked)
    }

    /// A text of the job with its variables filled in.
    pub(super) fn expanded(self, text: &str) -> String {
        self.setup.variables.expand_text(text, |key| self.setup.places.file_variable(key))
    }

    /// The key of a cache, or one that is to be looked for in its place.
    pub(super) fn key(self, named: &str) -> Made {
        match named {
            "" => key::make(&key::default_key(&self.body.job_info.name, &self.body.git_info.ref_name)),
            named => key::make(&self.expanded(named)),
        }
    }

    /// What is to be done with a cache. Another word than GitLab's fails the job.
    pub(super) fn policy(self, entry: &CacheEntry, key: &str) -> Result<Policy, Verdict> {
        let word = self.expanded(&entry.policy);
        Policy::new(&word).ok_or_else(|| Verdict::System(format!("unknown cache policy {word} for {key}")))
    }

    /// The keys after a cache's own, in the order in which they are looked for.
    pub(super) fn fallbacks(self, entry: &CacheEntry) -> Vec<Fallback> {
        let named = entry.fallback_keys.iter().map(|key| self.expanded(key)).filter(|key| !key.is_empty());
        let mut keys: Vec<Fallback> = named.map(|key| Fallback::Key(key::make(&key))).collect();
        let last = self.setup.variables.get("CACHE_FALLBACK_KEY").filter(|key| !key.is_empty());
        keys.extend(last.map(|last| match self.key(last) {
            Made { key: Ok(key), .. } if key::is_protected(&key) => Fallback::Protected(key),
            made => Fallback::Key(made),
        }));
        keys
    }
}
