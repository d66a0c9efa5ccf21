//! Web hooks as GitLab sends them: the message, its signature, the sending.

pub(crate) mod deliver;
pub(crate) mod payload;
pub(crate) mod signature;
