//! What a token says.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::World;
use crate::world::job::Job;
use crate::world::spec::IdToken;

/// How long before it was made a token is valid (s): clocks differ.
const EARLIER_S: u64 = 5;

/// The claims of a job's token for these audiences. Each time the same for one runner's hold of the job.
pub(crate) fn payload(
    world: &World,
    job: &Job,
    token: &IdToken,
    audiences: &[String],
    environment: Option<&str>,
) -> Value {
    let (Some(pipeline), Some(project)) = (world.pipelines.get(&job.pipeline), world.projects.get(&job.project)) else {
        return Value::Null;
    };
    let made = job.stamps.picked_up.unwrap_or(job.created_at) / 1000;
    let kind = if pipeline.tag { "tag" } else { "branch" };
    let name = &pipeline.ref_name;
    let aud = match audiences {
        [one] if !token.listed => json!(one),
        all => json!(all),
    };
    let mut claims = json!({
        "iss": world.place.url,
        "sub": format!("project_path:{}:ref_type:{kind}:ref:{name}", project.path),
        "aud": aud,
        "iat": made,
        "nbf": made.saturating_sub(EARLIER_S),
        "exp": made + job.hold.timeout_s,
        "jti": id(job, &token.variable),
        "namespace_id": project.namespace.to_string(),
        "namespace_path": project.namespace_path(),
        "project_id": project.id.to_string(),
        "project_path": project.path,
        "project_visibility": "private",
        "user_id": "3",
        "user_login": "dana",
        "user_email": "dana@example.com",
        "user_access_level": "developer",
        "pipeline_id": pipeline.id.to_string(),
        "pipeline_source": pipeline.source,
        "job_id": job.id.to_string(),
        "ref": name,
        "ref_type": kind,
        "ref_path": format!("refs/{}/{name}", if pipeline.tag { "tags" } else { "heads" }),
        "ref_protected": pipeline.protected.to_string(),
        "runner_id": job.hold.runner,
        "runner_environment": "self-hosted",
        "sha": pipeline.sha,
    });
    if let (Some(environment), Some(claims), Some(spec)) = (environment, claims.as_object_mut(), &job.spec.environment)
    {
        claims.insert("environment".to_owned(), json!(environment));
        claims.insert("environment_action".to_owned(), json!(spec.action));
    }
    claims
}

/// A token's own id, as a UUID: nobody else's, and the same each time.
fn id(job: &Job, variable: &str) -> String {
    let sum = hex::encode(Sha256::digest(format!("{} {} {variable}", job.id, job.hold.token)));
    format!("{}-{}-4{}-8{}-{}", &sum[..8], &sum[8..12], &sum[13..16], &sum[17..20], &sum[20..32])
}
