//! One change of the mapping as a part of a DynamoDB transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use runnerless_aws::attributes::to_attributes;
use runnerless_core::change::Item;

use crate::ports::MapChange;

/// A row or key as DynamoDB has it.
pub(super) type Raw = HashMap<String, AttributeValue>;

/// A row's key.
pub(super) fn key(pk: &str, sk: &str) -> Raw {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(pk.to_owned())),
        ("sk".to_owned(), AttributeValue::S(sk.to_owned())),
    ])
}

/// The change, on condition that the row still is `stored`.
pub(super) fn transact_item(
    table: &str,
    change: &MapChange,
    stored: Option<&Raw>,
) -> Result<TransactWriteItem, BuildError> {
    let condition = Condition::of(change, stored);
    let (pk, sk) = change.key().unwrap_or_default();
    let item = TransactWriteItem::builder();
    let item = match &change.after {
        Some(after) if change.before.as_ref() != Some(after) => item.put(
            Put::builder()
                .table_name(table)
                .set_item(Some(attributes(change, after, stored)))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names)
                .set_expression_attribute_values(condition.values)
                .build()?,
        ),
        None if change.before.is_some() => item.delete(
            Delete::builder()
                .table_name(table)
                .set_key(Some(key(pk, sk)))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names)
                .set_expression_attribute_values(condition.values)
                .build()?,
        ),
        _ => item.condition_check(
            ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key(pk, sk)))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names)
                .set_expression_attribute_values(condition.values)
                .build()?,
        ),
    };
    Ok(item.build())
}

/// The row to write. What does not change stays as DynamoDB has it: our JSON makes lists of sets and words of bytes.
fn attributes(change: &MapChange, after: &Item, stored: Option<&Raw>) -> Raw {
    let mut attributes = to_attributes(after);
    for (name, value) in stored.into_iter().flatten() {
        let kept = change.before.as_ref().and_then(|before| before.get(name));
        if kept.is_some() && kept == after.get(name) {
            attributes.insert(name.clone(), value.clone());
        }
    }
    attributes
}

/// That the row is as it was read: each attribute equal, and none there that the change would create.
struct Condition {
    expression: String,
    names: Option<HashMap<String, String>>,
    values: Option<Raw>,
}

impl Condition {
    fn of(change: &MapChange, stored: Option<&Raw>) -> Self {
        let Some(stored) = stored else {
            return Self { expression: "attribute_not_exists(pk)".to_owned(), names: None, values: None };
        };
        let (mut parts, mut names, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
        for (at, (name, value)) in stored.iter().enumerate() {
            parts.push(format!("#a{at} = :a{at}"));
            names.insert(format!("#a{at}"), name.clone());
            values.insert(format!(":a{at}"), value.clone());
        }
        let created = change.after.iter().flatten().filter(|(name, _)| !stored.contains_key(*name));
        for (at, (name, _)) in created.enumerate() {
            parts.push(format!("attribute_not_exists(#n{at})"));
            names.insert(format!("#n{at}"), name.clone());
        }
        Self { expression: parts.join(" AND "), names: Some(names), values: Some(values) }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use runnerless_aws::attributes::to_item;

    use super::*;

    fn raw() -> Raw {
        let mut raw = key("job#u", "tags#");
        raw.insert("set".into(), AttributeValue::Ss(vec!["b".into(), "a".into()]));
        raw.insert("bytes".into(), AttributeValue::B(Blob::new([1, 2])));
        raw.insert("n".into(), AttributeValue::N("1".into()));
        raw
    }

    #[test]
    fn what_our_json_cannot_say_is_written_back_as_it_was() {
        let before = to_item(&raw());
        let mut after = before.clone();
        after.insert("n".into(), 2.into());
        let change = MapChange { before: Some(before), after: Some(after) };
        let mut expected = raw();
        expected.insert("n".into(), AttributeValue::N("2".into()));
        let item = transact_item("t", &change, Some(&raw())).unwrap();
        assert_eq!(item.put().unwrap().item(), &expected);
    }

    #[test]
    fn the_condition_names_every_attribute_there_is_and_every_one_that_is_made() {
        let before = to_item(&raw());
        let mut after = before.clone();
        after.insert("made".into(), true.into());
        let change = MapChange { before: Some(before), after: Some(after) };
        let item = transact_item("t", &change, Some(&raw())).unwrap();
        let put = item.put().unwrap();
        let values = put.expression_attribute_values().unwrap();
        assert_eq!(values.len(), 5);
        assert!(values.values().any(|value| *value == raw()["set"]));
        let expression = put.condition_expression().unwrap();
        assert_eq!((expression.matches(" = ").count(), expression.matches("attribute_not_exists").count()), (5, 1));
        assert!(put.expression_attribute_names().unwrap().values().any(|name| name == "made"));
    }

    #[test]
    fn a_change_is_a_put_a_delete_or_a_check() {
        let row = to_item(&raw());
        let of = |before: Option<&Item>, after: Option<&Item>| {
            let change = MapChange { before: before.cloned(), after: after.cloned() };
            transact_item("t", &change, before.map(|_| raw()).as_ref()).unwrap()
        };
        assert_eq!(of(None, Some(&row)).put().unwrap().condition_expression(), Some("attribute_not_exists(pk)"));
        assert!(of(Some(&row), None).delete().is_some());
        assert!(of(Some(&row), Some(&row)).condition_check().is_some());
    }
}
