//! Mapping rows: the users' data. The format is a promise.

use std::fmt;

use serde_json::{Map, Value};

use crate::change::Item;
use crate::fleet::Market;
use crate::lane::{BadTag, Engine, Lane, TagSet};
use crate::limits;
use crate::time::Millis;

/// The partition that holds all patterns. A pattern cannot be looked up by key, so they live together, few of them,
/// and are read with one query: `pk` = `pattern`, `sk` = `tags#<tag>#<tag>...##<pattern>`. Tags are neither empty nor
/// do they hold `#`, so the first `##` ends them.
pub const PATTERN_PK: &str = "pattern";

/// The partition of the lane entries: `pk` = `lanes`, `sk` = `tags#...`. The loader writes them; they are what keeps
/// one tag set in one lane.
pub const LANES_PK: &str = "lanes";

/// Which job names a row is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matcher {
    /// The full name, or the base name of a `parallel` or `matrix` job.
    Name(String),
    /// A pattern: `*` is any text, `?` any one character.
    Pattern(String),
}

/// Which of the jobs of that name a row is for. An empty list does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Full project paths.
    pub projects: Vec<String>,
    /// Full group paths; a group contains its subgroups' projects.
    pub groups: Vec<String>,
    /// Refs, `*` and `?` as in patterns.
    pub refs: Vec<String>,
    /// Stages.
    pub stages: Vec<String>,
}

impl Scope {
    /// Whether the row applies to every project.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.projects.is_empty() && self.groups.is_empty()
    }
}

/// How big the compute is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// EC2 instance types, in no order of preference.
    pub instance_types: Vec<String>,
    /// The root volume (GiB).
    pub disk_gb: Option<u64>,
    /// `spot` or `on-demand`.
    pub market: Option<String>,
    /// The longest job (s).
    pub timeout_s: Option<u64>,
    /// Whether each launch gets a runner of its own at GitLab.
    pub own_runner: bool,
}

/// How a target says that each launch gets a runner of its own.
const OWN_RUNNER: &str = "own-runner";

/// A lane's target that names no instances.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "target {0:?} is not written <instance types>/<disk in GiB>/<market>, and perhaps /own-runner; load the mapping again"
)]
pub struct BadTarget(pub String);

impl Size {
    /// Reads the target of an EC2 lane, which says all of its size but the longest job.
    ///
    /// # Errors
    /// It is no such target.
    pub fn of_target(target: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(target.chars().take(80).collect());
        let parts: Vec<&str> = target.split('/').collect();
        let (types, disk, market, own_runner) = match parts[..] {
            [types, disk, market] => (types, disk, market, false),
            [types, disk, market, OWN_RUNNER] => (types, disk, market, true),
            _ => return Err(bad()),
        };
        let instance_types: Vec<String> = match types {
            "" => Vec::new(),
            types => types.split(',').map(str::to_owned).collect(),
        };
        let size = Self {
            disk_gb: if disk.is_empty() { None } else { Some(disk.parse().map_err(|_| bad())?) },
            market: (!market.is_empty()).then(|| market.to_owned()),
            timeout_s: None,
            instance_types,
            own_runner,
        };
        let named = size.instance_types.iter().all(|name| !name.is_empty());
        if named && size.market.is_some() == size.market().is_some() { Ok(size) } else { Err(bad()) }
    }

    /// As the target of an EC2 lane: all of it but the longest job.
    #[must_use]
    pub fn target(&self) -> String {
        let mut types = self.instance_types.clone();
        types.sort();
        let disk = self.disk_gb.map_or_else(String::new, |gb| gb.to_string());
        let own = if self.own_runner { "/own-runner" } else { "" };
        format!("{}/{disk}/{}{own}", types.join(","), self.market.as_deref().unwrap_or(""))
    }

