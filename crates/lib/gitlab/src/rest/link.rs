//! `Link` headers: only the cursor of the next page is taken from them, never an address.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

/// Longest cursor that is kept; GitLab's are some sixty characters.
const CURSOR_CHARS: usize = 1024;

/// What a list's answer says of a next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is none.
    None,
    /// It begins at this cursor.
    At(String),
    /// There is one, and nothing says where: the list was not paged by keyset, or the header cannot be read.
    Unreadable,
}

/// Reads the answer's headers.
pub(super) fn next(headers: &HeaderMap) -> Next {
    // An answer by offset: the request for keyset pages was not heard.
    if headers.get("x-next-page").is_some_and(|page| !page.is_empty()) {
        return Next::Unreadable;
    }
    for header in headers.get_all(LINK) {
        let Ok(text) = header.to_str() else { return Next::Unreadable };
        if let Some(url) = target(text, "next") {
            return cursor(url).map_or(Next::Unreadable, Next::At);
        }
    }
    Next::None
}

/// Whether a list by offset goes on.
pub(super) fn goes_on(headers: &HeaderMap) -> bool {
    next(headers) != Next::None
}

/// The target of the link with this relation: `<url>; rel="next", <url>; rel="first"`.
fn target<'a>(text: &'a str, relation: &str) -> Option<&'a str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let (url, after) = after.split_once('>')?;
        let parameters = after.split_once('<').map_or(after, |(parameters, _)| parameters);
        let is_it = parameters.split([';', ',']).map(str::trim).any(|parameter| {
            let value = parameter.strip_prefix("rel=").map(|value| value.trim_matches('"'));
            value.is_some_and(|value| value.eq_ignore_ascii_case(relation))
        });
        if is_it {
            return Some(url);
        }
        rest = after;
    }
    None
}

fn cursor(url: &str) -> Option<String> {
    let url = Url::parse(url).or_else(|_| Url::parse("http://localhost/").and_then(|base| base.join(url))).ok()?;
    let cursor = url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())?;
    (!cursor.is_empty() && cursor.len() <= CURSOR_CHARS).then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(link: &str) -> Next {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, link.parse().unwrap());
        next(&headers)
    }

    #[test]
    fn the_cursor_is_taken_wherever_the_link_leads() {
        let url = "https://gitlab.example.com/api/v4/projects/1/jobs?cursor=eyJpZCI6IjQifQ&pagination=keyset";
        assert_eq!(of(&format!("<{url}>; rel=\"next\"")), Next::At("eyJpZCI6IjQifQ".into()));
        let two = format!("<https://x.example/?a=<b>; rel=\"prev\", <{url}>; rel=\"next\"");
        assert_eq!(of(&two), Next::At("eyJpZCI6IjQifQ".into()));
        assert_eq!(of("<http://evil.example/?cursor=abc>; rel=\"next\""), Next::At("abc".into()), "only a text");
        assert_eq!(of("</api/v4/x?cursor=a%3Db>; rel=next"), Next::At("a=b".into()));
    }

    #[test]
    fn a_next_page_that_cannot_be_had_is_not_the_end() {
        assert_eq!(of("<https://gitlab.example.com/api/v4/projects/1/jobs?page=2>; rel=\"next\""), Next::Unreadable);
        assert_eq!(of(&format!("<https://x/?cursor={}>; rel=\"next\"", "a".repeat(2000))), Next::Unreadable);
        let mut headers = HeaderMap::new();
        headers.insert("x-next-page", "2".parse().unwrap());
        assert_eq!(next(&headers), Next::Unreadable);
    }

    #[test]
    fn the_last_page_says_nothing_of_a_next_one() {
        assert_eq!(next(&HeaderMap::new()), Next::None);
        assert_eq!(of("<https://x/?cursor=a>; rel=\"first\""), Next::None);
        let mut headers = HeaderMap::new();
        headers.insert("x-next-page", "".parse().unwrap());
        assert_eq!(next(&headers), Next::None);
    }
}
