//! The stack under attack: what it holds, made as each case wants it; who is asked; and all put back at the end.
//!
//! While cases run, the stack's rules are off: what ingest announces is counted and starts nothing, so that nothing
//! but the requests changes the state. The functions keep secrets for five minutes, so each change of what the stack
//! holds gives them new processes, by a change of their environment.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::AttackError;
use super::case::{Case, Credentials, Held, Target};
use super::event::event;
use super::request::{Request, Secrets, signing_token};
use super::state::{State, Watch, Witness};
use super::wire;
use crate::aws::{Aws, DYNAMODB, EVENTS, SSM};
use crate::deploy::Deployment;
use crate::http::HttpError;
use crate::pipelines::ledger::Ledger;
use crate::seed::{Hook, output};
use crate::stack::Stack;

/// Where the functions of the front door are in the template.
const FUNCTIONS: [&str; 2] = ["AuthorizerFunction", "IngestFunction"];
/// The secrets of the front door, below `ingress`.
const NAMES: [&str; 4] = ["SecretToken", "SecretTokenPrevious", "SigningToken", "SigningTokenPrevious"];
/// The variable that the template's `AllowTokenWithSigningKey` sets.
const ALLOW_TOKEN: &str = "RUNNERLESS_ALLOW_TOKEN_WITH_SIGNING_KEY";
/// Changed with every change of what the stack holds, and read by nobody.
const ROUND: &str = "ATTACK_ROUND";
/// How long a function's update may take.
const UPDATE: Duration = Duration::from_secs(30);
/// A function failed, or answered something that the API cannot use: GitLab gets this.
const BAD_GATEWAY: u16 = 502;

/// The stack and what is known of it.
pub(super) struct Desk<'a> {
    stack: &'a Stack,
    aws: Aws,
    hook: Hook,
    pub(super) secrets: Secrets,
    pub(super) instance: String,
    pub(super) watch: Watch,
    /// The two functions' names and their environments before.
    functions: Vec<(String, Value)>,
    /// The secrets that were there, by name.
    before: Vec<(&'static str, Option<String>)>,
    /// The rules, with their bus. All of a local stack's are on.
    rules: Vec<(String, String)>,
    /// What the stack holds now; `None` before the first case.
    held: Option<Held>,
    rounds: u32,
    /// Ledger rows that came while cases ran.
    rows: BTreeSet<String>,
}

impl<'a> Desk<'a> {
    /// Takes the stack over.
    pub(super) async fn new(
        stack: &'a Stack,
        deployment: &Deployment,
        hook: Hook,
        secrets: Secrets,
    ) -> Result<Self, AttackError> {
        let aws = stack.aws();
        let mut functions = Vec::new();
        for name in FUNCTIONS {
            let function = deployment.functions.get(name).ok_or(AttackError::NoFunction(name))?.name.clone();
            let config = configuration(&aws, &function).await?;
            functions.push((function, config["Environment"]["Variables"].clone()));
        }
        let bus = output(deployment, "EventBusName")?.to_owned();
        let watch = Watch {
            aws: aws.clone(),
            tables: [
                ("ledger", output(deployment, "LedgerTableName")?.to_owned()),
                ("mapping", output(deployment, "MappingTableName")?.to_owned()),
            ],
            parameters: output(deployment, "ParameterPath")?.to_owned(),
            buses: [bus, "default".to_owned()],
            witness: Witness::new(stack.layout().calls(), [functions[0].0.clone(), functions[1].0.clone()]),
        };
        let instance = stack.gitlab().map(|gitlab| gitlab.url.clone()).unwrap_or_default();
        let before = secrets_of(&aws, &watch.parameters).await?;
        Ok(Self {
            stack,
            aws,
            hook,
            secrets,
            instance,
            watch,
            functions,
            before,
            rules: Vec::new(),
            held: None,
            rounds: 0,
            rows: BTreeSet::new(),
        })
    }

    /// Switches the rules off.
    pub(super) async fn silence(&mut self) -> Result<(), HttpError> {
        for bus in self.watch.buses.clone() {
            let found = self.aws.call(EVENTS, "ListRules", &json!({"EventBusName": bus})).await?;
            for rule in found["Rules"].as_array().into_iter().flatten() {
                let name = rule["Name"].as_str().unwrap_or_default().to_owned();
                self.switch("DisableRule", &bus, &name).await?;
                self.rules.push((bus.clone(), name));
            }
        }
        Ok(())
    }

    async fn switch(&self, how: &str, bus: &str, name: &str) -> Result<(), HttpError> {
        self.aws.call(EVENTS, how, &json!({"EventBusName": bus, "Name": name})).await.map(drop)
    }

    /// Everything as it is now, and the rows of it that came since `before`.
    pub(super) async fn look(&mut self, before: Option<&State>) -> Result<State, AttackError> {
        let state = self.watch.look().await?;
        if let Some(before) = before {
            let known: BTreeSet<&str> = before.names("ledger ").collect();
            self.rows.extend(state.names("ledger ").filter(|row| !known.contains(row)).map(str::to_owned));
        }
        Ok(state)
    }

