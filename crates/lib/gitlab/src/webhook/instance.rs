//! The one GitLab that a stack serves.

use reqwest::Url;

/// Where GitLab is, as the operator configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    url: Url,
    /// The relative root, `/gitlab` or empty.
    root: String,
}

/// A text that is no URL of a GitLab.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not the URL of a GitLab instance: it must start with http:// or https:// and name a host")]
pub struct BadInstance(pub String);

impl Instance {
    /// Reads the operator's URL: scheme, host, port, and a relative root if it has one.
    ///
    /// # Errors
    /// Anything but an absolute `http` or `https` URL.
    pub fn parse(text: &str) -> Result<Self, BadInstance> {
        let url = web_url(text.trim()).ok_or_else(|| BadInstance(text.chars().take(200).collect()))?;
        let root = url.path().trim_end_matches('/').to_owned();
        Ok(Self { url, root })
    }

    /// Whether a hook's `X-Gitlab-Instance` names this instance. Spelling does not count: case of the host, a default
    /// port, a slash at the end. GitLab leaves its relative root out of the header, so a header without a path fits.
    #[must_use]
    pub fn is(&self, header: &str) -> bool {
        let Some(url) = web_url(header) else { return false };
        let path = url.path().trim_end_matches('/');
        url.origin() == self.url.origin() && (path.is_empty() || path == self.root)
    }

    /// The path of the project whose page this is, without the relative root. The page's host plays no part.
    #[must_use]
    pub fn path_of(&self, page: &str) -> Option<String> {
        let url = web_url(page)?;
        let path = url.path();
        let below = path.strip_prefix(&self.root).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let path = below.trim_matches('/');
        (!path.is_empty()).then(|| path.to_owned())
    }
}

/// An absolute URL with a host and without user, query and fragment.
fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_instance_are_one() {
        let instance = Instance::parse("https://GitLab.example.com/git/").unwrap();
        for same in [
            "https://gitlab.example.com",
            "https://gitlab.example.com/",
            "https://gitlab.example.com:443/git",
            "https://GITLAB.example.com/git/",
        ] {
            assert!(instance.is(same), "{same}");
        }
        for foreign in [
            "http://gitlab.example.com/git",
            "https://gitlab.example.com:8443/git",
            "https://gitlab.example.com/other",
            "https://gitlab.example.com.evil.example/git",
            "https://gitlab.example.com@evil.example/git",
            "https://evil.example,https://gitlab.example.com",
            "https://gitlab.example.com,https://gitlab.example.com",
            "https://gitlab.example.com/?x",
            "gitlab.example.com",
            "",
            " ",
        ] {
            assert!(!instance.is(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_projects_page_gives_its_path() {
        let plain = Instance::parse("https://gitlab.example.com").unwrap();
        let rooted = Instance::parse("https://gitlab.example.com/git").unwrap();
        assert_eq!(plain.path_of("https://gitlab.example.com/acme/widgets").as_deref(), Some("acme/widgets"));
        assert_eq!(rooted.path_of("https://gitlab.example.com/git/acme/widgets/").as_deref(), Some("acme/widgets"));
        assert_eq!(rooted.path_of("https://gitlab.example.com/gitops/widgets").as_deref(), Some("gitops/widgets"));
        assert_eq!(plain.path_of("https://gitlab.example.com/"), None);
        assert_eq!(plain.path_of("javascript:alert(1)"), None);
    }

    #[test]
    fn only_web_urls_are_instances() {
        for bad in ["", "gitlab.example.com", "ftp://gitlab.example.com", "https://", "https://u:p@gitlab.example.com"]
        {
            assert!(Instance::parse(bad).is_err(), "{bad}");
        }
    }
}
