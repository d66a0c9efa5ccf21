//! `PATCH jobs/:id/trace`: pieces of the log (contract, section 3.4).

use super::update::JobAnswer;
use crate::rules::range::{Fit, Range, fit};
use crate::world::World;

impl World {
    /// Stores a piece of the log, or says why not.
    pub(crate) fn patch(
        &mut self,
        id: u64,
        token: &str,
        range: Option<&str>,
        content_type: Option<&str>,
        piece: &[u8],
    ) -> JobAnswer {
        if let Err(answer) = self.authorize(id, token, "PATCH trace") {
            return answer;
        }
        if let Some(job) = self.jobs.get(&id).filter(|job| job.is_offered()) {
            let status = job.status;
            self.violation("trace_before_accept", Some(id), "sent log before it accepted the job");
            return JobAnswer { status: Some(status), ..JobAnswer::new(403, "403 Forbidden - Job is not running") };
        }
        let limit = self.settings.trace_per_min;
        if let Some(wait) = self.over_rate("trace", token, limit) {
            return JobAnswer {
                retry_after: Some(wait),
                ..JobAnswer::new(429, "This endpoint has been requested too many times. Try again later.")
            };
        }
        if content_type.is_none_or(|kind| !kind.trim().to_ascii_lowercase().starts_with("text/plain")) {
            // An empty type is parsed as JSON, which a log is not.
            let given = content_type.unwrap_or("none");
            self.violation("content_type", Some(id), format!("sent log with Content-Type {given:?}, not text/plain"));
            return JobAnswer::new(400, "400 Bad request");
        }
        let Some(text) = range else {
            self.violation("content_range", Some(id), "sent log without Content-Range");
            return JobAnswer::new(400, "400 Missing header Content-Range");
        };
        let Some(range) = Range::parse(text) else {
            self.violation(
                "content_range",
                Some(id),
                format!("sent log with Content-Range {text:?}, not <start>-<end>"),
            );
            return JobAnswer::new(400, "400 Bad request - Content-Range is invalid");
        };
        if let Some(answer) = self.misbehave(id) {
            return answer;
        }
        self.store(id, range, piece)
    }

    /// The prepared misbehaviour for this patch.
    fn misbehave(&mut self, id: u64) -> Option<JobAnswer> {
        let job = self.jobs.get_mut(&id)?;
        job.knobs.patches += 1;
        if job.knobs.drop_trace > 0 {
            job.knobs.drop_trace -= 1;
            return Some(JobAnswer::new(502, "502 Bad Gateway"));
        }
        if job.knobs.rewind_at_patch == Some(job.knobs.patches) {
            let half = job.log.length() / 2;
            if job.log.truncate(half).is_err() {
                return Some(JobAnswer::new(500, "500 Internal Server Error"));
            }
            return Some(self.elsewhere(id));
        }
        None
    }

    fn store(&mut self, id: u64, range: Range, piece: &[u8]) -> JobAnswer {
        let Some(job) = self.jobs.get_mut(&id) else { return JobAnswer::new(404, "404 Not Found") };
        let stored = job.log.length();
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let said = format!("range {}-{} with {length} bytes, stored are {stored}", range.start, range.end);
        match fit(range, length, stored) {
            Fit::Append => self.append(id, piece),
            Fit::Overlap => self.elsewhere(id),
            Fit::Gap => {
                self.violation("range_gap", Some(id), said);
                self.elsewhere(id)
            }
            Fit::WrongEnd => {
                self.violation("range_end", Some(id), said);
                self.elsewhere(id)
            }
            Fit::Empty => {
                self.violation("empty_patch", Some(id), said);
                JobAnswer::new(400, "400 Bad request - the trace is empty")
            }
        }
    }

    fn append(&mut self, id: u64, piece: &[u8]) -> JobAnswer {
        let (now, limit) = (self.now, self.settings.trace_limit_bytes);
        let Some(job) = self.jobs.get_mut(&id) else { return JobAnswer::new(404, "404 Not Found") };
        job.touched_at = now;
        let total = job.log.length() + u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if total > limit {
            job.told_over = true;
            self.fail(id, "trace_size_exceeded", None);
            let status = self.jobs.get(&id).map(|job| job.status);
            return JobAnswer { status, ..JobAnswer::new(403, "403 Forbidden - Trace size limit exceeded") };
        }
        match job.log.append(piece) {
            Err(_) => return JobAnswer::new(500, "500 Internal Server Error"),
            Ok(first) => {
                if first && job.stamps.first_output.is_none() {
                    job.stamps.first_output = Some(now);
                    self.event(id, "first_output");
                }
            }
        }
        JobAnswer { stored: Some(total), message: "0".to_owned(), ..self.done(id, 202) }
    }

    fn elsewhere(&self, id: u64) -> JobAnswer {
        let stored = self.jobs.get(&id).map(|job| job.log.length());
        JobAnswer { stored, message: "416 Range Not Satisfiable".to_owned(), ..self.done(id, 416) }
    }
}
