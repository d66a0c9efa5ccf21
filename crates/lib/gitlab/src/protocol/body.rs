//! The job as `POST jobs/request` hands it out.
//!
//! Field names are GitLab's. Arrays may be null or absent, objects may have more keys, names of steps and policies may
//! be new: none of that makes a body unreadable. What does make it unreadable is reported as such by
//! [`super::Assignment`], with the id and the token that it takes to say so to GitLab.

use serde::Deserialize;

use super::lenient::{integer, list, nullable, text};
use super::secret::Secret;

/// What the runner assumes when GitLab sends no job timeout or one that is not positive, in seconds; the official
/// runner's own default.
pub const NO_TIMEOUT_SENT_SECS: u64 = 7200;

/// Everything that the job is made of.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct JobBody {
    /// Whether a work tree of an earlier job may be reused: decides the git strategy when the job names none.
    #[serde(default, deserialize_with = "nullable")]
    pub allow_git_fetch: bool,
    /// Names and ids.
    #[serde(default, deserialize_with = "nullable")]
    pub job_info: JobInfo,
    /// Where the sources come from.
    #[serde(default, deserialize_with = "nullable")]
    pub git_info: GitInfo,
    /// The limits that GitLab computed for this runner.
    #[serde(default, deserialize_with = "nullable")]
    pub runner_info: RunnerInfo,
    /// Values for `${{ job.inputs.* }}`.
    #[serde(default, deserialize_with = "list")]
    pub inputs: Vec<Input>,
    /// In GitLab's order; of two with one key the later wins.
    #[serde(default, deserialize_with = "list")]
    pub variables: Vec<Variable>,
    /// `script`, `after_script`, `release` and whatever comes next.
    #[serde(default, deserialize_with = "list")]
    pub steps: Vec<Step>,
    /// The `run:` keyword: CI steps as a JSON text. Present and not empty means that `steps` does not apply.
    #[serde(default, deserialize_with = "nullable")]
    pub run: String,
    /// Scripts around the getting of sources.
    #[serde(default, deserialize_with = "list")]
    pub hooks: Vec<Hook>,
    /// `image:`, which a shell does not run.
    #[serde(default)]
    pub image: Option<Image>,
    /// `services:`, which a shell does not run.
    #[serde(default, deserialize_with = "list")]
    pub services: Vec<Service>,
    /// What the job wants to keep.
    #[serde(default, deserialize_with = "list")]
    pub artifacts: Vec<Artifact>,
    /// What the job wants to find again.
    #[serde(default, deserialize_with = "list")]
    pub cache: Vec<CacheEntry>,
    /// Jobs whose artifacts this one needs.
    #[serde(default, deserialize_with = "list")]
    pub dependencies: Vec<Dependency>,
    /// What this GitLab understands.
    #[serde(default, deserialize_with = "nullable")]
    pub features: JobFeatures,
}

/// Names and ids of the job.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct JobInfo {
    /// The job's full name, as in the pipeline.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// The stage's name.
    #[serde(default, deserialize_with = "text")]
    pub stage: String,
    /// The project's id.
    #[serde(default, deserialize_with = "integer")]
    pub project_id: Option<i64>,
    /// The project's name, not its path.
    #[serde(default, deserialize_with = "text")]
    pub project_name: String,
    /// `group/project`; absent before 18.x.
    #[serde(default, deserialize_with = "text")]
    pub project_full_path: String,
    /// The pipeline's id; absent before 18.x.
    #[serde(default, deserialize_with = "integer")]
    pub pipeline_id: Option<i64>,
}

/// Where the sources come from.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct GitInfo {
    /// With user and job token in it.
    #[serde(default, deserialize_with = "text")]
    pub repo_url: String,
    /// Branch or tag, or a merge request's ref.
    #[serde(rename = "ref", default, deserialize_with = "text")]
    pub ref_name: String,
    /// The commit to check out.
    #[serde(default, deserialize_with = "text")]
    pub sha: String,
    /// The branch's commit before; zeros for a new one.
    #[serde(default, deserialize_with = "text")]
    pub before_sha: String,
    /// `branch` or `tag`.
    #[serde(default, deserialize_with = "text")]
    pub ref_type: String,
    /// What to fetch; the server applied the job's depth to it.
    #[serde(default, deserialize_with = "list")]
    pub refspecs: Vec<String>,
    /// How many commits to fetch; 0 or absent for all.
    #[serde(default, deserialize_with = "integer")]
    pub depth: Option<i64>,
    /// `sha1` or `sha256`; empty before 17.x.
    #[serde(default, deserialize_with = "text")]
    pub repo_object_format: String,
}

/// The limits that GitLab computed.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RunnerInfo {
    /// The job's timeout in seconds, already cut to the runner's maximum.
    #[serde(default, deserialize_with = "integer")]
    pub timeout: Option<i64>,
}

