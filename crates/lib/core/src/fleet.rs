//! Fleet: what is said to EC2 when an instance is launched, and what it answers.
//!
//! Words of ours, without a type of the SDK: decisions read them, and the adapter of `lib/aws-ec2` speaks them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The tag that names the stack that launched an instance.
pub const STACK_TAG: &str = "runnerless:stack";
/// The tag that names the launch that an instance is for. The instance reads it to learn who it is.
pub const LAUNCH_TAG: &str = "runnerless:launch";
/// The tag that names the lane of the launch.
pub const LANE_TAG: &str = "runnerless:lane";
/// The tag that names an instance's hard end: milliseconds since the epoch.
pub const EXPIRES_TAG: &str = "runnerless:expires";

/// The version of [`FleetRequest`] that this release writes.
pub const REQUEST_VERSION: u8 = 1;

/// The root device of the image. A request that asks for a larger disk names it, because EC2 matches by this name.
pub const ROOT_DEVICE: &str = "/dev/xvda";

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// From what is left over: cheap, and taken back with two minutes' warning.
    Spot,
    /// At the list price, until it is terminated.
    OnDemand,
}

/// Where an instance may come from: one type in one subnet, and so in one availability zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pool {
    /// The instance type.
    pub instance_type: String,
    /// The subnet's id.
    pub subnet: String,
}

/// The request for one instance, frozen in its launch's row before it is sent. Sending it again is safe, because EC2
/// answers the same token with the same instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRequest {
    /// The version of this form, see [`REQUEST_VERSION`].
    pub v: u8,
    /// How the instance is paid for.
    pub market: Market,
    /// The launch template: its id, and its version after a colon (`lt-0abc:7`). Without a version the newest.
    pub launch_template: String,
    /// Where the instance may come from; EC2 chooses.
    pub pools: Vec<Pool>,
    /// The size of the root volume (GiB), if it is not the launch template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<u64>,
    /// The tags of the instance and of what comes with it.
    pub tags: BTreeMap<String, String>,
    /// EC2's client token: hex of SHA-256 over the job's key, the attempt and the market, 64 characters.
    pub token: String,
}

/// What a fault of EC2 calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// There is no such instance at this moment: another market, another pool, or later.
    Capacity,
    /// The account may have no more: others must end first, or AWS raises the quota.
    Quota,
    /// EC2 asks to slow down; nothing was done.
    Throttled,
    /// The request cannot work as it is: somebody must change the stack, the row or the account.
    Configuration,
    /// Anything else.
    Other,
}

/// Why EC2 gave no instance from a pool, or none at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetFault {
    /// EC2's code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// EC2's words.
    pub message: String,
    /// What it calls for.
    pub kind: FaultKind,
}

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is over; EC2 shows it for about an hour.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It is stopped; its volume is kept and paid for.
    Stopped,
}

/// An instance as EC2 shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: InstanceState,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// Its type.
    pub instance_type: String,
    /// Its subnet's id; empty once EC2 took its network away.
    pub subnet: String,
    /// Whether EC2 may take it back.
    pub spot: bool,
    /// The ARN of its instance profile.
    pub profile: Option<String>,
}

/// What came of a request that EC2 answered. Instances count more than the faults beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetAnswer {
    /// The ids of the instances that exist now.
    pub instances: Vec<String>,
    /// Why there are no others.
    pub faults: Vec<FleetFault>,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetOutcome {
    /// EC2 took it, or refused it in words that are known.
    Answer(FleetAnswer),
    /// EC2 had the same token with another request: an instance may exist, and is found by its launch's tag.
    Mismatch,
}

/// Codes that mean that there is no such instance now.
const CAPACITY: [&str; 8] = [
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientReservedInstanceCapacity",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
];

/// Codes that mean that the account may have no more. A pending verification ends by itself, as a full quota does.
const QUOTA: [&str; 8] = [
    "FleetLimitExceeded",
    "InstanceLimitExceeded",
    "MaxIOPSLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "NetworkInterfaceLimitExceeded",
    "PendingVerification",
    "VcpuLimitExceeded",
    "VolumeLimitExceeded",
];

