//! Watching a pipeline until it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{DemoError, tell};
use crate::gitlab::Simulator;

/// How long one look at the pipeline waits for its end.
const LOOK_S: u64 = 2;

/// Waits for a pipeline's end and tells about its jobs meanwhile. The second value says that it did not come.
pub(super) async fn wait(
    simulator: &Simulator,
    id: u64,
    limit: Duration,
) -> Result<(Value, Option<DemoError>), DemoError> {
    let begun = Instant::now();
    let mut told = BTreeMap::new();
    loop {
        let pipeline = simulator.pipeline(id, LOOK_S).await?;
        let jobs = || pipeline["jobs"].as_array().into_iter().flatten();
        let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        for job in jobs() {
            let (name, status) = (word(job, "name"), word(job, "status"));
            if told.insert(name.clone(), status.clone()) != Some(status.clone()) {
                tell(&format!("  {status:8} {name}"));
            }
        }
        let status = word(&pipeline, "status");
        // Over, or nothing goes on without a person.
        if pipeline["settled"] == true {
            return Ok((pipeline, None));
        }
        if begun.elapsed() > limit {
            let over =
                |job: &&Value| matches!(job["status"].as_str(), Some("success" | "failed" | "canceled" | "skipped"));
            let unfinished =
                jobs().filter(|job| !over(job)).map(|job| word(job, "name")).collect::<Vec<_>>().join(", ");
            return Ok((pipeline, Some(DemoError::Late { status, limit, unfinished })));
        }
    }
}