    /// The longest job, as far as it counts; `None` when the row does not say.
    #[must_use]
    pub fn longest(&self) -> Option<Millis> {
        let most = limits::EC2_JOB_MOST.0 / 1000;
        self.timeout_s.map(|seconds| Millis::secs(i64::try_from(seconds).unwrap_or(most).min(most)))
    }

    /// The market; `None` when the row leaves it to the stack.
    #[must_use]
    pub fn market(&self) -> Option<Market> {
        match self.market.as_deref()? {
            "spot" => Some(Market::Spot),
            "on-demand" => Some(Market::OnDemand),
            _ => None,
        }
    }
}

/// What the loader read of a LAMBDA target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// Whether the function isolates tenants; a tenant id may be passed to such a function only, and must be.
    pub tenancy: Option<bool>,
    /// The function's timeout (s).
    pub timeout_s: Option<u64>,
    /// The function's asynchronous retries; 0 or a failed job would run twice.
    pub retries: Option<u64>,
}

/// One row of the mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRow {
    /// Which names.
    pub matcher: Matcher,
    /// The lane's tags.
    pub tags: TagSet,
    /// The engine.
    pub engine: Engine,
    /// The function, for LAMBDA.
    pub arn: Option<String>,
    /// Whether the lane's runner takes untagged jobs too; always true for the untagged lane.
    pub run_untagged: bool,
    /// Which jobs of those names.
    pub scope: Scope,
    /// How big.
    pub size: Size,
    /// Who owns the row.
    pub owner: Option<String>,
    /// What the loader read of the function.
    pub target: TargetFacts,
    /// Attributes that this version does not know, kept.
    pub extra: Map<String, Value>,
}

/// A row that cannot be used. It is never guessed at: its jobs go to the default route, with an alarm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mapping row {row}: {field} {problem}; {cure}")]
pub struct BadMapRow {
    /// The row, as its keys.
    pub row: String,
    /// The attribute.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

const KNOWN: [&str; 18] = [
    "pk",
    "sk",
    "type",
    "arn",
    "run_untagged",
    "projects",
    "groups",
    "refs",
    "stages",
    "instance_types",
    "disk_gb",
    "market",
    "timeout_s",
    "runner_per_launch",
    "owner",
    "tenancy",
    "function_timeout_s",
    "retries",
];

impl MapRow {
    /// The partition key.
    #[must_use]
    pub fn pk(&self) -> String {
        match &self.matcher {
            Matcher::Name(name) => format!("job#{name}"),
            Matcher::Pattern(_) => PATTERN_PK.to_owned(),
        }
    }

    /// The sort key.
    #[must_use]
    pub fn sk(&self) -> String {
        match &self.matcher {
            Matcher::Name(_) => self.tags.sort_key(),
            Matcher::Pattern(pattern) => format!("{}##{pattern}", self.tags.sort_key()),
        }
    }

