//! The way to GitLab of who looks after runners: it makes, verifies and deletes them.

use std::future::pending;

use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::{
    Deleted, Forgotten, Made, NewRunner, RunnerScope, Runners, Secret, Verified as Said,
};

use super::Hands;
use super::gitlab::Trouble;
use crate::check::launch_named;
use crate::fault::Fault;
use crate::gitlab::{GitLab, RunnerKind, RunnerSpec, Verified};
use crate::setup::API_TOKEN;
use crate::world::State;

impl Hands<'_> {
    /// Ends this process here and now.
    async fn dies(&self) {
        self.process.kill();
        pending().await
    }

    /// Has the checks look at whether the runner of this token may go; its id.
    fn is_to_go(&self, token: &Secret) -> Option<u64> {
        let mut state = self.world.state();
        let State { gitlab, check, .. } = &mut *state;
        let id = gitlab.runner_of(token.expose())?;
        check.is_to_go(id, gitlab.runner(id)?);
        Some(id)
    }

    /// That GitLab makes no runner now, if it is to say so.
    fn no_runner(&self) -> Option<Made> {
        let refused = self.strikes(Fault::RunnerRefused).then(|| Made::Refused("422: too many".to_owned()));
        refused.or_else(|| self.strikes(Fault::RunnerLater).then(|| Made::Later("429".to_owned())))
    }
}

impl Runners for Hands<'_> {
    async fn verify(&self, token: &Secret, system_id: &str) -> Said {
        match Hands::verify(self, token.expose(), system_id).await {
            Ok(Verified::Runner(id)) => Said::Runner(Some(id)),
            Ok(Verified::Refused) => Said::Refused("403".to_owned()),
            Err(Trouble) => Said::Unknown("no answer".to_owned()),
        }
    }

    async fn forget(&self, token: &Secret, system_id: &str) -> Forgotten {
        let effect = |gitlab: &mut GitLab, _: Timestamp| gitlab.forget_manager(token.expose(), system_id);
        match self.request("DELETE runners/managers", effect).await {
            Ok(Some(_)) => Forgotten::Gone,
            Ok(None) => Forgotten::Refused("403".to_owned()),
            Err(Trouble) => Forgotten::Unknown("no answer".to_owned()),
        }
    }

    /// Runners are made for launches alone: every lane of the world has a token.
    async fn create(&self, api_token: &Secret, _: RunnerScope, new: &NewRunner<'_>) -> Made {
        let Some(launch) = launch_named(new.description).filter(|_| api_token.expose() == API_TOKEN) else {
            return Made::Refused("403".to_owned());
        };
        self.world.state().check.asks_for_a_runner(&launch, self.process.number);
        let dies = self.strikes(Fault::RunnerAskerKilled);
        if dies && self.draw(|rng| rng.bool()) {
            self.dies().await;
        }
        let no = self.no_runner();
        let is_lost = no.is_none() && self.strikes(Fault::RunnerAnswerLost);
        let (tags, run_untagged) = (new.tags.clone(), new.run_untagged);
        let spec = RunnerSpec { kind: RunnerKind::Launchs, tags, run_untagged, ref_protected: false };
        let makes = no.is_none();
        let effect = |gitlab: &mut GitLab, _: Timestamp| makes.then(|| gitlab.make_runner(spec, new.description));
        let made = self.request("POST user/runners", effect).await;
        let id = made.as_ref().map(|made| made.as_ref().map(|(id, _)| *id));
        self.world.note(format_args!("{self} has a runner made for {launch}: {id:?}"));
        if dies {
            self.dies().await;
        }
        match (made, no) {
            (Ok(_), Some(no)) => no,
            (Ok(Some((id, token))), None) if !is_lost => {
                self.world.state().check.runner_told(&launch);
                Made::Runner { id, token: Secret::new(token) }
            }
            (Ok(_) | Err(Trouble), _) => Made::Unknown("no answer".to_owned()),
        }
    }

    async fn register(&self, _: &Secret, _: &NewRunner<'_>) -> Made {
        Made::Refused("410".to_owned())
    }

    async fn unregister(&self, token: &Secret) -> Deleted {
        let id = self.is_to_go(token);
        let fails = self.strikes(Fault::RunnerNotDeleted);
        let effect = |gitlab: &mut GitLab, _: Timestamp| (!fails).then(|| gitlab.delete_runner(token.expose()));
        let deleted = self.request("DELETE runners", effect).await;
        self.world.note(format_args!("{self} has runner {id:?} deleted: {deleted:?}"));
        match deleted {
            Ok(Some(Some(_))) => Deleted::Gone,
            Ok(Some(None)) => Deleted::Stranger("403".to_owned()),
            Ok(None) | Err(Trouble) => {
                id.into_iter().for_each(|id| self.world.state().check.did_not_go(id));
                Deleted::Unknown("no answer".to_owned())
            }
        }
    }
}
