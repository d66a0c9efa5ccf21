//! Markdown documents, as far as the rules look: links, and words in code.

use std::path::Path;

use crate::{files, list, read, root};

/// The repository's documents, by their paths below the root.
#[must_use]
pub fn documents() -> Vec<String> {
    let top = list("").into_iter().filter(|name| name.ends_with(".md"));
    let below = ["docs", "helper-scripts", "demo"].into_iter().flat_map(|folder| files(folder, ".md"));
    top.chain(below).collect()
}

/// A document in two parts: its prose, and what is in code (fenced, or between back-ticks), a piece per line.
#[derive(Debug, Default)]
pub struct Document {
    /// The prose, with the code cut out.
    pub prose: String,
    /// The pieces of code.
    pub code: Vec<String>,
}

impl Document {
    /// Reads one.
    #[must_use]
    pub fn load(path: &str) -> Self {
        Self::of(&read(path))
    }

    fn of(text: &str) -> Self {
        let mut document = Self::default();
        let mut fenced = false;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if fenced {
                document.code.push(line.trim().to_owned());
            } else {
                for (at, piece) in line.split('`').enumerate() {
                    if at % 2 == 1 { document.code.push(piece.to_owned()) } else { document.prose.push_str(piece) }
                }
                document.prose.push('\n');
            }
        }
        document
    }

    /// The targets of its links that are paths.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let targets = self.prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let paths = targets.map(|target| target.split('#').next().unwrap_or_default());
        paths.filter(|path| !path.is_empty() && !path.contains(':')).map(str::to_owned).collect()
    }

    /// The one or two words that follow `command` in code, wherever it is called: `make lint`, `runnerless map load`.
    #[must_use]
    pub fn calls(&self, command: &str) -> Vec<(String, Option<String>)> {
        let mut calls = Vec::new();
        for code in &self.code {
            let words: Vec<&str> = code.split_whitespace().collect();
            for (at, word) in words.iter().enumerate() {
                let is_call = *word == command || word.ends_with(&format!("/{command}"));
                let word_at = |at: usize| words.get(at).map(|word| word.to_string()).filter(|word| is_plain(word));
                if let Some(first) = word_at(at + 1).filter(|_| is_call) {
                    calls.push((first, word_at(at + 2)));
                }
            }
        }
        calls
    }
}

/// Whether a link of a document leads somewhere.
#[must_use]
pub fn leads_somewhere(document: &str, link: &str) -> bool {
    let folder = Path::new(document).parent().unwrap_or_else(|| Path::new(""));
    root().join(folder).join(link).exists()
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_prose_are_told_apart() {
        let text = "See [x](docs/x.md#part), [y](https://y.z) and `[no](link)`: `make lint`.\n```\n$ a/runnerless map load f\n```\n";
        let document = Document::of(text);
        assert_eq!(document.paths(), ["docs/x.md"]);
        assert_eq!(document.calls("make"), [("lint".to_owned(), None)]);
        assert_eq!(document.calls("runnerless"), [("map".to_owned(), Some("load".to_owned()))]);
    }
}
