//! Files of a job that are brought before its script or kept after it: which they are, how they become one archive, and how
//! they come out of one. Artifacts and caches have all of it in common.
//!
//! The official runner has its own program do this in a shell of the job. Here the runner does it itself, so that a job's
//! system needs no program for it and its token is in no command line; `open` says what keeps it to the job's rights.

mod choose;
mod expand;
mod glob;
mod open;
mod pack;
mod pipe;
mod says;
mod select;
mod unpack;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use runnerless_gitlab::protocol::{BrokenOff, Client, Incoming, JobBody, Secret};

use crate::config::RunConfig;
use crate::job::{Setup, Stages};
use crate::places::text;
use crate::verdict::Verdict;

pub(crate) use choose::Wishes;
pub(crate) use expand::expand;
pub(crate) use open::{Links, open_file};
pub(crate) use pack::{Format, Pack};
pub(crate) use pipe::pipe;
pub(crate) use says::{Field, Says};
pub(crate) use unpack::unpack;

/// As much of `$GITLAB_ENV` is read for names and paths, in bytes.
const MOST_ENVIRONMENT: u64 = 1024 * 1024;

/// Carries one job's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Courier<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) client: &'a Client,
    pub(crate) id: u64,
    pub(crate) token: &'a Secret,
    pub(crate) body: &'a JobBody,
    pub(crate) setup: &'a Setup,
}

/// A part of an archive did not come through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Way(#[from] BrokenOff),
    #[error("the archive cannot be stored")]
    Store(#[from] io::Error),
}

impl Courier<'_> {
    /// What a shell of the job would have in its environment, as far as we know it.
    pub(crate) fn environment(&self, job_status: &str) -> HashMap<String, String> {
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

    /// A file without a name below the job's own temporary folder: it goes with its last user, whatever happens.
    pub(crate) fn nameless(&self, until_then: &str) -> io::Result<File> {
        let path = self.setup.places.tmpdir().join(until_then);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(path)?;
        Ok(file)
    }
}

/// Writes what comes from the file's beginning.
pub(crate) async fn write_down(content: &mut Incoming, file: &mut File) -> Result<(), Broken> {
    file.rewind()?;
    file.set_len(0)?;
    while let Some(part) = content.part().await? {
        file.write_all(part.as_ref())?;
    }
    file.rewind()?;
    Ok(())
}

/// Waits, unless the job must end before.
pub(crate) async fn pause(stages: &Stages, time: Duration) -> Result<(), Verdict> {
    stages.within(stages.upload_limit(), tokio::time::sleep(time)).await
}

/// Whether a `when` asks for what it is of after this end.
pub(crate) fn is_due(when: &str, succeeded: bool) -> bool {
    match when {
        "always" => true,
        "on_failure" => !succeeded,
        "" | "on_success" => succeeded,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_due_by_their_when() {
        for (when, on_success, on_failure) in [
            ("", true, false),
            ("on_success", true, false),
            ("on_failure", false, true),
            ("always", true, true),
            ("new", false, false),
        ] {
            assert_eq!((is_due(when, true), is_due(when, false)), (on_success, on_failure), "{when}");
        }
    }
}
