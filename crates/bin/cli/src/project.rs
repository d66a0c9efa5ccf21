//! `project add` and `project list`: the projects whose pending jobs the sweep lists when there is an API token.

use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::RowKey;
use runnerless_core::project::{Class, PARTITION, ProjectRow, add as name_it, project_of};
use runnerless_core::time::Timestamp;
use runnerless_gitlab::rest::{ApiProject, ProjectsApi};
use serde_json::json;

use crate::error::{CliError, counted};
use crate::screen::Screen;

/// How often a project's row is written again because a hook or a sweep wrote it in between.
const TRIES: u32 = 5;
/// Most projects that are listed.
const MOST: usize = 10_000;

/// Makes projects known before any hook of theirs came: each is listed by the next sweep. All are looked up first, so that
/// one that does not exist keeps the others from being written.
///
/// # Errors
/// GitLab does not know one, or cannot be asked; the ledger is out of reach.
pub async fn add(
    ledger: &impl Ledger,
    gitlab: Option<&impl ProjectsApi>,
    names: &[String],
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let mut projects = Vec::new();
    for name in names {
        projects.push(find(gitlab, name).await?);
    }
    for project in projects {
        write(ledger, &project, now).await?;
        screen.say(format!("project {} {} is listed by the next sweep", project.id, project.path))?;
    }
    if gitlab.is_none() {
        screen.tell(
            "warning: without control/ApiToken no project is listed; `runnerless secrets put api-token` stores it",
        )?;
    }
    Ok(())
}

/// Without an API token nobody can be asked, and an id has to do.
async fn find(gitlab: Option<&impl ProjectsApi>, name: &str) -> Result<ApiProject, CliError> {
    let Some(gitlab) = gitlab else {
        let id = name.parse().map_err(|_| CliError::NotConfigured {
            what: format!("{name:?} is no project id, and without an API token no path can be looked up"),
            cure: "give the project's id, or store control/ApiToken with `runnerless secrets put api-token`".into(),
        })?;
        return Ok(ApiProject { id, path: String::new() });
    };
    let found = gitlab.project(name.trim_matches('/')).await?;
    found.ok_or_else(|| CliError::Finding(format!("GitLab shows the API token no project {name:?}")))
}

async fn write(ledger: &impl Ledger, project: &ApiProject, now: Timestamp) -> Result<(), CliError> {
    for _ in 0..TRIES {
        let row = ledger.load(&[RowKey::Project(project.id)]).await?.project(project.id)?;
        if ledger.apply(&name_it(row.as_ref(), project.id, &project.path, now)).await? == Applied::All {
            return Ok(());
        }
    }
    Err(CliError::Contended { what: "the project's row", times: TRIES })
}

/// Prints the known projects, those first that are listed next.
///
/// # Errors
/// The ledger is out of reach.
pub async fn list(
    ledger: &impl Ledger,
    as_json: bool,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let keys = ledger.due(PARTITION, Timestamp(i64::MAX), MOST).await?;
    let ids: Vec<u64> = keys.iter().filter_map(|key| project_of(&key.pk)).collect();
    let rows = ledger.load(&ids.iter().copied().map(RowKey::Project).collect::<Vec<_>>()).await?;
    let mut projects = Vec::new();
    for id in ids {
        match rows.project(id) {
            Ok(row) => projects.extend(row),
            Err(bad) => screen.tell(format!("warning: {bad}"))?,
        }
    }
    if as_json {
        let rows: Vec<_> = projects.iter().map(|row| json!(row)).collect();
        screen.say(json!({"v": 1, "projects": rows, "complete": keys.len() < MOST}))?;
        return Ok(());
    }
    for row in &projects {
        screen.say(line(row, now))?;
    }
    if keys.len() == MOST {
        screen.tell(format!("warning: only the first {}", counted(MOST, "is shown", "are shown")))?;
    }
    Ok(())
}

fn line(row: &ProjectRow, now: Timestamp) -> String {
    let class = match row.class(now) {
        Class::Active => "active",
        Class::Quiet => "quiet",
        Class::Idle => "idle",
    };
    let ago =
        |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| format!("{} s ago", (now - at).0 / 1000));
    let path = if row.path.is_empty() { "(path not known)" } else { &row.path };
    let told: Vec<&str> = row.told.iter().map(|trouble| trouble.name()).collect();
    let told = if told.is_empty() { String::new() } else { format!("; {}", told.join(", ")) };
    format!(
        "{} {path} {class}; listed {}, hook seen {}; {}{told}",
        row.project_id,
        ago(row.visited_at),
        ago(row.hook_seen),
        row.hook.words(),
    )
}

#[cfg(test)]
mod tests {
    use runnerless_aws::fake::FakeLedger;
    use runnerless_gitlab::rest::fake::FakeJobs;

    use super::*;

    const NOW: Timestamp = Timestamp(1_789_373_730_000);

    async fn added(ledger: &FakeLedger, gitlab: Option<&FakeJobs>, names: &[&str]) -> (Result<(), CliError>, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let done = add(ledger, gitlab, &names, NOW, &mut Screen::new(&mut out, &mut err)).await;
        (done, String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap())
    }

    async fn shown(ledger: &FakeLedger, as_json: bool) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        list(ledger, as_json, Timestamp(NOW.0 + 9_000), &mut Screen::new(&mut out, &mut err)).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn projects_are_known_by_path_or_id_and_listed() {
        let (ledger, gitlab) = (FakeLedger::default(), FakeJobs::default());
        gitlab.put_path(41, "acme/widget");
        gitlab.put_path(42, "acme/gadget");
        let (done, said) = added(&ledger, Some(&gitlab), &["acme/widget", "42"]).await;
        done.unwrap();
        assert!(said.contains("project 41 acme/widget is listed") && said.contains("project 42 acme/gadget"), "{said}");
        let lines = shown(&ledger, false).await;
        assert!(lines.starts_with("41 acme/widget idle; listed never, hook seen never; the state"), "{lines}");
        let json: serde_json::Value = serde_json::from_str(&shown(&ledger, true).await).unwrap();
        assert_eq!((&json["projects"][1]["path"], &json["complete"]), (&json!("acme/gadget"), &json!(true)));
    }

    #[tokio::test]
    async fn one_that_gitlab_does_not_show_keeps_all_from_being_written() {
        let (ledger, gitlab) = (FakeLedger::default(), FakeJobs::default());
        gitlab.put_path(41, "acme/widget");
        let (done, _) = added(&ledger, Some(&gitlab), &["41", "acme/typo"]).await;
        let error = done.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("acme/typo"), "{error}");
        assert!(ledger.items().is_empty());
        gitlab.fail(Some(401));
        assert_eq!(added(&ledger, Some(&gitlab), &["41"]).await.0.unwrap_err().exit_code(), 4);
    }

    #[tokio::test]
    async fn without_a_token_an_id_has_to_do() {
        let ledger = FakeLedger::default();
        let (done, _) = added(&ledger, None, &["acme/widget"]).await;
        assert_eq!(done.unwrap_err().exit_code(), 3);
        let (done, said) = added(&ledger, None, &["41"]).await;
        done.unwrap();
        assert!(said.contains("warning: without control/ApiToken"), "{said}");
        ledger.conflict(9);
        assert_eq!(added(&ledger, None, &["42"]).await.0.unwrap_err().exit_code(), 4);
    }
}
