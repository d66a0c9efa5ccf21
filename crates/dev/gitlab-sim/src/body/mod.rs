//! The 201 body of `jobs/request` (contract, section 3.3).

mod assemble;
pub(crate) mod distort;
mod predefined;

pub(crate) use assemble::job_body;

use crate::id_token;
use crate::rules::expand::{expand, expanded};
use crate::world::World;
use crate::world::job::Job;
use crate::world::spec::{IdToken, Variable};

impl World {
    /// All variables of a job, expanded as the server does: predefined ones, those of the file, the project's, the
    /// pipeline's. The later wins.
    pub(crate) fn job_variables(&self, job: &Job) -> Vec<Variable> {
        let mut all = predefined::variables(self, job);
        if let (Some(environment), Some(name)) = (&job.spec.environment, self.environment(job)) {
            all.extend(predefined::of_environment(environment, &name));
        }
        all.extend(self.written_variables(job));
        let tokens: Vec<Variable> =
            job.spec.id_tokens.iter().filter_map(|token| self.id_token(job, token, &all)).collect();
        all.extend(tokens);
        expand(&all)
    }

    /// The name of the environment that a job deploys to.
    pub(crate) fn environment(&self, job: &Job) -> Option<String> {
        job.spec.environment.as_ref().map(|environment| self.expanded(job, &environment.name))
    }

    /// The resource group of a job.
    pub(crate) fn resource_group(&self, job: &Job) -> Option<String> {
        job.spec.resource_group.as_ref().map(|group| self.expanded(job, group))
    }

    /// A text of the file about a job, with its variables replaced, those of its environment left out.
    fn expanded(&self, job: &Job, text: &str) -> String {
        let mut all = predefined::variables(self, job);
        all.extend(self.written_variables(job));
        expanded(text, &expand(&all))
    }

    /// What people wrote: in the file, for the project, for the pipeline.
    fn written_variables(&self, job: &Job) -> Vec<Variable> {
        let mut all = job.spec.variables.clone();
        let pipeline = self.pipelines.get(&job.pipeline);
        let protected = pipeline.is_some_and(|pipeline| pipeline.protected);
        if let Some(project) = self.projects.get(&job.project).filter(|_| job.raw.is_none()) {
            all.extend(project.variables.iter().filter(|variable| protected || !variable.protected).cloned());
        }
        all.extend(pipeline.into_iter().flat_map(|pipeline| pipeline.variables.iter().cloned()));
        all
    }

    /// The variable with a token of the job. The key is there since the pipeline was made.
    fn id_token(&self, job: &Job, token: &IdToken, variables: &[Variable]) -> Option<Variable> {
        let known = expand(variables);
        let audiences: Vec<String> = token.audiences.iter().map(|audience| expanded(audience, &known)).collect();
        let claims = id_token::payload(self, job, token, &audiences, self.environment(job).as_deref());
        let value = self.place.signer().and_then(|signer| signer.token(&claims)).ok()?;
        Some(Variable { public: false, masked: true, raw: true, ..Variable::public(&token.variable, value) })
    }
}
