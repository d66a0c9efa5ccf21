//! The pool's group as an operator sees it, and what he does to it: through the witness, as the emulator's root.

use crate::aws::{AUTO_SCALING, Aws};
use crate::http::HttpError;
use crate::instances::Element;

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) protected: bool,
}

/// The group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) desired: u32,
    pub(super) members: Vec<Member>,
    pub(super) suspended: Vec<String>,
}

impl Group {
    /// The ids of those that are in service.
    pub(super) fn in_service(&self) -> Vec<&str> {
        let in_service = self.members.iter().filter(|member| member.state == "InService");
        in_service.map(|member| member.id.as_str()).collect()
    }
}

/// An operator's hand.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    aws: Aws,
}

impl Hand {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { aws: Aws::new(endpoint) }
    }

    /// The group of this name; none when it is not there.
    pub(super) async fn group(&self, name: &str) -> Result<Option<Group>, HttpError> {
        let answer = self.call("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", name)]).await?;
        let answer = Element::parse(&answer).unwrap_or_default();
        let result = answer.child("DescribeAutoScalingGroupsResult").cloned().unwrap_or_default();
        let member = |shown: &Element| {
            let text = |name: &str| shown.text_at(&[name]).unwrap_or_default().to_owned();
            let protected = text("ProtectedFromScaleIn") == "true";
            Member { id: text("InstanceId"), state: text("LifecycleState"), protected }
        };
        let group = |shown: &Element| Group {
            desired: shown.text_at(&["DesiredCapacity"]).and_then(|text| text.parse().ok()).unwrap_or_default(),
            members: shown.list("Instances").map(member).collect(),
            suspended: shown
                .list("SuspendedProcesses")
                .filter_map(|process| process.text_at(&["ProcessName"]).map(str::to_owned))
                .collect(),
        };
        Ok(result.list("AutoScalingGroups").next().map(group))
    }

    /// Wants so many members.
    pub(super) async fn set_desired(&self, name: &str, desired: u32) -> Result<(), HttpError> {
        let desired = desired.to_string();
        let parameters = [("AutoScalingGroupName", name), ("DesiredCapacity", &desired)];
        self.call("SetDesiredCapacity", &parameters).await.map(drop)
    }

    /// Ends a member, which is not replaced.
    pub(super) async fn end(&self, instance: &str) -> Result<(), HttpError> {
        let parameters = [("InstanceId", instance), ("ShouldDecrementDesiredCapacity", "true")];
        self.call("TerminateInstanceInAutoScalingGroup", &parameters).await.map(drop)
    }

    /// Any other call.
    pub(super) async fn call(&self, operation: &str, parameters: &[(&str, &str)]) -> Result<String, HttpError> {
        self.aws.query(AUTO_SCALING, operation, parameters).await
    }
}
