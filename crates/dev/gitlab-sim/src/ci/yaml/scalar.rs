//! What a plain scalar is, by the rules of Ruby's Psych (`Psych::ScalarScanner`).

use super::value::Value;

/// Resolves a plain scalar.
///
/// # Errors
/// For a date or a time, which GitLab does not load either.
pub(super) fn resolve(text: &str) -> Result<Value, String> {
    if text.contains('\n') {
        return Ok(Value::Text(text.to_owned()));
    }
    let value = match text.to_ascii_lowercase().as_str() {
        "" | "~" | "null" => Some(Value::Null),
        "yes" | "true" | "on" => Some(Value::Bool(true)),
        "no" | "false" | "off" => Some(Value::Bool(false)),
        ".inf" | "+.inf" => Some(Value::Number("Infinity".to_owned())),
        "-.inf" => Some(Value::Number("-Infinity".to_owned())),
        ".nan" => Some(Value::Number("NaN".to_owned())),
        _ if is_date(text) => return Err(format!("`{text}` is a date, which GitLab does not load; quote it")),
        _ => symbol(text).or_else(|| sexagesimal(text)).or_else(|| float(text)).or_else(|| integer(text)),
    };
    Ok(value.unwrap_or_else(|| Value::Text(text.to_owned())))
}

/// `:name` is a Ruby symbol, which GitLab turns into text without the colon.
fn symbol(text: &str) -> Option<Value> {
    let name = text.strip_prefix(':').filter(|name| !name.is_empty())?;
    let quoted =
        |quote: char| name.strip_prefix(quote).and_then(|rest| rest.split_once(quote)).map(|(inside, _)| inside);
    Some(Value::Text(quoted('"').or_else(|| quoted('\'')).unwrap_or(name).to_owned()))
}

/// `2026-09-01`, alone or before a time of day.
fn is_date(text: &str) -> bool {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let parts: Vec<_> = date.strip_prefix('-').unwrap_or(date).split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let short = |part: &str| (1..=2).contains(&part.len()) && all_digits(part);
    let time = time.trim_start();
    let is_time = time.starts_with(|c: char| c.is_ascii_digit())
        && time.matches(':').count() >= 2
        && time.chars().all(|c| c.is_ascii_digit() || ":.Z+- ".contains(c));
    year.len() == 4 && all_digits(year) && short(month) && short(day) && (time.is_empty() || is_time)
}

/// Numbers to the base 60, of two or three parts. Psych takes two parts for hours and minutes.
fn sexagesimal(text: &str) -> Option<Value> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<_> = whole.split(':').collect();
    let (first, rest) = parts.split_first()?;
    let digits = unsigned(first);
    let sixty = |part: &&str| match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    };
    let begins =
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '_');
    if !begins || !(1..=2).contains(&rest.len()) || !rest.iter().all(sixty) {
        return None;
    }
    let weights = [3600_i64, 60, 1];
    let mut total = 0_i64;
    for (part, weight) in parts.iter().zip(weights) {
        let number: i64 = part.replace('_', "").parse().ok()?;
        total = total.checked_add(number.checked_mul(weight)?)?;
    }
    let Some(fraction) = fraction else { return Some(Value::Int(total)) };
    let fraction = fraction.replace('_', "");
    if !fraction.is_empty() && !all_digits(&fraction) {
        return None;
    }
    let below_one: f64 = format!("0.{fraction}0").parse().ok()?;
    let weight = if parts.len() == 2 { 60.0 } else { 1.0 };
    let total: f64 = total.to_string().parse().ok()?;
    Some(Value::Number(ruby_float(total + below_one * weight)))
}

/// `[-+]?([0-9][0-9_,]*)?\.[0-9]*([eE][-+][0-9]+)?`
fn float(text: &str) -> Option<Value> {
    let (whole, rest) = unsigned(text).split_once('.')?;
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let whole_ok = whole.is_empty()
        || (whole.starts_with(|c: char| c.is_ascii_digit())
            && whole.chars().all(|c| c.is_ascii_digit() || "_,".contains(c)));
    let exponent_ok = exponent.is_none_or(|exponent| {
        exponent.strip_prefix(['-', '+']).is_some_and(|digits| !digits.is_empty() && all_digits(digits))
    });
    if !whole_ok || !exponent_ok || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    text.replace(['_', ','], "").parse().ok().map(|value| Value::Number(ruby_float(value)))
}

