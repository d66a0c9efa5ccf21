//! The first half of an instance's work: begin, and ask GitLab. It holds the role's keys and the runner's token, and ends
//! by replacing itself (see [`super::handover`]) before anything of a job runs.

use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_core::limits;
use runnerless_engine::{
    BindRefused, GuardError, Outcome, PlaceError, WorkRoot, ask_one, protect_process, stop_channel,
};
use runnerless_gitlab::protocol::{ConfigError, Secret};
use tokio::time::{Instant, sleep};

use super::desk::{Begun, Desk, DeskError, Said};
use super::handover::{Handover, Moment};
use super::launch::{Ending, Launch, metadata_off};
use super::official::Single;
use super::{InstanceArguments, config, desk, gitlab, watch_signal};
use crate::once::Exit;
use crate::{Surroundings, say};
use runnerless_metadata::{MetadataError, Service, Session};

/// How long to try to begin, counted from the program's start: within the time that the stack grants an instance to boot,
/// after which the launch is somebody else's to end.
const BEGIN_LIMIT: Duration = Duration::from_secs(240);
const _: () = assert!(BEGIN_LIMIT.as_secs() * 1000 < limits::EC2_BOOT.0.unsigned_abs());
/// The pause before a begin is said again.
const PAUSE: Duration = Duration::from_secs(1);
/// Random bytes of a claim: enough that two processes never draw the same.
const CLAIM_BYTES: usize = 16;

/// What keeps the launch from beginning.
#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("the HTTP client could not be set up")]
    Http(#[source] reqwest::Error),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Desk(#[from] DeskError),
    #[error("the system has no random numbers")]
    Random,
    #[error("the launch is not this instance's to serve: {0}")]
    Gone(String),
    #[error("the launch could not begin in time: {0}")]
    Late(String),
}

/// Begins, asks, and becomes the program that runs the job; or ends the launch.
pub(crate) async fn ask(arguments: &InstanceArguments, launch: &str, surroundings: &Surroundings) -> Exit {
    match begin_and_ask(arguments, launch, surroundings).await {
        Ok(exit) => exit,
        Err(error) => {
            say(&chain(&error));
            Exit::NotBegun
        }
    }
}

async fn begin_and_ask(arguments: &InstanceArguments, id: &str, surroundings: &Surroundings) -> Result<Exit, NotBegun> {
    let until = Instant::now() + BEGIN_LIMIT;
    // Before keys and token are in memory.
    protect_process()?;
    // It is taken again for the job; one that cannot be taken costs no job now.
    drop(WorkRoot::take(&arguments.work)?);
    let desk = desk(&arguments.claim_url, surroundings)?;
    let metadata = Service::new(&surroundings.metadata_endpoint).map_err(NotBegun::Http)?;
    let session = insist(until, || metadata.session()).await?;
    let instance = insist(until, || session.instance_id()).await?;
    let (begun, sent) = begin(&desk, &session, id, until).await?;
    let launch = Launch { desk: &desk, id, nonce: begun.nonce.expose() };
    if let Some(official) = begun.official.clone() {
        if let Err(BindRefused(why)) = metadata_off(&metadata, session.token()).await {
            return Ok(give_up(&launch, Exit::NotBegun, &Ending::new("unanswered", why)).await);
        }
        let ends_at = sent + Duration::from_millis(begun.left_ms);
        let single = Single { official, begun: &begun, work: &arguments.work, ends_at };
        let (exit, ending) = single.serve(&launch).await;
        return Ok(give_up(&launch, exit, &ending).await);
    }
    let about = About { arguments, surroundings, id, instance: &instance, session: &session, begun: &begun, sent };
    Ok(match about.ask().await {
        Ok(handover) => {
            let error = handover.go_on();
            let reason = format!("the runner could not replace itself: {error}");
            give_up(&launch, Exit::NotBegun, &Ending::new("failed", reason)).await
        }
        Err((exit, ending)) => give_up(&launch, exit, &ending).await,
    })
}

async fn give_up(launch: &Launch<'_>, exit: Exit, ending: &Ending) -> Exit {
    say(&ending.reason);
    launch.end(ending).await;
    exit
}

/// Asks the metadata service until it tells: while an instance boots, not all is there at once.
async fn insist<T, F: Future<Output = Result<T, MetadataError>>>(
    until: Instant,
    ask: impl Fn() -> F,
) -> Result<T, MetadataError> {
    loop {
        match ask().await {
            Err(_) if Instant::now() < until => sleep(PAUSE).await,
            told => return told,
        }
    }
}

