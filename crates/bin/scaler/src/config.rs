//! What the scaler reads from its environment.

use std::time::Duration;

use runnerless_aws::{DynamoLedger, ParameterStore};
use runnerless_aws_ec2::AutoScaling;
use runnerless_core::chain::chain;
use runnerless_core::lane::TagSet;
use runnerless_core::pool::Settings;
use runnerless_core::time::Millis;
use runnerless_gitlab::metrics::Exporters;
use runnerless_gitlab::rest::RestClient;
use runnerless_lambda_kit::{Env, EnvError, SystemClock};

use crate::{Jobs, Scaler, Waiting};

/// How long one member may take to tell its metrics: it is in the same network, and answers in milliseconds.
const SCRAPE: Duration = Duration::from_secs(2);
/// Most projects whose waiting jobs are counted.
const PROJECTS: usize = 50;

/// What is made once per process.
#[derive(Debug)]
pub struct Config {
    group: String,
    settings: Settings,
    waiting: Waiting,
    ledger: DynamoLedger,
    pool: AutoScaling,
    exporters: Exporters,
    jobs: Jobs<ParameterStore>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let credentials = env.credentials()?;
        let (place, way) = env.way("RUNNERLESS_PROXY", "RUNNERLESS_CA_FILE")?;
        Ok(Self {
            group: env.text("RUNNERLESS_GROUP")?,
            settings: settings(env)?,
            waiting: waiting(env)?,
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            pool: AutoScaling::new(&place, &credentials),
            exporters: exporters(env)?,
            jobs: Jobs {
                store: ParameterStore::new(&place, &credentials),
                control: format!("{}/control", env.text("RUNNERLESS_PARAMETER_PATH")?),
                url: env.text("RUNNERLESS_GITLAB_URL")?,
                way,
            },
        })
    }

    /// GitLab's jobs API for one run, or why there is none.
    ///
    /// # Errors
    /// Words for the operator.
    pub async fn jobs(&self) -> Result<RestClient, String> {
        if self.waiting.projects.is_empty() {
            return Err("the stack's parameter PendingProjects names no project".to_owned());
        }
        self.jobs.client(&SystemClock).await
    }

    /// The scaler over AWS.
    #[must_use]
    pub fn scaler<'a>(
        &'a self,
        jobs: Result<&'a RestClient, &'a str>,
    ) -> Scaler<'a, DynamoLedger, AutoScaling, Exporters, RestClient, SystemClock> {
        Scaler {
            group: &self.group,
            settings: &self.settings,
            ledger: &self.ledger,
            pool: &self.pool,
            tables: &self.exporters,
            jobs,
            waiting: &self.waiting,
            clock: &SystemClock,
        }
    }
}

fn exporters(env: &Env) -> Result<Exporters, EnvError> {
    const NAME: &str = "RUNNERLESS_METRICS_PORT";
    let port = env.number(NAME)?;
    let wrong = |what| EnvError::Wrong { name: NAME, value: port.to_string(), what };
    let number = u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| wrong("a port, 1 to 65535"))?;
    Exporters::new(number, SCRAPE).map_err(|error| {
        tracing::error!(target: "runnerless", error = chain(&error), "metrics cannot be asked for");
        wrong("a port that this system lets us connect to")
    })
}

/// Each field of [`Settings`], the variable that holds it, and how many milliseconds its unit has, for times.
const FIELDS: [(&str, &str, i64); 12] = [
    ("minimum", "RUNNERLESS_MEMBERS_MIN", 1),
    ("maximum", "RUNNERLESS_MEMBERS_MAX", 1),
    ("target_utilisation", "RUNNERLESS_TARGET_UTILISATION", 1),
    ("headroom_slots", "RUNNERLESS_HEADROOM_SLOTS", 1),
    ("grow_step", "RUNNERLESS_GROW_STEP", 1),
    ("shrink_step", "RUNNERLESS_SHRINK_STEP", 1),
    ("idle_scrapes", "RUNNERLESS_IDLE_RUNS", 1),
    ("stabilisation", "RUNNERLESS_STABILISATION_MINUTES", 60_000),
    ("warm_up", "RUNNERLESS_WARM_UP_SECONDS", 1000),
    ("unhealthy_after", "RUNNERLESS_UNHEALTHY_RUNS", 1),
    ("slots_per_member", "RUNNERLESS_SLOTS_PER_MEMBER", 1),
    ("longest_job", "RUNNERLESS_LONGEST_JOB_MINUTES", 60_000),
];

fn settings(env: &Env) -> Result<Settings, EnvError> {
    let count = |name: &'static str| {
        let value = env.number(name)?;
        let wrong = || EnvError::Wrong { name, value: value.to_string(), what: "a whole number below 2^32" };
        u32::try_from(value).map_err(|_| wrong())
    };
    let time = |name: &'static str, unit: i64| Ok(Millis(i64::from(count(name)?) * unit));
    let settings = Settings {
        minimum: count("RUNNERLESS_MEMBERS_MIN")?,
        maximum: count("RUNNERLESS_MEMBERS_MAX")?,
        target_utilisation: count("RUNNERLESS_TARGET_UTILISATION")?,
        headroom_slots: count("RUNNERLESS_HEADROOM_SLOTS")?,
        grow_step: count("RUNNERLESS_GROW_STEP")?,
        shrink_step: count("RUNNERLESS_SHRINK_STEP")?,
        idle_scrapes: count("RUNNERLESS_IDLE_RUNS")?,
        stabilisation: time("RUNNERLESS_STABILISATION_MINUTES", 60_000)?,
        warm_up: time("RUNNERLESS_WARM_UP_SECONDS", 1000)?,
        unhealthy_after: count("RUNNERLESS_UNHEALTHY_RUNS")?,
        slots_per_member: count("RUNNERLESS_SLOTS_PER_MEMBER")?,
        longest_job: time("RUNNERLESS_LONGEST_JOB_MINUTES", 60_000)?,
    };
    settings.checked().map_err(|bad| {
        let (_, name, unit) =
            FIELDS.into_iter().find(|(field, ..)| *field == bad.field).unwrap_or((bad.field, bad.field, 1));
        EnvError::Wrong { name, value: (bad.value / unit).to_string(), what: bad.cure }
    })
}

