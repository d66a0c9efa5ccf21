//! The command: replays a trace, or the bundled ones, under our scaler and its rivals.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use runnerless_core::pool::decide;
use runnerless_replay::trace::Trace;
use runnerless_replay::worlds::live;
use runnerless_replay::{Arguments, Outcome, bundled, line, replay, summary, table, worlds_line};

fn main() -> ExitCode {
    let arguments = match Arguments::read(lexopt::Parser::from_env()) {
        Ok(arguments) => arguments,
        Err(error) => return refused(&error.to_string()),
    };
    if let Some(name) = &arguments.print {
        let Some(trace) = bundled::named(name) else {
            return refused(&format!("--print: there is no trace {name:?}, only {}", bundled::NAMES.join(", ")));
        };
        print!("{}", trace.to_csv());
        return ExitCode::SUCCESS;
    }
    if let Some(count) = arguments.worlds {
        return worlds(count, &arguments);
    }
    match traces(&arguments) {
        Ok(traces) => run(&traces, &arguments),
        Err(why) => refused(&why),
    }
}

fn refused(why: &str) -> ExitCode {
    eprintln!("runnerless-replay: {why}");
    ExitCode::from(2)
}

/// Random worlds, the first of them with the seed that was given.
fn worlds(count: u64, arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let seed = arguments.conditions.seed;
    let lived = live(seed..seed.saturating_add(count), decide);
    let mut lines = Vec::new();
    say(worlds_line(seed, &lived, began.elapsed()).to_string(), &mut lines);
    if let Some((seed, broken)) = &lived.broken {
        eprintln!("seed {seed:#x}: {:?}: {}", broken.promise, broken.what);
        eprintln!("again: make pool-worlds SEED={seed:#x} WORLDS=1");
    } else {
        eprintln!("{} worlds with {} jobs: every promise was kept", lived.worlds, lived.jobs);
    }
    written(&lines, arguments, lived.broken.is_none())
}

/// The named trace, or the bundled ones.
fn traces(arguments: &Arguments) -> Result<Vec<(String, Trace)>, String> {
    let mut traces = Vec::new();
    match &arguments.trace {
        Some(path) => {
            let shown = path.display();
            let text = fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
            let trace = Trace::parse(&text).map_err(|error| format!("{shown}: {error}"))?;
            let name = path.file_stem().map_or_else(|| shown.to_string(), |name| name.to_string_lossy().into_owned());
            traces.push((name, trace));
        }
        None => {
            traces.extend(bundled::NAMES.iter().filter_map(|name| Some(((*name).to_owned(), bundled::named(name)?))));
        }
    }
    if let Some(tag) = &arguments.tag {
        for (_, trace) in &mut traces {
            *trace = std::mem::take(trace).of_tag(tag).map_err(|error| format!("--tag: {error}"))?;
        }
    }
    Ok(traces)
}

fn run(traces: &[(String, Trace)], arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let mut lines = Vec::new();
    let mut all: Vec<Outcome> = Vec::new();
    for (name, trace) in traces {
        let outcomes = replay(trace, &arguments.conditions);
        for outcome in &outcomes {
            say(line(name, outcome).to_string(), &mut lines);
        }
        eprint!("{}", table(name, &outcomes));
        all.extend(outcomes);
    }
    say(summary(&all, began.elapsed()).to_string(), &mut lines);
    written(&lines, arguments, all.iter().all(Outcome::is_fine))
}

/// Writes the lines where they were asked for; the exit code.
fn written(lines: &[String], arguments: &Arguments, fine: bool) -> ExitCode {
    if let Some(path) = &arguments.out
        && let Err(error) = fs::File::create(path).and_then(|mut file| writeln!(file, "{}", lines.join("\n")))
    {
        eprintln!("runnerless-replay: {} cannot be written: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: String, lines: &mut Vec<String>) {
    println!("{line}");
    lines.push(line);
}
