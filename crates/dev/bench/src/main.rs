//! `runnerless-bench`, see the library.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use runnerless_bench::arguments::{Arguments, Part, USAGE};
use runnerless_bench::engine::{self, Folder};
use runnerless_bench::functions::{self, BenchError};
use runnerless_bench::lines::Lines;
use runnerless_bench::{pool, sweep};
use runnerless_local::demo::{said, tell};
use runnerless_local::guard::Signals;
use runnerless_local::processes::{self, Left, own_pid};
use runnerless_local::supervise::{self, SuperviseError};

/// How long what was started may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How often the functions and the engine are measured, where nothing else is said.
const ROUNDS: u32 = 20;
/// The same for the sweep and for pools, whose rounds take longer.
const SWEEP_ROUNDS: u32 = 5;

/// Whatever a part can fail with.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Functions(#[from] BenchError),
    #[error(transparent)]
    Engine(#[from] engine::BenchError),
    #[error(transparent)]
    Sweep(#[from] sweep::BenchError),
    #[error(transparent)]
    Pool(#[from] pool::BenchError),
    #[error(transparent)]
    Left(#[from] Left),
    #[error(transparent)]
    Follow(#[from] SuperviseError),
    #[error("the results cannot be written")]
    Lines(#[from] io::Error),
    #[error("interrupted")]
    Interrupted,
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(lexopt::Parser::from_env()) {
        Ok(arguments) if !arguments.help => arguments,
        Ok(_) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(&format!("{error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&said(&error));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Interrupted) => ExitCode::from(130),
        Err(error) => {
            tell(&said(&error));
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts and writes the summary. True when every bar held.
async fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let began = Instant::now();
    let mut signals = Signals::new()?;
    arguments.parent.map_or(Ok(()), supervise::follow)?;
    // What a job that is cut off leaves behind becomes our child, so that it can be ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(io::Error::from)?;
    let mut lines = Lines::new(arguments.out.as_deref())?;
    let folder = Folder::make(arguments.work.as_deref())?;
    let done = tokio::select! {
        done = parts(arguments, &mut lines, &folder) => done,
        () = signals.any() => Err(Failure::Interrupted),
    };
    // Whatever a part was in the midst of.
    processes::end_descendants(own_pid(), GRACE).await?;
    done?;
    Ok(lines.summary(began.elapsed())?)
}

async fn parts(arguments: &Arguments, lines: &mut Lines, folder: &Folder) -> Result<(), Failure> {
    let programs = match &arguments.programs {
        Some(programs) => programs.clone(),
        None => std::env::current_exe()?.with_file_name(""),
    };
    for part in &arguments.parts {
        match part {
            Part::Functions => {
                let wish = functions::Wish {
                    programs: programs.clone(),
                    rounds: arguments.rounds.unwrap_or(ROUNDS),
                    cpu_mb: arguments.cpu_mb,
                };
                functions::bench(&wish, lines, &tell).await?;
            }
            Part::Engine => {
                let wish = engine::Wish {
                    programs: programs.clone(),
                    folder: folder.path().to_owned(),
                    rounds: arguments.rounds.unwrap_or(ROUNDS),
                    cpu_mb: arguments.cpu_mb,
                };
                engine::bench(wish, lines, tell).await?;
            }
            Part::Sweep => {
                let wish = sweep::Wish {
                    programs: programs.clone(),
                    state: arguments.state.clone(),
                    rows: arguments.rows,
                    due: arguments.due,
                    rounds: arguments.rounds.unwrap_or(SWEEP_ROUNDS),
                };
                sweep::bench(&wish, lines, &tell).await?;
            }
            Part::Pool => {
                let wish = pool::Wish { programs: programs.clone(), rounds: arguments.rounds.unwrap_or(SWEEP_ROUNDS) };
                pool::bench(&wish, lines, &tell).await?;
            }
        }
    }
    Ok(())
}
