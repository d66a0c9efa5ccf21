//! One run of one runner, and what was measured of it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::case::Case;
use super::process::{self, Ended};
use super::witness::{Kind, Seen, Witness};
use super::{BenchError, at};
use crate::functions::cpu::CpuShare;

/// A runner that takes part.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) url: String,
    pub(super) token_file: PathBuf,
}

impl Contender {
    /// Runs it once below an empty folder.
    pub(super) fn run(
        &self,
        case: &Case,
        witness: &Witness,
        share: Option<&CpuShare>,
        work: &Path,
        words: &Path,
    ) -> Result<Ended, BenchError> {
        let output = File::create(words).map_err(at(words))?;
        let mut command = match share {
            // The shell becomes the program, so it is the same process.
            Some(share) => {
                let [shell, rest @ ..] = share.prefix();
                let mut command = Command::new(shell);
                command.args(rest).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        if self.name == "floor" {
            command.arg(&self.url).arg(&self.token_file).arg(work).args(case.waits_for_words().then_some("early"));
        } else {
            command.args(["once", "--wait", "5", "--url", &self.url, "--token-file"]).arg(&self.token_file);
            command.arg("--work").arg(work);
        }
        // The floor's first lookup of bash needs a PATH; ours takes nothing from its environment.
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stdin(Stdio::null());
        command.stdout(output.try_clone().map_err(at(words))?).stderr(output);
        let started = Instant::now();
        let child = command.spawn().map_err(at(&self.program))?;
        witness.watch(child.id());
        Ok(process::wait(child, started)?)
    }

    /// Size of the program.
    pub(super) fn binary_bytes(&self) -> io::Result<u64> {
        Ok(self.program.metadata()?.len())
    }
}

/// What was measured of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trip {
    /// Process start to first request.
    pub(super) first_request: Duration,
    /// From the 201 to the arrival of the final report.
    pub(super) job: Duration,
    /// From the answer to the final report to the process' end.
    pub(super) leave: Duration,
    pub(super) own_cpu: Duration,
    pub(super) children_cpu: Duration,
    pub(super) peak_kib: u64,
    pub(super) requests: u32,
    /// What the simulator took for the requests between the 201 and the final report.
    pub(super) simulator: Duration,
    /// From the script's first words to their arrival, where the case is about that.
    pub(super) words_late: Option<Duration>,
}

impl Trip {
    /// Reads a run off what was seen; the error is a sentence.
    pub(super) fn of(ended: &Ended, seen: &[Seen], case: &Case) -> Result<Self, String> {
        let kinds: Vec<Kind> = seen.iter().map(|seen| seen.kind).collect();
        let [Kind::Ask, Kind::Running, parts @ .., Kind::Final] = kinds.as_slice() else {
            return Err(format!("its requests were {kinds:?}"));
        };
        if parts.is_empty() || parts.iter().any(|kind| *kind != Kind::Part) {
            return Err(format!("its requests were {kinds:?}"));
        }
        if let Some(refused) = seen.iter().find(|seen| !(200..300).contains(&seen.status)) {
            return Err(format!("{:?} was answered {}", refused.kind, refused.status));
        }
        let (ask, last) = (&seen[0], &seen[seen.len() - 1]);
        let (speaks, spoke) = (seen.iter().find_map(|seen| seen.speaks_at), seen.iter().find_map(|seen| seen.spoke_at));
        // The line that shows the command is there a moment before the command's own clock.
        let words_late = speaks.zip(spoke).map(|(speaks, spoke)| speaks.saturating_sub(spoke));
        if case.waits_for_words() && words_late.is_none() {
            return Err("the script's first words did not arrive".to_owned());
        }
        Ok(Self {
            first_request: ask.arrived.duration_since(ended.started),
            job: last.arrived.duration_since(ask.answered),
            leave: ended.at.duration_since(last.answered),
            own_cpu: ended.used.own,
            children_cpu: ended.used.children,
            peak_kib: last.peak_kib.ok_or("its memory could not be read")?,
            requests: u32::try_from(seen.len()).unwrap_or(u32::MAX),
            simulator: seen[1..seen.len() - 1].iter().map(|seen| seen.simulator).sum(),
            words_late,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::CASES;
    use super::super::process::Used;
    use super::*;

    fn seen(began: Instant, kinds: &[Kind]) -> Vec<Seen> {
        let at = |n: usize, ms: u64| began + Duration::from_millis(u64::try_from(n).unwrap() * 100 + ms);
        let seen = |(n, kind): (usize, &Kind)| Seen {
            kind: *kind,
            arrived: at(n, 20),
            answered: at(n, 30),
            simulator: Duration::from_millis(7),
            status: 200,
            peak_kib: (*kind == Kind::Final).then_some(4000),
            speaks_at: None,
            spoke_at: None,
        };
        kinds.iter().enumerate().map(seen).collect()
    }

    fn ended(began: Instant) -> Ended {
        let used = Used { own: Duration::from_millis(3), children: Duration::from_millis(4) };
        Ended { started: began, at: began + Duration::from_secs(1), success: true, used }
    }

    #[test]
    fn times_are_those_that_gitlab_sees() {
        let began = Instant::now();
        let all = seen(began, &[Kind::Ask, Kind::Running, Kind::Part, Kind::Part, Kind::Final]);
        let trip = Trip::of(&ended(began), &all, &CASES[0]).unwrap();
        assert_eq!((trip.first_request.as_millis(), trip.job.as_millis(), trip.leave.as_millis()), (20, 390, 570));
        assert_eq!((trip.simulator.as_millis(), trip.requests, trip.peak_kib), (21, 5, 4000));
    }

    #[test]
    fn other_requests_and_refused_ones_are_no_run() {
        let began = Instant::now();
        for kinds in [
            &[Kind::Ask, Kind::Running, Kind::Final][..],
            &[Kind::Ask, Kind::Ask, Kind::Running, Kind::Part, Kind::Final],
            &[Kind::Ask, Kind::Running, Kind::Part],
            &[],
        ] {
            assert!(Trip::of(&ended(began), &seen(began, kinds), &CASES[0]).is_err(), "{kinds:?}");
        }
        let good = [Kind::Ask, Kind::Running, Kind::Part, Kind::Final];
        let mut refused = seen(began, &good);
        refused[2].status = 416;
        assert!(Trip::of(&ended(began), &refused, &CASES[0]).is_err());
        assert!(Trip::of(&ended(began), &seen(began, &good), &CASES[2]).is_err(), "no words came");
    }

    #[test]
    fn the_first_words_are_late_by_what_lies_between_speaking_and_arriving() {
        let began = Instant::now();
        let mut all = seen(began, &[Kind::Ask, Kind::Running, Kind::Part, Kind::Part, Kind::Final]);
        all[2].speaks_at = Some(Duration::from_millis(1500));
        all[3].speaks_at = Some(Duration::from_millis(4500));
        all[3].spoke_at = Some(Duration::from_millis(1400));
        let trip = Trip::of(&ended(began), &all, &CASES[2]).unwrap();
        assert_eq!(trip.words_late, Some(Duration::from_millis(100)));
    }
}
