//! How long a job may wait: what it takes without trouble, and what each trouble that hit it may add.
//!
//! What counts is the last launch that the job was given, where GitLab gave its own to another job: such a job can be passed over again
//! and again, as long as others come.
//!
//! `30 s + 145 s for each time that another job took its launch + what the troubles cost that hit it, its lane or everybody
//! while it waited`. A launch that comes to nothing costs up to 400 s: its lease, a sweep, the wait for the next attempt. The
//! second such one within one wait may be the job's third fruitless one, and make it unserved for an hour.

use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};

use super::{Met, Whom};
use crate::fault::{Delay, Fault};
use crate::setup::{Knowledge, LONGEST_OUTAGE};

/// Hook, ingest, bus, router, a cold start, the runner's first asks.
const UNTROUBLED: Millis = Millis::secs(30);
/// A job that nobody told us of is found by its project's listing, within its stated bound.
const LISTED: Millis = Millis(limits::VISIT_QUIET.0 + limits::LISTING_SLACK.0 + limits::HOOK_GRACE.0 + 60_000);
/// Or by a sentinel: ten minutes to the next, ten more where its lane's token is to be verified first, and the sweep.
const SENTINEL: Millis = Millis(600_000 + limits::VERIFY_RETRY.0 + 120_000);
/// One sentinel takes one job: the next is sent by a sweep.
const SENTINEL_AGAIN: Millis = Millis::secs(130);

/// What a lost hook may cost a job, while `lost` hooks were lost in all.
pub(super) fn unseen(knowledge: Knowledge, lost: i64) -> Millis {
    match knowledge {
        Knowledge::Token => LISTED,
        Knowledge::Sentinels => Millis(SENTINEL.0 + lost * SENTINEL_AGAIN.0),
        Knowledge::Hooks => Millis(0),
    }
}

/// Another job took the launch, and keeps it or was cancelled before it could be bound (an instance has forgotten its lane's
/// token by then, and cannot ask for another): a sweep, and a launch. What it is given instead may be a launch that has asked
/// for the last time, or one of another lane whose token GitLab refuses, and then the sweep after the next attempt's pause is
/// one more.
const STOLEN: Millis = Millis::secs(145);
/// An instance is asked for, starts, boots and begins, which a function does within the thirty seconds.
const BOOT: Millis = Millis::secs(60);
/// A launch of a function that comes to nothing: its lease, a sweep, the wait for the next attempt, a sweep.
const IN_VAIN: Millis = Millis::secs(400);
/// A launch of an instance that does: the time for its boot, a sweep, the wait for the next attempt, a sweep, and the next
/// boot.
const BOOT_IN_VAIN: Millis = Millis(limits::EC2_BOOT.0 + limits::RETRY_BACKOFF[1].0 + 120_000 + BOOT.0);

/// A launch whose process died while GitLab was asked for its runner: until nobody can be at it any more, the wait for the next
/// launch, and a sweep.
const ENROLLING_IN_VAIN: Millis = Millis(limits::RUNNER_ANSWER.0 + limits::TROUBLE_RETRY.0 + 60_000);

/// What the troubles may have cost, and the one that cost most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) length: Millis,
    pub(super) cause: Option<Fault>,
}

/// What some troubles may cost one job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// A lost hook.
    pub(super) unseen: Millis,
    /// Whether a launch that finds a service out of reach is one of its attempts: a function in another language can only
    /// say that it failed.
    pub(super) outages_count: bool,
    /// Whether its launch may be an instance: its lane's own, or one of another lane that can have it as well.
    pub(super) instances: bool,
    /// Whether its launch may need a runner of its own.
    pub(super) own_runners: bool,
}

impl Costs {
    /// What it costs that another job took its launch.
    pub(super) const fn stolen(self) -> Millis {
        Millis(STOLEN.0 + self.boot().0)
    }

    /// What a launch takes that nothing troubles.
    pub(super) const fn untroubled(self) -> Millis {
        Millis(UNTROUBLED.0 + self.boot().0)
    }

    const fn boot(self) -> Millis {
        if self.instances { BOOT } else { Millis(0) }
    }

    /// What a look of the sweep more costs.
    const fn sweep(self) -> Millis {
        let enrolling = if self.own_runners { ENROLLING_IN_VAIN.0 } else { 0 };
        Millis(150_000 + self.boot().0 + enrolling)
    }

    const fn in_vain(self) -> Millis {
        if self.instances { BOOT_IN_VAIN } else { IN_VAIN }
    }
}

/// What a job may wait that began to wait at `since`, until `until`. `hits` tells whether a trouble hit it.
pub(super) fn allowance(
    met: &[Met],
    (since, until): (Timestamp, Timestamp),
    costs: Costs,
    hits: impl Fn(&Whom) -> bool,
) -> Allowance {
    // A process that was troubled shortly before the wait began may be the one that serves it.
    let from = since - limits::START_LEASE;
    // What troubled a launch before it was handed on, such as a slow boot, comes with it.
    let is_near = |met: &&Met| met.at >= from || matches!(met.whom, Whom::Launch(_));
    let within = met.iter().take_while(|met| met.at <= until).filter(is_near).filter(|met| hits(&met.whom));
    let (mut length, mut worst, mut in_vain) = (costs.untroubled(), None, 0);
    for met in within {
        let cost = match met.fault.delay() {
            Delay::Nothing | Delay::Pool => Millis(0),
            Delay::Seconds => Millis::secs(15),
            Delay::Sweep => costs.sweep(),
            Delay::Launch | Delay::Boot | Delay::GitLab => {
                in_vain += 1;
                let again = if in_vain < 2 { Millis(0) } else { limits::UNSERVED_RETRY };
                Millis(again.0 + costs.in_vain().0)
            }
            Delay::Outage if costs.outages_count => Millis(LONGEST_OUTAGE.0 + limits::UNSERVED_RETRY.0 + IN_VAIN.0),
            Delay::Outage => Millis(LONGEST_OUTAGE.0 + costs.in_vain().0),
            Delay::Hook => Millis::minutes(11),
            Delay::Unseen => costs.unseen,
        };
        length = Millis(length.0 + cost.0);
        if worst.is_none_or(|(most, _)| cost > most) && cost.0 > 0 {
            worst = Some((cost, met.fault));
        }
    }
    Allowance { length, cause: worst.map(|(_, fault)| fault) }
}
