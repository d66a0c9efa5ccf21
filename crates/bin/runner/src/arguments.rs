//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::instance::{ASK_WORD, InstanceArguments, JOB_WORD, Program};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: runnerless-runner once --url URL --token-file FILE --work DIR [options]
       runnerless-runner instance --claim-url URL --work DIR [--user NAME]
       runnerless-runner --version

once: asks GitLab for one job, runs it in bash below DIR, reports its end, and ends.

  --url URL          the GitLab instance
  --token-file FILE  holds the runner's authentication token; read once
  --work DIR         everything that the job writes is below it; made if missing
  --system-id ID     which of the runner's managers this is (default: made up once and kept in DIR)
  --wait SECONDS     how long to ask for a job (default 20)
  --ca-file FILE     PEM certificates to trust instead of the system's

SIGTERM, SIGINT and SIGHUP end the job and report it as failed (under nohup, SIGHUP does nothing).
HTTPS_PROXY and NO_PROXY are honoured, no other variable.

instance: serves the launch that this EC2 instance's tags name, and ends. What started it powers off then.

  --claim-url URL    the stack's output ClaimUrl
  --work DIR         everything that the job writes is below it; made if missing
  --user NAME        as whom the job runs, where there is such a user; else as who starts this

Besides the two AWS_EC2_METADATA_SERVICE_ENDPOINT is honoured, for a stack that is not on AWS.

Exit codes: 0 a job ran and its end was reported, whatever its result; 2 usage; 3 the token was refused; 4 GitLab could
not be reached; 5 no job came in time; 6 the end could not be reported; 143 ended by SIGTERM. Of an instance besides: 7
its launch did not begin; 8 it is over its time; 9 its runner was killed.";

/// Unless `--wait` says otherwise: the engine's schedule of asks, the last at 15 s, and some room.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
/// GitLab keeps at most 64 characters of a system id.
const LONGEST_SYSTEM_ID: usize = 64;

/// A `once`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `--url`.
    pub url: String,
    /// `--token-file`.
    pub token_file: PathBuf,
    /// `--work`.
    pub work: PathBuf,
    /// `--system-id`.
    pub system_id: Option<String>,
    /// `--wait`.
    pub wait: Duration,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
}

/// The command line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// An unknown option, a missing value.
    #[error("{0}")]
    Syntax(#[from] lexopt::Error),
    /// None of the commands.
    #[error("the commands are: once, instance")]
    Command,
    /// An option that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// GitLab would not take such a system id.
    #[error("--system-id: at most 64 letters, digits, `_` and `-`")]
    SystemId,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `once`.
    Once(Arguments),
    /// `instance`, or one of the programs that it starts.
    Instance(Program),
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

impl Command {
    /// Reads the command line.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut args = args.peekable();
        let word = args.peek().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
        match word.as_str() {
            "--version" => Ok(Self::Version),
            "instance" | ASK_WORD | JOB_WORD => Self::instance(&word, args.skip(1)),
            _ => Ok(Arguments::parse(args)?.map_or(Self::Help, Self::Once)),
        }
    }

    fn instance(word: &str, args: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut parser = lexopt::Parser::from_args(args);
        let (mut claim_url, mut work, mut user, mut launch) = (None, None, None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("claim-url") => claim_url = Some(parser.value()?.string()?),
                Long("work") => work = Some(PathBuf::from(parser.value()?)),
                Long("user") if word == "instance" => user = Some(parser.value()?.string()?),
                Long("launch") if word == ASK_WORD => launch = Some(parser.value()?.string()?),
                Long("help") | Short('h') => return Ok(Self::Help),
                other => return Err(other.unexpected().into()),
            }
        }
        if word == JOB_WORD {
            return Ok(Self::Instance(Program::Job));
        }
        let arguments = InstanceArguments {
            claim_url: claim_url.ok_or(UsageError::Missing("--claim-url"))?,
            work: work.ok_or(UsageError::Missing("--work"))?,
            user,
        };
        Ok(Self::Instance(if word == ASK_WORD {
            Program::Ask(arguments, launch.ok_or(UsageError::Missing("--launch"))?)
        } else {
            Program::Watchdog(arguments)
        }))
    }
}

