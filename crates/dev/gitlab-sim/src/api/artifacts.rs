//! `POST` and `GET jobs/:id/artifacts` (contract, section 3.7).

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::auth;
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::storage;
use crate::world::World;
use crate::world::job::{Artifact, Job};

/// What a multipart body holds.
#[derive(Default)]
struct Upload {
    file: Option<(String, Bytes)>,
    format: Option<String>,
    kind: Option<String>,
}

/// `POST jobs/:id/artifacts`.
pub(super) async fn upload(sim: &Sim, request: &Request, id: &str) -> Answer {
    let id = match auth::id(id, "id") {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    if let Err(answer) = sim.with(|world| may_upload(world, request, id)) {
        return answer;
    }
    let mut upload = match multipart(request).await {
        Ok(upload) => upload,
        Err(why) => {
            sim.with(|world| world.violation("artifact", Some(id), why.clone()));
            return Answer::error(400, why);
        }
    };
    upload.format = request.query("artifact_format").or(upload.format);
    upload.kind = request.query("artifact_type").or(upload.kind);
    sim.with(|world| store(world, id, upload)).unwrap_or_else(|answer| answer)
}

fn may_upload(world: &mut World, request: &Request, id: u64) -> Result<(), Answer> {
    let token = request.header("job-token").unwrap_or("");
    let Some(job) = world.jobs.get(&id) else { return Err(Answer::message(404, "404 Not Found")) };
    let (status, held) = (job.status, job.is_held_with(token));
    if held {
        let limit = world.settings.job_per_min;
        return world.over_rate("job", token, limit).map_or(Ok(()), |wait| Err(auth::too_many(wait)));
    }
    let kind = if job.hold.token == token && !token.is_empty() { job.misuse() } else { "wrong_token" };
    world.violation(kind, Some(id), format!("uploaded an artifact for a job that is {}", status.as_str()));
    Err(Answer::message(403, "403 Forbidden - Job is not running").with("Job-Status", status.as_str()))
}

async fn multipart(request: &Request) -> Result<Upload, String> {
    let kind = request.header("content-type").unwrap_or("");
    let boundary = multer::parse_boundary(kind).map_err(|_| "the body is not multipart/form-data".to_owned())?;
    let body = request.body.clone();
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut upload = Upload::default();
    let broken = |error: multer::Error| format!("the multipart body is broken: {error}");
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or("").to_owned();
        let filename = part.file_name().map(str::to_owned);
        let bytes = part.bytes().await.map_err(broken)?;
        let text = || Some(String::from_utf8_lossy(&bytes).into_owned());
        match (name.as_str(), filename) {
            ("file", Some(filename)) => upload.file = Some((filename, bytes)),
            ("artifact_format", None) => upload.format = text(),
            ("artifact_type", None) => upload.kind = text(),
            ("expire_in" | "accessibility", None) | ("metadata", Some(_)) => {}
            _ => return Err(format!("unexpected part {name:?}")),
        }
    }
    Ok(upload)
}

fn store(world: &mut World, id: u64, upload: Upload) -> Result<Answer, Answer> {
    let refuse = |world: &mut World, why: String| {
        world.violation("artifact", Some(id), why.clone());
        Answer::error(400, why)
    };
    let Some((filename, bytes)) = upload.file else { return Err(refuse(world, "file is missing".to_owned())) };
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > world.settings.artifact_limit_bytes {
        return Err(Answer::message(413, "413 Request Entity Too Large"));
    }
    let kind = upload.kind.unwrap_or_else(|| "archive".to_owned());
    let format = upload.format.unwrap_or_else(|| "zip".to_owned());
    let magic: &[u8] = match format.as_str() {
        "zip" => b"PK",
        "gzip" => b"\x1f\x8b",
        "raw" => b"",
        other => return Err(refuse(world, format!("artifact_format {other:?} does not have a valid value"))),
    };
    if !bytes.starts_with(magic) {
        return Err(refuse(world, format!("{filename} is not in the format {format}")));
    }
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let before = world.jobs.get(&id).and_then(|job| job.artifacts.get(&kind)).map(|old| old.sha256.clone());
    match before {
        Some(old) if old == sha256 => return Ok(Answer::json(201, &json!({"message": "201 Created"}))),
        Some(_) => return Err(refuse(world, "another artifact of the same type already exists".to_owned())),
        None => {}
    }
    let folder = world.place.dir.join("artifacts");
    let path = folder.join(format!("{id}-{}", world.jobs.get(&id).map_or(0, |job| job.artifacts.len())));
    if std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &bytes)).is_err() {
        return Err(Answer::message(500, "500 Internal Server Error"));
    }
    if let Some(job) = world.jobs.get_mut(&id) {
        job.artifacts.insert(kind, Artifact { filename, size, sha256, format, path });
    }
    Ok(Answer::json(201, &json!({"message": "201 Created"})))
}

