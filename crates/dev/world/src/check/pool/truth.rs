//! What is true of one member, beside what it told.

use runnerless_core::time::{Millis, Timestamp};

use crate::pool::Told;

/// Metrics are no news that are older than ninety seconds, by whichever clock; and so much may a run's own time add.
const OLD: Millis = Millis::secs(90 + 60);
/// Nor are those that are a minute ahead.
const AHEAD: Millis = Millis::secs(60 + 60);
/// The end of what goes on.
const OPEN: Timestamp = Timestamp(i64::MAX);

/// What is known of one member.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// The jobs that it has.
    jobs: u32,
    /// From when until when it had jobs.
    busy: Vec<(Timestamp, Timestamp)>,
    /// The idle readings that runs remember of it, in a row.
    idle: Vec<Told>,
    /// Whether its counts began anew meanwhile: it may have come to the same number of jobs again.
    anew: bool,
    /// When somebody, or the group, first wished that it goes.
    named_at: Option<Timestamp>,
}

impl Truth {
    pub(super) fn begins(&mut self, now: Timestamp) {
        if self.jobs == 0 {
            self.busy.push((now, OPEN));
        }
        self.jobs += 1;
    }

    pub(super) fn ends(&mut self, now: Timestamp) {
        self.jobs = self.jobs.saturating_sub(1);
        if let Some(last) = self.busy.last_mut().filter(|_| self.jobs == 0) {
            last.1 = last.1.min(now);
        }
    }

    pub(super) const fn counts_anew(&mut self) {
        self.anew = true;
    }

    /// Its runner manager is gone, with its jobs.
    pub(super) fn crashes(&mut self, now: Timestamp) {
        self.jobs = self.jobs.min(1);
        self.ends(now);
        self.anew = true;
    }

    pub(super) fn is_named(&mut self, now: Timestamp) {
        self.named_at.get_or_insert(now);
    }

    pub(super) const fn named_at(&self) -> Option<Timestamp> {
        self.named_at
    }

    /// A run stored what it saw of it.
    pub(super) fn remembers(&mut self, told: Option<Told>, now: Timestamp) {
        match told.filter(|told| told.whole && told.idle && is_news(told, now)) {
            None => {
                self.idle.clear();
                self.anew = false;
            }
            // The same metrics twice are one reading.
            Some(told) if self.idle.last().is_some_and(|last| last.stamp == told.stamp) => {}
            Some(told) => self.idle.push(told),
        }
    }

    /// Why a run that was told this had no ground to let it go. `None`: it had.
    pub(super) fn why_not_idle(&self, told: Option<Told>, readings: u32, now: Timestamp) -> Option<String> {
        let Some(told) = told else { return Some("it told nothing".to_owned()) };
        if !told.whole || !told.idle {
            return Some("it did not tell that it is idle".to_owned());
        }
        if !is_news(&told, now) {
            return Some(format!("what it told says that it is {} s old", (now - told.stamp).0 / 1000));
        }
        // A job that came after its metrics were made is one of that very moment.
        let before = self.busy.iter().rev().find(|(from, _)| *from < told.made);
        let idle_since = before.map_or(Timestamp(0), |(_, until)| *until);
        let count = self.idle.iter().filter(|told| told.made >= idle_since).count();
        let enough = usize::try_from(readings).unwrap_or(usize::MAX);
        let short = count < enough && !self.anew;
        short.then(|| format!("it told {count} times in a row that it is idle, and {readings} are asked for"))
    }
}

fn is_news(told: &Told, now: Timestamp) -> bool {
    now - told.stamp <= OLD && told.stamp - now <= AHEAD
}
