//! The decision: which lane serves a job, and why.

use std::fmt;

use wildmatch::WildMatch;

use crate::job::JobFacts;
use crate::lane::{Engine, Lane, TagSet};
use crate::limits;
use crate::route::{BadMapRow, Learned, MapRow, Matcher, base_name};
use crate::time::Timestamp;

/// The job as routing sees it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Its facts from the hook.
    pub facts: &'a JobFacts,
    /// Its own tags, when the jobs API told us.
    pub tags: Option<&'a TagSet>,
    /// Since when it waits.
    pub waiting_since: Timestamp,
}

/// Where jobs without a row go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultRoute {
    /// To this lane.
    Lane(Lane),
    /// Nowhere.
    None,
}

/// What this stack can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Whether instances can be launched.
    pub ec2: bool,
}

/// Why a row is, or is not, the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves the job.
    Chosen,
    /// It matches, but a more specific row does too.
    LessSpecific,
    /// It is for other jobs.
    NoMatch(&'static str),
    /// It matches and cannot be used: the default route serves the job, and an alarm goes off.
    Unusable(String),
    /// It cannot be read.
    Unreadable(BadMapRow),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("chosen"),
            Self::LessSpecific => f.write_str("matches, but a more specific row does too"),
            Self::NoMatch(what) => write!(f, "is for another {what}"),
            Self::Unusable(why) => write!(f, "matches, but cannot be used: {why}"),
            Self::Unreadable(bad) => write!(f, "cannot be read: {bad}"),
        }
    }
}

/// One row and its verdict, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The row's keys.
    pub row: String,
    /// The verdict.
    pub verdict: Verdict,
}

/// Where the job goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To this lane. `row` is the mapping row; `None` for the default route and for a lane found by the job's tags.
    Lane {
        /// The lane.
        lane: Lane,
        /// The row that led there.
        row: Option<Box<MapRow>>,
    },
    /// It is launched for when it still waits at this time.
    Later(Timestamp),
    /// Not to us.
    NotOurs,
}

/// A routing decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where the job goes.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// Whether the default route decided.
    pub by_default: bool,
    /// Every row that was looked at.
    pub considered: Vec<Considered>,
}

impl Decision {
    /// Rows that should serve jobs and cannot: each is worth an alarm.
    pub fn unusable(&self) -> impl Iterator<Item = &Considered> {
        self.considered.iter().filter(|c| matches!(c.verdict, Verdict::Unusable(_) | Verdict::Unreadable(_)))
    }
}

/// Whether one of these rows is for the job and can be used. Then rows of a later one of its [`crate::route::partitions`]
/// change nothing: the name is what ranks first.
#[must_use]
pub fn serves(job: Job<'_>, rows: &[Result<MapRow, BadMapRow>], abilities: Abilities) -> bool {
    choose(job, rows, abilities).0.is_some()
}

/// Decides. `rows` are those stored for the job's name, for its base name, and all patterns, up to the partition in which one
/// [`serves`] the job; `lanes` are the lane entries, which matter only to a job whose tags are known and which neither row nor
/// default route covers.
#[must_use]
pub fn route(
    job: Job<'_>,
    rows: &[Result<MapRow, BadMapRow>],
    lanes: &[Lane],
    default: &DefaultRoute,
    learned: Option<&Learned>,
    abilities: Abilities,
    now: Timestamp,
) -> Decision {
    let (chosen, considered) = choose(job, rows, abilities);
    let decided =
        |outcome, reason: String, by_default| Decision { outcome, reason, by_default, considered: considered.clone() };
    if let Some(row) = chosen {
        let lane = row.lane();
        let to_row =
            |reason| decided(Outcome::Lane { lane: row.lane(), row: Some(Box::new(row.clone())) }, reason, false);
        match job.tags {
            Some(tags) if !lane.can_serve(tags) => {
                return by_tags(tags, lanes, abilities, |outcome, reason| {
                    decided(
                        outcome,
                        format!("row {row} leads to {}, which does not cover its tags; {reason}", lane.tags),
                        false,
                    )
                });
            }
            _ => return to_row(format!("row {row}")),
        }
    }
    by_default(job, lanes, default, learned, abilities, now, decided)
}

fn choose<'a>(
    job: Job<'_>,
    rows: &'a [Result<MapRow, BadMapRow>],
    abilities: Abilities,
) -> (Option<&'a MapRow>, Vec<Considered>) {
    let mut best: Option<(Rank, String, &MapRow)> = None;
    let mut considered = Vec::new();
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                considered.push(Considered { row: bad.row.clone(), verdict: Verdict::Unreadable(bad.clone()) });
                continue;
            }
        };
        let verdict = match (rank(job.facts, row), unusable(row, abilities)) {
            (Err(what), _) => Verdict::NoMatch(what),
            (Ok(_), Some(why)) => Verdict::Unusable(why),
            (Ok(rank), None) => {
                // Equal ranks are refused when rows are loaded; rows written by hand are decided by their keys.
                let key = row.to_string();
                if best
                    .as_ref()
                    .is_none_or(|(other, name, _)| (&rank, std::cmp::Reverse(&key)) > (other, std::cmp::Reverse(name)))
                {
                    best = Some((rank, key, row));
                }
                Verdict::LessSpecific
            }
        };
        considered.push(Considered { row: row.to_string(), verdict });
    }
    if let Some((_, key, _)) = &best {
        considered.iter_mut().filter(|c| c.row == *key).for_each(|c| c.verdict = Verdict::Chosen);
    }
    (best.map(|(_, _, row)| row), considered)
}

