//! Webhooks: from a body that was proved to be GitLab's to a core event.
//!
//! GitLab's wire says `build` where we say job; the word stops here. A body may come from any GitLab of the last years
//! and may have more fields than we know. What others control in it is text: it is kept up to a length, matched and
//! shown, never interpreted. A URL in a body gives a project's path and never a host.

mod event;
mod field;
mod instance;

pub use event::{BadPayload, Event, read};
pub use field::Wrong;
pub(crate) use field::time;
pub use instance::{BadInstance, Instance};
