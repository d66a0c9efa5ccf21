//! Frozen: the requests that start an instance, as its launch's row keeps them.
//!
//! They are made whole when the launch is charged, the next market's too: what is sent later depends on nothing that may
//! have changed meanwhile, not even on the job, because a launch can be given to another one. Their tokens name the job and
//! its attempt that the launch was charged as, so that no two launches share one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fleet::{EXPIRES_TAG, FleetRequest, LANE_TAG, LAUNCH_TAG, Market, Pool, REQUEST_VERSION, STACK_TAG};
use crate::id::{JobKey, LaunchId};
use crate::job::JobRow;
use crate::lane::Lane;
use crate::route::{BadTarget, Size};
use crate::time::Timestamp;

/// The most pools of one request: EC2 takes three hundred overrides.
pub const MOST_POOLS: usize = 300;

/// What this stack launches instances from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The stack's name, for the tag.
    pub stack: String,
    /// The launch template, with its version.
    pub launch_template: String,
    /// The subnets, one at least.
    pub subnets: Vec<String>,
    /// The market of rows that name none.
    pub market: Market,
    /// The instance types of rows that name none, one at least.
    pub instance_types: Vec<String>,
}

/// The requests of one launch, in the order in which they are tried; never none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<FleetRequest>", into = "Vec<FleetRequest>")]
pub struct FrozenFleet {
    first: FleetRequest,
    later: Vec<FleetRequest>,
}

/// A list without a request.
#[derive(Debug, thiserror::Error)]
#[error("no request is left")]
pub struct NoRequest;

impl TryFrom<Vec<FleetRequest>> for FrozenFleet {
    type Error = NoRequest;

    fn try_from(mut all: Vec<FleetRequest>) -> Result<Self, NoRequest> {
        if all.is_empty() {
            return Err(NoRequest);
        }
        let later = all.split_off(1);
        all.pop().map(|first| Self { first, later }).ok_or(NoRequest)
    }
}

impl From<FrozenFleet> for Vec<FleetRequest> {
    fn from(frozen: FrozenFleet) -> Self {
        std::iter::once(frozen.first).chain(frozen.later).collect()
    }
}

impl FrozenFleet {
    /// Reads what a row keeps.
    ///
    /// # Errors
    /// It is of another release, or no such text.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// As the row keeps it.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("requests have text keys only"))
    }

    /// The request that is to be sent.
    #[must_use]
    pub const fn next(&self) -> &FleetRequest {
        &self.first
    }

    /// What is left when EC2 has nothing for the first.
    #[must_use]
    pub fn rest(&self) -> Option<Self> {
        Self::try_from(self.later.clone()).ok()
    }
}

impl Ground {
    /// Freezes the requests for an instance of `lane` that is charged to `job` as its next attempt, and has to be gone at
    /// `expires`. A job that GitLab retries goes on demand at once: what was taken back once may be taken back again.
    ///
    /// # Errors
    /// The lane's target does not say which instances it means.
    pub fn freeze(
        &self,
        lane: &Lane,
        job: &JobRow,
        launch: &LaunchId,
        expires: Timestamp,
    ) -> Result<FrozenFleet, BadTarget> {
        let size = Size::of_target(&lane.target)?;
        let types = if size.instance_types.is_empty() { &self.instance_types } else { &size.instance_types };
        let pools = |subnet: &String| {
            let of_type =
                |instance_type: &String| Pool { instance_type: instance_type.clone(), subnet: subnet.clone() };
            types.iter().map(of_type).collect::<Vec<_>>()
        };
        // EC2 takes no pool twice.
        let pools: BTreeSet<Pool> = self.subnets.iter().flat_map(pools).collect();
        let pools: Vec<Pool> = pools.into_iter().take(MOST_POOLS).collect();
        let tags = [
            (STACK_TAG, self.stack.clone()),
            (LAUNCH_TAG, launch.to_string()),
            (LANE_TAG, lane.id().to_string()),
            (EXPIRES_TAG, expires.0.to_string()),
        ];
        let request = |market| FleetRequest {
            v: REQUEST_VERSION,
            market,
            launch_template: self.launch_template.clone(),
            pools: pools.clone(),
            disk_gb: size.disk_gb,
            tags: tags.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            token: token(job.key(), job.attempt + 1, market),
        };
        let spot = size.market().unwrap_or(self.market) == Market::Spot && job.facts.retries == 0;
        let on_demand = request(Market::OnDemand);
        Ok(match spot {
            true => FrozenFleet { first: request(Market::Spot), later: vec![on_demand] },
            false => FrozenFleet { first: on_demand, later: Vec::new() },
        })
    }
}

