//! From the command line to the command.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use runnerless_aws::DynamoLedger;
use runnerless_aws::clock::SystemClock;
use runnerless_aws_admin::ports::{Functions as _, SecretStore as _, Stacks as _};
use runnerless_aws_admin::{
    FunctionInvoker, FunctionSettings, LedgerTable, MappingTable, SecretParameters, StackService,
};
use runnerless_core::id::LaunchId;
use runnerless_core::job::JobFacts;
use runnerless_core::lane::{BadTag, TagSet, lane_id};
use runnerless_core::route::DefaultRoute;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Secret};
use runnerless_gitlab::rest::RestClient;
use zeroize::Zeroizing;

use crate::arguments::{self, Arguments, Command, Job, Lane, Launch, Map, Project, Secrets, Stack};
use crate::error::{CliError, counted};
use crate::explain::{self, Mapping, Question};
use crate::ledger::{show_job, show_launch};
use crate::map::{self, Rules, delete, list, load};
use crate::project;
use crate::removal::{self, Known, Wish};
use crate::screen::Screen;
use crate::secrets::{self, Name, OfLane, runner_token};
use crate::settings::{
    Environment, LAUNCH_TEMPLATE, LEDGER_TABLE, MAPPING_TABLE, PARAMETER_PATH, RECONCILER, ROUTER, Settings,
};
use crate::stack::{StackWays, default_route, tags, ways};
use crate::sweep::sweep;

/// What a command is given beside its arguments.
pub struct Input<'a> {
    /// The environment.
    pub environment: Environment,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// The time.
    pub now: Timestamp,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Runs a command.
///
/// # Errors
/// It did not do what it was asked; [`CliError::exit_code`] says of what kind the reason is.
pub async fn run(arguments: Arguments, input: Input<'_>, screen: &mut Screen<'_>) -> Result<(), CliError> {
    let Input { environment, stdin, now } = input;
    let outputs = arguments.outputs.as_deref().map(read_file).transpose()?;
    let settings = Settings::new(environment, &arguments.stack, outputs.as_deref())?;
    match arguments.command {
        Command::Map(command) => run_map(command, &settings, screen).await,
        Command::Explain(question) => run_explain(question, &settings, now, screen).await,
        Command::Secrets(Secrets::Put { name, file, engine, lane_tags, keep_previous }) => {
            let lane_tags = lane_tags.as_deref().map(|text| of_commas("--lane-tags", text)).transpose()?;
            let lane = engine.zip(lane_tags).map(|(engine, tags)| OfLane { engine, tags });
            let path = settings.output(PARAMETER_PATH)?;
            secrets::parameter(path, name, lane.as_ref())?;
            let store = SecretParameters::new(&settings.place()?, &settings.credentials()?);
            let value = secret_text(file.as_deref(), stdin)?;
            secrets::put(&store, path, name, lane.as_ref(), &value, keep_previous, screen).await
        }
        Command::Lane(Lane::Id { engine, tags }) => {
            let tags = of_commas("--tags", &tags)?;
            screen.say(lane_id(engine, &tags))?;
            let path = settings.optional(PARAMETER_PATH).unwrap_or("<ParameterPath>");
            screen.say(runner_token(path, &OfLane { engine, tags }))?;
            Ok(())
        }
        Command::Job(Job::Show { key, json }) => show_job(&ledger(&settings)?, key, json, screen).await,
        Command::Launch(Launch::Show { id, json }) => {
            let id = LaunchId::new(id.strip_prefix("launch#").unwrap_or(&id));
            show_launch(&ledger(&settings)?, &id, json, screen).await
        }
        Command::Sweep { dry_run, json } => {
            let functions = FunctionInvoker::new(&settings.place()?, &settings.credentials()?);
            sweep(&functions, settings.output(RECONCILER)?, dry_run, json, screen).await
        }
        Command::Project(command) => run_project(command, &settings, now, screen).await,
        Command::Stack(command) => run_stack(command, &settings, stdin, screen).await,
    }
}

