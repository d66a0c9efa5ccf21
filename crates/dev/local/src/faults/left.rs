//! What is left of a case: instances, volumes, runner managers, rows and processes.

use runnerless_core::id::LaneId;
use runnerless_core::lane::system_id;
use serde_json::Value;

use super::ground::{Ground, Names};
use crate::instances::Record;
use crate::pipelines::ledger::Ledger;
use crate::pipelines::leftovers::Leftover;
use crate::seed::output;
use crate::strays;
use crate::suite::SuiteError;

/// The tag that names an instance's lane.
const LANE: &str = runnerless_core::fleet::LANE_TAG;

/// Everything that is there at one moment.
#[derive(Debug)]
pub(super) struct Look {
    instances: Vec<Record>,
    volumes: Vec<String>,
    launches: Vec<Value>,
    runners: Value,
}

impl Look {
    /// Looks.
    pub(super) async fn new(ground: &Ground<'_>) -> Result<Self, SuiteError> {
        let field = &ground.field;
        let ledger = Ledger { aws: field.stack.aws(), table: output(field.deployment, "LedgerTableName")? };
        Ok(Self {
            instances: ground.ec2.instances().await?,
            volumes: ground.ec2.volumes().await?,
            launches: ledger.launches().await?,
            runners: field.simulator.call(hyper::Method::GET, "/_sim/v1/runners", &Value::Null).await?,
        })
    }

    /// The instances that were ever launched for a lane and are still shown, over or not.
    pub(super) fn instances_of(&self, lane: &str) -> impl Iterator<Item = &Record> {
        self.instances.iter().filter(move |record| record.tags.get(LANE).is_some_and(|of| of == lane))
    }

    /// What is left of a case; `row` is its job's, where GitLab told of the job's end.
    pub(super) fn left(&self, case: &str, names: &Names, row: Option<&Value>) -> Vec<Leftover> {
        let mut left = Vec::new();
        for record in self.instances_of(&names.lane) {
            if record.state != "terminated" {
                left.push(Leftover { what: "instance", id: format!("{} is {}", record.id, record.state) });
            }
            let volumes = record.volumes.iter().filter(|volume| self.volumes.contains(&volume.id));
            left.extend(volumes.map(|volume| Leftover { what: "volume", id: volume.id.clone() }));
            let named = strays::naming(&record.id).into_iter();
            left.extend(named.map(|process| Leftover { what: "process", id: process }));
        }
        let of_it = self.runners.as_array().into_iter().flatten().filter(|runner| runner["description"] == case);
        // The lane's own, as which its token is verified, is there as long as the lane is.
        let lanes_own = system_id(&LaneId::new(&names.lane));
        let managers = of_it.flat_map(|runner| runner["managers"].as_array().into_iter().flatten());
        let managers = managers.filter(|manager| **manager != lanes_own.as_str());
        left.extend(managers.map(|manager| Leftover { what: "runner", id: manager.to_string() }));
        let open =
            self.launches.iter().filter(|launch| launch["lane"] == names.lane.as_str() && launch["state"] != "closed");
        left.extend(
            open.map(|launch| Leftover { what: "row", id: format!("{} is {}", launch["pk"], launch["state"]) }),
        );
        let unretired = row.filter(|row| row["state"] != "ended" || !row["expires_at"].is_number());
        left.extend(unretired.map(|row| Leftover { what: "row", id: format!("{} is {}", row["pk"], row["state"]) }));
        left
    }
}
