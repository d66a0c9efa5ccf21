//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::fault::Fault;
use crate::run::Plan;

/// How many jobs one world is asked for, unless the run is smaller.
const PER_WORLD: u64 = 100;

/// What is asked for.
#[derive(Debug)]
pub struct Arguments {
    /// What is run.
    pub plan: Plan,
    /// Where the lines go, beside standard output.
    pub out: Option<PathBuf>,
    /// How many of the last lines of one world's trace are shown.
    pub lines: Option<usize>,
    /// Only lines that hold this text are shown.
    pub about: Option<String>,
}

/// A command line that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum BadArguments {
    /// It is none.
    #[error(
        "{0}; the options are --jobs N, --seed 0xN, --seconds N, --out FILE, --off a,b, --broken N, --lines N, --about TEXT"
    )]
    Line(#[from] lexopt::Error),
    /// No such trouble.
    #[error("--off: there is no trouble {0:?}")]
    Fault(String),
    /// No number.
    #[error("{0} must be a number, decimal or with 0x before it, and not 0; it is {1:?}")]
    Number(&'static str, String),
}

impl Arguments {
    /// Reads the command line; `fresh` is the seed of a run that names none.
    ///
    /// # Errors
    /// The first argument that cannot be followed.
    pub fn read(mut parser: Parser, fresh: u64, threads: usize) -> Result<Self, BadArguments> {
        let (mut jobs, mut seed, mut time, mut out) = (None, None, None, None);
        let (mut off, mut lines, mut about, mut broken) = (Vec::new(), None, None, 1);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("jobs") => jobs = Some(number("--jobs", &parser.value()?.string()?)?),
                Arg::Long("seed") => seed = Some(number("--seed", &parser.value()?.string()?)?),
                Arg::Long("seconds") => {
                    time = Some(Duration::from_secs(number("--seconds", &parser.value()?.string()?)?));
                }
                Arg::Long("out") => out = Some(PathBuf::from(parser.value()?)),
                Arg::Long("off") => off = faults(&parser.value()?.string()?)?,
                Arg::Long("lines") => lines = usize::try_from(number("--lines", &parser.value()?.string()?)?).ok(),
                Arg::Long("broken") => broken = number("--broken", &parser.value()?.string()?)?,
                Arg::Long("about") => about = Some(parser.value()?.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        // One world where nothing more is asked for.
        let jobs = jobs.or_else(|| time.is_none().then_some(PER_WORLD));
        let per_world = usize::try_from(jobs.unwrap_or(PER_WORLD).min(PER_WORLD)).unwrap_or(1);
        let plan = Plan {
            seed: seed.unwrap_or(fresh),
            jobs,
            time,
            per_world,
            off,
            threads,
            most_broken: usize::try_from(broken).unwrap_or(1),
        };
        Ok(Self { plan, out, lines, about })
    }
}

fn number(name: &'static str, text: &str) -> Result<u64, BadArguments> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.ok().filter(|number| *number > 0).ok_or_else(|| BadArguments::Number(name, text.to_owned()))
}

fn faults(list: &str) -> Result<Vec<Fault>, BadArguments> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| Fault::named(name).ok_or_else(|| BadArguments::Fault(name.to_owned()))).collect()
}