/// EC2's client token of a job's attempt in a market. Another attempt, or another market, is another request.
fn token(job: JobKey, attempt: u32, market: Market) -> String {
    let market = match market {
        Market::Spot => "spot",
        Market::OnDemand => "on-demand",
    };
    hex::encode(Sha256::digest(format!("{job}\n{attempt}\n{market}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{Engine, TagSet};
    use crate::moves::testing::{T0, pending_job};

    fn ground() -> Ground {
        Ground {
            stack: "runnerless".into(),
            launch_template: "lt-1:7".into(),
            subnets: vec!["subnet-a".into(), "subnet-b".into()],
            market: Market::Spot,
            instance_types: vec!["m7i.large".into()],
        }
    }

    fn lane(target: &str) -> Lane {
        Lane { tags: TagSet::new(["docker"]).unwrap(), engine: Engine::Ec2, target: target.into(), run_untagged: false }
    }

    fn freeze(target: &str, job: &JobRow) -> FrozenFleet {
        ground().freeze(&lane(target), job, &LaunchId::new("l-1"), T0).unwrap()
    }

    #[test]
    fn a_request_names_launch_lane_stack_and_end_and_the_documented_token() {
        let job = pending_job(1);
        let frozen = freeze("c7i.large,c7a.large,c7i.large/40/spot", &job);
        let request = frozen.next();
        assert_eq!(request.market, Market::Spot);
        assert_eq!((request.launch_template.as_str(), request.disk_gb), ("lt-1:7", Some(40)));
        let pools: Vec<_> = request.pools.iter().map(|p| (p.instance_type.as_str(), p.subnet.as_str())).collect();
        let expected = [
            ("c7a.large", "subnet-a"),
            ("c7a.large", "subnet-b"),
            ("c7i.large", "subnet-a"),
            ("c7i.large", "subnet-b"),
        ];
        assert_eq!(pools, expected);
        let tags: Vec<_> = request.tags.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let lane = lane("//").id().to_string();
        let expected = [
            ("runnerless:expires", T0.0.to_string()),
            ("runnerless:lane", lane),
            ("runnerless:launch", "l-1".into()),
            ("runnerless:stack", "runnerless".into()),
        ];
        assert_eq!(tags, expected);
        assert_eq!(request.token, hex::encode(Sha256::digest(b"380/1\n1\nspot")));
    }

    #[test]
    fn after_spot_comes_on_demand_and_then_nothing() {
        let frozen = freeze("//", &pending_job(1));
        let after = frozen.rest().expect("on demand is next");
        assert_eq!(after.next().market, Market::OnDemand);
        assert_ne!(after.next().token, frozen.next().token, "another request is another token");
        assert_eq!(
            FleetRequest { market: Market::Spot, token: frozen.next().token.clone(), ..after.next().clone() },
            *frozen.next()
        );
        assert_eq!(after.rest(), None);
        assert_eq!(FrozenFleet::read(&frozen.text()).unwrap(), frozen);
        assert!(FrozenFleet::read("[]").is_err(), "no request is no launch");
    }

    #[test]
    fn a_row_a_retry_or_the_stack_asks_for_on_demand_at_once() {
        let job = pending_job(1);
        let mut retried = job.clone();
        retried.facts.retries = 1;
        let on_demand = Ground { market: Market::OnDemand, ..ground() };
        let of_stack = |target| on_demand.freeze(&lane(target), &job, &LaunchId::new("l-1"), T0).unwrap();
        for frozen in [freeze("//on-demand", &job), freeze("//spot", &retried), of_stack("//")] {
            assert_eq!((frozen.next().market, frozen.rest()), (Market::OnDemand, None));
        }
        assert_eq!(of_stack("//spot").next().market, Market::Spot, "a row's own word counts");
    }

    #[test]
    fn the_next_attempt_has_another_token_and_the_stacks_types_serve_a_row_that_names_none() {
        let job = pending_job(1);
        let again = JobRow { attempt: 1, ..job.clone() };
        assert_ne!(freeze("//", &job).next().token, freeze("//", &again).next().token);
        assert!(freeze("//", &job).next().pools.iter().all(|pool| pool.instance_type == "m7i.large"));
    }

    #[test]
    fn a_target_that_cannot_be_read_is_not_guessed_at() {
        for target in ["", "m7i.large", "m7i.large/x/", "a//b/", "//cheap", "a,,b//"] {
            let frozen = ground().freeze(&lane(target), &pending_job(1), &LaunchId::new("l-1"), T0);
            assert!(frozen.is_err(), "{target:?}");
        }
    }
}
