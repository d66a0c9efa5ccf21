//! From what was loaded to what is to be done, each with its reason.

use std::collections::{BTreeMap, HashMap};

use runnerless_core::change::Plan;
use runnerless_core::drain::Draining;
use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::instance_row::instance_pk;
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::lane::{Engine, Lane};
use runnerless_core::lane_row::lane_pk;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{DueJob, DueLaunch, End, drained_launch, due_job, due_launch, is_free, may_charge};
use runnerless_core::need::{Answer, WaitingJob, need};
use runnerless_core::route::LaneEntry;
use runnerless_core::time::Timestamp;

use crate::load::Loaded;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Find the job a launch.
    Route(JobKey),
    /// Charge a launch that is under way, and whose own job needs it no more, to the job.
    Assign(JobKey, LaunchId),
    /// Settle the launch of a job that ended.
    Settle(JobKey),
    /// Ask GitLab how the job stands; without an API token only its row is written.
    Ask(JobKey, Plan),
    /// Put a job's row right.
    Write(JobKey, Plan),
    /// Send a launch's frozen request.
    Start(LaunchId),
    /// Close and conclude a launch.
    Stop(LaunchId, End),
    /// Write off a bound launch that is silent, and report its job.
    Lost(LaunchId),
    /// Write off a bound launch that is not waited for, and report its job.
    WriteOff(LaunchId),
    /// Report the job of a launch that was written off.
    Report(LaunchId),
    /// Have a lane's token verified, or a runner made for a lane without one.
    Verify(Box<Lane>),
    /// Send a lane's sentinel.
    Sentinel(Box<LaneEntry>),
    /// Remove the runner manager of a lane that is gone, if its row still is to be looked at then.
    Forget(LaneId, Engine, Timestamp),
    /// Put a lane's row right.
    PutLane(LaneId, Plan),
    /// Sound the alarm about a job that our runner has and no launch got, if that is still so at this time.
    Unaccounted(JobKey, Timestamp),
    /// The same, but an official runner may have it, which tells nobody: GitLab is asked which of these runner managers (by
    /// system id, with their launches) it is.
    Recognise(JobKey, Timestamp, BTreeMap<String, LaunchId>),
    /// Close or write off the launch whose instance is gone.
    HostGone(LaunchId),
    /// Write down since when an instance is watched that no launch names.
    Adopt(String, Plan),
    /// End an instance that no launch leads.
    EndInstance(String),
    /// Tell of an instance that carries the stack's tag and is not ours. It is not touched.
    LookAlike(String),
}

impl Action {
    /// A word for counts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Route(_) => "route",
            Self::Assign(..) => "assign",
            Self::Settle(_) => "settle",
            Self::Ask(..) => "ask",
            Self::Write(..) => "write",
            Self::Start(_) => "start",
            Self::Stop(..) => "stop",
            Self::Lost(_) => "lost",
            Self::WriteOff(_) => "write_off",
            Self::Report(_) => "report",
            Self::Verify(..) => "verify",
            Self::Sentinel(_) => "sentinel",
            Self::Forget(..) => "forget",
            Self::PutLane(..) => "put_lane",
            Self::Unaccounted(..) => "unaccounted",
            Self::Recognise(..) => "recognise",
            Self::HostGone(_) => "host_gone",
            Self::Adopt(..) => "adopt",
            Self::EndInstance(_) => "end_instance",
            Self::LookAlike(_) => "look_alike",
        }
    }

    /// The primary key of the row that it is about.
    #[must_use]
    pub fn pk(&self) -> String {
        match self {
            Self::Route(key)
            | Self::Assign(key, _)
            | Self::Settle(key)
            | Self::Ask(key, _)
            | Self::Write(key, _)
            | Self::Unaccounted(key, _)
            | Self::Recognise(key, ..) => key.pk(),
            Self::Start(id)
            | Self::Stop(id, _)
            | Self::Lost(id)
            | Self::WriteOff(id)
            | Self::Report(id)
            | Self::HostGone(id) => id.pk(),
            Self::Adopt(id, _) | Self::EndInstance(id) | Self::LookAlike(id) => instance_pk(id),
            Self::Verify(lane) => lane_pk(&lane.id()),
            Self::Forget(lane, ..) | Self::PutLane(lane, _) => lane_pk(lane),
            Self::Sentinel(entry) => lane_pk(&entry.lane.id()),
        }
    }
}

