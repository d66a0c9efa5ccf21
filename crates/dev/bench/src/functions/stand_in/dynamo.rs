//! DynamoDB, as far as the functions use it: tables with one key `pk` (and `sk`, which a query returns), conditions on
//! the row's absence or its revision, transactions of puts and checks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Refusal;

/// Rows by table, partition key and sort key.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<String, BTreeMap<(String, String), Value>>);

impl Tables {
    pub(super) fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect())
    }

    pub(super) fn answer(&mut self, operation: &str, body: &Value) -> Result<Value, Refusal> {
        match operation {
            "GetItem" => Ok(self.row(body, &body["Key"])?.map_or_else(|| json!({}), |item| json!({"Item": item}))),
            "BatchGetItem" => self.batch(body),
            "PutItem" => self.put(body),
            "UpdateItem" => self.update(body),
            "Query" => self.query(body),
            "TransactWriteItems" => self.transact(body),
            other => Err(Refusal { code: "UnknownOperationException", message: other.to_owned() }),
        }
    }

    fn table(&mut self, of: &Value) -> Result<&mut BTreeMap<(String, String), Value>, Refusal> {
        let name = of["TableName"].as_str().unwrap_or_default();
        let missing = || Refusal { code: "ResourceNotFoundException", message: format!("there is no table {name:?}") };
        self.0.get_mut(name).ok_or_else(missing)
    }

    fn row(&mut self, of: &Value, key: &Value) -> Result<Option<Value>, Refusal> {
        let key = of_item(key)?;
        Ok(self.table(of)?.get(&key).cloned())
    }

    fn batch(&mut self, body: &Value) -> Result<Value, Refusal> {
        let tables = body["RequestItems"].as_object().ok_or_else(|| Refusal::invalid("RequestItems is missing"))?;
        let mut responses = Map::new();
        for (name, wanted) in tables {
            let keys = wanted["Keys"].as_array().filter(|keys| (1..=100).contains(&keys.len()));
            let mut found = Vec::new();
            for key in keys.ok_or_else(|| Refusal::invalid("Keys must be one to a hundred"))? {
                found.extend(self.row(&json!({"TableName": name}), key)?);
            }
            responses.insert(name.clone(), found.into());
        }
        Ok(json!({"Responses": responses, "UnprocessedKeys": {}}))
    }

    fn put(&mut self, body: &Value) -> Result<Value, Refusal> {
        let key = of_item(&body["Item"])?;
        let table = self.table(body)?;
        if !holds(body, table.get(&key))? {
            return Err(Refusal {
                code: "ConditionalCheckFailedException",
                message: "The conditional request failed".into(),
            });
        }
        table.insert(key, body["Item"].clone());
        Ok(json!({}))
    }

    /// `ADD #n0 :d0, ...`, which is all that the functions do to counts.
    fn update(&mut self, body: &Value) -> Result<Value, Refusal> {
        let key = of_item(&body["Key"])?;
        let added = body["UpdateExpression"].as_str().and_then(|text| text.strip_prefix("ADD "));
        let added = added.ok_or_else(|| Refusal::invalid("the stand-in knows ADD only"))?.to_owned();
        let row = self.table(body)?.entry(key).or_insert_with(|| body["Key"].clone());
        for part in added.split(", ") {
            let (name, value) = part.split_once(' ').ok_or_else(|| Refusal::invalid("a pair to add is broken"))?;
            let name = body["ExpressionAttributeNames"][name].as_str().unwrap_or(name);
            let delta = number(&body["ExpressionAttributeValues"][value])?;
            let sum = if row[name].is_null() { 0 } else { number(&row[name])? } + delta;
            row[name] = json!({"N": sum.to_string()});
        }
        Ok(json!({}))
    }

    fn query(&mut self, body: &Value) -> Result<Value, Refusal> {
        let condition = body["KeyConditionExpression"].as_str().unwrap_or_default();
        let pk = body["ExpressionAttributeValues"][":pk"]["S"].as_str();
        let (Some(pk), "pk = :pk") = (pk, condition) else {
            return Err(Refusal::invalid("the stand-in queries by pk"));
        };
        let of = |((found, _), _): &(&(String, String), &Value)| found == pk;
        let items: Vec<Value> = self.table(body)?.iter().filter(of).map(|(_, item)| item.clone()).collect();
        Ok(json!({"Count": items.len(), "ScannedCount": items.len(), "Items": items}))
    }

    fn transact(&mut self, body: &Value) -> Result<Value, Refusal> {
        let items = body["TransactItems"].as_array().filter(|items| (1..=100).contains(&items.len()));
        let items = items.ok_or_else(|| Refusal::invalid("TransactItems must be one to a hundred"))?;
        for item in items {
            let (of, key) = match (item.get("Put"), item.get("ConditionCheck")) {
                (Some(put), None) => (put, &put["Item"]),
                (None, Some(check)) => (check, &check["Key"]),
                _ => return Err(Refusal::invalid("an item must be one put or one check")),
            };
            if !holds(of, self.row(of, key)?.as_ref())? {
                return Err(Refusal { code: "TransactionCanceledException", message: "a condition failed".into() });
            }
        }
        for put in items.iter().filter_map(|item| item.get("Put")) {
            self.table(put)?.insert(of_item(&put["Item"])?, put["Item"].clone());
        }
        Ok(json!({}))
    }
}

/// Partition and sort key of an item or key.
fn of_item(item: &Value) -> Result<(String, String), Refusal> {
    let text = |name: &str| item[name]["S"].as_str().map(str::to_owned);
    let pk = text("pk").filter(|pk| !pk.is_empty()).ok_or_else(|| Refusal::invalid("the key pk is missing"))?;
    Ok((pk, text("sk").unwrap_or_default()))
}

/// Whether a write's condition holds for the row that is there.
fn holds(write: &Value, row: Option<&Value>) -> Result<bool, Refusal> {
    match write["ConditionExpression"].as_str() {
        None => Ok(true),
        Some("attribute_not_exists(pk)") => Ok(row.is_none()),
        Some("rev = :rev") => {
            let wanted = &write["ExpressionAttributeValues"][":rev"];
            number(wanted)?;
            Ok(row.is_some_and(|row| row["rev"] == *wanted))
        }
        Some(other) => Err(Refusal::invalid(format!("the stand-in does not know the condition {other:?}"))),
    }
}

fn number(value: &Value) -> Result<i64, Refusal> {
    let number = value["N"].as_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Refusal::invalid("a number is missing"))
}
