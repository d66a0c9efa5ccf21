//! A decision's reasons and findings in words, for the log.

use std::fmt;

use super::{Action, Finding, Grown, Held, Misconfigured, Retired};

impl fmt::Display for Grown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed { need, slots } => write!(f, "{need} slots are needed, {slots} are there or coming"),
            Self::Minimum { minimum } => write!(f, "the minimum is {minimum}"),
            Self::Blind => write!(f, "it is empty, and nobody knows whether jobs wait"),
        }
    }
}

impl fmt::Display for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { idle_scrapes, slots_left, highest_need } = self;
        write!(f, "idle in {idle_scrapes} scrapes; {slots_left} slots are left, {highest_need} were needed lately")
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMaximum { maximum, need, slots } => {
                write!(f, "the maximum is {maximum}; {need} slots are needed, {slots} are there or coming")
            }
            Self::Coming { slots } => write!(f, "{slots} slots are coming"),
            Self::Met { need, slots } => write!(f, "{need} slots are needed, {slots} are there"),
            Self::AtMinimum { minimum } => write!(f, "members are to spare, and the minimum is {minimum}"),
            Self::NeededLately { highest_need, need } => {
                write!(f, "{need} slots are needed, and {highest_need} were lately")
            }
            Self::Watching { since } => write!(f, "what was needed is known since {} only", since.0),
            Self::NoneIdle { idle_scrapes } => {
                write!(f, "members are to spare, and none was idle in {idle_scrapes} scrapes")
            }
            Self::NotSafe { because } => write!(f, "members are to spare, and none may be retired: {because}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspend { process } => write!(f, "suspend {process}: it ends members, whatever they run"),
            Self::Protect { ids } => write!(f, "protect {}: the group would choose them", ids.join(", ")),
            Self::Grow { from, to, reason } => write!(f, "grow from {from} to {to}: {reason}"),
            Self::Retire { id, reason, .. } => write!(f, "retire {id}: {reason}"),
            Self::Hold { reason } => write!(f, "hold: {reason}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy { id, failures, why } => write!(f, "{id}: {failures} scrapes in a row failed: {why}"),
            Self::LateBoot { id, age } => write!(f, "{id}: nothing was told in {} s since its launch", age.0 / 1000),
            Self::Mute { members } => {
                write!(f, "none of {members} members ever told anything: look at their port and security group")
            }
            Self::Short { missing, since } => write!(f, "{missing} members are missing since {}", since.0),
            Self::Changed { left, found } => {
                write!(f, "desired capacity was left at {left} and is {found}: changed by hand, or an action failed")
            }
            Self::StillHere { id } => write!(f, "{id}: it was named for leaving and is still in service"),
            Self::PendingUnknown { why } => write!(f, "nobody knows how many jobs wait: {why}"),
            Self::NotTaken { jobs } => write!(f, "{jobs} jobs wait beside idle members, which do not take them"),
            Self::Misconfigured(what) => write!(f, "{what}"),
        }
    }
}

impl Misconfigured {
    /// What to do about it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::NoHook => "add a lifecycle hook for autoscaling:EC2_INSTANCE_TERMINATING, and runnerless-member",
            Self::HookTooShort { .. } => "raise the hook's heartbeat to a hundredth of the longest job (48 h in all)",
            Self::NewUnprotected => "switch on the group's NewInstancesProtectedFromScaleIn",
            Self::Suspended { .. } => "resume the process",
            Self::Bounds { .. } => "make the pool's and the group's limits overlap",
            Self::Capacity { .. } => "set the pool's slots to `concurrent` of the members' config.toml",
            Self::NoSignal => "give the scaler an API token, or set a headroom or a target utilisation below 100",
            Self::NoProcessState { .. } => "use a gitlab-runner that has gitlab_runner_process_state_info",
        }
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHook => write!(f, "the group has no terminating lifecycle hook")?,
            Self::HookTooShort { hook, waits, longest_job } => {
                let (waits, job) = (waits.0 / 1000, longest_job.0 / 1000);
                write!(f, "the hook {hook} waits for {waits} s, and a job may take {job} s")?;
            }
            Self::NewUnprotected => write!(f, "new members are not protected from scale-in")?,
            Self::Suspended { process } => write!(f, "{process} is suspended")?,
            Self::Bounds { minimum, maximum } => write!(f, "the minimum {minimum} is above the maximum {maximum}")?,
            Self::Capacity { id, told, expected } => write!(f, "{id} runs {told} jobs at once, not {expected}")?,
            Self::NoSignal => write!(f, "nobody tells how many jobs wait, and no slot is kept free")?,
            Self::NoProcessState { id } => write!(f, "{id} does not say whether it is draining")?,
        }
        write!(f, "; {}", self.cure())
    }
}