    /// The lane that the row leads to.
    #[must_use]
    pub fn lane(&self) -> Lane {
        Lane {
            tags: self.tags.clone(),
            engine: self.engine,
            target: match self.engine {
                Engine::Lambda => self.arn.clone().unwrap_or_default(),
                Engine::Ec2 => self.size.target(),
            },
            run_untagged: self.run_untagged || self.tags.is_empty(),
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The first attribute that is missing or wrong, with the cure.
    pub fn from_item(item: &Item) -> Result<Self, BadMapRow> {
        let read = Reader::new(item);
        let (matcher, tags) = read.keys()?;
        let engine = read.engine()?;
        let row = Self {
            matcher,
            tags,
            engine,
            arn: read.text("arn")?,
            run_untagged: read.flag("run_untagged")?.unwrap_or(false),
            scope: Scope {
                projects: read.list("projects")?,
                groups: read.list("groups")?,
                refs: read.list("refs")?,
                stages: read.list("stages")?,
            },
            size: Size {
                instance_types: read.list("instance_types")?,
                disk_gb: read.number("disk_gb")?,
                market: read.text("market")?,
                timeout_s: read.number("timeout_s")?,
                own_runner: read.flag("runner_per_launch")?.unwrap_or(false),
            },
            owner: read.text("owner")?,
            target: TargetFacts {
                tenancy: read.flag("tenancy")?,
                timeout_s: read.number("function_timeout_s")?,
                retries: read.number("retries")?,
            },
            extra: item
                .iter()
                .filter(|(k, _)| !KNOWN.contains(&k.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        };
        row.check(&read)?;
        Ok(row)
    }

    fn check(&self, read: &Reader<'_>) -> Result<(), BadMapRow> {
        if self.engine == Engine::Lambda {
            let arn = self
                .arn
                .as_deref()
                .ok_or_else(|| read.bad("arn", "is missing", "a row of type LAMBDA names its function's ARN"))?;
            if !is_function_arn(arn) {
                return Err(read.bad("arn", &format!("{arn:?} is no Lambda function ARN"), FUNCTION_ARN));
            }
        }
        if let Some(market) = &self.size.market
            && !matches!(market.as_str(), "spot" | "on-demand")
        {
            return Err(read.bad("market", &format!("is {market:?}"), "write spot or on-demand"));
        }
        if self.size.own_runner && self.engine == Engine::Lambda {
            let problem = "is set on a row of type LAMBDA";
            return Err(read.bad(
                "runner_per_launch",
                problem,
                "leave it out: only launches of type EC2 have runners of their own",
            ));
        }
        if self.size.timeout_s == Some(0) {
            return Err(read.bad("timeout_s", "is 0", "write the longest job in seconds, or leave it out"));
        }
        Ok(())
    }

    /// The row's attributes.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let mut item = self.extra.clone();
        let mut set = |name: &str, value: Value| {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                item.insert(name.to_owned(), value);
            }
        };
        set("pk", self.pk().into());
        set("sk", self.sk().into());
        set("type", self.engine.as_str().into());
        set("arn", self.arn.clone().into());
        set("run_untagged", self.run_untagged.then_some(true).into());
        set("projects", self.scope.projects.clone().into());
        set("groups", self.scope.groups.clone().into());
        set("refs", self.scope.refs.clone().into());
        set("stages", self.scope.stages.clone().into());
        set("instance_types", self.size.instance_types.clone().into());
        set("disk_gb", self.size.disk_gb.into());
        set("market", self.size.market.clone().into());
        set("timeout_s", self.size.timeout_s.into());
        set("runner_per_launch", self.size.own_runner.then_some(true).into());
        set("owner", self.owner.clone().into());
        set("tenancy", self.target.tenancy.into());
        set("function_timeout_s", self.target.timeout_s.into());
        set("retries", self.target.retries.into());
        item
    }
}

impl fmt::Display for MapRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pk(), self.sk())
    }
}

const FUNCTION_ARN: &str = "write arn:<partition>:lambda:<region>:<account>:function:<name>";

fn is_function_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    (7..=8).contains(&parts.len())
        && parts[0] == "arn"
        && parts[1].starts_with("aws")
        && parts[2] == "lambda"
        && parts[5] == "function"
        && parts[3..].iter().all(|part| !part.is_empty())
}

/// What the loader records of a lane: the claim of a tag set by one engine and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneEntry {
    /// The lane.
    pub lane: Lane,
    /// Whether its function isolates tenants; `None` when the loader did not read that.
    pub tenancy: Option<bool>,
}

impl LaneEntry {
    /// The entry of a row's lane.
    #[must_use]
    pub fn of(row: &MapRow) -> Self {
        Self { lane: row.lane(), tenancy: row.target.tenancy }
    }

