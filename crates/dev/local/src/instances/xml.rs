//! The XML that EC2 and IAM answer with, as the emulator writes it: elements and text. Attributes are skipped.

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document's root; `None` when it is not well formed.
    pub(crate) fn parse(document: &str) -> Option<Self> {
        let mut open = vec![Self::default()];
        let mut rest = document;
        while let Some((text, tagged)) = rest.split_once('<') {
            open.last_mut()?.text.push_str(&unescaped(text.trim()));
            if let Some(comment) = tagged.strip_prefix("!--") {
                rest = comment.split_once("-->")?.1;
                continue;
            }
            let (tag, after) = tagged.split_once('>')?;
            rest = after;
            if tag.starts_with('?') || tag.starts_with('!') {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let closed = open.pop()?;
                if closed.name != name.trim() {
                    return None;
                }
                open.last_mut()?.children.push(closed);
                continue;
            }
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let name = tag.split_ascii_whitespace().next()?.to_owned();
            let element = Self { name, ..Self::default() };
            if is_empty {
                open.last_mut()?.children.push(element);
            } else {
                open.push(element);
            }
        }
        let root = open.pop()?;
        if open.is_empty() { root.children.into_iter().next() } else { None }
    }

    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The element at the end of this path of names.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The text at the end of this path of names; none when it is empty.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|element| element.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The text of this very element.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The elements of the list of this name: EC2 calls each an `item`, IAM a `member`.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &Self> {
        let children = self.child(name).map(|list| list.children.as_slice()).unwrap_or_default();
        children.iter().filter(|child| matches!(child.name.as_str(), "item" | "member"))
    }
}

fn unescaped(text: &str) -> String {
    let named = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    named.replace("&#39;", "'").replace("&#x27;", "'").replace("&#34;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_texts_comments_and_entities_are_read() {
        let document = r#"<?xml version="1.0"?>
            <R xmlns="http://x"><set><item><id>i-1</id><!-- <id>i-2</id> --><none/></item><item><id>a&lt;b&amp;lt;</id></item></set></R>"#;
        let root = Element::parse(document).unwrap();
        let ids: Vec<_> = root.list("set").map(|item| item.text_at(&["id"])).collect();
        assert_eq!(ids, [Some("i-1"), Some("a<b&lt;")]);
        assert_eq!(root.at(&["set", "item", "none"]).map(Element::text), Some(""));
        assert_eq!(root.text_at(&["set", "item", "none"]), None);
    }

    #[test]
    fn what_is_not_well_formed_is_nothing() {
        for text in ["", "text", "<a>", "<a></b>", "<a><b></a></b>", "<a", "</a>"] {
            assert_eq!(Element::parse(text), None, "{text}");
        }
    }
}
