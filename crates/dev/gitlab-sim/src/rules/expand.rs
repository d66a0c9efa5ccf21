//! What the server does to variables before a runner sees them (contract, section 3.3).
//!
//! References between server-side variables are replaced; those to unknown variables, to file variables and to raw
//! variables stay as they are; raw values are not touched. In a circle nothing is replaced at all.

use std::collections::BTreeSet;

use crate::world::spec::Variable;

/// The variables in the order in which the runner gets them: each after those that it refers to.
pub(crate) fn expand(variables: &[Variable]) -> Vec<Variable> {
    let Some(order) = sorted(variables) else { return variables.to_vec() };
    let mut done: Vec<Variable> = Vec::with_capacity(variables.len());
    for at in order {
        let mut variable = variables[at].clone();
        if !variable.raw {
            variable.value = replace(&variable.value, |name| known(&done, name));
        }
        done.push(variable);
    }
    done
}

/// A text with the references to these variables, which are expanded, replaced.
pub(crate) fn expanded(text: &str, variables: &[Variable]) -> String {
    replace(text, |name| known(variables, name))
}

fn known<'a>(done: &'a [Variable], name: &str) -> Option<&'a str> {
    let last = done.iter().rev().find(|variable| variable.key == name)?;
    (!last.file && !last.raw).then_some(last.value.as_str())
}

/// Depth-first order, or `None` when two or more variables refer to each other.
fn sorted(variables: &[Variable]) -> Option<Vec<usize>> {
    let mut state = Visit { variables, order: Vec::new(), placed: BTreeSet::new(), open: BTreeSet::new() };
    for at in 0..variables.len() {
        state.visit(at)?;
    }
    Some(state.order)
}

struct Visit<'a> {
    variables: &'a [Variable],
    order: Vec<usize>,
    placed: BTreeSet<usize>,
    open: BTreeSet<usize>,
}

impl Visit<'_> {
    fn visit(&mut self, at: usize) -> Option<()> {
        if self.placed.contains(&at) {
            return Some(());
        }
        if !self.open.insert(at) {
            return None;
        }
        for name in references(&self.variables[at]) {
            // The last definition counts; a variable that names itself means its earlier definition.
            let target = self.variables.iter().rposition(|other| other.key == name);
            if let Some(target) = target.filter(|target| self.variables[*target].key != self.variables[at].key) {
                self.visit(target)?;
            }
        }
        self.open.remove(&at);
        self.placed.insert(at);
        self.order.push(at);
        Some(())
    }
}

fn references(variable: &Variable) -> Vec<String> {
    let mut names = Vec::new();
    if !variable.raw {
        let _ = replace(&variable.value, |name| {
            names.push(name.to_owned());
            None
        });
    }
    names
}

/// Replaces `$X`, `${X}` and `%X%` where `value` knows X; `$$` and `%%` stay as they are.
fn replace<'a>(text: &str, mut value: impl FnMut(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (whole, name) = reference(rest);
        match name.and_then(&mut value) {
            Some(known) => out.push_str(known),
            None => out.push_str(&rest[..whole]),
        }
        rest = &rest[whole..];
    }
    out.push_str(rest);
    out
}

/// Length of what begins the text, and the name if it is a reference.
fn reference(text: &str) -> (usize, Option<&str>) {
    let sign = &text[..1];
    let after = &text[1..];
    if after.starts_with(sign) {
        return (2, None);
    }
    if sign == "%" {
        let name = word(after);
        return if !name.is_empty() && after[name.len()..].starts_with('%') {
            (name.len() + 2, Some(name))
        } else {
            (1, None)
        };
    }
    if let Some(inner) = after.strip_prefix('{') {
        let name = word(inner);
        return if !name.is_empty() && inner[name.len()..].starts_with('}') {
            (name.len() + 3, Some(name))
        } else {
            (1, None)
        };
    }
    let name = word(after);
    if name.is_empty() { (1, None) } else { (name.len() + 1, Some(name)) }
}

fn word(text: &str) -> &str {
    let is_first = |c: char| c == '_' || c.is_ascii_alphabetic();
    if !text.starts_with(is_first) {
        return "";
    }
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let variables: Vec<Variable> = list.iter().map(|(key, value)| Variable::public(key, *value)).collect();
        expand(&variables).into_iter().map(|variable| (variable.key, variable.value)).collect()
    }

    fn value(list: &[(&str, &str)], key: &str) -> String {
        values(list).into_iter().rev().find(|(name, _)| name == key).unwrap().1
    }

    #[test]
    fn references_forwards_and_backwards() {
        assert_eq!(value(&[("A", "x${B}y"), ("B", "$C!"), ("C", "1")], "A"), "x1!y");
        assert_eq!(value(&[("A", "%B%"), ("B", "b")], "A"), "b");
    }

    #[test]
    fn the_unknown_and_the_escaped_stay() {
        assert_eq!(value(&[("A", "$CI_PROJECT_DIR/$$B/${no"), ("B", "b")], "A"), "$CI_PROJECT_DIR/$$B/${no");
        assert_eq!(value(&[("A", "100%"), ("B", "b")], "A"), "100%");
    }

    #[test]
    fn file_and_raw_are_left_alone() {
        let variables = [
            Variable { file: true, ..Variable::public("F", "content") },
            Variable { raw: true, ..Variable::public("R", "$A") },
            Variable::public("A", "$F $R"),
        ];
        let out = expand(&variables);
        assert_eq!(out.iter().find(|v| v.key == "A").unwrap().value, "$F $R");
        assert_eq!(out.iter().find(|v| v.key == "R").unwrap().value, "$A");
    }

    #[test]
    fn a_circle_stops_everything_and_a_self_reference_means_the_earlier_one() {
        assert_eq!(value(&[("A", "$B"), ("B", "$A"), ("C", "$D"), ("D", "d")], "C"), "$D");
        assert_eq!(value(&[("P", "a"), ("P", "$P:b")], "P"), "a:b");
    }
}
