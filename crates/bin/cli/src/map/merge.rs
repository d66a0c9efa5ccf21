//! How a row of the file meets the stored row of the same job and tags.
//!
//! One key holds one row, so projects with the same job and tags share it. A row of the file that covers the stored
//! row's projects is its new text; one that does not is one more project for the stored row and must agree with it in
//! all else. Only the owner may take something away; anybody may add a project, because that changes nothing for those
//! who are there.

use std::collections::BTreeSet;

use runnerless_core::route::{MapRow, Scope};

/// The row that is to stand in the table.
///
/// # Errors
/// Why the file's row cannot take effect, with the cure.
pub(super) fn merge(stored: &MapRow, wanted: &MapRow, replace: bool) -> Result<MapRow, String> {
    let same_owner = stored.owner == wanted.owner;
    // A row that nobody owns is claimed by saying both: who, and that it is meant.
    let may_replace = same_owner || (replace && stored.owner.is_none());
    if may_replace && replace {
        return Ok(wanted.clone());
    }
    let differences = differences(stored, wanted);
    if differences.is_empty() {
        return add(stored, wanted, same_owner);
    }
    let differences = differences.join(", ");
    if !may_replace {
        return Err(format!(
            "the stored row is {} and differs in {differences}; ask its owner, or give your row tags of its own",
            owner_of(stored)
        ));
    }
    if !covers(&wanted.scope, &stored.scope) {
        return Err(format!(
            "the stored row differs in {differences} and is also for {}; name those too, or load with --replace",
            named(&stored.scope)
        ));
    }
    let mut row = wanted.clone();
    for (name, value) in &stored.extra {
        row.extra.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(row)
}

fn add(stored: &MapRow, wanted: &MapRow, same_owner: bool) -> Result<MapRow, String> {
    let mut row = MapRow { target: wanted.target.clone(), ..stored.clone() };
    if covers(&stored.scope, &wanted.scope) {
        return Ok(row);
    }
    if wanted.scope.is_global() {
        if !same_owner {
            return Err(format!(
                "the stored row is {} and for {}, and would become everybody's; ask its owner, or give your row tags \
                 of its own",
                owner_of(stored),
                named(&stored.scope)
            ));
        }
        (row.scope.projects, row.scope.groups) = (Vec::new(), Vec::new());
        return Ok(row);
    }
    let join = |all: &mut Vec<String>, more: &[String]| {
        for path in more {
            if !all.contains(path) {
                all.push(path.clone());
            }
        }
    };
    join(&mut row.scope.projects, &wanted.scope.projects);
    join(&mut row.scope.groups, &wanted.scope.groups);
    Ok(row)
}

/// The attributes in which two rows differ, but for projects, groups, owner, and what the loader itself records.
/// Attributes that we do not know count when the file has them.
fn differences(stored: &MapRow, wanted: &MapRow) -> Vec<String> {
    let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    let known = [
        ("type", stored.engine != wanted.engine),
        ("arn", stored.arn != wanted.arn),
        ("run_untagged", stored.run_untagged != wanted.run_untagged),
        ("refs", set(&stored.scope.refs) != set(&wanted.scope.refs)),
        ("stages", set(&stored.scope.stages) != set(&wanted.scope.stages)),
        ("instance_types", set(&stored.size.instance_types) != set(&wanted.size.instance_types)),
        ("disk_gb", stored.size.disk_gb != wanted.size.disk_gb),
        ("market", stored.size.market != wanted.size.market),
        ("timeout_s", stored.size.timeout_s != wanted.size.timeout_s),
        ("runner_per_launch", stored.size.own_runner != wanted.size.own_runner),
    ];
    let known = known.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned());
    let unknown = wanted.extra.iter().filter(|(name, value)| stored.extra.get(*name) != Some(value));
    known.chain(unknown.map(|(name, _)| name.clone())).collect()
}

/// Whether `one` names every project and group of `other`.
fn covers(one: &Scope, other: &Scope) -> bool {
    let within = |all: &[String], part: &[String]| part.iter().all(|path| all.contains(path));
    one.is_global()
        || (!other.is_global() && within(&one.projects, &other.projects) && within(&one.groups, &other.groups))
}

pub(super) fn owner_of(row: &MapRow) -> String {
    row.owner.as_ref().map_or_else(|| "nobody's".to_owned(), |owner| format!("{owner:?}'s"))
}

fn named(scope: &Scope) -> String {
    if scope.is_global() {
        return "every project".to_owned();
    }
    scope.projects.iter().chain(&scope.groups).cloned().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(more: Value) -> MapRow {
        let mut item = json!({"pk": "job#u", "sk": "tags#a", "type": "EC2"});
        let (Some(map), Some(more)) = (item.as_object_mut(), more.as_object()) else { panic!("objects") };
        map.extend(more.clone());
        MapRow::from_item(map).unwrap()
    }

    #[test]
    fn two_projects_share_a_row_whoever_owns_it() {
        let stored = row(json!({"projects": ["g/a"], "owner": "a", "note": "kept"}));
        let wanted = row(json!({"projects": ["g/b"], "owner": "b"}));
        let both = row(json!({"projects": ["g/a", "g/b"], "owner": "a", "note": "kept"}));
        assert_eq!(merge(&stored, &wanted, false).unwrap(), both);
        assert_eq!(merge(&both, &wanted, false).unwrap(), both);
        assert_eq!(merge(&stored, &wanted, true).unwrap(), both, "replacing is the owner's");
    }

    #[test]
    fn nobody_narrows_or_replaces_the_row_of_another_owner() {
        let stored = row(json!({"projects": ["g/a"], "owner": "a"}));
        for wanted in [
            json!({"projects": ["g/a"], "owner": "b", "disk_gb": 9}),
            json!({"projects": ["g/a"], "owner": "b", "refs": ["main"]}),
            json!({"projects": ["g/a"], "disk_gb": 9}),
            json!({"owner": "b"}),
            json!({"projects": ["g/a"], "owner": "b", "note": 1}),
        ] {
            for replace in [false, true] {
                let refused = merge(&stored, &row(wanted.clone()), replace).unwrap_err();
                assert!(refused.contains("ask its owner"), "{refused}");
            }
        }
    }

    #[test]
    fn the_owner_changes_what_the_file_covers_and_replaces_the_rest_on_demand() {
        let stored = row(json!({"projects": ["g/a", "g/b"], "disk_gb": 8, "note": 1}));
        let wanted = row(json!({"projects": ["g/a", "g/b", "g/c"], "disk_gb": 9}));
        assert_eq!(
            merge(&stored, &wanted, false).unwrap(),
            row(json!({"projects": ["g/a", "g/b", "g/c"], "disk_gb": 9, "note": 1}))
        );
        let partly = row(json!({"projects": ["g/a"], "disk_gb": 9}));
        assert!(merge(&stored, &partly, false).unwrap_err().contains("g/b"));
        assert_eq!(merge(&stored, &partly, true).unwrap(), partly);
        let everybody = row(json!({"disk_gb": 8}));
        assert!(merge(&stored, &everybody, false).unwrap().scope.is_global());
    }

    #[test]
    fn a_row_that_nobody_owns_is_claimed_only_on_demand() {
        let stored = row(json!({"disk_gb": 8}));
        let wanted = row(json!({"disk_gb": 9, "owner": "a"}));
        assert!(merge(&stored, &wanted, false).is_err());
        assert_eq!(merge(&stored, &wanted, true).unwrap(), wanted);
    }
}
