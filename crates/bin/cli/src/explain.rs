//! `explain`: the router's own decision about a job that is described, with every row that it looks at.

use runnerless_aws_admin::ports::{LedgerReader, MappingStore};
use runnerless_core::change::Item;
use runnerless_core::job::JobFacts;
use runnerless_core::lane::{Lane, TagSet};
use runnerless_core::route::{
    Abilities, BadMapRow, Decision, DefaultRoute, Job, LANES_PK, LaneEntry, Learned, MapRow, Outcome, learned_pk,
    partitions, route,
};
use runnerless_core::time::Timestamp;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::map::FileRow;
use crate::screen::Screen;

/// The job in question, and the stack's ways.
#[derive(Clone, Debug)]
pub struct Question {
    /// What routing looks at.
    pub facts: JobFacts,
    /// The job's own tags, as the jobs API tells them.
    pub tags: Option<TagSet>,
    /// GitLab's id of its project, for what the default route learned.
    pub project: Option<u64>,
    /// Where jobs without a row go.
    pub default: DefaultRoute,
    /// Whether the stack launches instances.
    pub ec2: bool,
}

/// The mapping's rows and lanes, wherever they come from.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    items: Vec<Item>,
    lanes: Vec<Lane>,
}

impl Mapping {
    /// From the table.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn of_table(store: &impl MappingStore) -> Result<Self, CliError> {
        let (entries, items): (Vec<Item>, Vec<Item>) =
            store.all().await?.into_iter().partition(|item| pk(item) == LANES_PK);
        let entries = entries.iter().filter_map(|item| LaneEntry::from_item(item).ok());
        Ok(Self { items, lanes: entries.map(|entry| entry.lane).collect() })
    }

    /// From a file, as if it were loaded into an empty table.
    #[must_use]
    pub fn of_file(rows: Vec<FileRow>) -> Self {
        let items: Vec<Item> = rows.into_iter().map(|row| row.item).collect();
        let lanes = items.iter().filter_map(|item| MapRow::from_item(item).ok()).map(|row| row.lane()).collect();
        Self { items, lanes }
    }

    /// What the router may read for a job: the rows of its name and base name, and all patterns. It stops where a row
    /// serves the job, which comes to the same.
    fn rows(&self, name: &str) -> Vec<Result<MapRow, BadMapRow>> {
        let keys = partitions(name);
        self.items.iter().filter(|item| keys.iter().any(|key| key == pk(item))).map(MapRow::from_item).collect()
    }
}

fn pk(item: &Item) -> &str {
    item.get("pk").and_then(Value::as_str).unwrap_or_default()
}

/// What the default route learned of the job's name in its project.
///
/// # Errors
/// The ledger could not be read.
pub async fn learned(ledger: &impl LedgerReader, project: u64, name: &str) -> Result<Option<Learned>, CliError> {
    let item = ledger.row(&learned_pk(project, name)).await?;
    Ok(item.and_then(|item| serde_json::from_value(Value::Object(item)).ok()))
}

/// Decides as the router would for a job that began to wait now.
#[must_use]
pub fn decide(question: &Question, mapping: &Mapping, learned: Option<&Learned>, now: Timestamp) -> Decision {
    let job = Job { facts: &question.facts, tags: question.tags.as_ref(), waiting_since: now };
    let rows = mapping.rows(&question.facts.name);
    route(job, &rows, &mapping.lanes, &question.default, learned, Abilities { ec2: question.ec2 }, now)
}

