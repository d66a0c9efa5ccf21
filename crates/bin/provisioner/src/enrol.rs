//! A launch's runner at GitLab: of which lanes each launch has one of its own, and how it is made.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use runnerless_aws::book::Book;
use runnerless_aws::job_token::RunnerSeal;
use runnerless_aws::ports::{Applied, Ledger, Parameters};
use runnerless_aws::{AwsError, LaneToken, TokenError, lane_token};
use runnerless_aws_ec2::Fleet;
use runnerless_core::change::RowKey;
use runnerless_core::id::LaneId;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{self, Enrolment, GivenUp, Means, NoRunner, enrolled, no_runner, officially};
use runnerless_core::official::Official;
use runnerless_core::own_runner::{Maker, own_runner_name};
use runnerless_core::route::Size;
use runnerless_core::sealed::SealedToken;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::{Deleted, Made, NewRunner, Runners, Secret};
use runnerless_lambda_kit::{Clock, metrics};
use serde_json::json;

use crate::making::{MakingRight, control_path, making_right};
use crate::provisioner::TRIES;
use crate::{Provisioned, Provisioner};

/// How long a lane is taken to have a runner's token without another look: as long as functions keep secrets.
const FRESH: Millis = Millis::minutes(5);

/// What the runner of a launch tells whoever looks at it in GitLab.
const NOTE: &str = "Made for one launch by Runnerless, and deleted when that is over.";

/// Where runners come from.
#[derive(Debug)]
pub struct Office<'a, P, G> {
    /// Parameter Store.
    pub parameters: &'a P,
    /// The stack's parameter path.
    pub parameter_path: &'a str,
    /// GitLab.
    pub runners: &'a G,
    /// The official runner serves the launches, as this executor; `None` where ours does.
    pub official: Option<&'a Official>,
    /// Which lanes were seen to have a runner's token, and when: their launches need nothing of GitLab.
    pub shared: &'a Shared,
}

/// Lanes whose launches ask as the lane's runner. It holds no token.
#[derive(Debug, Default)]
pub struct Shared(Mutex<HashMap<LaneId, Timestamp>>);

impl Shared {
    fn holds(&self, lane: &LaneId, now: Timestamp) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(lane).copied();
        seen.is_some_and(|at| now - at < FRESH)
    }

    fn saw(&self, lane: &LaneId, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(lane.clone(), now);
    }
}

/// By what a runner of a launch is made.
enum Right {
    Api(MakingRight),
    Registration(Secret),
}

/// What an operator has to do for runners of single launches.
fn cure_of_no_right(parameter_path: &str) -> String {
    let path = control_path(parameter_path);
    format!(
        "each launch of its lane gets a runner of its own, for which {path}/ApiToken (scope create_runner) and \
         {path}/RunnerScope are to be stored"
    )
}

/// What the parameters say about a launch's runner.
struct Holding {
    means: Means,
    right: Option<Right>,
    /// What the lane's parameter holds: its own runner's token is sealed under it.
    lane: Option<LaneToken>,
}

impl Holding {
    fn none(cure: String) -> Self {
        Self { means: Means::None(cure), right: None, lane: None }
    }
}

/// Why a launch's row is not known to name its runner.
enum Unwritten {
    /// It does not.
    Surely(String),
    /// A write was not answered, and nor was the question after it.
    Perhaps(String),
}

/// A launch whose runner is seen to.
pub(crate) enum Enrolled {
    /// Its request may be sent.
    Ready(Box<LaunchRow>),
    /// It may not.
    Not(Provisioned),
}

