//! Git over HTTP, as the simulator's projects have it: fetching by smart HTTP for those with a password, and the bare
//! repositories behind it.
//!
//! What is served is what GitLab serves to runners: every ref, `refs/pipelines/<id>` included, and any commit by its
//! hash, at any depth, in protocol 0, 1 and 2. Pushing is refused. Git itself speaks the protocol; this module decides
//! who may ask for what, and keeps git's process small, clean and short-lived.
//!
//! Sources: git's `gitprotocol-http` and `git-http-backend`.

mod answer;
mod body;
mod create;
mod error;
mod git;
mod request;
mod store;
mod upload_pack;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use create::{import, init};
pub use error::ImportError;
pub use store::{Head, create_ref, read_file};

use request::{Asked, Credentials};

/// A request below a project's `.git`.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path as it stands in the request: `/group/project.git/info/refs`.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: Option<&'a str>,
    /// The headers; their names in any case.
    pub headers: Vec<(String, String)>,
    /// The body as it came, perhaps compressed.
    pub body: Vec<u8>,
}

impl Request<'_> {
    /// The first header with this name.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Who may fetch what.
pub trait Access: Send + Sync {
    /// The bare repository of a project (`group/project`, perhaps with subgroups), for this user and password.
    ///
    /// # Errors
    /// When they open nothing, or not this.
    fn repository(&self, path: &str, user: &str, password: &str) -> Result<PathBuf, Denied>;
}

/// Why there is no repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The password is wrong. Git asks for another one.
    #[error("wrong user or password")]
    Unauthorized,
    /// There is no such project for this user.
    #[error("no such project")]
    NotFound,
}

/// Answers one request. Needs a tokio runtime with input and output and time enabled; git's process ends with the
/// future.
pub async fn serve(access: &dyn Access, request: Request<'_>) -> Response {
    let Some(asked) = request::asked(request.method, request.path, request.query) else { return answer::not_found() };
    let Some(credentials) = request.header("authorization").and_then(Credentials::read) else {
        return answer::unauthorized();
    };
    let bare = match access.repository(asked.project, &credentials.user, &credentials.password) {
        Ok(bare) => bare,
        Err(Denied::Unauthorized) => return answer::unauthorized(),
        Err(Denied::NotFound) => return answer::not_found(),
    };
    let protocol = request.header("git-protocol").and_then(request::protocol);
    match asked.service {
        Asked::Advertisement => {
            let refs = upload_pack::advertise(&bare, protocol).await;
            refs.map_or_else(|error| answer::failed(&error), answer::advertisement)
        }
        Asked::UploadPack => {
            let input = match body::read(&request) {
                Ok(input) => input,
                Err(error) => return answer::bad_body(&error),
            };
            let pack = upload_pack::exchange(&bare, protocol, &input).await;
            pack.map_or_else(|error| answer::failed(&error), answer::result)
        }
        Asked::Push => answer::forbidden("You are not allowed to push: projects of the simulator are read-only."),
        Asked::Dumb => answer::forbidden("Only smart HTTP is served: use git 1.6.6 or later."),
    }
}
