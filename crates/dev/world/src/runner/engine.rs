//! The engine's times: when it asks, how long it may take, what it tells GitLab.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Clock as _, within};

use crate::gitlab::{Asked, Offer, Report, Updated};
use crate::hands::{Hands, Trouble};

/// When GitLab is asked, in seconds after the start; later each ten seconds.
const SCHEDULE: [i64; 5] = [0, 1, 3, 7, 15];
/// First wait between two attempts of one step; doubles.
const FIRST_WAIT: Millis = Millis(200);
/// Longest wait between two attempts before the acceptance.
const LONGEST_WAIT: Millis = Millis(5_000);
/// Longest wait between two attempts of the last report.
const LONGEST_RETRY: Millis = Millis(10_000);
/// Silence after which GitLab is given a sign of life.
const KEEP_ALIVE: Millis = Millis::secs(30);
/// How long the end of a job is reported.
const REPORT_LIMIT: Millis = Millis::minutes(10);
/// How long before the invocation's end the script is stopped.
const GRACE: Millis = Millis::secs(60);

/// What asking led to.
pub(crate) enum Outcome {
    /// A job, and when its 201 arrived.
    Job(Offer, Timestamp),
    /// None.
    Nothing,
    /// The token is not valid.
    Refused,
    /// No usable answer.
    Unreachable,
}

/// Asks until there is a job or `wait` is over.
pub(crate) async fn ask(hands: &Hands<'_>, token: &str, system_id: &str, wait: Millis) -> Outcome {
    let began = hands.now();
    let mut troubled = false;
    for n in 0.. {
        let at = (began + offset(hands, n)).max(hands.now());
        if at > began + wait {
            break;
        }
        hands.pause(at - hands.now()).await;
        match hands.request_job(token, system_id).await {
            Ok(Asked::Offer(offer)) => return Outcome::Job(offer, hands.now()),
            Ok(Asked::Nothing) => troubled = false,
            Ok(Asked::Refused) => return Outcome::Refused,
            Err(Trouble) => troubled = true,
        }
    }
    if troubled { Outcome::Unreachable } else { Outcome::Nothing }
}

/// The time of an ask, moved by up to a fifth of the pause before it.
fn offset(hands: &Hands<'_>, n: usize) -> Millis {
    let last = SCHEDULE.len() - 1;
    let at = |n: usize| {
        let beyond = i64::try_from(n.saturating_sub(last)).unwrap_or(i64::MAX / 20);
        SCHEDULE[n.min(last)] + 10 * beyond
    };
    let pause = if n == 0 { 0 } else { at(n) - at(n - 1) };
    Millis(at(n) * 1000 + hands.draw(|rng| rng.i64(0..=pause * 200)))
}

/// Binds and accepts; gives the job back when either cannot be done in time. True when the job is ours.
pub(crate) async fn take(
    hands: &Hands<'_>,
    offer: &Offer,
    at: Timestamp,
    bind: impl Future<Output = bool>,
    unbind: impl Future<Output = ()>,
) -> bool {
    let bound = within(hands, at + limits::BIND_LIMIT - hands.now(), bind).await.unwrap_or(false);
    if bound && accept(hands, offer, at + limits::ACCEPT_LIMIT).await {
        return true;
    }
    give_back(hands, offer, at + limits::SILENCE_LIMIT, unbind).await;
    false
}

/// Tells GitLab that the job is taken, until it says that it is ours or that it is not, or until the limit.
pub(crate) async fn accept(hands: &Hands<'_>, offer: &Offer, limit: Timestamp) -> bool {
    let mut wait = FIRST_WAIT;
    while hands.now() < limit {
        let told = hands.update(offer.key, &offer.token, Report::Running);
        match within(hands, limit - hands.now(), told).await {
            None => return false,
            Some(Ok(Updated::Done(status))) => return !status.is_ended(),
            Some(Ok(Updated::Forbidden(_) | Updated::Refused(_) | Updated::NoJob)) => return false,
            Some(Err(Trouble)) => {}
        }
        hands.pause(wait).await;
        wait = LONGEST_WAIT.min(Millis(wait.0 * 2));
    }
    false
}

async fn give_back(hands: &Hands<'_>, offer: &Offer, limit: Timestamp, unbind: impl Future<Output = ()>) {
    let _ = within(hands, limit - hands.now(), unbind).await;
    let mut wait = FIRST_WAIT;
    while hands.now() < limit {
        let told = hands.update(offer.key, &offer.token, Report::Failed("runner_system_failure"));
        match within(hands, limit - hands.now(), told).await {
            Some(Err(Trouble)) => {}
            _ => return,
        }
        hands.pause(wait.min(LONGEST_WAIT)).await;
        wait = Millis(wait.0 * 2);
    }
}

/// Runs an accepted job to its report. True when GitLab knows its end.
pub(crate) async fn run(hands: &Hands<'_>, offer: &Offer, ends_at: Timestamp) -> bool {
    run_and_report_for(hands, offer, ends_at, REPORT_LIMIT).await
}

/// The same, with so much time for the report.
pub(crate) async fn run_and_report_for(
    hands: &Hands<'_>,
    offer: &Offer,
    ends_at: Timestamp,
    report_limit: Millis,
) -> bool {
    let (job, number) = (offer.key, u64::from(hands.process.number));
    hands.world.at_gitlab(|gitlab, _| gitlab.script_began(job.job, number));
    let done_at = hands.now() + offer.work.length;
    let stop_at = ends_at - GRACE.min(Millis((ends_at - hands.now()).0 / 4));
    let mut report = if offer.work.exit_code == 0 { Report::Success } else { Report::Failed("script_failure") };
    loop {
        let now = hands.now();
        if now >= done_at.min(stop_at) {
            if stop_at < done_at {
                report = Report::Failed("job_execution_timeout");
            }
            break;
        }
        hands.pause((done_at.min(stop_at) - now).min(KEEP_ALIVE)).await;
        hands.step().await;
        if hands.now() >= done_at.min(stop_at) {
            continue;
        }
        match hands.update(job, &offer.token, Report::Running).await {
            // It is being cancelled: the script is stopped, and its end reported.
            Ok(Updated::Done(status)) if status.as_str() == "canceling" => {
                report = Report::Failed("job_canceled");
                break;
            }
            // GitLab ended it: nobody wants to know more.
            Ok(Updated::Forbidden(_) | Updated::NoJob) => return true,
            Ok(Updated::Done(_) | Updated::Refused(_)) | Err(Trouble) => {}
        }
    }
    reports(hands, offer, report, ends_at.min(hands.now() + report_limit)).await
}

async fn reports(hands: &Hands<'_>, offer: &Offer, report: Report, limit: Timestamp) -> bool {
    let mut wait = FIRST_WAIT;
    while hands.now() < limit {
        let told = hands.update(offer.key, &offer.token, report);
        match within(hands, limit - hands.now(), told).await {
            Some(Ok(_)) => return true,
            Some(Err(Trouble)) => {}
            None => return false,
        }
        hands.pause(wait).await;
        wait = LONGEST_RETRY.min(Millis(wait.0 * 2));
    }
    false
}

/// `work` to its end, while `beside` goes on.
pub(crate) async fn beside<T>(work: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    let (mut work, mut beside) = (pin!(work), pin!(beside));
    let mut over = false;
    poll_fn(|context| {
        over = over || beside.as_mut().poll(context).is_ready();
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
