//! How many jobs wait for the pool. No metric of a runner manager tells: GitLab is asked, project by project.

use futures_util::{StreamExt as _, stream};
use runnerless_core::chain::chain;
use runnerless_core::lane::TagSet;
use runnerless_core::pool::Pending;
use runnerless_core::time::Millis;
use runnerless_gitlab::rest::JobsApi;
use runnerless_lambda_kit::{Clock, within};

/// What the whole count is worth of a run: it goes on beside the scrapes, which take as long.
const LIMIT: Millis = Millis::secs(15);
/// Projects that are asked about at once.
const AT_ONCE: usize = 8;
/// Most pages of one project, of a hundred jobs each. With fifty projects a run makes at most 150 requests; GitLab.com takes
/// 2,000 a minute of a user.
const PAGES: u32 = 3;

/// Whose waiting jobs are the pool's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The projects.
    pub projects: Vec<u64>,
    /// The tags of the pool's runner; none for one that runs untagged jobs.
    pub tags: TagSet,
}

impl Waiting {
    /// Whether the pool's runner may take a job with these tags: GitLab's own rule.
    fn serves(&self, job: &TagSet) -> bool {
        if job.is_empty() { self.tags.is_empty() } else { self.tags.covers(job) }
    }
}

/// Counts, until there are `enough`: no more can be grown for.
pub(crate) async fn count(
    waiting: &Waiting,
    jobs: Result<&impl JobsApi, &str>,
    enough: u32,
    clock: &impl Clock,
) -> Pending {
    let jobs = match jobs {
        Ok(jobs) => jobs,
        Err(why) => return Pending::Unknown(why.to_owned()),
    };
    let counted = within(clock, LIMIT, counted(waiting, jobs, enough)).await;
    match counted.unwrap_or_else(|| Err(format!("GitLab took more than {LIMIT}"))) {
        Ok(number) => Pending::Known(number),
        Err(why) => Pending::Unknown(why),
    }
}

async fn counted(waiting: &Waiting, jobs: &impl JobsApi, enough: u32) -> Result<u32, String> {
    let asked = stream::iter(waiting.projects.clone()).map(|project| of_project(waiting, jobs, project, enough));
    let mut asked = asked.buffer_unordered(AT_ONCE);
    let mut sum = 0_u32;
    let mut failed = None;
    while let Some(number) = asked.next().await {
        match number {
            Ok(number) => sum = sum.saturating_add(number),
            Err(why) => failed = Some(why),
        }
        if sum >= enough {
            return Ok(sum);
        }
    }
    // A part of the count is no count: the pool would be taken for less needed than it is.
    failed.map_or(Ok(sum), Err)
}

async fn of_project(waiting: &Waiting, jobs: &impl JobsApi, project: u64, enough: u32) -> Result<u32, String> {
    let mut number = 0_u32;
    let mut cursor = None;
    for _ in 0..PAGES {
        let page = match jobs.pending(project, cursor.as_deref()).await {
            Ok(Some(page)) => page,
            Ok(None) => return Err(format!("there is no project {project}, or the API token may not see it")),
            Err(error) => return Err(format!("project {project}: {}: {}", error.name(), chain(&error))),
        };
        for job in &page.jobs {
            let tags = job.job.tags.as_ref().ok_or("this GitLab does not say which tags a job has (before 13.6)")?;
            number += u32::from(waiting.serves(tags));
        }
        cursor = page.next;
        if cursor.is_none() || number >= enough {
            return Ok(number);
        }
    }
    Err(format!("more jobs wait in project {project} than are counted, and {number} of the first are the pool's"))
}
