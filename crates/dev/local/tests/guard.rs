//! The guard with real processes: whatever way the parent goes, nothing below the guard is left.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runnerless_local::guard;
use runnerless_local::processes::Process;
use rustix::process::Signal;

/// Only a hang makes a test wait this long.
const LIMIT: Duration = Duration::from_secs(30);

/// A program with children and orphans in sessions of their own, deaf to SIGTERM, that writes down its processes' ids
/// and then either stays or leaves them alone.
const FAMILY: &str = r#"
trap '' TERM
sleep 300 & echo $! >> "$0"
setsid sh -c 'trap "" TERM; sleep 300 & echo $! >> "$0"; echo $$ >> "$0"; wait' "$0" &
sh -c '(trap "" TERM; setsid sleep 300 & echo $! >> "$0")' "$0"
while [ "$(wc -l < "$0")" -lt 4 ]; do sleep 0.01; done
echo $$ >> "$0"
[ "$1" = stay ] && wait
exit 3
"#;

fn guarded(pids: &Path, what: &str) -> Child {
    let words = ["sh", "-c", FAMILY].map(OsString::from);
    let command: Vec<OsString> = words.into_iter().chain([pids.into(), what.into()]).collect();
    guard::command(Path::new(env!("CARGO_BIN_EXE_runnerless-local")), &command).spawn().unwrap()
}

/// The five processes of the family, once all are there.
async fn family(pids: &Path) -> Vec<Process> {
    let begun = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(pids).unwrap_or_default();
        if text.lines().count() == 5 {
            return text.lines().filter_map(|line| Process::of(line.parse().unwrap())).collect();
        }
        assert!(begun.elapsed() < LIMIT, "the family is not there: {text:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn all_end(family: &[Process]) {
    for process in family {
        assert!(process.ended_within(LIMIT).await, "{process:?} is left");
    }
}

fn own(child: &Child) -> Process {
    Process::of(i32::try_from(child.id()).unwrap()).unwrap()
}

fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    (folder, pids)
}

#[tokio::test]
async fn all_below_ends_when_the_parent_is_killed() {
    let (_folder, pids) = folder();
    let mut guard = guarded(&pids, "stay");
    // Another process holds the only other end of the pipe, as the supervisor does.
    let parent = Command::new("sleep").arg("300").stdout(guard.stdin.take().unwrap()).stdin(Stdio::null()).spawn();
    let mut parent = parent.unwrap();
    let family = family(&pids).await;
    assert_eq!(family.len(), 5);
    parent.kill().unwrap();
    parent.wait().unwrap();
    all_end(&family).await;
    assert!(guard.wait().unwrap().success());
}

#[tokio::test]
async fn all_below_ends_on_a_signal_to_the_guard() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (_folder, pids) = folder();
        let mut guard = guarded(&pids, "stay");
        let family = family(&pids).await;
        own(&guard).signal(signal);
        all_end(&family).await;
        guard.wait().unwrap();
    }
}

#[tokio::test]
async fn what_the_program_leaves_behind_ends_with_it() {
    let (_folder, pids) = folder();
    let mut guard = guarded(&pids, "leave");
    let family = family(&pids).await;
    guard.wait().unwrap();
    all_end(&family).await;
}

#[tokio::test]
async fn the_program_dies_with_a_killed_guard() {
    let (_folder, pids) = folder();
    let mut guard = guarded(&pids, "stay");
    let family = family(&pids).await;
    let program = *family.last().unwrap();
    guard.kill().unwrap();
    guard.wait().unwrap();
    assert!(program.ended_within(LIMIT).await);
    // Its orphans would be the supervisor's, which is a subreaper; here they are nobody's.
    for orphan in family {
        orphan.signal(Signal::KILL);
    }
}
