//! `parallel`: how one job of the file becomes several, and their names.

use super::Variable;
use super::error::{CiError, Place};
use super::read;
use super::variables;
use super::yaml::Value;

/// Jobs that one `parallel` may make.
const LIMIT: u32 = 200;

/// What `parallel` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parallel {
    /// So many jobs.
    Number(u32),
    /// One job for each of these sets of variables.
    Matrix(Vec<Vec<Variable>>),
}

/// One job of a `parallel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) name: String,
    /// Index from 1, and total.
    pub(super) position: Option<(u32, u32)>,
    /// What the matrix sets.
    pub(super) variables: Vec<Variable>,
}

/// The jobs that a job of the file becomes.
pub(super) fn instances(base_name: &str, parallel: Option<&Parallel>) -> Vec<Instance> {
    match parallel {
        None => vec![Instance { name: base_name.to_owned(), position: None, variables: Vec::new() }],
        Some(Parallel::Number(total)) => (1..=*total)
            .map(|index| Instance {
                name: format!("{base_name} {index}/{total}"),
                position: Some((index, *total)),
                variables: Vec::new(),
            })
            .collect(),
        Some(Parallel::Matrix(rows)) => {
            let total = u32::try_from(rows.len()).unwrap_or(LIMIT);
            (1..=total)
                .zip(rows)
                .map(|(index, row)| {
                    let values: Vec<_> = row.iter().map(|variable| variable.value.as_str()).collect();
                    Instance {
                        name: format!("{base_name}: [{}]", values.join(", ")),
                        position: Some((index, total)),
                        variables: row.clone(),
                    }
                })
                .collect()
        }
    }
}

/// Reads `parallel`.
pub(super) fn parallel(place: &Place<'_>, value: &Value) -> Result<Parallel, CiError> {
    let Value::Map(map) = value else { return read::whole(place, value, 1, LIMIT).map(Parallel::Number) };
    read::only_keys(place, map, &["matrix"])?;
    let place = place.below("matrix");
    let Some(Value::List(entries)) = map.get("matrix") else {
        return Err(place.refuse("is missing or not a list; write a list of maps of variables"));
    };
    let mut rows = Vec::new();
    for entry in entries {
        rows.extend(product(&place, axes(&place, entry)?, rows.len())?);
    }
    if rows.is_empty() {
        return Err(place.refuse("makes no job; give each variable a value"));
    }
    Ok(Parallel::Matrix(rows))
}

type Axis = (String, Vec<String>);

/// The variables of one entry with their values.
fn axes(place: &Place<'_>, entry: &Value) -> Result<Vec<Axis>, CiError> {
    let map = read::map(place, entry)?;
    if map.is_empty() {
        return Err(place.refuse("has a map without variables; add one"));
    }
    let mut axes = Vec::new();
    for (key, value) in map.iter() {
        let key = variables::key(place, key)?;
        let place = place.below(&key);
        let values = read::one_or_more(value).iter().map(|value| {
            value.scalar_text().ok_or_else(|| place.refuse(format!("has {}; write text or a number", value.kind())))
        });
        axes.push((key.clone(), values.collect::<Result<Vec<_>, _>>()?));
    }
    Ok(axes)
}

/// Every combination; the last variable changes fastest.
fn product(place: &Place<'_>, axes: Vec<Axis>, before: usize) -> Result<Vec<Vec<Variable>>, CiError> {
    let count = axes.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
    let fits = count.and_then(|count| count.checked_add(before)).and_then(|all| u32::try_from(all).ok());
    if fits.is_none_or(|all| all > LIMIT) {
        return Err(place.refuse(format!("makes more than {LIMIT} jobs; give it fewer values")));
    }
    let mut rows = vec![Vec::new()];
    for (key, values) in axes {
        rows = rows
            .iter()
            .flat_map(|row: &Vec<Variable>| {
                values.iter().map(|value| {
                    let variable = Variable { key: key.clone(), value: value.clone(), raw: false };
                    row.iter().cloned().chain([variable]).collect()
                })
            })
            .collect();
    }
    Ok(rows)
}
