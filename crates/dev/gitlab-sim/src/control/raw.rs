//! `POST jobs`: one job from a case file, pending at once and for any runner.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::projects::project_of;
use super::{body, variables};
use crate::git_http::{self, Head};
use crate::moves::create::NewPipeline;
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::World;
use crate::world::job::{Knobs, RawJob};
use crate::world::spec::{AllowFailure, JobSpec, When};
use crate::zip;

/// The project that all case files' jobs belong to; each has its own repository.
const PROJECT: u64 = 380;
/// Its path.
const PATH: &str = "acme/widget";
/// A job's timeout when the case has none, in seconds.
const TIMEOUT_S: u64 = 600;

/// A case file. Keys that are for the runner's side (`about`, `probe`, `limit`, `expect`, ...) are not looked at.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    script: Vec<String>,
    #[serde(default)]
    after_script: Vec<String>,
    #[serde(default)]
    variables: Option<Value>,
    #[serde(default)]
    repo: Option<BTreeMap<String, String>>,
    #[serde(default)]
    job: Map<String, Value>,
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    interval: Option<u64>,
    #[serde(default)]
    cancel_after: Option<f64>,
    #[serde(default)]
    faults: CaseFaults,
    #[serde(default)]
    download: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaseFaults {
    drop_trace: u64,
    rewind_at_patch: Option<u64>,
    put_202: u64,
}

/// `POST jobs`: `{project, job}`.
pub(super) async fn create(sim: &Sim, request: &Request) -> Answer {
    match try_create(sim, request).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn try_create(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let case: Case = body(request)?;
    let given = variables::read(case.variables.as_ref()).map_err(|why| Answer::error(400, why))?;
    let pipeline = sim.with(World::next_pipeline);
    let bare = sim.place().dir.join("git").join(format!("case-{pipeline}.git"));
    let files = case
        .repo
        .clone()
        .unwrap_or_else(|| BTreeMap::from([("README.md".to_owned(), "A repository for a single job.\n".to_owned())]));
    let target = bare.clone();
    let made = tokio::task::spawn_blocking(move || {
        let head = git_http::init(&target, &files)?;
        git_http::create_ref(&target, &format!("refs/pipelines/{pipeline}"), &head.sha)?;
        Ok::<Head, git_http::ImportError>(head)
    });
    let head = made.await.map_err(|_| Answer::error(500, "the simulator is ending"))?;
    let head = head.map_err(|error| Answer::error(400, format!("repo: {error}")))?;
    let raw = RawJob {
        body: case.job,
        download: case.download.as_ref().map(zip::stored),
        cancel_after_s: case.cancel_after,
        interval_s: case.interval,
        repository: bare.clone(),
    };
    let knobs = Knobs {
        drop_trace: case.faults.drop_trace,
        rewind_at_patch: case.faults.rewind_at_patch,
        put_202: case.faults.put_202,
        patches: 0,
    };
    let name = case.name.unwrap_or_else(|| "job".to_owned());
    let spec = spec(name, case.script, case.after_script, case.timeout.unwrap_or(TIMEOUT_S));
    let job = sim.with(|world| {
        let sha = head.sha.clone();
        let branch = head.branch.clone();
        if !world.projects.contains_key(&PROJECT) {
            let project = project_of(world, PROJECT, PATH, bare, head, Vec::new(), None);
            world.projects.insert(PROJECT, project);
        }
        let new = NewPipeline {
            project: PROJECT,
            ref_name: branch,
            tag: false,
            sha,
            source: "push".to_owned(),
            variables: given,
            silent: true,
        };
        world.create_raw(pipeline, new, spec, raw, knobs)
    });
    Ok(Answer::json(201, &json!({"project": PROJECT, "pipeline": pipeline, "job": job})))
}

fn spec(name: String, script: Vec<String>, after_script: Vec<String>, timeout_s: u64) -> JobSpec {
    JobSpec {
        base_name: name.clone(),
        name,
        stage: "test".to_owned(),
        stage_index: 0,
        script,
        after_script,
        variables: Vec::new(),
        tags: Vec::new(),
        needs: None,
        allow_failure: AllowFailure::No,
        when: When::OnSuccess,
        timeout_s: Some(timeout_s),
        retry_max: 0,
        retry_when: Vec::new(),
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
