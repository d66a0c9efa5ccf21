//! Own runner: a launch gets a runner of its own at GitLab before its instance is started.
//!
//! GitLab tells a runner's token once, and knows no request that may be repeated. So the row says first that GitLab is
//! asked; then it is asked once; then the row says which runner that is. Who dies in between leaves a row that says that there may
//! be one, and the launch is given up: nothing is ever asked for twice under one launch.

use crate::change::{Plan, put};
use crate::job::JobRow;
use crate::lane_row::RunnerRow;
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::{End, conclude};
use crate::official::Official;
use crate::own_runner::{Maker, OwnRunner};
use crate::sealed::SealedToken;
use crate::time::{Millis, Timestamp};

/// As which runner the launches of a lane ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// As the lane's.
    Lanes,
    /// Each as one of its own, made by this right.
    Own(Maker),
    /// As none: this is what an operator has to do.
    None(String),
}

/// What a launch needs before its instance is started.
#[derive(Clone, Debug, PartialEq)]
pub enum Enrolment {
    /// Nothing.
    Ready,
    /// This is written, and then GitLab is asked for a runner, once.
    Ask {
        /// The writes.
        plan: Plan,
        /// By which right.
        by: Maker,
    },
    /// Somebody else is at it.
    Wait(String),
    /// It cannot have one: the launch is over, at no attempt's cost.
    Over(GivenUp),
}

/// A launch that gets no runner.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenUp {
    /// The conclusion.
    pub plan: Plan,
    /// Why.
    pub why: String,
    /// When its job gets its next launch.
    pub until: Timestamp,
}

/// What GitLab said to the request for a runner, if it made none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRunner {
    /// No.
    Refused(String),
    /// Later.
    Later(String),
    /// Nothing that tells: there may be one.
    Unknown(String),
}

/// Decides about a launch whose request to EC2 is to be sent. `owner` is the row of the job that it is charged to.
#[must_use]
pub fn enrolment(launch: &LaunchRow, owner: Option<&JobRow>, means: &Means, now: Timestamp) -> Enrolment {
    match (&launch.own_runner, means) {
        (Some(OwnRunner { id: Some(_), .. }), _) | (None, Means::Lanes) => Enrolment::Ready,
        (Some(own), _) if now - own.asked_at < limits::RUNNER_ANSWER => {
            Enrolment::Wait("GitLab is asked for its runner".to_owned())
        }
        (Some(_), _) => {
            let lost = NoRunner::Unknown("who asked GitLab for its runner is gone".to_owned());
            given_up(launch, owner, lost, now)
        }
        (None, Means::Own(by)) => {
            let mut after = launch.clone();
            after.own_runner = Some(OwnRunner { by: *by, asked_at: now, id: None, token: None });
            Enrolment::Ask {
                plan: Plan::because("GitLab is asked for its runner").with_some(put(Some(launch), after)),
                by: *by,
            }
        }
        (None, Means::None(cure)) => given_up(launch, owner, NoRunner::Refused(cure.clone()), now),
    }
}

/// The official runner is to serve a launch whose request is not sent yet. `None` when its row says so, or is further on.
#[must_use]
pub fn officially(launch: &LaunchRow, official: &Official) -> Option<Plan> {
    if launch.state != LaunchState::Charged || launch.official.is_some() {
        return None;
    }
    let mut after = launch.clone();
    after.official = Some(official.clone());
    Some(Plan::because("the official runner serves it").with_some(put(Some(launch), after)))
}

fn given_up(launch: &LaunchRow, owner: Option<&JobRow>, said: NoRunner, now: Timestamp) -> Enrolment {
    match no_runner(launch, owner, said, now) {
        Some(over) => Enrolment::Over(over),
        None => Enrolment::Wait(format!("the launch is {:?}", launch.state)),
    }
}

/// GitLab made the runner that was asked for at `asked_at`. `None` when the row waits for none: then it is deleted at once. A
/// launch that somebody stopped meanwhile gets it all the same, because that is how it is found and deleted.
///
/// Hooks name a job's runner by its id, so that the runner has a row of its own as a lane's has; `runner` is what stands there
/// already, of a GitLab that gives an id a second time. It is kept as long as the launch's.
#[must_use]
pub fn enrolled(
    launch: &LaunchRow,
    runner: Option<&RunnerRow>,
    asked_at: Timestamp,
    id: u64,
    token: SealedToken,
    now: Timestamp,
) -> Option<Plan> {
    let asked = launch.own_runner.as_ref().filter(|own| own.asked_at == asked_at && own.id.is_none())?;
    if launch.state == LaunchState::Closed {
        return None;
    }
    let row = RunnerRow {
        rev: runner.map_or(0, |row| row.rev),
        runner_id: id,
        lane: launch.lane.clone(),
        seen_at: now,
        launch: Some(launch.launch.clone()),
        expires_at: Some((launch.deadline.max(now) + limits::KEEP_CLOSED_ROWS).epoch_secs()),
        extra: runner.map(|row| row.extra.clone()).unwrap_or_default(),
    };
    let mut after = launch.clone();
    after.own_runner = Some(OwnRunner { id: Some(id), token: Some(token), ..asked.clone() });
    Some(
        Plan::because(format!("runner {id} was made for it"))
            .with_some(put(Some(launch), after))
            .with_some(put(runner, row)),
    )
}

