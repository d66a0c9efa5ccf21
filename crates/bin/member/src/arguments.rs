//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use runnerless_core::time::Millis;

use crate::manager::Source;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: runnerless-member watch --group NAME --hook NAME --heartbeat-s N (--unit NAME | --pid-file FILE) [options]
       runnerless-member token --parameter NAME
       runnerless-member --version

watch: beside the runner manager of a pool's member. When the instance's Auto Scaling group is to terminate it,
sends SIGQUIT to the runner manager, once, holds the group's terminating lifecycle hook open while builds run,
and answers it when the runner manager is gone. Until then nothing is done, whatever becomes of the runner
manager.

  --group NAME       the Auto Scaling group
  --hook NAME        its hook for terminating instances
  --heartbeat-s N    the hook's heartbeat timeout, 3 to 7200 seconds; a heartbeat is sent in a third of it
  --unit NAME        the systemd unit whose main process is the runner manager
  --pid-file FILE    a file with the runner manager's process id, written when it was started
  --notes FILE       where it is noted what was done, for a restart of this program
                     (/run/runnerless-member.json)
  --look-s N         how often to look, in seconds (5)

token: prints the value of one parameter of Parameter Store, decrypted: the runner's token.

Keys, region and target come from the instance's metadata service; HTTPS_PROXY and NO_PROXY are honoured towards AWS.
Exit codes: 0 the hook is answered, the token printed; 1 there is no token; 2 the arguments cannot be used.";

/// Where it is noted what was done; the folder is emptied at each boot, and process ids with it.
const NOTES: &str = "/run/runnerless-member.json";
/// Between two looks. AWS advises to ask the metadata service for such notices every five seconds.
const LOOK: Duration = Duration::from_secs(5);
/// A group's hook takes 30 to 7,200 seconds. Less than three could not be split into beats of whole seconds.
const HEARTBEATS: std::ops::RangeInclusive<u32> = 3..=7200;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Watch(Arguments),
    /// The whole name of a parameter.
    Token(String),
    Help,
    Version,
}

/// The arguments of the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub(crate) group: String,
    pub(crate) hook: String,
    pub(crate) heartbeat: Millis,
    pub(crate) manager: Source,
    pub(crate) notes: PathBuf,
    pub(crate) look: Duration,
}

/// Arguments that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// One that is unknown, or without its value.
    #[error(transparent)]
    Syntax(#[from] lexopt::Error),
    /// One that must be there.
    #[error("{0} is needed")]
    Missing(&'static str),
    /// Both ways to the runner manager.
    #[error("--unit and --pid-file name the runner manager both: give one of them")]
    TwoManagers,
    /// A number out of its bounds.
    #[error("--heartbeat-s is 3 to 7200 seconds, the group's hook's own; not {0}")]
    Heartbeat(u32),
    /// A pause that is none.
    #[error("--look-s is more than 0 and at most 60 seconds; not {0}")]
    Look(f64),
}

impl Command {
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut parser = lexopt::Parser::from_args(args);
        match parser.next()? {
            Some(Value(word)) if word == "watch" => Ok(Self::Watch(watch(parser)?)),
            Some(Value(word)) if word == "token" => Ok(Self::Token(token(parser)?)),
            Some(Long("version")) => Ok(Self::Version),
            Some(Short('h') | Long("help")) => Ok(Self::Help),
            Some(other) => Err(other.unexpected().into()),
            None => Err(UsageError::Missing("watch or token")),
        }
    }
}

