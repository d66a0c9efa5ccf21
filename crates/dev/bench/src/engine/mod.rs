//! The engine's bench: `runnerless-runner once` and the floor, in turn, on the same jobs of the same simulator.
//!
//! Both speak to the simulator through a witness in this process, which stamps each request as it arrives. So what is
//! measured is what a GitLab would see, and nothing that the runner says about itself.

mod case;
mod process;
mod simulator;
mod summary;
mod trip;
mod witness;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::oneshot;

use crate::functions::cpu::CpuShare;
use crate::lines::Lines;
use case::{CASES, Case};
use simulator::Simulator;
use summary::Summary;
use trip::{Contender, Trip};
use witness::Witness;

/// Linux' folder in memory.
const IN_MEMORY: &str = "/dev/shm";

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where the built programs are.
    pub programs: PathBuf,
    /// A folder of the bench's own.
    pub folder: PathBuf,
    /// Runs of each case and side.
    pub rounds: u32,
    /// The memory, in MB, whose share of a processor the runners and their jobs get.
    pub cpu_mb: Option<u32>,
}

/// Nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or folder.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program is not built.
    #[error("{0} is not there: make build")]
    NotBuilt(PathBuf),
    /// The simulator did not become ready.
    #[error("the simulator did not become ready; its words are in {0}")]
    NotReady(PathBuf),
    /// A call of the simulator's control interface failed.
    #[error("the simulator does not do as it is told: {0}")]
    Simulator(String),
    /// A run did not go as every run must.
    #[error("{program} on {case}: {why}")]
    Trip {
        /// Which runner.
        program: &'static str,
        /// Which job.
        case: &'static str,
        /// What is not as it must be.
        why: String,
    },
    /// The kernel refused something.
    #[error("this machine does not let anything be measured")]
    Machine(#[from] io::Error),
    /// The thread that measures is gone.
    #[error("the measuring ended in a panic")]
    Panic,
}

/// Measures every case and writes a line for each.
///
/// # Errors
/// When a run was not a good one: a number of it would mean nothing.
pub async fn bench(wish: Wish, lines: &mut Lines, tell: fn(&str)) -> Result<(), BenchError> {
    let share = match wish.cpu_mb.map(CpuShare::of).transpose() {
        Ok(share) => share,
        Err(error) => {
            let reason = format!("no control group for a share of the processor can be made: {error}");
            CASES.iter().for_each(|case| lines.skip("runner", case.name, &reason, false));
            return Ok(());
        }
    };
    // A thread of its own, in plain blocking calls: nothing else of this process is between a request and its stamp.
    let (sender, measured) = oneshot::channel();
    thread::spawn(move || {
        // Nobody waits for it any more when the bench was interrupted.
        let _ = sender.send(measure(&wish, share, tell));
    });
    for line in measured.await.map_err(|_| BenchError::Panic)?? {
        lines.bench(line);
    }
    Ok(())
}

fn measure(wish: &Wish, share: Option<CpuShare>, tell: fn(&str)) -> Result<Vec<serde_json::Value>, BenchError> {
    let desk = Desk::new(wish, share)?;
    let mut trips: Vec<[Vec<Trip>; 2]> = CASES.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    // A round for nothing: files come into memory.
    for case in CASES {
        for contender in &desk.contenders {
            desk.trip(case, contender)?;
        }
    }
    for round in 0..wish.rounds {
        tell(&format!("engine: round {} of {}", round + 1, wish.rounds));
        // Neither is always the one that runs after the other.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for (case, trips) in CASES.iter().zip(&mut trips) {
            for side in order {
                trips[side].push(desk.trip(case, &desk.contenders[side])?);
            }
        }
    }
    let binary_bytes = desk.contenders[0].binary_bytes()?;
    let lines = CASES.iter().zip(&trips).map(|(case, [ours, floor])| {
        let summary = Summary::new(case, ours, floor);
        tell(&summary.words());
        summary.json(wish.cpu_mb, binary_bytes)
    });
    Ok(lines.collect())
}

/// What every run needs.
struct Desk {
    /// Ours and the floor.
    contenders: [Contender; 2],
    simulator: Simulator,
    witness: Witness,
    folder: PathBuf,
    share: Option<CpuShare>,
}

impl Desk {
    fn new(wish: &Wish, share: Option<CpuShare>) -> Result<Self, BenchError> {
        let program = |name: &str| {
            let path = wish.programs.join(name);
            if path.is_file() { Ok(path) } else { Err(BenchError::NotBuilt(path)) }
        };
        let folder = &wish.folder;
        let (ours, floor) = (program("runnerless-runner")?, program("floor-runner")?);
        let simulator = Simulator::start(&program("gitlab-sim")?, folder)?;
        let token_file = folder.join("token");
        fs::write(&token_file, simulator.create_runner()?).map_err(at(&token_file))?;
        let witness = Witness::start(simulator.host(), folder.join("go"))?;
        let contender = |name, program| Contender { name, program, url: witness.url(), token_file: token_file.clone() };
        let contenders = [contender("runner", ours), contender("floor", floor)];
        Ok(Self { contenders, simulator, witness, folder: folder.clone(), share })
    }

    fn trip(&self, case: &'static Case, contender: &Contender) -> Result<Trip, BenchError> {
        let wrong = |why| BenchError::Trip { program: contender.name, case: case.name, why };
        let job = self.simulator.create_job(&case.description(self.witness.go_file()))?;
        let (work, words) = (self.folder.join("work"), self.folder.join("runner.log"));
        fs::create_dir(&work).map_err(at(&work))?;
        let ended = contender.run(case, &self.witness, self.share.as_ref(), &work, &words)?;
        fs::remove_dir_all(&work).map_err(at(&work))?;
        let status = self.simulator.job_status(job)?;
        if status != "success" || !ended.success {
            let words = fs::read_to_string(&words).unwrap_or_default();
            return Err(wrong(format!("the job is {status}, and the runner said: {}", words.trim())));
        }
        Trip::of(&ended, &self.witness.take(), case).map_err(wrong)
    }
}

/// A folder of the bench's own, removed when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it below `parent`. Without one it is in memory where there is such a folder: a disk's journal is shared with
    /// whatever else writes to the disk, and on a busy one a runner's dozen folders would be all that is measured.
    ///
    /// # Errors
    /// The parent cannot be written to.
    pub fn make(parent: Option<&Path>) -> io::Result<Self> {
        let name = format!("runnerless-bench-{}", std::process::id());
        let make = |parent: &Path| {
            let path = parent.join(&name);
            fs::create_dir(&path).map(|()| Self(path))
        };
        match parent {
            Some(parent) => make(parent),
            None => make(Path::new(IN_MEMORY)).or_else(|_| make(&std::env::temp_dir())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clear.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BenchError {
    let path = path.to_owned();
    move |source| BenchError::File { path, source }
}