/// GitLab made none, as far as is known: the launch is over, and says so of a runner that may be there. `None` when it is over
/// already.
#[must_use]
pub fn no_runner(launch: &LaunchRow, owner: Option<&JobRow>, said: NoRunner, now: Timestamp) -> Option<GivenUp> {
    let (may_be_there, what, retry_in) = match said {
        NoRunner::Refused(what) => (false, what, limits::TROUBLE_RETRY),
        NoRunner::Later(what) => (false, what, limits::RUNNER_LATER),
        NoRunner::Unknown(what) => (true, what, limits::TROUBLE_RETRY),
    };
    let why = format!("it has no runner at GitLab: {what}");
    let mut known = launch.clone();
    if !may_be_there {
        known.own_runner = None;
    }
    let end = End::NeverStarted { reason: why.clone(), retry_in };
    let plan = conclude(&known, owner, &end, now)?;
    Some(GivenUp { plan, why, until: now + retry_in })
}

/// What is left of a launch at GitLab, beside its runner manager's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftRunner<'a> {
    /// Nothing: it asked as its lane's runner.
    None,
    /// This runner, with its sealed token.
    Delete(u64, &'a SealedToken),
    /// There may be one, and the answer that names it may still come.
    NotYet,
    /// There may be one, and nobody knows its id or token: an operator is told its name.
    Unaccounted,
}

/// Decides what is to be deleted at GitLab of a launch that is over.
#[must_use]
pub fn left_runner(launch: &LaunchRow, now: Timestamp) -> LeftRunner<'_> {
    match &launch.own_runner {
        None => LeftRunner::None,
        Some(OwnRunner { id: Some(id), token: Some(token), .. }) => LeftRunner::Delete(*id, token),
        Some(own) if own.id.is_none() && now - own.asked_at < limits::RUNNER_ANSWER => LeftRunner::NotYet,
        Some(_) => LeftRunner::Unaccounted,
    }
}

