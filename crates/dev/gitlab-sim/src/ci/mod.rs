//! The subset of `.gitlab-ci.yml` that the simulator runs: a file becomes the jobs that GitLab would create for it.
//!
//! What is read means what it means in GitLab, down to the names of `parallel` jobs and to YAML 1.1: an unquoted `yes`
//! or `off` is a boolean and reaches a job as `true` or `false`, `010` is 8, and `1.50` is `1.5`. What is outside the
//! subset is refused by name, so that no file runs with less than its author wrote:
//!
//! - of the file: `include` of files of the same repository, `stages`, `variables`, `default`, the older global
//!   `before_script`, `after_script`, `image` and `services`, jobs, and hidden jobs (`.name`) for `extends` and YAML
//!   anchors;
//! - of a job: `extends`, `stage`, `script`, `before_script`, `after_script`, `variables`, `tags`, `needs`,
//!   `allow_failure`, `when`, `start_in`, `timeout`, `retry`, `parallel`, the names of `image` and `services`, the name,
//!   address and action of `environment`, `resource_group`, `id_tokens`, `artifacts` with the reports that nothing but
//!   GitLab's pages reads, `dependencies`, and `cache` with keys that are text.
//!
//! Two liberties: the values of a matrix may be any scalar, where GitLab wants text or a whole number, and two jobs
//! that get the same name are refused, where GitLab silently keeps one.
//!
//! Source: GitLab's keyword reference, the entries of `Gitlab::Ci::Config`, and Ruby's Psych.

mod artifacts;
mod caches;
mod deployment;
mod duration;
mod error;
mod extends;
mod file;
mod include;
mod job;
mod keywords;
mod matrix;
mod needs;
mod read;
mod script;
mod variables;
mod yaml;

#[cfg(test)]
mod tests;

pub use error::CiError;

/// Reads a file. Every job that it describes is created: the subset has no rules that could leave one out. `other` gives the
/// text of another file of the commit, which `include` may name; `None` when there is no such file.
///
/// # Errors
/// What is refused: the job, the keyword, and the cure.
pub fn parse(text: &str, other: &dyn Fn(&str) -> Option<String>) -> Result<Pipeline, CiError> {
    let whole = include::whole(yaml::load(text)?, other)?;
    file::read(&extends::extended(&whole)?)
}

/// What a file describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// The stages in order, `.pre` first and `.post` last.
    pub stages: Vec<String>,
    /// The variables of all jobs.
    pub variables: Vec<Variable>,
    /// The jobs in the order of the file; those of one `parallel` follow each other.
    pub jobs: Vec<Job>,
}

impl Pipeline {
    /// The job with this full name.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

/// A variable as the file has it, not expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether references to other variables in it stay as they are (`expand: false`).
    pub raw: bool,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The full name, which `parallel` and `matrix` extend: `test 1/2`, `test: [linux, 1.2]`.
    pub name: String,
    /// The name in the file.
    pub base_name: String,
    /// Its stage, one of the pipeline's.
    pub stage: String,
    /// The entries of `before_script` and `script`. An entry may have several lines.
    pub script: Vec<String>,
    /// The entries of `after_script`.
    pub after_script: Vec<String>,
    /// The pipeline's variables, overridden by the job's, overridden by the matrix's. No key comes twice.
    pub variables: Vec<Variable>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The full names of the jobs that it waits for. `None`: it waits for all earlier stages.
    pub needs: Option<Vec<String>>,
    /// The full names of the jobs whose artifacts it gets. `None`: those of all jobs in earlier stages.
    pub inputs: Option<Vec<String>>,
    /// What is kept of it: the archive first, then each report.
    pub artifacts: Vec<Artifact>,
    /// What it wants to find again.
    pub caches: Vec<Cache>,
    /// Whether its failure is the pipeline's. A manual job may fail unless the file says otherwise.
    pub allow_failure: AllowFailure,
    /// When it runs.
    pub when: When,
    /// Its own time limit in seconds.
    pub timeout_s: Option<u64>,
    /// How often it is run again.
    pub retry: Retry,
    /// Its index, from 1, among the jobs of its `parallel`, and their number.
    pub parallel: Option<(u32, u32)>,
    /// The name of its image.
    pub image: Option<String>,
    /// The names of the images of its services.
    pub services: Vec<String>,
    /// What it deploys to.
    pub environment: Option<Environment>,
    /// Of the jobs of a project with the same resource group, variables replaced, one at a time runs.
    pub resource_group: Option<String>,
    /// The tokens that say who it is.
    pub id_tokens: Vec<IdToken>,
}

/// One file that is kept of a job, as its runner is asked for it. Variables are not replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name without ending.
    pub name: Option<String>,
    /// Whether files that git does not know belong to it.
    pub untracked: bool,
    /// Which files.
    pub paths: Vec<String>,
    /// Which of them not.
    pub exclude: Vec<String>,
    /// `on_success`, `on_failure` or `always`.
    pub when: String,
    /// How long it is kept.
    pub expire_in: Option<String>,
    /// What it is: `archive`, or a kind of report.
    pub kind: String,
    /// How it is packed: `zip`, `gzip` or `raw`.
    pub format: String,
}

/// Files that a job wants to find again, as its runner is asked for them. Variables are not replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Under which name.
    pub key: String,
    /// Which files.
    pub paths: Vec<String>,
    /// Whether files that git does not know belong to it.
    pub untracked: bool,
    /// `pull-push`, `pull`, `push`, or a variable.
    pub policy: String,
    /// `on_success`, `on_failure` or `always`.
    pub when: String,
    /// Names to look under when there is nothing under the first.
    pub fallback_keys: Vec<String>,
    /// Whether jobs of protected and of other refs share it.
    pub unprotect: bool,
}

/// What a job deploys to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name, variables not replaced.
    pub name: String,
    /// Its address, variables not replaced.
    pub url: Option<String>,
    /// What the job does to it: `start`, `prepare`, `stop`, `verify` or `access`.
    pub action: String,
}

/// A token that says who a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdToken {
    /// The variable that it is in.
    pub variable: String,
    /// Whom it is for, variables not replaced.
    pub audiences: Vec<String>,
    /// Whether the file has a list of them, which the token then has, too.
    pub listed: bool,
}

/// Whether a job may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowFailure {
    /// Its failure fails the pipeline.
    No,
    /// Its failure changes nothing.
    Yes,
    /// Only its failure with one of these exit codes changes nothing.
    ExitCodes(Vec<i32>),
}

/// When a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When what it waits for succeeded or may fail.
    OnSuccess,
    /// When a job before it failed.
    OnFailure,
    /// Whatever happened before it.
    Always,
    /// When somebody starts it.
    Manual,
    /// This many seconds after it could have run.
    Delayed(u64),
    /// Not at all. Only GitLab's `rules` can say so; a job's own `when: never` is refused, as GitLab does.
    Never,
}

/// How often a failed job is run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// At most so often, 0 to 2.
    pub max: u32,
    /// After a failure with one of these reasons; `always` stands for all of them.
    pub when: Vec<String>,
}

impl Default for Retry {
    /// Never; and a `retry` that says only how often means all failures.
    fn default() -> Self {
        Self { max: 0, when: vec!["always".to_owned()] }
    }
}
