//! One launch, as the engine's host: its moves are words to the stack.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runnerless_core::cache::NOWHERE;
use runnerless_core::limits;
use runnerless_engine::{BindRefused, CachePlace, CacheUnknown, CacheUse, Host, JobIds, NamedCaches};
use runnerless_gitlab::protocol::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use super::desk::{Desk, Said};
use crate::say;
use runnerless_metadata::{Seen, Service};

/// How often the launch gives a sign of life. Functions say more often that they live, because AWS tells of a failed
/// invocation and only their silence proves it; that an instance ended EC2 shows itself, so that all it takes is a third of
/// the lease: two signs may go missing.
pub(crate) const BEAT: Duration = Duration::from_secs(60);
const _: () = assert!(3 * BEAT.as_millis() <= limits::HEARTBEAT_LEASE.0.unsigned_abs() as u128);
/// The pause before a word that got no answer is said again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the metadata service may take to go off, counted from the bind: of the engine's thirty seconds for a bind.
const METADATA_LIMIT: Duration = Duration::from_secs(15);
/// The pause between two looks at it.
const LOOK: Duration = Duration::from_millis(250);
/// How long ending the launch is tried. What is not told the sweep finds out.
const END_LIMIT: Duration = Duration::from_secs(45);

/// The answer to the word `cache`.
#[derive(Deserialize)]
struct Signed {
    url: Option<Secret>,
}

/// How a launch ends, in the words of its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) outcome: &'static str,
    pub(crate) reason: String,
    /// The job that ran, as the routes name it.
    job: Option<Value>,
}

impl Ending {
    pub(crate) fn new(outcome: &'static str, reason: impl Into<String>) -> Self {
        Self { outcome, reason: reason.into(), job: None }
    }

    /// The end of a job's run.
    pub(crate) fn of_job(self, job: &JobIds) -> Self {
        Self { job: named(job), ..self }
    }
}

/// A launch that began.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) id: &'a str,
    pub(crate) nonce: &'a str,
}

impl Launch<'_> {
    /// Says a word until it is answered.
    async fn insist(&self, word: &Value) -> Result<Zeroizing<Vec<u8>>, String> {
        loop {
            match self.desk.say(self.id, self.nonce, word).await {
                Said::Yes(answer) => return Ok(answer),
                Said::No(why) => return Err(why),
                Said::Again(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Ends the launch. That it could not be ended changes nothing for its job, and is said.
    pub(crate) async fn end(&self, ending: &Ending) {
        let word = json!({"do": "end", "outcome": ending.outcome, "reason": ending.reason, "job": ending.job});
        match timeout(END_LIMIT, self.insist(&word)).await {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => say(&format!("the launch's end was not taken: {why}")),
            Err(_) => say("the launch's end was not answered: the sweep finds it"),
        }
    }
}

/// What the engine needs to know about the launch.
#[derive(Debug)]
pub(crate) struct InstanceHost<'a> {
    pub(crate) launch: Launch<'a>,
    pub(crate) metadata: &'a Service,
    /// The session that was used before, see [`Service::look`].
    pub(crate) metadata_token: &'a str,
    /// Told when the job is accepted.
    pub(crate) accepted: watch::Sender<bool>,
    /// Set when the stack says that the launch is not ours any more.
    pub(crate) lost: AtomicBool,
}

/// Waits until the metadata service is off: no line of a job may run before. `token` is of the session that was used before,
/// see [`Service::look`].
pub(crate) async fn metadata_off(metadata: &Service, token: &str) -> Result<(), BindRefused> {
    let until = Instant::now() + METADATA_LIMIT;
    loop {
        match metadata.look(token).await {
            Seen::Off => return Ok(()),
            Seen::On | Seen::Unknown if Instant::now() < until => sleep(LOOK).await,
            Seen::On => return Err(BindRefused("the instance's metadata service is still on".to_owned())),
            Seen::Unknown => {
                return Err(BindRefused("whether the instance's metadata service is off is not known".to_owned()));
            }
        }
    }
}

impl InstanceHost<'_> {
    /// Renews from the acceptance on, the first time at once: that records the acceptance. A refusal does not stop the
    /// job: GitLab gives an accepted job to nobody else, and says itself when one is over. Never ends by itself.
    pub(crate) async fn beat(&self, mut accepted: watch::Receiver<bool>) -> Infallible {
        if accepted.wait_for(|accepted| *accepted).await.is_err() {
            return pending().await;
        }
        let mut word = json!({"do": "accepted"});
        loop {
            let launch = &self.launch;
            match launch.desk.say(launch.id, launch.nonce, &word).await {
                Said::Yes(_) => {
                    word = json!({"do": "renew"});
                    sleep(BEAT).await;
                }
                Said::Again(why) => {
                    say(&format!("the launch was not renewed: {why}"));
                    sleep(PAUSE).await;
                }
                Said::No(why) => {
                    say(&format!("the launch counts as lost, and its job goes on: {why}"));
                    self.lost.store(true, Ordering::Relaxed);
                    return pending().await;
                }
            }
        }
    }
}

/// The job as the routes name it; `None` when GitLab's description of it names no project.
fn named(job: &JobIds) -> Option<Value> {
    job.project_id.map(|project| json!({"project_id": project, "job_id": job.job_id}))
}

impl Host for InstanceHost<'_> {
    async fn bind(&self, job: &JobIds, token: &Secret, caches: &NamedCaches) -> Result<(), BindRefused> {
        let Some(named) = named(job) else {
            return Err(BindRefused("GitLab's description of the job names no project".to_owned()));
        };
        metadata_off(self.metadata, self.metadata_token).await?;
        let beat = u64::try_from(BEAT.as_millis()).unwrap_or(u64::MAX);
        let word = json!({"do": "bind", "job": named, "job_token": token.expose(), "beat_ms": beat, "caches": caches});
        self.launch.insist(&word).await.map(|_| ()).map_err(BindRefused)
    }

    async fn unbind(&self, job: &JobIds) {
        let Some(named) = named(job) else { return };
        if let Err(why) = self.launch.insist(&json!({"do": "give_back", "job": named})).await {
            say(&format!("job {} was given back to GitLab and not to the stack: {why}", job.job_id));
        }
    }

    async fn accepted(&self, _job: &JobIds) {
        self.accepted.send_replace(true);
    }

    async fn cache(&self, _job: &JobIds, key: &str, what: CacheUse) -> Result<CachePlace, CacheUnknown> {
        let word = json!({"do": "cache", "what": what, "key": key});
        let answer = self.launch.insist(&word).await.map_err(CacheUnknown)?;
        match serde_json::from_slice(&answer) {
            Ok(Signed { url: Some(url) }) => Ok(CachePlace::Url(url)),
            Ok(Signed { url: None }) => Ok(CachePlace::Nowhere(NOWHERE.to_owned())),
            Err(_) => Err(CacheUnknown("the stack's answer cannot be read".to_owned())),
        }
    }
}
