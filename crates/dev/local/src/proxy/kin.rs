//! What a call is about, where that is asked for: a suite names what it watches, each by words that nothing else has (a lane's
//! id, a job's number). Launches and instances have no such name beforehand: their ids are learned from the calls that name
//! them beside a known word, and from the answer to `CreateFleet`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// Lengths of the ids that are learned: `l-` and twenty characters, `i-` and seventeen.
const LEARNED: [(&str, usize); 2] = [("l-", 22), ("i-", 19)];

/// Something to be watched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// What faults and the record call it.
    pub name: String,
    /// Words of letters, digits and `-` that stand for it.
    pub words: Vec<String>,
}

/// Whose words are whose.
#[derive(Debug, Default)]
pub(super) struct Kin(Mutex<HashMap<String, String>>);

impl Kin {
    /// Watches for these words, too.
    pub(super) fn watch(&self, watch: Watch) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(watch.words.into_iter().map(|word| (word, watch.name.clone())));
    }

    /// Whether anything is watched: bodies are read only then.
    pub(super) fn watches(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What a request is about: none when it is about several, as a sweep's reads are. Its ids are learned.
    pub(super) fn read(&self, body: &[u8]) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named: BTreeSet<&String> = words(body).filter_map(|word| known.get(word)).collect();
        let name = named.first().filter(|_| named.len() == 1).map(|name| (*name).clone())?;
        learn(&mut known, &name, body);
        Some(name)
    }

    /// Learns the ids of an answer to such a request.
    pub(super) fn learn(&self, name: &str, answer: &[u8]) {
        learn(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), name, answer);
    }
}

fn learn(known: &mut HashMap<String, String>, name: &str, text: &[u8]) {
    let is_id = |word: &&str| LEARNED.iter().any(|(prefix, length)| word.starts_with(prefix) && word.len() == *length);
    for word in words(text).filter(is_id) {
        known.entry(word.to_owned()).or_insert_with(|| name.to_owned());
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &str> {
    let parts = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    parts.filter(|part| !part.is_empty()).filter_map(|part| std::str::from_utf8(part).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAUNCH: &str = "l-4n8w2c6h0r5t9v3x7z1b";
    const INSTANCE: &str = "i-0123456789abcdef0";

    fn kin() -> Kin {
        let kin = Kin::default();
        for (name, word) in [("a", "00aa00aa00aa00aa"), ("b", "00bb00bb00bb00bb")] {
            kin.watch(Watch { name: name.into(), words: vec![word.into()] });
        }
        kin
    }

    #[test]
    fn launches_and_instances_are_learned_from_what_names_them_beside_a_known_word() {
        let kin = kin();
        let get = format!(r#"{{"Key":{{"pk":{{"S":"launch#{LAUNCH}"}}}}}}"#);
        assert_eq!(kin.read(get.as_bytes()), None, "nobody knows it yet");
        let charge = format!(r#"{{"pk":{{"S":"launch#{LAUNCH}"}},"lane":{{"S":"00aa00aa00aa00aa"}}}}"#);
        assert_eq!(kin.read(charge.as_bytes()).as_deref(), Some("a"));
        assert_eq!(kin.read(get.as_bytes()).as_deref(), Some("a"));
        let end = format!("Action=TerminateInstances&InstanceId.1={INSTANCE}");
        assert_eq!(kin.read(end.as_bytes()), None);
        kin.learn("a", format!("<item>{INSTANCE}</item>").as_bytes());
        assert_eq!(kin.read(end.as_bytes()).as_deref(), Some("a"));
    }

    #[test]
    fn a_call_about_several_is_about_none_and_teaches_nothing() {
        let kin = kin();
        let both = format!("00aa00aa00aa00aa 00bb00bb00bb00bb {LAUNCH}");
        assert_eq!(kin.read(both.as_bytes()), None);
        assert_eq!(kin.read(LAUNCH.as_bytes()), None);
    }
}
