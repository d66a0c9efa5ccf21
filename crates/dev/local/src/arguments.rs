//! The command line, and the one variable of the environment that is read.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt as _};
use runnerless_local::layout::{Layout, LayoutError};

/// What people read.
pub(crate) const USAGE: &str = "\
runnerless-local: the local stack (AWS emulator, witness, GitLab simulator) and the demo on it

  runnerless-local up [--api-token]     start, deploy and seed a stack, write STATE/stack.env, leave it running
  runnerless-local down                 end it
  runnerless-local status               where it listens; fails when none runs
  runnerless-local demo [options]       run a pipeline end to end; JSON lines on standard output
      --repo DIR        a git repository with a .gitlab-ci.yml instead of demo/repository
      --expect FILE     what is expected of its jobs
      --nonce TEXT      given to the jobs as variable NONCE
      --out FILE        the JSON lines, too
      --keep            leave the stack running
      --bare            the executor finds what Lambda has and the tools layer, or the demo fails; without this its own
                        jobs do where the machine allows it and the layer is built, those of --repo do not
      --api-token       give the stack an API token of GitLab
      --limit SECONDS   how long the pipeline may take (180, with --repo 900)
      --build-ms MS     how long the build before took, for its line
  runnerless-local conformance [options]  job descriptions through our runner, and the official one when given
      --cases DIR       case files instead of crates/dev/local/cases/conformance
      --official PATH   a gitlab-runner program, to compare with
      --out FILE        the JSON lines, too
  runnerless-local attack [options]     bad requests against the front door, and mutated hooks through ingest's handler
      --cases DIR       case files instead of crates/dev/local/cases/attack
      --seed NUMBER     what the mutations are made from (the clock)
      --mutations N     how many there are (10000)
      --out FILE        the JSON lines, too
  runnerless-local hostile [options]      jobs that mean harm through the executor, each followed by a control job
      --cases DIR       case files instead of crates/dev/local/cases/hostile
      --out FILE        the JSON lines, too
  runnerless-local isolation [options]    what a job can reach, one line an attempt
      --out FILE        the JSON lines, too
  runnerless-local breakage [options]   AWS services and executors out of order, and what comes of it
      --only TEXT       only the cases whose name holds this
      --slow            also those that wait for a lease to end
      --out FILE        the JSON lines, too
  runnerless-local faults [options]     what goes wrong with instances, side by side, and what is left of it
      --cases FILE      a table instead of crates/dev/local/cases/faults/ec2.jsonl
      --only TEXT       only the cases whose name holds this
      --out FILE        the JSON lines, too
  runnerless-local instances [options]  what is promised of instances, on a deployed stack
      --only TEXT       only the parts whose name holds this: calls, swap, look-alikes, reach,
                        user data, runners, removal
      --official PATH   a gitlab-runner program for the image, instead of a stand-in
      --out FILE        the JSON lines, too
  runnerless-local pool [options]       a pool of runner managers on a deployed stack, sized by its scaler
      --official PATH   a gitlab-runner program for its members, instead of a stand-in
      --quick           only some of it: grows, has a busy member finish, goes with its stack
      --out FILE        the JSON lines, too
  runnerless-local storm [options]      many jobs while hooks are lost, doubled and late and sweeps are killed
      --jobs N          how many there are (100)
      --seed NUMBER     what everything is drawn from (the clock)
      --api-token       give the stack an API token of GitLab, so that it lists projects; else it sends sentinels
      --every SECONDS   how often the sweep comes (60)
      --limit SECONDS   how long the pipelines may take (900)
      --out FILE        the JSON lines, too
  runnerless-local upgrade [options]    jobs that run while this release is deployed over another
      --before DIR      the other release: DIR/source, a checkout of it, and DIR/target/release, its builds
      --jobs N          how many there are (20)
      --out FILE        the JSON lines, too
  runnerless-local user-pipeline [options]  a user's Lambda function, deployed by jobs of our own runner
      --cli DIR         where the AWS CLI is
      --out FILE        the JSON lines, too
  runnerless-local venv                 make the emulator's Python environment only

  --root DIR    the checkout (default: the current folder)
  --state DIR   the state folder, below the checkout when relative (default: .local)
  --parent PID  end in an orderly way when this process, which must be the parent, ends

An option with an empty value counts as not given.";

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Help,
    Guard(Vec<OsString>),
    Leash(i32, Vec<OsString>),
    Supervise { simulator: bool, gitlab_root: String },
    Venv,
    Up { api_token: bool },
    Down,
    Status,
    Demo(Wish),
    Conformance(Wish),
    Hostile(Wish),
    Isolation(Wish),
    Attack(Wish),
    Breakage(Wish),
    Faults(Wish),
    Instances(Wish),
    Pool(Wish),
    Storm(Wish),
    Upgrade(PathBuf, Wish),
    UserPipeline(PathBuf, Wish),
}

