//! Quoting for bash.

/// The text as one bash word that stands for exactly these characters.
///
/// A NUL cannot be in a word, nor in an environment; it is left out, as a shell would.
#[must_use]
pub(crate) fn quote(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=' | '@' | ',' | '+' | '%');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut word = String::with_capacity(text.len() + 8);
    word.push_str("$'");
    for c in text.chars() {
        match c {
            '\\' => word.push_str("\\\\"),
            '\'' => word.push_str("\\'"),
            '\n' => word.push_str("\\n"),
            '\r' => word.push_str("\\r"),
            '\t' => word.push_str("\\t"),
            '\0' => {}
            // Always two digits: bash takes at most two, so a digit that follows stays a digit.
            c if c.is_ascii_control() => word.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => word.push(c),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn through_bash(text: &str) -> String {
        let out = Command::new("bash").args(["-c", &format!("printf %s {}", quote(text))]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn bash_reads_back_what_was_quoted() {
        for text in [
            "",
            "plain-1.2/x",
            "two words",
            "it's \"$HOME\" `id` \\n",
            "a\nb\tc\rd",
            "\u{1b}[0;1m9",
            "snow \u{2603}",
            "~",
            "*",
        ] {
            assert_eq!(through_bash(text), text, "{text:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
        #[test]
        fn any_text_survives(text in "[\\PC\\n\\t\\x01-\\x1f'\\\\$]{0,30}") {
            proptest::prop_assert_eq!(through_bash(&text), text);
        }
    }
}