fn waiting(env: &Env) -> Result<Waiting, EnvError> {
    const PROJECTS_NAME: &str = "RUNNERLESS_PENDING_PROJECTS";
    const TAGS_NAME: &str = "RUNNERLESS_POOL_TAGS";
    let projects = env.optional(PROJECTS_NAME).unwrap_or_default();
    let ids: Option<Vec<u64>> = words(&projects).map(|id| id.parse().ok()).collect();
    let wrong =
        || EnvError::Wrong { name: PROJECTS_NAME, value: projects.clone(), what: "at most fifty ids, by commas" };
    let mut ids = ids.filter(|ids| ids.len() <= PROJECTS).ok_or_else(wrong)?;
    // One that is named twice has its jobs but once.
    ids.sort_unstable();
    ids.dedup();
    let tags = env.optional(TAGS_NAME).unwrap_or_default();
    let set = TagSet::new(words(&tags));
    let set = set.map_err(|_| EnvError::Wrong { name: TAGS_NAME, value: tags.clone(), what: "tags, by commas" })?;
    Ok(Waiting { projects: ids, tags: set })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [(&str, &str); 13] = [
        ("RUNNERLESS_MEMBERS_MIN", "0"),
        ("RUNNERLESS_MEMBERS_MAX", "10"),
        ("RUNNERLESS_TARGET_UTILISATION", "90"),
        ("RUNNERLESS_HEADROOM_SLOTS", "1"),
        ("RUNNERLESS_GROW_STEP", "100"),
        ("RUNNERLESS_SHRINK_STEP", "10"),
        ("RUNNERLESS_IDLE_RUNS", "3"),
        ("RUNNERLESS_STABILISATION_MINUTES", "10"),
        ("RUNNERLESS_WARM_UP_SECONDS", "300"),
        ("RUNNERLESS_UNHEALTHY_RUNS", "3"),
        ("RUNNERLESS_SLOTS_PER_MEMBER", "2"),
        ("RUNNERLESS_LONGEST_JOB_MINUTES", "190"),
        ("RUNNERLESS_METRICS_PORT", "9252"),
    ];

    fn env(name: &'static str, value: &'static str) -> Env {
        let mut variables = USUAL;
        if let Some(slot) = variables.iter_mut().find(|(usual, _)| *usual == name) {
            slot.1 = value;
        }
        Env::of(variables)
    }

    #[test]
    fn the_usual_settings_are_those_of_the_decisions() {
        assert_eq!(settings(&Env::of(USUAL)).unwrap(), Settings::default());
    }

    #[test]
    fn each_setting_is_read_from_its_variable_and_what_is_out_of_bounds_is_named() {
        let usual = settings(&Env::of(USUAL)).unwrap();
        for (_, name, _) in FIELDS {
            assert_ne!(settings(&env(name, "7")).unwrap(), usual, "{name}");
            assert_eq!(settings(&env(name, "")), Err(EnvError::Missing(name)));
            let wrong = |value| match settings(&env(name, value)) {
                Err(EnvError::Wrong { name: named, .. }) => assert_eq!(named, name, "{value}"),
                other => panic!("{name} {value}: {other:?}"),
            };
            ["many", "-1", "4294967296"].into_iter().for_each(wrong);
        }
        for (name, value) in [
            ("RUNNERLESS_MEMBERS_MIN", "11"),
            ("RUNNERLESS_TARGET_UTILISATION", "101"),
            ("RUNNERLESS_LONGEST_JOB_MINUTES", "2881"),
            ("RUNNERLESS_IDLE_RUNS", "1"),
        ] {
            let error = settings(&env(name, value)).unwrap_err();
            assert!(error.to_string().contains(&format!("{name} is \"{value}\"")), "{error}");
        }
    }

    #[test]
    fn projects_and_tags_are_lists_by_commas() {
        let read = |projects, tags| {
            waiting(&Env::of([("RUNNERLESS_PENDING_PROJECTS", projects), ("RUNNERLESS_POOL_TAGS", tags)]))
        };
        let tags = TagSet::new(["arm", "docker"]).unwrap();
        assert_eq!(read("7, 3,7", "docker,arm").unwrap(), Waiting { projects: vec![3, 7], tags });
        assert_eq!(read("", "").unwrap(), Waiting::default());
        for (projects, tags) in [("seven", ""), ("-7", ""), ("", "a#b")] {
            assert!(matches!(read(projects, tags), Err(EnvError::Wrong { .. })), "{projects} {tags}");
        }
        let many: Vec<String> = (1..=51).map(|id| id.to_string()).collect();
        assert!(matches!(read(many.join(",").leak(), ""), Err(EnvError::Wrong { .. })));
    }

    #[test]
    fn a_port_is_one() {
        for port in ["0", "65536", "web"] {
            assert!(matches!(exporters(&env("RUNNERLESS_METRICS_PORT", port)), Err(EnvError::Wrong { .. })), "{port}");
        }
        assert!(exporters(&Env::of(USUAL)).is_ok());
    }
}
