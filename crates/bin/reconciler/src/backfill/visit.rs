//! A run's visits: of each project its pages, its hook, its row.

use runnerless_aws::AwsError;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::RowKey;
use runnerless_core::project::{
    Class, Health, Listed, Pages, ProjectRow, Seen, Trouble, Visited, health, looks_at_hook, overdue, project_pk,
    visited,
};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::rest::{JobsApi, RestError};
use runnerless_lambda_kit::{Clock, metrics};
use runnerless_router::Ports;
use serde_json::json;

use super::{Backfill, Listing, jobs};
use crate::SERVICE;
use crate::report::{Item, Result as Outcome};

/// Most pages of one visit: a project with more goes on in the next run, and the others get their turn.
const PAGES: u32 = 10;
/// So many calls in a row without an answer, and GitLab is left alone until the next run.
const FAILURES: u32 = 3;
/// How often a visit is decided again because a hook came in between.
const TRIES: usize = 3;
/// What a visit is called in the report.
const ACTION: &str = "list";

/// What a run may still spend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) calls: u32,
    pub(super) until: Timestamp,
}

/// Why no further project is visited in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// GitLab refuses the API token.
    Token,
    /// GitLab has no keyset pages of jobs.
    Unsupported(String),
    /// GitLab does not answer, or wants to be left alone.
    Unavailable(String),
}

impl Stop {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Token => "GitLab refuses the API token".to_owned(),
            Self::Unsupported(why) | Self::Unavailable(why) => why.clone(),
        }
    }
}

/// A run's visits.
pub(super) struct Visitor<'a, P: Ports> {
    pub(super) ports: &'a P,
    pub(super) jobs: &'a P::Jobs,
    pub(super) listing: &'a Listing,
    pub(super) budget: Budget,
    /// Calls in a row without an answer.
    pub(super) failures: u32,
    /// How overdue the project is that is most overdue and was not listed to its end.
    pub(super) late: Millis,
    pub(super) stop: Option<Stop>,
    pub(super) done: Backfill,
}

/// What came of a visit's calls.
struct Came {
    seen: Seen,
    /// New jobs.
    found: usize,
    /// The name of what went wrong.
    error: Option<&'static str>,
}

