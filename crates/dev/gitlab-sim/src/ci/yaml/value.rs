//! A value of the file.

/// A value, with plain scalars resolved.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Another number, as Ruby prints it.
    Number(String),
    Text(String),
    List(Vec<Value>),
    Map(Map),
}

impl Value {
    /// A scalar as Ruby's `to_s` writes it, which is what a variable becomes. `None` for nothing, lists and maps.
    pub(in super::super) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Number(text) | Self::Text(text) => Some(text.clone()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What it is, for errors.
    pub(in super::super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// How many values it has, itself included.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Map(map) => 1 + map.iter().map(|(key, value)| key.size() + value.size()).sum::<usize>(),
            _ => 1,
        }
    }
}

/// A map in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Map(Vec<(Value, Value)>);

impl Map {
    /// Sets a key: a known one keeps its place.
    pub(in super::super) fn set(&mut self, key: Value, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets all keys of another map.
    pub(super) fn merge(&mut self, other: Self) {
        for (key, value) in other.0 {
            self.set(key, value);
        }
    }

    /// Another map laid over this one: maps under the same key likewise, anything else in the place of what was there.
    /// GitLab's `deep_merge`, by which it joins files and bases.
    pub(in super::super) fn under(mut self, other: &Self) -> Self {
        for (key, value) in &other.0 {
            let below = self.0.iter_mut().find(|(known, _)| known == key);
            match (below, value) {
                (Some((_, Value::Map(below))), Value::Map(over)) => *below = std::mem::take(below).under(over),
                _ => self.set(key.clone(), value.clone()),
            }
        }
        self
    }

    /// Takes a key away; its value, if it was there.
    pub(in super::super) fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| matches!(known, Value::Text(text) if text == key))?;
        Some(self.0.remove(at).1)
    }

    /// The value of a key, unless it is nothing, which is the same as no key.
    pub(in super::super) fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| matches!(known, Value::Text(text) if text == key))
            .map(|(_, value)| value)
            .filter(|value| **value != Value::Null)
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = &(Value, Value)> {
        self.0.iter()
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Value, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.set(key, value);
        }
        map
    }
}
