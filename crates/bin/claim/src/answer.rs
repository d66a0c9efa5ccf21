//! What a caller is told.

use std::fmt;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use zeroize::Zeroizing;

/// What a caller is told. It is never logged: two of them hold what only the caller may have.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// `{"token","system_id"}`: ask GitLab with these.
    Begun {
        /// The lane's runner authentication token.
        token: Zeroizing<String>,
        /// The runner manager's system id to show.
        system_id: String,
    },
    /// `{"ok":true,"url"}`: the cache is behind this signed URL; null where the stack keeps none.
    Cache(Option<Zeroizing<String>>),
    /// `{"ok":true}`: done, or done before.
    Done,
    /// `{"ok":false,"refused"}`: the rules do not allow it.
    Refused(String),
    /// `{"gone":true,"reason"}`: the launch is not the caller's to serve; leave.
    Gone(String),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { .. } => f.write_str("Begun"),
            Self::Cache(url) => f.debug_tuple("Cache").field(&url.is_some()).finish(),
            Self::Done => f.write_str("Done"),
            Self::Refused(why) => f.debug_tuple("Refused").field(why).finish(),
            Self::Gone(why) => f.debug_tuple("Gone").field(why).finish(),
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Begun { token, system_id } => {
                map.serialize_entry("token", token.as_str())?;
                map.serialize_entry("system_id", system_id)?;
            }
            Self::Cache(url) => {
                map.serialize_entry("ok", &true)?;
                map.serialize_entry("url", &url.as_ref().map(|url| url.as_str()))?;
            }
            Self::Done => map.serialize_entry("ok", &true)?,
            Self::Refused(why) => {
                map.serialize_entry("ok", &false)?;
                map.serialize_entry("refused", why)?;
            }
            Self::Gone(why) => {
                map.serialize_entry("gone", &true)?;
                map.serialize_entry("reason", why)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_have_the_documented_form_and_do_not_show_the_token() {
        let begun = Answer::Begun { token: Zeroizing::new("glrt-x".to_owned()), system_id: "r_1".to_owned() };
        assert!(!format!("{begun:?}").contains("glrt-x"));
        let signed = Answer::Cache(Some(Zeroizing::new("https://b/k?signed".to_owned())));
        assert!(!format!("{signed:?}").contains("signed"));
        for (answer, form) in [
            (begun, json!({"token": "glrt-x", "system_id": "r_1"})),
            (signed, json!({"ok": true, "url": "https://b/k?signed"})),
            (Answer::Cache(None), json!({"ok": true, "url": null})),
            (Answer::Done, json!({"ok": true})),
            (Answer::Refused("why".to_owned()), json!({"ok": false, "refused": "why"})),
            (Answer::Gone("why".to_owned()), json!({"gone": true, "reason": "why"})),
        ] {
            assert_eq!(serde_json::to_value(&answer).unwrap(), form);
        }
    }
}
