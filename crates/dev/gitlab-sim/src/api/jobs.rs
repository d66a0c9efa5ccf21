//! `PUT jobs/:id` and `PATCH jobs/:id/trace`: parameters in, headers out.

use serde_json::Value;

use super::auth;
use crate::moves::update::{JobAnswer, Report};
use crate::server::answer::Answer;
use crate::server::request::{Request, number, text};
use crate::sim::Sim;

/// `PUT jobs/:id`. The token is the body's; the header is not looked at but for a contradiction.
pub(super) fn update(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "id")?;
    let params = request.params()?;
    let token = text(&params, "token").ok_or_else(|| Answer::error(400, "token is missing"))?;
    let output = params.get("output").and_then(Value::as_object).cloned().unwrap_or_default();
    let report = Report {
        state: text(&params, "state").unwrap_or_default(),
        failure_reason: text(&params, "failure_reason"),
        exit_code: params.get("exit_code").and_then(Value::as_i64),
        checksum: text(&output, "checksum").or_else(|| text(&params, "checksum")),
        bytesize: number(&output, "bytesize"),
    };
    let other = request.header("job-token").is_some_and(|header| header != token);
    let answer = sim.with(|world| {
        if other {
            world.violation("two_tokens", Some(id), "JOB-TOKEN differs from the body's token");
        }
        world.update(id, &token, &report)
    });
    Ok(to_http(&answer))
}

/// `PATCH jobs/:id/trace`.
pub(super) fn patch(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "id")?;
    let token = request.header("job-token").map(str::to_owned).or_else(|| request.query("token")).unwrap_or_default();
    let range = request.header("content-range");
    let kind = request.header("content-type");
    Ok(to_http(&sim.with(|world| world.patch(id, &token, range, kind, &request.body))))
}

fn to_http(answer: &JobAnswer) -> Answer {
    let mut http = match answer.code {
        code @ (200 | 202) => Answer::bytes(code, "text/plain", answer.message.clone()),
        code => Answer::message(code, answer.message.clone()),
    };
    if let Some(status) = answer.status {
        http = http.with("Job-Status", status.as_str());
    }
    if let Some(stored) = answer.stored {
        http = http.with("Range", format!("0-{stored}"));
    }
    if let Some(seconds) = answer.interval {
        http = http.with("X-GitLab-Trace-Update-Interval", seconds.to_string());
    }
    if let Some(seconds) = answer.retry_after {
        http = http.with("Retry-After", seconds.to_string());
    }
    http
}
