//! What a runner says about itself with every request.

use serde::Serialize;

/// The `info` object of the runner calls.
///
/// Kept small on purpose: GitLab's front server caps the body of `jobs/request` (at 4 KiB in older versions).
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The program's name, shown in GitLab's runner list.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The commit that it was built from, short; empty when unknown.
    pub revision: String,
    /// `linux`.
    pub platform: String,
    /// Go's name of the architecture (`amd64`, `arm64`): what GitLab's list shows for every runner.
    pub architecture: String,
    /// GitLab knows a fixed list of executors; the one that ours behaves as is `shell`.
    pub executor: String,
    /// The shell that the scripts are written for.
    pub shell: String,
    /// What this runner can do.
    pub features: Features,
}

impl Info {
    /// The description of this build: the shell executor's behaviour under our own name.
    #[must_use]
    pub fn new(name: &str, version: &str, revision: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            revision: revision.to_owned(),
            platform: "linux".to_owned(),
            architecture: go_architecture().to_owned(),
            executor: "shell".to_owned(),
            shell: "bash".to_owned(),
            features: Features::implemented(),
        }
    }
}

/// The architecture that this was built for, in Go's words, as GitLab and `CI_RUNNER_EXECUTABLE_ARCH` show it.
#[must_use]
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The `features` object: only what is implemented may be true, because GitLab gives jobs by it and fails those that
/// need what is missing with a reason that the user can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Features {
    /// Variables reach the job.
    pub variables: bool,
    /// Variables marked raw are not expanded.
    pub raw_variables: bool,
    /// The job runs on the runner's own system, not in an image.
    pub shared: bool,
    /// `git_info.refspecs` is honoured; merge request pipelines need it.
    pub refspecs: bool,
    /// Masked values are masked before they leave the runner.
    pub masking: bool,
    /// Steps beside `script` and `after_script` run (`release`).
    pub multi_build_steps: bool,
    /// GitLab may ask for earlier bytes of the log again.
    pub trace_reset: bool,
    /// The final update carries the log's CRC32.
    pub trace_checksum: bool,
    /// The final update carries the log's size.
    pub trace_size: bool,
    /// Cancelling is noticed.
    pub cancelable: bool,
    /// `after_script` runs after a cancel.
    pub cancel_gracefully: bool,
    /// The exit code is sent; `allow_failure:exit_codes` needs it.
    pub return_exit_code: bool,
    /// The job is accepted in a second step.
    pub two_phase_job_commit: bool,
    /// Files of the job are kept, and those of other jobs brought.
    pub artifacts: bool,
    /// More than one file is kept: reports beside the archive.
    pub upload_multiple_artifacts: bool,
    /// A report may be sent as it is.
    pub upload_raw_artifacts: bool,
    /// `artifacts:exclude` is heeded.
    pub artifacts_exclude: bool,
    /// Caches are restored and saved, where the host keeps them.
    pub cache: bool,
    /// `cache:fallback_keys` is heeded.
    pub fallback_cache_keys: bool,
}

impl Features {
    /// What this version does.
    #[must_use]
    pub const fn implemented() -> Self {
        Self {
            variables: true,
            raw_variables: true,
            shared: true,
            refspecs: true,
            masking: true,
            multi_build_steps: true,
            trace_reset: true,
            trace_checksum: true,
            trace_size: true,
            cancelable: true,
            cancel_gracefully: true,
            return_exit_code: true,
            two_phase_job_commit: true,
            artifacts: true,
            upload_multiple_artifacts: true,
            upload_raw_artifacts: true,
            artifacts_exclude: true,
            cache: true,
            fallback_cache_keys: true,
        }
    }
}
