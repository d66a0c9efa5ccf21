//! What a request asks for, and for whom. Nothing here touches a file: names that are not plain are refused first.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What is asked of which project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    /// `group/project`.
    pub(super) project: &'a str,
    pub(super) service: Asked,
}

/// A part of git's HTTP protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The refs, for fetching.
    Advertisement,
    /// A round of fetching.
    UploadPack,
    /// Anything of a push.
    Push,
    /// The refs as a file, for clients without smart HTTP.
    Dumb,
}

/// Reads method, path and query. `None` for all that is not served.
pub(super) fn asked<'a>(method: &str, path: &'a str, query: Option<&str>) -> Option<Question<'a>> {
    let path = path.strip_prefix('/')?;
    // A project's path never needs more than these, so nothing has to be decoded.
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
        return None;
    }
    if path.split('/').any(|segment| segment.is_empty() || segment == "." || segment == "..") {
        return None;
    }
    let (project, rest) = path.split_once(".git/")?;
    let plain = |segment: &str| !segment.is_empty() && !segment.starts_with('-') && !segment.ends_with(".git");
    if !project.contains('/') || !project.split('/').all(plain) {
        return None;
    }
    let service = match (method, rest) {
        ("GET", "info/refs") => match service(query) {
            Some("git-upload-pack") => Asked::Advertisement,
            Some("git-receive-pack") => Asked::Push,
            Some(_) => return None,
            None => Asked::Dumb,
        },
        ("POST", "git-upload-pack") => Asked::UploadPack,
        ("POST", "git-receive-pack") => Asked::Push,
        _ => return None,
    };
    Some(Question { project, service })
}

fn service(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("service="))
}

/// The protocol version that a `Git-Protocol` header asks for. Only this exact form reaches git's environment; anything
/// else means version 0, as for git itself.
pub(super) fn protocol(header: &str) -> Option<&'static str> {
    ["version=0", "version=1", "version=2"].into_iter().find(|known| *known == header)
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads an `Authorization` header of the kind Basic.
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, encoded) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_projects_are_recognised() {
        let upload = Some("service=git-upload-pack");
        for (method, path, query, project, service) in [
            ("GET", "/group/project.git/info/refs", upload, "group/project", Asked::Advertisement),
            ("GET", "/a/b/c.d_e.git/info/refs", upload, "a/b/c.d_e", Asked::Advertisement),
            ("GET", "/a/b.git/info/refs", Some("x=1&service=git-upload-pack"), "a/b", Asked::Advertisement),
            ("GET", "/a/b.git/info/refs", Some("service=git-receive-pack"), "a/b", Asked::Push),
            ("GET", "/a/b.git/info/refs", None, "a/b", Asked::Dumb),
            ("POST", "/a/b.git/git-upload-pack", None, "a/b", Asked::UploadPack),
            ("POST", "/a/b.git/git-receive-pack", None, "a/b", Asked::Push),
        ] {
            assert_eq!(asked(method, path, query), Some(Question { project, service }), "{method} {path}");
        }
    }

    #[test]
    fn everything_else_is_not_served() {
        let upload = Some("service=git-upload-pack");
        for path in [
            "",
            "/",
            "a/b.git/info/refs",
            "/project.git/info/refs",
            "/a/b/info/refs",
            "/a/.git/info/refs",
            "/.git/b.git/info/refs",
            "/a.git/b.git/info/refs",
            "/-/a/b.git/info/refs",
            "/a//b.git/info/refs",
            "/a/../b.git/info/refs",
            "/a/b/./c.git/info/refs",
            "/a/b.git/../c.git/info/refs",
            "/a/b.git/info/../info/refs",
            "/a/%2e%2e/b.git/info/refs",
            "/a/b%2Egit/info/refs",
            "/a/b\0.git/info/refs",
            "/a\\b/c.git/info/refs",
            "/a/b .git/info/refs",
            "/a/bü.git/info/refs",
            "/a/b.git/HEAD",
            "/a/b.git/objects/info/packs",
            "/a/b.git/info/refs/",
            "/a/b.git/info/lfs/objects/batch",
        ] {
            assert_eq!(asked("GET", path, upload), None, "{path}");
        }
        assert_eq!(asked("POST", "/a/b.git/info/refs", upload), None);
        assert_eq!(asked("GET", "/a/b.git/git-upload-pack", None), None);
        assert_eq!(asked("GET", "/a/b.git/info/refs", Some("service=git-upload-archive")), None);
    }

    #[test]
    fn only_known_protocol_versions_pass() {
        assert_eq!(protocol("version=2"), Some("version=2"));
        for header in ["", "version=3", "version=2:x=y", " version=2", "version=2\nX=1", "VERSION=2"] {
            assert_eq!(protocol(header), None, "{header:?}");
        }
    }

    #[test]
    fn basic_credentials_are_read() {
        let read = Credentials::read("Basic Z2l0bGFiLWNpLXRva2VuOmE6Yg==").unwrap();
        assert_eq!((read.user.as_str(), read.password.as_str()), ("gitlab-ci-token", "a:b"));
        assert!(!format!("{read:?}").contains("a:b"));
        for header in ["", "Basic", "Basic !", "Basic bm9jb2xvbg==", "Bearer Z2l0bGFiLWNpLXRva2VuOmE6Yg=="] {
            assert!(Credentials::read(header).is_none(), "{header}");
        }
    }
}