/// `GET jobs/:id/artifacts`, for the job that needs them: a case file's zip, or what an earlier job of the project
/// uploaded.
pub(super) fn download(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "id")?;
    let token = request.header("job-token").map(str::to_owned).or_else(|| request.query("job_token"));
    let token = token.ok_or_else(|| Answer::message(401, "401 Unauthorized"))?;
    let direct = request.query("direct_download").is_some_and(|value| matches!(value.as_str(), "true" | "1"));
    sim.with(|world| {
        let found = find(world, id, &token)?;
        // As GitLab does it: the file itself through its own server, or a signed link to where it is stored.
        if direct && world.settings.object_storage {
            return Ok(Answer::empty(302).with("Location", storage::link(world, id)));
        }
        Ok(found)
    })
}

/// The bytes of a job's archive for who has a signed link: a case file's zip, or what the job uploaded.
pub(crate) fn stored_archive(world: &World, id: u64) -> Option<Vec<u8>> {
    let held = |job: &&Job| job.status.is_executing();
    let prepared = world.jobs.values().rev().filter(held).find_map(|job| {
        let names_it = dependency(job, id).is_some();
        job.raw.as_ref().and_then(|raw| raw.download.clone()).filter(|_| names_it)
    });
    prepared.or_else(|| std::fs::read(&world.jobs.get(&id)?.artifacts.get("archive")?.path).ok())
}

fn find(world: &mut World, id: u64, token: &str) -> Result<Answer, Answer> {
    let held = |job: &&Job| job.status.is_executing();
    if let Some(zip) = world.jobs.values().rev().filter(held).find_map(|job| prepared(job, id, token)) {
        return Ok(zip_answer("artifacts.zip", zip));
    }
    let caller = world
        .jobs
        .values()
        .rev()
        .find(|job| !token.is_empty() && job.hold.token == token)
        .map(|job| (job.id, job.project, job.is_held_with(token), job.misuse()));
    let Some((caller, project, alive, misuse)) = caller else { return Err(Answer::message(403, "403 Forbidden")) };
    if !alive {
        world.violation(misuse, Some(caller), "downloaded an artifact with the token of a job that nobody runs");
        return Err(Answer::message(403, "403 Forbidden - Job is not running"));
    }
    let limit = world.settings.job_per_min;
    if let Some(wait) = world.over_rate("job", token, limit) {
        return Err(auth::too_many(wait));
    }
    let archive = world.jobs.get(&id).filter(|job| job.project == project).and_then(|job| job.artifacts.get("archive"));
    let (name, path): (String, PathBuf) =
        archive.map(|archive| (archive.filename.clone(), archive.path.clone())).ok_or_else(missing)?;
    let bytes = std::fs::read(path).map_err(|_| missing())?;
    Ok(zip_answer(&name, bytes))
}

fn missing() -> Answer {
    Answer::message(404, "404 Not Found")
}

/// The zip of a case file, when this job may have it: by its own token, or by the one that the case gave.
fn prepared(job: &Job, id: u64, token: &str) -> Option<Vec<u8>> {
    let zip = job.raw.as_ref()?.download.as_ref()?;
    let given = dependency(job, id)?.get("token").and_then(Value::as_str);
    (job.hold.token == token || given == Some(token)).then(|| zip.clone())
}

/// What a case file says of a job that its own needs.
fn dependency(job: &Job, id: u64) -> Option<&Value> {
    let dependencies = job.raw.as_ref()?.body.get("dependencies").and_then(Value::as_array)?;
    dependencies.iter().find(|entry| entry.get("id").and_then(Value::as_u64) == Some(id))
}

fn zip_answer(name: &str, zip: Vec<u8>) -> Answer {
    let name: String = name.chars().filter(|c| !c.is_control() && *c != '"').collect();
    Answer::bytes(200, "application/zip", zip).with("Content-Disposition", format!("attachment; filename=\"{name}\""))
}
