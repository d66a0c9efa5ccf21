//! What came of a case: both sides in numbers, and whether the bars hold.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::case::Case;
use super::trip::Trip;
use crate::statistics::Spread;

/// A case holds when the runner needs at most so many times what the floor needs, in each of the quantities.
const BAR: f64 = 2.0;
/// And so much memory (KiB).
const BAR_KIB: u64 = 20 * 1024;
/// What we aim at.
const GOAL: f64 = 1.3;
/// And the memory that we aim at (KiB).
const GOAL_KIB: u64 = 12 * 1024;
/// The script's first words arrive at once: within so many milliseconds. The official runner's take three seconds.
const AT_ONCE_MS: f64 = 100.0;

/// One side of a case.
#[derive(Clone, Copy, Debug)]
struct Side {
    first_request_ms: Spread,
    job_ms: Spread,
    leave_ms: Spread,
    cpu_s: Spread,
    own_cpu_s: Spread,
    children_cpu_s: Spread,
    /// The largest of all runs.
    peak_kib: u64,
    rss_kib: Spread,
    requests: Spread,
    simulator_ms: Spread,
    words_late_ms: Option<Spread>,
}

impl Side {
    fn new(trips: &[Trip]) -> Self {
        let each = |of: &dyn Fn(&Trip) -> f64| Spread::of(&trips.iter().map(of).collect::<Vec<_>>());
        let ms = |of: fn(&Trip) -> Duration| each(&|trip| of(trip).as_secs_f64() * 1e3);
        let seconds = |of: fn(&Trip) -> Duration| each(&|trip| of(trip).as_secs_f64());
        let late: Vec<f64> =
            trips.iter().filter_map(|trip| trip.words_late).map(|late| late.as_secs_f64() * 1e3).collect();
        Self {
            first_request_ms: ms(|trip| trip.first_request),
            job_ms: ms(|trip| trip.job),
            leave_ms: ms(|trip| trip.leave),
            cpu_s: seconds(|trip| trip.own_cpu + trip.children_cpu),
            own_cpu_s: seconds(|trip| trip.own_cpu),
            children_cpu_s: seconds(|trip| trip.children_cpu),
            peak_kib: trips.iter().map(|trip| trip.peak_kib).max().unwrap_or_default(),
            rss_kib: each(&|trip| f64::from(u32::try_from(trip.peak_kib).unwrap_or(u32::MAX))),
            requests: each(&|trip| f64::from(trip.requests)),
            simulator_ms: ms(|trip| trip.simulator),
            words_late_ms: (!late.is_empty()).then(|| Spread::of(&late)),
        }
    }

    fn json(&self) -> Value {
        json!({
            "cold_ms": null,
            "warm_ms": null,
            "rss_kib": self.peak_kib,
            "first_request_ms": self.first_request_ms,
            "job_ms": self.job_ms,
            "leave_ms": self.leave_ms,
            "cpu_s": self.cpu_s,
            "own_cpu_s": self.own_cpu_s,
            "children_cpu_s": self.children_cpu_s,
            "rss_kib_rounds": self.rss_kib,
            "requests": self.requests,
            "simulator_ms": self.simulator_ms,
            "first_log_ms": self.words_late_ms,
        })
    }
}

/// Both sides of a case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary<'a> {
    case: &'a Case,
    rounds: usize,
    ours: Side,
    floor: Side,
}

impl<'a> Summary<'a> {
    pub(super) fn new(case: &'a Case, ours: &[Trip], floor: &[Trip]) -> Self {
        Self { case, rounds: ours.len(), ours: Side::new(ours), floor: Side::new(floor) }
    }

