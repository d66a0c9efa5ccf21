//! Caches of jobs: which objects of the stack's bucket a launch may use.
//!
//! A launch may use the caches that its job names, and no others. Its runner names them with the binding, before any line of
//! the job runs, so that what a job finds on its instance later (its launch's nonce) opens nothing that it had not before:
//! above all no cache of protected branches.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::launch::{LaunchRow, LaunchState};
use crate::time::{Millis, Timestamp};

/// Longest key, in bytes. S3 takes 1,024 with what stands before it, and a launch's row holds all of a job's.
pub const KEY_BYTES: usize = 512;
/// Most keys of one job. GitLab takes 4 caches, each with 5 fallback keys, and a variable that names one for all.
pub const MOST_KEYS: usize = 32;
/// Most bytes of all keys together: half of what a word to the stack may have, whatever has to be escaped in it.
pub const MOST_BYTES: usize = 8 * 1024;
/// How long a signed URL may be used. It is asked for right before, S3 looks at it when the transfer begins, and three
/// attempts of ten minutes fit into it.
pub const SIGNED_FOR: Millis = Millis::secs(30 * 60);

/// Why a job's caches are not used where no bucket is configured, for its log.
pub const NOWHERE: &str = "this stack keeps no caches: its operator can name a bucket for them (parameter CacheBucket)";

/// The key of a cache, as it stands in the bucket: relative, and without a part that leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CacheKey(String);

/// A text that is no cache's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cache's key has 1 to 512 bytes, and parts between slashes that are neither empty nor . nor ..")]
pub struct BadKey;

impl CacheKey {
    /// The key, if it is one.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(text: impl Into<String>) -> Result<Self, BadKey> {
        let text = text.into();
        let fits = !text.is_empty() && text.len() <= KEY_BYTES;
        let stays = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if fits && stays { Ok(Self(text)) } else { Err(BadKey) }
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object that holds a project's cache of this key. A runner manager of GitLab's with a shared S3 cache has it at
    /// the same place, so that the members of a pool and our launches have their caches in common.
    #[must_use]
    pub fn object(&self, project: u64) -> String {
        format!("project/{project}/{}", self.0)
    }
}

impl TryFrom<String> for CacheKey {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        Self::new(text)
    }
}

impl From<CacheKey> for String {
    fn from(key: CacheKey) -> Self {
        key.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is done with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// Its files are brought before the script.
    Restore,
    /// The job's files become its next content.
    Save,
}

/// The caches that a job names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCaches {
    /// Keys that may be restored, the fallback keys among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore: Vec<CacheKey>,
    /// Keys that may be saved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub save: Vec<CacheKey>,
}

impl NamedCaches {
    /// Whether the job names none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.restore.is_empty() && self.save.is_empty()
    }

    /// Names one more, unless there are so many that the launch's row would not take it: that cache is done without.
    pub fn add(&mut self, what: CacheUse, key: &CacheKey) {
        let mut more = self.clone();
        let keys = match what {
            CacheUse::Restore => &mut more.restore,
            CacheUse::Save => &mut more.save,
        };
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        if more.fits() {
            *self = more;
        }
    }

    /// Whether there are no more than a launch's row takes.
    #[must_use]
    pub fn fits(&self) -> bool {
        let keys = || self.restore.iter().chain(&self.save);
        keys().count() <= MOST_KEYS && keys().map(|key| key.as_str().len()).sum::<usize>() <= MOST_BYTES
    }

    fn name(&self, what: CacheUse, key: &CacheKey) -> bool {
        match what {
            CacheUse::Restore => self.restore.contains(key),
            CacheUse::Save => self.save.contains(key),
        }
    }
}

/// An object of the bucket that a launch may use until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Its name.
    pub object: String,
    /// How long from now.
    pub valid: Millis,
}

/// Why a launch may not use a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheRefused {
    /// It has no job, or not any more.
    #[error("the launch has no job: it is {0:?}")]
    NotBound(LaunchState),
    /// Its job named no such cache when it was bound.
    #[error("the job named no such cache when it was bound")]
    NotNamed,
}

/// The object of a project's cache, for whoever may use all of that project's.
#[must_use]
pub fn of_project(project: u64, key: &CacheKey) -> Allowed {
    Allowed { object: key.object(project), valid: SIGNED_FOR }
}

