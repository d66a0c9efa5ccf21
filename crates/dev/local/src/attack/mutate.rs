//! Mutations of a hook's body, from a seed: the same seed makes the same bytes.

use serde_json::{Map, Value};

use crate::dice::Dice;

/// Values that parsers and stores stumble over, as they are written in JSON or in what is nearly JSON.
const NASTY: [&str; 48] = [
    "null",
    "true",
    "\"\"",
    "\" \"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "0",
    "-0",
    "-1",
    "1.0",
    "1.5",
    "1e3",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "0x10",
    "01",
    "2147483648",
    "4294967296",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "\"7301\"",
    "\"5000000101\"",
    "\"$(reboot)\"",
    "\"../../../etc/passwd\"",
    "\"a#b#c\"",
    "\"job#1#2\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u202e\\ufeff\"",
    "\"a\\r\\nb: c\"",
    "\"'; DROP TABLE--\"",
    "\"{{7*7}}\"",
    "\"running\"",
    "\"success\"",
    "\"9999-12-31T23:59:59Z\"",
    "\"0000-00-00 00:00:00 UTC\"",
    "{\"id\":-1,\"path_with_namespace\":[\"x\"]}",
    "{\"path_with_namespace\":\"/../\"}",
    "{\"$ref\":\"#\"}",
];
/// How deep a nested value is.
const DEPTHS: [usize; 3] = [100, 127, 20_000];

/// One to three mutations of `body`; `other` is what pieces are taken from.
pub(super) fn mutate(dice: &mut Dice, body: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    for _ in 0..=dice.below(3) {
        bytes = match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) if dice.below(3) > 0 => of_members(dice, &object),
            _ => of_bytes(dice, bytes, other),
        };
    }
    bytes
}

fn of_bytes(dice: &mut Dice, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let at = dice.below(bytes.len());
    match dice.below(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..(at + 1 + dice.below(40)).min(bytes.len()))),
        3 => {
            let noise: Vec<u8> = (0..=dice.below(12)).map(|_| dice.next().to_le_bytes()[0]).collect();
            bytes.splice(at..at, noise);
        }
        4 => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[dice.below(other.len())..]);
        }
        _ => {
            let again = bytes[at..(at + 60).min(bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
    }
    bytes
}

/// One member changed, the others as they were. The text is put together here, because no JSON value holds a key twice
/// or a number that is none.
fn of_members(dice: &mut Dice, object: &Map<String, Value>) -> Vec<u8> {
    let mut members: Vec<(String, String)> =
        object.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    if members.is_empty() {
        return dice.pick(&NASTY).as_bytes().to_vec();
    }
    let at = dice.below(members.len());
    match dice.below(6) {
        0 => drop(members.remove(at)),
        1 => {
            let again = (members[at].0.clone(), (*dice.pick(&NASTY)).to_owned());
            members.insert(dice.below(members.len()), again);
        }
        2 => {
            let swapped = swapped(&members[at].1);
            members[at].1 = swapped;
        }
        3 => {
            let depth = *dice.pick(&DEPTHS);
            members[at].1 = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        }
        4 => {
            let value = members[dice.below(members.len())].1.clone();
            members[at].1 = value;
        }
        _ => (*dice.pick(&NASTY)).clone_into(&mut members[at].1),
    }
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{value}", Value::from(&**key))).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// A text as what it says, and anything else as a text.
fn swapped(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Value::String(text)) if !text.is_empty() => text,
        _ => Value::from(value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"build_id":7,"build_name":"unit","project":{"id":1}}"#;

    #[test]
    fn a_seed_makes_the_same_bodies_and_hardly_any_twice() {
        let bodies = |seed| -> Vec<Vec<u8>> {
            (0..500).map(|index| mutate(&mut Dice::new(seed, index), BODY, b"other")).collect()
        };
        assert_eq!(bodies(7), bodies(7));
        let mut all = bodies(7);
        all.sort();
        all.dedup();
        assert!(all.len() > 300, "{} different ones", all.len());
        assert_ne!(bodies(7), bodies(8));
    }

    #[test]
    fn many_stay_json_and_some_have_a_key_twice() {
        let mut dice = Dice::new(1, 0);
        let Ok(Value::Object(object)) = serde_json::from_slice(BODY) else { panic!() };
        let texts: Vec<String> = (0..300).map(|_| String::from_utf8(of_members(&mut dice, &object)).unwrap()).collect();
        let json = texts.iter().filter(|text| serde_json::from_str::<Value>(text).is_ok()).count();
        assert!((150..300).contains(&json), "{json}");
        assert!(texts.iter().any(|text| text.matches("build_id").count() == 2));
    }

    #[test]
    fn no_body_is_too_short_to_be_mutated() {
        let mut dice = Dice::new(3, 0);
        for body in [&b""[..], b"{", b"{}", b"7"] {
            for _ in 0..200 {
                mutate(&mut dice, body, b"");
            }
        }
    }
}
