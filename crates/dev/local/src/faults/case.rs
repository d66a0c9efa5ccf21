//! A case of the table.

use serde::{Deserialize, Serialize};

use super::op::Op;

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name in the output, unlike any other.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub about: String,
    /// What is hit, see [`Op`].
    pub op: String,
    /// The first of the matching calls that is hit, from 1.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many are hit from there on.
    #[serde(default = "one")]
    pub times: u64,
    /// All from there on are hit, until the case ends.
    #[serde(default)]
    pub lasting: bool,
    /// Only calls of this function, by its logical id without `Function`.
    #[serde(default)]
    pub function: Option<String>,
    /// What is done to it.
    #[serde(rename = "do")]
    pub deed: String,
    /// In which part of the launch's life the fault is set.
    pub during: Phase,
    /// On which market the lane's instances start; none: the lane's default.
    #[serde(default)]
    pub market: Option<Market>,
    /// The lane's longest job in seconds.
    #[serde(default)]
    pub timeout_s: Option<u64>,
    /// What is hit besides.
    #[serde(default)]
    pub also: Vec<Fault>,
    /// What must come of it.
    pub expect: Expect,
    /// It is played after all others and by itself: its fault cannot be tied to its own launch.
    #[serde(default)]
    pub alone: bool,
    /// It is over soon: `make test` has it, too.
    #[serde(default)]
    pub quick: bool,
}

/// What is hit, and how. The keys mean what they mean in a [`Case`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What is hit.
    pub op: String,
    /// The first call that is hit.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many are.
    #[serde(default = "one")]
    pub times: u64,
    /// All are, from there on.
    #[serde(default)]
    pub lasting: bool,
    /// Whose calls.
    #[serde(default)]
    pub function: Option<String>,
    /// What is done.
    #[serde(rename = "do")]
    pub deed: String,
}

/// Part of a launch's life: when a fault is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The launch itself: set before the job waits.
    Launch,
    /// The instance's start until the job is bound: set before the job waits.
    Boot,
    /// Set when the script has begun, which waits until the fault has struck.
    Run,
    /// Set when the script has begun, which ends then.
    Stop,
}

impl Phase {
    /// Whether the fault is there before the job waits.
    pub(super) const fn is_early(self) -> bool {
        matches!(self, Self::Launch | Self::Boot)
    }
}

/// On which market instances start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spot, and on demand when spot has no capacity.
    Spot,
    /// On demand at once.
    OnDemand,
}

impl Market {
    /// As a mapping row has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

/// What must come of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How the job stands at the end.
    pub job: Job,
    /// GitLab's reason of a failed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The most launches that may be charged to it.
    pub launches: u64,
    /// Within so many seconds the job has ended, or waits again: counted from its beginning to wait, and for a fault of the
    /// script's time from the fault.
    #[serde(default = "ends")]
    pub ends_s: u64,
    /// After so many seconds nothing of it is left: counted from the job's end in GitLab, and for a job that stays pending
    /// from its cancellation.
    pub bound_s: u64,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// It ran.
    Success,
    /// It ended with [`Expect::reason`].
    Failed,
    /// It still waits, because nothing can run it; the case then cancels it.
    Pending,
}

impl Case {
    /// All that is hit, the case's own fault first.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let own = Fault {
            op: self.op.clone(),
            nth: self.nth,
            times: self.times,
            lasting: self.lasting,
            function: self.function.clone(),
            deed: self.deed.clone(),
        };
        std::iter::once(own).chain(self.also.iter().cloned()).collect()
    }

    /// At which moment the case's own fault meets the launch's instance, if it is one of instances.
    pub(super) fn moment(&self) -> Option<&str> {
        self.op.strip_prefix("instance:")
    }

    /// Whether GitLab's hook about the job's end never arrives.
    pub(super) fn loses_end(&self) -> bool {
        self.faults().iter().any(|fault| fault.op.starts_with("hook:") && fault.deed == "lose")
    }

    /// About how long it may take (s), with what the fault itself takes.
    pub(super) fn longest_s(&self) -> u64 {
        let own = self.deed.split_once(':').and_then(|(_, seconds)| seconds.parse::<u64>().ok()).unwrap_or_default();
        own + self.expect.bound_s + if self.expect.job == Job::Success { 0 } else { self.expect.ends_s }
    }

    /// Says what cannot be carried out, and the cure.
    pub(super) fn check(&self) -> Result<(), String> {
        // It is a job's name, a runner's tag and a part of addresses.
        if self.id.is_empty() || !self.id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return Err("id takes a-z, 0-9 and -, as in fleet-answer-lost".to_owned());
        }
        for fault in self.faults() {
            Op::parse(&fault.op, &fault.deed).map_err(|error| error.to_string())?;
            if fault.nth == 0 || fault.times == 0 {
                return Err("nth and times count from 1".to_owned());
            }
            if fault.lasting && fault.times != 1 {
                return Err("lasting hits all calls; leave times out".to_owned());
            }
        }
        if (self.moment() == Some("script")) == self.during.is_early() && self.moment().is_some() {
            return Err("instance:script is met during run, the moments before during launch or boot".to_owned());
        }
        if self.also.iter().any(|fault| fault.op.starts_with("instance:")) {
            return Err("an instance is met by the case's own op; also takes calls and hooks".to_owned());
        }
        if self.expect.launches == 0 {
            return Err("launches is 0; each of these jobs is charged at least once".to_owned());
        }
        if self.expect.ends_s == 0 {
            return Err("ends_s is 0; say within how many seconds the job ends".to_owned());
        }
        if self.expect.bound_s == 0 {
            return Err("bound_s is 0; say after how many seconds nothing may be left".to_owned());
        }
        match (self.expect.job, &self.expect.reason) {
            (Job::Failed, None) => Err("a failed job has a reason; write GitLab's word for it".to_owned()),
            (Job::Success | Job::Pending, Some(_)) => Err("only a failed job has a reason".to_owned()),
            _ => Ok(()),
        }
    }
}

const fn one() -> u64 {
    1
}

/// A launch that was in vain, the sweep's minute, and another launch.
const fn ends() -> u64 {
    300
}
