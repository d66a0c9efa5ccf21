//! What of all that is due one run looks at: bounded, and so that nothing waits behind rows that cannot be helped.

use runnerless_core::time::{Millis, Timestamp};

/// How long a part of the rest has its turn: the sweep's minute.
const TURN: Millis = Millis::minutes(1);

/// At most `most` of what is due, the most urgent first.
///
/// Where there is more, half of the places are for the most urgent, and the others go round through the rest, another part
/// each minute: rows that fail each time, or that nobody can read, keep their old times and their places at the head, and
/// without this they would keep all others from being looked at.
pub(crate) fn choose<T>(mut due: Vec<T>, most: usize, now: Timestamp) -> Vec<T> {
    if due.len() <= most {
        return due;
    }
    let mut rest = due.split_off(most / 2);
    let part = (most - most / 2).max(1);
    let turn = usize::try_from(now.0.div_euclid(TURN.0)).unwrap_or_default() % rest.len().div_ceil(part);
    due.extend(rest.drain(turn * part..).take(part));
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn minute(n: i64) -> Timestamp {
        Timestamp(1_789_373_730_000) + Millis::minutes(n)
    }

    #[test]
    fn what_fits_is_taken_whole_and_in_its_order() {
        assert_eq!(choose(vec![3, 1, 2], 3, minute(0)), [3, 1, 2]);
        assert!(choose(Vec::<u8>::new(), 3, minute(0)).is_empty());
    }

    #[test]
    fn rows_that_stay_at_the_head_keep_nobody_out() {
        // None of these is ever done.
        let due: Vec<u32> = (0..1000).collect();
        let mut seen = BTreeSet::new();
        for run in 0..19 {
            let chosen = choose(due.clone(), 100, minute(run));
            assert!(chosen.len() <= 100 && chosen[..50] == due[..50], "the most urgent are always there");
            seen.extend(chosen);
        }
        assert_eq!(seen.len(), 1000, "each had its turn within (1000 - 50) / 50 minutes");
    }
}
