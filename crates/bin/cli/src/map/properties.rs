//! What holds after any sequence of loads, over a universe small enough to collide all the time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use runnerless_aws_admin::ports::{FunctionFacts, key};
use runnerless_core::change::Item;
use runnerless_core::lane::TagSet;
use runnerless_core::route::{MapRow, could_tie};
use serde_json::{Value, json};

use super::delete::deletion;
use super::plan::{Stack, What, plan};
use super::{FileRow, Rules, Table, check};

const FUNCTIONS: [&str; 2] = ["arn:aws:lambda:r:1:function:f", "arn:aws:lambda:r:1:function:g"];

#[derive(Clone, Debug)]
struct Load {
    rows: Vec<Item>,
    owner: Option<&'static str>,
    replace: bool,
}

fn row() -> impl Strategy<Value = Item> {
    let keys = select(vec![("job#u", ""), ("job#v", ""), ("pattern", "##u*"), ("pattern", "##*v")]);
    let tags = subsequence(vec!["a", "b"], 0..=2).prop_shuffle();
    let target = select(vec![
        json!({"type": "EC2"}),
        json!({"type": "EC2", "disk_gb": 9}),
        json!({"type": "LAMBDA", "arn": FUNCTIONS[0]}),
        json!({"type": "LAMBDA", "arn": FUNCTIONS[1]}),
    ]);
    let projects = subsequence(vec!["g/p", "g/q"], 0..=2);
    let narrow = select(vec![
        json!({}),
        json!({"refs": ["main"]}),
        json!({"groups": ["g"]}),
        json!({"note": 1}),
        json!({"run_untagged": true}),
    ]);
    (keys, tags, target, projects, narrow).prop_map(|((pk, pattern), tags, target, projects, narrow)| {
        let sk = format!("tags#{}{pattern}", tags.join("#"));
        let mut row = Item::new();
        row.insert("pk".into(), pk.into());
        row.insert("sk".into(), sk.into());
        row.insert("projects".into(), projects.into());
        for part in [target, narrow] {
            row.extend(part.as_object().cloned().unwrap_or_default());
        }
        row
    })
}

fn load() -> impl Strategy<Value = Load> {
    (vec(row(), 1..4), option::of(select(vec!["x", "y"])), any::<bool>()).prop_map(|(rows, owner, replace)| Load {
        rows,
        owner,
        replace,
    })
}

fn stack() -> Stack {
    let facts = |arn: &&str| {
        ((*arn).to_owned(), FunctionFacts { arn: (*arn).to_owned(), timeout_s: 900, ..FunctionFacts::default() })
    };
    Stack { functions: FUNCTIONS.iter().map(facts).collect(), default_lane: None }
}

type Items = BTreeMap<(String, String), Item>;

fn table(items: &Items) -> Table {
    Table::of(items.values().cloned().collect())
}

/// The table after a load, or `None` when it is refused.
fn loaded(items: &Items, load: &Load) -> Option<(Items, Vec<What>)> {
    let rows: Vec<FileRow> =
        load.rows.iter().enumerate().map(|(at, item)| FileRow { position: at + 1, item: item.clone() }).collect();
    let rules = Rules { global: true, owner: load.owner.map(str::to_owned) };
    let wanted = check(&rows, &rules).ok()?;
    let plan = plan(&table(items), &wanted, &stack(), load.replace).ok()?;
    let mut items = items.clone();
    for change in plan.groups.iter().flatten() {
        let (pk, sk) = change.key().expect("a key");
        let at = (pk.to_owned(), sk.to_owned());
        assert_eq!(items.get(&at), change.before.as_ref(), "a change is of the row as it stands");
        match &change.after {
            Some(after) => items.insert(at, after.clone()),
            None => items.remove(&at),
        };
    }
    Some((items, plan.rows.into_iter().map(|one| one.what).collect()))
}

fn rows(items: &Items) -> Vec<MapRow> {
    table(items).rows.into_values().map(|stored| stored.row).collect()
}

