//! What EC2 answers to a request for an instance.

use runnerless_core::fleet::{FleetAnswer, FleetFault, FleetOutcome, FleetRequest, Instance, InstanceState, Market};
use runnerless_core::time::Timestamp;

use super::{Cloud, Machine};
use crate::setup::PROFILE;

/// What the seed has in store for a request that EC2 carries out.
#[derive(Clone, Debug)]
pub(crate) struct Luck {
    /// EC2 says that it knows the token from another request, if it knows it.
    pub(crate) mismatch: bool,
    /// Every pool has this fault, and no instance.
    pub(crate) empty: Option<&'static str>,
    /// The ids of the instances that come else.
    pub(crate) ids: Vec<String>,
    /// A fault beside them.
    pub(crate) beside: Option<&'static str>,
    /// From when on EC2 shows them.
    pub(crate) shown_from: Timestamp,
    /// From when on EC2 does something with them.
    pub(crate) known_from: Timestamp,
}

/// Carries a request out, or answers it as the one before with the same token. The ids are those that are new.
pub(crate) fn answer(
    cloud: &mut Cloud,
    request: &FleetRequest,
    luck: &Luck,
    now: Timestamp,
) -> (FleetOutcome, Vec<String>) {
    if let Some((first, answer)) = cloud.answered.get(&request.token) {
        let same = first == request && !luck.mismatch;
        let outcome = if same { FleetOutcome::Answer(answer.clone()) } else { FleetOutcome::Mismatch };
        return (outcome, Vec::new());
    }
    let fault = |code: &&'static str| FleetFault::new(*code, "the world said so");
    let answer = match luck.empty {
        Some(code) => {
            FleetAnswer { instances: Vec::new(), faults: request.pools.iter().map(|_| fault(&code)).collect() }
        }
        None => FleetAnswer { instances: luck.ids.clone(), faults: luck.beside.iter().map(fault).collect() },
    };
    for (nth, id) in answer.instances.iter().enumerate() {
        cloud.machines.insert(id.clone(), machine(request, id, nth, luck, now));
    }
    cloud.answered.insert(request.token.clone(), (request.clone(), answer.clone()));
    let new = answer.instances.clone();
    (FleetOutcome::Answer(answer), new)
}

fn machine(request: &FleetRequest, id: &str, nth: usize, luck: &Luck, now: Timestamp) -> Machine {
    let pool = &request.pools[nth % request.pools.len()];
    let instance = Instance {
        id: id.to_owned(),
        state: InstanceState::Pending,
        tags: request.tags.clone(),
        launched_at: now,
        instance_type: pool.instance_type.clone(),
        subnet: pool.subnet.clone(),
        spot: request.market == Market::Spot,
        profile: Some(PROFILE.to_owned()),
    };
    Machine::new(instance, luck.shown_from, luck.known_from)
}
