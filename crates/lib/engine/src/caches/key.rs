//! The name under which a cache is found again.

use runnerless_core::cache::KEY_BYTES;

/// There is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoKey {
    #[error("empty cache key")]
    Empty,
    #[error("a cache key of more than {KEY_BYTES} bytes")]
    Long,
}

/// What became of the key that a job names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) key: Result<String, NoKey>,
    /// That the key is not what the job named.
    pub(super) warning: Option<String>,
}

/// A key that is safe as a relative path: `\` and what is written with percent signs become `/` and `.`, and it leads
/// nowhere but down.
pub(super) fn make(raw: &str) -> Made {
    let key = sanitized(raw);
    let warning = match &key {
        None if raw.is_empty() => None,
        None => Some(format!("cache key {raw:?} could not be sanitized")),
        Some(key) if key == raw => None,
        Some(key) => Some(format!("cache key {raw:?} sanitized to {key:?}")),
    };
    let key = match key {
        None => Err(NoKey::Empty),
        Some(key) if key.len() > KEY_BYTES => Err(NoKey::Long),
        Some(key) => Ok(key),
    };
    Made { key, warning }
}

/// The key of a job that names none.
pub(super) fn default_key(job: &str, ref_name: &str) -> String {
    resolved(&format!("{job}/{ref_name}")).join("/")
}

/// Whether a key is of those that `CACHE_FALLBACK_KEY` may not name: caches of protected branches.
pub(super) fn is_protected(key: &str) -> bool {
    key.trim_end_matches(['.', ' ']).ends_with("-protected")
}

fn sanitized(raw: &str) -> Option<String> {
    let mut text = raw.to_owned();
    for (written, meant) in [("%2f", "/"), ("%2F", "/"), ("%2e", "."), ("%2E", "."), ("\\", "/")] {
        text = text.replace(written, meant);
    }
    loop {
        let mut parts = resolved(&text);
        while let Some(last) = parts.pop() {
            let trimmed = last.trim_end();
            if !trimmed.is_empty() {
                parts.push(trimmed);
                break;
            }
        }
        let key = parts.join("/");
        // What is left of a part without its spaces may lead up in turn.
        if resolved(&key) == parts {
            return (!key.is_empty()).then_some(key);
        }
        text = key;
    }
}

/// The parts of a path below a root that nothing leads above.
fn resolved(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_safe_as_the_official_runner_makes_them() {
        for (raw, key) in [
            ("fallback_key", "fallback_key"),
            ("some-job/some-ref", "some-job/some-ref"),
            (".../....", ".../...."),
            ("...", "..."),
            ("fallback_key/", "fallback_key"),
            ("fallback_key ", "fallback_key"),
            ("fallback_key\\", "fallback_key"),
            ("fallback_key/ \\", "fallback_key"),
            ("fallback_key/ / \\  \\", "fallback_key"),
            ("fallback_key / \\o", "fallback_key / /o"),
            ("\t foo bar \t\r", "\t foo bar"),
            (" foo / bar ", " foo / bar"),
            ("foo \t \r ", "foo"),
            ("something %2F something", "something / something"),
            ("something %2f something", "something / something"),
            ("some%2f../job/some/ref/.", "job/some/ref"),
            ("%2E%2E%2E", "..."),
            ("%2E%2e%2E", "..."),
            ("%5C", "%5C"),
            ("%5c", "%5c"),
            ("foo/./bar", "foo/bar"),
            ("foo/blipp/../bar", "foo/bar"),
            ("//foo/bar", "foo/bar"),
            ("./foo/bar", "foo/bar"),
            ("../foo/bar", "foo/bar"),
            (".../foo/bar", ".../foo/bar"),
            ("foo/bar/..", "foo"),
            ("foo/bar/../../../.././blerp", "blerp"),
            ("a/b/c/../../d", "a/d"),
            ("job\\name/git\\ref", "job/name/git/ref"),
            ("foo\\blipp\\..\\bar", "foo/bar"),
            ("\\\\foo\\bar", "foo/bar"),
            ("..\\foo\\bar", "foo/bar"),
            ("foo\\bar\\..\\..\\..\\..\\.\\blerp", "blerp"),
            ("foo/ /bar", "foo/ /bar"),
            ("foo/ / /", "foo"),
        ] {
            let made = make(raw);
            assert_eq!(made.key.as_deref(), Ok(key), "{raw:?}");
            let warning = (raw != key).then(|| format!("cache key {raw:?} sanitized to {key:?}"));
            assert_eq!(made.warning, warning, "{raw:?}");
        }
    }

    #[test]
    fn what_names_nothing_is_no_key() {
        for raw in [
            "\\",
            "\\.",
            "/",
            " ",
            ".",
            "..",
            " / ",
            "//",
            "//\\",
            "../.",
            "foo\\bar\\..\\..",
            "foo/bar/../..",
            " \t\r\n",
            "%2E",
            "%2e%2E",
            ".%2E",
            "%2e.",
        ] {
            let made = make(raw);
            assert_eq!(made.key, Err(NoKey::Empty), "{raw:?}");
            assert_eq!(made.warning, Some(format!("cache key {raw:?} could not be sanitized")));
        }
        assert_eq!(make(""), Made { key: Err(NoKey::Empty), warning: None });
        assert_eq!(make(&"k".repeat(KEY_BYTES + 1)).key, Err(NoKey::Long));
    }

    #[test]
    fn spaces_hide_no_way_up() {
        for (raw, key) in
            [(".. ", None), ("a/.. ", None), ("a/b/..\t/ ", Some("a")), ("a/. ", Some("a")), ("a/b/../.. ", None)]
        {
            assert_eq!(make(raw).key.ok().as_deref(), key, "{raw:?}");
        }
    }

    #[test]
    fn a_job_without_a_key_has_its_own_and_its_branchs() {
        assert_eq!(default_key("unit/test", "feature/x"), "unit/test/feature/x");
        assert_eq!(default_key("../..", "main"), "main");
    }

    #[test]
    fn caches_of_protected_branches_are_told_by_their_end() {
        for (key, protected) in [
            ("k-protected", true),
            ("k-protected. .", true),
            ("k-protected-1", false),
            ("k-non_protected", false),
            ("protected", false),
        ] {
            assert_eq!(is_protected(key), protected, "{key}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_key_leads_down(raw in "[a./\\\\ %2eEfF\\t]{0,24}") {
            if let Ok(key) = make(&raw).key {
                for part in key.split('/') {
                    proptest::prop_assert!(!matches!(part, "" | "." | ".."), "{raw:?} became {key:?}");
                }
                proptest::prop_assert_eq!(make(&key).key, Ok(key.clone()));
            }
        }
    }
}
