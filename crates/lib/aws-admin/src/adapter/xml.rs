//! As much of XML as CloudFormation's answers take: elements without attributes, by their names.

/// The inside of the first element of this name; `None` without one. Elements of one name are not within each other.
pub(super) fn element<'x>(text: &'x str, name: &str) -> Option<&'x str> {
    elements(text, name).next()
}

/// The insides of all elements of this name, in order.
pub(super) fn elements<'x>(text: &'x str, name: &str) -> impl Iterator<Item = &'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (inside, after) = after.split_once(&close)?;
        rest = after;
        Some(inside)
    })
}

/// Text as it was meant.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let meant = after.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        match meant {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_name_and_text_is_plain() {
        let text = "<a><b>1</b><c/><b>x &amp;&lt;y&#62; &#x27;&nbsp;& z</b></a><bb>no</bb>";
        let all: Vec<&str> = elements(text, "b").collect();
        assert_eq!((all.len(), element(text, "d"), element(text, "a").is_some()), (2, None, true));
        assert_eq!(plain(all[1]), "x &<y> '&nbsp;& z");
        assert_eq!(element("<a>cut", "a"), None);
    }
}
