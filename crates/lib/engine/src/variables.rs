//! The job's variables: who wins, what a reference expands to, how a flag is read.

use runnerless_gitlab::protocol::Variable;

/// An ordered list of variables; of two with one key the later wins.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    entries: Vec<Variable>,
}

impl Variables {
    /// The variables in order of rising precedence.
    #[must_use]
    pub fn new(entries: Vec<Variable>) -> Self {
        Self { entries }
    }

    /// A plain variable of the runner, which wins over all before it.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.entries.push(Variable {
            key: key.to_owned(),
            value: value.into(),
            public: true,
            raw: true,
            ..Variable::default()
        });
    }

    /// Adds variables that win over all before them.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = Variable>) {
        self.entries.extend(entries);
    }

    /// The value as it stands, unexpanded. For a file variable this is the content.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|variable| variable.value.as_str())
    }

    /// The variable that wins for this key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Variable> {
        self.entries.iter().rev().find(|variable| variable.key == key)
    }

    /// Every entry, overridden ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.entries.iter()
    }

    /// The winning entries, in the order in which their keys first appear.
    pub fn winners(&self) -> impl Iterator<Item = &Variable> {
        let mut seen = std::collections::HashSet::new();
        self.entries
            .iter()
            .filter(move |entry| seen.insert(entry.key.as_str()))
            .filter_map(|entry| self.find(&entry.key))
    }

    /// The flag named `key`; `default` when it is absent, empty or neither true nor false.
    #[must_use]
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(parse_flag).unwrap_or(default)
    }

    /// The same variables with each value expanded once against the whole list, file variables standing for
    /// `path_of(key)`. Raw variables stay as they are; so do the contents of files that are raw.
    #[must_use]
    pub fn expanded(&self, path_of: impl Fn(&str) -> String) -> Self {
        let resolve = |key: &str| {
            self.find(key).map(|found| if found.file { path_of(key) } else { found.value.clone() }).unwrap_or_default()
        };
        let expand_entry = |entry: &Variable| {
            let mut entry = entry.clone();
            if !entry.raw {
                entry.value = expand(&entry.value, resolve);
            }
            entry
        };
        Self { entries: self.entries.iter().map(expand_entry).collect() }
    }

    /// Replaces the references in a text by the values of this list, as in `release` steps and in names.
    #[must_use]
    pub fn expand_text(&self, text: &str, path_of: impl Fn(&str) -> String) -> String {
        expand(text, |key| {
            self.find(key).map(|found| if found.file { path_of(key) } else { found.value.clone() }).unwrap_or_default()
        })
    }
}

/// What GitLab's runners take for true and false; other whole numbers are false.
#[must_use]
pub fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        other => other.parse::<i64>().ok().map(|number| number == 1),
    }
}

/// Whether the shell can export a variable of this name.
#[must_use]
pub fn is_shell_name(key: &str) -> bool {
    let mut chars = key.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|next| next.is_ascii_alphanumeric() || next == '_')
}

/// One pass over `$NAME`, `${NAME}` and `$$`, as Go's `os.Expand` does it for the official runner: the shell's special
/// parameters are empty, a `$` before anything else stays.
fn expand(text: &str, resolve: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let (value, taken) = reference(&rest[at + 1..], &resolve);
        out.push_str(&value);
        rest = &rest[at + 1 + taken..];
    }
    out.push_str(rest);
    out
}

/// What the text after a `$` stands for, and how many bytes of it the reference took.
fn reference(after: &str, resolve: &impl Fn(&str) -> String) -> (String, usize) {
    if after.starts_with('$') {
        return ("$".to_owned(), 1);
    }
    if let Some(inner) = after.strip_prefix('{') {
        return match inner.find('}') {
            Some(end) if is_shell_name(&inner[..end]) => (resolve(&inner[..end]), end + 2),
            Some(end) if inner[..end].chars().count() <= 1 => (String::new(), end + 2),
            _ => ("$".to_owned(), 0),
        };
    }
    if after.starts_with(['*', '#', '@', '!', '?', '-']) || after.starts_with(|c: char| c.is_ascii_digit()) {
        return (String::new(), 1);
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    if end == 0 { ("$".to_owned(), 0) } else { (resolve(&after[..end]), end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &str)]) -> Variables {
        let entry = |(key, value): &(&str, &str)| Variable {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            ..Variable::default()
        };
        Variables::new(entries.iter().map(entry).collect())
    }

    #[test]
    fn references_expand_once_against_the_last_definition() {
        let vars = list(&[("A", "old"), ("B", "$A-$C"), ("A", "new"), ("C", "$A")]);
        let expanded = vars.expanded(|_| unreachable!("no file variables"));
        assert_eq!(expanded.get("B"), Some("new-$A"));
        assert_eq!(expanded.get("C"), Some("new"));
    }

    #[test]
    fn each_form_of_reference() {
        let vars = list(&[("X", "v"), ("LONG_1", "w")]);
        for (text, want) in [
            ("$X", "v"),
            ("${X}y", "vy"),
            ("$Xy", ""),
            ("$LONG_1.", "w."),
            ("a$$X", "a$X"),
            ("$1$*$#$@$!$?$-", ""),
            ("${1}", ""),
            ("cost: 5$", "cost: 5$"),
            ("$ X", "$ X"),
            ("${X", "${X"),
            ("${a b}", "${a b}"),
            ("ünï $X", "ünï v"),
            ("$é", "$é"),
        ] {
            assert_eq!(vars.expand_text(text, |_| String::new()), want, "{text}");
        }
    }

    #[test]
    fn file_variables_stand_for_their_path_and_raw_ones_stay() {
        let mut vars = list(&[("REF", "at $CONF"), ("RAW", "at $CONF"), ("CONF", "content")]);
        vars.entries[1].raw = true;
        vars.entries[2].file = true;
        let expanded = vars.expanded(|key| format!("/tmp/{key}"));
        assert_eq!(expanded.get("REF"), Some("at /tmp/CONF"));
        assert_eq!(expanded.get("RAW"), Some("at $CONF"));
        assert_eq!(expanded.get("CONF"), Some("content"));
    }

    #[test]
    fn winners_are_unique_and_last() {
        let vars = list(&[("A", "1"), ("B", "2"), ("A", "3")]);
        let seen: Vec<_> = vars.winners().map(|v| (v.key.as_str(), v.value.as_str())).collect();
        assert_eq!(seen, [("A", "3"), ("B", "2")]);
    }

    #[test]
    fn flags_are_read_as_gitlab_reads_them() {
        for (text, want) in
            [("true", Some(true)), ("1", Some(true)), ("0", Some(false)), ("2", Some(false)), ("yes", None), ("", None)]
        {
            assert_eq!(parse_flag(text), want, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn expansion_never_panics_and_keeps_texts_without_dollar(text in "\\PC*") {
            let vars = list(&[("X", "v")]);
            let out = vars.expand_text(&text, |_| String::new());
            if !text.contains('$') {
                proptest::prop_assert_eq!(out, text);
            }
        }
    }
}