fn sound(items: &Items) {
    let table = table(items);
    let rows = rows(items);
    assert!(table.unreadable.is_empty() && table.doubled.is_empty(), "{items:?}");
    for (at, one) in rows.iter().enumerate() {
        assert_eq!(table.entries.get(&one.tags).map(|stored| &stored.entry.lane), Some(&one.lane()), "{one}");
        for other in &rows[at + 1..] {
            assert!(!could_tie(one, other), "{one} and {other}");
        }
    }
    let tags: BTreeSet<TagSet> = rows.iter().map(|row| row.tags.clone()).collect();
    assert_eq!(table.entries.keys().cloned().collect::<BTreeSet<_>>(), tags, "no entry without a row");
}

/// Rows of others serve what they served, and as they did.
fn others_kept(before: &Items, after: &Items, owner: Option<&str>) {
    for old in rows(before).iter().filter(|row| row.owner.is_some() && row.owner.as_deref() != owner) {
        let now = rows(after).into_iter().find(|row| row.to_string() == old.to_string()).expect("it stands");
        assert!(old.scope.projects.iter().all(|path| now.scope.projects.contains(path)), "{old}");
        assert!(old.scope.groups.iter().all(|path| now.scope.groups.contains(path)), "{old}");
        let mut same = now.clone();
        same.scope.projects = old.scope.projects.clone();
        same.scope.groups = old.scope.groups.clone();
        same.target = old.target.clone();
        assert_eq!((&same, now.scope.is_global()), (old, old.scope.is_global()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_loads_leaves_a_sound_table(loads in vec(load(), 1..6)) {
        let mut items = Items::new();
        for load in &loads {
            let Some((after, _)) = loaded(&items, load) else { continue };
            sound(&after);
            others_kept(&items, &after, load.owner);
            let (again, fates) = loaded(&after, load).expect("what was accepted is accepted again");
            prop_assert_eq!(&again, &after, "the second time changes nothing");
            prop_assert!(fates.iter().all(|what| *what == What::Unchanged), "{:?}", fates);
            items = after;
        }
    }

    #[test]
    fn a_deletion_leaves_no_entry_without_a_row(loads in vec(load(), 1..6), pick in vec(any::<prop::sample::Index>(), 1..4)) {
        let mut items = Items::new();
        for load in &loads {
            items = loaded(&items, &Load { owner: None, ..load.clone() }).map_or(items, |(after, _)| after);
        }
        let stored = table(&items);
        let keys: Vec<_> = stored.rows.values().filter_map(|row| key(&row.item)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let chosen = pick.iter().map(|index| *index.get(&keys)).map(|(pk, sk)| (pk.to_owned(), sk.to_owned()));
        let chosen: BTreeSet<_> = chosen.collect();
        prop_assert!(deletion(&stored, &chosen, Some("x")).is_err(), "nobody's rows are not x's");
        for change in deletion(&stored, &chosen, None).expect("own rows").into_iter().flatten() {
            let (pk, sk) = change.key().expect("a key");
            items.remove(&(pk.to_owned(), sk.to_owned()));
        }
        sound(&items);
    }
}

#[test]
fn the_universe_is_worth_exploring() {
    // Loads of both kinds happen: otherwise the properties above say nothing.
    let one = |projects: Value, arn: &str| Load {
        rows: vec![
            json!({"pk": "job#u", "sk": "tags#a", "type": "LAMBDA", "arn": arn, "projects": projects})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        ],
        owner: Some("x"),
        replace: false,
    };
    let (items, _) = loaded(&Items::new(), &one(json!(["g/p"]), FUNCTIONS[0])).expect("accepted");
    assert_eq!(items.len(), 2);
    let moved = loaded(&items, &one(json!(["g/p"]), FUNCTIONS[1])).expect("the lane moves with its only row");
    assert_eq!(moved.1, [What::Changed(vec!["arn".into()])]);
    assert!(loaded(&items, &Load { owner: Some("y"), ..one(json!(["g/p"]), FUNCTIONS[1]) }).is_none());
}
