//! Worlds that differ only in what their jobs and launches are called are one world.
//!
//! No decision looks at a job's or a launch's name but to compare it, and the two jobs are of one lane, so that whatever
//! can happen to a world can happen to its renamed twin. Exploring one of each set of twins explores them all, at about
//! a tenth of the work. (A found path therefore may change names from one step to the next.)

use super::{By, LaunchBits, Ledger, Process, SECOND, World};

const LAUNCH_ORDERS: [[u8; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
const JOB_ORDERS: [[u8; 2]; 2] = [[0, 1], [1, 0]];

/// The smallest of a world's twins, among those whose launches are in the order of their [`looks`].
pub(crate) fn representative(world: &World) -> World {
    let looks = [looks(world, 0), looks(world, 1), looks(world, 2)];
    let in_order = |launches: &&[u8; 3]| {
        let mut sorted = looks;
        launches.iter().zip(looks).for_each(|(&at, look)| sorted[usize::from(at)] = look);
        sorted.is_sorted()
    };
    let orders = LAUNCH_ORDERS.iter().filter(in_order);
    let twins = orders.flat_map(|launches| JOB_ORDERS.iter().map(|jobs| renamed(world, *jobs, *launches)));
    twins.min().unwrap_or(*world)
}

/// What a launch looks like whatever it and the jobs are called.
fn looks(world: &World, i: usize) -> (Option<LaunchBits>, Process) {
    let any = |name: Option<u8>| name.map(|_| 0);
    let row = world.ledger.launches[i];
    let row = row.map(|bits| LaunchBits { charged_to: any(bits.charged_to), bound: any(bits.bound), ..bits });
    let own = world.processes[i];
    (row, Process { got: any(own.got), has: any(own.has), ..own })
}

/// The world in which job `k` is called `jobs[k]`, and launch `i` (and its process) is called `launches[i]`.
fn renamed(world: &World, jobs: [u8; 2], launches: [u8; 3]) -> World {
    let job = |k: u8| jobs[usize::from(k)];
    let launch = |i: u8| launches[usize::from(i)];
    let process = |p: u8| if p == SECOND { p } else { launch(p) };
    let mut twin = *world;
    twin.ledger = renamed_rows(&world.ledger, job, launch);
    twin.second_of = world.second_of.map(launch);
    for k in 0..2 {
        let (old, new) = (usize::from(k), usize::from(job(k)));
        twin.gl[new] = world.gl[old];
        if let By::Process(p) = world.gl[old].by {
            twin.gl[new].by = By::Process(process(p));
        }
    }
    for p in 0..=SECOND {
        let old = world.processes[usize::from(p)];
        twin.processes[usize::from(process(p))] = Process { got: old.got.map(job), has: old.has.map(job), ..old };
    }
    twin
}

fn renamed_rows(ledger: &Ledger, job: impl Fn(u8) -> u8, launch: impl Fn(u8) -> u8) -> Ledger {
    let mut twin = Ledger::default();
    for k in 0..2 {
        twin.jobs[usize::from(job(k))] = ledger.jobs[usize::from(k)].map(|mut bits| {
            bits.charge = bits.charge.map(&launch);
            bits.launch = bits.launch.map(&launch);
            bits
        });
    }
    for i in 0..3 {
        twin.launches[usize::from(launch(i))] = ledger.launches[usize::from(i)].map(|mut bits| {
            bits.charged_to = bits.charged_to.map(&job);
            bits.bound = bits.bound.map(&job);
            bits
        });
    }
    twin
}
