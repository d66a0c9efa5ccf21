//! Ties: two rows that could be equally specific for one job are refused when they are loaded.

use crate::route::decide::literal_len;
use crate::route::{MapRow, Matcher, Scope};

/// Whether some job could match both rows with the same rank. Says yes where it cannot be excluded.
#[must_use]
pub fn could_tie(one: &MapRow, other: &MapRow) -> bool {
    names_tie(&one.matcher, &other.matcher)
        && scopes_tie(&one.scope, &other.scope)
        && refs_tie(&one.scope.refs, &other.scope.refs)
        && stages_tie(&one.scope.stages, &other.scope.stages)
}

fn names_tie(one: &Matcher, other: &Matcher) -> bool {
    match (one, other) {
        (Matcher::Name(a), Matcher::Name(b)) => a == b,
        (Matcher::Pattern(a), Matcher::Pattern(b)) => literal_len(a) == literal_len(b) && patterns_meet(a, b),
        _ => false,
    }
}

/// Whether two patterns could match one text, judged by their literal starts and ends.
fn patterns_meet(a: &str, b: &str) -> bool {
    fn head(pattern: &str) -> &str {
        &pattern[..pattern.find(['*', '?']).unwrap_or(pattern.len())]
    }
    fn tail(pattern: &str) -> &str {
        pattern.rfind(['*', '?']).map_or(pattern, |at| &pattern[at + 1..])
    }
    let heads = head(a).starts_with(head(b)) || head(b).starts_with(head(a));
    let tails = tail(a).ends_with(tail(b)) || tail(b).ends_with(tail(a));
    heads && tails
}

fn scopes_tie(one: &Scope, other: &Scope) -> bool {
    if one.is_global() || other.is_global() {
        return one.is_global() && other.is_global();
    }
    // Of two groups that both hold a project, the one with the longer path wins: only the same group ties.
    share(&one.projects, &other.projects) || share(&one.groups, &other.groups)
}

fn refs_tie(one: &[String], other: &[String]) -> bool {
    if one.is_empty() || other.is_empty() {
        return one.is_empty() && other.is_empty();
    }
    let is_pattern = |text: &String| text.contains(['*', '?']);
    share(one, other) || (one.iter().any(is_pattern) && other.iter().any(is_pattern))
}

fn stages_tie(one: &[String], other: &[String]) -> bool {
    if one.is_empty() || other.is_empty() { one.is_empty() && other.is_empty() } else { share(one, other) }
}

fn share(one: &[String], other: &[String]) -> bool {
    one.iter().any(|entry| other.contains(entry))
}
