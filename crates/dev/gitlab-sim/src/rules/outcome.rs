//! How a job ends: from what the runner reports to what GitLab keeps.

use crate::world::spec::{AllowFailure, JobSpec};
use crate::world::status::Status;

/// The failure reasons that GitLab knows (`Ci::Build.failure_reasons`); any other text becomes `unknown_failure`.
const REASONS: [&str; 33] = [
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "missing_dependency_failure",
    "runner_unsupported",
    "stale_schedule",
    "job_execution_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
    "forward_deployment_failure",
    "user_blocked",
    "project_deleted",
    "ci_quota_exceeded",
    "pipeline_loop_detected",
    "no_matching_runner",
    "trace_size_exceeded",
    "builds_disabled",
    "environment_creation_failure",
    "deployment_rejected",
    "failed_outdated_deployment_job",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "image_pull_failure",
    "server_timeout_running",
    "server_timeout_canceling",
    "no_updates_running",
    "no_updates_canceling",
    "job_router_failure",
];

/// What GitLab stores for a reported reason.
pub(crate) fn reason(reported: Option<&str>) -> &'static str {
    reported.and_then(|text| REASONS.into_iter().find(|known| *known == text)).unwrap_or("unknown_failure")
}

/// What GitLab stores for a reported exit code: 0 to 32767.
pub(crate) fn exit_code(reported: i64) -> u32 {
    u32::try_from(reported.clamp(0, 32_767)).unwrap_or(0)
}

/// The state after a final update: a job that was being cancelled is cancelled, whatever the runner says.
pub(crate) fn final_status(before: Status, success: bool) -> Status {
    match (before, success) {
        (Status::Canceling, _) => Status::Canceled,
        (_, true) => Status::Success,
        (_, false) => Status::Failed,
    }
}

/// Whether a failure is forgiven.
pub(crate) fn forgiven(spec: &JobSpec, exit_code: Option<u32>) -> bool {
    match &spec.allow_failure {
        AllowFailure::No => false,
        AllowFailure::Yes => true,
        AllowFailure::ExitCodes(codes) => {
            exit_code.is_some_and(|code| codes.iter().any(|allowed| u32::try_from(*allowed) == Ok(code)))
        }
    }
}

/// Whether GitLab repeats a failed job by itself.
pub(crate) fn repeats(spec: &JobSpec, retries: u32, reason: &str) -> bool {
    retries < spec.retry_max
        && (spec.retry_when.is_empty() || spec.retry_when.iter().any(|when| when == "always" || when == reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::spec::When;

    fn spec(allow_failure: AllowFailure, retry_max: u32, retry_when: &[&str]) -> JobSpec {
        JobSpec {
            name: "j".into(),
            base_name: "j".into(),
            stage: "test".into(),
            stage_index: 0,
            script: Vec::new(),
            after_script: Vec::new(),
            variables: Vec::new(),
            tags: Vec::new(),
            needs: None,
            allow_failure,
            when: When::OnSuccess,
            timeout_s: None,
            retry_max,
            retry_when: retry_when.iter().map(|when| (*when).to_owned()).collect(),
            parallel: None,
            image: None,
            services: Vec::new(),
            environment: None,
            resource_group: None,
            id_tokens: Vec::new(),
            artifacts: Vec::new(),
            caches: Vec::new(),
            inputs: None,
        }
    }

    #[test]
    fn words_that_gitlab_does_not_know_become_unknown_failure() {
        assert_eq!(reason(Some("script_failure")), "script_failure");
        assert_eq!(reason(Some("job_canceled")), "unknown_failure");
        assert_eq!(reason(None), "unknown_failure");
    }

    #[test]
    fn exit_codes_are_clamped_and_may_forgive() {
        assert_eq!((exit_code(-1), exit_code(42), exit_code(70_000)), (0, 42, 32_767));
        let some = spec(AllowFailure::ExitCodes(vec![42]), 0, &[]);
        assert!(forgiven(&some, Some(42)) && !forgiven(&some, Some(1)) && !forgiven(&some, None));
    }

    #[test]
    fn repetition_by_count_and_reason() {
        let any = spec(AllowFailure::No, 1, &[]);
        assert!(repeats(&any, 0, "script_failure") && !repeats(&any, 1, "script_failure"));
        let system = spec(AllowFailure::No, 2, &["runner_system_failure"]);
        assert!(repeats(&system, 1, "runner_system_failure") && !repeats(&system, 1, "script_failure"));
        assert!(repeats(&spec(AllowFailure::No, 1, &["always"]), 0, "api_failure"));
    }

    #[test]
    fn a_cancelled_job_stays_cancelled() {
        assert_eq!(final_status(Status::Canceling, true), Status::Canceled);
        assert_eq!(final_status(Status::Running, false), Status::Failed);
    }
}
