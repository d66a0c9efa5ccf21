//! The schedule of the sweep, for whoever sweeps by hand.

use serde_json::json;

use crate::aws::{Aws, EVENTS};
use crate::http::HttpError;

/// Switches it off, as an operator does who stops everything (`docs/runbook.md`). False when there is none.
pub(crate) async fn switch_off(aws: &Aws) -> Result<bool, HttpError> {
    let rules = aws.call(EVENTS, "ListRules", &json!({})).await?;
    let mut rules = rules["Rules"].as_array().into_iter().flatten();
    let Some(scheduled) = rules.find(|rule| rule["ScheduleExpression"].is_string()) else { return Ok(false) };
    aws.call(EVENTS, "DisableRule", &json!({"Name": scheduled["Name"]})).await?;
    Ok(true)
}
