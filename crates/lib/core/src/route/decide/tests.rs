use serde_json::json;

use super::*;
use crate::id::JobKey;
use crate::route::{could_tie, learned_pk};
use crate::time::Millis;

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:";
const NOW: Timestamp = Timestamp(1_789_373_730_000);

fn row(pk: &str, sk: &str, function: &str, more: serde_json::Value) -> Result<MapRow, BadMapRow> {
    let mut item = json!({"pk": pk, "sk": sk, "type": "LAMBDA", "arn": format!("{ARN}{function}")});
    let (Some(item), Some(more)) = (item.as_object_mut(), more.as_object()) else { panic!("objects") };
    item.extend(more.clone());
    MapRow::from_item(item)
}

fn facts(name: &str) -> JobFacts {
    JobFacts {
        name: name.into(),
        stage: "test".into(),
        git_ref: "main".into(),
        project_path: "acme/backend/widget".into(),
        retries: 0,
    }
}

fn default_lane() -> DefaultRoute {
    DefaultRoute::Lane(Lane {
        tags: TagSet::default(),
        engine: Engine::Lambda,
        target: "default".into(),
        run_untagged: true,
    })
}

fn decide(facts: &JobFacts, tags: Option<&TagSet>, rows: &[Result<MapRow, BadMapRow>], lanes: &[Lane]) -> Decision {
    let job = Job { facts, tags, waiting_since: NOW };
    route(job, rows, lanes, &default_lane(), None, Abilities { ec2: false }, NOW)
}

