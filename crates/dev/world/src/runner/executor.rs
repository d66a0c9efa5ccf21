//! Our executor, as `bin/executor` serves one invocation.

use std::cell::Cell;

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::{AwsError, TokenError, runner_token};
use runnerless_core::change::RowKey;
use runnerless_core::event::LaunchEvent;
use runnerless_core::lane_row::LaneRow;
use runnerless_core::launch::LaunchRow;
use runnerless_core::limits;
use runnerless_core::moves::{BeginRefused, End, Evidence, Got, Introduction};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Clock as _, Dice as _, within};
use runnerless_lost::LostJobs;

use super::engine::{self, Outcome};
use crate::event::Invocation;
use crate::gitlab::{Offer, Verified};
use crate::hands::Hands;
use crate::setup::PARAMETERS;

/// What the lane's runner's id is worth of the time for asking.
const INTRODUCE_LIMIT: Millis = Millis::secs(3);
/// How soon a renewal that did not reach the ledger is repeated, as a part of the usual pause.
const RETRY_PART: i64 = 6;
/// What is kept of the invocation for the ledger at its end.
const RESERVE: Millis = Millis::secs(10);

/// Serves one launch. The error is the name by which it leaves the function.
pub(crate) async fn serve(hands: &Hands<'_>, invocation: &Invocation) -> Result<(), &'static str> {
    let Ok(event) = LaunchEvent::read(&invocation.payload) else { return Err("Executor.BadEvent") };
    let (_, isolated) = &hands.world.setup.rules.executor;
    if *isolated && invocation.tenant.as_deref() != Some(event.launch.as_str()) {
        return Err("Executor.NoTenant");
    }
    let (book, now, claim) = (Book(hands), hands.now(), hands.token(16));
    let hash = event.nonce.sha256();
    let mut begun = book.begin(&event.launch, &hash, &claim, now).await;
    if let Err(MoveError::Ledger(AwsError::Unavailable { .. })) = begun {
        begun = book.begin(&event.launch, &hash, &claim, now).await;
    }
    let launch = match begun {
        Ok(launch) => launch,
        Err(MoveError::Ledger(_)) => return Err("Executor.NotBegun"),
        Err(MoveError::Refused(BeginRefused::Begun)) => return owner_may_be_lost(hands, &event).await,
        Err(MoveError::Refused(_) | MoveError::NoLaunch(_)) => return Ok(()),
    };
    hands.world.state().check.began(&launch.launch, hands.process.number);
    let serving = Serving { hands, event: &event, launch: &launch, began: now };
    let (end, answer) = serving.serve().await;
    if let Some(end) = end {
        // What cannot be written is the sweep's.
        let _ = book.conclude(&launch.launch, &end, hands.now()).await;
    }
    answer
}

async fn owner_may_be_lost(hands: &Hands<'_>, event: &LaunchEvent) -> Result<(), &'static str> {
    let jobs = LostJobs { ledger: hands, parameters: hands, parameter_path: PARAMETERS, reporter: hands };
    jobs.lose(&event.launch, Evidence::RowOnly, hands.now()).await.map(drop).map_err(|_| "Executor.NotBegun")
}

/// How a launch ends, if that is not written yet, and what the invocation answers.
type Served = (Option<End>, Result<(), &'static str>);

/// A launch that began.
struct Serving<'a, 'w> {
    hands: &'a Hands<'w>,
    event: &'a LaunchEvent,
    launch: &'a LaunchRow,
    began: Timestamp,
}

impl Serving<'_, '_> {
    async fn serve(&self) -> Served {
        let hands = self.hands;
        let asked_before = [RowKey::Lane(self.launch.lane.clone())];
        let token = runner_token(hands, PARAMETERS, self.launch.engine, &self.launch.lane).await;
        let rows = hands.load(&asked_before).await;
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                let name = if matches!(error, TokenError::Unread { .. }) {
                    "Executor.TokenUnread"
                } else {
                    "Executor.NoToken"
                };
                return (Some(error.end()), Err(name));
            }
        };
        let known = rows.ok().and_then(|rows| rows.lane(&self.launch.lane).ok().flatten());
        self.introduce(&token, known.as_ref()).await;
        let elapsed = hands.now() - self.began;
        if elapsed >= limits::WAIT {
            return (Some(End::Unanswered("it became too late to ask GitLab".to_owned())), Ok(()));
        }
        let wanted = Millis::secs(i64::try_from(self.event.wait_s).unwrap_or(i64::MAX / 1000));
        let wait = wanted.min(limits::WAIT - elapsed);
        match engine::ask(hands, &token, &self.launch.system_id, wait).await {
            Outcome::Job(offer, at) => self.take(&token, &offer, at).await,
            Outcome::Nothing => (Some(End::Fruitless("GitLab had no job for this runner".to_owned())), Ok(())),
            Outcome::Refused => (Some(End::Fruitless("GitLab does not accept the token".to_owned())), Ok(())),
            Outcome::Unreachable => (Some(End::Unanswered("GitLab could not be asked".to_owned())), Ok(())),
        }
    }

    /// The lane's first launch asks GitLab for the runner's id.
    async fn introduce(&self, token: &str, known: Option<&LaneRow>) {
        if known.is_some_and(|lane| lane.knows(token)) {
            return;
        }
        let hands = self.hands;
        let asked = within(hands, INTRODUCE_LIMIT, hands.verify(token, &self.launch.system_id)).await;
        if let Some(Ok(Verified::Runner(id))) = asked {
            // Without it only an alarm is missing.
            let (lane, engine) = (&self.launch.lane, self.launch.engine);
            let said = Introduction { lane, engine, token, runner_id: Some(id) };
            let _ = Book(hands).introduce(said, self.began).await;
        }
    }

    async fn take(&self, token: &str, offer: &Offer, at: Timestamp) -> Served {
        let (hands, id) = (self.hands, &self.launch.launch);
        let bound = Cell::new(false);
        let bind = async {
            let sealed = TokenSeal::new(token, id).and_then(|seal| seal.seal(offer.key, &offer.token)).ok();
            let got = Got { job_token: sealed, beat_ms: Some(limits::BEAT), ..Got::from(offer.key) };
            let made = Book(hands).bind(id, got, hands.now()).await.is_ok();
            bound.set(made);
            made
        };
        let unbind = async {
            bound.set(false);
            // What cannot be written is the sweep's.
            let _ = Book(hands).give_back(id, offer.key, "not bound or not accepted", hands.now()).await;
        };
        let taken = engine::take(hands, offer, at, bind, unbind);
        if !engine::beside(taken, self.waits_for_the_acceptance(&bound)).await {
            return (None, Ok(()));
        }
        hands.world.state().check.accepted(id, offer.key, hands.process.number);
        let invocation_ends_at = hands.process.ends_at + hands.process.clock_off;
        let ends_at = invocation_ends_at.min(self.launch.deadline).min(self.event.deadline_ms) - RESERVE;
        let told = engine::beside(engine::run(hands, offer, ends_at), self.beat()).await;
        hands.world.state().check.done(hands.process.number);
        let done = format!("job {} is done", offer.key);
        if told { (Some(End::JobDone(done)), Ok(())) } else { (Some(End::Untold(done)), Err("Executor.NotReported")) }
    }

    /// Gives a sign of life while the job is bound and GitLab has not said that it is accepted.
    async fn waits_for_the_acceptance(&self, bound: &Cell<bool>) {
        let (id, mut kept) = (&self.launch.launch, None);
        loop {
            self.hands.pause(limits::BEAT).await;
            if !bound.get() {
                continue;
            }
            kept = match Book(self.hands).alive_from(id, kept.take(), self.hands.now()).await {
                Ok(launch) => Some(launch),
                Err(MoveError::Ledger(_)) => None,
                Err(MoveError::Refused(_) | MoveError::NoLaunch(_)) => return,
            };
        }
    }

    /// Renews the lease, until the ledger says that the launch is not ours any more.
    async fn beat(&self) {
        let (hands, id, mut kept) = (self.hands, &self.launch.launch, None);
        loop {
            let pause = match Book(hands).renew_from(id, kept.take(), hands.now()).await {
                Ok(launch) => {
                    kept = Some(launch);
                    limits::BEAT
                }
                Err(MoveError::Ledger(_)) => {
                    hands.world.state().check.not_renewed(&self.launch.launch, hands.world.now());
                    Millis(limits::BEAT.0 / RETRY_PART)
                }
                Err(MoveError::Refused(_) | MoveError::NoLaunch(_)) => return,
            };
            hands.pause(pause).await;
        }
    }
}
