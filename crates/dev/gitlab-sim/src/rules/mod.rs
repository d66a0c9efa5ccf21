//! Decisions without state: what GitLab's rules say about values.

pub(crate) mod composite;
pub(crate) mod demands;
pub(crate) mod expand;
pub(crate) mod matching;
pub(crate) mod outcome;
pub(crate) mod progress;
pub(crate) mod range;
pub(crate) mod slug;
