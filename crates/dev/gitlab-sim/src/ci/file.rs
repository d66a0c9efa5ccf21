//! The whole file: what holds for all jobs, and the jobs.

use std::collections::{BTreeMap, BTreeSet};

use super::artifacts;
use super::error::{CiError, Place};
use super::job::{Draft, Shared};
use super::keywords;
use super::matrix;
use super::needs;
use super::read;
use super::script;
use super::variables::{self, Owner};
use super::yaml::{Map, Value};
use super::{Job, Pipeline, Variable};

/// The longest full name of a job, in characters.
const NAME_LIMIT: usize = 255;
const FIRST_STAGE: &str = ".pre";
const LAST_STAGE: &str = ".post";

/// Makes the pipeline of a file in which nothing refers to other files or jobs any more.
pub(super) fn read(root: &Map) -> Result<Pipeline, CiError> {
    let stages = stages(root)?;
    let variables = root
        .get("variables")
        .map_or(Ok(Vec::new()), |value| variables::variables(&Place::global("variables"), value, Owner::Pipeline))?;
    let defaults = defaults(root)?;
    let drafts = drafts(root)?;
    let jobs = jobs(&drafts, &defaults, &variables)?;
    check_stages(&stages, &jobs)?;
    needs::check(&stages, &jobs)?;
    Ok(Pipeline { stages, variables, jobs })
}