    /// Makes the stack hold what a case wants.
    pub(super) async fn hold(&mut self, wanted: Held) -> Result<(), HttpError> {
        if self.held == Some(wanted) {
            return Ok(());
        }
        let has = |one| wanted.credentials == Credentials::Both || wanted.credentials == one;
        let (signing, token) = (has(Credentials::Signing), has(Credentials::Token));
        for (name, value, held) in [
            (NAMES[0], self.secrets.token.clone(), token),
            (NAMES[1], self.secrets.token_previous.clone(), token && wanted.previous),
            (NAMES[2], signing_token(&self.secrets.current), signing),
            (NAMES[3], signing_token(&self.secrets.previous), signing && wanted.previous),
        ] {
            self.parameter(name, held.then_some(value)).await?;
        }
        self.rounds += 1;
        let allow = if wanted.allow_token { "true" } else { "false" };
        for (function, before) in &self.functions {
            let mut variables = before.clone();
            variables[ALLOW_TOKEN] = allow.into();
            variables[ROUND] = self.rounds.to_string().into();
            self.configure(function, &variables).await?;
        }
        self.held = Some(wanted);
        Ok(())
    }

    async fn parameter(&self, name: &str, value: Option<String>) -> Result<(), HttpError> {
        let full = format!("{}/ingress/{name}", self.watch.parameters);
        match value {
            Some(value) => {
                let input = json!({"Name": full, "Value": value, "Type": "SecureString", "Overwrite": true});
                self.aws.call(SSM, "PutParameter", &input).await.map(drop)
            }
            // The plural takes names that are not there.
            None => self.aws.call(SSM, "DeleteParameters", &json!({"Names": [full]})).await.map(drop),
        }
    }

    async fn configure(&self, function: &str, variables: &Value) -> Result<(), HttpError> {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        self.aws.request("lambda", Method::PUT, &path, &json!({"Environment": {"Variables": variables}})).await?;
        let begun = Instant::now();
        while configuration(&self.aws, function).await?["LastUpdateStatus"] != "Successful" && begun.elapsed() < UPDATE
        {
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Sends the request; the status that whoever sent it gets.
    pub(super) async fn knock(&self, case: &Case, request: &Request) -> Result<u16, AttackError> {
        let address = self.stack.emulator().trim_start_matches("http://");
        match case.target {
            Target::Http => Ok(wire::send(address, &self.hook.host_header, &case.method, &case.path, request).await?),
            Target::Authorizer => self.invoke(0, case, request).await,
            Target::Ingest => self.invoke(1, case, request).await,
        }
    }

    async fn invoke(&self, which: usize, case: &Case, request: &Request) -> Result<u16, AttackError> {
        let answer = self.aws.invoke(&self.functions[which].0, event(case, request)).await?;
        if !answer.status.is_success() {
            // Lambda itself refused the call, for its size for example.
            return Ok(answer.status.as_u16());
        }
        if answer.headers.contains_key("x-amz-function-error") {
            return Ok(BAD_GATEWAY);
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(status(case.target, &said))
    }

    /// Makes everything as it was: of use only where the stack stays.
    pub(super) async fn put_back(&mut self) -> Result<(), HttpError> {
        for row in std::mem::take(&mut self.rows) {
            let input = json!({"TableName": self.watch.tables[0].1, "Key": {"pk": {"S": row}}});
            self.aws.call(DYNAMODB, "DeleteItem", &input).await?;
        }
        for (name, value) in &self.before {
            self.parameter(name, value.clone()).await?;
        }
        for (function, variables) in &self.functions {
            self.configure(function, variables).await?;
        }
        for (bus, name) in std::mem::take(&mut self.rules) {
            self.switch("EnableRule", &bus, &name).await?;
        }
        Ok(())
    }
}

/// What a function's answer comes to: an authorizer's yes is 200 here and its no 403, which is what the API makes of it.
fn status(target: Target, said: &Value) -> u16 {
    match target {
        Target::Authorizer => match said["isAuthorized"].as_bool() {
            Some(true) => 200,
            Some(false) => 403,
            None => BAD_GATEWAY,
        },
        _ => said["statusCode"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(BAD_GATEWAY),
    }
}

/// The secrets as they are stored.
async fn secrets_of(aws: &Aws, path: &str) -> Result<Vec<(&'static str, Option<String>)>, HttpError> {
    let full = |name: &str| format!("{path}/ingress/{name}");
    let input = json!({"Names": NAMES.map(full), "WithDecryption": true});
    let answer = aws.call(SSM, "GetParameters", &input).await?;
    let stored = |name: &str| {
        let found = answer["Parameters"].as_array()?.iter().find(|parameter| parameter["Name"] == *full(name))?;
        found["Value"].as_str().map(str::to_owned)
    };
    Ok(NAMES.into_iter().map(|name| (name, stored(name))).collect())
}

async fn configuration(aws: &Aws, function: &str) -> Result<Value, HttpError> {
    aws.get("lambda", &format!("/2015-03-31/functions/{function}/configuration"), "").await
}

/// Launches that do not come to an end: the stack works, and would change under the cases.
pub(super) async fn open_launches(stack: &Stack, deployment: &Deployment) -> Result<Vec<String>, AttackError> {
    let ledger = Ledger { aws: stack.aws(), table: output(deployment, "LedgerTableName")? };
    Ok(ledger.open_launches().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_the_api_cannot_use_is_a_failure() {
        assert_eq!(status(Target::Authorizer, &json!({"isAuthorized": true})), 200);
        assert_eq!(status(Target::Authorizer, &json!({"isAuthorized": false})), 403);
        assert_eq!(status(Target::Ingest, &json!({"statusCode": 401})), 401);
        for odd in [json!(null), json!({"statusCode": "200"}), json!({"isAuthorized": "yes"})] {
            assert_eq!(status(Target::Authorizer, &odd), BAD_GATEWAY, "{odd}");
            assert_eq!(status(Target::Ingest, &odd), BAD_GATEWAY, "{odd}");
        }
    }
}
