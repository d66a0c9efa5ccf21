//! `extends`: a job is laid over those that it names, in their order (`Gitlab::Ci::Config::Extendable`).

use std::collections::BTreeMap;

use super::error::{CiError, Place};
use super::read;
use super::yaml::{Map, Value};

/// GitLab's keyword reference: up to eleven levels of inheritance.
const LEVELS_LIMIT: usize = 11;

/// The file with each `extends` worked out, also those of hidden jobs.
pub(super) fn extended(root: &Map) -> Result<Map, CiError> {
    let mut extension = Extension { root, done: BTreeMap::new() };
    let mut whole = Map::default();
    for (key, value) in root.iter() {
        let value = match (key, value) {
            (Value::Text(name), Value::Map(job)) => Value::Map(extension.job(name, job, &mut Vec::new())?.job),
            _ => value.clone(),
        };
        whole.set(key.clone(), value);
    }
    Ok(whole)
}

struct Extension<'a> {
    root: &'a Map,
    done: BTreeMap<String, Extended>,
}

/// A job over its bases.
#[derive(Clone)]
struct Extended {
    job: Map,
    /// How many levels of bases there are.
    levels: usize,
}

impl Extension<'_> {
    /// A job over its bases. `line` are the jobs that extend it, the first one first.
    fn job(&mut self, name: &str, job: &Map, line: &mut Vec<String>) -> Result<Extended, CiError> {
        if let Some(done) = self.done.get(name) {
            return Ok(done.clone());
        }
        let place = Place::job(name, "extends");
        let mut own = job.clone();
        let bases = own.take("extends").filter(|bases| *bases != Value::Null);
        line.push(name.to_owned());
        let mut below = Extended { job: Map::default(), levels: 0 };
        for base in bases.as_ref().map_or(&[][..], read::one_or_more) {
            let base = self.base(&place, &read::text(&place, base)?, line)?;
            below.job = below.job.under(&base.job);
            below.levels = below.levels.max(base.levels + 1);
        }
        line.pop();
        if below.levels > LEVELS_LIMIT {
            return Err(place.refuse(format!("is nested deeper than {LEVELS_LIMIT} levels; flatten it")));
        }
        let whole = Extended { job: below.job.under(&own), ..below };
        self.done.insert(name.to_owned(), whole.clone());
        Ok(whole)
    }

    fn base(&mut self, place: &Place<'_>, base: &str, line: &mut Vec<String>) -> Result<Extended, CiError> {
        if line.iter().any(|job| job == base) {
            return Err(place.refuse(format!("goes in a circle: `{base}` extends itself; break it")));
        }
        match self.root.get(base) {
            Some(Value::Map(job)) => self.job(base, job, line),
            _ => Err(place.refuse(format!("has `{base}`, which is no job of the file; add it"))),
        }
    }
}
