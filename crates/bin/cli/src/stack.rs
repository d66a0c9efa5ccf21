//! What the stack does with jobs that have no row: read from the router's own settings, because the router obeys them.

use runnerless_aws_admin::ports::{FunctionFacts, Functions};
use runnerless_core::change::Item;
use runnerless_core::lane::{BadTag, Engine, Lane, TagSet};
use runnerless_core::route::{DefaultRoute, MapRow};

/// The stack's way with jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackWays {
    /// Where jobs without a row go.
    pub default: DefaultRoute,
    /// The stack's own executor.
    pub executor: Option<String>,
}

/// Why the router's settings do not say it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWays {
    /// A variable is missing or wrong.
    #[error("{0} is neither LAMBDA, EC2 nor NONE")]
    Route(&'static str),
    /// The tags are none.
    #[error("{0}: {1}")]
    Tags(&'static str, BadTag),
}

const ROUTE: &str = "RUNNERLESS_DEFAULT_ROUTE";
const TAGS: &str = "RUNNERLESS_DEFAULT_TAGS";
const EXECUTOR: &str = "RUNNERLESS_EXECUTOR_ARN";

impl StackWays {
    /// From the router's settings.
    ///
    /// # Errors
    /// They do not say it.
    pub fn of(router: &FunctionFacts) -> Result<Self, BadWays> {
        let text = |name: &str| router.environment.get(name).map(String::as_str).unwrap_or_default();
        let executor = Some(text(EXECUTOR).to_owned()).filter(|arn| !arn.is_empty());
        let tags = tags(text(TAGS)).map_err(|bad| BadWays::Tags(TAGS, bad))?;
        let default = default_route(text(ROUTE), tags, executor.as_deref()).ok_or(BadWays::Route(ROUTE))?;
        Ok(Self { default, executor })
    }

    /// The lane of the default route; it has no row.
    #[must_use]
    pub const fn default_lane(&self) -> Option<&Lane> {
        match &self.default {
            DefaultRoute::Lane(lane) => Some(lane),
            DefaultRoute::None => None,
        }
    }
}

/// Reads the ways from the router; `Err` with the reason when they stay unknown, which keeps nobody from working.
///
/// # Errors
/// The reason, in words.
pub async fn ways(functions: &impl Functions, router: Option<&str>) -> Result<StackWays, String> {
    let router = router.ok_or("the stack's output RouterFunctionName is not known")?;
    let facts = functions.facts(router).await.map_err(|error| error.to_string())?;
    let facts = facts.ok_or_else(|| format!("there is no function {router}"))?;
    StackWays::of(&facts).map_err(|bad| format!("function {router}: {bad}"))
}

/// A route by its name; `None` for another name.
#[must_use]
pub fn default_route(name: &str, tags: TagSet, executor: Option<&str>) -> Option<DefaultRoute> {
    match name {
        "NONE" => Some(DefaultRoute::None),
        "LAMBDA" => Some(DefaultRoute::Lane(Lane {
            run_untagged: tags.is_empty(),
            tags,
            engine: Engine::Lambda,
            target: executor.unwrap_or("the stack's executor").to_owned(),
        })),
        "EC2" => {
            // A row that says nothing of its size gives the lane of instances as the stack has them.
            let mut item = Item::new();
            item.insert("pk".into(), "job#default".into());
            item.insert("sk".into(), tags.sort_key().into());
            item.insert("type".into(), Engine::Ec2.as_str().into());
            MapRow::from_item(&item).ok().map(|row| DefaultRoute::Lane(row.lane()))
        }
        _ => None,
    }
}

/// Tags by commas; none for an empty text.
///
/// # Errors
/// The first that is none.
pub fn tags(text: &str) -> Result<TagSet, BadTag> {
    let parts = text.split(',').map(str::trim);
    if text.trim().is_empty() { Ok(TagSet::default()) } else { TagSet::new(parts) }
}

#[cfg(test)]
mod tests {
    use runnerless_aws_admin::fake::FakeFunctions;

    use super::*;

    fn router(variables: &[(&str, &str)]) -> FunctionFacts {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        FunctionFacts { environment, ..FunctionFacts::default() }
    }

    #[test]
    fn the_routers_settings_say_what_jobs_without_a_row_get() {
        let ways = StackWays::of(&router(&[(ROUTE, "LAMBDA"), (TAGS, "b, a"), (EXECUTOR, "arn")])).unwrap();
        let lane = ways.default_lane().unwrap();
        assert_eq!(
            (lane.tags.sort_key().as_str(), lane.target.as_str(), lane.run_untagged),
            ("tags#a#b", "arn", false)
        );
        let ways = StackWays::of(&router(&[(ROUTE, "LAMBDA"), (EXECUTOR, "arn")])).unwrap();
        assert!(ways.default_lane().unwrap().run_untagged);
        assert_eq!(StackWays::of(&router(&[(ROUTE, "NONE")])).unwrap().default_lane(), None);
        assert_eq!(StackWays::of(&router(&[(ROUTE, "EC2")])).unwrap().default_lane().unwrap().engine, Engine::Ec2);
        assert_eq!(StackWays::of(&router(&[(ROUTE, "lambda")])), Err(BadWays::Route(ROUTE)));
    }

    #[tokio::test]
    async fn a_router_that_cannot_be_read_leaves_a_reason() {
        let functions = FakeFunctions::default();
        assert!(ways(&functions, None).await.unwrap_err().contains("RouterFunctionName"));
        assert!(ways(&functions, Some("router")).await.unwrap_err().contains("no function"));
        functions.refuse(true);
        assert!(ways(&functions, Some("router")).await.unwrap_err().contains("lambda:GetFunctionConfiguration"));
    }
}