/// Codes by which EC2 asks to slow down.
const THROTTLED: [&str; 6] = [
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Codes that mean that the request cannot work; those that begin with a word of [`CONFIGURATION_WORDS`] beside them.
const CONFIGURATION: [&str; 7] = [
    "AccessDenied",
    "AccessDeniedException",
    "Blocked",
    "OptInRequired",
    "TagLimitExceeded",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// What the codes of requests that cannot work begin with, such as `InvalidParameterValue` and `MissingInput`.
const CONFIGURATION_WORDS: [&str; 5] = ["AuthFailure", "Invalid", "Missing", "Unknown", "Unsupported"];

impl FaultKind {
    /// What EC2's code calls for. Some of its answers put `Client.` or `Server.` before the code.
    ///
    /// The codes are those of EC2's list of error codes (API reference, read in November 2026).
    #[must_use]
    pub fn of_code(code: &str) -> Self {
        let code = code.strip_prefix("Client.").or_else(|| code.strip_prefix("Server.")).unwrap_or(code);
        if CAPACITY.contains(&code) {
            Self::Capacity
        } else if QUOTA.contains(&code) {
            Self::Quota
        } else if THROTTLED.contains(&code) {
            Self::Throttled
        } else if CONFIGURATION.contains(&code) || CONFIGURATION_WORDS.iter().any(|word| code.starts_with(word)) {
            Self::Configuration
        } else {
            Self::Other
        }
    }
}

impl FleetFault {
    /// A fault of this code.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        Self { kind: FaultKind::of_code(&code), code, message: message.into() }
    }
}

impl InstanceState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::ShuttingDown, Self::Terminated, Self::Stopping, Self::Stopped];

    /// Whether nobody has ended it yet.
    #[must_use]
    pub const fn is_there(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }

    /// As EC2 writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// From EC2's word; `None` for one that this release does not know.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == word)
    }
}

impl Instance {
    /// A tag of it.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_with_and_without_their_prefix() {
        for (code, kind) in [
            ("InsufficientInstanceCapacity", FaultKind::Capacity),
            ("Server.InsufficientInstanceCapacity", FaultKind::Capacity),
            ("UnfulfillableCapacity", FaultKind::Capacity),
            ("MaxSpotInstanceCountExceeded", FaultKind::Quota),
            ("VcpuLimitExceeded", FaultKind::Quota),
            ("RequestLimitExceeded", FaultKind::Throttled),
            ("Client.RequestLimitExceeded", FaultKind::Throttled),
            ("InvalidLaunchTemplateId.NotFound", FaultKind::Configuration),
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", FaultKind::Configuration),
            ("Unsupported", FaultKind::Configuration),
            ("UnauthorizedOperation", FaultKind::Configuration),
            ("InternalError", FaultKind::Other),
            ("", FaultKind::Other),
        ] {
            assert_eq!(FaultKind::of_code(code), kind, "{code}");
        }
    }

    #[test]
    fn a_frozen_request_has_one_form() {
        let request = FleetRequest {
            v: REQUEST_VERSION,
            market: Market::OnDemand,
            launch_template: "lt-1:7".into(),
            pools: vec![Pool { instance_type: "c7i.large".into(), subnet: "subnet-a".into() }],
            disk_gb: None,
            tags: BTreeMap::from([(LAUNCH_TAG.to_owned(), "l-1".to_owned())]),
            token: "t".into(),
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"market":"on-demand","launch_template":"lt-1:7","pools":[{"instance_type":"c7i.large","subnet":"subnet-a"}],"tags":{"runnerless:launch":"l-1"},"token":"t"}"#
        );
        assert_eq!(serde_json::from_str::<FleetRequest>(&text).unwrap(), request);
    }

    #[test]
    fn a_state_is_read_as_it_is_written() {
        for state in InstanceState::ALL {
            assert_eq!(InstanceState::parse(state.name()), Some(state));
        }
        assert_eq!(InstanceState::parse("hibernating"), None);
    }
}
