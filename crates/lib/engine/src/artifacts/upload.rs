//! After the script: the job's files on their way to GitLab.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{Artifact, ArtifactAnswer, ArtifactForm, Client, TransportError};
use tokio::task::spawn_blocking;

use super::{FAILED, facts};
use crate::files::{Courier, Format, Pack, Says, Wishes, expand, is_due, pause, pipe};
use crate::job::Stages;
use crate::verdict::Verdict;

/// Attempts, as the official runner makes them; more while GitLab says that it is only busy.
const ATTEMPTS: u32 = 3;
const ATTEMPTS_WHILE_BUSY: u32 = 6;
/// Waits between two attempts: from the first, doubling, to the last, unless GitLab asks for more.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// GitLab is not waited for longer than this at once.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// What an artifact is called that the job does not name.
const NO_NAME: &str = "artifacts";

/// What an attempt came to, if it did not go well.
enum Failure {
    /// It will not go better.
    Final(Cow<'static, str>),
    /// It may.
    Again { why: Cow<'static, str>, attempts: u32, wait: Option<Duration>, at: Option<Box<Client>> },
}

impl Courier<'_> {
    /// Keeps what is due after this end of the script. The first artifact that cannot be kept ends it.
    pub(crate) async fn keep(&self, stages: &mut Stages, verdict: &Verdict) -> Result<(), Verdict> {
        let succeeded = *verdict == Verdict::Success;
        let due = |entry: &&Artifact| is_due(&entry.when, succeeded) && names_files(entry);
        let due: Vec<&Artifact> = self.body.artifacts.iter().filter(due).collect();
        if due.is_empty() {
            return Ok(());
        }
        stages.heed_cancel_no_more();
        let (stage, end) = if succeeded {
            ("upload_artifacts_on_success", "successful")
        } else {
            ("upload_artifacts_on_failure", "failed")
        };
        let section = stages.open(stage, &format!("Uploading artifacts for {end} job"));
        let mut result = Ok(());
        for artifact in due {
            result = self.keep_one(stages, artifact, verdict.job_status()).await;
            if result.is_err() {
                break;
            }
        }
        section.close();
        stages.explain(&result, stage);
        result
    }

    async fn keep_one(&self, stages: &mut Stages, artifact: &Artifact, job_status: &str) -> Result<(), Verdict> {
        let says = Says(stages.log().clone());
        stages.log().announce("Uploading artifacts...");
        let format = match Format::new(&artifact.artifact_format) {
            Ok(format) => format,
            Err(error) => {
                says.fatal(&error.to_string());
                return Err(FAILED);
            }
        };
        let name = self.name(artifact, job_status, &says);
        let wishes = Wishes { paths: &artifact.paths, exclude: &artifact.exclude, untracked: artifact.untracked };
        let selection = self.select(stages, wishes, job_status, &says).await?;
        if selection.files().is_empty() {
            says.error("No files to upload", &[]);
            return Ok(());
        }
        let (root, files) = selection.into_files();
        let pack = Arc::new(Pack {
            root,
            files,
            format,
            level: self.level("ARTIFACT_COMPRESSION_LEVEL", &says),
            says: says.clone(),
        });
        let filename = format.filename(&name);
        let form = ArtifactForm {
            filename: &filename,
            format: &artifact.artifact_format,
            kind: &artifact.artifact_type,
            expire_in: &artifact.expire_in,
        };
        self.send(stages, &pack, &form, &says).await
    }

    /// The artifact's name with the job's variables filled in. What cannot be filled in stays as it is.
    fn name(&self, artifact: &Artifact, job_status: &str, says: &Says) -> String {
        let environment = self.environment(job_status);
        let value_of = |key: &str| environment.get(key).cloned().unwrap_or_default();
        let name = if artifact.name.is_empty() { NO_NAME } else { &artifact.name };
        expand(name, &value_of).unwrap_or_else(|error| {
            says.warn(&format!("invalid artifact name: {error}"), &[]);
            name.to_owned()
        })
    }

    async fn send(
        &self,
        stages: &Stages,
        pack: &Arc<Pack>,
        form: &ArtifactForm<'_>,
        says: &Says,
    ) -> Result<(), Verdict> {
        let (mut moved, mut wait, mut attempt) = (None::<Box<Client>>, FIRST_WAIT, 1);
        loop {
            let client = moved.as_deref().unwrap_or(self.client);
            let (why, attempts, asked) = match self.attempt(stages, client, pack, form, says).await? {
                None => return Ok(()),
                Some(Failure::Final(why)) => (why, 0, None),
                Some(Failure::Again { why, attempts, wait, at }) => {
                    moved = at.or(moved);
                    (why, attempts, wait)
                }
            };
            if attempt >= attempts {
                says.fatal(&why);
                return Err(FAILED);
            }
            says.warn("Retrying...", &[("context", "artifacts-uploader".to_owned()), ("error", why.into_owned())]);
            pause(stages, asked.map_or(wait, |asked| asked.clamp(wait, LONGEST_WAIT))).await?;
            wait = (wait * 2).min(LAST_WAIT);
            attempt += 1;
        }
    }

    /// One request, whose body is packed while it is sent.
    async fn attempt(
        &self,
        stages: &Stages,
        client: &Client,
        pack: &Arc<Pack>,
        form: &ArtifactForm<'_>,
        says: &Says,
    ) -> Result<Option<Failure>, Verdict> {
        let (mut writer, parts) = pipe();
        let pack = Arc::clone(pack);
        let packing = spawn_blocking(move || {
            let error = pack.write(&mut writer).err()?;
            let said = error.to_string();
            writer.fail(error);
            Some(said)
        });
        let request = client.upload_artifact(self.id, self.token, form, parts);
        let answer = stages.within(stages.upload_limit(), request).await?;
        // Who packs for nobody ends with the next part.
        let packed = packing.await.unwrap_or_else(|error| Some(chain(&error)));
        let prefix = match form.kind {
            "" => "Uploading artifacts to coordinator...".to_owned(),
            kind => format!("Uploading artifacts as {kind:?} to coordinator..."),
        };
        Ok(match answer {
            Ok(answer) => self.judge(client, &answer, &prefix, says),
            Err(error) => Some(self.unanswered(&error, packed, &prefix, says)),
        })
    }

    fn unanswered(&self, error: &TransportError, packed: Option<String>, prefix: &str, says: &Says) -> Failure {
        let why = packed.unwrap_or_else(|| chain(error));
        let mut fields = facts(self.id, self.token, None, None);
        fields.push(("error", why.clone()));
        says.error(&format!("{prefix} error"), &fields);
        Failure::Again { why: why.into(), attempts: ATTEMPTS, wait: None, at: None }
    }

    /// What GitLab's answer means; `None` when it has the file.
    fn judge(&self, client: &Client, answer: &ArtifactAnswer, prefix: &str, says: &Says) -> Option<Failure> {
        let fields = facts(self.id, self.token, Some(answer.status), answer.request_id.as_deref());
        let line = format!("{prefix} {}", answer.said);
        let again = |why: &'static str, attempts| {
            Some(Failure::Again { why: why.into(), attempts, wait: answer.retry_after, at: None })
        };
        match answer.status {
            201 => {
                says.info(&line, &fields);
                None
            }
            401 | 403 => {
                says.error(&line, &fields);
                Some(Failure::Final("permission denied".into()))
            }
            413 => {
                says.error(&line, &fields);
                Some(Failure::Final("too large".into()))
            }
            429 | 503 => {
                says.error(&line, &fields);
                again(
                    if answer.status == 503 { "service unavailable" } else { "too many requests" },
                    ATTEMPTS_WHILE_BUSY,
                )
            }
            307 | 308 => {
                let Some(moved) = answer.location.as_deref().and_then(|location| client.moved_to(location)) else {
                    says.error(&format!("{line} to where no upload may go"), &fields);
                    return Some(Failure::Final("invalid argument".into()));
                };
                says.info("Upload request redirected", &[("new-url", moved.instance_url())]);
                let at = Some(Box::new(moved));
                Some(Failure::Again { why: "request redirected".into(), attempts: ATTEMPTS, wait: None, at })
            }
            _ => {
                says.warn(&line, &fields);
                again("upload failed with no response from coordinator", ATTEMPTS)
            }
        }
    }
}

/// Whether an artifact says of what it is made; one that does not is passed over.
fn names_files(artifact: &Artifact) -> bool {
    !artifact.paths.is_empty() || !artifact.exclude.is_empty() || artifact.untracked
}
