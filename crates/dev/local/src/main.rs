//! `runnerless-local`: the command of the local stack.

mod arguments;

use std::path::Path;
use std::process::ExitCode;

use arguments::{Arguments, Command, USAGE, Wish};
use runnerless_local::attack::{self, Attack, AttackError};
use runnerless_local::breakage::case::Pace;
use runnerless_local::breakage::{self, Breakage};
use runnerless_local::conformance::{self, Conformance, ConformanceError};
use runnerless_local::demo::{self, Demo, DemoError, said, tell};
use runnerless_local::dice::clock_seed;
use runnerless_local::faults::{self, Faults};
use runnerless_local::guard::{self, Ended, GuardError, Signals};
use runnerless_local::hostile::{self, Hostile, HostileError};
use runnerless_local::instance_cases::{self, InstanceCases};
use runnerless_local::isolation::{self, Isolation, IsolationError};
use runnerless_local::layout::{Layout, LayoutError};
use runnerless_local::pool_cases::{self, PoolCases};
use runnerless_local::stack::{Options, Stack, StackError};
use runnerless_local::storm::{self, Storm};
use runnerless_local::suite::SuiteError;
use runnerless_local::supervise::down::{self, DownError};
use runnerless_local::supervise::{self, Driver, Plan, SuperviseError};
use runnerless_local::up::{self, UpError};
use runnerless_local::upgrade::{self, Upgrade};
use runnerless_local::user_pipeline::{self, UserPipeline};
use runnerless_local::venv::{self, VenvError};

