//! Artifacts: files of other jobs that are brought before the script, and files of this one that are kept after it.
//!
//! The official runner has its own program do this in a shell of the job. Here the runner does it itself, so that a job's
//! system needs no program for it and its token is in no command line; `open` says what keeps it to the job's rights.

mod download;
mod expand;
mod glob;
mod open;
mod pack;
mod pipe;
mod says;
mod select;
mod unpack;
mod upload;

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Duration;

use runnerless_gitlab::protocol::{Client, JobBody, Secret};

use crate::config::RunConfig;
use crate::job::{Setup, Stages};
use crate::places::text;
use crate::verdict::Verdict;
use open::{Links, open_file};
use says::{Field, Says};

/// How the stage of the official runner ends when its program failed.
const FAILED: Verdict = Verdict::Exit(1);
/// As much of `$GITLAB_ENV` is read for names and paths, in bytes.
const MOST_ENVIRONMENT: u64 = 1024 * 1024;

/// Carries one job's artifacts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Courier<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) client: &'a Client,
    pub(crate) id: u64,
    pub(crate) token: &'a Secret,
    pub(crate) body: &'a JobBody,
    pub(crate) setup: &'a Setup,
}

impl Courier<'_> {
    /// What a shell of the job would have in its environment, as far as we know it.
    fn environment(&self, job_status: &str) -> HashMap<String, String> {
        let setup = self.setup;
        let given = setup.environment(self.config).into_iter();
        let mut all: HashMap<String, String> =
            given.filter_map(|(key, value)| Some((key.to_owned(), value.into_string().ok()?))).collect();
        all.insert("PWD".to_owned(), text(&setup.places.project));
        all.insert("CI_JOB_STATUS".to_owned(), job_status.to_owned());
        for variable in setup.variables.winners() {
            let path = || setup.places.file_variable(&variable.key);
            let value = if variable.file { path() } else { variable.value.clone() };
            all.insert(variable.key.clone(), value);
        }
        let mut lines = String::new();
        if let Ok((file, _)) = open_file(&setup.places.env_file(), Links::Refused) {
            // What is no text after that is not there either.
            let _ = file.take(MOST_ENVIRONMENT).read_to_string(&mut lines);
        }
        let pairs = lines.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| !key.is_empty());
        all.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        all
    }
}

/// Waits, unless the job must end before.
async fn pause(stages: &Stages, time: Duration) -> Result<(), Verdict> {
    stages.within(stages.upload_limit(), tokio::time::sleep(time)).await
}

/// The facts that end each line about a request.
fn facts(id: u64, token: &Secret, status: Option<u16>, request_id: Option<&str>) -> Vec<Field<'static>> {
    let mut fields = vec![("id", id.to_string()), ("token", token.short().to_owned())];
    fields.extend(status.map(|status| ("status", status.to_string())));
    fields.extend(request_id.map(|id| ("correlation_id", id.to_owned())));
    fields
}
