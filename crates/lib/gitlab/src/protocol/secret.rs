//! A text that must not be printed.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

/// A token: compares, clones and travels like a string, prints as `[secret]`, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire or for masking.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part of a token that GitLab and the official runner show in logs and use in folder names: the token
    /// without its kind's prefix, first nine characters.
    #[must_use]
    pub fn short(&self) -> &str {
        let body = strip_kind(&self.0);
        let end = body.char_indices().nth(SHORT_CHARS).map_or(body.len(), |(at, _)| at);
        &body[..end]
    }
}

/// How many characters of a token may be shown; GitLab's own web pages show as many.
const SHORT_CHARS: usize = 9;

/// Drops the prefix that tells a token's kind: `glrt-`, `glrt-t1_` to `glrt-t3_`, `t1_` to `t3_`, `glrtr-`, `glcbt-`
/// and the legacy registration token's `GR1348941`.
fn strip_kind(token: &str) -> &str {
    let body = ["glrtr-", "glcbt-", "glrt-", "GR1348941"].iter().find_map(|prefix| token.strip_prefix(prefix));
    let body = body.unwrap_or(token);
    ["t1_", "t2_", "t3_"].iter().find_map(|prefix| body.strip_prefix(prefix)).unwrap_or(body)
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_form_drops_the_kind_and_keeps_nine_characters() {
        for (token, short) in [
            ("glrt-t3_abcdefghijkl", "abcdefghi"),
            ("glrt-abcdefghijkl", "abcdefghi"),
            ("t1_abcdefghijkl", "abcdefghi"),
            ("glrtr-abcdefghijkl", "abcdefghi"),
            ("glcbt-66_abcdefghijkl", "66_abcdef"),
            ("GR1348941abcdefghijkl", "abcdefghi"),
            ("abc", "abc"),
            ("", ""),
        ] {
            assert_eq!(Secret::new(token).short(), short, "{token}");
        }
    }

    #[test]
    fn debug_output_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret::new("glrt-abcdef")), "[secret]");
    }
}
