//! The sweep's care for lanes, whether or not a job waits in them: tokens are verified, sentinels sent, and the managers of
//! lanes that the mapping no longer has are removed.

mod act;
mod load;
mod make;

use runnerless_core::lane::Engine;
use runnerless_core::moves::{LaneDuty, LaneView, lane_duty};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_router::Ports;

pub(crate) use act::{forget, sentinel, verify};
pub(crate) use load::{LoadedLanes, load};

use crate::Sweep;
use crate::load::Loaded;
use crate::plan::{Action, Planned};

/// What it takes to look after lanes.
#[derive(Debug)]
pub struct Lanes<'a, G> {
    /// GitLab, as far as runners are concerned.
    pub runners: &'a G,
    /// The time between two sentinels of a lane; nothing sends none.
    pub sentinel_every: Millis,
}

impl<G> Lanes<'_, G> {
    /// The time between two sentinels; `None` when none are sent: with an API token the listing of projects finds what they
    /// would find.
    pub(crate) fn sentinels(&self, ports: &impl Ports) -> Option<Millis> {
        (self.sentinel_every > Millis(0) && ports.jobs().is_none()).then_some(self.sentinel_every)
    }
}

/// The time between two sentinels of a lane of this engine; `None` when none are sent: an instance costs too much to ask once.
pub(crate) fn sentinels_of<P: Ports, S, R, G, F>(sweep: &Sweep<'_, P, S, R, G, F>, engine: Engine) -> Option<Millis> {
    sweep.lanes.sentinels(sweep.ports).filter(|_| engine == Engine::Lambda)
}

/// Plans. A launch that may be hidden is a lane that may be in use.
pub(crate) fn plan(lanes: &LoadedLanes, loaded: &Loaded, sentinels: Option<Millis>, now: Timestamp) -> Vec<Planned> {
    let planned = lanes.looked_at.iter().filter_map(|id| {
        let (row, entry) = (lanes.rows.get(id), lanes.mapped.get(id));
        // An entry that cannot be read may be this lane's.
        if entry.is_none() && lanes.hides_lanes {
            return None;
        }
        let engine = row.map(|row| row.engine).or_else(|| entry.map(|entry| entry.lane.engine))?;
        let view = LaneView {
            mapped: entry.is_some(),
            in_use: loaded.hides_launches || loaded.live().any(|launch| launch.lane == *id),
            draining: loaded.draining.is_some(),
            last_sentinel: row.and_then(|row| lanes.sentinels.get(row.sentinel.as_ref()?)),
            sentinels: sentinels.filter(|_| engine == Engine::Lambda),
        };
        let (action, reason) = match (lane_duty(row, view, now), entry) {
            (LaneDuty::Verify, Some(entry)) => {
                (Action::Verify(Box::new(entry.lane.clone())), "its token is to be verified".to_owned())
            }
            (LaneDuty::Sentinel, Some(entry)) => {
                (Action::Sentinel(Box::new(entry.clone())), "a job may wait whose hook was lost".to_owned())
            }
            (LaneDuty::Forget, _) => {
                let why = if view.draining { "the stack is being removed" } else { "the mapping no longer has it" };
                (Action::Forget(id.clone(), engine, row?.due.next_check_at?), why.to_owned())
            }
            (LaneDuty::Write(plan), _) => {
                let reason = plan.reason.clone();
                (Action::PutLane(id.clone(), plan), reason)
            }
            (LaneDuty::Nothing | LaneDuty::Sentinel | LaneDuty::Verify, _) => return None,
        };
        Some(Planned { action, reason })
    });
    planned.collect()
}
