//! `/_sim/v1`: how demo and tests drive the simulator and look into it. JSON, for the loopback interface only. Times are
//! milliseconds since the epoch; `wait_s` is seconds, at most 600.
//!
//! | call | what |
//! |---|---|
//! | `POST projects` {path, source, variables?, id?, protected?} | imports the committed HEAD of a git repository |
//! | `POST pipelines` {project, ref?, tag?, variables?, source?} | runs its `.gitlab-ci.yml`; a ref that is not there is made |
//! | `GET pipelines/:id?wait_s=` | with its jobs; waits until it ended or waits for a person |
//! | `GET jobs?pipeline=&project=&status=`, `GET jobs/:id?wait_s=&until=`, `GET jobs/:id/log` | `reported` is what the runner itself said last of the end: {state, failure_reason, exit_code} or null |
//! | `POST jobs` {a case file} | one job for any runner, without hooks: {project, pipeline, job} |
//! | `POST jobs/:id/cancel?force=` | as a person does |
//! | `GET runners` | {id, description, tags, managers: [system ids]} |
//! | `POST tokens` {scopes: [..]} | another token of the administrator's, which may do what its scopes say: {token} |
//! | `POST hooks` {project, url, token?, signing_token?, host_header?, job_events?}, `POST hooks/:id`, `GET hooks` | |
//! | `GET deliveries?wait_s=&bodies=`, `POST deliveries/:id/resend` | every attempt to deliver |
//! | `GET requests?since=` | JSON lines, one a request, never with a token |
//! | `GET violations` | what GitLab would not forgive |
//! | `GET events?since=&follow=` | JSON lines, one a transition, as they happen |
//! | `POST faults`, `GET faults`, `DELETE faults?name=` | rules {match: {method?, path?, holds?}, nth?, every?, times?, do, headers?, body?, name?} ([`crate::faults`]) or {http: rules, hooks_of: [{job, status, do, name?}], hooks: {lost, lost_status, double, shuffle, shuffle_ms, created_after_pending, hold, drawn: {seed, lost, doubled, late, late_ms}}} |
//! | `POST hooks/release` | lets go what `hold` and `created_after_pending` keep |
//! | `POST settings`, `GET settings` | see [`crate::world::settings::Settings`] |
//! | `POST reset` | forgets everything but the numbers |

mod deliveries;
mod jobs;
mod pipelines;
mod projects;
mod raw;
mod runners;
mod streams;
mod tuning;
pub(crate) mod variables;

use std::time::Duration;

use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;

/// Longest time that a request waits for something.
const LONGEST_WAIT_S: f64 = 600.0;

/// Answers a call.
pub(crate) async fn route(sim: &Sim, request: &Request, path: &[&str]) -> Answer {
    let answer = match (request.method.as_str(), path) {
        ("POST", ["projects"]) => return projects::create(sim, request).await,
        ("GET", ["projects"]) => projects::list(sim),
        ("POST", ["pipelines"]) => return pipelines::create(sim, request).await,
        ("GET", ["pipelines"]) => pipelines::list(sim),
        ("GET", ["pipelines", id]) => return pipelines::show(sim, request, id).await,
        ("POST", ["jobs"]) => return raw::create(sim, request).await,
        ("GET", ["jobs"]) => jobs::list(sim, request),
        ("GET", ["jobs", id]) => return jobs::show(sim, request, id).await,
        ("GET", ["jobs", id, "log"]) => jobs::log(sim, id),
        ("POST", ["jobs", id, "cancel"]) => jobs::cancel(sim, request, id),
        ("GET", ["runners"]) => runners::list(sim),
        ("POST", ["tokens"]) => runners::token(sim, request),
        ("POST", ["hooks"]) => deliveries::create_hook(sim, request),
        ("GET", ["hooks"]) => deliveries::hooks(sim),
        ("POST", ["hooks", "release"]) => deliveries::release(sim),
        ("POST", ["hooks", id]) => deliveries::edit_hook(sim, request, id),
        ("GET", ["deliveries"]) => return deliveries::list(sim, request).await,
        ("POST", ["deliveries", id, "resend"]) => deliveries::resend(sim, id),
        ("GET", ["requests"]) => streams::requests(sim, request),
        ("GET", ["violations"]) => streams::violations(sim),
        ("GET", ["events"]) => streams::events(sim, request),
        ("POST", ["faults"]) => tuning::add_faults(sim, request),
        ("GET", ["faults"]) => tuning::faults(sim),
        ("DELETE", ["faults"]) => tuning::clear_faults(sim, request),
        ("POST", ["settings"]) => tuning::change(sim, request),
        ("GET", ["settings"]) => tuning::settings(sim),
        ("POST", ["reset"]) => tuning::reset(sim),
        _ => {
            Err(Answer::error(404, format!("{} {} is no call of the control interface", request.method, request.path)))
        }
    };
    answer.unwrap_or_else(|answer| answer)
}

/// `wait_s` of a query: how long to wait for what the call is about.
fn wait(request: &Request) -> Result<Option<Duration>, Answer> {
    let Some(text) = request.query("wait_s") else { return Ok(None) };
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=LONGEST_WAIT_S).contains(seconds));
    let seconds =
        seconds.ok_or_else(|| Answer::error(400, format!("wait_s must be from 0 to {LONGEST_WAIT_S} seconds")))?;
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// A body as a type.
fn body<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, Answer> {
    serde_json::from_slice(&request.body)
        .map_err(|error| Answer::error(400, format!("the body cannot be used: {error}")))
}

/// A numeric id in a path.
fn id(text: &str) -> Result<u64, Answer> {
    text.parse().map_err(|_| Answer::error(400, format!("{text:?} is not an id")))
}

fn not_found(what: &str) -> Answer {
    Answer::error(404, format!("there is no such {what}"))
}