async fn run_map(command: Map, settings: &Settings, screen: &mut Screen<'_>) -> Result<(), CliError> {
    match command {
        Map::Load { file, global, owner, replace, dry_run, json } => {
            let text = read_file(&file)?;
            let options = load::Options { rules: Rules { global, owner: named(owner)? }, replace, dry_run, json };
            let functions = FunctionSettings::new(&settings.place()?, &settings.credentials()?);
            let surroundings = load::Surroundings {
                ways: known_ways(settings, &functions, screen).await?,
                ec2: settings.optional(LAUNCH_TEMPLATE).is_some(),
            };
            load::load(&text, &options, &surroundings, &mapping(settings)?, &functions, screen).await
        }
        Map::Check { file, global, owner } => {
            let rows = map::read(&read_file(&file)?)?;
            let rules = Rules { global, owner: named(owner)? };
            let wanted =
                map::check_alone(&rows, &rules).map_err(|problems| CliError::Refused { problems, written: 0 })?;
            screen.say(format!("{} fine", counted(wanted.len(), "row is", "rows are")))?;
            Ok(())
        }
        Map::List { json } => list::list(&mapping(settings)?, json, screen).await,
        Map::Delete { keys, owner } => {
            let (pairs, []) = keys.as_chunks::<2>() else {
                return Err(CliError::Usage("map delete: a key has two parts, pk and sk".into()));
            };
            let keys: BTreeSet<_> = pairs.iter().cloned().map(|[pk, sk]| (pk, sk)).collect();
            delete::delete(&mapping(settings)?, &keys, named(owner)?.as_deref(), screen).await
        }
    }
}

async fn run_project(
    command: Project,
    settings: &Settings,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let table = settings.output(LEDGER_TABLE)?;
    let ledger = DynamoLedger::new(&settings.place()?, &settings.credentials()?, table);
    match command {
        Project::Add { projects } => {
            project::add(&ledger, gitlab(settings).await?.as_ref(), &projects, now, screen).await
        }
        Project::List { json } => project::list(&ledger, json, now, screen).await,
    }
}

async fn run_stack(
    command: Stack,
    settings: &Settings,
    stdin: &mut dyn Read,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let (place, credentials, clock) = (settings.place()?, settings.credentials()?, SystemClock);
    let stacks = StackService::new(&place, &credentials);
    let facts = stacks.show(settings.stack()).await?;
    let known = Known::new(settings, facts.as_ref())?;
    let ledger = |table: &str| DynamoLedger::new(&place, &credentials, table);
    match command {
        Stack::Remove { yes, wait, now, without_gitlab } => {
            let (stack, wait) = (settings.stack().to_owned(), Millis::minutes(i64::from(wait)));
            let wish = Wish { stack, yes, wait, now, without_gitlab };
            let functions = FunctionInvoker::new(&place, &credentials);
            let parameters = SecretParameters::new(&place, &credentials);
            let ledger = ledger(known.ledger.as_deref().unwrap_or_default());
            let ports = removal::Ports {
                ledger: &ledger,
                functions: &functions,
                stacks: &stacks,
                parameters: &parameters,
                clock: &clock,
            };
            removal::remove(&ports, &wish, facts.as_ref(), &known, stdin, screen).await
        }
        Stack::Resume => match known.ledger.as_deref().filter(|_| facts.is_some()) {
            Some(table) => removal::resume(&ledger(table), &clock, screen).await,
            None => Err(CliError::Finding(format!("there is no stack {}", settings.stack()))),
        },
    }
}

/// GitLab, with the stack's API token; `None` without one. Which GitLab, the router's settings say.
async fn gitlab(settings: &Settings) -> Result<Option<RestClient>, CliError> {
    const URL: &str = "RUNNERLESS_GITLAB_URL";
    let (place, credentials) = (settings.place()?, settings.credentials()?);
    let name = secrets::parameter(settings.output(PARAMETER_PATH)?, Name::ApiToken, None)?;
    let Some(token) = SecretParameters::new(&place, &credentials).get(&name).await? else { return Ok(None) };
    let router = settings.output(ROUTER)?;
    let facts = FunctionSettings::new(&place, &credentials).facts(router).await?;
    let url = facts.as_ref().and_then(|facts| facts.environment.get(URL));
    let unknown = |what: String| CliError::NotConfigured { what, cure: "deploy the stack with GitLabUrl".into() };
    let url = url.ok_or_else(|| unknown(format!("function {router} does not say where GitLab is ({URL})")))?;
    let client = Client::new(ClientConfig::new(url, Info::new("runnerless", env!("CARGO_PKG_VERSION"), "")));
    let client = client.map_err(|error| unknown(error.to_string()))?;
    Ok(Some(RestClient::new(client, &Secret::new(token.trim()))?))
}

