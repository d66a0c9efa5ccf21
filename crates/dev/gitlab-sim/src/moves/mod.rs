//! What changes the world: each file one kind of change, all under the lock, none of them waiting.

pub(crate) mod cancel;
pub(crate) mod contact;
pub(crate) mod create;
pub(crate) mod finish;
pub(crate) mod hooks;
pub(crate) mod offer;
pub(crate) mod repeat;
pub(crate) mod resource;
pub(crate) mod timers;
pub(crate) mod trace;
pub(crate) mod transition;
pub(crate) mod update;
