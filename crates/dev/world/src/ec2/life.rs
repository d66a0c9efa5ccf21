//! An instance's life: it boots, its runner runs, and something ends it.

use runnerless_core::fleet::{FleetRequest, Instance, InstanceState, LANE_TAG};
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::time::Millis;
use serde_json::json;

use super::Machine;
use crate::check::Whom;
use crate::event::{Event, Record};
use crate::fault::Fault;
use crate::functions;
use crate::hands::Hands;
use crate::process::Death;
use crate::runner;
use crate::setup::PROFILE;
use crate::world::{State, World};

/// From the launch until the runner's program starts (ms), with an image that has all in it.
const BOOT: std::ops::Range<i64> = 9_000..40_000;
/// The same of one that is slow: until beyond the time that a launch has for it.
const SLOW_BOOT: std::ops::Range<i64> = 40_000..420_000;
/// How long an instance takes to end (ms).
const ENDING: std::ops::Range<i64> = 3_000..40_000;
/// How long after a wish for its end an instance's processes still go on (ms).
const LAST_BREATH: std::ops::Range<i64> = 0..6_000;
/// EC2's warning comes so long before it takes a spot instance back.
const NOTICE: Millis = Millis::secs(120);
/// How long the warning takes to the terminator (ms).
const WARNING: std::ops::Range<i64> = 200..4_000;
/// What the watchdog gives the runner at the expiry, and its own pace.
const WATCHDOG: Millis = Millis::secs(25);
/// How long somebody else's instance is there that looks like ours (ms).
const ALIKE: std::ops::Range<i64> = 60_000..2_400_000;

/// EC2 has launched an instance: what becomes of it. Of two for one request the second often hangs, where instances do: nothing
/// on it says that it is nobody's.
pub(crate) fn starts(hands: &Hands<'_>, id: &str, spot: bool, is_second: bool) {
    let timeline = &hands.world.timeline;
    let boot = if hands.strikes(Fault::InstanceSlow) { SLOW_BOOT } else { BOOT };
    let may_hang = is_second && hands.world.rate(Fault::InstanceHangs) > 0;
    let hangs = hands.strikes(Fault::InstanceHangs) || may_hang && hands.draw(|rng| rng.bool());
    if !hangs {
        timeline.happens_in(hands.draw(|rng| Millis(rng.i64(boot))), Event::Boots(id.to_owned()));
    }
    if spot && hands.is_to_meet(Fault::SpotReclaimed) {
        // In the boot, in its first steps, in the job, or after it.
        let when = hands.draw(|rng| match rng.u32(0..4) {
            0 => rng.i64(0..15_000),
            1 | 2 => rng.i64(10_000..90_000),
            _ => rng.i64(60_000..600_000),
        });
        timeline.happens_in(Millis(when), Event::Warns(id.to_owned()));
    }
}

/// Its runner's program starts, and runs until it or the instance ends.
pub(crate) async fn boots(world: &World, id: String) {
    let Some((launch, hands)) = runs(world, &id) else { return };
    let number = hands.process.number;
    let ended = hands.live(runner::instance::serve(&hands, &id, &launch)).await;
    match ended {
        // Who pulled the plug did the rest.
        Err(Death::Unplugged) => {}
        // Nothing on it goes on, and nothing powers it off.
        Err(Death::Killed) if hands.process.killed == Fault::InstanceStops => over(world, number),
        Err(Death::Killed) => stops(world, &id),
        Ok(()) | Err(Death::TimedOut) => {
            over(world, number);
            if !world.strikes(Fault::PowerOffFailed, &Whom::Process(number)) {
                stops(world, &id);
            }
        }
    }
}

/// The runner's process of an instance that is there, and its launch.
fn runs<'w>(world: &'w World, id: &str) -> Option<(LaunchId, Hands<'w>)> {
    let now = world.now();
    let expires = world.state().cloud.machine(id).filter(|machine| machine.ends.is_none())?.expires();
    let hands = functions::instance(world, expires + WATCHDOG - now);
    let number = hands.process.number;
    let mut state = world.state();
    let State { cloud, check, trace, .. } = &mut *state;
    let machine = cloud.machines.get_mut(id)?;
    machine.running = true;
    machine.runner = Some((number, hands.process.plug()));
    let launch = machine.launch();
    trace.add(now, format_args!("{hands} boots on {id} for {launch}"));
    check.runs(number, launch.as_str());
    if machine.warned {
        check.hinders(number, now);
    }
    drop(state);
    Some((launch, hands))
}

