//! Runners that we make: `POST user/runners` with an API token, `POST runners` with a legacy registration token, and
//! `DELETE runners`, which ends either by its own token.
//!
//! Making one is never repeated: GitLab tells a runner's token once, and an answer that was lost may have carried it.

use reqwest::Method;
use reqwest::header::HeaderValue;
use runnerless_core::chain::chain;
use runnerless_core::lane::TagSet;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{Answer, Client};
use super::manager::ManagerError;
use super::secret::Secret;

/// Whose jobs a runner takes that is made with an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerScope {
    /// Every project's: the token's user is an administrator.
    Instance,
    /// Those of the projects below a group: he is its owner.
    Group(u64),
    /// Those of a project: he is its maintainer.
    Project(u64),
}

/// A scope that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no runner scope: write instance, group/<group id> or project/<project id>")]
pub struct BadScope(String);

impl RunnerScope {
    /// Reads `instance`, `group/12` or `project/7`.
    ///
    /// # Errors
    /// It is none of them.
    pub fn parse(text: &str) -> Result<Self, BadScope> {
        let bad = || BadScope(text.chars().take(80).collect());
        let id = |id: &str| id.parse().map_err(|_| bad());
        match text.trim().split_once('/') {
            None if text.trim() == "instance" => Ok(Self::Instance),
            Some(("group", group)) => id(group).map(Self::Group),
            Some(("project", project)) => id(project).map(Self::Project),
            _ => Err(bad()),
        }
    }
}

/// A runner that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRunner<'a> {
    /// What GitLab calls it in its lists.
    pub description: &'a str,
    /// What it tells whoever looks at the runner, at most 1,024 characters.
    pub note: &'a str,
    /// Its tags.
    pub tags: &'a TagSet,
    /// Whether it takes jobs without tags; without tags of its own it must.
    pub run_untagged: bool,
    /// The longest job (s), 600 at least; `None` leaves it to GitLab.
    pub longest_s: Option<u64>,
}

/// What came of making a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// There is one.
    Runner {
        /// GitLab's id of it.
        id: u64,
        /// Its authentication token, which GitLab tells once.
        token: Secret,
    },
    /// GitLab says no, and made none.
    Refused(String),
    /// GitLab asks to come later, and made none.
    Later(String),
    /// There was no answer, or none that tells: there may be a runner whose token nobody knows.
    Unknown(String),
}

/// What became of a runner that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// The token is no runner's: it was gone before, or its token was changed by hand.
    Stranger(String),
    /// GitLab did not answer, or asks to come later: unknown.
    Unknown(String),
}

#[derive(Deserialize)]
struct WireRunner {
    id: u64,
    token: Secret,
}

impl NewRunner<'_> {
    fn body(&self) -> Map<String, Value> {
        let tags: Vec<&str> = self.tags.iter().collect();
        let untagged = self.run_untagged || self.tags.is_empty();
        let said = json!({
            "description": self.description,
            "maintenance_note": self.note,
            "tag_list": tags,
            "run_untagged": untagged,
        });
        let mut body = said.as_object().cloned().unwrap_or_default();
        if let Some(seconds) = self.longest_s {
            body.insert("maximum_timeout".to_owned(), seconds.into());
        }
        body
    }
}

impl Client {
    /// `POST user/runners`. The API token needs the scope `create_runner` or `api`.
    pub async fn create_runner(&self, api_token: &Secret, scope: RunnerScope, new: &NewRunner<'_>) -> Made {
        let Ok(mut token) = HeaderValue::from_str(api_token.expose().trim()) else {
            return Made::Refused("the API token holds a character that no HTTP header can carry".to_owned());
        };
        token.set_sensitive(true);
        let mut body = new.body();
        let (kind, owner) = match scope {
            RunnerScope::Instance => ("instance_type", None),
            RunnerScope::Group(id) => ("group_type", Some(("group_id", id))),
            RunnerScope::Project(id) => ("project_type", Some(("project_id", id))),
        };
        body.insert("runner_type".to_owned(), kind.into());
        if let Some((name, id)) = owner {
            body.insert(name.to_owned(), id.into());
        }
        let request = self.json(Method::POST, "user/runners", &body).header("PRIVATE-TOKEN", token);
        made(Answer::of("POST user/runners", request).await)
    }

    /// `POST runners`, which GitLab answers 410 where registration tokens are not allowed any more.
    pub async fn register_runner(&self, registration_token: &Secret, new: &NewRunner<'_>) -> Made {
        let mut body = new.body();
        body.insert("token".to_owned(), registration_token.expose().into());
        let said = serde_json::to_value(self.info()).unwrap_or_default();
        let told = ["name", "version", "revision", "platform", "architecture"];
        let info: Map<String, Value> =
            told.into_iter().filter_map(|name| Some((name.to_owned(), said.get(name)?.clone()))).collect();
        body.insert("info".to_owned(), Value::Object(info));
        made(Answer::of("POST runners", self.json(Method::POST, "runners", &body)).await)
    }

    /// `DELETE runners`: the runner of this token, with all its managers.
    pub async fn delete_runner(&self, token: &Secret) -> Deleted {
        match self.delete_by_token(token).await {
            Ok(()) => Deleted::Gone,
            Err(error @ ManagerError::Refused(_)) => Deleted::Stranger(chain(&error)),
            Err(error @ (ManagerError::Later(_) | ManagerError::Transport(_))) => Deleted::Unknown(chain(&error)),
        }
    }
}

fn made(answer: Result<Answer, super::error::TransportError>) -> Made {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Made::Unknown(chain(&error)),
    };
    let refusal = answer.refusal();
    match answer.status.as_u16() {
        201 => match serde_json::from_slice::<WireRunner>(&answer.body) {
            Ok(WireRunner { id, token }) if !token.expose().is_empty() => Made::Runner { id, token },
            _ => Made::Unknown("GitLab answered 201 without a runner's id and token".to_owned()),
        },
        429 => Made::Later(refusal.to_string()),
        408 => Made::Unknown(refusal.to_string()),
        300..=499 => Made::Refused(refusal.to_string()),
        _ => Made::Unknown(refusal.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_what_is_none_is_shown_with_the_cure() {
        assert_eq!(RunnerScope::parse(" instance\n"), Ok(RunnerScope::Instance));
        assert_eq!(RunnerScope::parse("group/12"), Ok(RunnerScope::Group(12)));
        assert_eq!(RunnerScope::parse("project/7"), Ok(RunnerScope::Project(7)));
        for bad in ["", "group", "group/", "group/acme", "project/-1", "instance/1", "acme/widget"] {
            let error = RunnerScope::parse(bad).unwrap_err().to_string();
            assert!(error.contains("project/<project id>"), "{error}");
        }
    }
}
