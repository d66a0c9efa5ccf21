//! Job names as `parallel` and `matrix` make them, and where the mapping has a name's rows.

use crate::route::PATTERN_PK;

/// The name that stands in `.gitlab-ci.yml`: without ` 3/12` of `parallel: 12` and without `: [linux, 1.2]` of a
/// matrix. A name that has neither is its own base name.
#[must_use]
pub fn base_name(name: &str) -> &str {
    without_matrix(name).or_else(|| without_index(name)).unwrap_or(name)
}

/// The partitions of the mapping that may hold a row for the job, the most specific first: of its full name, of its base
/// name, and of the patterns.
#[must_use]
pub fn partitions(job_name: &str) -> Vec<String> {
    let base = base_name(job_name);
    let names = [job_name].into_iter().chain((base != job_name).then_some(base));
    names.map(|name| format!("job#{name}")).chain([PATTERN_PK.to_owned()]).collect()
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

    #[test]
    fn a_names_partitions_are_in_the_order_of_their_rank() {
        assert_eq!(partitions("unit"), ["job#unit", "pattern"]);
        assert_eq!(partitions("unit 1/2"), ["job#unit 1/2", "job#unit", "pattern"]);
    }
}