impl Arguments {
    /// Reads the command line; `None` when it asks for help.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, UsageError> {
        let mut parser = lexopt::Parser::from_args(args);
        let (mut url, mut token_file, mut work, mut system_id, mut ca_file) = (None, None, None, None, None);
        let mut wait = DEFAULT_WAIT;
        let mut command = false;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => url = Some(parser.value()?.string()?),
                Long("token-file") => token_file = Some(PathBuf::from(parser.value()?)),
                Long("work") => work = Some(PathBuf::from(parser.value()?)),
                Long("system-id") => system_id = Some(checked_id(parser.value()?.string()?)?),
                Long("wait") => wait = Duration::from_secs(parser.value()?.parse()?),
                Long("ca-file") => ca_file = Some(PathBuf::from(parser.value()?)),
                Long("help") | Short('h') => return Ok(None),
                Value(word) if !command && word == "once" => command = true,
                Value(_) => return Err(UsageError::Command),
                other => return Err(other.unexpected().into()),
            }
        }
        if !command {
            return Err(UsageError::Command);
        }
        Ok(Some(Self {
            url: url.ok_or(UsageError::Missing("--url"))?,
            token_file: token_file.ok_or(UsageError::Missing("--token-file"))?,
            work: work.ok_or(UsageError::Missing("--work"))?,
            system_id,
            wait,
            ca_file,
        }))
    }
}

fn checked_id(id: String) -> Result<String, UsageError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let fits = !id.is_empty() && id.len() <= LONGEST_SYSTEM_ID && id.chars().all(plain);
    if fits { Ok(id) } else { Err(UsageError::SystemId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, UsageError> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_whole_command_line() {
        let line = "once --url http://h --token-file t --work w --system-id r_0 --wait 3 --ca-file c";
        let arguments = parse(line).unwrap().unwrap();
        assert_eq!(arguments.url, "http://h");
        assert_eq!(arguments.wait, Duration::from_secs(3));
        assert_eq!((arguments.system_id.as_deref(), arguments.ca_file), (Some("r_0"), Some(PathBuf::from("c"))));
    }

    #[test]
    fn an_instance_and_its_programs() {
        let parse = |line: &str| Command::parse(line.split_whitespace().map(OsString::from));
        let arguments = InstanceArguments { claim_url: "https://c".to_owned(), work: PathBuf::from("w"), user: None };
        let user = Some("runnerless".to_owned());
        let line = "instance --claim-url https://c --work w --user runnerless";
        let watchdog = Program::Watchdog(InstanceArguments { user, ..arguments.clone() });
        assert_eq!(parse(line).unwrap(), Command::Instance(watchdog));
        assert_eq!(parse("--version").unwrap(), Command::Version);
        let line = "instance-ask --claim-url https://c --work w --launch l-1";
        assert_eq!(parse(line).unwrap(), Command::Instance(Program::Ask(arguments, "l-1".to_owned())));
        assert_eq!(parse("instance-job").unwrap(), Command::Instance(Program::Job));
        assert_eq!(parse("instance --help").unwrap(), Command::Help);
        for (line, word) in [
            ("instance --work w", "--claim-url"),
            ("instance --claim-url u", "--work"),
            ("instance-ask --claim-url u --work w", "--launch"),
            ("instance --claim-url u --work w --launch l", "launch"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (line, word) in [
            ("", "once"),
            ("twice --url u", "once"),
            ("once --url u --token-file t", "--work"),
            ("once --bogus", "bogus"),
            ("once --wait soon", "soon"),
            ("once --system-id a/b", "--system-id"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
        assert!(parse("--help").unwrap().is_none());
    }
}
