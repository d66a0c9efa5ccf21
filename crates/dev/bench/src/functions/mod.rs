//! The functions at the front door, cold and warm, beside floors that make the same calls.
//!
//! Rounds are interleaved: every round runs one process of each case and side, and changes which side comes first, so
//! that a machine that slows down slows both. A floor's numbers are of the same run, always.

mod cases;
pub(crate) mod cpu;
mod measure;
mod size;
pub(crate) mod stand_in;

use std::io;
use std::path::{Path, PathBuf};

use runnerless_local::runtime_api::RuntimeApiError;
use serde_json::{Value, json};

use crate::lines::Lines;
use crate::statistics::Spread;
use cases::{CASES, Case};
use cpu::CpuShare;
use measure::{Host, PARAMETERS, Sample, Side, TABLES};
pub(crate) use measure::{on_processor, peak};
use size::Size;
use stand_in::StandIn;

/// How much slower than its floor a function may be, cold and warm, in the median.
const TIMES_FLOOR: f64 = 1.5;
/// The most memory that a function may have, in KiB.
const RSS_KIB: u64 = 25 * 1024;
/// The most that its zip may weigh, in bytes.
const ZIP_BYTES: usize = 5_000_000;
/// Events for each process after its first.
const WARM_EVENTS: u32 = 50;
/// The same for a process with a small share of a processor.
const WARM_EVENTS_LIMITED: u32 = 20;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where the built programs are.
    pub programs: PathBuf,
    /// Processes of each case and side.
    pub rounds: u32,
    /// The memory, in MB, whose share of a processor they get.
    pub cpu_mb: Option<u32>,
}

