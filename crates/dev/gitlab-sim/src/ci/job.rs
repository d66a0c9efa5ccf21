//! One job of the file, before `parallel` and `needs` are worked out.

use super::artifacts;
use super::caches;
use super::deployment;
use super::error::{CiError, Place};
use super::keywords;
use super::matrix::{self, Parallel};
use super::needs::{self, Need};
use super::read;
use super::script;
use super::variables::{self, Owner};
use super::yaml::{Map, Value};
use super::{AllowFailure, Artifact, Cache, Environment, IdToken, Retry, Variable, When, duration};

/// The longest time limit of a job: a month, as Rails counts it.
const TIMEOUT_LIMIT_S: u64 = 2_629_746;
/// The longest delay of a job: a week.
const DELAY_LIMIT_S: u64 = 604_800;
/// One more tag than a job may have.
const TAGS_LIMIT: usize = 50;

/// After what GitLab can be told to retry.
const RETRY_REASONS: &[&str] = &[
    "always",
    "api_failure",
    "archived_failure",
    "builds_disabled",
    "ci_quota_exceeded",
    "data_integrity_failure",
    "deployment_rejected",
    "environment_creation_failure",
    "failed_outdated_deployment_job",
    "forward_deployment_failure",
    "job_execution_server_timeout",
    "job_execution_timeout",
    "missing_dependency_failure",
    "no_matching_runner",
    "pipeline_loop_detected",
    "project_deleted",
    "runner_system_failure",
    "runner_unsupported",
    "scheduler_failure",
    "script_failure",
    "stale_schedule",
    "stuck_or_timeout_failure",
    "trace_size_exceeded",
    "unknown_failure",
    "unmet_prerequisites",
    "user_blocked",
];

/// What a job takes from `default`, or says itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    pub(super) before_script: Option<Vec<String>>,
    pub(super) after_script: Option<Vec<String>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) retry: Option<Retry>,
    pub(super) timeout_s: Option<u64>,
    pub(super) image: Option<String>,
    pub(super) services: Option<Vec<String>>,
    pub(super) id_tokens: Option<Vec<IdToken>>,
    pub(super) artifacts: Option<Vec<Artifact>>,
    pub(super) caches: Option<Vec<Cache>>,
}

impl Shared {
    /// Reads the keywords that jobs and `default` share. `at` gives a keyword's place.
    pub(super) fn read<'p>(map: &Map, at: impl Fn(&str) -> Place<'p>) -> Result<Self, CiError> {
        let entries = |key| map.get(key).map(|value| script::entries(&at(key), value)).transpose();
        Ok(Self {
            before_script: entries("before_script")?,
            after_script: entries("after_script")?,
            tags: map.get("tags").map(|value| tags(&at("tags"), value)).transpose()?,
            retry: map.get("retry").map(|value| retry(&at("retry"), value)).transpose()?,
            timeout_s: map.get("timeout").map(|value| time(&at("timeout"), value, TIMEOUT_LIMIT_S)).transpose()?,
            image: map.get("image").map(|value| image(&at("image"), value)).transpose()?,
            services: map.get("services").map(|value| services(&at("services"), value)).transpose()?,
            id_tokens: map.get("id_tokens").map(|value| deployment::id_tokens(&at("id_tokens"), value)).transpose()?,
            artifacts: map.get("artifacts").map(|value| artifacts::artifacts(&at("artifacts"), value)).transpose()?,
            caches: map.get("cache").map(|value| caches::caches(&at("cache"), value)).transpose()?,
        })
    }

    /// Takes from `defaults` what is not said here.
    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            before_script: self.before_script.or_else(|| defaults.before_script.clone()),
            after_script: self.after_script.or_else(|| defaults.after_script.clone()),
            tags: self.tags.or_else(|| defaults.tags.clone()),
            retry: self.retry.or_else(|| defaults.retry.clone()),
            timeout_s: self.timeout_s.or(defaults.timeout_s),
            image: self.image.or_else(|| defaults.image.clone()),
            services: self.services.or_else(|| defaults.services.clone()),
            id_tokens: self.id_tokens.or_else(|| defaults.id_tokens.clone()),
            artifacts: self.artifacts.or_else(|| defaults.artifacts.clone()),
            caches: self.caches.or_else(|| defaults.caches.clone()),
        }
    }
}

/// A job of the file.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) stage: String,
    pub(super) script: Vec<String>,
    pub(super) shared: Shared,
    pub(super) variables: Vec<Variable>,
    pub(super) needs: Option<Vec<Need>>,
    pub(super) dependencies: Option<Vec<Need>>,
    pub(super) allow_failure: AllowFailure,
    pub(super) when: When,
    pub(super) parallel: Option<Parallel>,
    pub(super) environment: Option<Environment>,
    pub(super) resource_group: Option<String>,
}

impl Draft {
    /// Reads a job.
    pub(super) fn read(name: &str, map: &Map) -> Result<Self, CiError> {
        let at = |keyword: &str| Place::job(name, keyword);
        for (key, _) in map.iter() {
            let key = key.scalar_text().unwrap_or_else(|| key.kind().to_owned());
            if !keywords::OF_JOBS.contains(&key.as_str()) {
                return Err(at(&key).refuse(keywords::refusal(&key, keywords::OF_JOBS)));
            }
        }
        let when = when(name, map)?;
        Ok(Self {
            name: name.to_owned(),
            stage: map.get("stage").map_or(Ok("test".to_owned()), |value| read::text(&at("stage"), value))?,
            script: required_script(&at("script"), map)?,
            shared: Shared::read(map, at)?,
            variables: map
                .get("variables")
                .map_or(Ok(Vec::new()), |value| variables::variables(&at("variables"), value, Owner::Job))?,
            needs: map.get("needs").map(|value| needs::needs(&at("needs"), value)).transpose()?,
            dependencies: map
                .get("dependencies")
                .map(|value| artifacts::dependencies(&at("dependencies"), value))
                .transpose()?,
            allow_failure: allow_failure(&at("allow_failure"), map, when)?,
            when,
            parallel: map.get("parallel").map(|value| matrix::parallel(&at("parallel"), value)).transpose()?,
            environment: map
                .get("environment")
                .map(|value| deployment::environment(&at("environment"), value))
                .transpose()?,
            resource_group: map
                .get("resource_group")
                .map(|value| read::text(&at("resource_group"), value))
                .transpose()?,
        })
    }
}

