//! A mapping file: rows in our JSON, in DynamoDB's, or in the registry file of the original.

use runnerless_core::change::Item;
use runnerless_core::lane::TagSet;
use runnerless_core::route::LANES_PK;
use serde_json::Value;

use super::dynamo_json::{is_typed, plain_item};
use super::table::REVISION;

/// One row of the file, not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRow {
    /// Which row of the file, from 1.
    pub position: usize,
    /// Its attributes as plain JSON.
    pub item: Item,
}

/// A file that holds no mapping.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no JSON.
    #[error("the file is no JSON")]
    Json(#[from] serde_json::Error),
    /// It is JSON of another kind.
    #[error(
        "the file holds no mapping rows; write a list of rows, {{\"rows\": [..]}}, a BatchWriteItem request, a scan's \
         {{\"Items\": [..]}}, or the registry {{\"jobs\": [..]}}"
    )]
    Shape,
    /// One of its rows is no row.
    #[error("row {position} of the file: {problem}")]
    Row {
        /// Which, from 1.
        position: usize,
        /// What is wrong with it, with the cure.
        problem: String,
    },
}

/// Reads a file's text. Formats, told apart by their shape:
/// a list of rows; `{"rows": [..]}`; `[{"PutRequest": {"Item": ..}}]` and `{"<table>": [{"PutRequest": ..}]}`, what
/// `aws dynamodb batch-write-item` takes; `{"Items": [..]}`, what `aws dynamodb scan` prints;
/// `{"jobs": [{"type", "name", "tags", "lambdaArn"}]}`, the registry of gitlab-runners-on-aws. A row may be in plain or
/// in DynamoDB's JSON wherever it stands. Lane entries and the loader's revision are no rows and are left out.
///
/// # Errors
/// The file is none of these, or a row is no object of its kind. What the rows say is not looked at here.
pub fn read(text: &str) -> Result<Vec<FileRow>, FileError> {
    let value: Value = serde_json::from_str(text)?;
    let entries = match value {
        Value::Array(entries) => entries,
        Value::Object(mut object) => match ["rows", "Items", "jobs"].iter().find_map(|name| object.remove(*name)) {
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(FileError::Shape),
            None if object.contains_key("pk") => vec![Value::Object(object)],
            None => requests(object)?,
        },
        _ => return Err(FileError::Shape),
    };
    let numbered = entries.into_iter().enumerate().map(|(at, entry)| (at + 1, entry));
    let rows = numbered.map(|(position, entry)| {
        let mut item = row(entry).map_err(|problem| FileError::Row { position, problem })?;
        as_stored(&mut item);
        Ok(FileRow { position, item })
    });
    // A scan of the table also has what the loader keeps there for itself.
    rows.filter(|row| !row.as_ref().is_ok_and(|row| is_own(&row.item))).collect()
}

fn is_own(item: &Item) -> bool {
    matches!(item.get("pk").and_then(Value::as_str), Some(pk) if pk == LANES_PK || pk == REVISION.0)
}

/// The requests of all tables of a BatchWriteItem request; `{"RequestItems": {..}}` around them is taken off.
fn requests(mut object: Item) -> Result<Vec<Value>, FileError> {
    if let Some(Value::Object(inner)) = object.remove("RequestItems") {
        object = inner;
    }
    if object.is_empty() {
        return Err(FileError::Shape);
    }
    let mut all = Vec::new();
    for (_, value) in object {
        let Value::Array(entries) = value else { return Err(FileError::Shape) };
        if !entries.iter().all(|entry| entry.get("PutRequest").is_some() || entry.get("DeleteRequest").is_some()) {
            return Err(FileError::Shape);
        }
        all.extend(entries);
    }
    Ok(all)
}

/// Writes values as they come back from DynamoDB, so that a second load finds nothing to change: nulls are absent, and
/// a number without a fraction is whole.
fn as_stored(item: &mut Item) {
    item.retain(|_, value| !value.is_null());
    item.iter_mut().for_each(|(_, value)| normalise(value));
}

