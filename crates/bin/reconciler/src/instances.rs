//! What EC2 shows of this stack, beside what the ledger knows: instances that nobody leads, and launches whose instance is
//! gone.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_aws::AwsError;
use runnerless_aws::ports::Ledger;
use runnerless_aws_ec2::Fleet;
use runnerless_core::change::RowKey;
use runnerless_core::fleet::{Instance, InstanceState};
use runnerless_core::id::LaunchId;
use runnerless_core::instance_row::InstanceRow;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{Host, InstanceDuty, Known, Ours, host, instance_duty, launch_of_instance};
use runnerless_core::time::Timestamp;

use crate::load::{Loaded, read};
use crate::plan::{Action, Planned};

/// Most launches whose instance is asked for by its id in one run: those that the list did not show.
const ASKED: usize = 50;

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The instances with the stack's tag.
    pub instances: Vec<Instance>,
    /// The launches that their tags name and that are not among the live ones.
    pub launches: BTreeMap<LaunchId, LaunchRow>,
    /// Since when those are watched that no launch names.
    pub watched: BTreeMap<String, InstanceRow>,
    /// Live launches whose instance the list did not show, and what EC2 says about it.
    pub asked: Vec<(LaunchRow, Option<Instance>)>,
    /// Rows that cannot be read: reported, and left alone.
    pub unreadable: BTreeSet<String>,
}

impl Seen {
    /// How many instances of ours have not ended.
    pub(crate) fn left(&self, ours: &Ours) -> usize {
        let is_left = |instance: &&Instance| {
            instance.state != InstanceState::Terminated && launch_of_instance(ours, instance).is_ok()
        };
        self.instances.iter().filter(is_left).count()
    }

    fn known<'a>(&'a self, loaded: &'a Loaded, id: &LaunchId) -> Known<'a> {
        match loaded.launches.get(id).or_else(|| self.launches.get(id)) {
            Some(launch) => Known::Launch(launch),
            None if self.unreadable.contains(&id.pk()) => Known::Unreadable,
            None => Known::Nothing,
        }
    }

    fn is_led(&self, loaded: &Loaded, id: &LaunchId, instance: &Instance) -> bool {
        match self.known(loaded, id) {
            Known::Launch(launch) => launch.instance_id.as_ref() == Some(&instance.id),
            Known::Unreadable => true,
            Known::Nothing => false,
        }
    }

    async fn read_launches(&mut self, ledger: &impl Ledger, ids: BTreeSet<LaunchId>) -> Result<(), AwsError> {
        let rows = read(ledger, &ids.iter().cloned().map(RowKey::Launch).collect::<Vec<_>>()).await?;
        for id in ids {
            match rows.launch(&id) {
                Ok(Some(row)) => drop(self.launches.insert(id, row)),
                Ok(None) => {}
                Err(bad) => drop(self.unreadable.insert(bad.pk)),
            }
        }
        Ok(())
    }

    async fn read_watched(&mut self, ledger: &impl Ledger, ids: Vec<String>) -> Result<(), AwsError> {
        let rows = read(ledger, &ids.iter().cloned().map(RowKey::Instance).collect::<Vec<_>>()).await?;
        for id in ids {
            match rows.instance(&id) {
                Ok(Some(row)) => drop(self.watched.insert(id, row)),
                Ok(None) => {}
                Err(bad) => drop(self.unreadable.insert(bad.pk)),
            }
        }
        Ok(())
    }
}

/// Loads.
///
/// # Errors
/// The ledger or EC2 is out of reach.
pub(crate) async fn load(
    ledger: &impl Ledger,
    fleet: &impl Fleet,
    ours: &Ours,
    loaded: &Loaded,
    now: Timestamp,
) -> Result<Seen, AwsError> {
    let mut seen = Seen { instances: fleet.list(&ours.stack).await?, ..Seen::default() };
    seen.unreadable.clone_from(&loaded.unreadable);
    let tagged: Vec<(LaunchId, Instance)> = seen
        .instances
        .iter()
        .filter_map(|instance| Some((launch_of_instance(ours, instance).ok()?, instance.clone())))
        .collect();
    let named = tagged.iter().map(|(id, _)| id).filter(|id| !loaded.launches.contains_key(id)).cloned();
    seen.read_launches(ledger, named.collect()).await?;
    let strangers = tagged.iter().filter(|(id, instance)| !seen.is_led(loaded, id, instance));
    let strangers = strangers.map(|(_, instance)| instance.id.clone()).collect();
    seen.read_watched(ledger, strangers).await?;
    for launch in unseen(&seen.instances, loaded, now) {
        let Some(instance) = &launch.instance_id else { continue };
        let shown = fleet.describe(instance).await?;
        seen.asked.push((launch, shown));
    }
    Ok(seen)
}

/// Launches under way whose instance is not in the list: most of them ended, and some are too young to be shown.
fn unseen(instances: &[Instance], loaded: &Loaded, now: Timestamp) -> Vec<LaunchRow> {
    let there: BTreeSet<&str> =
        instances.iter().filter(|one| one.state.is_there()).map(|one| one.id.as_str()).collect();
    let under_way = loaded.live().filter(|launch| launch.is_unbound_live() || launch.state == LaunchState::Bound);
    let is_unseen = |launch: &&LaunchRow| launch.instance_id.as_deref().is_some_and(|id| !there.contains(id));
    let mut unseen: Vec<LaunchRow> = under_way.filter(is_unseen).cloned().collect();
    unseen.sort_by(|one, other| one.launch.cmp(&other.launch));
    crate::window::choose(unseen, ASKED, now)
}

/// Plans.
pub(crate) fn plan(ours: &Ours, seen: &Seen, loaded: &Loaded, now: Timestamp) -> Vec<Planned> {
    let gone = seen.asked.iter().filter(|(launch, shown)| host(launch, shown.as_ref(), now) == Host::Gone);
    let gone = gone.map(|(launch, _)| Planned {
        action: Action::HostGone(launch.launch.clone()),
        reason: "EC2 says that its instance is gone".to_owned(),
    });
    gone.chain(seen.instances.iter().filter_map(|instance| of_instance(ours, seen, loaded, instance, now))).collect()
}

fn of_instance(ours: &Ours, seen: &Seen, loaded: &Loaded, instance: &Instance, now: Timestamp) -> Option<Planned> {
    let id = instance.id.clone();
    if seen.unreadable.contains(&RowKey::Instance(id.clone()).pk()) {
        return None;
    }
    let launch = launch_of_instance(ours, instance).ok();
    let known = launch.map_or(Known::Nothing, |id| seen.known(loaded, &id));
    let (action, reason) = match instance_duty(ours, instance, known, seen.watched.get(&id), now) {
        InstanceDuty::Leave => return None,
        InstanceDuty::Adopt(plan) => {
            let reason = plan.reason.clone();
            (Action::Adopt(id, plan), reason)
        }
        InstanceDuty::Terminate(why) => (Action::EndInstance(id), why),
        InstanceDuty::LookAlike(why) => (Action::LookAlike(id), why),
    };
    Some(Planned { action, reason })
}