fn target(decision: &Decision) -> &str {
    match &decision.outcome {
        Outcome::Lane { lane, .. } => lane.target.rsplit(':').next().unwrap_or(""),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_most_specific_row_wins() {
    let rows = [
        row("pattern", "tags#p##un*", "pattern", json!({})),
        row("job#unit", "tags#a", "global", json!({})),
        row("job#unit", "tags#b", "group", json!({"groups": ["acme"]})),
        row("job#unit", "tags#c", "subgroup", json!({"groups": ["acme/backend"]})),
        row("job#unit", "tags#d", "project", json!({"projects": ["acme/backend/widget"]})),
        row("job#unit", "tags#e", "other", json!({"projects": ["acme/backend/gadget"]})),
    ];
    let mut left: Vec<_> = rows.into();
    for expected in ["project", "subgroup", "group", "global", "pattern"] {
        assert_eq!(target(&decide(&facts("unit"), None, &left, &[])), expected);
        left.retain(|row| !row.as_ref().unwrap().arn.as_ref().unwrap().ends_with(expected));
    }
    assert_eq!(target(&decide(&facts("unit"), None, &left, &[])), "default");
}

#[test]
fn the_exact_name_beats_the_base_name_and_refs_and_stages_narrow() {
    let rows = [row("job#t", "tags#a", "base", json!({})), row("job#t: [x]", "tags#b", "exact", json!({}))];
    assert_eq!(target(&decide(&facts("t: [x]"), None, &rows, &[])), "exact");
    assert_eq!(target(&decide(&facts("t: [y]"), None, &rows, &[])), "base");
    let narrowed = [
        row("job#t", "tags#a", "glob", json!({"refs": ["ma*"]})),
        row("job#t", "tags#b", "ref", json!({"refs": ["main"]})),
        row("job#t", "tags#c", "stage", json!({"refs": ["main"], "stages": ["test"]})),
        row("job#t", "tags#d", "elsewhere", json!({"refs": ["release/*"]})),
    ];
    assert_eq!(target(&decide(&facts("t"), None, &narrowed, &[])), "stage");
    assert_eq!(target(&decide(&facts("t"), None, &narrowed[..2], &[])), "ref");
}

#[test]
fn a_group_does_not_hold_a_project_whose_path_only_starts_alike() {
    let rows = [row("job#t", "tags#a", "group", json!({"groups": ["acme/back"]}))];
    assert_eq!(target(&decide(&facts("t"), None, &rows, &[])), "default");
}

#[test]
fn an_unusable_or_unreadable_row_loses_no_job_and_is_reported() {
    let mut ec2 = row("job#t", "tags#a", "x", json!({})).unwrap();
    ec2.engine = Engine::Ec2;
    let bad = row("job#t", "tags#b", "x", json!({"type": "MICROVM"}));
    let decision = decide(&facts("t"), None, &[Ok(ec2), bad], &[]);
    assert_eq!(target(&decision), "default");
    assert_eq!(decision.unusable().count(), 2);
}

#[test]
fn known_tags_overrule_a_row_and_an_uncovered_job_is_not_ours() {
    let tags = |tags: &[&str]| TagSet::new(tags).unwrap();
    let lane =
        |name: &[&str]| Lane { tags: tags(name), engine: Engine::Lambda, target: name.join("+"), run_untagged: false };
    let lanes = [lane(&["a", "b", "c"]), lane(&["a", "b"]), lane(&["z"])];
    let rows = [row("job#t", "tags#z", "z", json!({}))];
    let (a, q) = (tags(&["a"]), tags(&["q"]));
    assert_eq!(target(&decide(&facts("t"), Some(&a), &rows, &lanes)), "a+b", "the closest lane that covers");
    assert_eq!(decide(&facts("t"), Some(&q), &rows, &lanes).outcome, Outcome::NotOurs);
    assert_eq!(decide(&facts("u"), Some(&q), &[], &lanes).outcome, Outcome::NotOurs, "nor by the default route");
    let none = TagSet::default();
    assert_eq!(target(&decide(&facts("u"), Some(&none), &[], &lanes)), "default");
}

#[test]
fn a_name_that_others_take_waits_two_minutes_and_is_then_launched_for() {
    let learned = Learned::new(JobKey { project: 1, job: 1 }, "deploy 1/2", NOW);
    assert_eq!(learned.pk, learned_pk(1, "deploy 2/2"), "all of a parallel job share what was learned");
    let facts = facts("deploy 2/2");
    let at = |waiting_since| {
        let job = Job { facts: &facts, tags: None, waiting_since };
        route(job, &[], &[], &default_lane(), Some(&learned), Abilities { ec2: false }, NOW).outcome
    };
    assert_eq!(at(NOW), Outcome::Later(NOW + limits::LEARNED_DELAY));
    assert!(matches!(at(NOW - limits::LEARNED_DELAY), Outcome::Lane { .. }));
    let later = NOW + Millis::days(31);
    let job = Job { facts: &facts, tags: None, waiting_since: later };
    let decision = route(job, &[], &[], &default_lane(), Some(&learned), Abilities { ec2: false }, later);
    assert!(matches!(decision.outcome, Outcome::Lane { .. }), "what was learned is forgotten");
}

#[test]
fn a_closed_default_route_takes_nothing() {
    let facts = facts("t");
    let job = Job { facts: &facts, tags: None, waiting_since: NOW };
    let decision = route(job, &[], &[], &DefaultRoute::None, None, Abilities { ec2: false }, NOW);
    assert_eq!(decision.outcome, Outcome::NotOurs);
}

#[test]
fn rows_that_could_tie_are_told_from_rows_that_cannot() {
    let r = |pk: &str, sk: &str, more| row(pk, sk, "x", more).unwrap();
    let tie = [
        (r("job#t", "tags#a", json!({})), r("job#t", "tags#b", json!({}))),
        (r("job#t", "tags#a", json!({"projects": ["p/q"]})), r("job#t", "tags#b", json!({"projects": ["p/q", "p/r"]}))),
        (r("pattern", "tags#a##de*y", json!({})), r("pattern", "tags#b##dep*", json!({}))),
        (r("job#t", "tags#a", json!({"refs": ["x*"]})), r("job#t", "tags#b", json!({"refs": ["*y"]}))),
    ];
    for (a, b) in &tie {
        assert!(could_tie(a, b) && could_tie(b, a), "{a} / {b}");
    }
    let apart = [
        (r("job#t", "tags#a", json!({})), r("job#u", "tags#b", json!({}))),
        (r("job#t", "tags#a", json!({})), r("job#t", "tags#b", json!({"groups": ["p"]}))),
        (r("job#t", "tags#a", json!({"groups": ["p/x"]})), r("job#t", "tags#b", json!({"groups": ["p"]}))),
        (r("job#t", "tags#a", json!({"refs": ["main"]})), r("job#t", "tags#b", json!({"refs": ["x*"]}))),
        (r("job#t", "tags#a", json!({"stages": ["a"]})), r("job#t", "tags#b", json!({"stages": ["b"]}))),
        (r("pattern", "tags#a##aaa*", json!({})), r("pattern", "tags#b##bbb*", json!({}))),
    ];
    for (a, b) in &apart {
        assert!(!could_tie(a, b) && !could_tie(b, a), "{a} / {b}");
    }
}
