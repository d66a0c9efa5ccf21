//! `map load` and `map delete` over the stand-in table: what is written, what is refused, what is said.

use std::collections::BTreeSet;

use runnerless_aws_admin::fake::{FakeFunctions, FakeMappingTable};
use runnerless_aws_admin::ports::FunctionFacts;
use runnerless_cli::map::load::{Options, Surroundings, load};
use runnerless_cli::map::{Rules, delete, list};
use runnerless_cli::stack::{StackWays, default_route};
use runnerless_cli::{CliError, Screen};
use runnerless_core::change::Item;
use runnerless_core::lane::{Engine, TagSet, lane_id};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:executor";
const OTHER: &str = "arn:aws:lambda:eu-west-1:123456789012:function:other";

struct World {
    table: FakeMappingTable,
    functions: FakeFunctions,
    surroundings: Surroundings,
}

impl World {
    fn new() -> Self {
        let functions = FakeFunctions::default();
        for (arn, retries) in [(ARN, 0), (OTHER, 2)] {
            let facts =
                FunctionFacts { arn: arn.into(), timeout_s: 900, tenancy: true, retries, ..FunctionFacts::default() };
            functions.put(facts);
        }
        Self { table: FakeMappingTable::default(), functions, surroundings: Surroundings::default() }
    }

    async fn load_with(&self, file: &Value, options: &Options) -> Result<(String, String), CliError> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err);
        let text = file.to_string();
        load(&text, options, &self.surroundings, &self.table, &self.functions, &mut screen).await?;
        Ok((String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text")))
    }

    async fn load(&self, file: &Value) -> Result<(String, String), CliError> {
        self.load_with(file, &options(None)).await
    }

    async fn delete(&self, keys: &[(&str, &str)], owner: Option<&str>) -> Result<(), CliError> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let keys: BTreeSet<_> = keys.iter().map(|(pk, sk)| ((*pk).to_owned(), (*sk).to_owned())).collect();
        delete::delete(&self.table, &keys, owner, &mut Screen::new(&mut out, &mut err)).await
    }

    fn row(&self, pk: &str, sk: &str) -> Option<Value> {
        let rows = self.table.rows();
        rows.into_iter().find(|item| item["pk"] == pk && item["sk"] == sk).map(Value::Object)
    }
}

fn options(owner: Option<&str>) -> Options {
    Options { rules: Rules { global: true, owner: owner.map(str::to_owned) }, ..Options::default() }
}

fn item(value: Value) -> Item {
    let Value::Object(item) = value else { panic!("no object") };
    item
}

fn lambda(name: &str, tags: &str, arn: &str) -> Value {
    json!({"pk": format!("job#{name}"), "sk": format!("tags#{tags}"), "type": "LAMBDA", "arn": arn})
}

fn refused(error: &CliError) -> String {
    assert!(matches!(error, CliError::Refused { written: 0, .. }), "{error:?}");
    assert_eq!(error.exit_code(), 1);
    error.lines().join("\n")
}

#[tokio::test]
async fn a_load_writes_rows_with_their_functions_facts_and_lane_entries_and_a_second_changes_nothing() {
    let world = World::new();
    let file =
        json!([lambda("unit", "b#a", ARN), {"pk": "pattern", "sk": "tags#c##deploy*", "type": "EC2", "note": 7}]);
    let (out, err) = world.load(&file).await.unwrap();
    assert!(out.ends_with("2 rows: 2 added, 0 changed, 0 unchanged\n"), "{out}");
    assert!(err.contains("launches no instances"), "{err}");
    let mut expected = lambda("unit", "a#b", ARN);
    expected["tenancy"] = true.into();
    expected["function_timeout_s"] = 900.into();
    expected["retries"] = 0.into();
    assert_eq!(world.row("job#unit", "tags#a#b"), Some(expected));
    assert_eq!(world.row("pattern", "tags#c##deploy*").unwrap()["note"], 7);
    let id = lane_id(Engine::Lambda, &TagSet::new(["a", "b"]).unwrap());
    assert_eq!(
        world.row("lanes", "tags#a#b"),
        Some(
            json!({"pk": "lanes", "sk": "tags#a#b", "type": "LAMBDA", "target": ARN, "run_untagged": false, "tenancy": true,
                "lane": id})
        )
    );
    let before = world.table.rows();
    let (out, _) = world.load(&file).await.unwrap();
    assert!(out.ends_with("2 rows: 0 added, 0 changed, 2 unchanged\n"), "{out}");
    assert_eq!((world.table.rows(), world.table.writes().len()), (before, 1));
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let world = World::new();
    let options = Options { dry_run: true, ..options(None) };
    let (out, _) = world.load_with(&json!([lambda("unit", "a", ARN)]), &options).await.unwrap();
    assert!(out.contains("added      job#unit tags#a") && out.contains("nothing was written"), "{out}");
    assert!(world.table.rows().is_empty());
}

