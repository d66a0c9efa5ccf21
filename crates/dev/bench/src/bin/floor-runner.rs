//! The floor of `runnerless-runner once`: the least that runs one job of the bench and could be called a runner.
//!
//! It makes the same requests in the same order (ask, accept, the log, the end; with `early` the log's first part as soon
//! as the script speaks, as the runner does for a job that lasts) and starts the same two login shells with the same git commands. It masks, stamps, expands, limits
//! and protects nothing, understands no stage but the script and no answer but the good one, and ends nothing that the
//! job leaves behind.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::Path;
use std::process::Command;

use runnerless_bench::wire::{Connection, Message, host_of};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::Deserialize;
use serde_json::json;

/// What the runner gives its shells.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Whatever = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Job {
    id: u64,
    token: String,
    variables: Vec<Variable>,
    steps: Vec<Step>,
    git_info: GitInfo,
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct Step {
    script: Vec<String>,
}

#[derive(Deserialize)]
struct GitInfo {
    repo_url: String,
    sha: String,
    refspecs: Vec<String>,
    depth: u64,
}

/// `floor-runner URL TOKEN-FILE WORK [early]`.
fn main() -> Result<(), Whatever> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: floor-runner URL TOKEN-FILE WORK [early]");
    let (url, token_file, work) = (next()?, next()?, next()?);
    let early = next().is_ok_and(|word| word == "early");
    let mut gitlab = Connection::to(host_of(&url).ok_or("http:// only")?)?;
    let token = fs::read_to_string(token_file)?;
    let job = ask(&mut gitlab, token.trim())?;
    update(&mut gitlab, &job, "running", &[])?;
    let log = run(&mut gitlab, &job, Path::new(&work), early)?;
    update(&mut gitlab, &job, "success", &log)
}

fn info() -> serde_json::Value {
    let features = [
        "variables",
        "raw_variables",
        "shared",
        "refspecs",
        "masking",
        "multi_build_steps",
        "trace_reset",
        "trace_checksum",
        "trace_size",
        "cancelable",
        "cancel_gracefully",
        "return_exit_code",
        "two_phase_job_commit",
    ];
    let features: serde_json::Map<_, _> = features.iter().map(|name| ((*name).to_owned(), true.into())).collect();
    json!({"name": "floor-runner", "version": "0", "platform": "linux", "architecture": "amd64", "executor": "shell",
           "shell": "bash", "features": features})
}

fn ask(gitlab: &mut Connection, token: &str) -> Result<Job, Whatever> {
    let body = json!({"token": token, "system_id": "r_floor", "info": info()});
    let headers = [("Content-Type", "application/json"), ("RUNNER-TOKEN", token)];
    let answer = gitlab.call("POST", "/api/v4/jobs/request", &headers, serde_json::to_vec(&body)?)?;
    Ok(serde_json::from_slice(&expect(answer, 201)?.body)?)
}

fn update(gitlab: &mut Connection, job: &Job, state: &str, log: &[u8]) -> Result<(), Whatever> {
    let checksum = format!("crc32:{:08x}", crc32fast::hash(log));
    let output = json!({"checksum": checksum, "bytesize": log.len()});
    let body = json!({"token": job.token, "state": state, "info": info(), "checksum": checksum, "output": output});
    let headers = [("Content-Type", "application/json"), ("JOB-TOKEN", job.token.as_str())];
    let answer = gitlab.call("PUT", &format!("/api/v4/jobs/{}", job.id), &headers, serde_json::to_vec(&body)?)?;
    expect(answer, 200).map(drop)
}

/// Sends what the log has from `sent` on.
fn part(gitlab: &mut Connection, job: &Job, log: &[u8], sent: usize) -> Result<usize, Whatever> {
    let range = format!("{sent}-{}", log.len() - 1);
    let headers =
        [("Content-Type", "text/plain"), ("Content-Range", range.as_str()), ("JOB-TOKEN", job.token.as_str())];
    let path = format!("/api/v4/jobs/{}/trace?debug_trace=false", job.id);
    expect(gitlab.call("PATCH", &path, &headers, log[sent..].to_vec())?, 202)?;
    Ok(log.len())
}

fn expect(answer: Message, status: u16) -> Result<Message, Whatever> {
    if answer.status() == status { Ok(answer) } else { Err(format!("GitLab answered {}", answer.start).into()) }
}

/// Both shells; returns the whole log, sent.
fn run(gitlab: &mut Connection, job: &Job, work: &Path, early: bool) -> Result<Vec<u8>, Whatever> {
    let (home, project) = (work.join("home"), work.join("project"));
    fs::create_dir_all(&home)?;
    fs::create_dir_all(&project)?;
    let exports = exports(&job.variables);
    let mut log = Vec::new();
    let mut sent = 0;
    shell(&home, &project, &(exports.clone() + &sources(job)), |bytes| {
        log.extend_from_slice(bytes);
        Ok(())
    })?;
    shell(&home, &project, &(exports + &script(job)), |bytes| {
        log.extend_from_slice(bytes);
        if early && sent == 0 {
            sent = part(gitlab, job, &log, sent)?;
        }
        Ok(())
    })?;
    log.extend_from_slice(b"Job succeeded\n");
    part(gitlab, job, &log, sent)?;
    Ok(log)
}

/// One login shell, with both of its outputs in one pipe.
fn shell(
    home: &Path,
    project: &Path,
    script: &str,
    mut sink: impl FnMut(&[u8]) -> Result<(), Whatever>,
) -> Result<(), Whatever> {
    let (mut output, end) = io::pipe()?;
    let mut command = Command::new("bash");
    command.arg("--login").env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").env("HOME", home);
    // Not a pipe: bash reads one byte by byte, so that its commands find the rest.
    let mut text = fs::File::from(memfd_create("script", MemfdFlags::CLOEXEC)?);
    text.write_all(script.as_bytes())?;
    text.rewind()?;
    command.current_dir(project).stdin(text).stdout(end.try_clone()?).stderr(end);
    let mut child = command.spawn()?;
    drop(command);
    let mut buffer = [0; 8192];
    loop {
        match output.read(&mut buffer)? {
            0 => break,
            n => sink(&buffer[..n])?,
        }
    }
    if child.wait()?.success() { Ok(()) } else { Err("the script failed".into()) }
}

fn exports(variables: &[Variable]) -> String {
    let mut text = "set -eo pipefail\n".to_owned();
    for variable in variables {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "export {}={}", variable.key, quote(&variable.value));
    }
    text
}

fn sources(job: &Job) -> String {
    if job.variables.iter().any(|variable| variable.key == "GIT_STRATEGY" && variable.value == "none") {
        return "echo 'Skipping Git repository setup'\n".to_owned();
    }
    let git = &job.git_info;
    let refspecs: String = git.refspecs.iter().map(|spec| format!(" {}", quote(spec))).collect();
    let (url, depth, sha) = (quote(&git.repo_url), git.depth, &git.sha);
    format!(
        "git init --template=\ngit remote add origin {url}\ngit fetch origin --no-recurse-submodules{refspecs} --depth {depth} --prune \
         --quiet\ngit checkout -f -q --detach {sha}\ngit clean -ffdx\nif git lfs version >/dev/null 2>&1; then git lfs \
         pull; fi\n"
    )
}

fn script(job: &Job) -> String {
    job.steps
        .iter()
        .flat_map(|step| &step.script)
        .fold(String::new(), |text, line| text + "echo " + &quote(&format!("$ {line}")) + "\n" + line + "\n")
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
