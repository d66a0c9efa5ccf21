//! What jobs cost: calls to AWS by function and operation, as the witness saw them, and requests to GitLab, as the
//! simulator did.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::deploy::Deployment;

/// The sweep: what it calls is counted by sweep, not by job.
const SWEEP: &str = "reconciler";

/// Numbers by name.
type Counts = BTreeMap<String, u64>;

/// Calls and requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill {
    aws: Counts,
    sweeps: Counts,
    gitlab: Counts,
}

impl Bill {
    /// Of the witness's and the simulator's JSON lines, as far as they are not older than `since` (ms).
    pub(crate) fn of(calls: &str, requests: &str, deployment: &Deployment, since: i64) -> Self {
        let mut counts = Self::default();
        for call in lines(calls).filter(|call| call["t"].as_i64() >= Some(since)) {
            let Some(part) = call["function"].as_str().and_then(|name| part(deployment, name)) else { continue };
            let op = format!("{}:{}", word(&call["service"]), word(&call["op"]));
            let (table, name) =
                if part == SWEEP { (&mut counts.sweeps, op) } else { (&mut counts.aws, format!("{part} {op}")) };
            *table.entry(name).or_default() += 1;
        }
        for request in lines(requests).filter(|request| request["t"].as_i64() >= Some(since)) {
            let Some(path) = word(&request["path"]).strip_prefix("/api/v4/").map(general) else { continue };
            *counts.gitlab.entry(format!("{} {path}", word(&request["method"]))).or_default() += 1;
        }
        counts
    }

    /// All calls to AWS but the sweeps'.
    pub(crate) fn aws(&self) -> u64 {
        self.aws.values().sum()
    }

    /// Calls to one service, by any function but the sweep.
    pub(crate) fn aws_of_service(&self, service: &str) -> u64 {
        let is_of = |name: &str| {
            name.split_once(' ').and_then(|(_, op)| op.split_once(':')).is_some_and(|(of, _)| of == service)
        };
        self.aws.iter().filter(|(name, _)| is_of(name)).map(|(_, number)| number).sum()
    }

    /// Calls of one operation, by any function but the sweep.
    pub(crate) fn aws_of(&self, op: &str) -> u64 {
        let of_op = self.aws.iter().filter(|(name, _)| name.split_once(' ').is_some_and(|(_, of)| of == op));
        of_op.map(|(_, number)| number).sum()
    }

    /// All requests to GitLab.
    pub(crate) fn gitlab(&self) -> u64 {
        self.gitlab.values().sum()
    }

    /// Per job, and of the sweeps per sweep.
    pub(crate) fn view(&self, jobs: usize, sweeps: usize) -> Value {
        json!({
            "aws_per_job": per(&self.aws, jobs),
            "aws_per_sweep": per(&self.sweeps, sweeps),
            "gitlab_per_job": per(&self.gitlab, jobs),
        })
    }
}

/// Of each, and of all together.
fn per(counts: &Counts, count: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are small")]
    let share = |number: u64| (number as f64 / count.max(1) as f64 * 100.0).round() / 100.0;
    let mut view: BTreeMap<&str, f64> = counts.iter().map(|(name, number)| (name.as_str(), share(*number))).collect();
    view.insert("all", share(counts.values().sum()));
    json!(view)
}

fn lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The part that is deployed under this name.
fn part(deployment: &Deployment, name: &str) -> Option<String> {
    let (logical, _) = deployment.functions.iter().find(|(_, function)| function.name == name)?;
    Some(logical.trim_end_matches("Function").to_ascii_lowercase())
}

/// A path without its numbers.
fn general(path: &str) -> String {
    let segment =
        |text: &str| if text.bytes().all(|byte| byte.is_ascii_digit()) { "*".to_owned() } else { text.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use crate::deploy::Function;

    use super::*;

    #[test]
    fn calls_are_counted_by_job_and_those_of_the_sweep_by_sweep() {
        let function = |name: &str| Function { name: name.into(), arn: String::new(), role: String::new() };
        let functions = [("IngestFunction", "s-i-1"), ("ReconcilerFunction", "s-r-2")];
        let functions = functions.map(|(logical, name)| (logical.to_owned(), function(name))).into();
        let deployment = Deployment { outputs: BTreeMap::new(), functions };
        let call = |t: i64, name: &str| {
            json!({"t": t, "function": name, "service": "dynamodb", "op": "PutItem"}).to_string() + "\n"
        };
        let calls = [call(1, "s-i-1"), call(5, "s-i-1"), call(6, "s-i-1"), call(7, "s-r-2"), call(8, "other")].concat();
        let request = |path: &str| json!({"t": 9, "method": "PUT", "path": path}).to_string() + "\n";
        let requests = [request("/api/v4/jobs/17"), request("/_sim/v1/jobs"), request("/api/v4/jobs/9/trace")].concat();
        let bill = Bill::of(&calls, &requests, &deployment, 5);
        assert_eq!((bill.aws(), bill.gitlab(), bill.aws_of("dynamodb:PutItem")), (2, 2, 2));
        assert_eq!(
            (bill.aws_of("dynamodb:GetItem"), bill.aws_of_service("dynamodb"), bill.aws_of_service("ec2")),
            (0, 2, 0)
        );
        let view = bill.view(4, 1);
        assert_eq!(view["aws_per_job"], json!({"all": 0.5, "ingest dynamodb:PutItem": 0.5}));
        assert_eq!(view["aws_per_sweep"], json!({"all": 1.0, "dynamodb:PutItem": 1.0}));
        assert_eq!(view["gitlab_per_job"], json!({"all": 0.5, "PUT jobs/*": 0.25, "PUT jobs/*/trace": 0.25}));
    }
}
