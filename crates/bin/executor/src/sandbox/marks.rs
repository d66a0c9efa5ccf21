//! What a job's processes may do to this one, because they run as the same user, and what all that it starts later
//! inherits: limits, priority, processors.

use std::fs;

/// Those traits of this process, as the kernel prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    limits: String,
    nice: Option<String>,
    processors: Option<String>,
}

impl Marks {
    pub(super) fn of_this_process() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        Self { limits: read("limits"), nice: nice(&read("stat")), processors: processors(&read("status")) }
    }

    /// What is not as it was.
    pub(super) fn changed(&self) -> Option<&'static str> {
        let now = Self::of_this_process();
        if now.limits != self.limits {
            return Some("resource limits");
        }
        if now.nice != self.nice {
            return Some("priority");
        }
        (now.processors != self.processors).then_some("processors")
    }
}

/// Field 19 of the line (proc(5)); the name in parentheses may hold anything, so count from its last `)`.
fn nice(stat: &str) -> Option<String> {
    stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(16).map(str::to_owned)
}

fn processors(status: &str) -> Option<String> {
    status.lines().find(|line| line.starts_with("Cpus_allowed:")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trait_is_read_and_a_changed_one_is_named() {
        let marks = Marks::of_this_process();
        assert!(marks.limits.contains("Max open files"), "{}", marks.limits);
        assert!(marks.nice.as_deref().is_some_and(|nice| nice.parse::<i32>().is_ok()), "{:?}", marks.nice);
        assert!(marks.processors.is_some());
        assert_eq!(marks.changed(), None);
        let other = |nice: &str| Marks { nice: Some(nice.to_owned()), ..marks.clone() };
        assert_eq!(other("77").changed(), Some("priority"));
        assert_eq!(Marks { limits: String::new(), ..marks }.changed(), Some("resource limits"));
    }

    #[test]
    fn the_nice_value_is_read_behind_the_name() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 39 19 1 0 987654 1 1 18446744073709551615 0";
        assert_eq!(nice(line).as_deref(), Some("19"));
    }
}
