//! A case of the table.

use serde::Deserialize;

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
    /// The lane's longest job in seconds, for cases that wait for the launch's hard end.
    #[serde(default)]
    pub timeout_s: Option<u64>,
    /// What is hit besides.
    #[serde(default)]
    pub also: Vec<Fault>,
    /// What must come of it.
    pub expect: Expect,
    /// Only when it is asked for: it waits for minutes.
    #[serde(default)]
    pub slow: bool,
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

/// Part of a launch's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// From the charge until the instance is recorded.
    Launch,
    /// From then until the job is bound.
    Boot,
    /// Until the job has ended.
    Run,
    /// Until nothing is left.
    Stop,
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

/// What must come of a case.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How the job stands at the end.
    pub job: Job,
    /// GitLab's reason of a failed job.
    #[serde(default)]
    pub reason: Option<String>,
    /// The most launches that may be charged to it.
    pub launches: u64,
    /// After so many seconds nothing of it is left: counted from the job's end in GitLab, and for a job that stays pending
    /// from its cancellation.
    pub bound_s: u64,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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

    /// Says what cannot be carried out, and the cure.
    pub(super) fn check(&self) -> Result<(), String> {
        for fault in self.faults() {
            Op::parse(&fault.op, &fault.deed).map_err(|error| error.to_string())?;
            if fault.nth == 0 || fault.times == 0 {
                return Err("nth and times count from 1".to_owned());
            }
        }
        if self.expect.launches == 0 {
            return Err("launches is 0; each of these jobs is charged at least once".to_owned());
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