fn normalise(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let fraction_free = number.as_f64().filter(|float| float.fract() == 0.0);
            if let Some(whole) = fraction_free.and_then(|float| format!("{float:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(normalise),
        Value::Object(map) => as_stored(map),
        _ => {}
    }
}

fn row(entry: Value) -> Result<Item, String> {
    let Value::Object(mut object) = entry else { return Err("is no object; write {\"pk\": .., \"sk\": ..}".into()) };
    if object.contains_key("DeleteRequest") {
        return Err("is a DeleteRequest; delete rows with `runnerless map delete`".into());
    }
    if let Some(request) = object.remove("PutRequest") {
        let item = request.get("Item").and_then(Value::as_object);
        object = item.cloned().ok_or("PutRequest has no Item; write {\"PutRequest\": {\"Item\": {..}}}")?;
    }
    if is_typed(&object) {
        return plain_item(&object).map_err(|name| {
            format!(
                "{name} is no DynamoDB value while pk is one; write {{\"S\": \"text\"}}, or plain values throughout"
            )
        });
    }
    if !object.contains_key("pk") && object.contains_key("name") && object.contains_key("tags") {
        return registry_row(object);
    }
    Ok(object)
}

/// A row of the original's registry. What it does not know is kept.
fn registry_row(mut object: Item) -> Result<Item, String> {
    let name = object.remove("name").and_then(|name| name.as_str().map(str::to_owned));
    let name = name.ok_or("name is no text; write the job's name")?;
    let tags = object.remove("tags").unwrap_or_default();
    let tags: Option<Vec<&str>> = tags.as_array().and_then(|tags| tags.iter().map(Value::as_str).collect());
    let tags = tags.ok_or("tags is no list of texts; write a list such as [\"a\", \"b\"]")?;
    let tags = TagSet::new(tags).map_err(|bad| format!("tags holds {bad}"))?;
    object.insert("pk".into(), format!("job#{name}").into());
    object.insert("sk".into(), tags.sort_key().into());
    if let Some(arn) = object.remove("lambdaArn")
        && object.get("type").and_then(Value::as_str) == Some("LAMBDA")
    {
        object.insert("arn".into(), arn);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items(value: &Value) -> Vec<Value> {
        read(&value.to_string()).unwrap().into_iter().map(|row| Value::Object(row.item)).collect()
    }

    #[test]
    fn every_format_gives_the_same_row() {
        let plain = json!({"pk": "job#unit", "sk": "tags#a#b", "type": "LAMBDA", "arn": "arn", "n": 1, "l": ["x"]});
        let typed = json!({"pk": {"S": "job#unit"}, "sk": {"S": "tags#a#b"}, "type": {"S": "LAMBDA"},
            "arn": {"S": "arn"}, "n": {"N": "1"}, "l": {"SS": ["x"]}});
        let put = json!({"PutRequest": {"Item": typed}});
        for file in [
            json!([plain]),
            json!({"rows": [plain]}),
            plain.clone(),
            json!([typed]),
            json!([put]),
            json!({"GitLabJobTagsMapping": [put]}),
            json!({"RequestItems": {"GitLabJobTagsMapping": [put]}}),
            json!({"Items": [typed], "Count": 1, "ScannedCount": 1, "ConsumedCapacity": null}),
        ] {
            assert_eq!(items(&file), std::slice::from_ref(&plain), "{file}");
        }
    }

    #[test]
    fn the_registry_of_the_original_is_converted() {
        let file = json!({"jobs": [
            {"type": "LAMBDA", "name": "unit", "tags": ["b", "a"], "lambdaArn": "arn"},
            {"type": "EC2", "name": "image", "tags": [], "lambdaArn": "", "note": 1},
        ]});
        assert_eq!(
            items(&file),
            [
                json!({"pk": "job#unit", "sk": "tags#a#b", "type": "LAMBDA", "arn": "arn"}),
                json!({"pk": "job#image", "sk": "tags#", "type": "EC2", "note": 1}),
            ]
        );
    }

    #[test]
    fn a_scan_of_the_table_is_its_rows() {
        let scan = json!({"Items": [
            {"pk": {"S": "lanes"}, "sk": {"S": "tags#a"}},
            {"pk": {"S": "loader"}, "sk": {"S": "revision"}, "n": {"N": "3"}},
            {"pk": {"S": "job#u"}, "sk": {"S": "tags#a"}},
        ]});
        assert_eq!(items(&scan), [json!({"pk": "job#u", "sk": "tags#a"})]);
    }

    #[test]
    fn values_are_as_they_come_back_from_the_table() {
        let file = json!([{"pk": "job#u", "gone": null, "n": 2.0, "f": 1.5, "m": {"gone": null, "l": [1e3, null]}}]);
        assert_eq!(items(&file), [json!({"pk": "job#u", "n": 2, "f": 1.5, "m": {"l": [1000, null]}})]);
    }

    #[test]
    fn what_is_no_mapping_is_said_with_the_rows_position() {
        for (file, word) in [
            ("{", "no JSON"),
            ("3", "no mapping rows"),
            ("{}", "no mapping rows"),
            (r#"{"rows": 1}"#, "no mapping rows"),
            (r#"{"a": [1]}"#, "no mapping rows"),
            (r#"[{"pk": "a"}, 1]"#, "row 2"),
            (r#"[{"PutRequest": {}}]"#, "row 1"),
            (r#"[{"DeleteRequest": {}}]"#, "map delete"),
            (r#"[{"pk": {"S": "a"}, "type": "EC2"}]"#, "type is no DynamoDB value"),
            (r#"{"jobs": [{"type": "EC2", "name": "u", "tags": ["a#b"]}]}"#, "'#'"),
            (r#"{"jobs": [{"type": "EC2", "name": "u", "tags": "a"}]}"#, "tags is no list"),
        ] {
            let error = read(file).unwrap_err().to_string();
            assert!(error.contains(word), "{file}: {error}");
        }
    }
}
