//! How often lanes get a sentinel, for whoever cannot wait for one or has no use for it.

use hyper::Method;
use serde_json::json;

use crate::aws::Aws;
use crate::deploy::Deployment;
use crate::http::HttpError;

/// The sweep's variable for it (`docs/configuration.md`).
const VARIABLE: &str = "RUNNERLESS_SENTINEL_MINUTES";

/// Sets the pause between two sentinels of a lane; 0 sends none. False when the stack's sweep has no such variable.
pub(crate) async fn every(aws: &Aws, deployment: &Deployment, minutes: u32) -> Result<bool, HttpError> {
    let Some(sweep) = deployment.functions.get("ReconcilerFunction") else { return Ok(false) };
    let path = format!("/2015-03-31/functions/{}/configuration", sweep.name);
    let mut shown = aws.get("lambda", &path, "").await?;
    let mut variables = shown["Environment"]["Variables"].take();
    if !variables[VARIABLE].is_string() {
        return Ok(false);
    }
    variables[VARIABLE] = json!(minutes.to_string());
    aws.request("lambda", Method::PUT, &path, &json!({"Environment": {"Variables": variables}})).await?;
    Ok(true)
}
