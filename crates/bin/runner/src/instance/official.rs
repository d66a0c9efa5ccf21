//! The official gitlab-runner instead of our engine: one job by `run-single`, and then the launch is over.
//!
//! It tells nobody which job it got: the sweep learns that from GitLab. This process only says that the launch lives, and when it
//! is over. The lane's token is in a file that the job's user can read, because the official runner needs it as long as the job
//! runs: this is for lanes whose jobs trust each other.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use runnerless_core::official::Official;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::desk::{Begun, Said};
use super::launch::{BEAT, Ending, Launch};
use super::watchdog::tell;
use crate::once::Exit;
use crate::say;

/// The program.
const PROGRAM: &str = "gitlab-runner";
/// Its folder below the work folder.
const FOLDER: &str = "official";
/// What it says when GitLab handed out a job.
const GOT_ONE: &str = "Checking for jobs... received";
/// What it has to end its job when the launch is over: more than the 30 s after which it gives up on a job that does not end.
/// `run-single` takes no other limit: it does not read that of the configuration, and its option for it makes it panic (19.3).
const GRACE: Duration = Duration::from_secs(40);
/// Its shortest wait for a job (s): it looks at its clock between two requests, three seconds apart.
const SHORTEST_WAIT_S: u64 = 5;

/// What the official runner is started with.
pub(super) struct Single<'a> {
    /// The executor.
    pub(super) official: Official,
    /// What the stack said.
    pub(super) begun: &'a Begun,
    /// The work folder.
    pub(super) work: &'a Path,
    /// When the launch is over.
    pub(super) ends_at: Instant,
}

/// How it came to an end.
struct Ended {
    status: ExitStatus,
    got_one: bool,
    told: bool,
}

impl Single<'_> {
    /// Runs one job, and says how the launch ends.
    pub(super) async fn serve(&self, launch: &Launch<'_>) -> (Exit, Ending) {
        let folder = match self.write() {
            Ok(folder) => folder,
            Err(error) => {
                return (Exit::NotBegun, Ending::new("failed", format!("{PROGRAM} cannot be configured: {error}")));
            }
        };
        let ended = match self.start(&folder) {
            Ok(child) => self.watch(child, launch).await,
            Err(error) => {
                return (Exit::NotBegun, Ending::new("failed", format!("{PROGRAM} cannot be started: {error}")));
            }
        };
        if let Err(error) = fs::remove_file(folder.join("config.toml")) {
            say(&format!("the configuration of {PROGRAM} could not be removed: {error}"));
        }
        match ended {
            Ok(ended) => ending(&ended),
            Err(error) => (Exit::Killed, Ending::new("over", format!("{PROGRAM} could not be waited for: {error}"))),
        }
    }

    /// Its configuration, which nobody but its user reads: the token is in no command line.
    fn write(&self) -> io::Result<PathBuf> {
        let folder = self.work.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let put = |name: &str, text: &str| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
            file.write_all(text.as_bytes())
        };
        put("config.toml", &self.config(&folder))?;
        // The only way to a system id of ours: the launch is known by it.
        put(".runner_system_id", &self.begun.system_id)?;
        Ok(folder)
    }

    fn config(&self, folder: &Path) -> String {
        // What JSON writes between quotes is a basic string of TOML.
        let text = |value: &str| json!(value).to_string();
        let path = |name: &str| text(&folder.join(name).to_string_lossy());
        let executor = match &self.official {
            Official::Shell => format!(
                "  executor = \"shell\"\n  shell = \"bash\"\n  builds_dir = {}\n  cache_dir = {}\n",
                path("builds"),
                path("cache")
            ),
            Official::Docker(image) => {
                format!("  executor = \"docker\"\n  [runners.docker]\n    image = {}\n", text(image))
            }
        };
        let (name, url) = (text(&self.begun.system_id), text(&self.begun.gitlab_url));
        format!(
            "concurrent = 1\n\n[[runners]]\n  name = {name}\n  url = {url}\n  token = {}\n{executor}",
            text(self.begun.token.expose())
        )
    }

    fn start(&self, folder: &Path) -> io::Result<Child> {
        let wait = (self.begun.wait_ms / 1000).max(SHORTEST_WAIT_S).to_string();
        let mut command = Command::new(PROGRAM);
        command
            .arg("run-single")
            .arg("-c")
            .arg(folder.join("config.toml"))
            .args(["-r", &self.begun.system_id, "--max-builds", "1", "--wait-timeout", &wait])
            .env("HOME", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn()
    }

    /// Gives signs of life until it ends; ends it when the launch is over or somebody says so.
    async fn watch(&self, mut child: Child, launch: &Launch<'_>) -> io::Result<Ended> {
        let mut terminate = signal(SignalKind::terminate())?;
        let words = child.stderr.take();
        let listening = tokio::spawn(async move {
            match words {
                Some(words) => listen(words).await,
                None => false,
            }
        });
        let (mut beat, mut told) = (Instant::now(), false);
        let status = loop {
            tokio::select! {
                ended = child.wait() => break ended?,
                () = sleep_until(beat) => beat = self.sign_of_life(launch).await,
                () = sleep_until(self.ends_at) => break end(&mut child).await?,
                _ = terminate.recv() => {
                    told = true;
                    break end(&mut child).await?;
                }
            }
        };
        Ok(Ended { status, got_one: listening.await.unwrap_or(false), told })
    }

    /// Says that the launch lives, and when to say so again. A refusal stops nothing: what it may run is GitLab's to end.
    async fn sign_of_life(&self, launch: &Launch<'_>) -> Instant {
        match launch.desk.say(launch.id, launch.nonce, &json!({"do": "renew"})).await {
            Said::Yes(_) => {}
            Said::No(why) | Said::Again(why) => say(&format!("the launch was not renewed: {why}")),
        }
        Instant::now() + BEAT
    }
}