async fn run_explain(
    asked: arguments::Explain,
    settings: &Settings,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let mapping_used = match &asked.file {
        Some(file) => Mapping::of_file(map::read(&read_file(file)?)?),
        None => Mapping::of_table(&mapping(settings)?).await?,
    };
    let default = match &asked.default_route {
        Some(route) => default_route(route, of_commas("--default-tags", &asked.default_tags)?, None)
            .ok_or_else(|| CliError::Usage("--default-route: write LAMBDA, EC2 or NONE".into()))?,
        None => stack_default(&asked, settings, screen).await?,
    };
    let question = Question {
        facts: JobFacts {
            name: asked.name,
            stage: asked.stage,
            git_ref: asked.git_ref,
            project_path: asked.project,
            retries: 0,
        },
        tags: asked.tags.as_deref().map(|text| of_commas("--tags", text)).transpose()?,
        project: asked.project_id,
        default,
        // A file is asked about as it is meant, whatever stack it is for.
        ec2: asked.file.is_some() || settings.optional(LAUNCH_TEMPLATE).is_some(),
    };
    let learned = match question.project {
        Some(project) => explain::learned(&ledger(settings)?, project, &question.facts.name).await?,
        None => None,
    };
    explain::show(&explain::decide(&question, &mapping_used, learned.as_ref(), now), asked.json, screen)
}

async fn stack_default(
    asked: &arguments::Explain,
    settings: &Settings,
    screen: &mut Screen<'_>,
) -> Result<DefaultRoute, CliError> {
    let template_default = || default_route("LAMBDA", TagSet::default(), None).unwrap_or(DefaultRoute::None);
    if asked.file.is_some() {
        return Ok(template_default());
    }
    let functions = FunctionSettings::new(&settings.place()?, &settings.credentials()?);
    let ways = known_ways(settings, &functions, screen).await?;
    Ok(ways.map_or_else(template_default, |ways| ways.default))
}

/// The stack's ways; what keeps them unknown is told, and stops nobody.
async fn known_ways(
    settings: &Settings,
    functions: &FunctionSettings,
    screen: &mut Screen<'_>,
) -> Result<Option<StackWays>, CliError> {
    match ways(functions, settings.optional(ROUTER)).await {
        Ok(ways) => Ok(Some(ways)),
        Err(why) => {
            screen.tell(format!(
                "warning: the stack's default route is not known, so LAMBDA without tags is assumed: {why}"
            ))?;
            Ok(None)
        }
    }
}

fn mapping(settings: &Settings) -> Result<MappingTable, CliError> {
    Ok(MappingTable::new(&settings.place()?, &settings.credentials()?, settings.output(MAPPING_TABLE)?))
}

fn ledger(settings: &Settings) -> Result<LedgerTable, CliError> {
    Ok(LedgerTable::new(&settings.place()?, &settings.credentials()?, settings.output(LEDGER_TABLE)?))
}

fn read_file(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::File { path: path.to_owned(), source })
}

fn secret_text(file: Option<&Path>, stdin: &mut dyn Read) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    match file {
        Some(path) => text.push_str(&Zeroizing::new(read_file(path)?)),
        None => {
            let read = stdin.read_to_string(&mut text);
            read.map_err(|source| CliError::File { path: "standard input".into(), source })?;
        }
    }
    Ok(text)
}

fn of_commas(option: &str, text: &str) -> Result<TagSet, CliError> {
    tags(text).map_err(|bad: BadTag| CliError::Usage(format!("{option}: {bad}")))
}

fn named(owner: Option<String>) -> Result<Option<String>, CliError> {
    match owner {
        Some(owner) if owner.trim().is_empty() => {
            Err(CliError::Usage("--owner is empty; name who owns the rows".into()))
        }
        owner => Ok(owner),
    }
}