fn required_script(place: &Place<'_>, map: &Map) -> Result<Vec<String>, CiError> {
    let value = map.get("script").ok_or_else(|| place.refuse("is missing; add it, or begin the name with a dot"))?;
    let entries = script::entries(place, value)?;
    let blank = matches!(value, Value::Text(text) if text.trim().is_empty());
    if blank || entries.is_empty() { Err(place.refuse("has no entry; add a command")) } else { Ok(entries) }
}

fn when(job: &str, map: &Map) -> Result<When, CiError> {
    let (place, delay) = (Place::job(job, "when"), Place::job(job, "start_in"));
    let word = map.get("when").map_or(Ok("on_success".to_owned()), |value| read::text(&place, value))?;
    let start_in = map.get("start_in");
    let when = match (word.as_str(), start_in) {
        ("delayed", Some(value)) => return Ok(When::Delayed(time(&delay, value, DELAY_LIMIT_S)?)),
        ("delayed", None) => return Err(delay.refuse("is missing; `when: delayed` needs a duration as `30 minutes`")),
        ("on_success", _) => When::OnSuccess,
        ("on_failure", _) => When::OnFailure,
        ("always", _) => When::Always,
        ("manual", _) => When::Manual,
        _ => {
            let problem = format!("is `{word}`; write `on_success`, `on_failure`, `always`, `manual` or `delayed`");
            return Err(place.refuse(problem));
        }
    };
    if start_in.is_some() { Err(delay.refuse("is for `when: delayed`; remove it, or add that")) } else { Ok(when) }
}

fn allow_failure(place: &Place<'_>, map: &Map, when: When) -> Result<AllowFailure, CiError> {
    match map.get("allow_failure") {
        None if when == When::Manual => Ok(AllowFailure::Yes),
        None | Some(Value::Bool(false)) => Ok(AllowFailure::No),
        Some(Value::Bool(true)) => Ok(AllowFailure::Yes),
        Some(Value::Map(map)) => {
            read::only_keys(place, map, &["exit_codes"])?;
            let place = place.below("exit_codes");
            let value = map.get("exit_codes").ok_or_else(|| place.refuse("is missing; list the exit codes"))?;
            let code = |value: &Value| match value {
                Value::Int(code) => i32::try_from(*code).ok(),
                _ => None,
            };
            let codes: Option<Vec<i32>> = read::one_or_more(value).iter().map(code).collect();
            codes
                .map(AllowFailure::ExitCodes)
                .ok_or_else(|| place.refuse("is not a whole number or a list of them; write that"))
        }
        Some(other) => Err(place.refuse(format!("is {}; write `true`, `false` or `exit_codes`", other.kind()))),
    }
}

fn tags(place: &Place<'_>, value: &Value) -> Result<Vec<String>, CiError> {
    let tags = read::texts(place, value)?;
    if tags.len() >= TAGS_LIMIT {
        Err(place.refuse(format!("must be fewer than {TAGS_LIMIT}; remove some")))
    } else {
        Ok(tags)
    }
}

fn retry(place: &Place<'_>, value: &Value) -> Result<Retry, CiError> {
    let Value::Map(map) = value else { return Ok(Retry { max: read::whole(place, value, 0, 2)?, ..Retry::default() }) };
    read::only_keys(place, map, &["max", "when"])?;
    let mut retry = Retry::default();
    if let Some(max) = map.get("max") {
        retry.max = read::whole(&place.below("max"), max, 0, 2)?;
    }
    if let Some(when) = map.get("when") {
        let place = place.below("when");
        retry.when =
            read::one_or_more(when).iter().map(|reason| read::text(&place, reason)).collect::<Result<_, _>>()?;
        if let Some(unknown) = retry.when.iter().find(|reason| !RETRY_REASONS.contains(&reason.as_str())) {
            return Err(place.refuse(format!("has `{unknown}`; write one of `{}`", RETRY_REASONS.join("`, `"))));
        }
    }
    Ok(retry)
}

/// A duration, which GitLab wants as text.
fn time(place: &Place<'_>, value: &Value, most: u64) -> Result<u64, CiError> {
    let text = read::text(place, value)?;
    let seconds = duration::seconds(&text).ok_or_else(|| {
        place.refuse(format!("is `{text}`, which is no duration; write one as `1h 30m` or `90 minutes`"))
    })?;
    if seconds > most { Err(place.refuse(format!("is more than {most} seconds; shorten it"))) } else { Ok(seconds) }
}

fn image(place: &Place<'_>, value: &Value) -> Result<String, CiError> {
    let Value::Map(map) = value else { return read::text(place, value) };
    read::only_keys(place, map, &["name"])?;
    let place = place.below("name");
    read::text(&place, map.get("name").ok_or_else(|| place.refuse("is missing; name the image"))?)
}

fn services(place: &Place<'_>, value: &Value) -> Result<Vec<String>, CiError> {
    match value {
        Value::List(items) => items.iter().map(|item| image(place, item)).collect(),
        other => Err(place.refuse(format!("is {}; write a list of images", other.kind()))),
    }
}
