//! One request: its fault, its answer, its record.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::{Map, Value};

use super::answer::{Answer, Body};
use super::request::{Request, Unread, read, segments};
use crate::faults::{self, Deed, Fault};
use crate::sim::Sim;
use crate::world::World;
use crate::world::record::RequestLine;
use crate::{api, clock, control, id_token, repository};

/// Longest time that a request hangs.
const HANG: Duration = Duration::from_secs(600);

/// The connection breaks without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
pub(crate) struct Dropped;

/// Answers one request.
pub(crate) async fn serve(sim: Sim, request: hyper::Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let asked = parts.uri.path().to_owned();
    // As the server in front of a GitLab with a relative root: what is not below it is nobody's.
    let inside = within(&sim.place().root, &asked).map(str::to_owned);
    let path = inside.clone().unwrap_or(asked);
    let method = parts.method.as_str().to_ascii_uppercase();
    let pick = |body: Option<&[u8]>| {
        sim.with(|world| if is_control(&path) { None } else { faults::pick(&mut world.faults, &method, &path, body) })
    };
    let fault = pick(None);
    let cut = match fault.as_ref().map(|fault| &fault.action) {
        Some(Deed::CutRequest(bytes)) => Some(*bytes),
        _ => None,
    };
    let body = read(body, body_limit(&sim, &path), cut).await;
    let by_body = body.as_ref().ok().and_then(|body| pick(Some(body)));
    let fault = fault.or(by_body);
    let request = Request {
        segments: segments(&path),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: body.as_ref().map(Clone::clone).unwrap_or_default(),
        path,
        method,
    };
    let who = sim.look(|world| caller(world, &request));
    let done = match body {
        Err(Unread::Gone) => None,
        Err(Unread::TooLong) => Some(Answer::message(413, "413 Request Entity Too Large")),
        Ok(_) if inside.is_none() => Some(Answer::error(404, "404 Not Found")),
        Ok(_) => act(&sim, &request, fault.as_ref()).await,
    };
    if !is_control(&request.path) {
        let who = Caller { job: who.job.or(done.as_ref().and_then(|answer| answer.job)), ..who };
        record(&sim, &request, who, done.as_ref().map(|answer| answer.status), fault.as_ref(), began);
    }
    let cut = match fault.as_ref().map(|fault| &fault.action) {
        Some(Deed::DisconnectAfter(bytes)) => Some(*bytes),
        _ => None,
    };
    let request_id = request.header("x-request-id").map(str::to_owned);
    let mut answer = done.ok_or(Dropped)?;
    if let Some(id) = request_id {
        answer = answer.with("X-Request-Id", id);
    }
    Ok(answer.into_http(cut))
}

/// Does what is asked, or what the fault wants instead. `None` breaks the connection.
async fn act(sim: &Sim, request: &Request, fault: Option<&Fault>) -> Option<Answer> {
    let Some(fault) = fault else { return Some(dispatch(sim, request).await) };
    match fault.action {
        Deed::Status(status) => Some(faulty(status, fault)),
        Deed::DoneStatus(status) => {
            let _ = dispatch(sim, request).await;
            Some(faulty(status, fault))
        }
        Deed::Delay(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Some(dispatch(sim, request).await)
        }
        Deed::Hang => {
            tokio::time::sleep(HANG).await;
            None
        }
        Deed::Hold => {
            // The rule stays until all are taken back, also when it has hit all that it is to hit.
            sim.wait(HANG, |world| world.faults.is_empty().then_some(())).await?;
            Some(dispatch(sim, request).await)
        }
        Deed::LoseAnswer => {
            let _ = dispatch(sim, request).await;
            None
        }
        Deed::LateAnswer(ms) => {
            let answer = dispatch(sim, request).await;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Some(answer)
        }
        Deed::DisconnectAfter(_) | Deed::CutRequest(_) => Some(dispatch(sim, request).await),
    }
}

