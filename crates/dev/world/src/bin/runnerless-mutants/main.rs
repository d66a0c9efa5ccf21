//! `runnerless-mutants`: breaks the product on purpose, one way after the other, and demands that the world notices.
//!
//! Each patch of `tests/mutants` is applied to a copy of the tree, the world is built from it and run for a minute. A bug
//! that it does not find says that the world is too kind, not that the bug is harmless.

mod arguments;
mod lines;
mod patch;
mod scratch;
mod trial;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use arguments::{Arguments, USAGE};
use lines::Lines;
use patch::Patch;
use scratch::Scratch;

/// What can keep the mutants from being tried.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Patch(#[from] patch::BadPatch),
    #[error(transparent)]
    Scratch(#[from] scratch::ScratchError),
    #[error("no mutant has {0:?} in its name")]
    NoSuch(String),
    #[error("the results cannot be written")]
    Lines(#[from] io::Error),
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(lexopt::Parser::from_env()) {
        Ok(arguments) if !arguments.help => arguments,
        Ok(_) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", runnerless_core::chain::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Tries the mutants. True when the world holds without one and falls with each.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let began = Instant::now();
    let mut patches = Patch::all(&arguments.tree.join("tests/mutants"))?;
    if let Some(only) = &arguments.only {
        patches.retain(|patch| patch.id.contains(only));
        if patches.is_empty() {
            return Err(Failure::NoSuch(only.clone()));
        }
    }
    let mut lines = Lines::new(arguments.out.as_deref())?;
    let scratch = Scratch::make(&arguments.tree, &arguments.state)?;
    eprintln!("building the world as it is");
    let healthy = trial::healthy(&scratch, arguments.seconds)?;
    lines.trial("none", &healthy)?;
    if healthy.ok {
        for (n, patch) in patches.iter().enumerate() {
            eprintln!("{}/{}: {}: {}", n + 1, patches.len(), patch.id, patch.what);
            let tried = trial::broken(&scratch, patch, arguments.seconds)?;
            eprintln!("    {}", tried.sentence());
            lines.trial(&patch.id, &tried)?;
        }
    } else {
        eprintln!("the world does not hold as it is: nothing that it says about mutants would mean anything");
    }
    Ok(lines.summary(began.elapsed())?)
}
