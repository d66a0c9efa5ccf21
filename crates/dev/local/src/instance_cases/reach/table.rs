//! What is expected of each attempt.

use serde_json::Value;

/// What a job may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// It is refused.
    Refused,
    /// Nothing of ours is there.
    Nothing,
    /// This and nothing else, which `docs/security.md` names.
    Only(&'static str),
}

use Expectation::{Nothing, Only, Refused};

impl Expectation {
    pub(super) fn words(self) -> String {
        match self {
            Refused => "refused".to_owned(),
            Nothing => "nothing of ours".to_owned(),
            Only(kind) => format!("the {kind} of its own launch, nothing else"),
        }
    }

    /// Whether the probe's row is that.
    pub(super) fn holds(self, row: &Value) -> bool {
        let Some(found) = row["found"].as_array() else { return false };
        match self {
            Refused => found.is_empty() && row["error"].is_string(),
            Nothing => found.is_empty(),
            Only(kind) => found.len() == 1 && found[0] == kind && row["error"].is_null(),
        }
    }
}

/// Every attempt of `probe.py` by its name.
pub(super) const ATTEMPTS: [(&str, Expectation); 17] = [
    ("environment of every process", Nothing),
    ("command line of every process", Nothing),
    ("memory of every process", Nothing),
    ("open files of every process, deleted and anonymous ones too", Nothing),
    ("files of everybody", Nothing),
    ("core files", Nothing),
    ("swap", Nothing),
    ("metadata service, without a session", Refused),
    ("metadata service, with a new session", Refused),
    ("metadata service, with a session of the runner's", Refused),
    ("POST /claim, unsigned", Refused),
    ("POST /claim, signed with a key that is made up", Refused),
    ("POST /launch, with a nonce that is guessed", Refused),
    // Its user is root there; the nonce speaks for this launch alone.
    ("POST /launch, with what looks like a nonce in the runner's memory", Only("nonce")),
    ("POST /launch, with the same for another launch", Refused),
    // What its own file says it may do.
    ("POST /launch, with that nonce for a cache that the job names", Only("cache URL")),
    ("POST /launch, with that nonce for the same cache of other branches", Refused),
];

/// Whether the attempt found what was planted for it.
pub(super) fn proves(row: &Value) -> bool {
    row["control"]["error"].is_null() && row["control"]["found"].as_array().is_some_and(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_found_fits_no_other_expectation_and_an_attempt_that_was_not_made_none() {
        let row = |error: Value, found: &[&str]| json!({"error": error, "found": found});
        let (refused, nothing) = (row(json!("HTTP status 403"), &[]), row(Value::Null, &[]));
        let (token, nonce) = (row(Value::Null, &["lane token"]), row(Value::Null, &["nonce"]));
        let both = row(Value::Null, &["lane token", "nonce"]);
        for (expectation, fitting) in
            [(Refused, vec![&refused]), (Nothing, vec![&refused, &nothing]), (Only("nonce"), vec![&nonce])]
        {
            let all = [&refused, &nothing, &token, &nonce, &both];
            let held: Vec<_> = all.into_iter().filter(|row| expectation.holds(row)).collect();
            assert_eq!(held, fitting, "{expectation:?}");
            assert!(!expectation.holds(&json!({})));
        }
        assert!(!proves(&json!({"control": {"error": null, "found": []}})) && !proves(&json!({})));
        assert!(proves(&json!({"control": {"error": null, "found": ["planted key"]}})));
        assert!(!proves(&json!({"control": {"error": "x", "found": ["planted key"]}})));
    }
}
