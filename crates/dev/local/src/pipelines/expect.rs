//! What is expected of each job: `{"jobs":{"<full GitLab name>":{"status","exit_code","log_has"}}}`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A file of expectations that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadExpect {
    /// It cannot be read.
    #[error("EXPECT={path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no such JSON.
    #[error("EXPECT={path} is not {{\"jobs\":{{\"<name>\":{{\"status\",\"exit_code\",\"log_has\":[]}}}}}}: {source}")]
    Shape {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// The expectations of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// By full job name.
    pub jobs: BTreeMap<String, JobExpect>,
}

/// The expectations of one job. What is left out is not looked at, but for the status, which is `success` then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobExpect {
    /// How it ends.
    #[serde(default)]
    pub status: Option<Status>,
    /// The script's exit code.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// Texts that its log holds.
    #[serde(default)]
    pub log_has: Vec<String>,
}

/// GitLab's words for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It went well.
    Success,
    /// It did not.
    Failed,
    /// Somebody ended it.
    Canceled,
    /// Its turn never came.
    Skipped,
    /// It waits for a person.
    Manual,
}

impl Status {
    /// GitLab's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
        }
    }
}

/// How a job really ended.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// GitLab's word.
    pub status: &'a str,
    /// The script's.
    pub exit_code: Option<i64>,
    /// Its log.
    pub log: &'a str,
    /// Whether the pipeline's file itself left it out: a manual job, or one whose turn does not come after what was
    /// expected of the others.
    pub left_out_by_rules: bool,
}

impl Expect {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read; the message says what it should look like.
    pub fn read(path: &Path) -> Result<Self, BadExpect> {
        let bytes = std::fs::read(path).map_err(|source| BadExpect::File { path: path.to_owned(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| BadExpect::Shape { path: path.to_owned(), source })
    }

    /// The status that is expected of a job.
    #[must_use]
    pub fn status(&self, name: &str, seen: &Seen<'_>) -> String {
        let named = self.jobs.get(name).and_then(|job| job.status);
        match named {
            Some(status) => status.as_str().to_owned(),
            // GitLab makes no other job than a manual one `manual`.
            None if seen.status == "manual" || (seen.status == "skipped" && seen.left_out_by_rules) => {
                seen.status.to_owned()
            }
            None => Status::Success.as_str().to_owned(),
        }
    }

    /// What of the expectations of a job does not hold, in words.
    #[must_use]
    pub fn unmet(&self, name: &str, seen: &Seen<'_>) -> Vec<String> {
        let mut unmet = Vec::new();
        let expected = self.status(name, seen);
        if seen.status != expected {
            unmet.push(format!("status is {}, expected {expected}", seen.status));
        }
        let Some(job) = self.jobs.get(name) else { return unmet };
        if let Some(code) = job.exit_code
            && seen.exit_code != Some(code)
        {
            let got = seen.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
            unmet.push(format!("exit code is {got}, expected {code}"));
        }
        let lacking = job.log_has.iter().filter(|text| !seen.log.contains(text.as_str()));
        unmet.extend(lacking.map(|text| format!("the log lacks {text:?}")));
        unmet
    }

    /// Names that no job of the pipeline has: an expectation that nothing is held against is not met.
    pub fn unknown<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a str> {
        self.jobs.keys().map(String::as_str).filter(|name| !names.iter().any(|known| known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(status: &'a str, exit_code: Option<i64>, log: &'a str) -> Seen<'a> {
        Seen { status, exit_code, log, left_out_by_rules: false }
    }

    fn read(text: &str) -> Expect {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn named_jobs_are_held_to_all_that_is_said() {
        let expect = read(r#"{"jobs":{"build: [a]":{"status":"failed","exit_code":3,"log_has":["no","such"]}}}"#);
        assert!(expect.unmet("build: [a]", &seen("failed", Some(3), "no such file")).is_empty());
        let unmet = expect.unmet("build: [a]", &seen("success", Some(0), "no"));
        assert_eq!(unmet.len(), 3, "{unmet:?}");
        assert_eq!(expect.unknown(&["build: [b]".to_owned()]).collect::<Vec<_>>(), ["build: [a]"]);
    }

    #[test]
    fn jobs_that_are_not_named_succeed_or_are_left_out_by_the_rules() {
        let expect = Expect::default();
        assert!(expect.unmet("a", &seen("success", Some(0), "")).is_empty());
        assert!(expect.unmet("a", &seen("manual", None, "")).is_empty());
        assert!(!expect.unmet("a", &seen("failed", Some(1), "")).is_empty());
        assert!(!expect.unmet("a", &seen("skipped", None, "")).is_empty());
        assert!(expect.unmet("a", &Seen { left_out_by_rules: true, ..seen("skipped", None, "") }).is_empty());
    }

    #[test]
    fn misspelt_expectations_are_refused() {
        for text in [r#"{"jobs":{"a":{"state":"failed"}}}"#, r#"{"jobs":{"a":{"status":"fine"}}}"#, "{}", "[]"] {
            assert!(serde_json::from_str::<Expect>(text).is_err(), "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.json");
        assert!(matches!(Expect::read(&path), Err(BadExpect::File { .. })));
        std::fs::write(&path, "{").unwrap();
        assert!(Expect::read(&path).unwrap_err().to_string().contains("log_has"));
    }
}
