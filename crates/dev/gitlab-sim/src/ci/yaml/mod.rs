//! YAML as GitLab reads it: Ruby's Psych, which is YAML 1.1 for plain scalars.
//!
//! A key that stands twice keeps its first place and its last value, as in Psych; `<<` takes the keys of a map at its
//! own place, so keys above it are overridden and keys below it override. Only the tags of YAML's core types are read.

mod compose;
mod scalar;
mod value;

pub(super) use compose::load;
pub(super) use value::{Map, Value};
