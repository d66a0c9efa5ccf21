//! The way to GitLab: the runner protocol, the jobs API, and reports of lost jobs.

use runnerless_core::id::JobKey;
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::{Refusal, Secret};
use runnerless_gitlab::rest::{ApiJob, Hooks, JobsApi, PendingPage, RestError};
use runnerless_lambda_kit::Clock as _;
use runnerless_lost::{Answer, Reporter};

use super::Hands;
use crate::fault::Fault;
use crate::gitlab::{Ask, Asked, GitLab, Report, Updated, Verified, Voice};
use crate::setup::WEBHOOK;
use crate::world::State;

/// A request that told nothing: GitLab did not answer, or asks to come later. Whether it did what it was asked is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble;

/// Jobs of a page: few, so that projects have several.
const PER_PAGE: usize = 20;
/// A request takes so long each way (ms).
const WAY: std::ops::Range<i64> = 5..60;
/// How long a slow answer takes (ms); the client gives up after thirty seconds.
const SLOW_WAY: std::ops::Range<i64> = 3_000..35_000;

impl Hands<'_> {
    /// One request to GitLab.
    pub(super) async fn request<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut GitLab, Timestamp) -> T + Send,
    ) -> Result<T, Trouble> {
        self.world.count(self.process.function, operation);
        self.step().await;
        let (there, mut back) = self.draw(|rng| (rng.i64(WAY), rng.i64(WAY)));
        self.pause(Millis(there)).await;
        if self.world.is_out(Fault::GitLabOut) || self.strikes(Fault::GitLabBusy) {
            return Err(Trouble);
        }
        let done = self.world.at_gitlab(effect);
        if self.strikes(Fault::GitLabSlow) {
            back = self.draw(|rng| rng.i64(SLOW_WAY));
        }
        if self.strikes(Fault::GitLabAnswerLost) {
            back = limits::ASK_TIMEOUT.0;
        }
        let limit = limits::ASK_TIMEOUT.0 - there;
        self.pause(Millis(back.min(limit))).await;
        if back >= limit {
            return Err(Trouble);
        }
        self.step().await;
        Ok(done)
    }

    /// `POST jobs/request`.
    pub(crate) async fn request_job(&self, token: &str, system_id: &str) -> Result<Asked, Trouble> {
        let process = u64::from(self.process.number);
        self.asks_as(token);
        let effect = |gitlab: &mut GitLab, now: Timestamp| {
            gitlab.request_job(&Ask { token, system_id, accepts: true, graceful: true, process }, now)
        };
        let asked = self.request("POST jobs/request", effect).await?;
        match &asked {
            Asked::Offer(offer) => {
                self.world.state().check.offered(self.process.number, offer.key);
                self.world.note(format_args!("{self} gets {}", offer.key));
            }
            Asked::Nothing => self.world.note(format_args!("{self} gets nothing")),
            Asked::Refused => self.world.note(format_args!("{self} is refused")),
        }
        Ok(asked)
    }

    /// Has the checks look at whose token this is.
    fn asks_as(&self, token: &str) {
        let mut state = self.world.state();
        let State { gitlab, check, .. } = &mut *state;
        let runner = gitlab.runner_of(token).and_then(|id| gitlab.runner(id));
        runner.into_iter().for_each(|runner| check.asks_as(self.process.number, runner));
    }

    /// `PUT jobs/:id`, by the job's runner.
    pub(crate) async fn update(&self, job: JobKey, token: &str, report: Report) -> Result<Updated, Trouble> {
        let voice = Voice::Process(u64::from(self.process.number));
        let updated = self.request("PUT jobs", |gitlab, now| gitlab.update(job.job, token, report, voice, now)).await;
        self.world.note(format_args!("{self} says {report:?} of {job}: {updated:?}"));
        updated
    }

    /// `POST runners/verify`.
    pub(crate) async fn verify(&self, token: &str, system_id: &str) -> Result<Verified, Trouble> {
        self.request("POST runners/verify", |gitlab, now| gitlab.verify(token, Some(system_id), now)).await
    }
}

impl JobsApi for Hands<'_> {
    async fn job(&self, key: JobKey) -> Result<Option<ApiJob>, RestError> {
        const OPERATION: &str = "GET projects/:id/jobs/:job_id";
        let failed = self.strikes(Fault::ApiFailed);
        match self.request(OPERATION, |gitlab, _| gitlab.job(key)).await {
            Ok(job) if !failed => Ok(job),
            _ => Err(later(OPERATION)),
        }
    }

    async fn pending(&self, project: u64, from: Option<&str>) -> Result<Option<PendingPage>, RestError> {
        const OPERATION: &str = "GET projects/:id/jobs";
        let failed = self.strikes(Fault::ApiFailed);
        let below = from.and_then(|cursor| cursor.parse().ok()).unwrap_or(u64::MAX);
        match self.request(OPERATION, |gitlab, now| gitlab.pending_below(project, below, PER_PAGE, now)).await {
            Ok(page) if !failed => Ok(page),
            _ => Err(later(OPERATION)),
        }
    }

    async fn hooks(&self, project: u64) -> Result<Option<Hooks>, RestError> {
        const OPERATION: &str = "GET projects/:id/hooks";
        let failed = self.strikes(Fault::ApiFailed);
        match self.request(OPERATION, |gitlab, now| gitlab.hooks(project, WEBHOOK, now)).await {
            Ok(hooks) if !failed => Ok(hooks),
            _ => Err(later(OPERATION)),
        }
    }
}

fn later(operation: &'static str) -> RestError {
    let message = "the world said so".to_owned();
    RestError::Later(Refusal { operation, status: 503, message, retry_after: None, job_status: None })
}

impl Reporter for Hands<'_> {
    async fn failed(&self, job: u64, token: &Secret) -> Answer {
        let report = Report::Failed("runner_system_failure");
        let effect =
            |gitlab: &mut GitLab, now: Timestamp| gitlab.update(job, token.expose(), report, Voice::Reporter, now);
        let answer = match self.request("PUT jobs", effect).await {
            Ok(Updated::Done(_)) => Answer::Taken,
            Ok(other) => Answer::Over(format!("{other:?}")),
            Err(Trouble) => Answer::Later("no answer".to_owned()),
        };
        self.world.note(format_args!("{self} reports {job} as lost: {answer:?}"));
        answer
    }
}
