//! Traces of our own: drawn from one seed, so that they are the same each time.

use fastrand::Rng;
use runnerless_core::time::Millis;

use crate::trace::{Job, Trace};

/// The names of the bundled traces.
pub const NAMES: [&str; 4] = ["bursty", "daily", "flat", "spiky"];

/// The seed of all of them.
const SEED: u64 = 0x5eed_0008;

/// Lengths of jobs in seconds, each as likely as the others: half of them take two minutes at most, one in twenty half an hour.
/// Invented, after what CI jobs look like: linters, unit tests, builds, a few long suites.
const LENGTHS: [u32; 20] =
    [15, 20, 30, 40, 50, 60, 75, 90, 105, 120, 150, 180, 210, 240, 300, 360, 480, 600, 900, 1800];

/// A bundled trace, by its name.
#[must_use]
pub fn named(name: &str) -> Option<Trace> {
    let mut jobs = Drawn { rng: Rng::with_seed(SEED), jobs: Vec::new() };
    match name {
        "bursty" => bursty(&mut jobs),
        "daily" => daily(&mut jobs),
        "flat" => flat(&mut jobs),
        "spiky" => spiky(&mut jobs),
        _ => return None,
    }
    jobs.jobs.sort_by_key(|job| job.at);
    Some(Trace { jobs: jobs.jobs })
}

struct Drawn {
    rng: Rng,
    jobs: Vec<Job>,
}

impl Drawn {
    /// A job within the second after `second`.
    fn job(&mut self, second: i64) {
        let about = LENGTHS[self.rng.usize(..LENGTHS.len())];
        let length = i64::from(self.rng.u32(about * 800..=about * 1200));
        let at = Millis(second * 1000 + self.rng.i64(0..1000));
        self.jobs.push(Job { at, length: Millis(length), tag: "build".to_owned() });
    }

    /// Single jobs from second to second, so many an hour on average.
    fn steadily(&mut self, seconds: std::ops::Range<i64>, an_hour: impl Fn(i64) -> u32) {
        for second in seconds {
            // Four throws a second: more than one job may come in it.
            for _ in 0..4 {
                if self.rng.u32(..4 * 3600) < an_hour(second) {
                    self.job(second);
                }
            }
        }
    }

    /// A pipeline: its jobs come within a few seconds.
    fn pipeline(&mut self, second: i64, jobs: u32) {
        for _ in 0..jobs {
            let after = self.rng.i64(0..5);
            self.job(second + after);
        }
    }
}

/// Twelve hours in which jobs come evenly: 240 an hour.
fn flat(jobs: &mut Drawn) {
    jobs.steadily(0..12 * 3600, |_| 240);
}

/// Two days of a team: hardly anything at night, a rise in the morning, a dip at noon.
fn daily(jobs: &mut Drawn) {
    const AN_HOUR: [u32; 24] =
        [4, 2, 2, 2, 4, 10, 40, 120, 260, 380, 420, 380, 240, 340, 420, 400, 320, 220, 120, 60, 40, 24, 12, 8];
    jobs.steadily(0..48 * 3600, |second| {
        let hour = usize::try_from(second / 3600 % 24).unwrap_or(0);
        AN_HOUR[hour]
    });
}

/// Eight hours of pipelines of 20 to 60 jobs, five to twenty-five minutes apart, and little between them.
fn bursty(jobs: &mut Drawn) {
    let mut second = 120;
    while second < 8 * 3600 {
        let size = jobs.rng.u32(20..=60);
        jobs.pipeline(second, size);
        second += jobs.rng.i64(300..=1500);
    }
    jobs.steadily(0..8 * 3600, |_| 12);
}

/// Twelve hours of little, and every two hours a pipeline of 150 jobs.
fn spiky(jobs: &mut Drawn) {
    jobs.steadily(0..12 * 3600, |_| 30);
    for spike in 0..6 {
        let second = spike * 7200 + jobs.rng.i64(1200..6000);
        jobs.pipeline(second, 150);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_the_same_each_time_and_unlike_the_others() {
        for name in NAMES {
            let trace = named(name).unwrap();
            assert_eq!(Some(&trace), named(name).as_ref());
            assert!((700..20_000).contains(&trace.jobs.len()), "{name}: {}", trace.jobs.len());
            assert_eq!(Trace::parse(&trace.to_csv()).as_ref(), Ok(&trace));
        }
        assert_eq!(named("quiet"), None);
    }
}
