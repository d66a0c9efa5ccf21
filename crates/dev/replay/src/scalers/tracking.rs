//! Target tracking on the average CPU.
//!
//! The policy has the two alarms that AWS makes for one, on a metric of one minute: the high one wants three of three datapoints above the
//! target, the low one fifteen of fifteen below nine tenths of it. The rest is the user guide's of EC2 Auto Scaling ("Target tracking
//! scaling policies", "Set the default instance warmup", "Termination policies"): growth is in proportion to the metric; members that
//! warm up, for 300 s by default, count neither in the metric nor in what it is in proportion to; nothing is removed while
//! members warm up, and what is removed is rounded in favour of what stays. The group chooses whom it ends, and nothing waits
//! for jobs: that is what a group with a policy and nothing else does.
//!
//! What is left open is in the rival's favour: CloudWatch has each datapoint at the minute's end, alarms act at once, and a job uses
//! all of its slot's share of the processor, which makes CPU a perfect signal.

use std::collections::{BTreeMap, VecDeque};

use runnerless_core::time::{Millis, Timestamp};

use super::Scaler;
use crate::pool::{Pool, State};

/// Datapoints that the high alarm wants.
const HIGH: usize = 3;
/// Datapoints that the low alarm wants.
const LOW: usize = 15;
/// How long a member warms up: the default of a policy without a value of its own.
const WARM_UP: Millis = Millis::secs(300);

/// The policy.
#[derive(Clone, Debug)]
pub struct Tracking {
    /// The target, in percent.
    target: i64,
    /// Each minute's average, in thousandths, the latest last.
    metric: VecDeque<i64>,
    /// The slots' time of each member until the last minute.
    busy: BTreeMap<String, Millis>,
}

impl Tracking {
    /// A policy with this target, in percent.
    #[must_use]
    pub fn new(target: u32) -> Self {
        Self { target: i64::from(target.max(1)), metric: VecDeque::new(), busy: BTreeMap::new() }
    }

    /// The average over the members that are warm, of the minute that is over; `None` if there are none.
    fn measure(&mut self, pool: &Pool) -> Option<i64> {
        let warm = pool
            .members
            .iter()
            .filter(|member| member.state == State::Member && is_warm(member.in_service_at, pool.now()));
        let (mut used, mut members) = (0, 0);
        let mut busy = BTreeMap::new();
        for member in warm {
            let slots = i64::from(member.slots.max(1));
            if let Some(before) = self.busy.get(&member.id) {
                used += (member.busy - *before).0 / slots;
                members += 1;
            }
            busy.insert(member.id.clone(), member.busy);
        }
        self.busy = busy;
        (members > 0).then(|| used * 1000 / (members * 60_000))
    }
}

impl Scaler for Tracking {
    fn run(&mut self, pool: &mut Pool) {
        let Some(now) = self.measure(pool) else { return };
        self.metric.push_back(now);
        if self.metric.len() > LOW {
            self.metric.pop_front();
        }
        let target = self.target * 10;
        let last = |count: usize| self.metric.iter().rev().take(count);
        let high = self.metric.len() >= HIGH && last(HIGH).all(|metric| *metric > target);
        let low = self.metric.len() >= LOW && last(LOW).all(|metric| *metric < target * 9 / 10);
        let members: Vec<_> = pool.members.iter().filter(|member| member.state == State::Member).collect();
        let warm = members.iter().filter(|member| is_warm(member.in_service_at, pool.now())).count();
        let all_are_warm = warm == members.len();
        // In proportion: so many that the same work would be the target.
        let wanted = (i64::try_from(warm).unwrap_or(i64::MAX).saturating_mul(now) + target - 1) / target;
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(pool.shape.minimum, pool.shape.maximum);
        let changes = (high && wanted > pool.desired) || (low && all_are_warm && wanted < pool.desired);
        if changes {
            pool.set_desired(wanted).expect("it is between the group's limits");
        }
    }
}

fn is_warm(in_service_at: Timestamp, now: Timestamp) -> bool {
    now >= in_service_at + WARM_UP
}
