//! What became of a launch.

use runnerless_core::time::Timestamp;
use serde::Serialize;

/// What became of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provisioned {
    /// It has an instance.
    UnderWay {
        /// Which.
        instance: String,
    },
    /// EC2 has none now: the launch is over, and its job waits.
    Held {
        /// Until then.
        until: Timestamp,
        /// What EC2 said.
        reason: String,
    },
    /// EC2 refuses the request as it is: the launch is over, and its job waits a minute.
    Refused(String),
    /// It was not needed any more, and what it had brought is ended.
    Withdrawn(String),
    /// Whether there is an instance shows later: the same is asked again.
    Unsure(String),
    /// Nothing was to be done.
    Nothing(String),
}

/// The function's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `under_way`, `held`, `withdrawn` or `nothing`; what failed is an error instead.
    pub outcome: &'static str,
    /// The instance, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Why.
    pub reason: String,
}

impl From<&Provisioned> for Answer {
    fn from(provisioned: &Provisioned) -> Self {
        let answer = |outcome, reason: &str| Self { outcome, instance: None, reason: reason.to_owned() };
        match provisioned {
            Provisioned::UnderWay { instance } => {
                Self { instance: Some(instance.clone()), ..answer("under_way", "its instance is recorded") }
            }
            Provisioned::Held { reason, .. } => answer("held", reason),
            Provisioned::Refused(reason) => answer("refused", reason),
            Provisioned::Withdrawn(reason) => answer("withdrawn", reason),
            Provisioned::Unsure(reason) => answer("unsure", reason),
            Provisioned::Nothing(reason) => answer("nothing", reason),
        }
    }
}