    /// The entry's attributes.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let mut item = Item::new();
        item.insert("pk".into(), LANES_PK.into());
        item.insert("sk".into(), self.lane.tags.sort_key().into());
        item.insert("type".into(), self.lane.engine.as_str().into());
        item.insert("target".into(), self.lane.target.clone().into());
        item.insert("run_untagged".into(), self.lane.run_untagged.into());
        item.insert("lane".into(), self.lane.id().as_str().into());
        item.extend(self.tenancy.map(|tenancy| ("tenancy".to_owned(), tenancy.into())));
        item
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// The first attribute that is missing or wrong.
    pub fn from_item(item: &Item) -> Result<Self, BadMapRow> {
        let read = Reader::new(item);
        let sk = read.text("sk")?.unwrap_or_default();
        let tags = TagSet::from_sort_key(&sk).map_err(|bad| read.bad_tag(&bad))?;
        let target = read.text("target")?.ok_or_else(|| read.bad("target", "is missing", "load the mapping again"))?;
        let run_untagged = read.flag("run_untagged")?.unwrap_or(tags.is_empty());
        let lane = Lane { engine: read.engine()?, tags, target, run_untagged };
        Ok(Self { lane, tenancy: read.flag("tenancy")? })
    }
}

struct Reader<'a> {
    item: &'a Item,
    row: String,
}

impl<'a> Reader<'a> {
    fn new(item: &'a Item) -> Self {
        let key = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
        Self { item, row: format!("{} {}", key("pk"), key("sk")) }
    }

    fn bad(&self, field: &str, problem: &str, cure: &str) -> BadMapRow {
        BadMapRow { row: self.row.clone(), field: field.into(), problem: problem.into(), cure: cure.into() }
    }

    fn bad_tag(&self, bad: &BadTag) -> BadMapRow {
        self.bad("sk", &format!("is wrong: {bad}"), "write tags#<tag>#<tag>..., or tags# for the untagged lane")
    }

    fn keys(&self) -> Result<(Matcher, TagSet), BadMapRow> {
        let (pk, sk) = (self.text("pk")?.unwrap_or_default(), self.text("sk")?.unwrap_or_default());
        if let Some(name) = pk.strip_prefix("job#").filter(|name| !name.is_empty()) {
            let tags = TagSet::from_sort_key(&sk).map_err(|bad| self.bad_tag(&bad))?;
            return Ok((Matcher::Name(name.to_owned()), tags));
        }
        if pk != PATTERN_PK {
            return Err(self.bad("pk", &format!("is {pk:?}"), "write job#<job name>, or pattern"));
        }
        // The untagged lane's key ends in `#` itself, so that `tags#` and `##` make three.
        let split = match sk.strip_prefix("tags###") {
            Some(pattern) => Some(("tags#", pattern)),
            None => sk.split_once("##"),
        };
        let split = split.filter(|(_, pattern)| !pattern.is_empty());
        let (tags, pattern) =
            split.ok_or_else(|| self.bad("sk", "holds no pattern", "write tags#<tag>...##<pattern>"))?;
        let tags = TagSet::from_sort_key(tags).map_err(|bad| self.bad_tag(&bad))?;
        Ok((Matcher::Pattern(pattern.to_owned()), tags))
    }

    fn engine(&self) -> Result<Engine, BadMapRow> {
        let text = self.text("type")?.ok_or_else(|| self.bad("type", "is missing", "write EC2 or LAMBDA"))?;
        Engine::parse(&text).ok_or_else(|| self.bad("type", &format!("is {text:?}"), "write EC2 or LAMBDA"))
    }

