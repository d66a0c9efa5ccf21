//! Lanes: what one kind of launch can serve.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{LaneId, LaunchId};

/// What runs the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Engine {
    /// A Lambda function that runs the job itself.
    Lambda,
    /// A throwaway EC2 instance.
    Ec2,
}

impl Engine {
    /// The name in mapping rows, parameter paths and lane ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lambda => "LAMBDA",
            Self::Ec2 => "EC2",
        }
    }

    /// Reads the name; `None` for anything else, in any other case too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "LAMBDA" => Some(Self::Lambda),
            "EC2" => Some(Self::Ec2),
            _ => None,
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of runner tags, sorted and unique. The empty set is the untagged lane's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagSet(BTreeSet<String>);

/// A tag that cannot be part of a lane.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadTag {
    /// The mapping's sort key separates tags by `#`.
    #[error("tag {0:?} contains '#', which separates tags in a mapping key; rename the runner's tag")]
    Hash(String),
    /// GitLab has no empty tags.
    #[error("an empty tag; write tags# alone for the untagged lane")]
    Empty,
    /// GitLab strips white space around tags and keeps none inside control characters.
    #[error("tag {0:?} has white space around it or a control character in it; GitLab would never match it")]
    Space(String),
}

impl TagSet {
    /// Checks and collects tags.
    ///
    /// # Errors
    /// The first tag that no lane can have.
    pub fn new<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Result<Self, BadTag> {
        tags.into_iter().map(|tag| check_tag(tag.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a runner with these tags may take a job with `job_tags`: GitLab's rule is that the job's tags are a
    /// subset of the runner's. An untagged job is taken by the lanes that run untagged jobs, which is decided by
    /// [`Lane::can_serve`].
    #[must_use]
    pub fn covers(&self, job_tags: &Self) -> bool {
        job_tags.0.is_subset(&self.0)
    }

    /// How many tags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is the untagged set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tags in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The mapping's sort key: `tags#<tag>#<tag>...`, `tags#` for the untagged lane.
    #[must_use]
    pub fn sort_key(&self) -> String {
        let tags: Vec<&str> = self.iter().collect();
        format!("tags#{}", tags.join("#"))
    }

    /// Reads a sort key.
    ///
    /// # Errors
    /// A key without the prefix, or with an empty or spaced tag.
    pub fn from_sort_key(key: &str) -> Result<Self, BadTag> {
        match key.strip_prefix("tags#") {
            None => Err(BadTag::Hash(key.to_owned())),
            Some("") => Ok(Self::default()),
            Some(tags) => Self::new(tags.split('#')),
        }
    }
}

fn check_tag(tag: &str) -> Result<String, BadTag> {
    if tag.is_empty() {
        Err(BadTag::Empty)
    } else if tag.contains('#') {
        Err(BadTag::Hash(tag.to_owned()))
    } else if tag.trim() != tag || tag.chars().any(char::is_control) {
        Err(BadTag::Space(tag.to_owned()))
    } else {
        Ok(tag.to_owned())
    }
}

impl fmt::Display for TagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<&str> = self.iter().collect();
        write!(f, "{{{}}}", tags.join(","))
    }
}

/// A lane: a tag set, an engine and a target. A tag set belongs to exactly one lane, because GitLab hands out jobs by
/// tags alone and the launches of two lanes with equal tags would steal from each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The runner's tags.
    pub tags: TagSet,
    /// What runs the jobs.
    pub engine: Engine,
    /// The function's ARN, or the name of the instance profile row for EC2.
    pub target: String,
    /// Whether the lane's runner takes untagged jobs. True for the untagged lane; a tagged runner may too.
    #[serde(default)]
    pub run_untagged: bool,
}

impl Lane {
    /// The lane's id: the first 16 hex digits of SHA-256 over the engine and the sorted, unique tags, joined by
    /// newlines.
    #[must_use]
    pub fn id(&self) -> LaneId {
        lane_id(self.engine, &self.tags)
    }

    /// Whether a launch of this lane can serve a job with these tags.
    #[must_use]
    pub fn can_serve(&self, job_tags: &TagSet) -> bool {
        if job_tags.is_empty() { self.run_untagged || self.tags.is_empty() } else { self.tags.covers(job_tags) }
    }
}

/// See [`Lane::id`].
#[must_use]
pub fn lane_id(engine: Engine, tags: &TagSet) -> LaneId {
    let mut text = engine.as_str().to_owned();
    for tag in tags.iter() {
        text.push('\n');
        text.push_str(tag);
    }
    LaneId::new(&hex::encode(Sha256::digest(text.as_bytes()))[..16])
}

/// The runner manager's system id that a lane's launches show to GitLab: one per Lambda lane, so that GitLab lists one
/// manager for it whatever it launches (`r_` and twelve characters, GitLab's own format).
#[must_use]
pub fn system_id(lane: &LaneId) -> String {
    format!("r_{}", lane.as_str().chars().take(12).collect::<String>())
}

/// The system id of an instance's runner: one of its launch's own, because its manager's record is removed when it ends.
#[must_use]
pub fn instance_system_id(launch: &LaunchId) -> String {
    format!("r_{}", launch.as_str().trim_start_matches("l-").chars().take(12).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_id_is_the_documented_hash() {
        let tags = TagSet::new(["b", "a", "b"]).unwrap();
        let by_hand = hex::encode(Sha256::digest(b"EC2\na\nb"));
        assert_eq!(lane_id(Engine::Ec2, &tags).as_str(), &by_hand[..16]);
        let untagged = hex::encode(Sha256::digest(b"LAMBDA"));
        assert_eq!(lane_id(Engine::Lambda, &TagSet::default()).as_str(), &untagged[..16]);
    }

    #[test]
    fn an_instance_shows_a_system_id_of_its_own() {
        assert_eq!(system_id(&LaneId::new("0123456789abcdef")), "r_0123456789ab");
        assert_eq!(instance_system_id(&LaunchId::new("l-aaaabbbbccccdddd1111")), "r_aaaabbbbcccc");
    }

    #[test]
    fn sort_keys_survive_and_bad_tags_are_named() {
        for tags in [vec![], vec!["a"], vec!["b", "a"], vec!["tags", "x y"]] {
            let set = TagSet::new(&tags).unwrap();
            assert_eq!(TagSet::from_sort_key(&set.sort_key()).unwrap(), set);
        }
        assert_eq!(TagSet::new(["a#b"]), Err(BadTag::Hash("a#b".into())));
        assert_eq!(TagSet::new([""]), Err(BadTag::Empty));
        assert_eq!(TagSet::new([" a"]), Err(BadTag::Space(" a".into())));
        assert!(TagSet::from_sort_key("a#b").is_err());
        assert!(TagSet::from_sort_key("tags#a##b").is_err());
    }

    #[test]
    fn overlapping_tag_sets_serve_what_they_cover() {
        let lane = |tags: &[&str], run_untagged| Lane {
            tags: TagSet::new(tags).unwrap(),
            engine: Engine::Lambda,
            target: "arn".into(),
            run_untagged,
        };
        let job = |tags: &[&str]| TagSet::new(tags).unwrap();
        assert!(lane(&["a", "b"], false).can_serve(&job(&["a"])));
        assert!(!lane(&["a"], false).can_serve(&job(&["a", "b"])));
        assert!(!lane(&["a"], false).can_serve(&job(&[])));
        assert!(lane(&["a"], true).can_serve(&job(&[])));
        assert!(lane(&[], false).can_serve(&job(&[])));
    }
}
