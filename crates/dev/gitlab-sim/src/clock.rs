//! The time, and the three ways in which GitLab writes it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
pub(crate) type Millis = u64;

/// Now.
pub(crate) fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn instant(at: Millis) -> jiff::Timestamp {
    i64::try_from(at)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// `2026-09-14 08:15:30 UTC`: job hooks.
pub(crate) fn hook_text(at: Millis) -> String {
    instant(at).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2026-09-14T08:15:30Z`: the `_iso` fields of job hooks.
pub(crate) fn iso_text(at: Millis) -> String {
    instant(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-09-14T08:15:30.123Z`: the user API.
pub(crate) fn api_text(at: Millis) -> String {
    format!("{}.{:03}Z", instant(at).strftime("%Y-%m-%dT%H:%M:%S"), at % 1000)
}

/// Seconds between two instants, 0 when the second is the earlier one.
pub(crate) fn seconds_between(from: Millis, to: Millis) -> f64 {
    std::time::Duration::from_millis(to.saturating_sub(from)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings() {
        let at = 1_789_373_730_045;
        assert_eq!(hook_text(at), "2026-09-14 08:15:30 UTC");
        assert_eq!(iso_text(at), "2026-09-14T08:15:30Z");
        assert_eq!(api_text(at), "2026-09-14T08:15:30.045Z");
    }
}