    fn text(&self, field: &str) -> Result<Option<String>, BadMapRow> {
        match self.item.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.bad(field, "is no text", "write a text that is not empty, or leave it out")),
        }
    }

    fn flag(&self, field: &str) -> Result<Option<bool>, BadMapRow> {
        match self.item.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.bad(field, "is neither true nor false", "write true or false")),
        }
    }

    fn number(&self, field: &str) -> Result<Option<u64>, BadMapRow> {
        match self.item.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| self.bad(field, "is no whole number", "write a whole number that is not negative")),
        }
    }

    fn list(&self, field: &str) -> Result<Vec<String>, BadMapRow> {
        let wrong = || self.bad(field, "is no list of texts", "write a list such as [\"a\", \"b\"]");
        let Some(value) = self.item.get(field).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
        let entries = value.as_array().ok_or_else(wrong)?;
        let text = |entry: &Value| entry.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        entries.iter().map(|entry| text(entry).ok_or_else(wrong)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(value: Value) -> Item {
        let Value::Object(item) = value else { panic!("no object") };
        item
    }

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:executor";

    #[test]
    fn a_row_survives_with_attributes_of_others() {
        let source = item(json!({
            "pk": "job#unit: [a]", "sk": "tags#a#b", "type": "LAMBDA", "arn": ARN, "groups": ["acme"],
            "refs": ["main", "release/*"], "timeout_s": 300, "note": {"any": 1}
        }));
        let row = MapRow::from_item(&source).unwrap();
        assert_eq!(row.to_item(), source);
        assert_eq!(row.lane().tags.len(), 2);
    }

    #[test]
    fn pattern_keys_survive_whatever_the_pattern_holds() {
        for (sk, tags, pattern) in [
            ("tags#a#b##deploy*", 2, "deploy*"),
            ("tags###deploy*", 0, "deploy*"),
            ("tags###", 9, ""),
            ("tags#tags##tags##x", 1, "tags##x"),
            ("tags####x", 0, "#x"),
        ] {
            let read = MapRow::from_item(&item(json!({"pk": "pattern", "sk": sk, "type": "LAMBDA", "arn": ARN})));
            match read {
                Err(bad) => assert_eq!(tags, 9, "{sk}: {bad}"),
                Ok(row) => {
                    assert_eq!((row.tags.len(), &row.matcher), (tags, &Matcher::Pattern(pattern.into())), "{sk}");
                    assert_eq!(row.sk(), sk);
                }
            }
        }
    }

    #[test]
    fn a_wrong_attribute_is_named_with_its_cure() {
        let good = json!({"pk": "job#unit", "sk": "tags#a", "type": "LAMBDA", "arn": ARN});
        for (field, value) in [
            ("pk", json!("unit")),
            ("pk", json!("job#")),
            ("sk", json!("a")),
            ("sk", json!("tags#a##b")),
            ("type", json!("lambda")),
            ("arn", json!("executor")),
            ("arn", Value::Null),
            ("projects", json!("acme/widget")),
            ("projects", json!([1])),
            ("timeout_s", json!("300")),
            ("timeout_s", json!(0)),
            ("disk_gb", json!(-1)),
            ("market", json!("cheap")),
            ("run_untagged", json!("yes")),
            ("owner", json!(" ")),
            ("runner_per_launch", json!(true)),
        ] {
            let mut source = item(good.clone());
            source.insert(field.into(), value.clone());
            let bad = MapRow::from_item(&source).expect_err(&format!("{field} = {value}"));
            assert_eq!(bad.field, field, "{bad}");
            assert!(!bad.cure.is_empty());
        }
    }

    #[test]
    fn a_runner_per_launch_is_a_part_of_the_lanes_target() {
        let source =
            item(json!({"pk": "job#u", "sk": "tags#a", "type": "EC2", "market": "spot", "runner_per_launch": true}));
        let row = MapRow::from_item(&source).unwrap();
        assert_eq!((row.to_item(), row.lane().target.as_str()), (source, "//spot/own-runner"));
        assert_eq!(Size::of_target("//spot/own-runner").unwrap(), row.size);
        assert!(!Size::of_target("//spot").unwrap().own_runner);
        for bad in ["//spot/", "//spot/own", "///own-runner/x"] {
            assert!(Size::of_target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lane_entries_survive() {
        let row =
            MapRow::from_item(&item(json!({"pk": "job#u", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}))).unwrap();
        let entry = LaneEntry::of(&row);
        assert_eq!(LaneEntry::from_item(&entry.to_item()).unwrap(), entry);
    }
}