impl<L: Ledger, F: Fleet, C: Clock, P: Parameters, G: Runners> Provisioner<'_, L, F, C, P, G> {
    /// Sees to the runner of a launch whose request is to be sent.
    pub(crate) async fn enrol(&self, launch: LaunchRow) -> Result<Enrolled, AwsError> {
        let now = self.clock.now();
        let has_own = launch.own_runner.as_ref().is_some_and(|own| own.id.is_some());
        if has_own || self.office.shared.holds(&launch.lane, now) {
            return self.ready(launch).await;
        }
        let holding = self.holding(&launch).await?;
        if holding.means == Means::Lanes {
            self.office.shared.saw(&launch.lane, now);
        }
        let mut enrolment = moves::enrolment(&launch, None, &holding.means, now);
        if let Enrolment::Over(_) = enrolment {
            // Only this frees its job.
            let owner = self.owner(&launch).await?;
            enrolment = moves::enrolment(&launch, owner.as_ref(), &holding.means, now);
        }
        match enrolment {
            Enrolment::Ready => self.ready(launch).await,
            Enrolment::Wait(why) => Ok(Enrolled::Not(Provisioned::Unsure(why))),
            Enrolment::Over(over) => self.without(&launch, over).await.map(Enrolled::Not),
            Enrolment::Ask { plan, .. } => {
                if self.ledger.apply(&plan).await? == Applied::Conflict {
                    return Ok(Enrolled::Not(Provisioned::Unsure("its row changed meanwhile".to_owned())));
                }
                let (Some(right), Some(lane)) = (holding.right, holding.lane) else {
                    unreachable!("who asks has a right and a token to seal under")
                };
                self.ask(&launch, right, &lane, now).await
            }
        }
    }

    /// Its runner needs nothing more; which program that is its row says before its instance is there.
    async fn ready(&self, mut launch: LaunchRow) -> Result<Enrolled, AwsError> {
        let id = launch.launch.clone();
        for _ in 0..TRIES {
            let Some(plan) = self.office.official.and_then(|official| officially(&launch, official)) else {
                return Ok(Enrolled::Ready(Box::new(launch)));
            };
            self.ledger.apply(&plan).await?;
            match Book(self.ledger).launch(&id).await? {
                Some(row) if row.state == LaunchState::Charged => launch = row,
                _ => return Ok(Enrolled::Not(Provisioned::Nothing("the launch is over".to_owned()))),
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    /// What the lane's parameter, and those of the API, allow.
    async fn holding(&self, launch: &LaunchRow) -> Result<Holding, AwsError> {
        let Office { parameters, parameter_path, .. } = self.office;
        let own = Size::of_target(&launch.target).is_ok_and(|size| size.own_runner);
        let lane = match lane_token(parameters, parameter_path, launch.engine, &launch.lane).await {
            Ok(lane) => lane,
            Err(TokenError::Unread { source, .. }) => return Err(source),
            Err(error) => return Ok(Holding::none(error.to_string())),
        };
        if let Some(official) = self.office.official
            && let Some(cure) = self.unofficial(official, own, &lane).await?
        {
            return Ok(Holding::none(cure));
        }
        let (means, right) = match &lane {
            LaneToken::Registration(token) => {
                (Means::Own(Maker::RegistrationToken), Some(Right::Registration(Secret::new(token.as_str()))))
            }
            LaneToken::Runner(_) if !own => (Means::Lanes, None),
            LaneToken::Runner(_) => match self.api().await? {
                Ok(right) => (Means::Own(Maker::ApiToken), Some(right)),
                Err(cure) => return Ok(Holding::none(cure)),
            },
        };
        Ok(Holding { means, right, lane: Some(lane) })
    }

    /// Why the official runner cannot serve a launch, if it cannot.
    async fn unofficial(&self, official: &Official, own: bool, lane: &LaneToken) -> Result<Option<String>, AwsError> {
        if own || matches!(lane, LaneToken::Registration(_)) {
            return Ok(Some(format!(
                "the official runner ({official}) serves lanes of a single trust, whose launches share a runner: store a glrt- \
                 token for the lane and take runner_per_launch off its rows, or set Ec2Runner to own"
            )));
        }
        let path = control_path(self.office.parameter_path);
        let held = self.office.parameters.below(&path).await?;
        let has_token = held.get("ApiToken").is_some_and(|token| !token.trim().is_empty());
        Ok((!has_token).then(|| {
            format!(
                "the official runner ({official}) tells nobody which job it got, and only GitLab's API does: store \
                 {path}/ApiToken (scope read_api), or set Ec2Runner to own"
            )
        }))
    }

    /// The right to make runners with the API token, or what an operator has to do for it.
    async fn api(&self) -> Result<Result<Right, String>, AwsError> {
        let Office { parameters, parameter_path, .. } = self.office;
        let right = making_right(parameters, parameter_path).await?;
        Ok(right.map_or_else(|| Err(cure_of_no_right(parameter_path)), |right| right.map(Right::Api)))
    }

    /// Asks GitLab for the runner, once, and writes down which it is.
    async fn ask(
        &self,
        launch: &LaunchRow,
        right: Right,
        lane: &LaneToken,
        asked_at: Timestamp,
    ) -> Result<Enrolled, AwsError> {
        let name = own_runner_name(&launch.launch);
        let new = NewRunner {
            description: &name,
            note: NOTE,
            tags: &launch.lane_tags,
            run_untagged: launch.run_untagged,
            longest_s: None,
        };
        let made = match &right {
            Right::Api(right) => self.office.runners.create(&right.token, right.scope, &new).await,
            Right::Registration(token) => self.office.runners.register(token, &new).await,
        };
        match made {
            Made::Runner { id, token } => self.keep(launch, lane, asked_at, id, &token).await,
            Made::Refused(why) => self.give_up(launch, NoRunner::Refused(why)).await,
            Made::Later(why) => self.give_up(launch, NoRunner::Later(why)).await,
            Made::Unknown(why) => self.give_up(launch, NoRunner::Unknown(why)).await,
        }
    }

    /// There is a runner: it is in the launch's row before anything is done with it, or it is deleted at once.
    async fn keep(
        &self,
        launch: &LaunchRow,
        lane: &LaneToken,
        asked_at: Timestamp,
        id: u64,
        token: &Secret,
    ) -> Result<Enrolled, AwsError> {
        metrics::count(self.service, "RunnersMade", 1, &json!({"launch.id": launch.launch, "runner.id": id}));
        let seal = RunnerSeal::new(lane.expose(), &launch.launch).and_then(|seal| seal.seal(token.expose()));
        let written = match seal {
            Ok(sealed) => self.write_runner(launch, asked_at, id, &sealed).await,
            Err(error) => Err(Unwritten::Surely(error.to_string())),
        };
        match written {
            Ok(row) if row.state == LaunchState::Charged => Ok(Enrolled::Ready(Box::new(row))),
            // Whoever stopped it deletes its runner.
            Ok(row) => Ok(Enrolled::Not(Provisioned::Nothing(format!("the launch is {:?}", row.state)))),
            Err(Unwritten::Surely(why)) => {
                self.discard(launch, id, token, &why).await;
                Ok(Enrolled::Not(Provisioned::Unsure(why)))
            }
            // The row names it, and the launch goes on with it; or it says that there may be one, which an operator is told.
            Err(Unwritten::Perhaps(why)) => Ok(Enrolled::Not(Provisioned::Unsure(why))),
        }
    }

    /// The launch's row as it is then.
    async fn write_runner(
        &self,
        launch: &LaunchRow,
        asked_at: Timestamp,
        id: u64,
        sealed: &SealedToken,
    ) -> Result<LaunchRow, Unwritten> {
        let keys = [RowKey::Launch(launch.launch.clone()), RowKey::Runner(id)];
        let surely = |error: &dyn std::error::Error| Unwritten::Surely(error.to_string());
        let mut unanswered = None;
        for _ in 0..TRIES {
            let rows = match self.ledger.load(&keys).await {
                Ok(rows) => rows,
                Err(_) if unanswered.is_some() => continue,
                Err(error) => return Err(surely(&error)),
            };
            let row = rows.launch(&launch.launch).map_err(|error| surely(&error))?;
            let row = row.ok_or_else(|| Unwritten::Surely("the launch's row is gone".to_owned()))?;
            let runner = rows.runner(id).map_err(|error| surely(&error))?;
            let Some(plan) = enrolled(&row, runner.as_ref(), asked_at, id, sealed.clone(), self.clock.now()) else {
                // An answer of the ledger was lost: it is written.
                let is_it = row.own_runner.as_ref().is_some_and(|own| own.id == Some(id));
                let no_more = || Unwritten::Surely("the launch waits for no runner any more".to_owned());
                return if is_it { Ok(row) } else { Err(no_more()) };
            };
            match (self.ledger.apply(&plan).await, plan.leaves(&launch.launch.pk())) {
                (Ok(Applied::All), Some(row)) => return Ok(row),
                (Ok(_), _) => {}
                (Err(error), _) => {
                    tracing::warn!(target: "runnerless", service = self.service, %error, "a runner is not written down yet");
                    unanswered = Some(error.to_string());
                }
            }
        }
        let refused = || Unwritten::Surely("the launch's row could not be written".to_owned());
        Err(unanswered.map_or_else(refused, Unwritten::Perhaps))
    }

    /// Deletes a runner that no row names. Should that fail, its row says that there may be one.
    async fn discard(&self, launch: &LaunchRow, id: u64, token: &Secret, why: &str) {
        let deleted = self.office.runners.unregister(token).await;
        let launch = launch.launch.as_str();
        tracing::warn!(target: "runnerless", service = self.service, "launch.id" = launch, "runner.id" = id, why, ?deleted, "a runner is deleted again");
        if let Deleted::Unknown(error) = deleted {
            let fields = json!({"launch.id": launch, "runner.id": id, "why": error});
            metrics::trouble(self.service, "RunnersUnaccounted", 1, &fields);
        }
    }

    /// GitLab made none, as far as is known.
    async fn give_up(&self, launch: &LaunchRow, said: NoRunner) -> Result<Enrolled, AwsError> {
        for _ in 0..TRIES {
            let rows = self.ledger.load(&[RowKey::Launch(launch.launch.clone())]).await?;
            let Some(row) = rows.launch(&launch.launch)? else { break };
            let owner = self.owner(&row).await?;
            let Some(over) = no_runner(&row, owner.as_ref(), said.clone(), self.clock.now()) else { break };
            if self.ledger.apply(&over.plan).await? == Applied::All {
                return Ok(Enrolled::Not(self.told(launch, over)));
            }
        }
        Ok(Enrolled::Not(Provisioned::Nothing("the launch is over".to_owned())))
    }

    async fn without(&self, launch: &LaunchRow, over: GivenUp) -> Result<Provisioned, AwsError> {
        match self.ledger.apply(&over.plan).await? {
            Applied::All => Ok(self.told(launch, over)),
            Applied::Conflict => Ok(Provisioned::Unsure("its row changed meanwhile".to_owned())),
        }
    }

    fn told(&self, launch: &LaunchRow, over: GivenUp) -> Provisioned {
        let fields = json!({"launch.id": launch.launch, "lane.id": launch.lane, "why": over.why});
        metrics::trouble(self.service, "RunnersRefused", 1, &fields);
        Provisioned::Held { until: over.until, reason: over.why }
    }
}
