//! The demo's job that has an instance of its own, and what must be gone afterwards.

use std::collections::HashMap;
use std::time::Duration;

use runnerless_core::lane::{Engine, TagSet, lane_id, system_id};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::DemoError;
use crate::gitlab::Simulator;
use crate::instances::Ec2;
use crate::layout::Layout;
use crate::pipelines::leftovers::Leftover;
use crate::pipelines::lines::JobLine;
use crate::seed::Lane;
use crate::stack::Stack;

/// The lane of instances.
pub(super) const LANE: Lane<'_> =
    Lane { description: "Runnerless, a lane of instances", tags: &["instance"], engine: Engine::Ec2 };
/// The job of the demo's pipeline that goes there.
pub(super) const JOB: &str = "on an instance";

/// An instance that its job's end did not end is ended by the sweep, which comes once a minute.
const GONE_WITHIN: Duration = Duration::from_secs(90);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until no instance, no volume and no machine of an instance in GitLab is left. Returns those that are.
pub(super) async fn leftovers(stack: &Stack, simulator: &Simulator) -> Result<Vec<Leftover>, DemoError> {
    let begun = Instant::now();
    let ec2 = Ec2::new(stack.aws());
    loop {
        let left = look(&ec2, simulator).await?;
        if left.is_empty() || begun.elapsed() > GONE_WITHIN {
            return Ok(left);
        }
        sleep(PAUSE).await;
    }
}

async fn look(ec2: &Ec2, simulator: &Simulator) -> Result<Vec<Leftover>, DemoError> {
    let instances = ec2.instances().await?.into_iter().filter(|record| record.state != "terminated");
    let mut left: Vec<Leftover> = instances.map(|record| Leftover { what: "instance", id: record.id }).collect();
    left.extend(ec2.volumes().await?.into_iter().map(|id| Leftover { what: "volume", id }));
    // The lane's own, as which its token is verified, is there as long as the lane is.
    let lanes_own = system_id(&lane_id(LANE.engine, &TagSet::new(LANE.tags).unwrap_or_default()));
    let managers = simulator.managers(LANE.description).await?.into_iter().filter(|id| *id != lanes_own);
    left.extend(managers.into_iter().map(|id| Leftover { what: "runner", id }));
    Ok(left)
}

/// Writes down when each job's instance was gone.
pub(super) fn complete(layout: &Layout, jobs: &mut [JobLine]) {
    let text = std::fs::read_to_string(layout.instances()).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let gone: HashMap<String, i64> = lines
        .filter(|line| line["what"] == "terminated")
        .filter_map(|line| Some((line["instance"].as_str()?.to_owned(), line["t"].as_i64()?)))
        .collect();
    for job in jobs {
        job.t.terminated = job.instance.as_ref().and_then(|id| gone.get(id)).copied();
    }
}
