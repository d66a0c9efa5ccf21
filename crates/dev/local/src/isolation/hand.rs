//! Programs that are run in a cage by hand: the control, and the runner command.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{CANARY, IsolationError, LIMIT, PROBE, VICTIM, backwards, rows};
use crate::cage::Cage;
use crate::conformance::log::plain;
use crate::desk::Desk;

/// The probe below a process that protects nothing.
pub(super) async fn control(cage: &Cage) -> Result<Vec<Value>, IsolationError> {
    let shell = r#"exec python3 -c "$1" "$2" "$3""#;
    let mut command = caged(cage, Path::new("/bin/bash"));
    command.args(["-c", shell, "control", VICTIM, PROBE, &backwards(CANARY)]);
    let output = ended(command, Stdio::null(), "the control").await?;
    rows(&output).filter(|rows| !rows.is_empty()).ok_or(IsolationError::Program { what: "the control", why: output })
}

/// A job with the probe, run by the command, whose token comes through its standard input: a file could be read by the
/// job, too.
pub(super) async fn runner(
    desk: &Desk,
    cage: &Cage,
    programs: &Path,
    case: &Value,
) -> Result<Vec<Value>, IsolationError> {
    let token = desk.runner_token().await?;
    let job = desk.offer(case).await?;
    let mut command = caged(cage, &programs.join("runnerless-runner"));
    command.args(["once", "--url", desk.gitlab_url(), "--token-file", "/dev/stdin", "--work", "/tmp/work"]);
    command.args(["--wait", "5"]);
    let input = text(cage, &token)
        .map_err(|source| IsolationError::Program { what: "the runner's token", why: source.to_string() })?;
    let words = ended(command, input, "the runner").await?;
    let log = String::from_utf8_lossy(&desk.log(job).await?).into_owned();
    let why = || format!("{words}\n{}", plain(&log));
    let rows = rows(&log).filter(|rows| !rows.is_empty());
    rows.ok_or_else(|| IsolationError::Program { what: "the runner's job", why: why() })
}

fn caged(cage: &Cage, program: &Path) -> Command {
    let prefix = cage.prefix();
    let mut command = Command::new(&prefix[0]);
    command.args(&prefix[1..]).arg(program).env_clear().kill_on_drop(true);
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8").env("RUNNERLESS_CANARY", CANARY);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A pipe with this text that the cage's user may open by the name `/dev/stdin`.
fn text(cage: &Cage, text: &str) -> io::Result<Stdio> {
    let (reader, mut writer) = io::pipe()?;
    if let Some(user) = cage.number() {
        rustix::fs::fchown(&reader, Some(rustix::fs::Uid::from_raw(user)), None)?;
    }
    // Short enough for an empty pipe.
    writer.write_all(text.as_bytes())?;
    Ok(reader.into())
}

/// Its output; an error when it took too long or failed.
async fn ended(mut command: Command, input: Stdio, what: &'static str) -> Result<String, IsolationError> {
    let failed = |why: String| IsolationError::Program { what, why };
    let child = command.stdin(input).spawn().map_err(|error| failed(error.to_string()))?;
    let output = timeout(LIMIT, child.wait_with_output()).await;
    let output =
        output.map_err(|_| failed("it took too long".to_owned()))?.map_err(|error| failed(error.to_string()))?;
    let mut text = output.stdout;
    text.extend_from_slice(&output.stderr);
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() { Ok(text) } else { Err(failed(format!("{}: {text}", output.status))) }
}
