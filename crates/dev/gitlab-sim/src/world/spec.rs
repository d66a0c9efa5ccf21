//! What a job is made of, as the pipeline's file says it.

use serde::{Deserialize, Serialize};

use crate::ci;

/// One job's definition; shared by the job and its retries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    /// Full name, with index or matrix values.
    pub name: String,
    /// The name in the file.
    pub base_name: String,
    /// The stage's name.
    pub stage: String,
    /// The stage's place in the pipeline.
    pub stage_index: usize,
    /// `before_script` and `script`.
    pub script: Vec<String>,
    /// `after_script`.
    pub after_script: Vec<String>,
    /// The file's variables, in order; the later wins.
    pub variables: Vec<Variable>,
    /// The job's tags.
    pub tags: Vec<String>,
    /// Full names of the jobs that it needs; `None` for stage order.
    pub needs: Option<Vec<String>>,
    /// Whether its failure counts.
    pub allow_failure: AllowFailure,
    /// When its turn comes.
    pub when: When,
    /// The job's own timeout, in seconds.
    pub timeout_s: Option<u64>,
    /// How often it is repeated by itself.
    pub retry_max: u32,
    /// For which failure reasons; empty for all.
    pub retry_when: Vec<String>,
    /// Index and total of `parallel:`.
    pub parallel: Option<(u32, u32)>,
    /// `image:`.
    pub image: Option<String>,
    /// `services:`.
    pub services: Vec<String>,
    /// `environment:`.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// `resource_group:`, variables not replaced.
    #[serde(default)]
    pub resource_group: Option<String>,
    /// `id_tokens:`.
    #[serde(default)]
    pub id_tokens: Vec<IdToken>,
    /// `artifacts:`.
    #[serde(default)]
    pub artifacts: Vec<Kept>,
    /// `cache:`.
    #[serde(default)]
    pub caches: Vec<Cache>,
    /// Full names of the jobs whose artifacts it gets; `None` for all of earlier stages.
    #[serde(default)]
    pub inputs: Option<Vec<String>>,
}

/// One file that is kept of a job; variables not replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its name without ending.
    pub name: Option<String>,
    /// Whether files that git does not know belong to it.
    pub untracked: bool,
    /// Which files.
    pub paths: Vec<String>,
    /// Which of them not.
    pub exclude: Vec<String>,
    /// After which ends of the job.
    pub when: String,
    /// How long.
    pub expire_in: Option<String>,
    /// `archive`, or a kind of report.
    pub kind: String,
    /// `zip`, `gzip` or `raw`.
    pub format: String,
}

/// Files that a job wants to find again; variables not replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cache {
    /// Under which name.
    pub key: String,
    /// Which files.
    pub paths: Vec<String>,
    /// Whether files that git does not know belong to it.
    pub untracked: bool,
    /// Whether it is restored, saved, or both.
    pub policy: String,
    /// After which ends of the job it is saved.
    pub when: String,
    /// Names to look under when there is nothing under the first.
    pub fallback_keys: Vec<String>,
    /// Whether jobs of protected and of other refs share it.
    pub unprotect: bool,
}

/// What a job deploys to; variables not replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: Option<String>,
    /// What the job does to it.
    pub action: String,
}

/// A token that says who a job is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IdToken {
    /// The variable that it is in.
    pub variable: String,
    /// Whom it is for; variables not replaced.
    pub audiences: Vec<String>,
    /// The token has a list of them, not one text.
    pub listed: bool,
}

/// One variable, wherever it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Variable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// May be shown.
    pub public: bool,
    /// The runner hides it in the log.
    pub masked: bool,
    /// The job gets a path.
    pub file: bool,
    /// References in it stay.
    pub raw: bool,
    /// Only for protected refs.
    pub protected: bool,
}

impl Variable {
    /// A public variable.
    pub(crate) fn public(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.into(), public: true, ..Self::default() }
    }
}

/// Whether a job's failure counts for the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AllowFailure {
    /// It counts.
    No,
    /// It does not.
    Yes,
    /// It does not when the script ended with one of these codes.
    ExitCodes(Vec<i32>),
}

/// When a job's turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum When {
    /// When what it depends on went well.
    OnSuccess,
    /// When something that it depends on failed.
    OnFailure,
    /// In both cases.
    Always,
    /// When a person says so.
    Manual,
    /// So many seconds after its turn came.
    Delayed(u64),
}

impl JobSpec {
    /// Takes a parsed job over. `None` for `when: never`: such a job is not in the pipeline.
    pub(crate) fn from_ci(job: ci::Job, stages: &[String]) -> Option<Self> {
        let when = match job.when {
            ci::When::OnSuccess => When::OnSuccess,
            ci::When::OnFailure => When::OnFailure,
            ci::When::Always => When::Always,
            ci::When::Manual => When::Manual,
            ci::When::Delayed(seconds) => When::Delayed(seconds),
            ci::When::Never => return None,
        };
        let stage_index = stages.iter().position(|stage| *stage == job.stage).unwrap_or(stages.len());
        Some(Self {
            name: job.name,
            base_name: job.base_name,
            stage: job.stage,
            stage_index,
            script: job.script,
            after_script: job.after_script,
            variables: job.variables.into_iter().map(file_variable).collect(),
            tags: job.tags,
            needs: job.needs,
            allow_failure: match job.allow_failure {
                ci::AllowFailure::No => AllowFailure::No,
                ci::AllowFailure::Yes => AllowFailure::Yes,
                ci::AllowFailure::ExitCodes(codes) => AllowFailure::ExitCodes(codes),
            },
            when,
            timeout_s: job.timeout_s,
            retry_max: job.retry.max,
            retry_when: job.retry.when,
            parallel: job.parallel,
            image: job.image,
            services: job.services,
            environment: job.environment.map(|environment| {
                let ci::Environment { name, url, action } = environment;
                Environment { name, url, action }
            }),
            resource_group: job.resource_group,
            id_tokens: job.id_tokens.into_iter().map(id_token).collect(),
            artifacts: job.artifacts.into_iter().map(kept).collect(),
            caches: job.caches.into_iter().map(cache).collect(),
            inputs: job.inputs,
        })
    }

    /// Whether the job's failure is forgiven from the start, before any exit code is known.
    pub(crate) fn allows_failure(&self) -> bool {
        self.allow_failure == AllowFailure::Yes
    }
}

fn kept(artifact: ci::Artifact) -> Kept {
    let ci::Artifact { name, untracked, paths, exclude, when, expire_in, kind, format } = artifact;
    Kept { name, untracked, paths, exclude, when, expire_in, kind, format }
}

fn cache(cache: ci::Cache) -> Cache {
    let ci::Cache { key, paths, untracked, policy, when, fallback_keys, unprotect } = cache;
    Cache { key, paths, untracked, policy, when, fallback_keys, unprotect }
}

fn id_token(token: ci::IdToken) -> IdToken {
    let ci::IdToken { variable, audiences, listed } = token;
    IdToken { variable, audiences, listed }
}

/// Variables of the file are public and never masked.
fn file_variable(variable: ci::Variable) -> Variable {
    Variable { key: variable.key, value: variable.value, public: true, raw: variable.raw, ..Variable::default() }
}
