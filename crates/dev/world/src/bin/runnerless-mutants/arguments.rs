//! The command line.

use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt as _};

/// What people read.
pub(crate) const USAGE: &str = "\
runnerless-mutants: deliberate bugs, each of which the simulated world must find; JSON lines on standard output

  runnerless-mutants [options]

      --only TEXT    only mutants with this in their names
      --seconds N    how long the world may take to find one (60)
      --tree DIR     the checkout (.)
      --state DIR    where its copy is made and built, and left for the next run (.local/mutants)
      --out FILE     the JSON lines, too

An option with an empty value counts as not given.";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Only the usage is wanted.
    pub(crate) help: bool,
    /// Only mutants with this in their names.
    pub(crate) only: Option<String>,
    /// How long the world may take (s).
    pub(crate) seconds: u64,
    /// The checkout.
    pub(crate) tree: PathBuf,
    /// Where the copy is.
    pub(crate) state: PathBuf,
    /// Where the lines go beside standard output.
    pub(crate) out: Option<PathBuf>,
}

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    /// It has something that is no option.
    pub(crate) fn read(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut read = Self {
            help: false,
            only: None,
            seconds: 60,
            tree: PathBuf::from("."),
            state: PathBuf::from(".local/mutants"),
            out: None,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => read.help = true,
                Long("only") => read.only = given(&mut parser)?,
                Long("seconds") => {
                    read.seconds = given(&mut parser)?.map_or(Ok(read.seconds), |text| seconds(&text))?;
                }
                Long("tree") => read.tree = given(&mut parser)?.map_or(read.tree, PathBuf::from),
                Long("state") => read.state = given(&mut parser)?.map_or(read.state, PathBuf::from),
                Long("out") => read.out = given(&mut parser)?.map(PathBuf::from),
                other => return Err(other.unexpected()),
            }
        }
        Ok(read)
    }
}

fn given(parser: &mut lexopt::Parser) -> Result<Option<String>, lexopt::Error> {
    Ok(Some(parser.value()?.string()?).filter(|text| !text.is_empty()))
}

fn seconds(text: &str) -> Result<u64, lexopt::Error> {
    text.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| "--seconds must be a whole number above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Arguments, lexopt::Error> {
        Arguments::read(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn what_make_hands_on_empty_is_not_given() {
        let read = read(&["--only", "", "--seconds=", "--out", ""]).unwrap();
        assert_eq!((read.only, read.seconds, read.out), (None, 60, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [&["--seconds", "0"][..], &["--seconds", "long"], &["all"], &["--fast"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
