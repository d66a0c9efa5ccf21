//! What GitLab has of a job's artifacts, unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zip::ZipArchive;

/// One artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The name that the runner gave the file.
    filename: String,
    /// How it is packed.
    format: String,
    /// What is in it, by name: a file's text, `null` for a folder, `{"link": target}` for a link.
    holds: BTreeMap<String, Value>,
}

/// Reads the simulator's view of a job's artifacts. What cannot be unpacked holds why not.
pub(super) fn artifacts(seen: &Value) -> BTreeMap<String, Kept> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kept = |artifact: &Value| {
        let (filename, format) = (text(&artifact["filename"]), text(&artifact["format"]));
        let path = text(&artifact["path"]);
        let holds = match format.as_str() {
            "zip" => zipped(Path::new(&path)),
            "gzip" => gzipped(Path::new(&path)),
            _ => fs::read(&path).map(|bytes| BTreeMap::from([(filename.clone(), shown(&bytes))])),
        };
        let holds = holds.unwrap_or_else(|error| BTreeMap::from([("broken".to_owned(), json!(error.to_string()))]));
        (text(&artifact["type"]), Kept { filename, format, holds })
    };
    seen.as_array().into_iter().flatten().map(kept).collect()
}

fn zipped(path: &Path) -> io::Result<BTreeMap<String, Value>> {
    let mut zip = ZipArchive::new(File::open(path)?)?;
    let mut holds = BTreeMap::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let value = match (entry.is_dir(), entry.is_symlink()) {
            (true, _) => Value::Null,
            (_, true) => json!({"link": shown(&bytes)}),
            _ => shown(&bytes),
        };
        holds.insert(entry.name().to_owned(), value);
    }
    Ok(holds)
}

/// The members of a gzip file, one after the other.
fn gzipped(path: &Path) -> io::Result<BTreeMap<String, Value>> {
    let bytes = fs::read(path)?;
    let (mut rest, mut holds) = (bytes.as_slice(), BTreeMap::new());
    while !rest.is_empty() {
        let mut member = GzDecoder::new(rest);
        let mut content = Vec::new();
        member.read_to_end(&mut content)?;
        let name = member.header().and_then(|header| header.filename()).unwrap_or_default();
        holds.insert(String::from_utf8_lossy(name).into_owned(), shown(&content));
        rest = member.into_inner();
    }
    Ok(holds)
}

fn shown(bytes: &[u8]) -> Value {
    json!(String::from_utf8_lossy(bytes))
}
