//! The command line: of the official runner what pools use, and `slot`, by which it starts itself for a job.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run { config: PathBuf, work: PathBuf },
    Slot(Slot),
}

/// One question to GitLab, and the job that may come of it. The runner's token comes by standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) url: String,
    pub(crate) system_id: String,
    pub(crate) name: String,
    pub(crate) work: PathBuf,
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    match parser.next()? {
        Some(Value(word)) if word == "run" => run(parser),
        Some(Value(word)) if word == "slot" => slot(parser),
        Some(other) => Err(other.unexpected()),
        None => Err("run or slot is needed".into()),
    }
}

fn run(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut config, mut work) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("config") => config = Some(PathBuf::from(parser.value()?)),
            Long("working-directory") => work = Some(PathBuf::from(parser.value()?)),
            other => return Err(other.unexpected()),
        }
    }
    let config = config.ok_or("--config is needed")?;
    let work = work.ok_or("--working-directory is needed")?;
    Ok(Command::Run { config, work })
}

fn slot(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut slot = Slot { url: String::new(), system_id: String::new(), name: String::new(), work: PathBuf::new() };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("url") => slot.url = parser.value()?.string()?,
            Long("system-id") => slot.system_id = parser.value()?.string()?,
            Long("name") => slot.name = parser.value()?.string()?,
            Long("work") => slot.work = parser.value()?.into(),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Slot(slot))
}

impl Slot {
    /// The words that [`parse`] reads.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            ["slot", "--url", &self.url, "--system-id", &self.system_id, "--name", &self.name]
                .map(OsString::from)
                .into();
        words.extend(["--work".into(), self.work.clone().into()]);
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command, lexopt::Error> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn it_is_started_as_the_official_one_is_and_starts_itself_for_a_job() {
        let run = read(&["run", "--config", "/c", "--working-directory", "/w"]).unwrap();
        assert_eq!(run, Command::Run { config: "/c".into(), work: "/w".into() });
        let slot = Slot { url: "http://h".into(), system_id: "r_1".into(), name: "-a b".into(), work: "/w/0".into() };
        assert_eq!(parse(slot.words().into_iter()).unwrap(), Command::Slot(slot));
        for words in [&[][..], &["fly"], &["run"], &["run", "--config", "/c"], &["run", "--user", "x"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
