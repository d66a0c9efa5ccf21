//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::prelude::{Long, Short, Value, ValueExt as _};

/// What people read.
pub const USAGE: &str = "\
runnerless-bench: speed and size, beside floors of the same run; JSON lines on standard output

  runnerless-bench [functions] [engine] [sweep] [pool] [options]

      --rounds N      processes of each case and side (20); rounds of the sweep and of each pool (5)
      --rows N        open rows that the sweep meets (100000)
      --due N         due jobs among them (500)
      --state DIR     where the sweep's emulator works (.local/sweep-bench)
      --cpu-mb N      give them the share of a processor that Lambda gives for N MB of memory
      --out FILE      the JSON lines, too
      --work DIR      below which the engine's jobs work (default: /dev/shm, else the folder for temporary files)
      --programs DIR  where the built programs are (default: beside this one)
      --parent PID    end when this process, which must be the parent, ends

Without a part, functions and engine are run. An option with an empty value counts as not given.";

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The functions at the front door.
    Functions,
    /// `runnerless-runner once`.
    Engine,
    /// The reconciler over a large ledger.
    Sweep,
    /// The scaler over pools of several sizes.
    Pool,
}

impl Part {
    /// Those that are run when none is named, in their order.
    pub const ALL: [Self; 2] = [Self::Functions, Self::Engine];

    fn named(word: &str) -> Option<Self> {
        match word {
            "functions" => Some(Self::Functions),
            "engine" => Some(Self::Engine),
            "sweep" => Some(Self::Sweep),
            "pool" => Some(Self::Pool),
            _ => None,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Only the usage is wanted.
    pub help: bool,
    /// The parts to run.
    pub parts: Vec<Part>,
    /// How often each case is measured, where that is said.
    pub rounds: Option<u32>,
    /// Open rows that the sweep meets.
    pub rows: u32,
    /// Due jobs among them.
    pub due: u32,
    /// Where the sweep's emulator works.
    pub state: PathBuf,
    /// The memory, in MB, whose share of a processor is given; the whole processor without it.
    pub cpu_mb: Option<u32>,
    /// Where the lines go beside standard output.
    pub out: Option<PathBuf>,
    /// Below which the engine's jobs work.
    pub work: Option<PathBuf>,
    /// Where the programs are.
    pub programs: Option<PathBuf>,
    /// Whose end ends us.
    pub parent: Option<i32>,
}

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    /// It has something that is no option.
    pub fn read(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut read = Self {
            help: false,
            parts: Vec::new(),
            rounds: None,
            rows: 100_000,
            due: 500,
            state: PathBuf::from(".local/sweep-bench"),
            cpu_mb: None,
            out: None,
            work: None,
            programs: None,
            parent: None,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rounds") => read.rounds = given(&mut parser)?,
                Long("rows") => read.rows = given(&mut parser)?.unwrap_or(read.rows),
                Long("due") => read.due = given(&mut parser)?.unwrap_or(read.due),
                Long("state") => read.state = value(&mut parser)?.map_or(read.state, PathBuf::from),
                Long("cpu-mb") => read.cpu_mb = given(&mut parser)?,
                Long("parent") => read.parent = given(&mut parser)?,
                Long("out") => read.out = value(&mut parser)?.map(PathBuf::from),
                Long("work") => read.work = value(&mut parser)?.map(PathBuf::from),
                Long("programs") => read.programs = value(&mut parser)?.map(PathBuf::from),
                Short('h') | Long("help") => read.help = true,
                Value(ref word) => match word.to_str().and_then(Part::named) {
                    Some(part) => read.parts.push(part),
                    None => return Err(argument.unexpected()),
                },
                other => return Err(other.unexpected()),
            }
        }
        if read.due > read.rows {
            return Err("--due must be at most --rows".into());
        }
        if read.rounds == Some(0) || read.cpu_mb == Some(0) {
            return Err("--rounds and --cpu-mb must be at least 1".into());
        }
        if read.parts.is_empty() {
            read.parts = Part::ALL.to_vec();
        }
        Ok(read)
    }
}

fn value(parser: &mut lexopt::Parser) -> Result<Option<OsString>, lexopt::Error> {
    Ok(Some(parser.value()?).filter(|value| !value.is_empty()))
}

fn given<T>(parser: &mut lexopt::Parser) -> Result<Option<T>, lexopt::Error>
where
    T: FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
{
    value(parser)?.map(|value| value.parse()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Arguments, lexopt::Error> {
        Arguments::read(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn what_make_hands_on_empty_is_not_given() {
        let read = read(&["--rounds", "", "--cpu-mb=", "--out", ""]).unwrap();
        assert_eq!((read.rounds, read.cpu_mb, read.out), (None, None, None));
        assert_eq!(read.parts, Part::ALL);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(read(&["functions", "--cpu-mb", "256"]).unwrap().cpu_mb, Some(256));
        for bad in [
            &["--rounds", "0"][..],
            &["--cpu-mb", "0"],
            &["--rounds", "many"],
            &["other"],
            &["--fast"],
            &["--rows", "1"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