fn faulty(status: u16, fault: &Fault) -> Answer {
    let answer = match &fault.rule.body {
        Some(body) => Answer::bytes(status, "application/json", body.clone()),
        None => Answer::message(status, format!("{status} by a fault")),
    };
    fault.rule.headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value.clone()))
}

async fn dispatch(sim: &Sim, request: &Request) -> Answer {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["_sim", "v1", rest @ ..] => control::route(sim, request, rest).await,
        ["api", "v4", rest @ ..] => api::route(sim, request, rest).await,
        [".well-known", "openid-configuration"] if request.method == "GET" => id_token::configuration(sim),
        ["oauth", "discovery", "keys"] if request.method == "GET" => id_token::keys(sim),
        _ if request.path.contains(".git/") => repository::serve(sim, request).await,
        _ => Answer::error(404, "404 Not Found"),
    }
}

/// The path below the root; `None` for one that is beside it.
fn within<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let below = path.strip_prefix(root).filter(|rest| rest.starts_with('/'));
    below.or_else(|| is_control(path).then_some(path))
}

fn is_control(path: &str) -> bool {
    path.starts_with("/_sim/")
}

/// The longest body for a path. Workhorse's limit for `jobs/request`, generous ones for the rest.
fn body_limit(sim: &Sim, path: &str) -> usize {
    const MIB: usize = 1024 * 1024;
    if path == "/api/v4/jobs/request" {
        return 32 * 1024;
    }
    if path.ends_with("/artifacts") {
        let limit = sim.look(|world| world.settings.artifact_limit_bytes);
        return usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(MIB);
    }
    if path.ends_with("/trace") || path.contains(".git/") {
        return 64 * MIB;
    }
    if is_control(path) { 64 * MIB } else { MIB }
}

/// Who sent a request, without the secret.
struct Caller {
    token: &'static str,
    job: Option<u64>,
    system_id: Option<String>,
}

fn caller(world: &World, request: &Request) -> Caller {
    let is_json = request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let body: Map<String, Value> =
        if is_json { serde_json::from_slice(&request.body).unwrap_or_default() } else { Map::new() };
    let said = body.get("token").and_then(Value::as_str);
    let named = ["private-token", "job-token", "runner-token"].into_iter().find_map(|name| request.header(name));
    let basic = request.header("authorization").and_then(password);
    let token = named.or(basic.as_deref()).or(said);
    let job = match request.segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["api", "v4", "jobs", id, ..] | ["api", "v4", "projects", _, "jobs", id, ..] => id.parse().ok(),
        _ => None,
    };
    let holder = basic.as_deref().and_then(|token| world.jobs.values().rev().find(|job| job.hold.token == token));
    let job = job.or(holder.map(|job| job.id));
    let system_id = body.get("system_id").and_then(Value::as_str).map(str::to_owned);
    let held = job.and_then(|id| world.jobs.get(&id)).and_then(|job| job.hold.system_id.clone());
    Caller { token: token.map_or("none", |token| kind_of(world, token)), job, system_id: system_id.or(held) }
}

/// The password of `Authorization: Basic`.
fn password(header: &str) -> Option<String> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?.trim()).ok()?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

fn kind_of(world: &World, token: &str) -> &'static str {
    if token == world.place.admin_token {
        "admin"
    } else if world.runners.values().any(|runner| runner.token == token) {
        "runner"
    } else if let Some(job) = world.jobs.values().rev().find(|job| job.hold.token == token) {
        if job.is_held_with(token) || job.is_offered() { "job" } else { "dead job" }
    } else {
        "unknown"
    }
}

fn record(sim: &Sim, request: &Request, who: Caller, status: Option<u16>, fault: Option<&Fault>, began: Instant) {
    let line = RequestLine {
        seq: 0,
        t: clock::now(),
        method: request.method.clone(),
        path: request.path.clone(),
        status,
        token: who.token.into(),
        job: who.job,
        system_id: who.system_id,
        user_agent: request.header("user-agent").map(str::to_owned),
        fault: fault.map(|fault| fault.rule.deed.clone()),
        ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    sim.with(|world| world.request(line));
}
