//! The command: runs worlds, says what came of them, and shrinks the first in which a promise was broken.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use runnerless_world::{Arguments, Broken, Seed, Wish, replay, run, shrink, silence};

/// How many lines of a broken world are shown.
const SHOWN: usize = 60;

fn main() -> ExitCode {
    silence();
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let threads = available_parallelism().map_or(1, std::num::NonZero::get);
    let arguments = match Arguments::read(lexopt::Parser::from_env(), fresh, threads) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("runnerless-world: {error}");
            return ExitCode::from(2);
        }
    };
    let plan = &arguments.plan;
    eprintln!("seed {}", Seed(plan.seed));
    let outcome = run(plan);
    let line = outcome.line(plan).to_string();
    println!("{line}");
    if let Some(path) = &arguments.out
        && let Err(error) = fs::File::create(path).and_then(|mut file| writeln!(file, "{line}"))
    {
        eprintln!("runnerless-world: {} cannot be written: {error}", path.display());
        return ExitCode::FAILURE;
    }
    for vacuous in outcome.vacuous(plan) {
        eprintln!("{vacuous}");
    }
    if let Some(broken) = outcome.broken.first() {
        explain(broken, &arguments);
    } else if arguments.lines.is_some() || arguments.about.is_some() {
        let wish = Wish { seed: plan.seed, jobs: plan.per_world, off: plan.off.clone(), keeps: true };
        show(&wish, &arguments);
    }
    if outcome.is_fine(plan) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says which promise was broken, and shows the smallest world in which it is.
fn explain(broken: &Broken, arguments: &Arguments) {
    for violation in &broken.violations {
        eprintln!("seed {}: {:?}: {}", Seed(broken.seed), violation.promise, violation.what);
    }
    let mut smallest = shrink(broken);
    smallest.keeps = true;
    show(&smallest, arguments);
}

fn show(wish: &Wish, arguments: &Arguments) {
    let (violations, hash, lines) = replay(wish);
    let about = |line: &&String| arguments.about.as_ref().is_none_or(|text| line.contains(text));
    let lines: Vec<&String> = lines.iter().filter(about).collect();
    for line in lines.iter().skip(lines.len().saturating_sub(arguments.lines.unwrap_or(SHOWN))) {
        eprintln!("{line}");
    }
    for violation in violations {
        eprintln!("{:?}: {}", violation.promise, violation.what);
    }
    let off: Vec<&str> = wish.off.iter().map(|fault| fault.name()).collect();
    let off = if off.is_empty() { String::new() } else { format!(" OFF={}", off.join(",")) };
    eprintln!("trace {hash}; again: make world SEED={} JOBS={}{off}", Seed(wish.seed), wish.jobs);
}