/// Repeats what it says on the console, and tells whether it got a job. Its log shows no token but the short form of the
/// runner's.
async fn listen(words: impl AsyncRead + Unpin) -> bool {
    let mut lines = BufReader::new(words).lines();
    let mut got_one = false;
    while let Ok(Some(line)) = lines.next_line().await {
        got_one |= line.contains(GOT_ONE);
        say(&line);
    }
    got_one
}

/// Tells it to end its job and itself; kills it if it does not.
async fn end(child: &mut Child) -> io::Result<ExitStatus> {
    tell(child);
    match timeout(GRACE, child.wait()).await {
        Ok(ended) => ended,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

/// How the launch ends. Whether the job went well its exit code does not say.
fn ending(ended: &Ended) -> (Exit, Ending) {
    let how = format!("{PROGRAM} ended: {}", ended.status);
    if ended.told {
        return (Exit::Terminated, Ending::new("over", format!("told to end; {how}")));
    }
    match (ended.got_one, ended.status.success()) {
        (true, _) => (Exit::Fine, Ending::new("over", how)),
        (false, true) => (Exit::NoJob, Ending::new("no_job", how)),
        (false, false) => (Exit::NotBegun, Ending::new("failed", how)),
    }
}

#[cfg(test)]
mod tests {
    use runnerless_gitlab::protocol::Secret;

    use super::*;

    fn config(official: Official) -> String {
        let begun = Begun {
            token: Secret::new("glrt-\"x"),
            system_id: "r_0123456789ab".to_owned(),
            nonce: Secret::new("nonce"),
            gitlab_url: "https://example.com/gitlab".to_owned(),
            image_policy: "fail".to_owned(),
            official: None,
            wait_ms: 0,
            left_ms: 0,
        };
        Single { official, begun: &begun, work: Path::new("/w"), ends_at: Instant::now() }
            .config(Path::new("/w/official"))
    }

    #[tokio::test]
    async fn the_configuration_is_of_one_runner_and_quotes_what_it_is_given() {
        let shell = config(Official::Shell);
        for line in [
            "concurrent = 1",
            "  name = \"r_0123456789ab\"",
            "  url = \"https://example.com/gitlab\"",
            "  token = \"glrt-\\\"x\"",
            "  executor = \"shell\"",
            "  builds_dir = \"/w/official/builds\"",
        ] {
            assert!(shell.lines().any(|other| other == line), "{line}\n{shell}");
        }
        let docker = config(Official::Docker("alpine:3".to_owned()));
        assert!(docker.contains("executor = \"docker\"\n  [runners.docker]\n    image = \"alpine:3\"\n"), "{docker}");
        assert!(!shell.contains("nonce") && !docker.contains("builds_dir"));
    }
}
