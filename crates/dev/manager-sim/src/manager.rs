//! The runner manager: asks for jobs while it has free slots, tells what it does, and leaves as it is told to.
//!
//! Signals as the official runner takes them: SIGQUIT lets its jobs end and takes no more, and another SIGQUIT changes nothing;
//! SIGTERM and SIGINT, also after that, end its jobs, and it leaves when they are over. Any of the three after that is too much:
//! it leaves at once, and has failed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use runnerless_gitlab::protocol::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::Slot;
use crate::config::{BadConfig, Config};
use crate::exposition::{Exposition, Phase, Shown};
use crate::say;
use crate::server::{self, Board};
use crate::slot::{BOUND, FAILED, GONE};

/// Beside the configuration, as the official runner keeps it.
const SYSTEM_ID: &str = ".runner_system_id";
/// The signal that ends no job.
const QUIT: &str = "SIGQUIT";

/// The runner manager cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagerError {
    #[error(transparent)]
    Config(#[from] BadConfig),
    #[error("{0} cannot be used")]
    Folder(PathBuf, #[source] io::Error),
    #[error("the machine gives no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("metrics cannot be told at {0}")]
    Listen(String, #[source] io::Error),
    #[error("the machine does not let it work")]
    Machine(#[from] io::Error),
}

/// What a slot's process says.
enum Word {
    Bound,
    Gone,
    Failed(String),
    Over,
}

/// A slot that has a process.
struct Taken {
    runner: usize,
    pid: Option<Pid>,
    /// It has a job; else it asks.
    busy: bool,
}

struct Manager {
    config: Config,
    work: PathBuf,
    system_id: String,
    board: Board,
    slots: Vec<Option<Taken>>,
    /// Whose turn it is to ask.
    next: usize,
    said: mpsc::UnboundedSender<(usize, Word)>,
}

/// Runs it until it is told to leave.
pub(crate) fn run(config: &Path, work: &Path) -> Result<ExitCode, ManagerError> {
    let system_id = system_id(config)?;
    let config = Config::read(config)?;
    // As the official runner, which does not make it.
    fs::read_dir(work).map_err(|error| ManagerError::Folder(work.to_owned(), error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config, work, system_id))
}

async fn serve(config: Config, work: &Path, system_id: String) -> Result<ExitCode, ManagerError> {
    let shown = config.runners.iter().map(|runner| Shown {
        short_token: Secret::new(runner.token.as_str()).short().to_owned(),
        name: runner.name.clone(),
        limit: runner.limit,
        ..Shown::default()
    });
    let board = Arc::new(Mutex::new(Exposition {
        concurrent: config.concurrent,
        phase: Phase::Running,
        system_id: system_id.clone(),
        runners: shown.collect(),
    }));
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if let Some(address) = &config.listen_address {
        let listening = server::start(address, Arc::clone(&board)).await;
        listening.map_err(|error| ManagerError::Listen(address.clone(), error))?;
    }
    let mut ticks = interval(config.check_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (said, mut words) = mpsc::unbounded_channel();
    let slots = (0..config.concurrent).map(|_| None).collect();
    let mut manager = Manager { config, work: work.to_owned(), system_id, board, slots, next: 0, said };
    let (mut phase, mut told) = (Phase::Running, None);
    loop {
        tokio::select! {
            _ = ticks.tick(), if phase == Phase::Running => manager.ask().await?,
            Some((slot, word)) = words.recv() => manager.hear(slot, word),
            _ = quit.recv() => told = Some(QUIT),
            _ = terminate.recv() => told = Some("SIGTERM"),
            _ = interrupt.recv() => told = Some("SIGINT"),
        }
        match (told.take(), phase) {
            (None, _) => {}
            (Some(signal), Phase::Forceful) => {
                say(&format!("{signal}: forced exit"));
                return Ok(ExitCode::FAILURE);
            }
            (Some(QUIT), _) => {
                say(&format!("{QUIT}: waiting for builds to finish"));
                phase = Phase::Graceful;
            }
            (Some(signal), _) => phase = manager.end_jobs(signal),
        }
        manager.show(|board| board.phase = phase);
        if phase != Phase::Running && manager.slots.iter().all(Option::is_none) {
            say("all builds are over");
            return Ok(ExitCode::SUCCESS);
        }
    }
}

impl Manager {
    fn show(&self, change: impl FnOnce(&mut Exposition)) {
        change(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn busy(&self, runner: usize) -> usize {
        self.slots.iter().flatten().filter(|slot| slot.busy && slot.runner == runner).count()
    }

    /// Asks for one job, for the next runner that may have one: one question at a time.
    async fn ask(&mut self) -> Result<(), ManagerError> {
        if self.slots.iter().flatten().any(|slot| !slot.busy) {
            return Ok(());
        }
        let Some(at) = self.slots.iter().position(Option::is_none) else { return Ok(()) };
        let count = self.config.runners.len();
        let has_room = |runner: &usize| {
            let limit = self.config.runners[*runner].limit;
            limit == 0 || self.busy(*runner) < limit
        };
        let turn = (0..count).map(|step| (self.next + step) % count).find(has_room);
        let Some(runner) = turn else { return Ok(()) };
        self.next = runner + 1;
        let child = self.start(at, runner).await?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        self.slots[at] = Some(Taken { runner, pid, busy: false });
        self.show(|board| board.runners[runner].has_polled = true);
        tokio::spawn(listen(child, at, self.said.clone()));
        Ok(())
    }

    async fn start(&self, at: usize, runner: usize) -> Result<Child, ManagerError> {
        let config = &self.config.runners[runner];
        let slot = Slot {
            url: config.url.clone(),
            system_id: self.system_id.clone(),
            name: config.name.clone(),
            work: self.work.join(format!("slot-{at}")),
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(slot.words()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(config.token.as_bytes()).await?;
        }
        Ok(child)
    }

    fn hear(&mut self, at: usize, word: Word) {
        let Some(slot) = self.slots[at].as_mut() else { return };
        let runner = slot.runner;
        match word {
            Word::Bound => {
                slot.busy = true;
                self.show(|board| board.runners[runner].total += 1);
            }
            Word::Gone => slot.busy = false,
            Word::Failed(reason) => self.show(|board| *board.runners[runner].failed.entry(reason).or_default() += 1),
            Word::Over => self.slots[at] = None,
        }
        let busy = self.busy(runner);
        self.show(|board| board.runners[runner].jobs = busy);
    }

    fn end_jobs(&self, signal: &str) -> Phase {
        say(&format!("{signal}: ending all builds"));
        for pid in self.slots.iter().flatten().filter_map(|slot| slot.pid) {
            // It is gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
        Phase::Forceful
    }
}

/// Passes on what a slot's process says, and its end.
async fn listen(mut child: Child, at: usize, said: mpsc::UnboundedSender<(usize, Word)>) {
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let word = match line.as_str() {
                BOUND => Word::Bound,
                GONE => Word::Gone,
                _ => match line.strip_prefix(FAILED) {
                    Some(reason) => Word::Failed(reason.to_owned()),
                    None => continue,
                },
            };
            let _ = said.send((at, word));
        }
    }
    if let Err(error) = child.wait().await {
        say(&format!("slot {at}: {error}"));
    }
    let _ = said.send((at, Word::Over));
}

/// The id of this runner manager, made up at first use.
fn system_id(config: &Path) -> Result<String, ManagerError> {
    let path = config.with_file_name(SYSTEM_ID);
    match fs::read_to_string(&path) {
        Ok(id) => return Ok(id.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(ManagerError::Folder(path, error)),
    }
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(ManagerError::Random)?;
    let id = format!("r_{}", hex::encode(bytes));
    fs::write(&path, &id).map_err(|error| ManagerError::Folder(path, error))?;
    Ok(id)
}
