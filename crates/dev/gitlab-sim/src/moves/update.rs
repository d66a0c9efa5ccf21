//! `PUT jobs/:id`: a runner accepts a job, keeps it alive, ends it (contract, sections 3.2 and 3.5).

use crate::world::World;
use crate::world::job::{Job, Reported};
use crate::world::settings::{BadChecksum, millis};
use crate::world::status::Status;

/// The answer to a call about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobAnswer {
    /// HTTP status.
    pub code: u16,
    /// GitLab's sentence; empty where it says none.
    pub message: String,
    /// `Job-Status`.
    pub status: Option<Status>,
    /// `Range`: bytes stored.
    pub stored: Option<u64>,
    /// `X-GitLab-Trace-Update-Interval`, in seconds.
    pub interval: Option<u64>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

impl JobAnswer {
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None, stored: None, interval: None, retry_after: None }
    }

    fn with_status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }
}

/// What a runner reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// `running`, `pending`, `success`, `failed`.
    pub state: String,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// The script's exit code.
    pub exit_code: Option<i64>,
    /// `crc32:%08x` over the log.
    pub checksum: Option<String>,
    /// The log's length.
    pub bytesize: Option<u64>,
}

impl Report {
    fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "success" | "failed")
    }
}

impl World {
    /// The seconds between patches that this job's runner is asked for.
    pub(super) fn interval_of(&self, id: u64) -> u64 {
        let own = self.jobs.get(&id).and_then(|job| job.raw.as_ref()).and_then(|raw| raw.interval_s);
        own.unwrap_or(self.settings.trace_interval_s)
    }

    /// Whether the token may speak for the job now. A token dies with its job: from then on 403 with `Job-Status`.
    pub(super) fn authorize(&mut self, id: u64, token: &str, what: &str) -> Result<(), JobAnswer> {
        let Some(job) = self.jobs.get_mut(&id) else {
            self.violation("unknown_job", None, format!("{what} for job {id}, which does not exist"));
            return Err(JobAnswer::new(404, "404 Not Found"));
        };
        let status = job.status;
        if job.hold.expired_tokens.contains(token) {
            self.violation("expired_offer", Some(id), format!("{what} for an offer that has expired"));
            return Err(JobAnswer::new(403, "403 Forbidden"));
        }
        if token.is_empty() || job.hold.token != token {
            self.violation("wrong_token", Some(id), format!("{what} with a token that is not the job's"));
            return Err(JobAnswer::new(403, "403 Forbidden"));
        }
        if status.is_executing() || job.is_offered() {
            return Ok(());
        }
        if std::mem::replace(&mut job.told_over, true) {
            self.violation(
                "dead_token",
                Some(id),
                format!("{what} although the job was known to be {}", status.as_str()),
            );
        }
        Err(JobAnswer::new(403, "403 Forbidden - Job is not running").with_status(status))
    }

    /// Takes a report.
    pub(crate) fn update(&mut self, id: u64, token: &str, report: &Report) -> JobAnswer {
        self.note_report(id, token, report);
        if let Some(answer) = self.repeated_final(id, token, report) {
            return answer;
        }
        if self.jobs.get(&id).is_some_and(|job| job.hold.expired_tokens.contains(token)) && report.state == "running" {
            self.violation("accept_after_expiry", Some(id), "the offer was accepted too late");
            return JobAnswer::new(400, "400 Bad request - Job is not waiting for runner acknowledgement");
        }
        if let Err(answer) = self.authorize(id, token, "PUT") {
            return answer;
        }
        let limit = self.settings.job_per_min;
        if let Some(wait) = self.over_rate("job", token, limit) {
            return JobAnswer {
                retry_after: Some(wait),
                ..JobAnswer::new(429, "This endpoint has been requested too many times. Try again later.")
            };
        }
        let offered = self.jobs.get(&id).is_some_and(Job::is_offered);
        match (offered, report.state.as_str()) {
            (true, "pending") => self.keep_offer(id),
            (true, "running") => self.accept(id),
            (true, "success" | "failed") => {
                self.violation("end_before_accept", Some(id), format!("reported {} before it accepted", report.state));
                JobAnswer::new(400, "400 Bad request - Job is waiting for runner acknowledgement")
            }
            (false, "running") => self.keep_alive(id),
            (false, "pending") => {
                self.violation("pending_after_accept", Some(id), "reported pending for a job that runs");
                JobAnswer::new(409, "409 Conflict - Job is not in pending state")
            }
            (false, "success" | "failed") => self.end(id, report),
            (_, other) => {
                self.violation("state", Some(id), format!("reported the state {other:?}"));
                JobAnswer::new(400, "state does not have a valid value")
            }
        }
    }