/// Begins, and says when the call was sent that did. The role's keys are gone when this returns.
async fn begin(desk: &Desk, session: &Session<'_>, launch: &str, until: Instant) -> Result<(Begun, Instant), NotBegun> {
    let claim = claim()?;
    let region = insist(until, || session.region()).await?;
    let keys = insist(until, || session.role_keys()).await?;
    loop {
        let sent = Instant::now();
        match desk.begin(launch, &claim, &keys, &region).await? {
            Said::Yes(begun) => return Ok((begun, sent)),
            Said::No(why) => return Err(NotBegun::Gone(why)),
            Said::Again(why) if Instant::now() >= until => return Err(NotBegun::Late(why)),
            Said::Again(_) => sleep(PAUSE).await,
        }
    }
}

fn claim() -> Result<String, NotBegun> {
    let mut bytes = [0; CLAIM_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NotBegun::Random)?;
    Ok(hex::encode(bytes))
}

/// A launch that began.
struct About<'a> {
    arguments: &'a InstanceArguments,
    surroundings: &'a Surroundings,
    id: &'a str,
    instance: &'a str,
    session: &'a Session<'a>,
    begun: &'a Begun,
    sent: Instant,
}

impl About<'_> {
    /// Asks GitLab; the error is how the launch ends.
    async fn ask(&self) -> Result<Handover, (Exit, Ending)> {
        let begun = self.begun;
        let failed = |error: ConfigError| (Exit::Usage, Ending::new("unanswered", chain(&error)));
        let client = gitlab(&begun.gitlab_url, self.surroundings).map_err(failed)?;
        let ends_at = self.sent + Duration::from_millis(begun.left_ms);
        let policy = begun.image_policy.as_str();
        let mut config =
            config(begun.token.clone(), &begun.system_id, self.instance, policy, ends_at, self.surroundings)
                .map_err(|why| (Exit::Usage, Ending::new("unanswered", why)))?;
        // What the begin took is no time to ask any more.
        let wait = Duration::from_millis(begun.wait_ms).min(Duration::from_millis(limits::WAIT.0.unsigned_abs()));
        config.wait = wait.saturating_sub(self.sent.elapsed());
        // A wait of nothing is a single ask; one that is used up is none.
        if config.wait.is_zero() && !wait.is_zero() {
            return Err((Exit::NoJob, Ending::new("unanswered", "it became too late to ask GitLab")));
        }
        let (handle, mut stop) = stop_channel();
        let asked = tokio::select! {
            asked = ask_one(&config, &client, &mut stop) => asked,
            never = watch_signal(&handle) => match never {},
        };
        let handed = asked.map_err(ending)?;
        Ok(Handover {
            claim_url: self.arguments.claim_url.clone(),
            work: self.arguments.work.clone(),
            launch: self.id.to_owned(),
            nonce: begun.nonce.clone(),
            instance: self.instance.to_owned(),
            metadata_token: Secret::new(self.session.token()),
            system_id: begun.system_id.clone(),
            gitlab_url: begun.gitlab_url.clone(),
            image_policy: begun.image_policy.clone(),
            short_token: begun.token.short().to_owned(),
            job: handed.assignment.wire.clone(),
            handed_at: Moment::of(handed.at),
            ends_at: Moment::of(ends_at),
        })
    }
}

/// What a run without a job means for the launch.
fn ending(outcome: Outcome) -> (Exit, Ending) {
    match outcome {
        Outcome::NoJob => (Exit::NoJob, Ending::new("no_job", "")),
        Outcome::TokenRefused(why) => {
            let reason = format!("GitLab does not accept the lane's runner token: {why}");
            (Exit::TokenRefused, Ending::new("failed", reason))
        }
        Outcome::Unreachable(why) => (Exit::Unreachable, Ending::new("unanswered", why)),
        Outcome::Stopped => (Exit::Terminated, Ending::new("unanswered", "told to end before a job came")),
        Outcome::Unsafe(why) => (Exit::Usage, Ending::new("unanswered", why)),
        Outcome::GaveBack { why, .. } => (Exit::NoJob, Ending::new("failed", why)),
        Outcome::Ran(_) => (Exit::Fine, Ending::new("done", "")),
    }
}