/// Something to do, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// Plans. Launches come first: those that are concluded free their jobs for the same or the next run. While the stack
/// drains, jobs that wait are left as they are.
#[must_use]
pub fn plan(loaded: &Loaded, now: Timestamp) -> Vec<Planned> {
    let of_launch = |launch| of_launch(launch, loaded.draining, now);
    let mut planned: Vec<Planned> = loaded.launches.values().filter_map(of_launch).collect();
    planned.sort_by_key(|item| item.action.pk());
    let officials = loaded.launches.values().filter(|launch| launch.may_run_unknown());
    let managers: BTreeMap<String, LaunchId> =
        officials.map(|launch| (launch.system_id.clone(), launch.launch.clone())).collect();
    let (mut waiting, mut unaccounted) = (Vec::new(), Vec::new());
    for key in &loaded.due {
        let job = &loaded.jobs[key];
        if names_unreadable(job, loaded) {
            continue;
        }
        match due_job(job, launch_of(job, &loaded.launches), now) {
            DueJob::NeedsLaunch if loaded.draining.is_some() => {}
            DueJob::NeedsLaunch => waiting.push(job),
            DueJob::NeedsSettling => planned.push(planned_for(Action::Settle(*key), "its end was not settled")),
            DueJob::NeedsWord(plan) => planned.push(with_plan(plan, |plan| Action::Ask(*key, plan))),
            DueJob::Unaccounted { at, plan } if managers.is_empty() => {
                unaccounted.push(with_plan(plan, |_| Action::Unaccounted(*key, at)));
            }
            DueJob::Unaccounted { at, .. } => {
                let why = "our runner has it, and an official one does not say so";
                unaccounted.push(planned_for(Action::Recognise(*key, at, managers.clone()), why));
            }
            DueJob::Write(plan) => planned.push(with_plan(plan, |plan| Action::Write(*key, plan))),
            DueJob::Nothing => {}
        }
    }
    planned.extend(for_waiting(&waiting, loaded, now));
    // They may have to be waited for, and nothing waits for them.
    planned.extend(unaccounted);
    planned
}

/// Whether the row that decides about the job cannot be read: unknown is not gone.
fn names_unreadable(job: &JobRow, loaded: &Loaded) -> bool {
    let named = job.charge.iter().chain(&job.launch).map(LaunchId::pk);
    named.into_iter().any(|pk| loaded.unreadable.contains(&pk))
}

fn planned_for(action: Action, reason: &str) -> Planned {
    Planned { action, reason: reason.to_owned() }
}

fn with_plan(plan: Plan, action: impl FnOnce(Plan) -> Action) -> Planned {
    let reason = plan.reason.clone();
    Planned { action: action(plan), reason }
}

fn of_launch(launch: &LaunchRow, draining: Option<Draining>, now: Timestamp) -> Option<Planned> {
    let id = launch.launch.clone();
    let duty = match draining {
        Some(draining) => drained_launch(launch, draining, now),
        None => due_launch(launch, now),
    };
    match duty {
        DueLaunch::NeedsStart => Some(planned_for(Action::Start(id), "its request may never have gone out")),
        DueLaunch::NeedsStop(end) => {
            let reason = end.reason().to_owned();
            Some(Planned { action: Action::Stop(id, end), reason })
        }
        DueLaunch::MaybeLost => Some(planned_for(Action::Lost(id), "it is bound and its lease is over")),
        DueLaunch::WriteOff => {
            Some(planned_for(Action::WriteOff(id), "the stack is removed, and its job is not waited for"))
        }
        DueLaunch::OwesReport => Some(planned_for(Action::Report(id), "GitLab is to be told about its job")),
        DueLaunch::Nothing => None,
    }
}

/// The launch that decides about a due job: the one that it is bound to, else the one that is charged to it.
fn launch_of<'a>(job: &JobRow, launches: &'a HashMap<LaunchId, LaunchRow>) -> Option<&'a LaunchRow> {
    let id = if job.state == JobState::Charged { job.charge.as_ref() } else { job.launch.as_ref() };
    id.and_then(|id| launches.get(id))
}

/// Waiting jobs get launches that are under way and free, and new ones only where there are none.
fn for_waiting(waiting: &[&JobRow], loaded: &Loaded, now: Timestamp) -> Vec<Planned> {
    let asked: Vec<WaitingJob> = waiting
        .iter()
        .filter(|job| may_charge(job, now).is_ok())
        .map(|job| WaitingJob {
            key: job.key(),
            // A job that was never routed has no lane: no launch is known to serve it.
            lane: job.lane.clone().unwrap_or_else(|| runnerless_core::id::LaneId::new("")),
            tags: job.tags.clone(),
        })
        .collect();
    let owner_of = |launch: &LaunchRow| launch.charged_to.and_then(|key| loaded.jobs.get(&key));
    // What this run stops takes no job any more: who was given it would wait for the next run.
    let goes_on = |launch: &LaunchRow| !matches!(due_launch(launch, now), DueLaunch::NeedsStop(_));
    let is_spare = |launch: &&LaunchRow| is_free(launch, owner_of(launch)) && goes_on(launch);
    let mut spare: Vec<LaunchRow> = loaded.launches.values().filter(is_spare).cloned().collect();
    spare.sort_by(|one, other| one.launch.cmp(&other.launch));
    let planned = |(key, answer)| match answer {
        Answer::Spare(launch) => planned_for(Action::Assign(key, launch), "a launch under way lost its own job"),
        Answer::Launch => planned_for(Action::Route(key), "it waits without a launch"),
    };
    need(&asked, &spare).into_iter().map(planned).collect()
}
