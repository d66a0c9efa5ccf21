//! The Auto Scaling group as it is.

use crate::time::{Millis, Timestamp};

/// The process of Auto Scaling that ends members to even out zones. It must be suspended: it asks nobody for their jobs.
pub const REBALANCE: &str = "AZRebalance";

/// An Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `MinSize`.
    pub minimum: u32,
    /// `MaxSize`.
    pub maximum: u32,
    /// `DesiredCapacity`.
    pub desired: u32,
    /// Whether new members are protected from scale-in (`NewInstancesProtectedFromScaleIn`).
    pub protects_new_members: bool,
    /// The suspended processes, by Auto Scaling's names.
    pub suspended: Vec<String>,
    /// The hook for members that terminate; of several, the one with the shortest heartbeat.
    pub hook: Option<Hook>,
    /// Its members, those that leave included.
    pub members: Vec<Member>,
}

impl Group {
    /// Whether this process of Auto Scaling is suspended.
    #[must_use]
    pub fn suspends(&self, process: &str) -> bool {
        self.suspended.iter().any(|name| name == process)
    }
}

/// A lifecycle hook of the transition `autoscaling:EC2_INSTANCE_TERMINATING`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// How long it waits for a sign of life (`HeartbeatTimeout`).
    pub heartbeat: Millis,
    /// What happens when none comes: `CONTINUE` or `ABANDON`.
    pub default_result: String,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The instance's id.
    pub id: String,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// When EC2 launched it, if that is known.
    pub launched_at: Option<Timestamp>,
}

/// Where a member stands, from Auto Scaling's `LifecycleState`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `Pending`, and the states of a launching hook.
    Booting,
    /// `InService`.
    InService,
    /// `Terminating`, and the states of a terminating hook.
    Leaving,
    /// Any other: standby, a warm pool's, or one that AWS adds. Neither capacity nor ever retired.
    Other(String),
}

impl Phase {
    /// Reads `LifecycleState`. AWS adds states, so the unknown is [`Phase::Other`].
    #[must_use]
    pub fn of(state: &str) -> Self {
        match state.split(':').next() {
            Some("Pending") => Self::Booting,
            Some("InService") => Self::InService,
            Some("Terminating" | "Terminated") => Self::Leaving,
            _ => Self::Other(state.to_owned()),
        }
    }

    /// Whether the group counts such a member towards its desired capacity.
    #[must_use]
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Booting | Self::InService)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_tomorrow_are_neither_in_service_nor_leaving() {
        for (state, phase) in [
            ("Pending", Phase::Booting),
            ("Pending:Wait", Phase::Booting),
            ("Pending:Proceed", Phase::Booting),
            ("InService", Phase::InService),
            ("Terminating", Phase::Leaving),
            ("Terminating:Wait", Phase::Leaving),
            ("Terminating:Retained", Phase::Leaving),
            ("Terminated", Phase::Leaving),
        ] {
            assert_eq!(Phase::of(state), phase, "{state}");
        }
        for state in ["Standby", "EnteringStandby", "Warmed:Pending:Wait", "Quarantined", "Detached", "InServices", ""]
        {
            assert_eq!(Phase::of(state), Phase::Other(state.to_owned()));
            assert!(!Phase::of(state).counts());
        }
    }
}
