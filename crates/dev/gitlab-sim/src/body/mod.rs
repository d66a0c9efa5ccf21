//! The 201 body of `jobs/request` (contract, section 3.3).

mod assemble;
pub(crate) mod distort;
mod predefined;

pub(crate) use assemble::job_body;

use crate::rules::expand::expand;
use crate::world::World;
use crate::world::job::Job;
use crate::world::spec::Variable;

impl World {
    /// All variables of a job, expanded as the server does: predefined ones, those of the file, the project's, the
    /// pipeline's. The later wins.
    pub(crate) fn job_variables(&self, job: &Job) -> Vec<Variable> {
        let mut all = predefined::variables(self, job);
        all.extend(job.spec.variables.iter().cloned());
        let pipeline = self.pipelines.get(&job.pipeline);
        let protected = pipeline.is_some_and(|pipeline| pipeline.protected);
        if let Some(project) = self.projects.get(&job.project).filter(|_| job.raw.is_none()) {
            all.extend(project.variables.iter().filter(|variable| protected || !variable.protected).cloned());
        }
        all.extend(pipeline.into_iter().flat_map(|pipeline| pipeline.variables.iter().cloned()));
        expand(&all)
    }
}