/// The object that the launch may use for its job's cache of this key.
///
/// # Errors
/// See [`CacheRefused`].
pub fn allowed(launch: &LaunchRow, what: CacheUse, key: &CacheKey, now: Timestamp) -> Result<Allowed, CacheRefused> {
    let job = launch.bound_job.filter(|_| launch.state == LaunchState::Bound);
    let job = job.ok_or(CacheRefused::NotBound(launch.state))?;
    if !launch.caches.name(what, key) {
        return Err(CacheRefused::NotNamed);
    }
    let left = launch.deadline - now;
    if left <= Millis(0) {
        return Err(CacheRefused::NotBound(launch.state));
    }
    Ok(Allowed { valid: SIGNED_FOR.min(left), ..of_project(job.project, key) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, charged_pair, key};

    fn cache(text: &str) -> CacheKey {
        CacheKey::new(text).unwrap()
    }

    #[test]
    fn a_key_leads_nowhere_else() {
        for good in ["k", "main-protected", "a/b c/ü-non_protected", "...", "a..b", "a\tb", &"x".repeat(KEY_BYTES)] {
            assert_eq!(cache(good).object(7), format!("project/7/{good}"));
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "a/./b", ".", &"x".repeat(KEY_BYTES + 1)] {
            assert_eq!(CacheKey::new(bad), Err(BadKey), "{bad:?}");
            assert!(serde_json::from_value::<CacheKey>(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_job_names_each_key_once_and_no_more_than_fit() {
        let mut named = NamedCaches::default();
        for _ in 0..2 {
            named.add(CacheUse::Restore, &cache("a"));
            named.add(CacheUse::Save, &cache("a"));
        }
        assert_eq!(named, NamedCaches { restore: vec![cache("a")], save: vec![cache("a")] });
        (0..MOST_KEYS).for_each(|n| named.add(CacheUse::Restore, &cache(&n.to_string())));
        assert_eq!((named.restore.len(), named.save.len(), named.fits()), (MOST_KEYS - 1, 1, true));
        let mut long = NamedCaches::default();
        let key = |n: usize| cache(&format!("{n:0width$}", width = KEY_BYTES));
        (0..MOST_KEYS).for_each(|n| long.add(CacheUse::Save, &key(n)));
        assert_eq!(long.save.len(), MOST_BYTES / KEY_BYTES);
        long.save.push(key(99));
        assert!(!long.fits());
    }

    #[test]
    fn a_launch_may_use_what_its_job_named_while_it_has_it() {
        let (_, mut launch) = charged_pair(1, "l-1");
        launch.caches = NamedCaches { restore: vec![cache("a"), cache("b")], save: vec![cache("a")] };
        launch.deadline = T0 + Millis::secs(3600);
        let ask = |launch: &LaunchRow, what, name: &str, now| allowed(launch, what, &cache(name), now);
        assert_eq!(
            ask(&launch, CacheUse::Restore, "a", T0),
            Err(CacheRefused::NotBound(LaunchState::Charged)),
            "not bound yet"
        );
        (launch.state, launch.bound_job) = (LaunchState::Bound, Some(key(2)));
        let object = format!("project/{}/a", key(2).project);
        let all = Allowed { object: object.clone(), valid: SIGNED_FOR };
        assert_eq!(ask(&launch, CacheUse::Restore, "a", T0), Ok(all.clone()));
        assert_eq!(ask(&launch, CacheUse::Save, "a", T0), Ok(all));
        assert!(ask(&launch, CacheUse::Restore, "b", T0).is_ok());
        assert_eq!(ask(&launch, CacheUse::Save, "b", T0), Err(CacheRefused::NotNamed), "a fallback key is only read");
        assert_eq!(ask(&launch, CacheUse::Save, "a-protected", T0), Err(CacheRefused::NotNamed));
        let late = T0 + Millis::secs(3590);
        assert_eq!(ask(&launch, CacheUse::Save, "a", late), Ok(Allowed { object, valid: Millis::secs(10) }));
        assert!(ask(&launch, CacheUse::Save, "a", T0 + Millis::secs(3600)).is_err(), "its time is over");
        launch.state = LaunchState::Closing;
        assert_eq!(ask(&launch, CacheUse::Save, "a", T0), Err(CacheRefused::NotBound(LaunchState::Closing)));
    }
}
