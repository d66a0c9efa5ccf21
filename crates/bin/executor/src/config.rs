//! What the executor reads from its environment.

use std::path::{Path, PathBuf};

use runnerless_aws::{Credentials, Place};
use runnerless_engine::{ImagePolicy, ScrubRoot};
use runnerless_gitlab::protocol::Way;
use runnerless_lambda_kit::{Env, EnvError};

use crate::sandbox::{Mode, Scrub};

/// The folder that stands for System V IPC.
const IPC: &str = "/proc/sysvipc";

/// The environment's variables, see `template.yaml`.
#[derive(Debug)]
pub struct Config {
    /// `RUNNERLESS_LEDGER_TABLE`.
    pub ledger_table: String,
    /// `RUNNERLESS_PARAMETER_PATH`.
    pub parameter_path: String,
    /// `RUNNERLESS_GITLAB_URL`: the only GitLab that is ever called.
    pub gitlab_url: String,
    /// `RUNNERLESS_IMAGE_POLICY`.
    pub images: ImagePolicy,
    /// `RUNNERLESS_CACHE_BUCKET`, empty where the stack keeps no caches.
    pub cache_bucket: Option<String>,
    /// `RUNNERLESS_WORK_ROOT`.
    pub work_root: PathBuf,
    /// `RUNNERLESS_SANDBOX`.
    pub sandbox: Mode,
    /// `RUNNERLESS_SCRUB`, for the shared sandbox.
    pub scrub: Scrub,
    /// `AWS_LAMBDA_FUNCTION_NAME`, which the job's log shows as the runner's name.
    pub function_name: String,
    /// `PATH`, as AWS or the image has it.
    pub path: String,
    /// `RUNNERLESS_PROXY` and `RUNNERLESS_CA_FILE`, for GitLab, git and AWS.
    pub way: Way,
    /// Where AWS is, by that way.
    pub place: Place,
    /// Who we are there.
    pub credentials: Credentials,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, way) = env.way("RUNNERLESS_PROXY", "RUNNERLESS_CA_FILE")?;
        Ok(Self {
            ledger_table: env.text("RUNNERLESS_LEDGER_TABLE")?,
            parameter_path: env.text("RUNNERLESS_PARAMETER_PATH")?,
            gitlab_url: env.text("RUNNERLESS_GITLAB_URL")?,
            images: images(env)?,
            cache_bucket: env.optional("RUNNERLESS_CACHE_BUCKET"),
            work_root: PathBuf::from(env.text("RUNNERLESS_WORK_ROOT")?),
            sandbox: sandbox(env)?,
            scrub: scrub(env)?,
            function_name: env.optional("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
            path: env.optional("PATH").unwrap_or_default(),
            way,
            place,
            credentials: env.credentials()?,
        })
    }
}

fn images(env: &Env) -> Result<ImagePolicy, EnvError> {
    const NAME: &str = "RUNNERLESS_IMAGE_POLICY";
    let value = env.text(NAME)?;
    match value.as_str() {
        "fail" => Ok(ImagePolicy::Fail),
        "warn" => Ok(ImagePolicy::Warn),
        "ignore" => Ok(ImagePolicy::Ignore),
        _ => Err(EnvError::Wrong { name: NAME, value, what: "fail, warn or ignore" }),
    }
}

fn sandbox(env: &Env) -> Result<Mode, EnvError> {
    const NAME: &str = "RUNNERLESS_SANDBOX";
    let value = env.text(NAME)?;
    match value.as_str() {
        "tenant" => Ok(Mode::Tenant),
        "shared" => Ok(Mode::Shared),
        _ => Err(EnvError::Wrong { name: NAME, value, what: "tenant or shared" }),
    }
}

/// Everything new in these folders is removed, so that a path that could be a mistake is refused.
fn scrub(env: &Env) -> Result<Scrub, EnvError> {
    const NAME: &str = "RUNNERLESS_SCRUB";
    const WHAT: &str = "absolute paths of folders, by colons; none may be /, lead through .. or be a link";
    let value = env.text(NAME)?;
    let folders = value.split(':').filter(|path| *path != IPC);
    let roots: Result<Vec<_>, _> = folders.map(|path| ScrubRoot::new(Path::new(path))).collect();
    let ipc = value.split(':').any(|path| path == IPC);
    roots.map(|roots| Scrub { roots, ipc }).map_err(|_| EnvError::Wrong { name: NAME, value, what: WHAT })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 10] = [
        ("RUNNERLESS_LEDGER_TABLE", "ledger"),
        ("RUNNERLESS_PARAMETER_PATH", "/runnerless"),
        ("RUNNERLESS_GITLAB_URL", "https://gitlab.example.com"),
        ("RUNNERLESS_IMAGE_POLICY", "warn"),
        ("RUNNERLESS_WORK_ROOT", "/tmp/runnerless"),
        ("RUNNERLESS_SANDBOX", "shared"),
        ("RUNNERLESS_SCRUB", "/tmp/a:/proc/sysvipc:/tmp/b"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];

    #[test]
    fn every_variable_that_is_needed_is_named_when_it_is_missing() {
        assert_eq!(Config::read(&Env::of(WHOLE)).unwrap().images, ImagePolicy::Warn);
        for (missing, _) in WHOLE {
            let without = WHOLE.map(|(name, value)| (name, if name == missing { "" } else { value }));
            assert_eq!(Config::read(&Env::of(without)).unwrap_err(), EnvError::Missing(missing));
        }
    }

    #[test]
    fn an_image_policy_that_is_none_is_refused() {
        let wrong = WHOLE.map(|(name, value)| (name, if name == "RUNNERLESS_IMAGE_POLICY" { "maybe" } else { value }));
        let error = Config::read(&Env::of(wrong)).unwrap_err().to_string();
        assert!(error.contains("RUNNERLESS_IMAGE_POLICY") && error.contains("fail, warn or ignore"), "{error}");
    }

    #[test]
    fn a_sandbox_or_a_folder_to_scrub_that_is_none_is_refused_by_its_name() {
        let with = |name: &str, value: &'static str| {
            Config::read(&Env::of(WHOLE.map(|(other, old)| (other, if other == name { value } else { old }))))
        };
        let config = with("RUNNERLESS_SANDBOX", "tenant").unwrap();
        assert_eq!((config.sandbox, config.scrub.roots.len(), config.scrub.ipc), (Mode::Tenant, 2, true));
        assert!(!with("RUNNERLESS_SCRUB", "/tmp/a").unwrap().scrub.ipc);
        for (name, value) in [
            ("RUNNERLESS_SANDBOX", "none"),
            ("RUNNERLESS_SCRUB", "/"),
            ("RUNNERLESS_SCRUB", "/tmp/a:"),
            ("RUNNERLESS_SCRUB", "tmp"),
            ("RUNNERLESS_SCRUB", "/tmp/../.."),
        ] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{value}: {error}");
        }
    }
}
