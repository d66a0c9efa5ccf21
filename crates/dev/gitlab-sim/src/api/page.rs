//! Pagination, by offset and by keyset, with GitLab's headers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::server::answer::Answer;
use crate::server::request::Request;

/// How a list is asked for by keyset: the job whose successors are shown, and how many of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyset {
    /// Only smaller ids are shown.
    pub below: Option<u64>,
    /// So many.
    pub per_page: usize,
}

/// Reads a request for keyset pages of jobs; `None` for one by offset.
///
/// # Errors
/// 405 for another order than the one that GitLab has for jobs, 400 for a cursor that it did not make.
pub(super) fn keyset(request: &Request) -> Result<Option<Keyset>, Answer> {
    match request.query("pagination").as_deref() {
        None | Some("legacy") => return Ok(None),
        Some("keyset") => {}
        Some(_) => return Err(Answer::error(400, "pagination does not have a valid value")),
    }
    let is = |name: &str, value: &str| request.query(name).is_none_or(|given| given == value);
    if !is("order_by", "id") || !is("sort", "desc") {
        return Err(Answer::error(405, "Keyset pagination is not yet available for this type of request"));
    }
    let below =
        request.query("cursor").map(|text| cursor(&text).ok_or_else(|| Answer::error(400, "cursor is invalid")));
    Ok(Some(Keyset { below: below.transpose()?, per_page: per_page(request) }))
}

fn cursor(text: &str) -> Option<u64> {
    let bytes = URL_SAFE.decode(text).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    (value["_kd"] == "n").then(|| value["id"].as_str()?.parse().ok())?
}

/// A keyset page of items that are shown with their ids, the newest first; `items` are all from the cursor on.
pub(super) fn keyset_page(request: &Request, base: &str, keyset: Keyset, items: Vec<(u64, Value)>) -> Answer {
    let more = items.len() > keyset.per_page;
    let shown: Vec<(u64, Value)> = items.into_iter().take(keyset.per_page).collect();
    let last = shown.last().filter(|_| more).map(|(id, _)| *id);
    let answer = Answer::json(200, &Value::Array(shown.into_iter().map(|(_, item)| item).collect()));
    let answer = answer.with("X-Per-Page", keyset.per_page.to_string());
    let Some(last) = last else { return answer };
    let cursor = URL_SAFE.encode(json!({"id": last.to_string(), "_kd": "n"}).to_string());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("cursor", &cursor);
    for (key, value) in url::form_urlencoded::parse(request.query.as_deref().unwrap_or("").as_bytes()) {
        if key != "cursor" {
            query.append_pair(&key, &value);
        }
    }
    answer.with("Link", format!("<{base}{}?{}>; rel=\"next\"", request.path, query.finish()))
}

fn per_page(request: &Request) -> usize {
    number(request, "per_page", 20).min(100)
}

fn number(request: &Request, name: &str, default: usize) -> usize {
    request.query(name).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0).unwrap_or(default)
}

/// A page of a list.
pub(super) fn page(request: &Request, base: &str, items: Vec<Value>) -> Answer {
    let per_page = per_page(request);
    let page = number(request, "page", 1);
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
