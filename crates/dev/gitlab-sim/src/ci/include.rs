//! `include`: other files of the commit, and this file over them.
//!
//! The included come first, in their order, and what follows is laid over what was there (`Gitlab::Ci::Config::External`).

use super::error::{CiError, Place};
use super::read;
use super::yaml::{self, Map, Value};

/// GitLab's default for `ci_max_includes`: so many files make one pipeline's.
const FILES_LIMIT: usize = 150;

/// The text of another file of the commit.
pub(super) type Other<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The file with everything that it includes.
pub(super) fn whole(document: Value, other: Other<'_>) -> Result<Map, CiError> {
    Inclusion { other, files: 0 }.whole(document, None)
}

struct Inclusion<'a> {
    other: Other<'a>,
    files: usize,
}

impl Inclusion<'_> {
    /// A document, of this path if it is not the first.
    fn whole(&mut self, document: Value, path: Option<&str>) -> Result<Map, CiError> {
        let mut own = match document {
            Value::Map(map) => map,
            other => {
                let file = path.map_or_else(|| "the file".to_owned(), |path| format!("the included `{path}`"));
                return Err(CiError::Yaml {
                    line: 1,
                    problem: format!("{file} is {}; write a map of jobs", other.kind()),
                });
            }
        };
        let mut below = Map::default();
        match own.take("include") {
            None | Some(Value::Null) => {}
            Some(include) => {
                for item in read::one_or_more(&include) {
                    below = below.under(&self.included(item)?);
                }
            }
        }
        Ok(below.under(&own))
    }

    fn included(&mut self, item: &Value) -> Result<Map, CiError> {
        let place = Place::global("include");
        let path = local(&place, item)?;
        let place = place.below(&path);
        self.files += 1;
        if self.files > FILES_LIMIT {
            return Err(place.refuse(format!("is one of more than {FILES_LIMIT} files; include fewer")));
        }
        let text = (self.other)(path.trim_start_matches('/'))
            .ok_or_else(|| place.refuse("is no file of the commit; commit it, or correct the path"))?;
        let document = yaml::load(&text).map_err(|error| place.refuse(format!("cannot be read: {error}")))?;
        self.whole(document, Some(&path))
    }
}

/// The path of a file of the same repository.
fn local(place: &Place<'_>, item: &Value) -> Result<String, CiError> {
    let path = match item {
        Value::Map(map) => {
            read::only_keys(place, map, &["local"])?;
            let place = place.below("local");
            read::text(&place, map.get("local").ok_or_else(|| place.refuse("is missing; name the file"))?)?
        }
        other => read::text(place, other)?,
    };
    let refuse = |problem| Err(place.below(&path).refuse(problem));
    if path.contains("://") {
        return refuse("is not in this repository; copy the file into it");
    }
    if path.contains('*') {
        return refuse("stands for several files; name each");
    }
    if !path.ends_with(".yml") && !path.ends_with(".yaml") {
        return refuse("does not end in `.yml` or `.yaml`; rename the file");
    }
    Ok(path)
}
