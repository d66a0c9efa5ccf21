//! What the router reads from its environment, and the ports that it makes of it.

use runnerless_aws::{DynamoLedger, DynamoMapping, LambdaInvoker, ParameterCache, ParameterStore};
use runnerless_core::fleet::Market;
use runnerless_core::frozen::Ground;
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::live::Caps;
use runnerless_core::route::{DefaultRoute, Size};
use runnerless_lambda_kit::{Env, EnvError, SystemClock, SystemDice};

use crate::Ports;
use crate::api::{GitLabApi, TokenHolder};

/// The rules of this stack.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Where jobs without a row go.
    pub default: DefaultRoute,
    /// What this stack launches instances from; `None` when it launches none.
    pub ground: Option<Ground>,
    /// The most live launches.
    pub caps: Caps,
    /// The only GitLab, for the launch event.
    pub gitlab_url: String,
    /// Who speaks to the ledger for targets of others.
    pub claim_function: String,
    /// The stack's own executor, and whether it isolates tenants.
    pub executor: (String, bool),
}

/// The function's configuration.
#[derive(Debug)]
pub struct Config {
    /// The rules of this stack.
    pub rules: Rules,
    ledger: DynamoLedger,
    mapping: DynamoMapping,
    invoker: LambdaInvoker,
    api: GitLabApi<ParameterStore, SystemClock>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, way) = env.way("RUNNERLESS_PROXY", "RUNNERLESS_CA_FILE")?;
        let credentials = env.credentials()?;
        let path = env.text("RUNNERLESS_PARAMETER_PATH")?;
        Ok(Self {
            rules: Rules::read(env)?,
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            mapping: DynamoMapping::new(&place, &credentials, env.text("RUNNERLESS_MAPPING_TABLE")?),
            invoker: LambdaInvoker::new(&place, &credentials),
            api: GitLabApi {
                store: ParameterStore::new(&place, &credentials),
                clock: SystemClock,
                control: ParameterCache::new(format!("{}/control", path.trim_end_matches('/'))),
                url: env.text("RUNNERLESS_GITLAB_URL")?,
                way,
            },
        })
    }

    /// The ports, with the jobs API if there is a token for it now.
    pub async fn ports(&self) -> impl Ports<Ledger = DynamoLedger> + '_ {
        AwsPorts { config: self, jobs: self.api.holder().await }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &DynamoLedger {
        &self.ledger
    }
}

impl Rules {
    /// Whether the target isolates tenants: ours by the stack's own setting, others by what the loader read of them.
    pub(crate) fn isolates(&self, target: &str, read: Option<bool>) -> bool {
        let (executor, tenancy) = &self.executor;
        if target == executor { *tenancy } else { read.unwrap_or(false) }
    }

    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let executor = env.text("RUNNERLESS_EXECUTOR_ARN")?;
        let ground = ground(env)?;
        Ok(Self {
            default: default_route(env, &executor, ground.is_some())?,
            ground,
            caps: Caps { lane: env.number("RUNNERLESS_LANE_CAP")?, stack: env.number("RUNNERLESS_STACK_CAP")? },
            gitlab_url: env.text("RUNNERLESS_GITLAB_URL")?,
            claim_function: env.text("RUNNERLESS_CLAIM_FUNCTION")?,
            executor: (executor, env.flag("RUNNERLESS_TENANT_ISOLATION")?),
        })
    }
}

/// What instances are launched from. Without a launch template there are none, and the rest is not looked at.
fn ground(env: &Env) -> Result<Option<Ground>, EnvError> {
    const MACHINES: &str = "RUNNERLESS_MACHINES";
    const SUBNETS: &str = "RUNNERLESS_SUBNETS";
    let Some(launch_template) = env.optional("RUNNERLESS_LAUNCH_TEMPLATE") else { return Ok(None) };
    let list = |name| -> Result<(String, Vec<String>), EnvError> {
        let value = env.text(name)?;
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Ok((value, parts))
    };
    let (value, subnets) = list(SUBNETS)?;
    if subnets.is_empty() {
        return Err(EnvError::Wrong { name: SUBNETS, value, what: "the ids of subnets, separated by commas" });
    }
    let (value, mut machines) = list(MACHINES)?;
    let market = match machines.first().map(String::as_str) {
        Some("spot") if machines.len() > 1 => Market::Spot,
        Some("on-demand") if machines.len() > 1 => Market::OnDemand,
        _ => {
            let what = "spot or on-demand, and then instance types, separated by commas";
            return Err(EnvError::Wrong { name: MACHINES, value, what });
        }
    };
    let instance_types = machines.split_off(1);
    Ok(Some(Ground { stack: env.text("RUNNERLESS_STACK")?, launch_template, subnets, market, instance_types }))
}

