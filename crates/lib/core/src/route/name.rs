//! Job names as `parallel` and `matrix` make them.

/// The name that stands in `.gitlab-ci.yml`: without ` 3/12` of `parallel: 12` and without `: [linux, 1.2]` of a
/// matrix. A name that has neither is its own base name.
#[must_use]
pub fn base_name(name: &str) -> &str {
    without_matrix(name).or_else(|| without_index(name)).unwrap_or(name)
}

fn without_matrix(name: &str) -> Option<&str> {
    let inner = name.strip_suffix(']')?;
    let at = inner.find(": [")?;
    (at > 0).then(|| &name[..at])
}

fn without_index(name: &str) -> Option<&str> {
    let (base, index) = name.rsplit_once(' ')?;
    let (n, of) = index.split_once('/')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (number(n) && number(of) && !base.is_empty()).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_and_matrix_names_have_a_base() {
        for (name, base) in [
            ("rspec 3/12", "rspec"),
            ("test: [linux, 1.2]", "test"),
            ("build all: [a]", "build all"),
            ("unit", "unit"),
            ("a/b", "a/b"),
            ("deploy 1/", "deploy 1/"),
            ("deploy x/2", "deploy x/2"),
            (": [a]", ": [a]"),
            (" 1/2", " 1/2"),
            ("", ""),
        ] {
            assert_eq!(base_name(name), base, "{name:?}");
        }
    }
}
