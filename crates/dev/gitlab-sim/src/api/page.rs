//! Pagination by offset, with GitLab's headers.

use serde_json::Value;

use crate::server::answer::Answer;
use crate::server::request::Request;

/// A page of a list.
pub(super) fn page(request: &Request, base: &str, items: Vec<Value>) -> Answer {
    let number = |name: &str, default: usize| {
        request.query(name).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0).unwrap_or(default)
    };
    let per_page = number("per_page", 20).min(100);
    let page = number("page", 1);
    let total = items.len();
    let pages = total.div_ceil(per_page).max(1);
    let shown: Vec<Value> = items.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    let next = if page < pages { (page + 1).to_string() } else { String::new() };
    let previous = if page > 1 { (page - 1).to_string() } else { String::new() };
    let link = |to: &str, relation: &str| {
        format!("<{}{}?{}>; rel=\"{relation}\"", base, request.path, query(request, to, per_page))
    };
    let mut links = Vec::new();
    if !previous.is_empty() {
        links.push(link(&previous, "prev"));
    }
    if !next.is_empty() {
        links.push(link(&next, "next"));
    }
    links.push(link("1", "first"));
    links.push(link(&pages.to_string(), "last"));
    Answer::json(200, &Value::Array(shown))
        .with("X-Page", page.to_string())
        .with("X-Per-Page", per_page.to_string())
        .with("X-Total", total.to_string())
        .with("X-Total-Pages", pages.to_string())
        .with("X-Next-Page", next)
        .with("X-Prev-Page", previous)
        .with("Link", links.join(", "))
}

/// The request's query with another page.
fn query(request: &Request, page: &str, per_page: usize) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in url::form_urlencoded::parse(request.query.as_deref().unwrap_or("").as_bytes()) {
        if key != "page" && key != "per_page" {
            out.append_pair(&key, &value);
        }
    }
    out.append_pair("page", page).append_pair("per_page", &per_page.to_string());
    out.finish()
}
