//! What is expected of each attempt.

use serde_json::Value;

/// What a job may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// The system or the other side refuses.
    Refused,
    /// It works, and there is nothing.
    Nothing,
    /// It works, and nothing secret is there.
    Allowed,
}

use Expectation::{Allowed, Nothing, Refused};

impl Expectation {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Refused => "refused",
            Nothing => "nothing",
            Allowed => "allowed, nothing secret",
        }
    }

    /// Whether the probe's row is that.
    pub(super) fn holds(self, row: &Value) -> bool {
        let (error, bytes) = (&row["error"], row["bytes"].as_u64());
        let fits = match self {
            Refused => error.is_string(),
            Nothing => error.is_null() && bytes == Some(0),
            Allowed => error.is_null() && bytes.is_some_and(|bytes| bytes > 0),
        };
        fits && row["secret"] == false
    }
}

/// Every attempt of `probe.py` by its name, and whether the control must come upon the secret itself: where the process
/// holds it in a place that is read.
pub(super) const ATTEMPTS: [(&str, Expectation, bool); 32] = [
    ("environment: ours", Nothing, true),
    ("environment: credential addresses", Nothing, false),
    ("read environ", Refused, true),
    ("read maps", Refused, false),
    ("read auxv", Refused, false),
    ("read exe", Refused, false),
    ("read io", Refused, false),
    ("read task/<pid>/environ", Refused, true),
    ("read mem", Refused, true),
    ("list fd", Refused, false),
    ("list map_files", Refused, false),
    ("open a descriptor", Refused, false),
    ("follow cwd", Refused, false),
    ("follow root", Refused, false),
    ("follow exe", Refused, false),
    ("read cmdline", Allowed, false),
    ("ptrace attach", Refused, false),
    ("ptrace seize", Refused, false),
    ("process_vm_readv", Refused, false),
    ("pidfd_getfd", Refused, false),
    ("write oom_score_adj", Refused, false),
    ("write coredump_filter", Refused, false),
    ("signal 0", Allowed, false),
    ("inherited descriptors", Nothing, false),
    ("files in /tmp, /var/tmp, /dev/shm", Nothing, false),
    ("files in HOME", Nothing, false),
    ("files in the work root", Nothing, false),
    ("processes", Nothing, false),
    ("connect", Allowed, false),
    ("ask for an event", Refused, false),
    ("answer a guessed id", Refused, false),
    ("fail a guessed id", Refused, false),
];

/// Whether the attempt worked on the process that protects nothing.
pub(super) fn proves(row: &Value, secret: bool) -> bool {
    row["error"].is_null() && row["bytes"].as_u64().is_some_and(|bytes| bytes > 0) && (!secret || row["secret"] == true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_that_is_found_holds_with_no_expectation_and_a_control_that_finds_none_proves_nothing() {
        let refused = json!({"error": "Permission denied", "bytes": null, "secret": false});
        let nothing = json!({"error": null, "bytes": 0, "secret": false});
        let some = json!({"error": null, "bytes": 7, "secret": false});
        let secret = json!({"error": null, "bytes": 7, "secret": true});
        for (expectation, row) in [(Refused, &refused), (Nothing, &nothing), (Allowed, &some)] {
            let all = [&refused, &nothing, &some, &secret];
            let fitting: Vec<_> = all.into_iter().filter(|row| expectation.holds(row)).collect();
            assert_eq!(fitting, [row], "{expectation:?}");
            assert!(!expectation.holds(&json!({"attempt": "one that the probe did not make"})));
        }
        assert_eq!([&refused, &nothing, &some, &secret].map(|row| proves(row, false)), [false, false, true, true]);
        assert_eq!([&refused, &nothing, &some, &secret].map(|row| proves(row, true)), [false, false, false, true]);
    }
}
