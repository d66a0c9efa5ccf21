//! The answers, with the headers that git expects.

use super::Response;
use super::body::BodyError;
use super::upload_pack::UploadPackError;

/// The refs. The first line tells a client that this is smart HTTP; as GitLab does, it is sent in every version.
pub(super) fn advertisement(refs: Vec<u8>) -> Response {
    let mut body = b"001e# service=git-upload-pack\n0000".to_vec();
    body.extend(refs);
    uncached(200, "application/x-git-upload-pack-advertisement", body)
}

/// A round of fetching.
pub(super) fn result(pack: Vec<u8>) -> Response {
    uncached(200, "application/x-git-upload-pack-result", pack)
}

/// Git asks for a password, or for another one.
pub(super) fn unauthorized() -> Response {
    let mut response = text(401, "HTTP Basic: Access denied. A job token or a personal access token is the password.");
    response.headers.push(("WWW-Authenticate".to_owned(), "Basic realm=\"GitLab\"".to_owned()));
    response
}

pub(super) fn not_found() -> Response {
    text(404, "The project you were looking for could not be found or you don't have permission to view it.")
}

pub(super) fn forbidden(why: &str) -> Response {
    text(403, why)
}

pub(super) fn bad_body(error: &BodyError) -> Response {
    text(error.status(), &error.to_string())
}

pub(super) fn failed(error: &UploadPackError) -> Response {
    text(500, &error.to_string())
}

fn text(status: u16, why: &str) -> Response {
    uncached(status, "text/plain; charset=utf-8", format!("{why}\n").into_bytes())
}

fn uncached(status: u16, content_type: &str, body: Vec<u8>) -> Response {
    let headers = [
        ("Content-Type", content_type),
        ("Cache-Control", "no-cache, max-age=0, must-revalidate"),
        ("Expires", "Fri, 01 Jan 1980 00:00:00 GMT"),
        ("Pragma", "no-cache"),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Response { status, headers, body }
}
