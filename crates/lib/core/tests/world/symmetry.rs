//! Worlds that differ only in what their jobs and launches are called are one world.
//!
//! No decision looks at a job's or a launch's name but to compare it, and the two jobs are of one lane, so that whatever
//! can happen to a world can happen to its renamed twin. Exploring one of each set of twins explores them all, at about
//! a tenth of the work. (A found path therefore may change names from one step to the next.)

use super::{By, World};

const LAUNCH_ORDERS: [[u8; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
const JOB_ORDERS: [[u8; 2]; 2] = [[0, 1], [1, 0]];

/// The smallest of a world's twins.
pub(crate) fn representative(world: &World) -> World {
    let twins =
        JOB_ORDERS.iter().flat_map(|jobs| LAUNCH_ORDERS.iter().map(|launches| renamed(world, *jobs, *launches)));
    twins.min().unwrap_or(*world)
}

/// The world in which job `k` is called `jobs[k]`, and launch `i` is called `launches[i]`.
fn renamed(world: &World, jobs: [u8; 2], launches: [u8; 3]) -> World {
    let job = |k: u8| jobs[usize::from(k)];
    let launch = |i: u8| launches[usize::from(i)];
    let mut twin = *world;
    for k in 0..2 {
        let (old, new) = (usize::from(k), usize::from(job(k)));
        twin.gl[new] = world.gl[old];
        if let By::Launch(i) = world.gl[old].by {
            twin.gl[new].by = By::Launch(launch(i));
        }
        twin.jobs[new] = world.jobs[old].map(|mut bits| {
            bits.charge = bits.charge.map(launch);
            bits.launch = bits.launch.map(launch);
            bits
        });
    }
    for i in 0..3 {
        twin.launches[usize::from(launch(i))] = world.launches[usize::from(i)].map(|mut bits| {
            bits.charged_to = bits.charged_to.map(job);
            bits.bound = bits.bound.map(job);
            bits.runner.got = bits.runner.got.map(job);
            bits.runner.has = bits.runner.has.map(job);
            bits
        });
    }
    twin
}