#[tokio::test]
async fn one_tag_set_is_one_lane_against_the_file_the_table_and_what_has_no_row() {
    let mut world = World::new();
    let both = json!([lambda("unit", "a", ARN), lambda("lint", "a", OTHER)]);
    let text = refused(&world.load(&both).await.unwrap_err());
    assert!(text.contains("row 2 of the file (job#lint tags#a)") && text.contains("nothing was written"), "{text}");
    assert!(world.table.rows().is_empty());

    world.load(&json!([lambda("unit", "a", ARN)])).await.unwrap();
    let before = world.table.rows();
    for other in [lambda("lint", "a", OTHER), json!({"pk": "job#lint", "sk": "tags#a", "type": "EC2"})] {
        let text = refused(&world.load(&json!([other, lambda("more", "z", ARN)])).await.unwrap_err());
        assert!(text.contains("the stored row job#unit tags#a"), "{text}");
        assert_eq!(world.table.rows(), before);
    }

    world.table.put(item(json!({"pk": "lanes", "sk": "tags#e", "type": "EC2", "target": "//", "run_untagged": false})));
    let text = refused(&world.load(&json!([lambda("unit", "e", ARN)])).await.unwrap_err());
    assert!(text.contains("map delete lanes tags#e"), "{text}");

    world.surroundings.ways = Some(StackWays {
        default: default_route("LAMBDA", TagSet::default(), Some(ARN)).unwrap(),
        executor: Some(ARN.into()),
    });
    let text = refused(&world.load(&json!([lambda("other", "", OTHER)])).await.unwrap_err());
    assert!(text.contains("default route"), "{text}");
    world.load(&json!([lambda("other", "", ARN)])).await.unwrap();
}

#[tokio::test]
async fn sizes_and_ties_and_missing_functions_are_refused_all_at_once() {
    let world = World::new();
    let file = json!([
        {"pk": "job#a", "sk": "tags#a", "type": "EC2", "instance_types": ["t3.small"]},
        {"pk": "job#b", "sk": "tags#a", "type": "EC2", "instance_types": ["t3.large"]},
        {"pk": "job#a", "sk": "tags#c", "type": "EC2"},
    ]);
    let text = refused(&world.load(&file).await.unwrap_err());
    assert!(text.contains("size (instance_types") && text.contains("row 3 of the file (job#a tags#c)"), "{text}");
    let gone = lambda("unit", "a", "arn:aws:lambda:eu-west-1:123456789012:function:gone");
    let text = refused(&world.load(&json!([gone])).await.unwrap_err());
    assert!(text.contains("does not exist"), "{text}");
    assert!(world.table.rows().is_empty());
}

#[tokio::test]
async fn two_projects_share_a_row_and_nobody_takes_it_from_its_owner() {
    let world = World::new();
    let of = |project: &str, arn: &str| {
        let mut row = lambda("unit", "a", arn);
        row["projects"] = json!([project]);
        json!([row])
    };
    world.load_with(&of("g/a", ARN), &options(Some("team-a"))).await.unwrap();
    let (out, _) = world.load_with(&of("g/b", ARN), &options(Some("team-b"))).await.unwrap();
    assert!(out.contains("changed    job#unit tags#a: projects"), "{out}");
    let row = world.row("job#unit", "tags#a").unwrap();
    assert_eq!((&row["projects"], &row["owner"]), (&json!(["g/a", "g/b"]), &json!("team-a")));
    let text = refused(&world.load_with(&of("g/b", OTHER), &options(Some("team-b"))).await.unwrap_err());
    assert!(text.contains("\"team-a\"'s"), "{text}");
    let narrower = Options { replace: true, ..options(Some("team-a")) };
    world.load_with(&of("g/a", ARN), &narrower).await.unwrap();
    assert_eq!(world.row("job#unit", "tags#a").unwrap()["projects"], json!(["g/a"]));
}

#[tokio::test]
async fn what_somebody_else_writes_in_between_is_decided_upon_again() {
    let world = World::new();
    world.load(&json!([lambda("first", "z", ARN)])).await.unwrap();
    // Another load moves the revision on: this one reads and decides again.
    world.table.meanwhile(item(json!({"pk": "loader", "sk": "revision", "n": 9})));
    world.load(&json!([lambda("unit", "a", ARN)])).await.unwrap();
    assert_eq!(world.row("loader", "revision").unwrap()["n"], 10);
    // Somebody takes the tag set meanwhile: now it is refused.
    world.table.put(item(lambda("theirs", "b", OTHER)));
    world.table.meanwhile(item(json!({"pk": "loader", "sk": "revision", "n": 11})));
    let text = refused(&world.load(&json!([lambda("unit2", "b", ARN)])).await.unwrap_err());
    assert!(text.contains("job#theirs"), "{text}");
    // Somebody never stops.
    for n in 20..30 {
        world.table.meanwhile(item(json!({"pk": "loader", "sk": "revision", "n": n})));
    }
    let error = world.load(&json!([lambda("unit3", "c", ARN)])).await.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert_eq!(world.row("job#unit3", "tags#c"), None);
}

