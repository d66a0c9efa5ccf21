//! What a job finds around it in Lambda: its time, its tools, its names.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use runnerless_aws::CacheBucket;
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_engine::{Deadline, Environment, ImagePolicy, RunConfig, log};
use runnerless_gitlab::protocol::{Secret, Way};
use tokio::time::Instant;

use crate::config::Config;
use crate::sandbox::Sandbox;

/// Where tools are: layers come first, because whoever adds a layer means it.
const PATH: [&str; 7] = ["/opt/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The locale that every Linux has and that does not break UTF-8; the runtime itself names one that it does not have.
const LANG: &str = "C.UTF-8";
/// What can be done about a command that is not there.
const MISSING: &str = "A Lambda function has few commands of its own, and those of the stack's tools layer (docs/tools.md of \
    Runnerless lists them): add a layer with the command in its folder bin, have the executor run from its image, or map the \
    job to an EC2 lane.";
/// What is kept of the invocation for ending the launch: the ledger's calls are given up after eight seconds.
const OWN_END: Millis = Millis::secs(10);
/// What is kept before that for `after_script`, the last of the log and the report, where there is so much.
const GRACE: Duration = Duration::from_secs(60);
/// Of a short invocation this part is the grace.
const GRACE_PART: u32 = 4;
/// How long reporting a job's end may take: GitLab may need five minutes to store a log. The deadline cuts it.
const REPORT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// What is the same for all launches of a process.
#[derive(Debug)]
pub struct Settings {
    /// Where the secrets are in Parameter Store.
    pub parameter_path: String,
    /// The only GitLab that is ever called.
    pub gitlab_url: String,
    /// Each launch works in a folder of its own below this.
    pub work_root: PathBuf,
    /// What to do about `image:` and `services:`.
    pub images: ImagePolicy,
    /// The runner's name in the job's log.
    pub runner_name: String,
    /// The job's shells' environment.
    pub environment: Environment,
    /// The pause between two signs of life of a launch with a job.
    pub beat: Duration,
    /// The way to GitLab, for git too.
    pub way: Way,
    /// The bucket with the jobs' caches, where the stack has one.
    pub caches: Option<CacheBucket>,
    /// How launches are kept apart.
    pub sandbox: Sandbox,
}

impl Settings {
    /// From the environment's variables.
    #[must_use]
    pub fn new(config: &Config, sandbox: Sandbox) -> Self {
        Self {
            parameter_path: config.parameter_path.clone(),
            gitlab_url: config.gitlab_url.clone(),
            work_root: config.work_root.clone(),
            images: config.images,
            runner_name: config.function_name.clone(),
            environment: Environment {
                path: path(&config.path),
                lang: LANG.to_owned(),
                user: user_name(),
                cure: MISSING.to_owned(),
            },
            beat: length(limits::BEAT),
            way: config.way.clone(),
            caches: config.cache_bucket.as_ref().map(|name| CacheBucket::new(name, &config.place, &config.credentials)),
            sandbox,
        }
    }
}

/// One launch's own part of the configuration.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) token: Secret,
    pub(crate) system_id: String,
    pub(crate) wait_s: u64,
    /// When the launch began: its wait and its lease count from there.
    pub(crate) began: Timestamp,
    /// Whether this environment is thrown away after the launch.
    pub(crate) disposable: bool,
    /// When the invocation, or the launch, is over.
    pub(crate) ends_at: Timestamp,
}

impl Terms {
    /// The engine's configuration.
    pub(crate) fn config(self, settings: &Settings, now: Timestamp) -> RunConfig {
        let left = length(self.ends_at - OWN_END - now);
        let longest = length(limits::WAIT - (now - self.began));
        RunConfig {
            token: self.token,
            system_id: Some(self.system_id),
            runner_name: settings.runner_name.clone(),
            wait: Duration::from_secs(self.wait_s).min(longest),
            images: settings.images,
            disposable: self.disposable,
            environment: settings.environment.clone(),
            deadline: Some(deadline(left)),
            log_limit: log::DEFAULT_LIMIT,
            proxy: settings.way.proxy.clone(),
            ca_pem: settings.way.ca_pem.clone(),
            report_limit: REPORT_LIMIT,
        }
    }
}

fn deadline(left: Duration) -> Deadline {
    Deadline {
        at: Instant::now() + left,
        grace: GRACE.min(left / GRACE_PART),
        of_what: "the Lambda invocation".to_owned(),
        cure: "A Lambda function runs for 15 minutes at most: split the job, or map it to an EC2 lane.".to_owned(),
    }
}

/// A length of time; a negative one is none.
fn length(length: Millis) -> Duration {
    Duration::from_millis(u64::try_from(length.0).unwrap_or_default())
}

/// The fixed folders, then what the runtime or the image adds. Relative entries are not taken: they would name folders
/// of the job's repository.
fn path(given: &str) -> String {
    let added = given.split(':').filter(|entry| entry.starts_with('/') && !PATH.contains(&entry.trim_end_matches('/')));
    PATH.into_iter().chain(added).collect::<Vec<_>>().join(":")
}

/// The name of the user that this process runs as, from the system's own list; a number where it has none.
fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = |line: &&str| line.split(':').nth(2) == Some(uid.as_str());
    list.lines().find(own).and_then(|line| line.split(':').next()).map_or(uid.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Mode, Scrub};

    #[test]
    fn layers_come_first_and_only_absolute_folders_are_added() {
        let path = path("/usr/bin/:/var/lang/bin:.:bin::/opt/bin:/usr/local/cargo/bin");
        assert!(path.starts_with("/opt/bin:/usr/local/sbin:"), "{path}");
        assert!(path.ends_with(":/bin:/var/lang/bin:/usr/local/cargo/bin"), "{path}");
        assert_eq!(path.matches("/opt/bin").count(), 1);
    }

    #[tokio::test]
    async fn the_script_stops_early_enough_for_report_and_ledger() {
        let before = Instant::now();
        let whole = deadline(Duration::from_secs(890));
        assert_eq!(whole.grace, Duration::from_secs(60));
        assert!(whole.at >= before + Duration::from_secs(890));
        assert_eq!(deadline(Duration::from_secs(40)).grace, Duration::from_secs(10));
        assert_eq!(length(Millis::secs(-5)), Duration::ZERO);
    }

    #[tokio::test]
    async fn no_event_makes_a_runner_ask_longer_than_its_lease_allows() {
        let settings = Settings {
            parameter_path: String::new(),
            gitlab_url: String::new(),
            work_root: PathBuf::new(),
            images: ImagePolicy::Fail,
            runner_name: String::new(),
            environment: Environment {
                path: String::new(),
                lang: String::new(),
                user: String::new(),
                cure: String::new(),
            },
            beat: Duration::from_secs(60),
            way: Way::default(),
            caches: None,
            sandbox: Sandbox::new(Mode::Tenant, Scrub::default()).unwrap(),
        };
        let terms = |wait_s| Terms {
            token: Secret::new("t"),
            system_id: "r_x".to_owned(),
            wait_s,
            began: Timestamp(0),
            disposable: true,
            ends_at: Timestamp(900_000),
        };
        assert_eq!(terms(86_400).config(&settings, Timestamp(0)).wait, Duration::from_secs(20));
        assert_eq!(
            terms(86_400).config(&settings, Timestamp(6_000)).wait,
            Duration::from_secs(14),
            "counted from the begin"
        );
        assert_eq!(terms(0).config(&settings, Timestamp(0)).wait, Duration::ZERO);
    }
}
