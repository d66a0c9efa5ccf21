//! Durations as GitLab's runner variables write them, which is Go's way: `1h30m`, `1.5h`, `90s`, `500ms`.

use std::time::Duration;

/// Reads a Go duration. `None` for anything else, a negative one included: the variables that hold one have no use for
/// it.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |n| digits + n);
        let part = Duration::try_from_secs_f64(number * seconds_of(&rest[digits..unit_end])?).ok()?;
        total = total.checked_add(part)?;
        rest = &rest[unit_end..];
    }
    Some(total)
}

/// How many seconds a unit has.
fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" | "μs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

/// Writes a duration for people, to the second: `1h0m5s`, `4s`, and `250ms` below one second.
#[must_use]
pub fn format(duration: Duration) -> String {
    let secs = duration.as_secs();
    if secs == 0 && !duration.is_zero() {
        return format!("{}ms", duration.as_millis());
    }
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, millis) in [
            ("3s", 3_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("2m0.5s", 120_500),
            ("0", 0),
            ("+1s", 1_000),
            ("1000us", 1),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-3s", "1x", "1h 2m", "3 s", "..s", "1e9h", "99999999999999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_to_the_second() {
        for (secs, text) in [(4, "4s"), (60, "1m0s"), (3600, "1h0m0s"), (5025, "1h23m45s"), (0, "0s")] {
            assert_eq!(format(Duration::from_secs(secs)), text);
        }
        assert_eq!(format(Duration::from_millis(250)), "250ms");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_can_be_read(secs in 0_u64..10_000_000) {
            let duration = Duration::from_secs(secs);
            proptest::prop_assert_eq!(parse(&format(duration)), Some(duration));
        }
    }
}