impl RunnerInfo {
    /// The job's timeout in seconds, [`NO_TIMEOUT_SENT_SECS`] when GitLab sent none that makes sense.
    #[must_use]
    pub fn timeout_secs(&self) -> u64 {
        self.timeout.and_then(|secs| u64::try_from(secs).ok()).filter(|secs| *secs > 0).unwrap_or(NO_TIMEOUT_SENT_SECS)
    }
}

/// One value for `${{ job.inputs.* }}`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Input {
    /// The input's name.
    #[serde(default, deserialize_with = "text")]
    pub key: String,
}

/// One variable.
#[derive(Clone, Default, Deserialize)]
pub struct Variable {
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub key: String,
    /// Its value; null on the wire is empty.
    #[serde(default, deserialize_with = "text")]
    pub value: String,
    /// May be shown.
    #[serde(default, deserialize_with = "nullable")]
    pub public: bool,
    /// Must not be seen in the log.
    #[serde(default, deserialize_with = "nullable")]
    pub masked: bool,
    /// The job gets the path of a file with the value.
    #[serde(default, deserialize_with = "nullable")]
    pub file: bool,
    /// References in it stay as they are.
    #[serde(default, deserialize_with = "nullable")]
    pub raw: bool,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values of variables are not for our own logs, masked or not.
        f.debug_struct("Variable").field("key", &self.key).finish_non_exhaustive()
    }
}

/// One step of the job.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Step {
    /// `script`, `after_script`, `release`, or a name that this version does not know.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Its lines; one may hold several lines of shell.
    #[serde(default, deserialize_with = "list")]
    pub script: Vec<String>,
}

/// A script around the getting of sources.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Hook {
    /// `pre_get_sources_script` or `post_get_sources_script`.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Its lines.
    #[serde(default, deserialize_with = "list")]
    pub script: Vec<String>,
}

/// `image:`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Image {
    /// The image's reference.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
}

/// One of `services:`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Service {
    /// The image's reference.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
}

/// One thing that the job wants to keep: its archive, or a report.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Artifact {
    /// The file's name without its ending, variables unexpanded; empty when the job names none.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Whether files that git does not know belong to it.
    #[serde(default, deserialize_with = "nullable")]
    pub untracked: bool,
    /// Which files, as patterns with variables unexpanded.
    #[serde(default, deserialize_with = "list")]
    pub paths: Vec<String>,
    /// Which of these not.
    #[serde(default, deserialize_with = "list")]
    pub exclude: Vec<String>,
    /// `on_success`, `on_failure` or `always`; empty is `on_success`.
    #[serde(default, deserialize_with = "text")]
    pub when: String,
    /// How long GitLab keeps it, in GitLab's words.
    #[serde(default, deserialize_with = "text")]
    pub expire_in: String,
    /// What GitLab takes it for: `archive`, `junit`, `dotenv` and so on.
    #[serde(default, deserialize_with = "text")]
    pub artifact_type: String,
    /// How the files are packed: `zip`, `gzip` or `raw`; empty is `zip`.
    #[serde(default, deserialize_with = "text")]
    pub artifact_format: String,
}

/// One of `cache:`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CacheEntry {
    /// The key, variables unexpanded; empty when the job names none.
    #[serde(default, deserialize_with = "text")]
    pub key: String,
    /// Whether files that git does not know belong to it.
    #[serde(default, deserialize_with = "nullable")]
    pub untracked: bool,
    /// Which files, as patterns with variables unexpanded.
    #[serde(default, deserialize_with = "list")]
    pub paths: Vec<String>,
    /// `pull-push`, `pull` or `push`, or a variable; empty is `pull-push`.
    #[serde(default, deserialize_with = "text")]
    pub policy: String,
    /// `on_success`, `on_failure` or `always`; empty is `on_success`.
    #[serde(default, deserialize_with = "text")]
    pub when: String,
    /// Keys to look under, one after the other, when there is nothing under the first.
    #[serde(default, deserialize_with = "list")]
    pub fallback_keys: Vec<String>,
}

/// A job whose artifacts this one needs.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Dependency {
    /// That job's id.
    #[serde(default, deserialize_with = "integer")]
    pub id: Option<i64>,
    /// That job's name.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Opens its artifacts: newer GitLabs send the token of the job that needs them.
    #[serde(default, deserialize_with = "nullable")]
    pub token: Secret,
    /// Absent when it left nothing to download.
    #[serde(default)]
    pub artifacts_file: Option<ArtifactsFile>,
}

/// What there is to download.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ArtifactsFile {
    /// Its name; empty when there is none.
    #[serde(default, deserialize_with = "text")]
    pub filename: String,
}

/// What this GitLab understands.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct JobFeatures {
    /// Section markers in the log.
    #[serde(default, deserialize_with = "nullable")]
    pub trace_sections: bool,
    /// Prefixes of tokens to mask, beside the well-known ones.
    #[serde(default, deserialize_with = "list")]
    pub token_mask_prefixes: Vec<String>,
    /// Failure reasons that this GitLab knows beyond the three that all know.
    #[serde(default, deserialize_with = "list")]
    pub failure_reasons: Vec<String>,
}
