//! `stack.env`: what shells and tests read to find a running stack.

use std::io;
use std::path::Path;

use crate::supervise::record::write_private;

/// Writes the file for the owner's eyes only. Values are quoted for any POSIX shell.
///
/// # Errors
/// When it cannot be written.
pub fn write<'a>(path: &Path, pairs: impl IntoIterator<Item = (String, &'a str)>) -> io::Result<()> {
    let text: String = pairs.into_iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
    write_private(path, &text)
}

/// A stack output's name as a variable: `LedgerTableName` becomes `LEDGER_TABLE_NAME`. Each capital begins a word,
/// but for those that follow one and end an acronym: `DLQUrl` becomes `DLQ_URL`.
#[must_use]
pub fn upper_snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && !letters[at - 1].is_ascii_uppercase();
        let before_small = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if at > 0 && letter.is_ascii_uppercase() && (after_small || before_small) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}

/// A value as one word of any POSIX shell.
pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn outputs_become_variables() {
        let names = ["WebhookUrl", "LedgerTableName", "DeadLetterQueueUrls", "DLQUrl", "StartRunnerArn", "x"];
        let snakes = ["WEBHOOK_URL", "LEDGER_TABLE_NAME", "DEAD_LETTER_QUEUE_URLS", "DLQ_URL", "START_RUNNER_ARN", "X"];
        assert_eq!(names.map(upper_snake), snakes);
    }

    #[test]
    fn a_shell_reads_back_what_was_written_and_nobody_else_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.env");
        let nasty = "a b'$(touch x)\"\\ ü";
        std::fs::write(&path, "OLD=1\n").unwrap();
        write(&path, [("HOOK_URL".to_owned(), "http://127.0.0.1:1/webhook"), ("NASTY".to_owned(), nasty)]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let script = format!(". {}; printf '%s|%s|%s' \"$HOOK_URL\" \"$NASTY\" \"$OLD\"", path.display());
        let read = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(read.stdout).unwrap(), format!("http://127.0.0.1:1/webhook|{nasty}|"));
    }
}
