//! What can be said about a file without AWS.

use std::collections::BTreeMap;

use runnerless_core::route::{MapRow, Scope};

use super::agree::{Placed, lanes, ties};
use super::{FileRow, Problem};

/// DynamoDB's limits for keys (bytes).
const LONGEST_PK: usize = 2048;
const LONGEST_SK: usize = 1024;

/// What the person said beside the file.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Rows for every project are meant.
    pub global: bool,
    /// Who loads.
    pub owner: Option<String>,
}

/// A row of the file that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which row of the file, from 1.
    pub position: usize,
    /// The row. Its owner is who loads it.
    pub row: MapRow,
}

/// Reads every row, each on its own.
///
/// # Errors
/// Every row that cannot be used.
pub fn check(rows: &[FileRow], rules: &Rules) -> Result<Vec<Wanted>, Vec<Problem>> {
    let (mut wanted, mut problems) = (Vec::new(), Vec::new());
    let mut seen = BTreeMap::new();
    for FileRow { position, item } in rows {
        let mut row = match MapRow::from_item(item) {
            Ok(row) => row,
            Err(bad) => {
                let what = format!("{} {}; {}", bad.field, bad.problem, bad.cure);
                problems.push(Problem { position: Some(*position), row: bad.row, what });
                continue;
            }
        };
        let mut refuse = |what: String| problems.push(Problem::of(*position, &row, what));
        if let Some(first) = seen.insert((row.pk(), row.sk()), *position) {
            refuse(format!("has the job and tags of row {first}; write one row that names the projects of both"));
        }
        if row.scope.is_global() && !rules.global {
            refuse(
                "names neither projects nor groups, and so is for every project; name them, or load with --global"
                    .into(),
            );
        }
        if let (Some(owner), Some(loader)) = (&row.owner, &rules.owner)
            && owner != loader
        {
            refuse(format!("owner is {owner:?}, and the file is loaded for {loader:?}; load it for its owner"));
        }
        for what in bad_paths(&row.scope).chain(bad_keys(&row)) {
            refuse(what);
        }
        row.owner = row.owner.or_else(|| rules.owner.clone());
        wanted.push(Wanted { position: *position, row });
    }
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

/// Reads every row, and looks whether they agree with each other: all that `map check` can do.
///
/// # Errors
/// Every row that a load would refuse whatever is in the table.
pub fn check_alone(rows: &[FileRow], rules: &Rules) -> Result<Vec<Wanted>, Vec<Problem>> {
    let wanted = check(rows, rules)?;
    let placed: Vec<Placed<'_>> =
        wanted.iter().map(|one| Placed { position: Some(one.position), row: &one.row }).collect();
    let problems: Vec<Problem> = lanes(&placed).into_iter().chain(ties(&placed)).collect();
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

/// Paths are compared with GitLab's `path_with_namespace` letter by letter: one that could never be equal is an error.
fn bad_paths(scope: &Scope) -> impl Iterator<Item = String> {
    let bad = |path: &&String| {
        path.starts_with('/') || path.ends_with('/') || path.contains("://") || path.contains(['*', '?', ' '])
    };
    let projects = scope.projects.iter().filter(move |path| bad(path) || !path.contains('/')).map(|path| {
        format!("projects has {path:?}, which is no project's path; write group/project, in full and without a host")
    });
    let groups = scope.groups.iter().filter(bad).map(|path| {
        format!("groups has {path:?}, which is no group's path; write group or group/subgroup, without a host")
    });
    projects.chain(groups)
}

fn bad_keys(row: &MapRow) -> impl Iterator<Item = String> {
    let long = |name: &str, key: String, limit: usize| {
        let too_long = key.len() > limit;
        too_long
            .then(|| format!("{name} has {} bytes, and DynamoDB takes {limit}; use a pattern or fewer tags", key.len()))
    };
    long("pk", row.pk(), LONGEST_PK).into_iter().chain(long("sk", row.sk(), LONGEST_SK))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::map::read;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:executor";

    fn rows(values: Value) -> Vec<FileRow> {
        read(&values.to_string()).unwrap()
    }

    fn one(more: Value) -> Vec<FileRow> {
        let mut row = json!({"pk": "job#unit", "sk": "tags#a", "type": "LAMBDA", "arn": ARN});
        let (Some(row_map), Some(more)) = (row.as_object_mut(), more.as_object()) else { panic!("objects") };
        row_map.extend(more.clone());
        rows(json!([row]))
    }

    #[test]
    fn a_row_for_every_project_must_be_declared() {
        let file = one(json!({}));
        let problems = check(&file, &Rules::default()).unwrap_err();
        assert!(problems[0].to_string().contains("--global"), "{}", problems[0]);
        assert!(check(&file, &Rules { global: true, owner: None }).is_ok());
        assert!(check(&one(json!({"groups": ["acme"]})), &Rules::default()).is_ok());
    }

    #[test]
    fn every_bad_row_is_named_at_once() {
        let file = rows(json!([
            {"pk": "job#a", "sk": "tags#a", "type": "LAMBDA", "projects": ["g/p"]},
            {"pk": "job#b", "sk": "tags#b", "type": "EC2", "projects": ["g/p"]},
            {"pk": "job#b", "sk": "tags#b", "type": "EC2", "projects": ["g/q"]},
            {"pk": "job#c", "sk": "tags#c", "type": "EC2", "projects": ["https://gitlab.com/g/p", "p"], "groups": ["/g"]},
            {"pk": "job#d", "sk": format!("tags#{}", "x".repeat(1024)), "type": "EC2", "groups": ["g"]},
        ]));
        let problems = check(&file, &Rules::default()).unwrap_err();
        let positions: Vec<_> = problems.iter().filter_map(|problem| problem.position).collect();
        assert_eq!(positions, [1, 3, 4, 4, 4, 5], "{problems:#?}");
        assert!(problems[0].what.starts_with("arn is missing"));
    }

    #[test]
    fn the_loader_is_the_owner_of_what_has_none() {
        let rules = Rules { global: true, owner: Some("team-a".into()) };
        let wanted = check(&one(json!({})), &rules).unwrap();
        assert_eq!(wanted[0].row.owner.as_deref(), Some("team-a"));
        assert!(check(&one(json!({"owner": "team-b"})), &rules).is_err());
        let unsaid = Rules { global: true, owner: None };
        assert_eq!(check(&one(json!({"owner": "team-b"})), &unsaid).unwrap()[0].row.owner.as_deref(), Some("team-b"));
    }
}
