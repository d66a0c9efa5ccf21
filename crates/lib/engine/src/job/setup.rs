//! What a job's stages share: its variables, its folders, its sources, read from the job once.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{Client, JobBody, Proxy, Secret, Step, Variable};
use url::Url;

use super::limits::Limits;
use crate::config::RunConfig;
use crate::log::{Log, LogFormat, Masks};
use crate::places::{PlaceError, Places, WorkRoot, text};
use crate::script::{GitConfig, Script, Sources, SourcesError, Strategy, quote};
use crate::variables::Variables;

/// The name of the file variable with GitLab's certificates.
const CA_FILE: &str = "CI_SERVER_TLS_CA_FILE";

/// The job asks for something that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error(transparent)]
    Sources(#[from] SourcesError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Expanded.
    pub(crate) variables: Variables,
    pub(crate) places: Places,
    pub(crate) sources: Sources,
    pub(crate) proxy: Option<Proxy>,
    git_config: GitConfig,
    made: AtomicBool,
}

impl Setup {
    /// Reads the job. Nothing is written yet.
    pub(crate) fn new(
        config: &RunConfig,
        client: &Client,
        root: &WorkRoot,
        job_id: u64,
        body: &JobBody,
    ) -> Result<Self, SetupError> {
        let server = Variables::new(body.variables.clone());
        let sources = Sources::new(&body.git_info, body.allow_git_fetch, &server)?;
        let project_id = body.job_info.project_id.and_then(|id| u64::try_from(id).ok());
        let empty = sources.strategy() == Strategy::Empty;
        let places = Places::new(root, &config.token, job_id, &body.git_info.repo_url, project_id, empty);
        let variables = variables(config, client, body, &places).expanded(|key| places.file_variable(key));
        let ca_file = config.ca_pem.as_ref().map(|_| places.file_variable(CA_FILE));
        let agent = format!("{} {}", client.info().name, client.info().version);
        let git_config = GitConfig::new(&body.git_info.repo_url, &variables, ca_file.as_deref(), &agent);
        Ok(Self { variables, places, sources, proxy: config.proxy.clone(), git_config, made: AtomicBool::new(false) })
    }

    /// Makes the folders and writes the files of the job.
    pub(crate) fn make(&self) -> Result<(), PlaceError> {
        self.made.store(true, Ordering::Relaxed);
        self.places.make()?;
        self.places.write_git_config(self.git_config.text())?;
        for variable in self.variables.winners().filter(|variable| variable.file) {
            self.places.write_variable(&variable.key, &variable.value)?;
        }
        Ok(())
    }

    pub(crate) fn is_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    /// Removes the job's own folders; that one could not be removed is said in the log and changes nothing else.
    pub(crate) fn clean_quietly(&self, log: &Log) {
        if let Err(error) = self.places.clean() {
            log.warn(&chain(&error));
        }
    }

    /// A stage's script with everything that all stages start with.
    pub(crate) fn script(&self, job_status: &str) -> Script {
        let mut variables = self.variables.clone();
        variables.set("CI_JOB_STATUS", job_status);
        Script::with_environment(&variables, |key| self.places.file_variable(key), &text(&self.places.env_file()))
    }

    /// The line that goes to the work tree.
    pub(crate) fn enter_project(&self) -> String {
        format!("cd {}", quote(&text(&self.places.project)))
    }

    /// The lines of a step. GitLab's runners fill in the variables of a `release` step themselves.
    pub(crate) fn lines(&self, step: &Step) -> Vec<String> {
        if step.name != "release" {
            return step.script.clone();
        }
        step.script.iter().map(|line| self.variables.expand_text(line, |key| self.places.file_variable(key))).collect()
    }

    /// Project and HOME as text.
    pub(crate) fn source_paths(&self) -> (String, String) {
        (text(&self.places.project), text(&self.places.home()))
    }

    pub(crate) fn script_sections(&self) -> bool {
        self.flag("FF_SCRIPT_SECTIONS", false)
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.variables.flag(key, default)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.variables.get(key)?.trim().parse().ok()
    }