/// The options of the demo and of the suites of cases.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) keep: bool,
    pub(crate) bare: bool,
    pub(crate) repo: Option<PathBuf>,
    pub(crate) expect: Option<PathBuf>,
    pub(crate) nonce: Option<String>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) api_token: bool,
    pub(crate) build_ms: u64,
    pub(crate) limit: Option<Duration>,
    pub(crate) cases: Option<PathBuf>,
    pub(crate) official: Option<PathBuf>,
    pub(crate) seed: Option<u64>,
    pub(crate) mutations: u32,
    pub(crate) only: Option<String>,
    pub(crate) slow: bool,
    pub(crate) quick: bool,
    pub(crate) jobs: usize,
    pub(crate) every: Duration,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) search_path: String,
    /// Whose end ends us.
    pub(crate) parent: Option<i32>,
    root: PathBuf,
    state: PathBuf,
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn from_env() -> Result<Self, lexopt::Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place of this binary that reads the environment"
        )]
        let search_path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        Self::read(lexopt::Parser::from_env(), search_path)
    }

    fn read(mut parser: lexopt::Parser, search_path: String) -> Result<Self, lexopt::Error> {
        let mut name = None;
        let (mut root, mut state) = (PathBuf::from("."), PathBuf::from(".local"));
        let (mut simulator, mut gitlab_root, mut api_token, mut parent) = (false, String::new(), false, None);
        let (mut jobs, mut before, mut cli) = (None, None, None);
        let mut wish = Wish {
            keep: false,
            bare: false,
            repo: None,
            expect: None,
            nonce: None,
            out: None,
            api_token: false,
            build_ms: 0,
            limit: None,
            cases: None,
            official: None,
            seed: None,
            mutations: 10_000,
            only: None,
            slow: false,
            quick: false,
            jobs: 0,
            every: Duration::from_secs(60),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("root") => root = path(&mut parser)?.unwrap_or(root),
                Long("state") => state = path(&mut parser)?.unwrap_or(state),
                Long("parent") => parent = Some(parser.value()?.parse()?),
                Long("simulator") => simulator = true,
                Long("gitlab-root") => gitlab_root = parser.value()?.string()?,
                Long("api-token") => api_token = true,
                Long("keep") => wish.keep = true,
                Long("bare") => wish.bare = true,
                Long("slow") => wish.slow = true,
                Long("quick") => wish.quick = true,
                Long("only") => wish.only = Some(parser.value()?.string()?).filter(|text| !text.is_empty()),
                Long("repo") => wish.repo = path(&mut parser)?,
                Long("expect") => wish.expect = path(&mut parser)?,
                Long("cases") => wish.cases = path(&mut parser)?,
                Long("official") => wish.official = path(&mut parser)?,
                Long("out") => wish.out = path(&mut parser)?,
                Long("nonce") => wish.nonce = Some(parser.value()?.string()?).filter(|text| !text.is_empty()),
                Long("limit") => wish.limit = Some(Duration::from_secs(parser.value()?.parse()?)),
                Long("seed") => wish.seed = number(&mut parser)?,
                Long("mutations") => wish.mutations = parser.value()?.parse()?,
                Long("jobs") => jobs = Some(parser.value()?.parse_with(at_least_one)?),
                Long("before") => before = path(&mut parser)?,
                Long("cli") => cli = path(&mut parser)?,
                Long("every") => wish.every = Duration::from_secs(parser.value()?.parse_with(at_least_one)?),
                Long("build-ms") => wish.build_ms = parser.value()?.parse()?,
                Short('h') | Long("help") => name = Some("help".to_owned()),
                Value(word) if name.is_none() => {
                    let word = word.string()?;
                    let inner = matches!(word.as_str(), "guard" | "leash");
                    name = Some(word);
                    if inner {
                        break;
                    }
                }
                other => return Err(other.unexpected()),
            }
        }
        let command = match name.as_deref() {
            Some("guard") => Command::Guard(guarded(parser.raw_args()?.collect())),
            Some("leash") => leash(parser.raw_args()?.collect())?,
            Some("supervise") => Command::Supervise { simulator, gitlab_root },
            Some("venv") => Command::Venv,
            Some("up") => Command::Up { api_token },
            Some("down") => Command::Down,
            Some("status") => Command::Status,
            Some("demo") => Command::Demo(Wish { api_token, ..wish }),
            Some("conformance") => Command::Conformance(wish),
            Some("hostile") => Command::Hostile(wish),
            Some("isolation") => Command::Isolation(wish),
            Some("attack") => Command::Attack(wish),
            Some("breakage") => Command::Breakage(wish),
            Some("faults") => Command::Faults(wish),
            Some("instances") => Command::Instances(wish),
            Some("pool") => Command::Pool(wish),
            Some("storm") => Command::Storm(Wish { api_token, jobs: jobs.unwrap_or(100), ..wish }),
            Some("upgrade") => {
                let before = before.ok_or("upgrade needs --before, the other release")?;
                Command::Upgrade(before, Wish { jobs: jobs.unwrap_or(20), ..wish })
            }
            Some("user-pipeline") => {
                let cli = cli.ok_or("user-pipeline needs --cli, the folder of the AWS CLI")?;
                Command::UserPipeline(cli, wish)
            }
            Some("help") => Command::Help,
            Some(other) => return Err(format!("unknown command {other:?}").into()),
            None => return Err("no command was given".into()),
        };
        Ok(Self { command, search_path, parent, root, state })
    }

    /// The folders.
    pub(crate) fn layout(&self) -> Result<Layout, LayoutError> {
        Layout::new(&self.root, &self.state)
    }
}

