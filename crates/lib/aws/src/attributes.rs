//! DynamoDB's attribute values and plain JSON, both ways.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use runnerless_core::change::Item;
use serde_json::{Number, Value};

/// A row as DynamoDB takes it. Nulls are left out: our rows say "absent", never "null".
pub fn to_attributes(item: &Item) -> HashMap<String, AttributeValue> {
    item.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), to_attribute(value))).collect()
}

pub fn to_attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(entries) => AttributeValue::L(entries.iter().map(to_attribute).collect()),
        Value::Object(map) => AttributeValue::M(to_attributes(map)),
    }
}

/// A row as JSON. Sets become lists in order; binary attributes, which nothing of ours writes, become their length in
/// words, so that showing a row never fails.
pub fn to_item(attributes: &HashMap<String, AttributeValue>) -> Item {
    attributes.iter().map(|(name, value)| (name.clone(), to_value(value))).collect()
}

fn to_value(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::N(number) => to_number(number),
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::L(entries) => entries.iter().map(to_value).collect(),
        AttributeValue::M(map) => Value::Object(to_item(map)),
        AttributeValue::Ss(texts) => sorted(texts).into_iter().map(Value::String).collect(),
        AttributeValue::Ns(numbers) => sorted(numbers).iter().map(|number| to_number(number)).collect(),
        AttributeValue::B(blob) => Value::String(format!("{} bytes", blob.as_ref().len())),
        AttributeValue::Bs(blobs) => Value::String(format!("{} binary values", blobs.len())),
        _ => Value::Null,
    }
}

fn to_number(text: &str) -> Value {
    text.parse::<Number>().map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

fn sorted(texts: &[String]) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_survives_both_ways_and_nulls_are_absent() {
        let Value::Object(item) = json!({
            "pk": "job#unit", "n": 9_007_199_254_740_993_u64, "neg": -3, "flag": true,
            "list": ["a", {"deep": [1, 2]}], "gone": null
        }) else {
            panic!("no object")
        };
        let mut expected = item.clone();
        expected.remove("gone");
        assert_eq!(to_item(&to_attributes(&item)), expected);
    }

    #[test]
    fn a_set_that_somebody_wrote_by_hand_becomes_a_list() {
        let attributes = HashMap::from([("tags".to_owned(), AttributeValue::Ss(vec!["b".into(), "a".into()]))]);
        assert_eq!(to_item(&attributes)["tags"], json!(["a", "b"]));
    }
}
