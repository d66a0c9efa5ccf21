//! Durations as GitLab writes them: `1h 30m`, `90 minutes`, `1:30:00`, and a bare number of seconds.

use std::time::Duration;

/// Reads a duration into whole seconds, as GitLab's ChronicDuration does. `None` for other text and for nothing.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    let total = if text.contains(':') { clock(&text)? } else { words(&text)? };
    Duration::try_from_secs_f64(total).ok().map(|total| total.as_secs()).filter(|total| *total > 0)
}

/// `hours:minutes:seconds`, read from the right; days, months and years may stand before them.
fn clock(text: &str) -> Option<f64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let units = ["s", "m", "h", "d", "mo", "y"];
    let parts: Vec<_> = text.rsplit(':').collect();
    if parts.len() > units.len() {
        return None;
    }
    parts.iter().zip(units).map(|(part, unit)| Some(number(part)? * seconds_of(unit)?)).sum()
}

/// Numbers and units. A unit before any number counts once, a number without a unit at the end is seconds, and one
/// before another number counts for nothing.
fn words(text: &str) -> Option<f64> {
    let words = split(text);
    let mut total = 0.0;
    let mut pending = None;
    for (position, word) in words.iter().enumerate() {
        if let Some(value) = number(word) {
            pending = Some(value);
        } else if let Some(unit) = seconds_of(word) {
            let count = if position == 0 { Some(1.0) } else { pending.take() };
            total += count.unwrap_or(0.0) * unit;
        } else if !["and", "with", "plus"].contains(&word.as_str()) {
            return None;
        }
    }
    Some(total + pending.unwrap_or(0.0))
}

/// Splits between words and around numbers.
fn split(text: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut in_number = false;
    for c in text.chars() {
        let is_number = c.is_ascii_digit() || c == '.';
        if is_number != in_number {
            spaced.push(' ');
        }
        in_number = is_number;
        spaced.push(c);
    }
    spaced.split_whitespace().map(|word| word.trim_matches(',').to_owned()).filter(|word| !word.is_empty()).collect()
}

fn number(word: &str) -> Option<f64> {
    let fits = word.chars().all(|c| c.is_ascii_digit() || c == '.') && word.ends_with(|c: char| c.is_ascii_digit());
    if fits { word.parse().ok() } else { None }
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "dy" | "day" | "days" => 86_400.0,
        "w" | "wk" | "wks" | "week" | "weeks" => 604_800.0,
        "mo" | "mos" | "month" | "months" => 2_592_000.0,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitlab_durations_are_read() {
        for (text, expected) in [
            ("1h 30m", 5_400),
            ("1h30m", 5_400),
            ("90 minutes", 5_400),
            ("3600", 3_600),
            ("1.5 hours", 5_400),
            ("2 hours, 5 min and 3 secs", 7_503),
            ("1 day", 86_400),
            ("1 week", 604_800),
            ("1 mo", 2_592_000),
            ("1:30:00", 5_400),
            ("1:30", 90),
            ("hour", 3_600),
            ("10 Minutes", 600),
            ("5 10", 10),
            ("1m 30", 90),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_not_a_duration() {
        for text in ["", "never", "0", "0s", "-5m", "5 parsecs", "1h; 2m", "1.2.3", "5.", "1:x", "a:b", "1:2:3:4:5:6:7"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
