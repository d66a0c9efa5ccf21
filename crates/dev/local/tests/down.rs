//! Ending what a killed `make` left, with real processes and without an emulator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use runnerless_local::layout::Layout;
use runnerless_local::processes::Process;
use runnerless_local::supervise::down::{DownError, down};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runnerless-local");
/// Only a hang makes a test wait this long.
const LIMIT: Duration = Duration::from_secs(30);
/// A git that tells its id and does not end: a demo with it comes no further than to the look at its repository.
const GIT: &str = "#!/bin/sh\necho $$ > \"$0.new\"\nmv \"$0.new\" \"$0.pid\"\nexec sleep 300\n";

/// A checkout in which a demo starts and comes nowhere.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("template.yaml"), "").unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::create_dir(folder.path().join("demo")).unwrap();
        fs::write(folder.path().join("demo/expect.json"), r#"{"jobs":{}}"#).unwrap();
        let git = folder.path().join("bin/git");
        fs::write(&git, GIT).unwrap();
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn layout(&self) -> Layout {
        Layout::new(self.path(), Path::new("state")).unwrap()
    }

    /// As `make` does it: a shell that is the demo's parent and waits for it. The demo's output goes to a file.
    fn make(&self, options: &str) -> Child {
        let demo = r#""$0" demo --root . --state state --repo . "#;
        let path = format!("{}:/usr/bin:/bin", self.path().join("bin").display());
        Command::new("sh")
            .args(["-c", &format!("{demo} {options} > out 2>&1 & wait"), PROGRAM])
            .current_dir(self.path())
            .env("PATH", path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The demo, once it waits for its git.
    async fn demo(&self) -> (Process, Process) {
        let pid = self.path().join("bin/git.pid");
        let begun = Instant::now();
        while !pid.exists() {
            let out = fs::read_to_string(self.path().join("out")).unwrap_or_default();
            assert!(begun.elapsed() < LIMIT, "the demo does not come to its repository: {out}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let git = Process::of(fs::read_to_string(pid).unwrap().trim().parse().unwrap()).unwrap();
        let drivers = fs::read_dir(self.layout().drivers()).unwrap().flatten();
        let pids: Vec<i32> = drivers.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect();
        assert_eq!(pids.len(), 1, "the demo is written down");
        (Process::of(pids[0]).unwrap(), git)
    }

    fn command(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(words)
            .args(["--root", ".", "--state", "state"])
            .current_dir(self.path())
            .output()
            .unwrap()
    }

    fn notes(&self) -> Vec<PathBuf> {
        fs::read_dir(self.layout().drivers()).unwrap().flatten().map(|entry| entry.path()).collect()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn kill(mut make: Child) {
    make.kill().unwrap();
    make.wait().unwrap();
}

#[tokio::test]
async fn a_demo_ends_with_the_make_that_it_follows() {
    let checkout = Checkout::new();
    let make = checkout.make("--parent $$");
    let (demo, git) = checkout.demo().await;
    kill(make);
    assert!(demo.ended_within(LIMIT).await && git.ended_within(LIMIT).await);
    let out = fs::read_to_string(checkout.path().join("out")).unwrap();
    assert!(out.contains("interrupted") && out.contains(r#""kind":"summary""#), "it ended in an orderly way: {out}");
    assert!(checkout.notes().is_empty());
}

#[tokio::test]
async fn stack_down_ends_a_demo_whose_make_was_killed() {
    let checkout = Checkout::new();
    let make = checkout.make("");
    let (demo, git) = checkout.demo().await;
    kill(make);
    assert!(demo.is_alive());
    let down = checkout.command(&["down"]);
    assert!(down.status.success() && words(&down).contains("the stack is down"), "{}", words(&down));
    assert!(!demo.is_alive() && git.ended_within(LIMIT).await);
    assert!(checkout.notes().is_empty());
    let again = checkout.command(&["down"]);
    assert!(again.status.success() && words(&again).contains("no stack ran"), "{}", words(&again));
}

#[test]
fn nothing_is_begun_for_a_make_that_is_gone_already() {
    let checkout = Checkout::new();
    for command in ["demo", "up", "conformance"] {
        // Not its parent's.
        let output = checkout.command(&[command, "--parent", &i32::MAX.to_string()]);
        assert!(
            !output.status.success() && words(&output).contains("is gone; nothing was started"),
            "{}",
            words(&output)
        );
        let left: Vec<PathBuf> =
            fs::read_dir(checkout.path().join("state")).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.iter().all(|path| path.ends_with("drivers")) && output.stdout.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_supervisor_that_does_not_leave_is_no_success() {
    let checkout = Checkout::new();
    let layout = checkout.layout();
    let lock = fs::File::create(layout.at("stack.lock")).unwrap();
    lock.lock().unwrap();
    let error = down(&layout, Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("a supervisor still has"), "{error}");
    // Not by closing it: another test's program may just begin, and has the file for a moment.
    lock.unlock().unwrap();
    assert!(!down(&layout, Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn what_nobody_guards_any_more_is_named() {
    let checkout = Checkout::new();
    let layout = checkout.layout();
    fs::create_dir(layout.tmp()).unwrap();
    let mut stray = Command::new("sleep").arg("300").env("TMPDIR", layout.tmp()).spawn().unwrap();
    // A spawn may return a moment before the kernel shows the environment of what it began.
    while fs::read(format!("/proc/{}/environ", stray.id())).unwrap().is_empty() {
        std::thread::yield_now();
    }
    let downed = down(&layout, Duration::ZERO).await;
    stray.kill().unwrap();
    stray.wait().unwrap();
    let error = downed.unwrap_err();
    assert!(
        matches!(&error, DownError::Strays(left) if left[0].starts_with(&format!("{} sleep", stray.id()))),
        "{error}"
    );
}

#[test]
fn a_full_disk_is_no_success_even_of_a_demo_that_comes_nowhere() {
    let checkout = Checkout::new();
    let output = checkout.command(&["demo", "--repo", "nowhere", "--out", "/dev/full"]);
    assert!(
        !output.status.success() && words(&output).contains("OUT=/dev/full cannot be written: "),
        "{}",
        words(&output)
    );
}