/// Prints a decision.
///
/// # Errors
/// The stream is closed; or a row that should serve the job cannot, which is a finding.
pub fn show(decision: &Decision, as_json: bool, screen: &mut Screen<'_>) -> Result<(), CliError> {
    if as_json {
        screen.say(to_json(decision))?;
    } else {
        screen.say(match &decision.outcome {
            Outcome::Lane { lane, .. } => format!("{} {} (lane {} {})", lane.engine, lane.target, lane.id(), lane.tags),
            Outcome::Later(_) => "launched for when it still waits after two minutes".to_owned(),
            Outcome::NotOurs => "not ours: counted, never launched for".to_owned(),
        })?;
        screen.say(format!("because: {}", decision.reason))?;
        for one in &decision.considered {
            screen.say(format!("  {}: {}", one.row, one.verdict))?;
        }
    }
    let unusable: Vec<&str> = decision.unusable().map(|one| one.row.as_str()).collect();
    if unusable.is_empty() {
        return Ok(());
    }
    Err(CliError::Finding(format!("of no use: {}; correct or delete them", unusable.join(", "))))
}

fn to_json(decision: &Decision) -> Value {
    let (outcome, lane) = match &decision.outcome {
        Outcome::Lane { lane, .. } => ("lane", Some(lane)),
        Outcome::Later(_) => ("later", None),
        Outcome::NotOurs => ("not_ours", None),
    };
    let row = match &decision.outcome {
        Outcome::Lane { row: Some(row), .. } => Some(row.to_string()),
        _ => None,
    };
    let lane = lane.map(|lane| {
        json!({"id": lane.id(), "tags": lane.tags, "engine": lane.engine, "target": lane.target,
            "run_untagged": lane.run_untagged})
    });
    let considered: Vec<Value> =
        decision.considered.iter().map(|one| json!({"row": one.row, "verdict": one.verdict.to_string()})).collect();
    json!({"v": 1, "outcome": outcome, "lane": lane, "row": row, "by_default": decision.by_default,
        "reason": decision.reason, "considered": considered})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::read;
    use crate::stack::default_route;

    fn question(name: &str, project: &str, tags: Option<&[&str]>) -> Question {
        Question {
            facts: JobFacts { name: name.into(), project_path: project.into(), ..JobFacts::default() },
            tags: tags.map(|tags| TagSet::new(tags).unwrap()),
            project: None,
            default: default_route("LAMBDA", TagSet::default(), Some("executor")).unwrap(),
            ec2: false,
        }
    }

    const FILE: &str = r#"[
        {"pk": "job#unit", "sk": "tags#a", "type": "LAMBDA", "arn": "arn:aws:lambda:r:1:function:f", "groups": ["g"]},
        {"pk": "pattern", "sk": "tags#b##un*", "type": "EC2"},
        {"pk": "job#unit 1/2", "sk": "tags#c", "type": "nothing"},
        {"pk": "job#other", "sk": "tags#d", "type": "EC2"}
    ]"#;

    fn shown(question: &Question) -> (String, Result<(), CliError>) {
        let mapping = Mapping::of_file(read(FILE).unwrap());
        let decision = decide(question, &mapping, None, Timestamp(0));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = show(&decision, false, &mut Screen::new(&mut out, &mut err));
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn the_decision_is_shown_with_every_row_of_the_name() {
        let (text, result) = shown(&question("unit 1/2", "g/p", None));
        assert!(text.starts_with("LAMBDA arn:aws:lambda:r:1:function:f"), "{text}");
        assert!(text.contains("  job#unit tags#a: chosen") && text.contains("pattern tags#b##un*"), "{text}");
        assert!(!text.contains("other"), "{text}");
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("job#unit 1/2 tags#c"), "{error}");
    }

    #[test]
    fn without_a_row_the_default_route_and_known_tags_decide() {
        let (text, result) = shown(&question("else", "g/p", None));
        assert!(result.is_ok() && text.starts_with("LAMBDA executor"), "{text}");
        let (text, _) = shown(&question("else", "g/p", Some(&["a"])));
        assert!(text.starts_with("LAMBDA arn:aws:lambda:r:1:function:f"), "{text}");
        let (text, _) = shown(&question("else", "g/p", Some(&["nobody's"])));
        assert!(text.starts_with("not ours"), "{text}");
    }
}