fn unusable(row: &MapRow, abilities: Abilities) -> Option<String> {
    (row.engine == Engine::Ec2 && !abilities.ec2).then(|| "this stack launches no instances".to_owned())
}

/// How specific a row is for a job; greater wins. First the name, then the scope, then refs, then stages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    name: (u8, usize),
    scope: (u8, usize),
    refs: u8,
    stages: u8,
}

fn rank(facts: &JobFacts, row: &MapRow) -> Result<Rank, &'static str> {
    Ok(Rank {
        name: name_rank(&facts.name, &row.matcher).ok_or("job name")?,
        scope: scope_rank(&facts.project_path, row).ok_or("project")?,
        refs: refs_rank(&facts.git_ref, &row.scope.refs).ok_or("ref")?,
        stages: stage_rank(&facts.stage, &row.scope.stages).ok_or("stage")?,
    })
}

fn name_rank(name: &str, matcher: &Matcher) -> Option<(u8, usize)> {
    match matcher {
        Matcher::Name(exact) if exact == name => Some((3, 0)),
        Matcher::Name(base) if base == base_name(name) => Some((2, 0)),
        Matcher::Name(_) => None,
        Matcher::Pattern(pattern) => WildMatch::new(pattern).matches(name).then(|| (1, literal_len(pattern))),
    }
}

/// How many characters of a pattern are themselves: the longer, the more specific.
pub(super) fn literal_len(pattern: &str) -> usize {
    pattern.chars().filter(|c| !matches!(c, '*' | '?')).count()
}

fn scope_rank(project: &str, row: &MapRow) -> Option<(u8, usize)> {
    if row.scope.is_global() {
        return Some((0, 0));
    }
    if row.scope.projects.iter().any(|path| path == project) {
        return Some((2, 0));
    }
    let inside = |group: &&String| project.strip_prefix(group.as_str()).is_some_and(|rest| rest.starts_with('/'));
    row.scope.groups.iter().filter(inside).map(|group| (1, group.len())).max()
}

fn refs_rank(git_ref: &str, refs: &[String]) -> Option<u8> {
    if refs.is_empty() {
        return Some(0);
    }
    let matching = refs.iter().filter(|pattern| WildMatch::new(pattern).matches(git_ref));
    matching.map(|pattern| if pattern.contains(['*', '?']) { 1 } else { 2 }).max()
}

fn stage_rank(stage: &str, stages: &[String]) -> Option<u8> {
    if stages.is_empty() { Some(0) } else { stages.iter().any(|s| s == stage).then_some(1) }
}

/// The job's tags are known: of the lanes that cover them, the one with the fewest other tags; by name among equals.
fn by_tags(
    tags: &TagSet,
    lanes: &[Lane],
    abilities: Abilities,
    decided: impl Fn(Outcome, String) -> Decision,
) -> Decision {
    let usable = |lane: &&Lane| lane.can_serve(tags) && (lane.engine == Engine::Lambda || abilities.ec2);
    match lanes.iter().filter(usable).min_by_key(|lane| (lane.tags.len(), lane.id())) {
        Some(lane) => decided(
            Outcome::Lane { lane: lane.clone(), row: None },
            format!("lane {} covers its tags {tags}", lane.tags),
        ),
        None => decided(Outcome::NotOurs, format!("no lane covers its tags {tags}")),
    }
}

fn by_default(
    job: Job<'_>,
    lanes: &[Lane],
    default: &DefaultRoute,
    learned: Option<&Learned>,
    abilities: Abilities,
    now: Timestamp,
    decided: impl Fn(Outcome, String, bool) -> Decision,
) -> Decision {
    let DefaultRoute::Lane(lane) = default else {
        return decided(Outcome::NotOurs, "no row, and the default route is NONE".into(), true);
    };
    let to_default = |reason: &str| {
        decided(Outcome::Lane { lane: lane.clone(), row: None }, format!("{reason}: the default route"), true)
    };
    match (job.tags, learned) {
        (Some(tags), _) if lane.can_serve(tags) => to_default("no row"),
        (Some(tags), _) => {
            by_tags(tags, lanes, abilities, |outcome, reason| decided(outcome, format!("no row; {reason}"), false))
        }
        (None, Some(learned)) if learned.holds(now) => {
            let until = job.waiting_since + limits::LEARNED_DELAY;
            if now < until {
                return decided(
                    Outcome::Later(until),
                    "no row, and runners of others take jobs of this name".into(),
                    true,
                );
            }
            to_default("no row, and no runner of others took it in time")
        }
        _ => to_default("no row"),
    }
}

#[cfg(test)]
mod tests;
