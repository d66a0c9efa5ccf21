//! `template.yaml`, and the template of pools: their resources by type, and what they refer to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{read, yaml};

/// The template's file name.
pub const FILE: &str = "template.yaml";
/// The template of a pool.
pub const POOL: &str = "pool/template.yaml";

/// The template.
#[derive(Debug)]
pub struct Template {
    /// Its path below the root.
    pub path: String,
    /// Its text, for rules about lines.
    pub text: String,
    /// Its value, see [`yaml`].
    pub value: Value,
}

/// A function of the template.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its logical id.
    pub id: String,
    /// The name of its binary, and of its folder below `crates/bin`.
    pub part: String,
    /// Its properties.
    pub properties: Value,
}

impl Template {
    /// Reads it.
    ///
    /// # Panics
    /// When it is no YAML.
    #[must_use]
    pub fn load() -> Self {
        Self::at(FILE)
    }

    /// Both that have functions.
    #[must_use]
    pub fn both() -> [Self; 2] {
        [Self::at(FILE), Self::at(POOL)]
    }

    /// Reads another one, by its path below the root.
    ///
    /// # Panics
    /// When it is no YAML.
    #[must_use]
    pub fn at(path: &str) -> Self {
        let text = read(path);
        let value = yaml::load(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text, value }
    }

    /// A top-level section's entries.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.value[name].as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// The resources of a type: logical id and properties.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.section("Resources")
            .filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(id, resource)| (id, &resource["Properties"]))
    }

    /// The functions.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        let function = |(id, properties): (&str, &Value)| Function {
            id: id.to_owned(),
            part: text(&self.value["Resources"][id]["Metadata"]["BuildProperties"]["Binary"]).to_owned(),
            properties: properties.clone(),
        };
        self.resources("AWS::Serverless::Function").map(function).collect()
    }

    /// The function of a part.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn function(&self, part: &str) -> Function {
        let found = self.functions().into_iter().find(|function| function.part == part);
        found.unwrap_or_else(|| panic!("{FILE} has no function with the binary {part}"))
    }
}

/// A scalar's text; empty for anything else.
#[must_use]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A value that may be one or a list of them.
#[must_use]
pub fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Every mapping inside a value, itself included.
#[must_use]
pub fn mappings(value: &Value) -> Vec<&Value> {
    let inner: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let own = value.is_object().then_some(value);
    own.into_iter().chain(inner.into_iter().flat_map(mappings)).collect()
}

/// The names that a value refers to: by `!Ref`, by `!GetAtt`, inside `!Sub`, and the conditions of `!If` and of resources.
#[must_use]
pub fn references(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for map in mappings(value) {
        let attribute = text(&map["!GetAtt"]).split('.').next().unwrap_or_default();
        let condition = text(&map["!If"][0]);
        // A resource's own condition is a text; a statement's is not.
        let named = [text(&map["!Ref"]), attribute, condition, text(&map["!Condition"]), text(&map["Condition"])];
        names.extend(named.into_iter().filter(|name| !name.is_empty()).map(str::to_owned));
        // A text, or a list of a text and what only that text knows.
        let substituted = &map["!Sub"];
        let words = if substituted.is_array() { &substituted[0] } else { substituted };
        let pieces = text(words).split("${").skip(1);
        // `${!x}` is written for somebody else's `${x}`.
        let named = pieces.filter(|piece| !piece.starts_with('!')).filter_map(|piece| piece.split(['}', '.']).next());
        names.extend(named.filter(|name| substituted[1][*name].is_null()).map(str::to_owned));
    }
    names
}