/// Whatever a command can fail with.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    #[error(transparent)]
    Down(#[from] DownError),
    #[error(transparent)]
    Venv(#[from] VenvError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Up(#[from] UpError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Conformance(#[from] ConformanceError),
    #[error(transparent)]
    Hostile(#[from] HostileError),
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    #[error(transparent)]
    Attack(#[from] AttackError),
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("this machine does not let the command do its work")]
    Machine(#[from] std::io::Error),
    #[error("interrupted")]
    Interrupted,
}

fn main() -> ExitCode {
    let arguments = match Arguments::from_env() {
        Ok(arguments) => arguments,
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
    let result = runtime.block_on(run(&arguments));
    // A read of the standard input that will never end does not hold us.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(
            Failure::Interrupted
            | Failure::Conformance(ConformanceError::Interrupted)
            | Failure::Hostile(HostileError::Interrupted)
            | Failure::Isolation(IsolationError::Interrupted)
            | Failure::Attack(AttackError::Interrupted)
            | Failure::Suite(SuiteError::Interrupted),
        ) => ExitCode::from(130),
        Err(error @ (Failure::Attack(AttackError::Cases(_)) | Failure::Suite(SuiteError::Table(_)))) => {
            tell(&said(&error));
            ExitCode::from(2)
        }
        Err(error) => {
            tell(&said(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Help => print(USAGE),
        Command::Guard(guarded) => {
            if let Ended::Program(status) = guard::guard(guarded).await? {
                // Whoever waits for the guard waits for the program. A signal's death has no code.
                return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
        }
        Command::Leash(parent, guarded) => guard::leash(*parent, guarded)?,
        Command::Supervise { simulator, gitlab_root } => {
            let program = std::env::current_exe()?;
            let (gitlab_root, search_path) = (gitlab_root.clone(), arguments.search_path.clone());
            let plan = Plan { program, simulator: *simulator, gitlab_root, search_path };
            supervise::supervise(&arguments.layout()?, &plan).await?;
        }
        Command::Venv => {
            let layout = arguments.layout()?;
            venv::ensure(&layout).await?;
            print(&layout.python().display().to_string());
        }
        Command::Up { api_token } => {
            let options = options(arguments)?;
            let mut signals = Signals::new()?;
            let _driver = begin(arguments, &options.layout)?;
            tokio::select! {
                hook = up::up(&options, *api_token) => drop(hook?),
                () = signals.any() => return Err(Failure::Interrupted),
            }
            tell(&format!("the stack is up; its addresses are in {}", options.layout.stack_env().display()));
        }
        Command::Down => {
            let layout = arguments.layout()?;
            tell(if down::down(&layout, down::PATIENCE).await? { "the stack is down" } else { "no stack ran" });
        }
        Command::Status => return status(arguments),
        Command::Demo(wish) => {
            let demo = Demo {
                stack: options(arguments)?,
                keep: wish.keep,
                bare: wish.bare,
                repo: wish.repo.clone(),
                expect: wish.expect.clone(),
                nonce: wish.nonce.clone(),
                out: wish.out.clone(),
                api_token: wish.api_token,
                build_ms: wish.build_ms,
                search_path: arguments.search_path.clone(),
                limit: wish.limit,
            };
            let mut signals = Signals::new()?;
            let _driver = begin(arguments, &demo.stack.layout)?;
            let held = demo::demo(&demo, &mut signals).await?;
            return Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Attack(wish) => {
            let attack = Attack {
                stack: options(arguments)?,
                cases: wish.cases.clone(),
                out: wish.out.clone(),
                mutations: wish.mutations,
                seed: wish.seed,
            };
            let mut signals = Signals::new()?;
            let _driver = begin(arguments, &attack.stack.layout)?;
            let held = attack::attack(&attack, &mut signals).await?;
            return Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Breakage(wish) => return break_things(arguments, wish).await,
        Command::Faults(wish) => return make_faults(arguments, wish).await,
        Command::Storm(wish) => return raise_a_storm(arguments, wish).await,
        Command::Instances(wish) => return run_instances(arguments, wish).await,
        Command::Pool(wish) => return run_pool(arguments, wish).await,
        Command::Upgrade(before, wish) => return play_an_upgrade(arguments, before, wish).await,
        Command::UserPipeline(cli, wish) => return deploy_a_function(arguments, cli, wish).await,
        Command::Conformance(wish) => {
            let conformance = Conformance {
                layout: arguments.layout()?,
                cases: wish.cases.clone(),
                official: wish.official.clone(),
                out: wish.out.clone(),
                programs: programs()?,
                search_path: arguments.search_path.clone(),
            };
            let mut signals = Signals::new()?;
            follow(arguments)?;
            let held = conformance::conformance(&conformance, &mut signals).await?;
            return Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Hostile(wish) => {
            let (layout, programs) = (arguments.layout()?, programs()?);
            let hostile = Hostile { layout, programs, cases: wish.cases.clone(), out: wish.out.clone() };
            let mut signals = Signals::new()?;
            follow(arguments)?;
            return Ok(code(hostile::hostile(&hostile, &mut signals).await?));
        }
        Command::Isolation(wish) => {
            let isolation = Isolation { layout: arguments.layout()?, programs: programs()?, out: wish.out.clone() };
            let mut signals = Signals::new()?;
            follow(arguments)?;
            return Ok(code(isolation::isolation(&isolation, &mut signals).await?));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the programs of this build are: beside this one.
fn programs() -> std::io::Result<std::path::PathBuf> {
    let mut programs = std::env::current_exe()?;
    programs.pop();
    Ok(programs)
}

fn code(held: bool) -> ExitCode {
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The cases break a stack of their own, which is gone afterwards.
async fn break_things(arguments: &Arguments, wish: &Wish) -> Result<ExitCode, Failure> {
    let breakage = Breakage {
        stack: options(arguments)?,
        only: wish.only.clone(),
        pace: if wish.slow { Pace::Slow } else { Pace::Whole },
        out: wish.out.clone(),
    };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &breakage.stack.layout)?;
    let held = breakage::breakage(&breakage, &mut signals).await?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cases have a stack of their own, which is gone afterwards.
async fn make_faults(arguments: &Arguments, wish: &Wish) -> Result<ExitCode, Failure> {
    let faults = Faults {
        stack: options(arguments)?,
        cases: wish.cases.clone(),
        only: wish.only.clone(),
        out: wish.out.clone(),
        search_path: arguments.search_path.clone(),
    };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &faults.stack.layout)?;
    Ok(code(faults::faults(&faults, &mut signals).await?))
}

/// The storm has a stack of its own, which is gone afterwards.
async fn raise_a_storm(arguments: &Arguments, wish: &Wish) -> Result<ExitCode, Failure> {
    let storm = Storm {
        stack: options(arguments)?,
        jobs: wish.jobs,
        seed: wish.seed.unwrap_or_else(clock_seed),
        api_token: wish.api_token,
        lost: true,
        every: wish.every,
        limit: wish.limit.unwrap_or(storm::LIMIT),
        out: wish.out.clone(),
    };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &storm.stack.layout)?;
    Ok(code(storm::storm(&storm, &mut signals).await?))
}

/// The cases have a stack of their own, which is gone afterwards.
async fn run_instances(arguments: &Arguments, wish: &Wish) -> Result<ExitCode, Failure> {
    let cases = InstanceCases {
        stack: options(arguments)?,
        only: wish.only.clone(),
        out: wish.out.clone(),
        official: wish.official.clone(),
        search_path: arguments.search_path.clone(),
    };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &cases.stack.layout)?;
    Ok(code(instance_cases::instance_cases(&cases, &mut signals).await?))
}

/// The cases have a stack of their own, which is gone afterwards.
async fn run_pool(arguments: &Arguments, wish: &Wish) -> Result<ExitCode, Failure> {
    let cases = PoolCases {
        stack: options(arguments)?,
        quick: wish.quick,
        out: wish.out.clone(),
        official: wish.official.clone(),
        search_path: arguments.search_path.clone(),
    };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &cases.stack.layout)?;
    Ok(code(pool_cases::pool_cases(&cases, &mut signals).await?))
}

/// The upgrade has a stack of its own, which is gone afterwards.
async fn play_an_upgrade(arguments: &Arguments, before: &Path, wish: &Wish) -> Result<ExitCode, Failure> {
    let upgrade = Upgrade {
        stack: options(arguments)?,
        before: before.to_owned(),
        jobs: wish.jobs,
        out: wish.out.clone(),
        search_path: arguments.search_path.clone(),
    };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &upgrade.stack.layout)?;
    Ok(code(upgrade::upgrade(&upgrade, &mut signals).await?))
}

/// The play has a stack of its own, which is gone afterwards.
async fn deploy_a_function(arguments: &Arguments, cli: &Path, wish: &Wish) -> Result<ExitCode, Failure> {
    let play = UserPipeline { stack: options(arguments)?, cli: cli.to_owned(), out: wish.out.clone() };
    let mut signals = Signals::new()?;
    let _driver = begin(arguments, &play.stack.layout)?;
    Ok(code(user_pipeline::user_pipeline(&play, &mut signals).await?))
}

/// Notes this command down for whoever ends the stack, and follows its parent if it is to. Signals are listened for
/// already: the first one may come now.
fn begin(arguments: &Arguments, layout: &Layout) -> Result<Driver, Failure> {
    let driver = Driver::begin(layout)?;
    follow(arguments)?;
    Ok(driver)
}

fn follow(arguments: &Arguments) -> Result<(), Failure> {
    Ok(arguments.parent.map_or(Ok(()), supervise::follow)?)
}

fn options(arguments: &Arguments) -> Result<Options, Failure> {
    let (layout, program) = (arguments.layout()?, std::env::current_exe()?);
    Ok(Options { layout, program, simulator: true, gitlab_root: String::new(), ephemeral: false })
}

fn status(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let layout = arguments.layout()?;
    match Stack::running(&layout) {
        Some(stack) => {
            let gitlab = stack.gitlab().map_or("none", |gitlab| gitlab.url.as_str());
            print(&format!("emulator {}\nwitness  {}\ngitlab   {gitlab}", stack.emulator(), stack.endpoint()));
            Ok(ExitCode::SUCCESS)
        }
        None => {
            tell(&format!("no stack runs in {}", layout.state().display()));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn print(text: &str) {
    use std::io::Write as _;
    // A reader that left is no failure of ours.
    let _ = writeln!(std::io::stdout(), "{text}");
}
