//! Git's command, with nothing of the caller's surroundings in it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::ImportError;

/// Where git and what it starts are looked for. The caller's own `PATH` is not its business.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A git command without the caller's environment, the user's and the system's settings, and hooks.
///
/// `safe.directory` is needed for repositories of other users, as those of a container's volume are.
pub(super) fn command(home: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("HOME", home)
        .args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"]);
    command
}

/// A git command on a bare repository.
pub(super) fn on(bare: &Path) -> Command {
    let mut command = command(bare);
    command.arg("--git-dir").arg(bare);
    command
}

/// Runs a command to its end, and gives what it wrote.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(super) fn run(mut command: Command, input: &[u8]) -> Result<Vec<u8>, ImportError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ImportError::Start)?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // A command that ends early leaves the rest unread; its status says why.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    });
    let output = output.map_err(ImportError::Start)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(ImportError::Git { status: output.status, message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

/// Runs a command that writes one line.
pub(super) fn line(command: Command) -> Result<String, ImportError> {
    Ok(String::from_utf8_lossy(&run(command, &[])?).trim_end_matches('\n').to_owned())
}
