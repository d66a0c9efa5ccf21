//! Before the script: the archives of the jobs that this one needs.

use std::fs::File;
use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{ArtifactAnswer, Dependency, DownloadError, Downloaded};

use super::{FAILED, facts};
use crate::duration;
use crate::files::{Broken, Courier, Says, pause, unpack, write_down};
use crate::job::{FIRST_PAUSE, MOST_ATTEMPTS, Stages};
use crate::verdict::Verdict;

/// Attempts beside the first, and the wait before each; the official runner's.
const REPEATS: u32 = 2;
const WAIT: Duration = Duration::from_secs(1);
const SAID: &str = "Downloading artifacts from coordinator...";

/// A job whose archive is needed.
struct Needed<'a> {
    id: u64,
    from: &'a Dependency,
}

/// Why the archive is not here.
enum Missing {
    /// It may come with another attempt.
    Perhaps,
    Never(String),
}

impl Courier<'_> {
    /// Brings what the job needs; `ARTIFACT_DOWNLOAD_ATTEMPTS` times, if it must be. A job must not run without its inputs.
    pub(crate) async fn bring(&self, stages: &Stages) -> Result<(), Verdict> {
        let has_file = |from: &&Dependency| from.artifacts_file.as_ref().is_some_and(|file| !file.filename.is_empty());
        let needed: Vec<&Dependency> = self.body.dependencies.iter().filter(has_file).collect();
        if needed.is_empty() {
            return Ok(());
        }
        let attempts = self.setup.number("ARTIFACT_DOWNLOAD_ATTEMPTS").unwrap_or(1).clamp(1, MOST_ATTEMPTS);
        let (mut attempt, mut wait) = (1, FIRST_PAUSE);
        loop {
            let section = stages.open("download_artifacts", "Downloading artifacts");
            let mut result = Ok(());
            for from in &needed {
                result = self.bring_one(stages, from).await;
                if result.is_err() {
                    break;
                }
            }
            section.close();
            stages.explain(&result, "download_artifacts");
            if attempt >= attempts || !matches!(result, Err(Verdict::Exit(_))) {
                return result;
            }
            attempt += 1;
            let after = duration::format(wait);
            stages.log().warn(&format!("downloading artifacts failed; attempt {attempt} of {attempts} in {after}"));
            stages.pause(wait).await?;
            wait *= 2;
        }
    }

    async fn bring_one(&self, stages: &Stages, from: &Dependency) -> Result<(), Verdict> {
        let says = Says(stages.log().clone());
        let id = from.id.and_then(|id| u64::try_from(id).ok()).unwrap_or_default();
        stages.log().announce(&format!("Downloading artifacts for {} ({id})...", from.name));
        if id == 0 || from.token.expose().is_empty() {
            says.fatal("Incomplete arguments");
            return Err(FAILED);
        }
        let failed = |why: &str| {
            says.fatal(why);
            FAILED
        };
        let mut archive =
            self.nameless(&format!("artifacts-{id}")).map_err(|error| failed(&chain(&Broken::Store(error))))?;
        self.fetch(stages, &Needed { id, from }, &mut archive, &says).await?;
        let (root, told) = (self.setup.places.project.clone(), says.clone());
        let limit = stages.preparation_limit();
        let unpacked = stages.on_thread(limit, move |given_up| unpack(archive, &root, &told, given_up)).await?;
        unpacked.map_err(|error| failed(&chain(&error)))
    }

    /// Brings one archive, from where it is stored at first, then through GitLab.
    async fn fetch(
        &self,
        stages: &Stages,
        needed: &Needed<'_>,
        archive: &mut File,
        says: &Says,
    ) -> Result<(), Verdict> {
        let direct = self.setup.flag("FF_USE_DIRECT_DOWNLOAD", true);
        for repeat in 0..=REPEATS {
            let why = match self.attempt_to_fetch(stages, needed, direct && repeat == 0, archive, says).await? {
                Ok(()) => return Ok(()),
                Err(Missing::Perhaps) if repeat < REPEATS => {
                    pause(stages, WAIT).await?;
                    says.warn("Retrying...", &[("error", "invalid argument".to_owned())]);
                    continue;
                }
                Err(Missing::Perhaps) => "invalid argument".to_owned(),
                Err(Missing::Never(why)) => why,
            };
            says.fatal(&why);
            break;
        }
        Err(FAILED)
    }

    async fn attempt_to_fetch(
        &self,
        stages: &Stages,
        needed: &Needed<'_>,
        direct: bool,
        archive: &mut File,
        says: &Says,
    ) -> Result<Result<(), Missing>, Verdict> {
        let limit = stages.preparation_limit();
        let (id, token) = (needed.id, &needed.from.token);
        let error_line = |error: &dyn std::error::Error| {
            let mut fields = facts(id, token, None, None);
            fields.push(("error", chain(error)));
            says.error(&format!("{SAID} error"), &fields);
        };
        let asked = stages.within(limit.clone(), self.client.download_artifact(id, token, direct)).await?;
        let mut file = match asked {
            Ok(Downloaded::File(file)) => file,
            Ok(Downloaded::Refused(answer)) => return Ok(Err(refused(&answer, needed, says))),
            Err(error) => {
                error_line(&error);
                let hopeless = matches!(error, DownloadError::Client(_));
                return Ok(Err(if hopeless { Missing::Never(chain(&error)) } else { Missing::Perhaps }));
            }
        };
        if let Some(host) = &file.host {
            says.info(&format!("Direct download from {host}"), &facts(id, token, None, None));
        }
        match stages.within(limit, write_down(&mut file.content, archive)).await? {
            Ok(()) => {
                says.info(&format!("{SAID} ok"), &facts(id, token, Some(file.status), file.request_id.as_deref()));
                Ok(Ok(()))
            }
            Err(error) => {
                error_line(&error);
                Ok(Err(match error {
                    Broken::Way(_) => Missing::Perhaps,
                    Broken::Store(_) => Missing::Never(chain(&error)),
                }))
            }
        }
    }
}

fn refused(answer: &ArtifactAnswer, needed: &Needed<'_>, says: &Says) -> Missing {
    let (id, token) = (needed.id, &needed.from.token);
    let mut fields = facts(id, token, None, answer.request_id.as_deref());
    fields.push(("status", answer.said.clone()));
    let never = |word: &str, why: &str| {
        says.error(&format!("{SAID} {word}"), &fields);
        Missing::Never(why.to_owned())
    };
    match answer.status {
        401 => never("unauthorized", "permission denied"),
        403 => never("forbidden", "permission denied"),
        404 => never("not found", "file does not exist"),
        _ => {
            says.warn(&format!("{SAID} failed"), &fields);
            Missing::Perhaps
        }
    }
}
