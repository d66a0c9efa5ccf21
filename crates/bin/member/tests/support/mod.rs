//! A member: the command, a runner manager that is a real process, and AWS as an instance sees it.

mod cloud;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use cloud::{Answer, Cloud};

/// Longer than anything here takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// A runner manager as far as signals go: notes each SIGQUIT, and leaves when it was told and its build is over, which a
/// file says.
const MANAGER: &str = "
trap 'echo quit >> quits' QUIT
: > ready
until [ -e over ] && [ -e quits ]; do sleep 0.02; done
";

/// Waits until something is so.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        sleep(PAUSE);
    }
}

/// The machine.
pub struct Member {
    folder: TempDir,
    pub cloud: Cloud,
    manager: Option<Child>,
}

impl Member {
    /// With a runner manager that runs a build.
    pub fn new() -> Self {
        let mut member = Self::without_manager();
        member.start_manager();
        member
    }

    pub fn without_manager() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), cloud: Cloud::start(), manager: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it as a boot does, and writes its process id down.
    pub fn start_manager(&mut self) {
        // A bash cannot trap what it was started to ignore, and a shell's background processes, as tests may be, ignore SIGQUIT.
        let mut command = Command::new("/usr/bin/env");
        command
            .args(["--default-signal=QUIT", "/bin/bash", "-c", MANAGER])
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let manager = command.spawn().unwrap();
        until("the runner manager listens for signals", || self.path("ready").exists());
        fs::write(self.path("pid"), manager.id().to_string()).unwrap();
        self.manager = Some(manager);
    }

    /// How often it was told to finish.
    pub fn quits(&self) -> usize {
        fs::read_to_string(self.path("quits")).unwrap_or_default().lines().count()
    }

    /// Its build is over, and it leaves by itself.
    pub fn finish_build(&mut self) {
        fs::write(self.path("over"), "").unwrap();
        assert!(self.manager.take().unwrap().wait().unwrap().success(), "it was ended");
    }

    /// It crashes.
    pub fn kill_manager(&mut self) {
        let mut manager = self.manager.take().unwrap();
        manager.kill().unwrap();
        manager.wait().unwrap();
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-member"));
        command
            .env_clear()
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.cloud.url)
            .env("AWS_ENDPOINT_URL", &self.cloud.url)
            .stdin(Stdio::null());
        command
    }

    /// The command under test. What it says goes to one file, whoever said something before it.
    pub fn watch(&self) -> Watch {
        let said = fs::File::options().create(true).append(true).open(self.path("said")).unwrap();
        let mut command = self.command();
        command.args(["watch", "--group", "acme-pool", "--hook", "runnerless-drain", "--heartbeat-s", "3"]);
        command.args(["--look-s", "0.05", "--pid-file"]).arg(self.path("pid"));
        command.arg("--notes").arg(self.path("notes.json"));
        let child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
        Watch { child, said: self.path("said") }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(manager) = &mut self.manager {
            let _ = manager.kill();
            let _ = manager.wait();
        }
    }
}

/// The running command; it ends with this value, by SIGKILL.
pub struct Watch {
    child: Child,
    said: PathBuf,
}

impl Watch {
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until this was said.
    pub fn says(&self, words: &str) {
        until(&format!("{words:?} is said"), || self.said().contains(words));
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end: its exit code.
    pub fn ends(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < LIMIT, "it does not end: {}", self.said());
            sleep(PAUSE);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