#[tokio::test]
async fn a_large_file_is_several_transactions_and_a_conflict_between_them_is_survived() {
    let world = World::new();
    let rows: Vec<Value> = (0..250).map(|n| lambda(&format!("job-{n}"), &format!("t{}", n % 7), ARN)).collect();
    let (out, _) = world.load(&json!(rows)).await.unwrap();
    assert!(out.ends_with("250 rows: 250 added, 0 changed, 0 unchanged\n"), "{out}");
    assert_eq!(world.table.rows().len(), 250 + 7 + 1);
    assert!(world.table.writes().iter().all(|size| *size <= 100), "{:?}", world.table.writes());
}

#[tokio::test]
async fn rows_that_others_wrote_by_hand_are_lived_with() {
    let world = World::new();
    // Tags out of order, as the original's loader wrote them; and a row that cannot be read.
    world.table.put(item(lambda("unit", "b#a", ARN)));
    world.table.put(item(json!({"pk": "job#broken", "sk": "tags#q", "type": "?"})));
    let (out, err) = world.load(&json!([lambda("unit", "a#b", ARN)])).await.unwrap();
    assert!(out.contains("changed    job#unit tags#a#b: function_timeout_s, retries, tenancy"), "{out}");
    assert!(err.contains("job#broken tags#q"), "{err}");
    assert_eq!(world.row("job#unit", "tags#b#a").unwrap()["retries"], 0);
    assert_eq!(world.row("job#unit", "tags#a#b"), None);
    let (out, _) = world.load(&json!([lambda("unit", "b#a", ARN)])).await.unwrap();
    assert!(out.contains("1 unchanged"), "{out}");
    world.delete(&[("job#unit", "tags#a#b")], None).await.unwrap();
    assert_eq!((world.row("job#unit", "tags#b#a"), world.row("lanes", "tags#a#b")), (None, None));
    let text = refused(&world.load(&json!([lambda("broken", "q", ARN)])).await.unwrap_err());
    assert!(text.contains("cannot be read"), "{text}");
    world.delete(&[("job#broken", "tags#q")], None).await.unwrap();
    world.load(&json!([lambda("broken", "q", ARN)])).await.unwrap();
}

#[tokio::test]
async fn a_deletion_is_the_owners_and_takes_the_lane_entry_with_the_last_row() {
    let world = World::new();
    let file = json!([lambda("unit", "a", ARN), lambda("lint", "a", ARN)]);
    world.load_with(&file, &options(Some("team-a"))).await.unwrap();
    let text = refused(&world.delete(&[("job#unit", "tags#a")], None).await.unwrap_err());
    assert!(text.contains("--owner team-a"), "{text}");
    let text = refused(&world.delete(&[("lanes", "tags#a")], Some("team-a")).await.unwrap_err());
    assert!(text.contains("has rows"), "{text}");
    refused(&world.delete(&[("job#unit", "tags#a"), ("job#gone", "tags#")], Some("team-a")).await.unwrap_err());
    world.delete(&[("job#unit", "tags#a")], Some("team-a")).await.unwrap();
    assert!(world.row("lanes", "tags#a").is_some());
    world.delete(&[("job#lint", "tags#a")], Some("team-a")).await.unwrap();
    assert_eq!((world.row("lanes", "tags#a"), world.row("job#lint", "tags#a")), (None, None));
}

#[tokio::test]
async fn what_list_prints_is_what_load_takes() {
    let world = World::new();
    world
        .load(&json!([lambda("unit", "a", ARN), {"pk": "pattern", "sk": "tags###d*", "type": "EC2", "groups": ["g"]}]))
        .await
        .unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    list::list(&world.table, true, &mut Screen::new(&mut out, &mut err)).await.unwrap();
    let printed: Value = serde_json::from_slice(&out).unwrap();
    let (out, _) = world.load(&printed).await.unwrap();
    assert!(out.ends_with("2 rows: 0 added, 0 changed, 2 unchanged\n"), "{out}");
}

#[tokio::test]
async fn warnings_name_what_would_hurt_later() {
    let world = World::new();
    let (_, err) = world.load(&json!([lambda("unit", "a", OTHER)])).await.unwrap();
    assert!(err.contains("MaximumRetryAttempts") && err.contains("runnerless:target"), "{err}");
}