/// Binary, octal, hexadecimal and decimal whole numbers, with `_` and `,` between digits.
fn integer(text: &str) -> Option<Value> {
    let digits = unsigned(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let bare = digits.replace(['_', ','], "");
    let radix = |prefix: &str, base: u32| {
        let body = bare.strip_prefix(prefix)?;
        (!body.is_empty() && body.chars().all(|c| c.is_digit(base))).then_some(())?;
        i64::from_str_radix(&format!("{sign}{body}"), base).ok().map(Value::Int)
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits == "0" {
        return Some(Value::Int(0));
    }
    if digits.starts_with('0') {
        return radix("0b", 2).or_else(|| radix("0x", 16)).or_else(|| radix("0", 8));
    }
    let separated = digits.as_bytes().windows(2).all(|pair| pair[0].is_ascii_digit() || pair[1].is_ascii_digit());
    if !all_digits(&bare) || !separated || !digits.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let written = format!("{sign}{bare}");
    Some(written.parse().map_or(Value::Number(written), Value::Int))
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// Whether there is nothing but digits; also true of nothing.
fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A float as Ruby prints it: `1.0`, `0.0001`, `1.0e-05`, `1.0e+16`.
fn ruby_float(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{value:?}");
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let written = format!("{value:e}");
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |exponent| ("-", exponent));
    format!("{digits}{point}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(plain: &str) -> String {
        match resolve(plain).unwrap() {
            Value::Null => "<null>".to_owned(),
            Value::Text(text) => format!("'{text}'"),
            other => other.scalar_text().unwrap(),
        }
    }

    #[test]
    fn booleans_and_nothing_are_those_of_yaml_1_1() {
        for plain in ["yes", "Yes", "YES", "true", "on", "On"] {
            assert_eq!(resolve(plain), Ok(Value::Bool(true)), "{plain}");
        }
        for plain in ["no", "No", "false", "FALSE", "off"] {
            assert_eq!(resolve(plain), Ok(Value::Bool(false)), "{plain}");
        }
        for plain in ["", "~", "null", "NULL"] {
            assert_eq!(resolve(plain), Ok(Value::Null), "{plain}");
        }
        // Ruby never took the one-letter forms.
        for plain in ["y", "n", "Y", "N", "nil", "none", "oui"] {
            assert_eq!(resolve(plain), Ok(Value::Text(plain.to_owned())), "{plain}");
        }
    }

    #[test]
    fn numbers_print_as_ruby_prints_them() {
        for (plain, printed) in [
            ("12", "12"),
            ("+12", "12"),
            ("-7", "-7"),
            ("0", "0"),
            ("010", "8"),
            ("08", "'08'"),
            ("0o17", "'0o17'"),
            ("0x1F", "31"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("1,000", "1000"),
            ("1__0", "'1__0'"),
            ("1_", "'1_'"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1.50", "1.5"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            (".", "'.'"),
            ("1.2.3", "'1.2.3'"),
            ("1e3", "'1e3'"),
            ("1.5e3", "'1.5e3'"),
            ("1.5e+3", "1500.0"),
            ("1.0e+20", "1.0e+20"),
            ("0.00001", "1.0e-05"),
            ("12:30", "45000"),
            ("1:02:03", "3723"),
            ("1:30.5", "5430.0"),
            ("8080:80", "'8080:80'"),
            ("1:2:3:4", "'1:2:3:4'"),
            (".inf", "Infinity"),
            ("-", "'-'"),
            ("v1", "'v1'"),
            ("3.8-slim", "'3.8-slim'"),
            ("--flag", "'--flag'"),
        ] {
            assert_eq!(text(plain), printed, "{plain}");
        }
    }

    #[test]
    fn symbols_lose_their_colon_and_dates_are_refused() {
        assert_eq!(text(":name"), "'name'");
        assert_eq!(text(":\"a b\""), "'a b'");
        assert_eq!(text(":"), "':'");
        for plain in ["2026-09-01", "2026-9-1", "2026-09-01 10:00:00", "2026-09-01T10:00:00Z"] {
            assert!(resolve(plain).unwrap_err().contains("quote it"), "{plain}");
        }
        for plain in ["2026-09", "2026-09-01-rc1", "20260-09-01", "2026-09-01 noon"] {
            assert_eq!(text(plain), format!("'{plain}'"));
        }
    }
}