fn default_route(env: &Env, executor: &str, instances: bool) -> Result<DefaultRoute, EnvError> {
    const ROUTE: &str = "RUNNERLESS_DEFAULT_ROUTE";
    const TAGS: &str = "RUNNERLESS_DEFAULT_TAGS";
    let texts = env.optional(TAGS).unwrap_or_default();
    let tags = TagSet::new(texts.split(',').map(str::trim).filter(|tag| !tag.is_empty()));
    let tags = tags.map_err(|_| EnvError::Wrong { name: TAGS, value: texts, what: "tags separated by commas" })?;
    let value = env.text(ROUTE)?;
    let lane = |engine, target| DefaultRoute::Lane(Lane { run_untagged: tags.is_empty(), tags, engine, target });
    match value.as_str() {
        "NONE" => Ok(DefaultRoute::None),
        "LAMBDA" => Ok(lane(Engine::Lambda, executor.to_owned())),
        "EC2" if instances => Ok(lane(Engine::Ec2, Size::default().target())),
        _ => Err(EnvError::Wrong {
            name: ROUTE,
            value,
            what: "LAMBDA or NONE, or EC2 where there are subnets for instances",
        }),
    }
}

struct AwsPorts<'a> {
    config: &'a Config,
    jobs: Option<TokenHolder<'a, ParameterStore, SystemClock>>,
}

impl<'a> Ports for AwsPorts<'a> {
    type Ledger = DynamoLedger;
    type Mapping = DynamoMapping;
    type Invoker = LambdaInvoker;
    type Jobs = TokenHolder<'a, ParameterStore, SystemClock>;
    type Clock = SystemClock;
    type Dice = SystemDice;

    fn ledger(&self) -> &DynamoLedger {
        &self.config.ledger
    }
    fn mapping(&self) -> &DynamoMapping {
        &self.config.mapping
    }
    fn invoker(&self) -> &LambdaInvoker {
        &self.config.invoker
    }
    fn jobs(&self) -> Option<&Self::Jobs> {
        self.jobs.as_ref()
    }
    fn clock(&self) -> &SystemClock {
        &SystemClock
    }
    fn dice(&self) -> &SystemDice {
        &SystemDice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: [(&'static str, &'static str); 4]) -> Env {
        Env::of(variables)
    }

    #[test]
    fn a_stack_without_a_launch_template_launches_no_instances() {
        let none = [
            ("RUNNERLESS_LAUNCH_TEMPLATE", ""),
            ("RUNNERLESS_SUBNETS", ""),
            ("RUNNERLESS_MACHINES", ""),
            ("RUNNERLESS_STACK", "s"),
        ];
        assert_eq!(ground(&env(none)).unwrap(), None);
    }

    #[test]
    fn machines_and_subnets_are_read_and_what_is_wrong_is_named() {
        let of = |subnets, machines| {
            ground(&env([
                ("RUNNERLESS_LAUNCH_TEMPLATE", "lt-1:3"),
                ("RUNNERLESS_SUBNETS", subnets),
                ("RUNNERLESS_MACHINES", machines),
                ("RUNNERLESS_STACK", "runnerless"),
            ]))
        };
        let read = of("subnet-a, subnet-b", "on-demand, m7i.large,m7a.large").unwrap().expect("instances");
        assert_eq!(
            (read.market, read.launch_template.as_str(), read.stack.as_str()),
            (Market::OnDemand, "lt-1:3", "runnerless")
        );
        assert_eq!(
            (read.subnets, read.instance_types),
            (vec!["subnet-a".to_owned(), "subnet-b".into()], vec!["m7i.large".to_owned(), "m7a.large".into()])
        );
        for (subnets, machines, named) in [
            (",", "spot,m7i.large", "RUNNERLESS_SUBNETS"),
            ("", "spot,m7i.large", "RUNNERLESS_SUBNETS"),
            ("subnet-a", "m7i.large", "RUNNERLESS_MACHINES"),
            ("subnet-a", "spot", "RUNNERLESS_MACHINES"),
            ("subnet-a", "", "RUNNERLESS_MACHINES"),
        ] {
            let error = of(subnets, machines).unwrap_err().to_string();
            assert!(error.contains(named), "{subnets:?} {machines:?}: {error}");
        }
    }
}
