//! The Rust sources, as text: what a name is compared with.

use std::collections::BTreeSet;

use crate::{files, manifest, read};

/// The text of a crate's sources without its tests.
#[must_use]
pub fn of_crate(folder: &str) -> String {
    let sources = files(&format!("{folder}/src"), ".rs");
    let is_test =
        |path: &String| path.ends_with("/tests.rs") || path.ends_with("/testing.rs") || path.contains("/tests/");
    sources.iter().filter(|path| !is_test(path)).map(|path| without_tests(&read(path)).to_owned()).collect()
}

/// The folders of a function's crate and of the workspace's crates that it is made of.
#[must_use]
pub fn crates_of(part: &str) -> BTreeSet<String> {
    let all = manifest::all();
    let mut found = BTreeSet::new();
    let mut left = vec![format!("crates/bin/{part}")];
    while let Some(folder) = left.pop() {
        let Some(manifest) = all.iter().find(|manifest| manifest.folder == folder) else { continue };
        if found.insert(folder) {
            let names = manifest.dependencies("dependencies");
            let folders = all.iter().filter(|other| names.contains(&other.name)).map(|other| other.folder.clone());
            left.extend(folders);
        }
    }
    found
}

/// The text of a function's crate and of the workspace's crates that it is made of.
#[must_use]
pub fn of_function(part: &str) -> String {
    crates_of(part).iter().map(|folder| of_crate(folder)).collect()
}

/// Everything in double quotes that starts with `prefix` and holds letters, digits and underscores only.
#[must_use]
pub fn literals(source: &str, prefix: &str) -> BTreeSet<String> {
    let is_name = |text: &&str| text.starts_with(prefix) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    source.split('"').filter(is_name).map(str::to_owned).collect()
}

/// The names `Part.What` in double quotes: those by which errors leave functions.
#[must_use]
pub fn error_names(source: &str) -> BTreeSet<String> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let is_name = |text: &&str| text.split_once('.').is_some_and(|(part, what)| is_word(part) && is_word(what));
    source.split('"').filter(is_name).map(str::to_owned).collect()
}

fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod tests {").map_or(source, |at| &source[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_sentences() {
        let source = r#"x("RUNNERLESS_A", "than RUNNERLESS_B, {0}", "Ledger.Throttled", "ledger.rs", "A.b c")"#;
        assert_eq!(literals(source, "RUNNERLESS_"), BTreeSet::from(["RUNNERLESS_A".to_owned()]));
        assert_eq!(error_names(source), BTreeSet::from(["Ledger.Throttled".to_owned()]));
        assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\n}"), "a\n");
    }
}
