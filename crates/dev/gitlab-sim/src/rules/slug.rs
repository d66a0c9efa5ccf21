//! GitLab's slugs.

use sha2::{Digest as _, Sha256};

/// `CI_COMMIT_REF_SLUG` and its kin: lower case, everything but `[a-z0-9]` as `-`, 63 bytes, no `-` at the ends.
pub(crate) fn slug(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    let cut: String = plain.trim_start_matches('-').chars().take(63).collect();
    cut.trim_end_matches('-').to_owned()
}

/// The longest slug of an environment, and its part before the sum: `Gitlab::Slug::Environment`.
const ENVIRONMENT_LIMIT: usize = 24;
const ENVIRONMENT_PART: usize = 17;

/// `CI_ENVIRONMENT_SLUG`: begins with a letter, has no two dashes in a row, and ends with six characters of the name's sum
/// where it is not the name itself.
pub(crate) fn environment_slug(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut slug: String = name.to_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    if !slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        slug = format!("env-{slug}");
    }
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    if slug.len() <= ENVIRONMENT_LIMIT && slug == name {
        return slug.trim_end_matches('-').to_owned();
    }
    slug.truncate(ENVIRONMENT_PART);
    let dash = if slug.ends_with('-') { "" } else { "-" };
    format!("{slug}{dash}{}", suffix(name))
}

/// The last six digits, in base 36, of the name's SHA-256 as a number.
fn suffix(name: &str) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let modulus = 36_u64.pow(6);
    let mut rest = Sha256::digest(name).iter().fold(0_u64, |rest, byte| (rest * 256 + u64::from(*byte)) % modulus);
    let mut text = [b'0'; 6];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 36).unwrap_or(0)];
        rest /= 36;
    }
    text.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        assert_eq!(slug("Feature/ABC_1"), "feature-abc-1");
        assert_eq!(slug("-x-"), "x");
        assert_eq!(slug(&"a".repeat(80)).len(), 63);
    }

    /// The sums are Ruby's `Digest::SHA2.hexdigest(name).to_i(16).to_s(36).last(6)`.
    #[test]
    fn environments() {
        for (name, expected) in [
            ("production", "production"),
            ("review/My Branch", "review-my-branch-uz6kjb"),
            ("1", "env-1-x3mbm3"),
            ("a-name-of-more-than-24-characters", "a-name-of-more-th-531p3y"),
            ("review/a-name---longer-than", "review-a-name-lon-vhmcsz"),
        ] {
            assert_eq!(environment_slug(name), expected);
        }
    }
}