impl<P: Ports> Visitor<'_, P> {
    /// Whether another project may be visited.
    pub(super) fn goes_on(&self) -> bool {
        self.stop.is_none() && !self.is_spent()
    }

    fn is_spent(&self) -> bool {
        self.budget.calls == 0 || self.ports.clock().now() >= self.budget.until
    }

    /// Whether the run's time was over before its calls were.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.stop.is_none() && self.budget.calls > 0 && self.is_spent()
    }

    /// A dry run's word.
    pub(super) fn plan(&mut self, row: &ProjectRow, now: Timestamp) {
        self.late = self.late.max(overdue(row, now));
        self.say(row, reason(row, now), Outcome::Planned);
    }

    /// The run ends before this project.
    pub(super) fn leave(&mut self, row: &ProjectRow, now: Timestamp) {
        self.late = self.late.max(overdue(row, now));
        let why = self.stop.as_ref().map_or_else(|| "the run's calls or its time are spent".to_owned(), Stop::words);
        self.say(row, format!("{}; {why}", reason(row, now)), Outcome::Left);
    }

    /// Visits a project.
    ///
    /// # Errors
    /// The ledger is out of reach: the project stays due.
    pub(super) async fn visit(&mut self, row: &ProjectRow) -> Result<(), AwsError> {
        let began = self.ports.clock().now();
        let mut came = self.pages(row, began).await?;
        if matches!(came.seen.listed, Listed::Whole | Listed::Part(_)) && self.goes_on() {
            came.seen.hook = self.hook(row, &came.seen.pages).await;
        }
        let result = match self.write(row, &came.seen).await? {
            None => Outcome::NotNeeded("its row changed meanwhile".to_owned()),
            Some(visited) => {
                tell(row, &visited);
                outcome(&came)
            }
        };
        if !matches!(came.seen.listed, Listed::Whole | Listed::Refused) {
            self.late = self.late.max(overdue(row, began));
        }
        let reason = format!("{}; {} pending, {} found", reason(row, began), came.seen.pages.open, came.found);
        self.say(row, reason, result);
        Ok(())
    }

    async fn pages(&mut self, row: &ProjectRow, at: Timestamp) -> Result<Came, AwsError> {
        let pages = Pages::default();
        let mut came =
            Came { seen: Seen { at, pages, listed: Listed::Whole, cursor: None, hook: None }, found: 0, error: None };
        let mut cursor = row.cursor.clone();
        for read in 0_u32.. {
            if let Some(from) = cursor.clone().filter(|_| read >= PAGES || (read > 0 && self.is_spent())) {
                came.seen.listed = Listed::Part(from);
                break;
            }
            self.budget.calls = self.budget.calls.saturating_sub(1);
            let page = match self.jobs.pending(row.project_id, cursor.as_deref()).await {
                Ok(Some(page)) => page,
                Ok(None) => {
                    (came.seen.listed, came.error) = (Listed::Refused, Some("GitLab.NotFound"));
                    break;
                }
                Err(error) => {
                    (came.seen.listed, came.error) = (self.unread(row, &error), Some(error.name()));
                    break;
                }
            };
            self.failures = 0;
            let taken = jobs::take(self.ports, row, &page, &mut self.done).await?;
            came.found += taken.found;
            add(&mut came.seen.pages, taken.pages);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        came.seen.cursor = cursor;
        Ok(came)
    }

    /// What a page that was not answered means. It is never taken for an empty one.
    fn unread(&mut self, row: &ProjectRow, error: &RestError) -> Listed {
        let pk = project_pk(row.project_id);
        tracing::warn!(target: "runnerless", %error, row.pk = pk, "a project's jobs were not listed");
        self.stop = self.stops(error);
        match error {
            RestError::NoPages { first: false, .. } => Listed::Again,
            RestError::Refused(refusal) if refusal.status == 403 => Listed::Refused,
            _ => Listed::Failed,
        }
    }

    fn stops(&mut self, error: &RestError) -> Option<Stop> {
        if error.is_of_token() {
            return Some(Stop::Token);
        }
        if let RestError::NoPages { first: true, .. } = error {
            return Some(Stop::Unsupported(error.to_string()));
        }
        if !error.is_temporary() {
            return None;
        }
        self.failures += 1;
        // What GitLab says of its own limits holds for every project.
        let is_told = error.retry_after().is_some();
        (is_told || self.failures >= FAILURES).then(|| Stop::Unavailable(error.to_string()))
    }

    /// How the project's hook stands, if it is looked at and GitLab says.
    async fn hook(&mut self, row: &ProjectRow, pages: &Pages) -> Option<Health> {
        if !looks_at_hook(row, pages, self.ports.clock().now()) {
            return None;
        }
        self.budget.calls = self.budget.calls.saturating_sub(1);
        match self.jobs.hooks(row.project_id).await {
            Ok(Some(hooks)) => Some(health(&hooks.hooks, hooks.complete, &self.listing.webhook_url)),
            Ok(None) => Some(Health::Unknown),
            Err(error) => {
                let pk = project_pk(row.project_id);
                tracing::info!(target: "runnerless", %error, row.pk = pk, "how the project's hook stands is not known");
                self.stop = self.stops(&error);
                // Who is no maintainer asks again in an hour; who got no answer, with the next visit.
                (!error.is_temporary() && !error.is_of_token()).then_some(Health::Unknown)
            }
        }
    }

    /// Writes the project's row; `None` when it kept changing: it stays due.
    async fn write(&self, row: &ProjectRow, seen: &Seen) -> Result<Option<Visited>, AwsError> {
        let (ledger, now) = (self.ports.ledger(), self.ports.clock().now());
        let mut row = row.clone();
        for _ in 0..TRIES {
            let visited = visited(&row, seen, now);
            if ledger.apply(&visited.plan).await? == Applied::All {
                return Ok(Some(visited));
            }
            match ledger.load(&[RowKey::Project(row.project_id)]).await?.project(row.project_id)? {
                Some(newer) => row = newer,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn say(&mut self, row: &ProjectRow, reason: String, result: Outcome) {
        self.done.items.push(Item { row: project_pk(row.project_id), action: ACTION, reason, result });
    }
}

fn add(pages: &mut Pages, more: Pages) {
    pages.open += more.open;
    pages.unheard = pages.unheard.into_iter().chain(more.unheard).min();
    pages.path = more.path.or(pages.path.take());
}

fn tell(row: &ProjectRow, visited: &Visited) {
    for trouble in &visited.tell {
        let why = match trouble {
            Trouble::HookDisabled | Trouble::HookMissing => visited.hook.words(),
            Trouble::HookSilent => "its jobs wait, and no hook of it comes",
            Trouble::Unlisted => "GitLab does not list its jobs to the API token",
        };
        let fields = json!({"project.id": row.project_id, "project.path": row.path, "why": why});
        metrics::trouble(SERVICE, trouble.name(), 1, &fields);
    }
}

fn outcome(came: &Came) -> Outcome {
    match (&came.seen.listed, came.error) {
        (_, Some(error)) => Outcome::Failed(error.to_owned()),
        (Listed::Part(_), None) => Outcome::Held("its listing goes on with the next run".to_owned()),
        (_, None) => Outcome::Done,
    }
}

/// Why the project is visited.
fn reason(row: &ProjectRow, now: Timestamp) -> String {
    let class = match row.class(now) {
        Class::Active => "active",
        Class::Quiet => "quiet",
        Class::Idle => "idle",
    };
    let path = if row.path.is_empty() { "its path is not known" } else { &row.path };
    format!("{class}, {} s overdue ({path})", overdue(row, now).0 / 1000)
}
