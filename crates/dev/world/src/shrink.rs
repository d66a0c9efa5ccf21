//! Shrinking: from a world in which a promise is broken to a smaller one in which the same one is.

use crate::check::Promise;
use crate::fault::Fault;
use crate::run::Broken;
use crate::setup::Wish;
use crate::world;

/// Fewer jobs first, then kinds of trouble that can be left out, one after the other.
#[must_use]
pub fn shrink(broken: &Broken) -> Wish {
    let mut smallest = Wish { seed: broken.seed, jobs: broken.jobs, off: broken.off.clone(), keeps: false };
    let Some(promise) = broken.violations.first().map(|violation| violation.promise) else { return smallest };
    while let Some(smaller) =
        fewer(smallest.jobs).map(|jobs| with_jobs(&smallest, jobs)).find(|wish| breaks(wish, promise))
    {
        smallest = smaller;
    }
    for fault in Fault::ALL.iter().filter(|fault| !broken.off.contains(fault)) {
        let mut without = smallest.clone();
        without.off.push(*fault);
        if breaks(&without, promise) {
            smallest = without;
        }
    }
    smallest
}

/// Smaller numbers of jobs, the smallest first.
fn fewer(jobs: usize) -> impl Iterator<Item = usize> {
    [1, 2, 3, 5, 8, 13, 20, 30, 50, 75].into_iter().filter(move |fewer| *fewer < jobs)
}

fn with_jobs(wish: &Wish, jobs: usize) -> Wish {
    Wish { jobs, ..wish.clone() }
}

fn breaks(wish: &Wish, promise: Promise) -> bool {
    world::run(wish).verdict.violations.first().is_some_and(|violation| violation.promise == promise)
}