fn path(parser: &mut lexopt::Parser) -> Result<Option<PathBuf>, lexopt::Error> {
    Ok(Some(PathBuf::from(parser.value()?)).filter(|path| !path.as_os_str().is_empty()))
}

fn at_least_one<N: FromStr<Err: std::fmt::Display> + PartialOrd + From<u8>>(text: &str) -> Result<N, String> {
    let number: N = text.parse().map_err(|error: N::Err| error.to_string())?;
    if number >= N::from(1) { Ok(number) } else { Err("must be 1 or more".to_owned()) }
}

fn number(parser: &mut lexopt::Parser) -> Result<Option<u64>, lexopt::Error> {
    let value = parser.value()?;
    if value.is_empty() { Ok(None) } else { Ok(Some(value.parse()?)) }
}

/// What follows `--`.
fn guarded(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    words
}

fn leash(mut words: Vec<OsString>) -> Result<Command, lexopt::Error> {
    if words.is_empty() {
        return Err("leash needs its parent's process id".into());
    }
    let parent = words.remove(0).parse()?;
    Ok(Command::Leash(parent, guarded(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, lexopt::Error> {
        Arguments::read(lexopt::Parser::from_args(words), "/bin".into())
    }

    #[test]
    fn make_may_pass_empty_variables() {
        let read =
            read(&["demo", "--repo", "", "--expect=", "--nonce", "", "--out", "", "--state", "", "--keep"]).unwrap();
        assert_eq!(read.state, PathBuf::from(".local"));
        let Command::Demo(wish) = read.command else { panic!("{:?}", read.command) };
        assert!(
            wish.keep && wish.repo.is_none() && wish.expect.is_none() && wish.nonce.is_none() && wish.out.is_none()
        );
    }

    #[test]
    fn the_cases_are_ours_unless_others_are_named() {
        let Command::Conformance(wish) = read(&["conformance", "--cases", "", "--official", "/g"]).unwrap().command
        else {
            panic!()
        };
        assert_eq!((wish.cases, wish.official), (None, Some(PathBuf::from("/g"))));
    }

    #[test]
    fn mutations_have_a_number_and_may_have_a_seed() {
        let Command::Attack(wish) = read(&["attack", "--seed", "", "--out="]).unwrap().command else { panic!() };
        assert_eq!((wish.seed, wish.mutations), (None, 10_000));
        let Command::Attack(wish) = read(&["attack", "--seed=7", "--mutations", "9"]).unwrap().command else {
            panic!()
        };
        assert_eq!((wish.seed, wish.mutations), (Some(7), 9));
        assert!(read(&["attack", "--seed", "x"]).is_err());
    }

    #[test]
    fn a_storm_has_jobs_a_seed_and_a_schedule() {
        let Command::Storm(wish) =
            read(&["storm", "--jobs", "12", "--seed=7", "--every=5", "--api-token"]).unwrap().command
        else {
            panic!()
        };
        assert_eq!((wish.jobs, wish.seed, wish.every, wish.api_token), (12, Some(7), Duration::from_secs(5), true));
        assert!(read(&["storm", "--jobs", "0"]).is_err() && read(&["storm", "--every", "0"]).is_err());
    }

    #[test]
    fn an_upgrade_has_another_release_and_twenty_jobs() {
        let Command::Upgrade(before, wish) = read(&["upgrade", "--before", "/b"]).unwrap().command else { panic!() };
        assert_eq!((before, wish.jobs), (PathBuf::from("/b"), 20));
    }

    #[test]
    fn guarded_words_are_taken_as_they_are() {
        let Command::Guard(words) = read(&["guard", "--", "sh", "-c", "--keep"]).unwrap().command else { panic!() };
        assert_eq!(words, ["sh", "-c", "--keep"]);
        let Command::Leash(parent, words) = read(&["leash", "42", "--", "--state"]).unwrap().command else { panic!() };
        assert_eq!((parent, words), (42, vec![OsString::from("--state")]));
    }

    #[test]
    fn unknown_words_are_refused() {
        for words in [
            &["fly"][..],
            &[],
            &["up", "extra"],
            &["demo", "--fast"],
            &["leash"],
            &["upgrade"],
            &["user-pipeline"],
            &["leash", "x"],
            &["up", "--parent", "me"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