/// The stages, with the two that every pipeline has at its ends.
fn stages(root: &Map) -> Result<Vec<String>, CiError> {
    let own = match root.get("stages") {
        Some(value) => script::flattened_list(&Place::global("stages"), value)?,
        None => ["build", "test", "deploy"].map(str::to_owned).to_vec(),
    };
    let mut stages = vec![FIRST_STAGE.to_owned()];
    for stage in own {
        if stage != LAST_STAGE && !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    stages.push(LAST_STAGE.to_owned());
    Ok(stages)
}

/// `default`, and the same keywords at the top of the file, which is their older place.
fn defaults(root: &Map) -> Result<Shared, CiError> {
    let at_top = Shared::read(&globals_of(root), Place::global)?;
    let Some(value) = root.get("default") else { return Ok(at_top) };
    let place = Place::global("default");
    let map = read::map(&place, value)?;
    for (key, _) in map.iter() {
        let key = key.scalar_text().unwrap_or_else(|| key.kind().to_owned());
        if !keywords::OF_DEFAULT.contains(&key.as_str()) {
            return Err(place.below(&key).refuse(keywords::refusal(&key, keywords::OF_DEFAULT)));
        }
        if root.get(&key).is_some() && keywords::OF_FILES.contains(&key.as_str()) {
            return Err(place.below(&key).refuse("stands at the top of the file too; remove one"));
        }
    }
    Ok(Shared::read(map, |keyword| place.below(keyword))?.or(&at_top))
}

/// The keywords of jobs that may stand at the top: a job may have the name of another one, as `tags`.
fn globals_of(root: &Map) -> Map {
    root.iter().filter(|(key, _)| is_global(key)).cloned().collect()
}

fn is_global(key: &Value) -> bool {
    matches!(key, Value::Text(key) if keywords::OF_FILES.contains(&key.as_str()))
}

/// The jobs of the file; hidden ones are only there for others.
fn drafts(root: &Map) -> Result<Vec<Draft>, CiError> {
    let mut drafts = Vec::new();
    for (key, value) in root.iter().filter(|(key, _)| !is_global(key)) {
        let Value::Text(name) = key else {
            let shown = key.scalar_text().unwrap_or_else(|| key.kind().to_owned());
            return Err(Place::global(&shown).refuse(format!("is {}, not a name; quote it", key.kind())));
        };
        let place = Place::global(name);
        if name.starts_with('.') {
            continue;
        }
        if keywords::NO_JOBS.contains(&name.as_str()) {
            return Err(place.refuse("is a reserved name; give the job another one"));
        }
        match value {
            _ if name.is_empty() => return Err(place.refuse("is not a name; give the job one")),
            _ if name == "cache" || name == "workflow" || name == "spec" => {
                return Err(place.refuse(keywords::refusal(name, keywords::OF_FILES)));
            }
            Value::Map(map) => drafts.push(Draft::read(name, map)?),
            other => {
                let problem = format!("is missing: the job is {}; write a map with `script`", other.kind());
                return Err(Place::job(name, "script").refuse(problem));
            }
        }
    }
    Ok(drafts)
}

/// Works out `parallel`, `default`, `variables` and `needs`.
fn jobs(drafts: &[Draft], defaults: &Shared, globals: &[Variable]) -> Result<Vec<Job>, CiError> {
    let instances: Vec<_> =
        drafts.iter().map(|draft| (draft, matrix::instances(&draft.name, draft.parallel.as_ref()))).collect();
    let names: BTreeMap<String, Vec<String>> = instances
        .iter()
        .map(|(draft, all)| (draft.name.clone(), all.iter().map(|instance| instance.name.clone()).collect()))
        .collect();
    check_names(drafts, &names)?;
    let mut jobs = Vec::new();
    for (draft, all) in instances {
        let shared = draft.shared.clone().or(defaults);
        let needs = draft
            .needs
            .as_ref()
            .map(|needs| needs::resolve(&Place::job(&draft.name, "needs"), needs, &names))
            .transpose()?;
        let inputs = artifacts::inputs(&draft.name, draft.dependencies.as_ref(), draft.needs.as_ref(), &names)?;
        let own = variables::overridden(globals, &draft.variables);
        for instance in all {
            jobs.push(Job {
                name: instance.name,
                base_name: draft.name.clone(),
                stage: draft.stage.clone(),
                script: shared.before_script.iter().flatten().chain(&draft.script).cloned().collect(),
                after_script: shared.after_script.clone().unwrap_or_default(),
                variables: variables::overridden(&own, &instance.variables),
                tags: shared.tags.clone().unwrap_or_default(),
                needs: needs.clone(),
                inputs: inputs.clone(),
                artifacts: shared.artifacts.clone().unwrap_or_default(),
                caches: shared.caches.clone().unwrap_or_default(),
                allow_failure: draft.allow_failure.clone(),
                when: draft.when,
                timeout_s: shared.timeout_s,
                retry: shared.retry.clone().unwrap_or_default(),
                parallel: instance.position,
                image: shared.image.clone(),
                services: shared.services.clone().unwrap_or_default(),
                environment: draft.environment.clone(),
                resource_group: draft.resource_group.clone(),
                id_tokens: shared.id_tokens.clone().unwrap_or_default(),
            });
        }
    }
    Ok(jobs)
}

fn check_names(drafts: &[Draft], names: &BTreeMap<String, Vec<String>>) -> Result<(), CiError> {
    let mut seen = BTreeSet::new();
    for draft in drafts {
        let place = match draft.parallel {
            Some(_) => Place::job(&draft.name, "parallel"),
            None => Place::global(&draft.name),
        };
        for name in names.get(&draft.name).into_iter().flatten() {
            if name.chars().count() > NAME_LIMIT {
                let problem = format!("makes a job with a name of more than {NAME_LIMIT} characters; shorten it");
                return Err(place.refuse(problem));
            }
            if !seen.insert(name) {
                return Err(place.refuse(format!("makes a second job named `{name}`; rename one")));
            }
        }
    }
    Ok(())
}

fn check_stages(stages: &[String], jobs: &[Job]) -> Result<(), CiError> {
    for job in jobs {
        if !stages.contains(&job.stage) {
            let problem = format!("is `{}`, which is none of `{}`; add it to `stages`", job.stage, stages.join("`, `"));
            return Err(Place::job(&job.base_name, "stage").refuse(problem));
        }
    }
    if jobs.iter().all(|job| job.stage == FIRST_STAGE || job.stage == LAST_STAGE) {
        let problem = if jobs.is_empty() {
            "has no job to run in it; add one whose name does not begin with a dot"
        } else {
            "has jobs in `.pre` and `.post` only, for which GitLab makes no pipeline; add one in another stage"
        };
        return Err(Place::global("stages").refuse(problem));
    }
    Ok(())
}
