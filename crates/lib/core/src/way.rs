//! The way out of a private network: a proxy, and whom to trust.

use std::fmt;

/// A proxy and the hosts that are reached without it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `HTTPS_PROXY`: may hold user and password.
    pub url: String,
    /// `NO_PROXY`: comma-separated hosts, domains and networks.
    pub bypass: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Proxy").field("bypass", &self.bypass).finish_non_exhaustive()
    }
}

impl Proxy {
    /// One from a text of one or two words, as an operator writes it: the proxy's URL, and the hosts that are reached
    /// without it. `None` when it is no such text.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (url, bypass) = (words.next()?, words.next().unwrap_or_default());
        let is_url = url.starts_with("http://") || url.starts_with("https://");
        (is_url && words.next().is_none()).then(|| Self { url: url.to_owned(), bypass: bypass.to_owned() })
    }
}

/// What every client of a process goes through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The proxy for `https` URLs; `None` connects directly.
    pub proxy: Option<Proxy>,
    /// PEM certificates: GitLab's is checked against these and no others, AWS's against the system's and these.
    pub ca_pem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_one_word_or_two() {
        let read = |text| Proxy::read(text).map(|proxy| (proxy.url, proxy.bypass));
        let pair = |url: &str, bypass: &str| Some((url.to_owned(), bypass.to_owned()));
        assert_eq!(read("http://proxy:3128"), pair("http://proxy:3128", ""));
        assert_eq!(
            read(" https://u:p@proxy  .internal,10.0.0.0/8 "),
            pair("https://u:p@proxy", ".internal,10.0.0.0/8")
        );
        for bad in ["", " ", "proxy:3128", "http://proxy:3128 .internal 10.0.0.0/8"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn credentials_do_not_reach_debug_output() {
        let proxy = Proxy { url: "http://user:pw@proxy:3128".to_owned(), bypass: "localhost".to_owned() };
        assert!(!format!("{:?}", Way { proxy: Some(proxy), ca_pem: None }).contains("pw"));
    }
}