fn watch(mut parser: lexopt::Parser) -> Result<Arguments, UsageError> {
    let (mut group, mut hook, mut heartbeat, mut unit, mut pid_file) = (None, None, None, None, None);
    let (mut notes, mut look) = (PathBuf::from(NOTES), LOOK);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("group") => group = Some(parser.value()?.string()?),
            Long("hook") => hook = Some(parser.value()?.string()?),
            Long("heartbeat-s") => heartbeat = Some(parser.value()?.parse::<u32>()?),
            Long("unit") => unit = Some(parser.value()?.string()?),
            Long("pid-file") => pid_file = Some(PathBuf::from(parser.value()?)),
            Long("notes") => notes = parser.value()?.into(),
            Long("look-s") => look = pause(parser.value()?.parse()?)?,
            other => return Err(other.unexpected().into()),
        }
    }
    let heartbeat = heartbeat.ok_or(UsageError::Missing("--heartbeat-s"))?;
    if !HEARTBEATS.contains(&heartbeat) {
        return Err(UsageError::Heartbeat(heartbeat));
    }
    let manager = match (unit.filter(|name| !name.is_empty()), pid_file) {
        (Some(unit), None) => Source::Unit(unit),
        (None, Some(path)) => Source::PidFile(path),
        (None, None) => return Err(UsageError::Missing("--unit or --pid-file")),
        (Some(_), Some(_)) => return Err(UsageError::TwoManagers),
    };
    let (group, hook) = (named(group, "--group")?, named(hook, "--hook")?);
    Ok(Arguments { group, hook, heartbeat: Millis::secs(heartbeat.into()), manager, notes, look })
}

fn token(mut parser: lexopt::Parser) -> Result<String, UsageError> {
    let mut parameter = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("parameter") => parameter = Some(parser.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    named(parameter, "--parameter")
}

fn named(value: Option<String>, name: &'static str) -> Result<String, UsageError> {
    value.filter(|text| !text.is_empty()).ok_or(UsageError::Missing(name))
}

fn pause(seconds: f64) -> Result<Duration, UsageError> {
    let pause = Duration::try_from_secs_f64(seconds).map_err(|_| UsageError::Look(seconds))?;
    if pause.is_zero() || pause > Duration::from_secs(60) { Err(UsageError::Look(seconds)) } else { Ok(pause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, UsageError> {
        Command::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn a_watch_names_hook_and_runner_manager() {
        let words = ["watch", "--group", "g", "--hook", "h", "--heartbeat-s", "1800", "--unit", "gitlab-runner"];
        let expected = Arguments {
            group: "g".into(),
            hook: "h".into(),
            heartbeat: Millis::secs(1800),
            manager: Source::Unit("gitlab-runner".into()),
            notes: NOTES.into(),
            look: LOOK,
        };
        assert_eq!(parse(&words).unwrap(), Command::Watch(expected));
    }

    #[test]
    fn what_is_missing_or_cannot_be_is_named() {
        let refused = |words: &[&str]| parse(words).unwrap_err().to_string();
        let whole = ["watch", "--group", "g", "--hook", "h", "--heartbeat-s", "30"];
        let with = |more: &[&'static str]| refused(&[&whole[..], more].concat());
        assert_eq!(with(&[]), "--unit or --pid-file is needed");
        assert!(with(&["--unit", "u", "--pid-file", "/p"]).contains("give one of them"));
        assert!(with(&["--pid-file", "/p", "--heartbeat-s", "2"]).contains("3 to 7200"));
        assert!(with(&["--pid-file", "/p", "--look-s", "0"]).contains("--look-s"));
        assert!(with(&["--pid-file", "/p", "--look-s", "-1"]).contains("--look-s"));
        assert!(with(&["--fast"]).contains("--fast"));
        assert_eq!(refused(&["watch", "--heartbeat-s", "30", "--unit", "u"]), "--group is needed");
        assert_eq!(refused(&["watch", "--group=", "--hook=h", "--heartbeat-s=30", "--unit=u"]), "--group is needed");
        assert_eq!(refused(&["watch", "--group", "g", "--hook", "h", "--unit", "u"]), "--heartbeat-s is needed");
        assert_eq!(refused(&["token"]), "--parameter is needed");
        assert_eq!(refused(&[]), "watch or token is needed");
        assert!(refused(&["fly"]).contains("fly"));
    }

    #[test]
    fn a_token_is_named_by_its_parameter() {
        assert_eq!(parse(&["token", "--parameter", "/a/b"]).unwrap(), Command::Token("/a/b".to_owned()));
    }
}
