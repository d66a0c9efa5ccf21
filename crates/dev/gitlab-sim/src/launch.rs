//! From a commit to a pipeline: read the file, make the jobs.

use std::path::Path;
use std::sync::Arc;

use crate::ci;
use crate::git_http::{self, ImportError};
use crate::id_token::SignerError;
use crate::moves::create::NewPipeline;
use crate::sim::Sim;
use crate::world::project::Ref;
use crate::world::spec::{JobSpec, Variable};

/// The file that describes a pipeline.
const FILE: &str = ".gitlab-ci.yml";

/// A pipeline cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// There is no such project.
    #[error("404 Project Not Found")]
    NoProject,
    /// There is no such branch or tag.
    #[error("Reference not found")]
    NoRef,
    /// The commit has no file.
    #[error("Missing CI config file")]
    NoFile,
    /// The file is not text.
    #[error("{FILE} is not UTF-8")]
    NotText,
    /// The file is refused.
    #[error("{0}")]
    File(#[from] ci::CiError),
    /// No tokens can be signed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// It has no jobs.
    #[error("No stages / jobs for this pipeline.")]
    NoJobs,
    /// Git failed.
    #[error("{0}")]
    Git(#[from] ImportError),
    /// The work was cut off by the end of the simulator.
    #[error("the simulator is ending")]
    Ending,
}

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The project.
    pub project: u64,
    /// Branch or tag; the default branch when absent.
    pub ref_name: Option<String>,
    /// Make the ref at the imported commit when it is not there: a tag, or a branch.
    pub make: Option<bool>,
    /// The pipeline's variables.
    pub variables: Vec<Variable>,
    /// What started it.
    pub source: String,
}

/// Makes a pipeline; its id.
///
/// # Errors
/// See [`LaunchError`].
pub(crate) async fn launch(sim: &Sim, wish: Wish) -> Result<u64, LaunchError> {
    let found = sim.with(|world| {
        let project = world.projects.get(&wish.project).ok_or(LaunchError::NoProject)?;
        let name = wish.ref_name.clone().unwrap_or_else(|| project.default_branch.clone());
        let known = project.refs.get(&name).cloned();
        let made = wish.make.map(|tag| Ref { tag, sha: project.commit.sha.clone() });
        let is_new = known.is_none();
        let at = known.or(made).ok_or(LaunchError::NoRef)?;
        let repository = project.repository.clone();
        Ok::<_, LaunchError>((name, at, is_new, repository, world.next_pipeline()))
    });
    let (name, at, is_new, repository, id) = found?;
    let (ref_name, sha) = (name.clone(), at.sha.clone());
    let tag = at.tag;
    let place = Arc::clone(sim.place());
    let prepared = tokio::task::spawn_blocking(move || {
        let specs = prepare(&repository, &ref_name, tag, is_new, &sha, id)?;
        if specs.iter().any(|spec| !spec.id_tokens.is_empty()) {
            // Made here, because nobody may wait for it under the lock.
            place.signer()?;
        }
        Ok::<_, LaunchError>(specs)
    });
    let prepared = prepared.await;
    let specs = prepared.map_err(|_| LaunchError::Ending)??;
    sim.with(|world| {
        if let Some(project) = world.projects.get_mut(&wish.project) {
            project.refs.insert(name.clone(), at.clone());
        }
        let new = NewPipeline {
            project: wish.project,
            ref_name: name,
            tag: at.tag,
            sha: at.sha,
            source: wish.source,
            variables: wish.variables,
            silent: false,
        };
        world.create_pipeline(id, new, specs);
    });
    Ok(id)
}

fn prepare(
    bare: &Path,
    ref_name: &str,
    tag: bool,
    is_new: bool,
    sha: &str,
    id: u64,
) -> Result<Vec<JobSpec>, LaunchError> {
    let file = git_http::read_file(bare, sha, FILE)?.ok_or(LaunchError::NoFile)?;
    let text = String::from_utf8(file).map_err(|_| LaunchError::NotText)?;
    let parsed = ci::parse(&text, &|path| {
        // A path that git refuses is no file of the commit.
        let found = git_http::read_file(bare, sha, path).ok().flatten()?;
        String::from_utf8(found).ok()
    })?;
    let stages = parsed.stages;
    let specs: Vec<JobSpec> = parsed.jobs.into_iter().filter_map(|job| JobSpec::from_ci(job, &stages)).collect();
    if specs.is_empty() {
        return Err(LaunchError::NoJobs);
    }
    if is_new {
        let kind = if tag { "tags" } else { "heads" };
        git_http::create_ref(bare, &format!("refs/{kind}/{ref_name}"), sha)?;
    }
    git_http::create_ref(bare, &format!("refs/pipelines/{id}"), sha)?;
    Ok(specs)
}
