//! The environment: read in one place per binary, once, when it starts. What is missing or unreadable ends the cold
//! start with the variable's name; there are no defaults in functions, the template has them.

use std::collections::HashMap;
use std::str::FromStr;

use runnerless_aws::{Credentials, Place};
use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{ConfigError, Proxy, Way, check};
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
    /// It names a file of certificates that cannot be used.
    #[error("environment variable {name} names {path}, which must hold PEM certificates: {why}")]
    Certificates {
        /// Its name.
        name: &'static str,
        /// The file.
        path: String,
        /// Why it cannot be used.
        why: String,
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

    /// The way out of a function that speaks to GitLab, and where AWS is by that way. `proxy` names the variable with the
    /// proxy's URL and the hosts beside it, `ca` the one with the path of a file of certificates; both may be empty. The
    /// file is read and tried here: what is wrong with it is told at the start, and not by each connection.
    ///
    /// # Errors
    /// No region, a proxy that is none, or a file without certificates.
    pub fn way(&self, proxy: &'static str, ca: &'static str) -> Result<(Place, Way), EnvError> {
        const URL: &str = "a proxy's URL, and after a space the hosts to reach without it, separated by commas";
        let mut way = Way::default();
        if let Some(value) = self.optional(proxy) {
            // The value may hold a password.
            let wrong = || EnvError::Wrong { name: proxy, value: "not shown".to_owned(), what: URL };
            way.proxy = Some(Proxy::read(&value).ok_or_else(wrong)?);
        }
        if let Some(path) = self.optional(ca) {
            let unread =
                |error: std::io::Error| EnvError::Certificates { name: ca, path: path.clone(), why: error.to_string() };
            way.ca_pem = Some(std::fs::read_to_string(&path).map_err(unread)?);
        }
        if way == Way::default() {
            return Ok((self.place()?, way));
        }
        let refused = |why: String| match self.optional(ca) {
            Some(path) => EnvError::Certificates { name: ca, path, why },
            None => EnvError::Wrong { name: proxy, value: "not shown".to_owned(), what: URL },
        };
        check(&way).map_err(|error| match error {
            ConfigError::Proxy(_) => EnvError::Wrong { name: proxy, value: "not shown".to_owned(), what: URL },
            other => refused(chain(&other)),
        })?;
        let place = self.place()?.through(&way).map_err(refused)?;
        Ok((place, way))
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

    #[test]
    fn a_way_out_is_read_whole_and_what_is_wrong_is_named_without_the_proxys_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let way = |proxy: &str, ca: &str| {
            Env::of([("AWS_REGION", "eu-west-1"), ("P", proxy), ("C", ca)]).way("P", "C").map(|(_, way)| way)
        };
        assert_eq!(way("", "").unwrap(), Way::default());
        let proxy = way("http://u:pw@proxy:3128 .internal", "").unwrap().proxy.unwrap();
        assert_eq!((proxy.url.as_str(), proxy.bypass.as_str()), ("http://u:pw@proxy:3128", ".internal"));
        for wrong in ["u:pw@proxy:3128", "http://u:pw@", "http://u:pw@proxy:port"] {
            let error = way(wrong, "").unwrap_err().to_string();
            assert!(error.contains("variable P is") && !error.contains("pw"), "{wrong}: {error}");
        }
        let path = file.to_str().unwrap();
        for text in
            [None, Some("no certificate"), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
        {
            text.iter().for_each(|text| std::fs::write(&file, text).unwrap());
            let error = way("http://proxy", path).unwrap_err().to_string();
            assert!(error.contains("variable C names") && error.contains(path), "{text:?}: {error}");
        }
    }
}