/// The bench could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A function does not do what the Runtime API asks for.
    #[error(transparent)]
    Function(#[from] RuntimeApiError),
    /// It made a call that AWS would refuse.
    #[error("{binary} made a call that AWS would refuse: {refused}")]
    Refused {
        /// Which.
        binary: &'static str,
        /// What was refused, and why.
        refused: String,
    },
    /// It answered something else than the case wants.
    #[error("case {case} was answered {outcome}")]
    Answer {
        /// Which case.
        case: &'static str,
        /// The answer.
        outcome: String,
    },
    /// The machine does not let the bench do its work.
    #[error("the bench cannot work here")]
    Machine(#[source] io::Error),
    /// A program is not built.
    #[error("{0} is not there: make build")]
    NotBuilt(PathBuf),
}

/// Measures every case and writes a line for each.
///
/// # Errors
/// A function that does not work: its times would say nothing.
pub async fn bench(wish: &Wish, lines: &mut Lines, tell: &impl Fn(&str)) -> Result<(), BenchError> {
    let share = match wish.cpu_mb.map(CpuShare::of).transpose() {
        Ok(share) => share,
        Err(error) => {
            let reason = format!("no control group for a share of the processor can be made: {error}");
            CASES.iter().for_each(|case| lines.skip(case.binary, case.name, &reason, false));
            return Ok(());
        }
    };
    let stand_in = StandIn::new(&TABLES, &PARAMETERS).await.map_err(BenchError::Machine)?;
    let warm_events = if share.is_some() { WARM_EVENTS_LIMITED } else { WARM_EVENTS };
    let mut host = Host { programs: wish.programs.clone(), stand_in: &stand_in, share, warm_events, requests: 0 };
    for case in &CASES {
        for binary in [case.binary, case.floor] {
            built(&wish.programs.join(binary))?;
        }
    }
    let measured = rounds(&mut host, wish.rounds, tell).await?;
    for (case, [ours, floor]) in CASES.iter().zip(&measured) {
        let size = Size::of(&wish.programs.join(case.binary)).map_err(BenchError::Machine)?;
        lines.bench(line(case, wish, size, ours, floor));
    }
    Ok(())
}

fn built(path: &Path) -> Result<(), BenchError> {
    if path.is_file() { Ok(()) } else { Err(BenchError::NotBuilt(path.to_owned())) }
}

/// The samples of each case: ours and the floor's.
async fn rounds(host: &mut Host<'_>, rounds: u32, tell: &impl Fn(&str)) -> Result<Vec<[Vec<Sample>; 2]>, BenchError> {
    let mut measured = vec![[Vec::new(), Vec::new()]; CASES.len()];
    // A round for nothing: files come into memory, and the known job gets its row.
    for case in &CASES {
        for side in [Side::Ours, Side::Floor] {
            host.run(case, side).await?;
        }
    }
    for round in 0..rounds {
        tell(&format!("functions: round {} of {rounds}", round + 1));
        let order = if round % 2 == 0 { [Side::Ours, Side::Floor] } else { [Side::Floor, Side::Ours] };
        for (case, samples) in CASES.iter().zip(&mut measured) {
            for side in order {
                samples[usize::from(side == Side::Floor)].push(host.run(case, side).await?);
            }
        }
    }
    Ok(measured)
}

/// One side of a case in numbers.
struct Numbers {
    ready: Spread,
    cold: Spread,
    warm: Spread,
    cold_cpu: Spread,
    warm_cpu: Spread,
    rss: u64,
    rss_cold: u64,
}

impl Numbers {
    fn of(samples: &[Sample]) -> Self {
        let each = |value: fn(&Sample) -> f64| Spread::of(&samples.iter().map(value).collect::<Vec<_>>());
        let most = |value: fn(&Sample) -> u64| samples.iter().map(value).max().unwrap_or_default();
        let warm: Vec<f64> = samples.iter().flat_map(|sample| sample.warm.iter().copied()).collect();
        Self {
            ready: each(|sample| sample.ready),
            cold: each(|sample| sample.cold),
            warm: Spread::of(&warm),
            cold_cpu: each(|sample| sample.cold_cpu),
            warm_cpu: each(|sample| sample.warm_cpu),
            rss: most(|sample| sample.rss),
            rss_cold: most(|sample| sample.rss_cold),
        }
    }

    fn json(&self, samples: &[Sample]) -> Value {
        json!({
            "ready_ms": self.ready, "cold_ms": self.cold, "warm_ms": self.warm,
            "cold_cpu_ms": self.cold_cpu, "warm_cpu_ms": self.warm_cpu,
            "rss_kib": self.rss, "rss_cold_kib": self.rss_cold, "calls": samples.first().map(|sample| &sample.calls),
        })
    }
}

fn line(case: &Case, wish: &Wish, size: Size, ours: &[Sample], floor: &[Sample]) -> Value {
    let (we, they) = (Numbers::of(ours), Numbers::of(floor));
    let same_calls = ours.iter().zip(floor).all(|(ours, floor)| ours.calls == floor.calls);
    let ok = we.cold.p50 <= TIMES_FLOOR * they.cold.p50
        && we.warm.p50 <= TIMES_FLOOR * they.warm.p50
        && we.rss <= RSS_KIB
        && size.zip <= ZIP_BYTES
        && same_calls;
    let mut line = we.json(ours);
    line["floor"] = they.json(floor);
    line["times_floor"] = json!({"cold": ratio(we.cold, they.cold), "warm": ratio(we.warm, they.warm)});
    line["times_floor_cpu"] =
        json!({"cold": ratio(we.cold_cpu, they.cold_cpu), "warm": ratio(we.warm_cpu, they.warm_cpu)});
    for (name, value) in [
        ("binary", case.binary.into()),
        ("case", case.name.into()),
        ("cpu_mb", wish.cpu_mb.into()),
        ("rounds", wish.rounds.into()),
        ("binary_bytes", size.binary.into()),
        ("zip_bytes", size.zip.into()),
        ("ok", ok.into()),
    ] {
        line[name] = value;
    }
    line
}

fn ratio(ours: Spread, floor: Spread) -> f64 {
    (ours.p50 / floor.p50 * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { binary: 9_000_000, zip: 4_000_000 };

    fn sample(cold: f64, warm: f64) -> Vec<Sample> {
        vec![Sample { cold, warm: vec![warm; 3], rss: 20 * 1024, ..Sample::default() }; 5]
    }

    fn holds(size: Size, ours: &[Sample]) -> bool {
        let wish = Wish { programs: PathBuf::new(), rounds: 5, cpu_mb: None };
        line(&CASES[0], &wish, size, ours, &sample(20.0, 1.0))["ok"] == true
    }

    #[test]
    fn each_bar_holds_alone() {
        assert!(holds(SIZE, &sample(30.0, 1.5)));
        assert!(!holds(SIZE, &sample(30.1, 1.5)), "cold");
        assert!(!holds(SIZE, &sample(30.0, 1.6)), "warm");
        assert!(!holds(Size { zip: ZIP_BYTES + 1, ..SIZE }, &sample(30.0, 1.5)), "zip");
        let mut fat = sample(30.0, 1.5);
        fat[3].rss = RSS_KIB + 1;
        assert!(!holds(SIZE, &fat), "memory");
        let mut busy = sample(30.0, 1.5);
        busy[2].calls.insert("dynamodb:GetItem".to_owned(), 1);
        assert!(!holds(SIZE, &busy), "a call more than the floor's");
    }
}
