//! The official gitlab-runner on instances, where the stack says so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// As which executor the official runner runs the job of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Official {
    /// In a shell of the instance.
    Shell,
    /// In a container of this image, unless the job names one.
    Docker(String),
}

/// A text that names no executor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no executor of the official runner: write shell, or docker:<image>")]
pub struct BadOfficial(String);

impl TryFrom<String> for Official {
    type Error = BadOfficial;

    fn try_from(text: String) -> Result<Self, BadOfficial> {
        match text.split_once(':') {
            None if text == "shell" => Ok(Self::Shell),
            Some(("docker", image)) if !image.is_empty() && image.chars().all(|c| c.is_ascii_graphic()) => {
                Ok(Self::Docker(image.to_owned()))
            }
            _ => Err(BadOfficial(text)),
        }
    }
}

impl From<Official> for String {
    fn from(official: Official) -> Self {
        official.to_string()
    }
}

impl fmt::Display for Official {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("shell"),
            Self::Docker(image) => write!(f, "docker:{image}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_are_read_as_they_are_written() {
        for text in ["shell", "docker:alpine", "docker:registry.example.com:5000/a/b@sha256:0f"] {
            assert_eq!(Official::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for bad in ["", "own", "docker", "docker:", "docker:a b", "docker:a\"\nb", "kubernetes"] {
            assert!(Official::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