    /// How many times the floor, by quantity; `at` picks the number of a sample that counts.
    fn times(&self, at: fn(&Spread) -> f64) -> [(&'static str, f64); 3] {
        let (ours, floor) = (&self.ours, &self.floor);
        [
            ("first_request", at(&ours.first_request_ms) / at(&floor.first_request_ms)),
            ("job", at(&ours.job_ms) / at(&floor.job_ms)),
            ("cpu", at(&ours.cpu_s) / at(&floor.cpu_s)),
        ]
    }

    /// At the median. On a busy machine look at the lower quartile beside it: others' work only ever adds.
    fn within(&self, bar: f64, kib: u64) -> bool {
        let prompt = self.ours.words_late_ms.is_none_or(|late| late.p50 <= AT_ONCE_MS);
        // A case that waits for words lasts as long, and costs as much, as its own pauses do.
        let counts = |name: &str| name == "first_request" || !self.case.waits_for_words();
        prompt
            && self.ours.peak_kib <= kib
            && self.times(|sample| sample.p50).iter().all(|(name, times)| !counts(name) || *times <= bar)
    }

    /// The line for programs.
    pub(super) fn json(&self, cpu_mb: Option<u32>, binary_bytes: u64) -> Value {
        let rounded = |times: [(&'static str, f64); 3]| -> Map<String, Value> {
            times.iter().map(|(name, times)| ((*name).to_owned(), ((times * 100.0).round() / 100.0).into())).collect()
        };
        let mut line = self.ours.json();
        for (name, value) in [
            ("binary", "runner".into()),
            ("case", self.case.name.into()),
            ("cpu_mb", cpu_mb.into()),
            ("rounds", self.rounds.into()),
            ("binary_bytes", binary_bytes.into()),
            ("zip_bytes", Value::Null),
            ("floor", self.floor.json()),
            ("times_floor", rounded(self.times(|sample| sample.p50)).into()),
            ("times_floor_p25", rounded(self.times(|sample| sample.p25)).into()),
            ("ok", self.within(BAR, BAR_KIB).into()),
            ("goal", self.within(GOAL, GOAL_KIB).into()),
        ] {
            line[name] = value;
        }
        line
    }

    /// The line for people.
    pub(super) fn words(&self) -> String {
        let pair = |ours: f64, floor: f64| format!("{ours:.1} ({floor:.1})");
        let (ours, floor) = (&self.ours, &self.floor);
        let late = |side: &Side| side.words_late_ms.map_or(0.0, |late| late.p50);
        let words = if self.case.waits_for_words() {
            format!(", first words {} ms late", pair(late(ours), late(floor)))
        } else {
            String::new()
        };
        format!(
            "engine: {} {}: first request {} ms, job {} ms, CPU {} ms, memory {} MiB{words}; times the floor: {}",
            if self.within(BAR, BAR_KIB) { "ok" } else { "FAILED" },
            self.case.name,
            pair(ours.first_request_ms.p50, floor.first_request_ms.p50),
            pair(ours.job_ms.p50, floor.job_ms.p50),
            pair(ours.cpu_s.p50 * 1e3, floor.cpu_s.p50 * 1e3),
            pair(ours.rss_kib.max / 1024.0, floor.rss_kib.max / 1024.0),
            self.times(|sample| sample.p50).map(|(name, times)| format!("{name} {times:.2}")).join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::CASES;
    use super::*;

    fn trip(ms: u64, mib: u64) -> Trip {
        let time = Duration::from_millis(ms);
        Trip {
            first_request: time,
            job: time,
            leave: time,
            own_cpu: time,
            children_cpu: time,
            peak_kib: mib * 1024,
            requests: 5,
            simulator: time,
            words_late: Some(time),
        }
    }

    fn within(case: usize, ours: Trip) -> (bool, bool) {
        let (ours, floor) = ([ours], [trip(10, 2)]);
        let summary = Summary::new(&CASES[case], &ours, &floor);
        (summary.within(BAR, BAR_KIB), summary.within(GOAL, GOAL_KIB))
    }

    #[test]
    fn each_quantity_alone_breaks_the_bar() {
        assert_eq!(within(0, trip(10, 10)), (true, true));
        assert_eq!(within(0, trip(15, 10)), (true, false), "past the goal");
        assert_eq!(within(0, trip(10, 15)), (true, false), "past the goal");
        let late = Duration::from_millis(21);
        for broken in [
            Trip { first_request: late, ..trip(10, 10) },
            Trip { job: late, ..trip(10, 10) },
            Trip { own_cpu: late * 2, ..trip(10, 10) },
            Trip { children_cpu: late * 2, ..trip(10, 10) },
            Trip { peak_kib: 20 * 1024 + 1, ..trip(10, 10) },
            Trip { words_late: Some(Duration::from_millis(101)), ..trip(10, 10) },
        ] {
            assert_eq!(within(0, broken), (false, false), "{broken:?}");
        }
        let slow = Trip { job: late, children_cpu: late * 2, ..trip(10, 10) };
        assert_eq!(within(2, slow), (true, true), "its pauses are its own");
    }
}
