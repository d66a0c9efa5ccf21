//! What a stack holds, looked at from outside: both tables, the parameters, the bus, and what the front door wrote
//! according to the witness.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::aws::{Aws, DYNAMODB, EVENTS, SSM};
use crate::http::HttpError;

/// Operations of the front door that change nothing. Whatever else it calls is a write.
const READS: [&str; 6] =
    ["GetItem", "BatchGetItem", "Query", "GetParameter", "GetParametersByPath", "GetCallerIdentity"];

/// The state cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The emulator does not tell.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// The witness's file cannot be read.
    #[error("{path} cannot be read")]
    Witness {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What there is, by a name for people, each with a hash of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State(BTreeMap<String, String>);

impl State {
    fn put(&mut self, name: String, content: &Value) {
        // serde_json's maps are sorted: equal content gives an equal text.
        self.0.insert(name, hex::encode(Sha256::digest(content.to_string())));
    }

    /// One hash of it all.
    pub(super) fn digest(&self) -> String {
        let mut all = Sha256::new();
        for (name, hash) in &self.0 {
            all.update(format!("{name}\n{hash}\n"));
        }
        hex::encode(all.finalize())
    }

    /// The names of what is not as it is in `other`: new, gone or with another content.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.into_iter().filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }

    /// The names that begin so.
    pub(super) fn names(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(move |name| name.strip_prefix(prefix))
    }
}

/// Where the state is.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) aws: Aws,
    /// What people call a table, and its name.
    pub(super) tables: [(&'static str, String); 2],
    /// The path of the parameters.
    pub(super) parameters: String,
    pub(super) buses: [String; 2],
    pub(super) witness: Witness,
}

impl Watch {
    /// Everything as it is now.
    pub(super) async fn look(&mut self) -> Result<State, StateError> {
        let mut state = State::default();
        for (kind, table) in &self.tables {
            self.scan(kind, table, &mut state).await?;
        }
        self.parameters(&mut state).await?;
        for bus in &self.buses {
            self.bus(bus, &mut state).await?;
        }
        self.witness.count(&mut state)?;
        Ok(state)
    }

    async fn scan(&self, kind: &str, table: &str, state: &mut State) -> Result<(), HttpError> {
        let mut input = json!({"TableName": table, "ConsistentRead": true});
        loop {
            let page = self.aws.call(DYNAMODB, "Scan", &input).await?;
            for item in page["Items"].as_array().into_iter().flatten() {
                let key = [&item["pk"]["S"], &item["sk"]["S"]].map(|key| key.as_str().unwrap_or_default());
                state.put(format!("{kind} {}", key.join(" ").trim_end()), item);
            }
            match page.get("LastEvaluatedKey") {
                Some(last) if !last.is_null() => input["ExclusiveStartKey"] = last.clone(),
                _ => return Ok(()),
            }
        }
    }

    async fn parameters(&self, state: &mut State) -> Result<(), HttpError> {
        let mut input = json!({"Path": self.parameters, "Recursive": true, "WithDecryption": true});
        loop {
            let page = self.aws.call(SSM, "GetParametersByPath", &input).await?;
            for parameter in page["Parameters"].as_array().into_iter().flatten() {
                let name = parameter["Name"].as_str().unwrap_or_default();
                state.put(format!("parameter {name}"), &json!([parameter["Value"], parameter["Version"]]));
            }
            match page["NextToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => input["NextToken"] = token.into(),
                None => return Ok(()),
            }
        }
    }

    async fn bus(&self, bus: &str, state: &mut State) -> Result<(), HttpError> {
        let rules = self.aws.call(EVENTS, "ListRules", &json!({"EventBusName": bus})).await?;
        for rule in rules["Rules"].as_array().into_iter().flatten() {
            let name = rule["Name"].as_str().unwrap_or_default();
            let input = json!({"EventBusName": bus, "Rule": name});
            let targets = self.aws.call(EVENTS, "ListTargetsByRule", &input).await?;
            state.put(format!("rule {bus}/{name}"), &json!([rule, targets["Targets"]]));
        }
        Ok(())
    }
}

/// The witness's record of what the front door's functions called.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) path: PathBuf,
    /// The names of the authorizer and of ingest.
    pub(super) functions: [String; 2],
    read: u64,
    writes: BTreeMap<String, u64>,
}

impl Witness {
    pub(super) fn new(path: PathBuf, functions: [String; 2]) -> Self {
        Self { path, functions, read: 0, writes: BTreeMap::new() }
    }

    /// Reads on from where it left, and writes down how often each write was called so far.
    fn count(&mut self, state: &mut State) -> Result<(), StateError> {
        let text = self.rest().map_err(|source| StateError::Witness { path: self.path.clone(), source })?;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let [op, service] = [&line["op"], &line["service"]].map(|word| word.as_str().unwrap_or("unknown"));
            let ours = self.functions.iter().any(|name| line["function"] == **name);
            if ours && !READS.contains(&op) {
                *self.writes.entry(format!("calls {service}:{op}")).or_default() += 1;
            }
        }
        for (name, count) in &self.writes {
            state.put(name.clone(), &json!(count));
        }
        Ok(())
    }

    fn rest(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line that is half written is read the next time.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        self.read += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_new_gone_or_other_is_named() {
        let mut before = State::default();
        before.put("ledger a".into(), &json!(1));
        before.put("ledger b".into(), &json!({"x": 1, "y": 2}));
        before.put("ledger c".into(), &json!(3));
        let mut after = State::default();
        after.put("ledger b".into(), &json!({"y": 2, "x": 1}));
        after.put("ledger c".into(), &json!(4));
        after.put("ledger d".into(), &json!(5));
        assert_eq!(before.differences(&after), ["ledger a", "ledger c", "ledger d"]);
        assert_eq!(before.digest(), before.clone().digest());
        assert_ne!(before.digest(), after.digest());
        assert_eq!(after.names("ledger ").collect::<Vec<_>>(), ["b", "c", "d"]);
    }

    #[test]
    fn the_front_doors_writes_are_counted_once_and_its_reads_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        let line = |function: &str, service: &str, op: &str| {
            format!("{}\n", json!({"function": function, "service": service, "op": op}))
        };
        let mut text = line("ingest", "events", "PutEvents") + &line("ingest", "dynamodb", "GetItem");
        text += &line("router", "dynamodb", "PutItem");
        text += "{\"function\":\"ingest\",\"op\":\"PutIt";
        fs::write(&path, &text).unwrap();
        let mut witness = Witness::new(path.clone(), ["authorizer".into(), "ingest".into()]);
        let mut count = || {
            let mut state = State::default();
            witness.count(&mut state).unwrap();
            state
        };
        let first = count();
        assert_eq!(first.names("calls ").collect::<Vec<_>>(), ["events:PutEvents"]);
        assert_eq!(count(), first);
        fs::write(&path, text + "em\",\"service\":\"dynamodb\"}\n").unwrap();
        assert_eq!(count().differences(&first), ["calls dynamodb:PutItem"]);
    }
}