    /// What a shell of this job starts with.
    pub(crate) fn environment(&self, config: &RunConfig) -> Vec<(&'static str, OsString)> {
        let given = &config.environment;
        vec![
            ("PATH", given.path.clone().into()),
            ("LANG", given.lang.clone().into()),
            ("USER", given.user.clone().into()),
            ("LOGNAME", given.user.clone().into()),
            ("HOME", self.places.home().into()),
            ("TMPDIR", self.places.tmpdir().into()),
        ]
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        let masked = self.variables.iter().filter(|variable| variable.masked).map(|variable| variable.value.as_str());
        masked.chain(self.git_config.secret())
    }
}

/// How the log of a job is written. Without a setup (the job is refused) the masks come from the body alone.
pub(crate) fn log_format(config: &RunConfig, token: &Secret, body: &JobBody, setup: Option<&Setup>) -> LogFormat {
    let server = Variables::new(body.variables.clone());
    let masked = body.variables.iter().filter(|variable| variable.masked).map(|variable| variable.value.as_str());
    let password = Url::parse(&body.git_info.repo_url).ok().and_then(|url| url.password().map(str::to_owned));
    // A runner that let go of its token has only the part that is shown to everybody.
    let runner_token = Some(config.token.expose()).filter(|whole| *whole != config.token.short());
    let values = masked
        .chain([token.expose()])
        .chain(runner_token)
        .chain(password.as_deref())
        .chain(setup.into_iter().flat_map(Setup::secrets));
    let all = server.flag("FF_MASK_ALL_DEFAULT_TOKENS", true);
    LogFormat {
        timestamps: server.flag("FF_TIMESTAMPS", true),
        sections: body.features.trace_sections,
        limit: config.log_limit,
        masks: Masks::new(values, all, &body.features.token_mask_prefixes),
    }
}

/// The log's first lines: who runs this, and how long it may take.
pub(crate) fn header(log: &Log, config: &RunConfig, client: &Client, limits: &Limits) {
    let info = client.info();
    let revision = if info.revision.is_empty() { String::new() } else { format!(" ({})", info.revision) };
    log.note(&format!("Running with {} {}{revision}, {}", info.name, info.version, limits.sentence()));
    let system_id = config.system_id.as_deref().unwrap_or("none");
    log.note(&format!("  on {} {}, system ID: {system_id}", config.runner_name, config.token.short()));
}

/// The runner's variables around those of the server, in order of rising precedence.
fn variables(config: &RunConfig, client: &Client, body: &JobBody, places: &Places) -> Variables {
    let info = client.info();
    let mut all = Variables::default();
    if let Some(image) = &body.image {
        all.set("CI_JOB_IMAGE", image.name.clone());
    }
    all.set("CI_RUNNER_SHORT_TOKEN", config.token.short());
    all.set("CI_BUILDS_DIR", text(&places.builds));
    all.set("CI_PROJECT_DIR", text(&places.project));
    all.set("CI_CONCURRENT_ID", "0");
    all.set("CI_CONCURRENT_PROJECT_ID", "0");
    all.set("CI_SERVER", "yes");
    all.set("CI_JOB_TIMEOUT", body.runner_info.timeout_secs().to_string());
    all.extend(config.ca_pem.iter().map(|pem| Variable {
        key: CA_FILE.to_owned(),
        value: pem.clone(),
        public: true,
        file: true,
        raw: true,
        ..Variable::default()
    }));
    all.extend(body.variables.iter().cloned());
    all.set(if config.disposable { "CI_DISPOSABLE_ENVIRONMENT" } else { "CI_SHARED_ENVIRONMENT" }, "true");
    all.set("CI_RUNNER_VERSION", info.version.clone());
    all.set("CI_RUNNER_REVISION", info.revision.clone());
    all.set("CI_RUNNER_EXECUTABLE_ARCH", format!("{}/{}", info.platform, info.architecture));
    all.set("RUNNER_TEMP_PROJECT_DIR", text(&places.temporary));
    all
}
