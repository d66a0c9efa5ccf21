//! The configuration file: of the official runner's `config.toml` what pools write. It is read strictly: a line that is not
//! understood is refused, and not passed over. Tables below a runner (`runners.docker`, `runners.cache`) are another
//! executor's, and their lines are only looked at.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is used where the file does not say: as the official runner has it.
const CONCURRENT: usize = 1;
const CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// The file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Jobs at once, of all runners.
    pub concurrent: usize,
    /// Between two questions for jobs.
    pub check_interval: Duration,
    /// Where metrics are told; none where they are not.
    pub listen_address: Option<String>,
    /// The runners.
    pub runners: Vec<RunnerConfig>,
}

/// A runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Its name in metrics.
    pub name: String,
    /// Its GitLab.
    pub url: String,
    /// Its token.
    pub token: String,
    /// The most jobs at once; 0 is no limit.
    pub limit: usize,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// It cannot be read.
    #[error("{0}: cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// A line.
    #[error("line {0} of the configuration cannot be used: {1}")]
    Line(usize, String),
    /// No runner, or one that cannot ask.
    #[error("a runner of the configuration has no url or token, or there is no runner")]
    NoRunner,
}

/// Whose lines follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Global,
    Runner,
    Other,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// It is not there, or cannot be used.
    pub fn read(path: &Path) -> Result<Self, BadConfig> {
        let text = std::fs::read_to_string(path).map_err(|error| BadConfig::Read(path.to_owned(), error))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, BadConfig> {
        let mut config =
            Self { concurrent: CONCURRENT, check_interval: CHECK_INTERVAL, listen_address: None, runners: Vec::new() };
        let mut table = Table::Global;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            let bad = |why: &str| BadConfig::Line(at + 1, why.to_owned());
            match line {
                "" => {}
                _ if line.starts_with('#') => {}
                "[[runners]]" => {
                    config.runners.push(RunnerConfig::default());
                    table = Table::Runner;
                }
                _ if line.starts_with('[') => {
                    line.strip_suffix(']').ok_or_else(|| bad("a table's name does not end"))?;
                    table = Table::Other;
                }
                _ => {
                    let (key, value) = line.split_once('=').ok_or_else(|| bad("it is no table and sets nothing"))?;
                    let value =
                        Value::read(value.trim()).ok_or_else(|| bad("the value is no text, number or truth"))?;
                    let set = match table {
                        Table::Global => config.set(key.trim(), value),
                        Table::Runner => config.runners.last_mut().and_then(|runner| runner.set(key.trim(), value)),
                        Table::Other => Some(()),
                    };
                    set.ok_or_else(|| bad("the key is unknown here, or takes another kind of value"))?;
                }
            }
        }
        let whole = |runner: &RunnerConfig| !runner.url.is_empty() && !runner.token.is_empty();
        if config.runners.is_empty() || !config.runners.iter().all(whole) {
            return Err(BadConfig::NoRunner);
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: Value) -> Option<()> {
        match (key, value) {
            ("concurrent", Value::Number(number)) if number > 0 => self.concurrent = number,
            // The official runner takes 0 for its own interval.
            ("check_interval", Value::Number(0)) => {}
            ("check_interval", Value::Number(number)) => {
                self.check_interval = Duration::from_secs(number.try_into().ok()?)
            }
            ("listen_address", Value::Text(text)) => self.listen_address = Some(text).filter(|text| !text.is_empty()),
            ("log_level" | "log_format", Value::Text(_)) | ("shutdown_timeout", Value::Number(_)) => {}
            _ => return None,
        }
        Some(())
    }
}

impl RunnerConfig {
    fn set(&mut self, key: &str, value: Value) -> Option<()> {
        match (key, value) {
            ("name", Value::Text(text)) => self.name = text,
            ("url", Value::Text(text)) => text.trim_end_matches('/').clone_into(&mut self.url),
            ("token", Value::Text(text)) => self.token = text,
            ("limit", Value::Number(number)) => self.limit = number,
            ("executor" | "shell", Value::Text(_)) | ("id" | "request_concurrency", Value::Number(_)) => {}
            _ => return None,
        }
        Some(())
    }
}

enum Value {
    Text(String),
    Number(usize),
    Truth,
}

impl Value {
    fn read(text: &str) -> Option<Self> {
        match text {
            "true" | "false" => Some(Self::Truth),
            _ => match text.strip_prefix('"') {
                Some(rest) => {
                    let inner = rest.strip_suffix('"')?;
                    // Nothing that a pool writes needs more of TOML than this.
                    (!inner.contains(['"', '\\'])).then(|| Self::Text(inner.to_owned()))
                }
                None => text.parse().ok().map(Self::Number),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
concurrent = 4
check_interval = 1
listen_address = "127.1.2.3:9252"
[[runners]]
name = "pool"
url = "http://127.0.0.1:1/"
token = "glrt-t1_x"
executor = "docker"
limit = 3
[runners.docker]
image = "alpine:3"
[runners.cache]
Type = "s3"
Shared = true
[[runners]]
url = "http://h"
token = "t"
"#;

    #[test]
    fn what_pools_write_is_read() {
        let config = Config::parse(WHOLE).unwrap();
        assert_eq!((config.concurrent, config.check_interval), (4, Duration::from_secs(1)));
        assert_eq!(config.listen_address.as_deref(), Some("127.1.2.3:9252"));
        let names: Vec<_> =
            config.runners.iter().map(|runner| (runner.name.as_str(), runner.url.as_str(), runner.limit)).collect();
        assert_eq!(names, [("pool", "http://127.0.0.1:1", 3), ("", "http://h", 0)]);
    }

    #[test]
    fn what_is_not_understood_is_named_by_its_line() {
        for (bad, line) in [
            ("concurrent = 0", 1),
            ("concurrent = \"2\"", 1),
            ("\nfast = true", 2),
            ("[[runners]]\nurl = \"a", 2),
            ("[[runners]]\ntoken", 2),
            ("[runners", 1),
        ] {
            assert!(matches!(Config::parse(bad), Err(BadConfig::Line(at, _)) if at == line), "{bad:?}");
        }
        for bad in ["", "[[runners]]\nurl = \"a\"\n"] {
            assert!(matches!(Config::parse(bad), Err(BadConfig::NoRunner)), "{bad:?}");
        }
    }
}