/// A runner's process is over.
fn over(world: &World, process: u32) {
    world.at_gitlab(|gitlab, now| gitlab.process_ended(u64::from(process), now));
    let now = world.now();
    world.state().check.ran(process, now);
}

/// An instance ends by itself, or its hardware does: nothing on it goes a step further.
pub(crate) fn stops(world: &World, id: &str) {
    ends(world, id);
    loses_power(world, id);
}

fn ends(world: &World, id: &str) -> bool {
    let length = world.draw(|rng| Millis(rng.i64(ENDING)));
    let now = world.now();
    let ends = world.state().cloud.ends(id, now, length);
    if ends {
        world.note(format_args!("{id} ends"));
    }
    ends
}

/// Somebody asked for its end: its processes may still go on for some seconds.
pub(crate) fn terminated(world: &World, id: &str) {
    if ends(world, id) {
        let length = world.draw(|rng| Millis(rng.i64(LAST_BREATH)));
        world.timeline.happens_in(length, Event::LosesPower(id.to_owned()));
    }
}

/// Its runner goes no step further.
pub(crate) fn loses_power(world: &World, id: &str) {
    let process = world.state().cloud.unplug(id);
    if let Some(process) = process {
        over(world, process);
    }
}

/// EC2 warns that it takes a spot instance back.
pub(crate) fn warns(world: &World, id: &str) {
    let now = world.now();
    let mut state = world.state();
    let there = |machine: &&mut Machine| machine.ends.is_none();
    let Some(machine) = state.cloud.machines.get_mut(id).filter(there) else { return };
    machine.warned = true;
    let lane = LaneId::new(machine.instance.tag(LANE_TAG).unwrap_or_default());
    if let Some((process, _)) = machine.runner {
        state.check.hinders(process, now);
    }
    drop(state);
    let whom = Whom::Lane(lane);
    world.hit(Fault::SpotReclaimed, &whom, None);
    world.timeline.happens_in(NOTICE, Event::Taken(id.to_owned()));
    if world.strikes(Fault::WarningLost, &whom) {
        return;
    }
    let times = if world.strikes(Fault::WarningDoubled, &whom) { 2 } else { 1 };
    (0..times).for_each(|_| warn(world, id));
}

fn warn(world: &World, id: &str) {
    let warning = json!({
        "version": "0", "detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2",
        "account": "123456789012", "region": "eu-west-1",
        "detail": {"instance-id": id, "instance-action": "terminate"},
    });
    let length = world.draw(|rng| Millis(rng.i64(WARNING)));
    world.timeline.happens_in(length, Event::Record(Record { record: warning, failures: 0 }));
}

/// Somebody else launches an instance that looks like one of ours.
pub(crate) fn imitates(hands: &Hands<'_>, request: &FleetRequest) {
    let (world, now) = (hands.world, hands.world.now());
    let mut tags = request.tags.clone();
    let profile = match hands.draw(|rng| rng.u32(0..4)) {
        0 => None,
        1 => {
            tags.remove(LANE_TAG);
            Some(PROFILE.to_owned())
        }
        _ => Some(format!("{PROFILE}-of-another")),
    };
    let id = hands.instance_id();
    let instance = Instance {
        id: id.clone(),
        state: InstanceState::Running,
        tags,
        launched_at: now,
        instance_type: "m7i.large".to_owned(),
        subnet: "subnet-x".to_owned(),
        spot: true,
        profile,
    };
    let machine = Machine { running: true, is_alike: true, ..Machine::new(instance, now, now) };
    world.state().cloud.machines.insert(id.clone(), machine);
    world.note(format_args!("{id} looks like an instance for {}", request.token));
    if hands.draw(|rng| rng.bool()) {
        warn(world, &id);
    }
    world.timeline.happens_in(hands.draw(|rng| Millis(rng.i64(ALIKE))), Event::Taken(id));
}
