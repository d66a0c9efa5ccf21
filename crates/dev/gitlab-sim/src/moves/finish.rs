//! A job ends.

use crate::rules::outcome;
use crate::world::World;
use crate::world::status::Status;

/// GitLab masks no shorter values.
const SHORTEST_SECRET: usize = 8;

impl World {
    /// Ends a job as the runner reported it.
    pub(crate) fn conclude(&mut self, id: u64, success: bool, reason: Option<&str>, exit_code: Option<i64>) {
        self.look_for_secrets(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let code = exit_code.map(outcome::exit_code);
        match outcome::final_status(job.status, success) {
            Status::Failed => self.fail(id, outcome::reason(reason), code),
            status => {
                if status == Status::Success {
                    job.exit_code = Some(code.unwrap_or(0));
                }
                let pipeline = job.pipeline;
                self.enter(id, status);
                self.progress(pipeline);
            }
        }
    }

    /// Fails a job: forgiveness by exit code, then repetition by rule, then the rest of the pipeline.
    pub(crate) fn fail(&mut self, id: u64, reason: &str, exit_code: Option<u32>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.exit_code = exit_code;
        job.failure_reason = Some(reason.to_owned());
        job.allow_failure = outcome::forgiven(&job.spec, exit_code);
        let repeats = outcome::repeats(&job.spec, job.retries_count, reason);
        let pipeline = job.pipeline;
        if repeats {
            // The copy is there before anything follows from the failure.
            self.enter_failed_with_copy(id);
        } else {
            self.enter(id, Status::Failed);
        }
        self.progress(pipeline);
    }

    fn enter_failed_with_copy(&mut self, id: u64) {
        let copy = self.copy_job(id);
        self.enter(id, Status::Failed);
        if let Some(copy) = copy {
            self.queue_up(copy);
        }
    }

    /// Masked values, the job token among them, that the runner let through to the log.
    fn look_for_secrets(&mut self, id: u64) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Ok(log) = job.log.read() else { return };
        let masked = self.job_variables(job).into_iter().filter(|variable| variable.masked);
        let found: Vec<String> = masked
            .filter(|variable| variable.value.len() >= SHORTEST_SECRET)
            .filter(|variable| contains(&log, variable.value.trim().as_bytes()))
            .map(|variable| variable.key)
            .collect();
        for name in found {
            self.violation("secret_in_log", Some(id), format!("{name} is in the log"));
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
