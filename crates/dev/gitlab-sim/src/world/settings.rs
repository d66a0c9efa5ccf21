//! How this GitLab is set up, and what of it can be changed while it runs.

use serde::{Deserialize, Serialize};

use crate::body::distort::Distortion;

/// `POST /_sim/v1/settings` replaces the keys that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Two-phase commit (`allow_runner_job_acknowledgement`).
    pub two_phase: bool,
    /// How long an offer waits for its acceptance, in seconds; GitLab's two minutes.
    pub two_phase_s: f64,
    /// How long `jobs/request` is held while nothing changed, in seconds; 0 answers at once.
    pub long_poll_s: f64,
    /// `X-GitLab-Trace-Update-Interval`: 3 while somebody watches, else 60.
    pub trace_interval_s: u64,
    /// Hooks that fail are disabled (`auto_disabling_web_hooks`; on for GitLab.com).
    pub auto_disable: bool,
    /// Length of the first pause of a failing hook, in seconds; it doubles.
    pub auto_disable_s: f64,
    /// Deliveries per minute and top-level namespace, beyond which they are dropped; 0 for no limit, as on self-managed
    /// instances. GitLab.com: 500 to 13,000.
    pub hooks_per_min: u64,
    /// How long a hook's receiver may take, in seconds.
    pub hook_timeout_s: f64,
    /// `POST runners` with a registration token works.
    pub registration_tokens: bool,
    /// Runners of a project, and of a group; 0 for no limit. GitLab's default, of which GitLab.com's free plan allows 50.
    pub runners_per_owner: u64,
    /// A final update whose checksum or size is wrong: `accept` (200, as Rails does) or `412`.
    pub bad_checksum: BadChecksum,
    /// So many final updates of every new job are answered 202.
    pub put_202: u64,
    /// Largest log, in bytes; GitLab's `ci_jobs_trace_size_limit`.
    pub trace_limit_bytes: u64,
    /// Largest artifact, in bytes.
    pub artifact_limit_bytes: u64,
    /// Artifacts are in object storage: who asks for one with `direct_download=true` is sent there.
    pub object_storage: bool,
    /// Patches per minute and job token; 0 for no limit.
    pub trace_per_min: u64,
    /// `jobs/request` per minute and runner token; 0 for no limit.
    pub request_per_min: u64,
    /// Other calls about a job per minute and job token; 0 for no limit.
    pub job_per_min: u64,
    /// Timeout of a job that names none, in seconds.
    pub job_timeout_s: u64,
    /// How long after its timeout GitLab itself ends a job, in seconds.
    pub timeout_grace_s: f64,
    /// A job without any word from its runner ends after so many seconds.
    pub no_updates_s: f64,
    /// A pending job without a matching online runner ends after so many seconds.
    pub stuck_s: f64,
    /// How old a manager's features must be to be written again, in seconds.
    pub features_s: f64,
    /// Jobs that need a feature fail when the runner that would get them does not advertise it.
    pub check_features: bool,
    /// Job tokens as long as JWTs.
    pub long_tokens: bool,
    /// The API token's user is a maintainer of every project: others may not see hooks.
    pub token_of_maintainer: bool,
    /// How the 201 bodies are written: in the ways that the contract allows and habit does not.
    pub distort: Vec<Distortion>,
}

/// What a wrong checksum does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BadChecksum {
    /// The job ends as reported; only the violation tells.
    #[serde(rename = "accept")]
    Accept,
    /// The runner is asked for the whole log again.
    #[serde(rename = "412")]
    Resend,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            two_phase: false,
            two_phase_s: 120.0,
            long_poll_s: 0.0,
            trace_interval_s: 3,
            auto_disable: false,
            auto_disable_s: 60.0,
            hooks_per_min: 0,
            hook_timeout_s: 10.0,
            registration_tokens: false,
            runners_per_owner: 1000,
            bad_checksum: BadChecksum::Accept,
            put_202: 0,
            trace_limit_bytes: 100 * 1024 * 1024,
            artifact_limit_bytes: 100 * 1024 * 1024,
            object_storage: false,
            trace_per_min: 200,
            request_per_min: 2000,
            job_per_min: 200,
            job_timeout_s: 3600,
            timeout_grace_s: 900.0,
            no_updates_s: 3600.0,
            stuck_s: 3600.0,
            features_s: 2400.0,
            check_features: true,
            long_tokens: false,
            token_of_maintainer: true,
            distort: Vec::new(),
        }
    }
}

/// Seconds of a setting as milliseconds; nothing negative, nothing endless.
pub(crate) fn millis(seconds: f64) -> u64 {
    let bounded = if seconds.is_finite() { seconds.clamp(0.0, 31_536_000.0) } else { 0.0 };
    u64::try_from(std::time::Duration::from_secs_f64(bounded).as_millis()).unwrap_or(0)
}
