//! Git over HTTP: who may fetch what.

use std::path::PathBuf;

use crate::git_http::{self, Access, Denied};
use crate::server::answer::{Answer, Content};
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::World;

/// The user that job tokens go with.
const JOB_USER: &str = "gitlab-ci-token";

/// Answers a request below a `.git`.
pub(crate) async fn serve(sim: &Sim, request: &Request) -> Answer {
    let headers = request.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let asked = git_http::Request {
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        headers: headers.collect(),
        body: request.body.to_vec(),
    };
    let answer = git_http::serve(&Door { sim }, asked).await;
    Answer { headers: answer.headers, ..Answer::of(answer.status, None, Content::Bytes(answer.body.into())) }
}

struct Door<'a> {
    sim: &'a Sim,
}

impl Access for Door<'_> {
    /// The admin may fetch everything; a job token opens its own project, and only while a runner holds the job.
    fn repository(&self, path: &str, user: &str, password: &str) -> Result<PathBuf, Denied> {
        self.sim.with(|world| open(world, path, user, password))
    }
}

fn open(world: &mut World, path: &str, user: &str, password: &str) -> Result<PathBuf, Denied> {
    if password == world.place.admin_token {
        return world.project(path).map(|project| project.repository.clone()).ok_or(Denied::NotFound);
    }
    if user != JOB_USER || password.is_empty() {
        return Err(Denied::Unauthorized);
    }
    let Some(job) = world.jobs.values().rev().find(|job| job.hold.token == password) else {
        return Err(Denied::Unauthorized);
    };
    let (id, project, misuse) = (job.id, job.project, job.misuse());
    if !job.is_held_with(password) {
        world.violation(misuse, Some(id), "git with the token of a job that nobody runs");
        return Err(Denied::Unauthorized);
    }
    let own = job.raw.as_ref().map(|raw| raw.repository.clone());
    match world.projects.get(&project) {
        Some(row) if row.path == path => Ok(own.unwrap_or_else(|| row.repository.clone())),
        _ => Err(Denied::NotFound),
    }
}
