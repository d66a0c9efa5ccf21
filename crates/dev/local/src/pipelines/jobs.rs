//! The lines of a pipeline's jobs: what GitLab saw, what the ledger says, what was expected.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::expect::{Expect, Seen};
use super::ledger::{Ledger, Rows};
use super::lines::{JobLine, Times};
use crate::gitlab::Simulator;
use crate::http::HttpError;

/// The lines of the jobs of a finished pipeline, logs written into `folder`.
///
/// # Errors
/// When GitLab or the ledger cannot be read. A log that cannot be written is what its job's line says.
pub(crate) async fn collect(
    simulator: &Simulator,
    ledger: &Ledger<'_>,
    project: u64,
    pipeline: &Value,
    expect: &Expect,
    folder: &Path,
) -> Result<Vec<JobLine>, HttpError> {
    let jobs: Vec<&Value> =
        pipeline["jobs"].as_array().into_iter().flatten().filter(|job| job["retried"] != true).collect();
    let mut lines = Vec::new();
    for job in &jobs {
        let id = job["id"].as_u64().unwrap_or_default();
        let log = simulator.job_log(id).await?;
        let rows = ledger.rows(project, id).await?;
        let mut line = line(project, id, job, &rows);
        match write_log(folder, &line, &log) {
            Ok(path) => line.log = Some(path),
            Err(error) => line.why.push(format!("its log cannot be written: {error}")),
        }
        line.log_sha256 = Some(hex::encode(Sha256::digest(&log)));
        let text = String::from_utf8_lossy(&log);
        let seen = Seen {
            status: &line.status,
            exit_code: line.exit_code,
            log: &text,
            left_out_by_rules: is_left_out_by_rules(&jobs, expect),
        };
        line.expected = expect.status(&line.name, &seen);
        line.why.extend(expect.unmet(&line.name, &seen));
        line.ok = line.why.is_empty();
        lines.push(line);
    }
    Ok(lines)
}

fn line(project: u64, id: u64, job: &Value, rows: &Rows) -> JobLine {
    let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    let status = match job["status"].as_str().unwrap_or_default() {
        // A job behind one that waits for a person: its turn never came.
        "created" => "skipped",
        other => other,
    };
    let exit_code = job["exit_code"].as_i64().or_else(|| (status == "success").then_some(0));
    JobLine {
        key: format!("{project}/{id}"),
        name: text(job, "name").unwrap_or_default(),
        engine: text(&rows.launch, "engine"),
        target: text(&rows.launch, "target"),
        launch: text(&rows.launch, "launch"),
        instance: text(&rows.launch, "instance_id"),
        attempt: rows.job["attempt"].as_u64().unwrap_or_default(),
        status: status.to_owned(),
        exit_code,
        failure_reason: text(job, "failure_reason"),
        t: times(job, rows),
        ..JobLine::default()
    }
}

fn times(job: &Value, rows: &Rows) -> Times {
    let stamp = |name: &str| job["t"][name].as_i64();
    let at = |row: &Value, name: &str| row[name].as_i64();
    Times {
        hook_sent: stamp("hook_sent"),
        ingested: at(&rows.job, "ingested_at"),
        charged: at(&rows.launch, "charged_at").or_else(|| at(&rows.job, "charged_at")),
        launched: at(&rows.launch, "starting_at"),
        polling: at(&rows.launch, "polling_at"),
        picked_up: stamp("picked_up"),
        first_output: stamp("first_output"),
        finished: stamp("finished"),
        closed: at(&rows.launch, "closed_at"),
        terminated: None,
    }
}

/// GitLab skips a job when what stands before it went otherwise than the job asks for. That is as the file says unless
/// one of those jobs itself ended otherwise than expected.
fn is_left_out_by_rules(all: &[&Value], expect: &Expect) -> bool {
    let ended_badly = |job: &&&Value| matches!(job["status"].as_str(), Some("failed" | "canceled"));
    all.iter().filter(ended_badly).all(|job| {
        let named = expect.jobs.get(job["name"].as_str().unwrap_or_default());
        named.and_then(|named| named.status).is_some_and(|status| job["status"] == status.as_str())
    })
}

fn write_log(folder: &Path, line: &JobLine, log: &[u8]) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let name: String = line.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let id = line.key.rsplit('/').next().unwrap_or_default();
    let path = folder.join(format!("{id}-{name}.log"));
    fs::write(&path, log)?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_joins_what_gitlab_saw_and_what_the_ledger_says() {
        let job = json!({"name": "a: [x]", "status": "failed", "exit_code": 3, "failure_reason": "script_failure",
            "t": {"hook_sent": 1, "picked_up": 6, "first_output": null, "finished": 8}});
        let rows = Rows {
            job: json!({"ingested_at": 2, "charged_at": 3, "attempt": 1}),
            launch: json!({"launch": "l-1", "engine": "LAMBDA", "target": "arn", "starting_at": 4, "polling_at": 5, "closed_at": 9}),
        };
        let line = line(7, 8, &job, &rows);
        let t = &line.t;
        let times = [t.hook_sent, t.ingested, t.charged, t.launched, t.polling, t.picked_up, t.finished, t.closed];
        assert_eq!(times, [1, 2, 3, 4, 5, 6, 8, 9].map(Some));
        assert_eq!((t.first_output, line.exit_code, line.attempt), (None, Some(3), 1));
        assert_eq!((line.key.as_str(), line.launch.as_deref()), ("7/8", Some("l-1")));
    }

    #[test]
    fn a_skip_is_excused_only_by_failures_that_were_expected() {
        let expect: Expect = serde_json::from_value(json!({"jobs": {"a": {"status": "failed"}}})).unwrap();
        let (failed, skipped) = (json!({"name": "a", "status": "failed"}), json!({"name": "b", "status": "skipped"}));
        assert!(is_left_out_by_rules(&[&failed, &skipped], &expect));
        assert!(!is_left_out_by_rules(&[&failed, &skipped], &Expect::default()));
        assert!(is_left_out_by_rules(&[&skipped], &Expect::default()));
    }
}
