//! A project's webhook as GitLab shows it, and whether it does its work.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A webhook of a project, as GitLab's hooks API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Where it goes. Parts of it that the owner marked as secret are shown as `{name}`.
    pub url: String,
    /// Whether job events are sent.
    pub job_events: bool,
    /// What GitLab says of its state.
    pub alert: Alert,
    /// Until when nothing is sent, while it is suspended.
    pub disabled_until: Option<Timestamp>,
}

/// GitLab's `alert_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// It is sent.
    Executable,
    /// It failed, and is left out for some time.
    Suspended,
    /// It failed too often: nothing is sent until somebody tests it with success.
    Disabled,
    /// This GitLab does not say, or says a word that this version does not know.
    Unknown,
}

impl Alert {
    /// Reads GitLab's word.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "executable" => Self::Executable,
            "temporarily_disabled" => Self::Suspended,
            "disabled" => Self::Disabled,
            _ => Self::Unknown,
        }
    }
}

/// Whether a project's hook to this stack does its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The project has no hook to this stack. A group's hook is none of the project's.
    Missing,
    /// It has one that sends no job events.
    NoJobEvents,
    /// GitLab switched it off.
    Disabled,
    /// GitLab leaves it out for some time.
    Suspended,
    /// Nobody could say: unknown is not healthy and not broken.
    #[default]
    Unknown,
    /// It is sent.
    Works,
}

impl Health {
    /// Words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Missing => "the project has no webhook to this stack",
            Self::NoJobEvents => "the project's webhook to this stack sends no job events",
            Self::Disabled => "GitLab switched the project's webhook off",
            Self::Suspended => "GitLab leaves the project's webhook out for some time, because it failed",
            Self::Unknown => "the state of the project's webhook is not known",
            Self::Works => "the project's webhook works",
        }
    }
}

/// How the hook to `ours` stands. Of several, the best counts: one that works is enough. `complete` says whether these are
/// all of the project's hooks.
#[must_use]
pub fn health(hooks: &[Hook], complete: bool, ours: &str) -> Health {
    let best = hooks.iter().filter(|hook| same_address(&hook.url, ours)).map(of_one).max();
    // A masked address may be ours, and so may one that was not shown.
    let may_be_hidden = !complete || hooks.iter().any(|hook| hook.url.contains('{'));
    best.unwrap_or(if may_be_hidden { Health::Unknown } else { Health::Missing })
}

fn of_one(hook: &Hook) -> Health {
    match (hook.job_events, hook.alert) {
        (false, _) => Health::NoJobEvents,
        (true, Alert::Executable) => Health::Works,
        (true, Alert::Suspended) => Health::Suspended,
        (true, Alert::Disabled) => Health::Disabled,
        (true, Alert::Unknown) => Health::Unknown,
    }
}

fn same_address(one: &str, other: &str) -> bool {
    let bare = |url: &str| url.trim().trim_end_matches('/').to_ascii_lowercase();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://abc.execute-api.eu-west-1.amazonaws.com/webhook";

    fn hook(url: &str, job_events: bool, alert: &str) -> Hook {
        Hook { url: url.into(), job_events, alert: Alert::parse(alert), disabled_until: None }
    }

    #[test]
    fn each_state_of_our_hook_is_told_apart() {
        for (job_events, alert, expected) in [
            (true, "executable", Health::Works),
            (true, "temporarily_disabled", Health::Suspended),
            (true, "disabled", Health::Disabled),
            (true, "asleep", Health::Unknown),
            (false, "executable", Health::NoJobEvents),
        ] {
            assert_eq!(health(&[hook(OURS, job_events, alert)], true, OURS), expected, "{alert}");
        }
    }

    #[test]
    fn the_best_of_several_counts_and_a_strangers_does_not() {
        let stranger = hook("https://chat.example.com/webhook", true, "executable");
        assert_eq!(health(std::slice::from_ref(&stranger), true, OURS), Health::Missing);
        assert_eq!(health(&[], true, OURS), Health::Missing);
        let slash = format!("{OURS}/");
        let two = [stranger, hook(OURS, true, "disabled"), hook(&slash, true, "executable")];
        assert_eq!(health(&two, true, OURS), Health::Works);
    }

    #[test]
    fn what_was_not_shown_is_not_missing() {
        assert_eq!(health(&[], false, OURS), Health::Unknown, "the list was cut off");
        assert_eq!(health(&[hook("https://{host}/webhook", true, "executable")], true, OURS), Health::Unknown);
    }
}
