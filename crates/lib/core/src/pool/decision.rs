//! What a run of the scaler decided: the memory to store, what to do, and what to tell.

use serde::Serialize;

use super::Memory;
use crate::time::{Millis, Timestamp};

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// To be stored before anything is done.
    pub memory: Memory,
    /// What to do, in this order. A run that neither grows nor retires has exactly one [`Action::Hold`].
    pub actions: Vec<Action>,
    /// What an operator is told, in a fixed order.
    pub findings: Vec<Finding>,
    /// The numbers that it was decided on.
    pub summary: Summary,
}

/// Something to do, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Suspend this process of Auto Scaling, which would end members by itself.
    Suspend {
        /// Auto Scaling's name of it.
        process: &'static str,
    },
    /// Protect these members from scale-in. Auto Scaling takes fifty in a call.
    Protect {
        /// The instances' ids.
        ids: Vec<String>,
    },
    /// Set the desired capacity. Whoever acts looks again first, and leaves a group alone that has as much by now: desired
    /// capacity is never lowered.
    Grow {
        /// The desired capacity that was read.
        from: u32,
        /// The one to set.
        to: u32,
        /// Why.
        reason: Grown,
    },
    /// End one member (`TerminateInstanceInAutoScalingGroup`); its hook lets it finish what it runs.
    Retire {
        /// The instance's id.
        id: String,
        /// Whether the desired capacity goes down with it (`ShouldDecrementDesiredCapacity`). It does not where the group has more
        /// members than it wants, which then launches no other in its place.
        lower_desired: bool,
        /// Why.
        reason: Retired,
    },
    /// Do nothing.
    Hold {
        /// Why.
        reason: Held,
    },
}

/// Why a pool grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grown {
    /// Its jobs need more slots than it has, or has coming.
    Needed {
        /// The slots that are needed.
        need: u64,
        /// The slots that are there or coming.
        slots: u64,
    },
    /// It has fewer members than its minimum.
    Minimum {
        /// The minimum.
        minimum: u32,
    },
    /// It is empty and nobody knows whether jobs wait: one member, so that something can be seen.
    Blind,
}

/// Why a member is retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// In how many good scrapes in a row it was idle.
    pub idle_scrapes: u32,
    /// The slots that are left without it.
    pub slots_left: u64,
    /// The highest need of the window, in slots.
    pub highest_need: u64,
}

/// Why a pool is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// More is needed than the pool may have.
    AtMaximum {
        /// The most members.
        maximum: u32,
        /// The slots that are needed.
        need: u64,
        /// The slots that are there or coming.
        slots: u64,
    },
    /// What is needed beyond what is there is coming.
    Coming {
        /// The slots that are coming.
        slots: u64,
    },
    /// The pool has what it needs, and no whole member more.
    Met {
        /// The slots that are needed.
        need: u64,
        /// The slots that are there.
        slots: u64,
    },
    /// It has members to spare, but fewer would be below its minimum.
    AtMinimum {
        /// The minimum.
        minimum: u32,
    },
    /// It has members to spare, which were needed lately.
    NeededLately {
        /// The highest need of the window, in slots.
        highest_need: u64,
        /// The need now.
        need: u64,
    },
    /// It has members to spare, but what was needed before is not known for long enough.
    Watching {
        /// Since when it is.
        since: Timestamp,
    },
    /// It has members to spare, but none that was idle for long enough.
    NoneIdle {
        /// In how many scrapes a member must be idle.
        idle_scrapes: u32,
    },
    /// It has members to spare, but retiring one could end its jobs.
    NotSafe {
        /// What has to be put right first, see [`Finding::Misconfigured`].
        because: Misconfigured,
    },
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A member's metrics could not be read several times in a row. It is not ended for that.
    Unhealthy {
        /// The instance's id.
        id: String,
        /// How many scrapes failed.
        failures: u32,
        /// Why the last one did.
        why: String,
    },
    /// A member has not told anything in the time that booting may take. It is not waited for any more.
    LateBoot {
        /// The instance's id.
        id: String,
        /// How old it is.
        age: Millis,
    },
    /// Several members are late and none tells: the way to them is closed. The pool grows only for jobs that are known to wait.
    Mute {
        /// How many are late.
        members: u32,
    },
    /// The group has had fewer members than it wants for longer than booting may take: it cannot launch them.
    Short {
        /// How many are missing.
        missing: u32,
        /// Since when.
        since: Timestamp,
    },
    /// The desired capacity is not what the last run left: it was changed by hand, or what that run wanted was not done.
    Changed {
        /// What the last run left.
        left: u32,
        /// What it is.
        found: u32,
    },
    /// A member named for leaving is still in service, after the time that this takes.
    StillHere {
        /// The instance's id.
        id: String,
    },
    /// Nobody knows how many jobs wait: the pool is sized by its members' jobs alone.
    PendingUnknown {
        /// Why.
        why: String,
    },
    /// Jobs wait although members have been idle all the while: they are not for these members, and not grown for.
    NotTaken {
        /// How many.
        jobs: u32,
    },
    /// Something is set so that the pool cannot keep its promise.
    Misconfigured(Misconfigured),
}

/// What is set wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misconfigured {
    /// The group has no hook for members that terminate. Nothing is retired.
    NoHook,
    /// The hook lets a member wait for less than the longest job. Nothing is retired.
    HookTooShort {
        /// The hook's name.
        hook: String,
        /// How long it lets a member wait at most.
        waits: Millis,
        /// How long the longest job may take.
        longest_job: Millis,
    },
    /// New members are not protected from scale-in until the next run.
    NewUnprotected,
    /// Auto Scaling may not launch, or not terminate.
    Suspended {
        /// The process.
        process: &'static str,
    },
    /// The pool's minimum is above its maximum, where the group's own limits are counted in. The maximum holds.
    Bounds {
        /// The minimum.
        minimum: u32,
        /// The maximum.
        maximum: u32,
    },
    /// A member runs another number of jobs at once than the pool expects of a new one.
    Capacity {
        /// The instance's id.
        id: String,
        /// What it told.
        told: u32,
        /// What is expected.
        expected: u32,
    },
    /// Nobody tells how many jobs wait, and the pool keeps no slot free: it sees no need beyond the slots that it has.
    NoSignal,
    /// A member's runner does not say whether it is draining. It is never retired.
    NoProcessState {
        /// The instance's id.
        id: String,
    },
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The desired capacity.
    pub desired: u32,
    /// The fewest members that the pool may have now.
    pub minimum: u32,
    /// The most.
    pub maximum: u32,
    /// Members that tell and take jobs.
    pub serving: u32,
    /// Members that are awaited: launched lately, or still to be launched.
    pub coming: u32,
    /// Members that are not awaited any more.
    pub late: u32,
    /// Members that finish what they run.
    pub leaving: u32,
    /// Members in service of which nothing is known now. They count as busy.
    pub unknown: u32,
    /// Of those, the ones that are reported as unhealthy.
    pub unhealthy: u32,
    /// The slots of members in service, those of the unknown included.
    pub slots: u64,
    /// The slots that are taken, those of the unknown included.
    pub busy: u64,
    /// The jobs that wait; `None` if nobody knows.
    pub pending: Option<u32>,
    /// The slots that are needed.
    pub need: u64,
    /// The most that were in the window.
    pub highest_need: u64,
}
