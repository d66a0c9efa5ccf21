//! Whether the executor's process grows from job to job.

use crate::desk::Vitals;

/// What a process may use beyond what it used after its first job: buffers of one job's log, and what the allocator keeps
/// of them.
const MEMORY_KIB: u64 = 24 * 1024;
/// Connections that are kept open for the next call.
const DESCRIPTORS: usize = 8;

/// What the process used when it was new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth(Option<Vitals>);

impl Growth {
    pub(super) fn from(vitals: Option<Vitals>) -> Self {
        Self(vitals)
    }

    /// What grew beyond measure, in words. Another process is measured from here on.
    pub(super) fn beyond(&mut self, now: Option<Vitals>) -> Vec<String> {
        let (Some(first), Some(now)) = (self.0, now) else {
            self.0 = self.0.and(now).or(now);
            return Vec::new();
        };
        if first.pid != now.pid {
            self.0 = Some(now);
            return Vec::new();
        }
        let mut beyond = Vec::new();
        if now.rss_kib > first.rss_kib + MEMORY_KIB {
            beyond.push(format!("the executor grew from {} to {} KiB", first.rss_kib, now.rss_kib));
        }
        if let (Some(before), Some(after)) = (first.descriptors, now.descriptors)
            && after > before + DESCRIPTORS
        {
            beyond.push(format!("the executor has {after} descriptors open, and had {before}"));
        }
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_in_one_process_is_named_and_a_new_process_starts_anew() {
        let vitals = |pid, rss_kib, descriptors| Some(Vitals { pid, rss_kib, descriptors: Some(descriptors) });
        let mut growth = Growth::from(vitals(1, 10_000, 10));
        assert!(growth.beyond(vitals(1, 20_000, 12)).is_empty());
        assert_eq!(growth.beyond(vitals(1, 80_000, 40)).len(), 2);
        assert!(growth.beyond(vitals(2, 80_000, 40)).is_empty());
        assert!(growth.beyond(vitals(2, 80_000, 40)).is_empty());
        assert!(growth.beyond(None).is_empty());
    }
}