/// How long what a launch left at GitLab is tried to be deleted: a manager for a while, because GitLab forgets it by itself; a
/// runner as long as its row lives.
#[must_use]
pub fn gives_up_clearing(launch: &LaunchRow, now: Timestamp) -> bool {
    let limit: Millis = if launch.own_runner.is_some() { limits::RUNNER_LIMIT } else { limits::MANAGER_LIMIT };
    now - launch.times.closing_at.unwrap_or(now) > limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobState;
    use crate::moves::testing::{T0, ec2_pair, job_of, launch_of, secs};
    use crate::moves::{DueLaunch, Evidence, cleared, close, due_launch};

    const API: Means = Means::Own(Maker::ApiToken);

    fn asked(launch: &LaunchRow, now: Timestamp) -> LaunchRow {
        let Enrolment::Ask { plan, by } = enrolment(launch, None, &API, now) else { panic!("not asked") };
        assert_eq!(by, Maker::ApiToken);
        launch_of(&plan)
    }

    fn token() -> SealedToken {
        SealedToken::new("sealed")
    }

    #[test]
    fn a_launch_is_ready_when_it_asks_as_its_lanes_runner_or_has_its_own() {
        let (_, launch) = ec2_pair();
        assert_eq!(enrolment(&launch, None, &Means::Lanes, T0), Enrolment::Ready);
        let asked = asked(&launch, T0);
        let has = launch_of(&enrolled(&asked, None, T0, 9, token(), T0).unwrap());
        for means in [Means::Lanes, API, Means::None("x".into())] {
            assert_eq!(enrolment(&has, None, &means, secs(500)), Enrolment::Ready, "it has one whatever holds now");
        }
        assert!(!format!("{has:?}").contains("glrt"));
    }

    #[test]
    fn it_is_said_before_gitlab_is_asked_and_asked_for_once() {
        let (job, launch) = ec2_pair();
        let asked = asked(&launch, T0);
        assert_eq!((asked.state, asked.own_runner.as_ref().unwrap().id), (LaunchState::Charged, None));
        let later = T0 + limits::RUNNER_ANSWER;
        assert!(matches!(enrolment(&asked, Some(&job), &API, later - Millis(1)), Enrolment::Wait(_)));
        let Enrolment::Over(over) = enrolment(&asked, Some(&job), &API, later) else { panic!("asked again") };
        let (closing, waits) = (launch_of(&over.plan), job_of(&over.plan));
        assert!(closing.is_winding_up(), "a runner may be there: {closing:?}");
        assert_eq!((waits.state, waits.fruitless, over.until), (JobState::Waiting, 0, later + limits::TROUBLE_RETRY));
        assert_eq!(left_runner(&closing, later), LeftRunner::Unaccounted);
    }

    #[test]
    fn a_launch_that_is_stopped_while_gitlab_is_asked_gets_its_runner_so_that_it_is_deleted() {
        let (job, launch) = ec2_pair();
        let asked = asked(&launch, T0);
        let stopped = launch_of(&close(&asked, Evidence::RowOnly, "stopped", T0).unwrap());
        let end = End::Fruitless("stopped".into());
        let over = launch_of(&conclude(&stopped, Some(&job), &end, T0).unwrap());
        assert!(over.is_winding_up());
        assert_eq!(left_runner(&over, secs(1)), LeftRunner::NotYet);
        let has = launch_of(&enrolled(&over, None, T0, 9, token(), T0).unwrap());
        assert_eq!(left_runner(&has, secs(1)), LeftRunner::Delete(9, &token()));
        assert!(matches!(due_launch(&has, has.due.next_check_at.unwrap()), DueLaunch::NeedsStop(_)));
        let closed = launch_of(&cleared(&has, "runner 9 is deleted", secs(2)).unwrap());
        assert_eq!((closed.state, closed.due.next_check_at), (LaunchState::Closed, None));
        let kept = closed.own_runner.as_ref().unwrap();
        assert_eq!((kept.id, &kept.token), (Some(9), &None), "no token is kept");
        assert_eq!(enrolled(&closed, None, T0, 10, token(), T0), None);
        assert_eq!(enrolled(&over, None, secs(1), 10, token(), T0), None, "it waits for another one");
    }

    #[test]
    fn hooks_name_it_by_its_id_so_it_has_a_row_that_goes_with_its_launch() {
        let (_, launch) = ec2_pair();
        let asked = asked(&launch, T0);
        let row_of = |plan: &Plan| plan.leaves::<RunnerRow>("runner#9").expect("the runner's row");
        let row = row_of(&enrolled(&asked, None, T0, 9, token(), T0).unwrap());
        assert_eq!((&row.lane, row.launch.as_ref()), (&launch.lane, Some(&launch.launch)));
        let until = (launch.deadline + limits::KEEP_CLOSED_ROWS).epoch_secs();
        assert_eq!(row.expires_at, Some(until), "one a launch: none may stay");
        // A GitLab that was restored from a backup gives its ids a second time.
        let old =
            RunnerRow { rev: 3, launch: None, expires_at: None, lane: crate::id::LaneId::new("bb"), ..row.clone() };
        let again = row_of(&enrolled(&asked, Some(&old), T0, 9, token(), T0).unwrap());
        assert_eq!((again.rev, again.lane, again.launch), (4, row.lane, row.launch));
    }

    #[test]
    fn a_definite_no_leaves_nothing_and_costs_no_attempt() {
        let (job, launch) = ec2_pair();
        for (said, retry_in) in [
            (NoRunner::Refused("GitLab answered 403".into()), limits::TROUBLE_RETRY),
            (NoRunner::Later("GitLab answered 429".into()), limits::RUNNER_LATER),
        ] {
            let over = no_runner(&asked(&launch, T0), Some(&job), said, T0).unwrap();
            let (closed, waits) = (launch_of(&over.plan), job_of(&over.plan));
            assert_eq!((closed.state, closed.own_runner.as_ref()), (LaunchState::Closed, None));
            assert_eq!((waits.fruitless, waits.due.next_check_at), (0, Some(T0 + retry_in)));
            assert!(over.why.contains("GitLab answered"), "{}", over.why);
        }
        let none = Means::None("store a token".into());
        let Enrolment::Over(over) = enrolment(&launch, Some(&job), &none, T0) else { panic!("not over") };
        assert!(over.why.contains("store a token") && launch_of(&over.plan).state == LaunchState::Closed);
    }

    #[test]
    fn a_manager_is_left_to_gitlab_sooner_than_a_runner() {
        let (_, launch) = ec2_pair();
        let mut closing = launch_of(&close(&launch, Evidence::RowOnly, "x", T0).unwrap());
        let late = T0 + limits::MANAGER_LIMIT + Millis(1);
        assert!(gives_up_clearing(&closing, late));
        closing.own_runner = asked(&launch, T0).own_runner;
        assert!(!gives_up_clearing(&closing, late));
        assert!(gives_up_clearing(&closing, T0 + limits::RUNNER_LIMIT + Millis(1)));
    }
}
