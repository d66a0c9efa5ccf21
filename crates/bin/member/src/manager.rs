//! Which process the runner manager is, and whether it runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use runnerless_core::chain::chain;
use runnerless_core::pool::leaving::{Manager, Process};
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::{find, started_at};

/// systemd answers at once.
const SYSTEMCTL: Duration = Duration::from_secs(10);
/// Times of files and of the boot are whole seconds apart; a file that is written for a process is not older than that.
const SLACK: Duration = Duration::from_secs(2);

/// Where its process id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The main process of a systemd unit.
    Unit(String),
    /// A file that was written when it was started.
    PidFile(PathBuf),
}

/// A process id, and when it was written down, where that is known.
struct Named {
    pid: i32,
    written: Option<SystemTime>,
}

impl Source {
    /// Looks. `known` is the one that was seen last: it counts while it runs, also when nothing names it any more.
    pub(crate) async fn look(&self, known: Option<Process>) -> Manager {
        let named = match self {
            Self::Unit(unit) => main_process(unit).await,
            Self::PidFile(path) => written(path),
        };
        match named.and_then(|named| judge(named, known)) {
            Ok(manager) => manager,
            Err(why) => Manager::Unknown(why),
        }
    }
}

fn judge(named: Option<Named>, known: Option<Process>) -> Result<Manager, String> {
    let alive = |pid| find(pid).map_err(|error| chain(&error));
    if let Some(Named { pid, written }) = &named
        && let Some(process) = alive(*pid)?
    {
        let started = started_at(process).map_err(|error| chain(&error))?;
        if known != Some(process) && written.is_some_and(|written| started > written + SLACK) {
            return Err(format!("process {pid} is younger than the file that names it: it may be another one"));
        }
        return Ok(Manager::Runs(process));
    }
    let known_runs = match known {
        Some(process) => alive(process.pid)? == Some(process),
        None => false,
    };
    Ok(match (known_runs, known, named) {
        (true, Some(process), _) => Manager::Runs(process),
        (_, None, None) => Manager::NeverSeen,
        _ => Manager::Gone,
    })
}

/// systemd says 0 while the unit has no main process.
async fn main_process(unit: &str) -> Result<Option<Named>, String> {
    let words = ["show", "--property=MainPID", "--value", "--", unit];
    let output = Command::new("systemctl").args(words).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match timeout(SYSTEMCTL, output).await {
        Ok(output) => output.map_err(|error| format!("systemctl cannot be run: {error}"))?,
        Err(_) => return Err("systemctl did not answer".to_owned()),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().parse() {
        Ok(0) if output.status.success() => Ok(None),
        Ok(pid) if output.status.success() && pid > 0 => Ok(Some(Named { pid, written: None })),
        _ => Err(format!("systemctl does not tell the main process of {unit}: {}", output.status)),
    }
}

fn written(path: &Path) -> Result<Option<Named>, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let written = fs::metadata(path).and_then(|file| file.modified()).map_err(failed)?;
    match text.trim().parse() {
        Ok(pid) if pid > 0 => Ok(Some(Named { pid, written: Some(written) })),
        _ => Err(format!("{} holds no process id", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Process {
        find(i32::try_from(std::process::id()).unwrap()).unwrap().unwrap()
    }

    /// A number that no process has: the kernel's largest is 4,194,304.
    const NOBODY: i32 = i32::MAX;

    #[tokio::test]
    async fn a_file_that_is_not_there_is_none_and_one_without_a_number_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::PidFile(folder.path().join("pid"));
        assert_eq!(source.look(None).await, Manager::NeverSeen);
        for text in ["", "x", "-1", "0"] {
            fs::write(folder.path().join("pid"), text).unwrap();
            assert!(matches!(source.look(None).await, Manager::Unknown(_)), "{text:?}");
        }
        fs::write(folder.path().join("pid"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(source.look(None).await, Manager::Runs(own()));
        fs::write(folder.path().join("pid"), NOBODY.to_string()).unwrap();
        assert_eq!(source.look(None).await, Manager::Gone);
    }

    #[test]
    fn the_one_that_was_seen_counts_while_it_runs_and_its_number_alone_is_not_it() {
        assert_eq!(judge(None, Some(own())), Ok(Manager::Runs(own())));
        let before = Process { started: own().started - 1, ..own() };
        assert_eq!(judge(None, Some(before)), Ok(Manager::Gone));
    }

    #[test]
    fn a_process_that_is_younger_than_the_file_that_names_it_is_not_taken_for_it() {
        let long_ago = SystemTime::now() - Duration::from_secs(30 * 86_400);
        let named = || Some(Named { pid: own().pid, written: Some(long_ago) });
        assert!(judge(named(), None).unwrap_err().contains("younger"));
        assert_eq!(judge(named(), Some(own())), Ok(Manager::Runs(own())), "it was seen when the file was newer");
    }

    #[tokio::test]
    async fn a_unit_that_systemd_does_not_tell_of_is_unknown() {
        let manager = Source::Unit("no-such-unit-of-runnerless.service/".to_owned()).look(None).await;
        assert!(matches!(manager, Manager::Unknown(_) | Manager::NeverSeen), "{manager:?}");
    }
}
