//! The environment: read in one place per binary, once, when it starts. What is missing or unreadable ends the cold
//! start with the variable's name; there are no defaults in functions, the template has them.

use std::collections::HashMap;
use std::str::FromStr;

use runnerless_aws::{Credentials, Place};
use zeroize::Zeroizing;

/// A variable that keeps the function from starting.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    /// It is not set, or empty.
    #[error("environment variable {0} is not set; the template sets it")]
    Missing(&'static str),
    /// It is no such value.
    #[error("environment variable {name} is {value:?}; it must be {what}")]
    Wrong {
        /// Its name.
        name: &'static str,
        /// Its value. No variable of ours is secret.
        value: String,
        /// What it must be.
        what: &'static str,
    },
}

/// The environment as it was when the process started.
#[derive(Clone, Default)]
pub struct Env(HashMap<String, String>);

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Lambda's environment holds the role's keys.
        f.debug_struct("Env").field("variables", &self.0.len()).finish()
    }
}

impl Env {
    /// The process's own.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// One made of these, for tests.
    #[must_use]
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// It is not set, or empty.
    pub fn text(&self, name: &'static str) -> Result<String, EnvError> {
        self.optional(name).ok_or(EnvError::Missing(name))
    }

    /// A text that may be absent; empty is absent.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// It is not set, or neither.
    pub fn flag(&self, name: &'static str) -> Result<bool, EnvError> {
        self.parsed(name, "true or false")
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is not set, or no such number.
    pub fn number(&self, name: &'static str) -> Result<u64, EnvError> {
        self.parsed(name, "a whole number")
    }

    fn parsed<T: FromStr>(&self, name: &'static str, what: &'static str) -> Result<T, EnvError> {
        let value = self.text(name)?;
        value.trim().parse().map_err(|_| EnvError::Wrong { name, value, what })
    }

    /// Where AWS is, from the variables that Lambda sets; `AWS_ENDPOINT_URL` is for the local stack.
    ///
    /// # Errors
    /// No region.
    pub fn place(&self) -> Result<Place, EnvError> {
        Ok(Place::new(self.text("AWS_REGION")?, self.optional("AWS_ENDPOINT_URL")))
    }

    /// Who we are there.
    ///
    /// # Errors
    /// No key.
    pub fn credentials(&self) -> Result<Credentials, EnvError> {
        Ok(Credentials {
            key_id: self.text("AWS_ACCESS_KEY_ID")?,
            secret: Zeroizing::new(self.text("AWS_SECRET_ACCESS_KEY")?),
            session: self.optional("AWS_SESSION_TOKEN").map(Zeroizing::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_empty_and_unreadable_are_told_apart_by_name() {
        let env = Env::of([("A", "x"), ("E", ""), ("N", "12"), ("F", "true")]);
        assert_eq!(env.text("A").unwrap(), "x");
        assert_eq!(env.text("E"), Err(EnvError::Missing("E")));
        assert_eq!((env.number("N").unwrap(), env.flag("F").unwrap()), (12, true));
        assert!(matches!(env.number("A"), Err(EnvError::Wrong { name: "A", .. })));
        assert!(matches!(env.flag("N"), Err(EnvError::Wrong { name: "N", .. })));
    }
}
