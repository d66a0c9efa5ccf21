//! The body of a job event: GitLab's fields in GitLab's order.

use std::fmt::Write as _;

use runnerless_core::time::Timestamp;
use serde_json::json;

use super::GitLab;
use super::job::{Job, Status};

/// What every event of a project ends with.
pub(super) fn tail(id: u64, path: &str) -> String {
    let web = format!("https://gitlab.example.com/{path}");
    let name = path.rsplit('/').next().unwrap_or(path);
    let ssh = format!("git@gitlab.example.com:{path}.git");
    let repository = json!({
        "name": name, "url": ssh, "description": "", "homepage": web, "git_http_url": format!("{web}.git"),
        "git_ssh_url": ssh, "visibility_level": 0,
    });
    let project = json!({
        "id": id, "name": name, "description": null, "web_url": web, "avatar_url": null, "git_ssh_url": ssh,
        "git_http_url": format!("{web}.git"), "namespace": "Acme", "visibility_level": 0, "path_with_namespace": path,
        "default_branch": "main", "ci_config_path": "",
    });
    format!(r#""repository":{repository},"project":{project},"environment":null}}"#)
}

/// The event of a job that is in `status`. `created` is told in bulk and knows nothing but the creation, also when the job
/// has moved on.
pub(super) fn job_event(gitlab: &GitLab, job: &Job, status: Status, now: Timestamp) -> Option<String> {
    let pipeline = gitlab.pipelines.get(&job.pipeline)?;
    let project = gitlab.projects.get(&job.key.project)?;
    let bulk = status == Status::Created;
    let known = |at: Option<Timestamp>| at.filter(|_| !bulk);
    let (started, finished) = (known(job.started_at), known(job.finished_at));
    let mut body = String::with_capacity(2600);
    let text = |text: &str| serde_json::Value::from(text).to_string();
    write!(
        body,
        r#"{{"object_kind":"build","ref":{},"tag":false,"before_sha":"{:040}","sha":"{}","retries_count":{},"build_id":{},"build_name":{},"build_stage":{},"build_status":"{}","#,
        text(&pipeline.git_ref),
        0,
        pipeline.sha,
        job.retries,
        job.key.job,
        text(&job.spec.name),
        text(&job.spec.stage),
        status.as_str(),
    )
    .ok()?;
    dates(&mut body, "", " UTC", [Some(job.created_at), started, finished])?;
    dates(&mut body, "_iso", "Z", [Some(job.created_at), started, finished])?;
    let queued = known(job.pending_at).map(|from| started.or(finished).unwrap_or(now) - from);
    let reason = match status {
        Status::Created => "null".to_owned(),
        Status::Failed => text(job.failure_reason.unwrap_or("unknown_failure")),
        _ => text("unknown_failure"),
    };
    write!(
        body,
        r#""build_duration":{},"build_queued_duration":{},"build_allow_failure":false,"build_failure_reason":{reason},"pipeline_id":{},"runner":{},"project_id":{},"project_name":{},"#,
        seconds(started.map(|from| finished.unwrap_or(now) - from)),
        seconds(queued),
        job.pipeline,
        runner(gitlab, job, status),
        job.key.project,
        text(&project.path.replace('/', " / ")),
    )
    .ok()?;
    write!(
        body,
        r#""user":{{"id":3,"name":"Dana Dev","username":"dana","avatar_url":null,"email":"[REDACTED]"}},"commit":{{"id":{},"name":null,"sha":"{}","message":"Add cache layer\n","author_name":"Dana Dev","author_email":"dana@example.com","author_url":"mailto:dana@example.com","status":"running","duration":null,"started_at":null,"finished_at":null,"started_at_iso":null,"finished_at_iso":null}},"#,
        job.pipeline, pipeline.sha,
    )
    .ok()?;
    body.push_str(&project.tail);
    Some(body)
}

/// The runner of a job that has one: pending jobs are told of without, also those that are offered.
fn runner(gitlab: &GitLab, job: &Job, status: Status) -> String {
    let hold = job.hold.as_ref().filter(|_| job.started_at.is_some());
    let runner = hold.filter(|_| !matches!(status, Status::Created | Status::Pending)).map(|hold| hold.runner);
    let row = runner.and_then(|id| Some((id, gitlab.runners.get(&id)?)));
    row.map_or_else(
        || "null".to_owned(),
        |(id, row)| {
            let tags: Vec<&str> = row.spec.tags.iter().collect();
            json!({
                "id": id, "description": row.description, "runner_type": "project_type", "active": !row.paused,
                "is_shared": false, "tags": tags,
            })
            .to_string()
        },
    )
}

fn seconds(length: Option<runnerless_core::time::Millis>) -> String {
    length.map_or_else(|| "null".to_owned(), |length| format!("{}.{:03}", length.0 / 1000, length.0 % 1000))
}

fn dates(body: &mut String, suffix: &str, zone: &str, times: [Option<Timestamp>; 3]) -> Option<()> {
    let between = if suffix.is_empty() { ' ' } else { 'T' };
    for (name, at) in ["created", "started", "finished"].into_iter().zip(times) {
        match at {
            None => write!(body, r#""build_{name}_at{suffix}":null,"#).ok()?,
            Some(at) => {
                let (year, month, day) = civil(at.epoch_secs().div_euclid(86_400));
                let second = at.epoch_secs().rem_euclid(86_400);
                let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
                write!(
                    body,
                    r#""build_{name}_at{suffix}":"{year:04}-{month:02}-{day:02}{between}{h:02}:{m:02}:{s:02}{zone}","#
                )
                .ok()?;
            }
        }
    }
    Some(())
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar: eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_have_their_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_710), (2026, 9, 14));
        assert_eq!(civil(-1), (1969, 12, 31));
    }
}
