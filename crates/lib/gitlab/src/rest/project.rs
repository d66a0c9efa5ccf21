//! A project by its id or its path.

use std::future::Future;

use serde::Deserialize;

use super::api::{RestClient, refused};
use super::error::RestError;

/// Method and path, for errors.
const OPERATION: &str = "GET projects/:id";

/// A project as GitLab shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ApiProject {
    /// Its id.
    pub id: u64,
    /// Its full path.
    #[serde(rename = "path_with_namespace")]
    pub path: String,
}

/// What GitLab knows about projects.
pub trait ProjectsApi: Sync {
    /// The project of this id or full path; `None` when there is no such project, or none that the token may see.
    fn project(&self, name: &str) -> impl Future<Output = Result<Option<ApiProject>, RestError>> + Send;
}

impl ProjectsApi for RestClient {
    async fn project(&self, name: &str) -> Result<Option<ApiProject>, RestError> {
        let Some(name) = segment(name) else { return Ok(None) };
        let answer = self.get(OPERATION, &format!("projects/{name}"), None).await?;
        match answer.status.as_u16() {
            200 => {
                let project = serde_json::from_slice(&answer.body);
                project.map(Some).map_err(|source| RestError::Unreadable { operation: OPERATION, source })
            }
            404 => Ok(None),
            _ => Err(refused(&answer)),
        }
    }
}

/// The id or path as one segment of a URL; `None` for what no project is called.
fn segment(name: &str) -> Option<String> {
    let is_of_path = |c: char| c.is_alphanumeric() && c.is_ascii() || matches!(c, '_' | '.' | '-' | '/');
    let fits = !name.is_empty() && name.chars().all(is_of_path);
    // Dots alone would lead elsewhere.
    let leads_away = name.split('/').any(|part| part.is_empty() || part.chars().all(|c| c == '.'));
    (fits && !leads_away).then(|| name.replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_segment_and_leads_nowhere_else() {
        assert_eq!(segment("acme/sub-group/widget.rs").as_deref(), Some("acme%2Fsub-group%2Fwidget.rs"));
        assert_eq!(segment("41").as_deref(), Some("41"));
        for bad in ["", "../runners", "a/../b", "a b", "a%2Fb", "/a", "a?x", "a/"] {
            assert_eq!(segment(bad), None, "{bad:?}");
        }
    }
}
