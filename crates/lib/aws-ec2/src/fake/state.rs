//! What the account holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use runnerless_core::fleet::{FleetAnswer, FleetFault, FleetRequest, Instance, InstanceState, Market};
use runnerless_core::time::Timestamp;

use super::{Operation, Scripted, Trouble};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now: Timestamp,
    /// Instance profiles by launch template.
    pub(super) templates: BTreeMap<String, String>,
    pub(super) instances: BTreeMap<String, Instance>,
    /// The first request of each token, and its answer.
    pub(super) answered: BTreeMap<String, (FleetRequest, FleetAnswer)>,
    pub(super) hidden: BTreeSet<String>,
    pub(super) requests: Vec<FleetRequest>,
    pub(super) terminations: Vec<String>,
    pub(super) script: VecDeque<Scripted>,
    pub(super) dry: BTreeMap<Market, &'static str>,
    pub(super) troubles: BTreeMap<Operation, VecDeque<Trouble>>,
    /// So many readings more show nothing of `unseen`.
    pub(super) lag: usize,
    pub(super) unseen: BTreeSet<String>,
    launched: u64,
}

impl State {
    /// Launches so many instances, and says these faults beside them.
    pub(super) fn launch(&mut self, request: &FleetRequest, instances: usize, codes: &[&str]) -> FleetAnswer {
        let instances = (0..instances).map(|nth| self.instance(request, nth)).collect();
        let faults = codes.iter().map(|code| FleetFault::new(*code, "the test said so")).collect();
        FleetAnswer { instances, faults }
    }

    fn instance(&mut self, request: &FleetRequest, nth: usize) -> String {
        self.launched += 1;
        let id = format!("i-{:017x}", self.launched);
        let pool = &request.pools[nth % request.pools.len()];
        let (template, _) = request.launch_template.split_once(':').unwrap_or((&request.launch_template, ""));
        let instance = Instance {
            id: id.clone(),
            state: InstanceState::Pending,
            tags: request.tags.clone(),
            launched_at: self.now,
            instance_type: pool.instance_type.clone(),
            subnet: pool.subnet.clone(),
            spot: request.market == Market::Spot,
            profile: self.templates.get(template).cloned(),
        };
        self.instances.insert(id.clone(), instance);
        self.unseen.insert(id.clone());
        id
    }
}