    /// Keeps the runner's own words, which GitLab may make something else of: a cancelled job's `failed`.
    fn note_report(&mut self, id: u64, token: &str, report: &Report) {
        let job = self.jobs.get_mut(&id).filter(|job| !token.is_empty() && job.hold.token == token);
        if let Some(job) = job.filter(|_| report.is_final()) {
            job.reported = Some(Reported {
                state: report.state.clone(),
                failure_reason: report.failure_reason.clone(),
                exit_code: report.exit_code,
            });
        }
    }

    /// A final report for a job that is over: 403 as for any dead token. The same report again is a resend after a lost
    /// answer, and the first one for a job that GitLab ended is what the official runner sends too; another one is a
    /// mistake.
    fn repeated_final(&mut self, id: u64, token: &str, report: &Report) -> Option<JobAnswer> {
        let job = self.jobs.get_mut(&id)?;
        let over = job.status.is_completed() && !token.is_empty() && job.hold.token == token;
        if !over || !report.is_final() {
            return None;
        }
        let status = job.status;
        let said = job.final_state.get_or_insert_with(|| report.state.clone()).clone();
        job.told_over = true;
        if said != report.state {
            self.violation("second_final", Some(id), format!("reported {} after it had reported {said}", report.state));
        }
        Some(JobAnswer::new(403, "403 Forbidden - Job is not running").with_status(status))
    }

    fn keep_offer(&mut self, id: u64) -> JobAnswer {
        let until = self.now + millis(self.settings.two_phase_s);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.hold.offered_until = Some(until);
        }
        self.done(id, 200)
    }

    fn accept(&mut self, id: u64) -> JobAnswer {
        self.enter(id, Status::Running);
        self.done(id, 200)
    }

    fn keep_alive(&mut self, id: u64) -> JobAnswer {
        let now = self.now;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.touched_at = now;
        }
        self.done(id, 200)
    }

    /// 200 or 202 with the job's headers.
    pub(super) fn done(&self, id: u64, code: u16) -> JobAnswer {
        let status = self.jobs.get(&id).map(|job| job.status);
        JobAnswer { status, interval: Some(self.interval_of(id)), ..JobAnswer::new(code, code.to_string()) }
    }

    fn end(&mut self, id: u64, report: &Report) -> JobAnswer {
        let Some(job) = self.jobs.get_mut(&id) else { return JobAnswer::new(404, "404 Not Found") };
        let before = job.final_state.replace(report.state.clone());
        let mismatch = sum_mismatch(report, &job.log.checksum(), job.log.length());
        let counts = job.hold.counts_log;
        let not_yet = job.knobs.put_202 > 0;
        job.knobs.put_202 = job.knobs.put_202.saturating_sub(1);
        if let Some(before) = before.filter(|before| *before != report.state) {
            self.violation(
                "second_final",
                Some(id),
                format!("reported {} after it had reported {before}", report.state),
            );
        }
        if counts && (report.checksum.is_none() || report.bytesize.is_none()) {
            self.violation("no_checksum", Some(id), "reported the end without the log's size and checksum");
        }
        if let Some(detail) = mismatch {
            self.violation("checksum", Some(id), detail);
            if self.settings.bad_checksum == BadChecksum::Resend {
                return self.done(id, 412);
            }
        }
        if not_yet {
            return self.done(id, 202);
        }
        self.conclude(id, report.state == "success", report.failure_reason.as_deref(), report.exit_code);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.told_over = true;
        }
        self.done(id, 200)
    }
}

/// What is wrong with the report's checksum and size, if anything. A report may leave both out.
fn sum_mismatch(report: &Report, checksum: &str, length: u64) -> Option<String> {
    let wrong_size = report.bytesize.filter(|size| *size != length);
    let wrong_sum = report.checksum.as_deref().filter(|sum| *sum != checksum);
    if wrong_size.is_none() && wrong_sum.is_none() {
        return None;
    }
    Some(format!(
        "reported {} and {} bytes, stored are {checksum} and {length} bytes",
        report.checksum.as_deref().unwrap_or("no checksum"),
        report.bytesize.map_or("no".to_owned(), |size| size.to_string()),
    ))
}
