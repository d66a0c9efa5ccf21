//! One trial: the world is built and run for its time. The worlds of all trials have the same seeds, but where a patch names
//! its own.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::patch::Patch;
use crate::scratch::{Scratch, ScratchError};

/// The seed of the worlds, unless the patch has another.
const SEED: &str = "0x1";
/// How long beyond its time a run may take to end: it finishes the world that it is at, and looks for a smaller one in
/// which the same promise is broken.
const GRACE: Duration = Duration::from_secs(90);
/// How often a running world is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How Rust's programs end when they panic.
const PANICKED: i32 = 101;
/// Most characters of what the world found that are shown.
const SHOWN: usize = 300;

/// What came of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// Every promise held.
    Held,
    /// One was broken, or the world fell over it.
    Fell,
    /// None was broken, and it says nothing all the same: it met too little trouble, or cannot be run like this.
    Mute,
    /// It did not end in time.
    Hung,
    /// It did not compile.
    NotBuilt,
}

impl Came {
    /// A word for the lines.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Held => "holds",
            Self::Fell => "falls",
            Self::Mute => "says nothing",
            Self::Hung => "hangs",
            Self::NotBuilt => "does not compile",
        }
    }
}

/// One trial and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    /// Whether the world was to fall.
    pub(crate) expects_a_fall: bool,
    /// What came.
    pub(crate) came: Came,
    /// The promise that the patch says it breaks.
    pub(crate) falls: Option<String>,
    /// What the world found, or the compiler said.
    pub(crate) found: String,
    /// How long building took.
    pub(crate) built: Duration,
    /// How long the world ran.
    pub(crate) ran: Duration,
    /// Whether that is as it should be.
    pub(crate) ok: bool,
}

impl Tried {
    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let verdict = if self.ok { "found" } else { "NOT FOUND" };
        format!("{verdict}: the world {} after {:.1} s: {}", self.came.name(), self.ran.as_secs_f64(), self.found)
    }
}

/// The world as it is must hold: what it says about mutants means nothing otherwise.
///
/// # Errors
/// It cannot be built or run.
pub(crate) fn healthy(scratch: &Scratch, seconds: u64) -> Result<Tried, ScratchError> {
    let mut tried = attempt(scratch, SEED, seconds)?;
    tried.ok = tried.came == Came::Held;
    Ok(tried)
}

/// The world with a bug must fall.
///
/// # Errors
/// The patch does not fit, or the world cannot be run.
pub(crate) fn broken(scratch: &Scratch, patch: &Patch, seconds: u64) -> Result<Tried, ScratchError> {
    scratch.apply(patch)?;
    let tried = attempt(scratch, patch.seed.as_deref().unwrap_or(SEED), seconds);
    scratch.mend(patch)?;
    let mut tried = tried?;
    tried.expects_a_fall = true;
    tried.falls = Some(patch.falls.clone());
    tried.ok = tried.came == Came::Fell;
    Ok(tried)
}

fn attempt(scratch: &Scratch, seed: &str, seconds: u64) -> Result<Tried, ScratchError> {
    let mut tried = Tried {
        expects_a_fall: false,
        came: Came::NotBuilt,
        falls: None,
        found: String::new(),
        built: Duration::ZERO,
        ran: Duration::ZERO,
        ok: false,
    };
    match scratch.build()? {
        Err(said) => tried.found = shown(&said),
        Ok(took) => {
            tried.built = took;
            let began = Instant::now();
            (tried.came, tried.found) = run(scratch, seed, seconds)?;
            tried.ran = began.elapsed();
        }
    }
    Ok(tried)
}

fn run(scratch: &Scratch, seed: &str, seconds: u64) -> Result<(Came, String), ScratchError> {
    let unable = |error| ScratchError::Run("runnerless-world", error);
    let mut world = Command::new(scratch.world())
        .args(["--seed", seed, "--seconds", &seconds.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(unable)?;
    // Both are read while it runs: a full pipe would stop it.
    let lines = world.stdout.take().map(|mut out| thread::spawn(move || text(&mut out)));
    let said = world.stderr.take().map(|mut out| thread::spawn(move || text(&mut out)));
    let status = wait(&mut world, Duration::from_secs(seconds) + GRACE).map_err(unable)?;
    let read = |reader: Option<thread::JoinHandle<String>>| reader.and_then(|it| it.join().ok()).unwrap_or_default();
    let (lines, said) = (read(lines), read(said));
    Ok(status.map_or((Came::Hung, shown(&said)), |status| judge(status, &lines, &said)))
}

/// How it ended; `None` when it had to be ended.
fn wait(world: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = world.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() >= limit {
            world.kill()?;
            world.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// What a run came to, by its line and by how it ended.
fn judge(status: ExitStatus, lines: &str, said: &str) -> (Came, String) {
    let line: Value = lines.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let broken = line.pointer("/broken/0");
    match (broken, status.code()) {
        (Some(first), _) => {
            let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or_default();
            (Came::Fell, format!("seed {}: {}: {}", text("seed"), text("promise"), text("what")))
        }
        (None, Some(0)) => (Came::Held, format!("{} jobs in {} worlds", line["jobs"], line["worlds"])),
        (None, Some(PANICKED) | None) => (Came::Fell, shown(said)),
        (None, Some(_)) => (Came::Mute, shown(said)),
    }
}

fn text(from: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    // What came until it failed is better than nothing.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of what was said, where the finding is.
fn shown(said: &str) -> String {
    let said = said.trim();
    let skipped = said.chars().count().saturating_sub(SHOWN);
    said.chars().skip(skipped).collect()
}
