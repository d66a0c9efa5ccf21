//! The pool's jobs: bursts while everything goes wrong, and a last one when nothing does any more.

use fastrand::Rng;
use runnerless_core::lane::TagSet;
use runnerless_core::time::{Millis, Timestamp};

use super::PoolSetup;
use crate::gitlab::{CancelAt, JobSpec, Moment, PipelineSpec, Step, Work};

/// Most jobs of one pipeline.
const AT_ONCE: usize = 10;
/// How long a job takes (ms).
const LENGTHS: std::ops::Range<i64> = 5_000..600_000;
/// So long that none of the last jobs frees its slot for another one in time.
const LONG: Millis = Millis::minutes(40);
/// Names that no row of the mapping and no other job has.
const NAMES: [&str; 3] = ["kernel", "simulate", "render"];

/// What users do while things go wrong, for about half as many jobs as the lanes have.
pub(super) fn load(
    setup: &PoolSetup,
    projects: &[u64],
    jobs: usize,
    (from, span): (Timestamp, Millis),
) -> Vec<(Timestamp, Step)> {
    let mut rng = Rng::with_seed(setup.load);
    let mut steps = Vec::new();
    let mut left = (jobs / 2).max(2);
    while left > 0 {
        let count = rng.usize(1..=AT_ONCE).min(left);
        left -= count;
        let at = from + Millis(rng.i64(0..=span.0));
        let specs = (0..count).map(|_| job(setup, &mut rng)).collect();
        steps.push((at, pipeline(projects, &mut rng, specs)));
    }
    steps
}

/// A few jobs at once.
pub(super) fn some(setup: &PoolSetup, projects: &[u64], rng: &mut Rng) -> Step {
    let specs = (0..rng.usize(1..=3)).map(|_| job(setup, rng)).collect();
    pipeline(projects, rng, specs)
}

/// The jobs that come when nothing goes wrong any more.
pub(super) fn burst(setup: &PoolSetup, projects: &[u64]) -> Step {
    let mut rng = Rng::with_seed(!setup.load);
    let last = |rng: &mut Rng| JobSpec {
        work: Work { length: LONG, exit_code: 0 },
        cancel: None,
        retry: None,
        ..job(setup, rng)
    };
    let specs = (0..setup.burst).map(|_| last(&mut rng)).collect();
    pipeline(projects, &mut rng, specs)
}

fn pipeline(projects: &[u64], rng: &mut Rng, jobs: Vec<JobSpec>) -> Step {
    let project = projects[rng.usize(..projects.len())];
    Step::Pipeline(PipelineSpec { project, git_ref: "main".to_owned(), protected: rng.bool(), jobs })
}

fn job(setup: &PoolSetup, rng: &mut Rng) -> JobSpec {
    let all: Vec<String> = setup.tags.iter().map(str::to_owned).collect();
    let tags = if rng.u32(0..4) == 0 { TagSet::new([&all[rng.usize(..all.len())]]) } else { TagSet::new(&all) };
    let cancel = (rng.u32(0..12) == 0).then(|| CancelAt {
        from: if rng.bool() { Moment::Pending } else { Moment::Running },
        after: Millis(rng.i64(0..120_000)),
    });
    JobSpec {
        name: NAMES[rng.usize(..NAMES.len())].to_owned(),
        stage: "test".to_owned(),
        tags: tags.unwrap_or_default(),
        needs: Vec::new(),
        work: Work { length: Millis(rng.i64(LENGTHS)), exit_code: u8::from(rng.u32(0..12) == 0) },
        cancel,
        retry: None,
    }
}
