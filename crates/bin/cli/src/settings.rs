//! Where the stack is and who we are: the environment, and the stack's outputs when a file holds them.

use std::collections::BTreeMap;
use std::fmt;

use runnerless_aws::{Credentials, Place};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::CliError;

/// The environment as it was when the process started.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds keys.
        f.debug_struct("Environment").field("variables", &self.0.len()).finish()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Environment {
    /// A variable that is set and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// An output of the stack: its name there, and as an environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    name: &'static str,
    variable: &'static str,
}

impl Output {
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    pub(crate) const fn variable(self) -> &'static str {
        self.variable
    }
}

/// The table of the mapping.
pub(crate) const MAPPING_TABLE: Output = Output { name: "MappingTableName", variable: "MAPPING_TABLE_NAME" };
/// The ledger's table.
pub(crate) const LEDGER_TABLE: Output = Output { name: "LedgerTableName", variable: "LEDGER_TABLE_NAME" };
/// Where the secrets are.
pub(crate) const PARAMETER_PATH: Output = Output { name: "ParameterPath", variable: "PARAMETER_PATH" };
/// The router, whose settings say what the default route is.
pub(crate) const ROUTER: Output = Output { name: "RouterFunctionName", variable: "ROUTER_FUNCTION_NAME" };
/// The function that sweeps.
pub(crate) const RECONCILER: Output = Output { name: "ReconcilerFunctionName", variable: "RECONCILER_FUNCTION_NAME" };
/// Where GitLab sends its hooks.
pub(crate) const WEBHOOK: Output = Output { name: "WebhookUrl", variable: "WEBHOOK_URL" };
/// The template of instances; a stack without one launches none.
pub(crate) const LAUNCH_TEMPLATE: Output = Output { name: "LaunchTemplateId", variable: "LAUNCH_TEMPLATE_ID" };

/// All that a command is told about its surroundings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    environment: Environment,
    outputs: BTreeMap<String, String>,
    stack: String,
}

impl Settings {
    /// From the environment, and from the text of a file with the stack's outputs, which win.
    ///
    /// # Errors
    /// The file holds no outputs, or none of this stack.
    pub fn new(environment: Environment, stack: &str, outputs: Option<&str>) -> Result<Self, CliError> {
        let outputs = outputs.map(|text| read_outputs(text, stack)).transpose()?.unwrap_or_default();
        Ok(Self { environment, outputs, stack: stack.to_owned() })
    }

    /// The stack's name.
    #[must_use]
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// An output that may be absent.
    #[must_use]
    pub fn optional(&self, output: Output) -> Option<&str> {
        self.outputs.get(output.name).map(String::as_str).or_else(|| self.environment.get(output.variable))
    }

    /// An output that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn output(&self, output: Output) -> Result<&str, CliError> {
        self.optional(output).ok_or_else(|| CliError::NotConfigured {
            what: format!("the stack's output {} is not known", output.name),
            cure: format!(
                "set {}, or give --outputs FILE with what `aws cloudformation describe-stacks --stack-name {}` prints",
                output.variable, self.stack
            ),
        })
    }

    /// Where AWS is.
    ///
    /// # Errors
    /// No region is set.
    pub fn place(&self) -> Result<Place, CliError> {
        let region = self.environment.get("AWS_REGION").or_else(|| self.environment.get("AWS_DEFAULT_REGION"));
        let region = region.ok_or_else(|| CliError::NotConfigured {
            what: "AWS_REGION is not set".into(),
            cure: "set it to the stack's region".into(),
        })?;
        Ok(Place::new(region, self.environment.get("AWS_ENDPOINT_URL").map(str::to_owned)))
    }

    /// Who we are there. Profiles and single sign-on are the AWS CLI's business: it exports what they amount to.
    ///
    /// # Errors
    /// No keys are set.
    pub fn credentials(&self) -> Result<Credentials, CliError> {
        let text = |name: &str| {
            self.environment.get(name).map(str::to_owned).ok_or_else(|| CliError::NotConfigured {
                what: format!("{name} is not set"),
                cure: "export the credentials first: eval \"$(aws configure export-credentials --format env)\"".into(),
            })
        };
        Ok(Credentials {
            key_id: text("AWS_ACCESS_KEY_ID")?,
            secret: Zeroizing::new(text("AWS_SECRET_ACCESS_KEY")?),
            session: self.environment.get("AWS_SESSION_TOKEN").map(|token| Zeroizing::new(token.to_owned())),
        })
    }
}

/// Outputs as `aws cloudformation describe-stacks` prints them (`{"Stacks": [{"StackName", "Outputs": [..]}]}`), as
/// `sam list stack-outputs --output json` does (the inner list), or as a plain object of names and values.
fn read_outputs(text: &str, stack: &str) -> Result<BTreeMap<String, String>, CliError> {
    let wrong = |what: String| CliError::NotConfigured {
        what: format!("--outputs: {what}"),
        cure: "give what `aws cloudformation describe-stacks` or `sam list stack-outputs --output json` prints".into(),
    };
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("the file is no JSON ({error})")))?;
    let list = match &value {
        Value::Array(_) => &value,
        Value::Object(object) => match object.get("Stacks").and_then(Value::as_array) {
            Some(stacks) => {
                let named = |one: &&Value| one.get("StackName").and_then(Value::as_str) == Some(stack);
                let found = stacks.iter().find(named);
                found
                    .and_then(|one| one.get("Outputs"))
                    .ok_or_else(|| wrong(format!("the file has no outputs of stack {stack} (--stack names another)")))?
            }
            None => {
                let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
                return Ok(object.iter().filter_map(pair).collect());
            }
        },
        _ => return Err(wrong("the file is neither an object nor a list".into())),
    };
    let pair = |entry: &Value| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        Some((text("OutputKey")?, text("OutputValue")?))
    };
    let outputs: BTreeMap<_, _> = list.as_array().into_iter().flatten().filter_map(pair).collect();
    if outputs.is_empty() { Err(wrong("the file lists no OutputKey".into())) } else { Ok(outputs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn outputs_are_read_as_each_tool_prints_them_and_win_over_the_environment() {
        let list = r#"[{"OutputKey": "MappingTableName", "OutputValue": "from-file", "Description": "x"}]"#;
        let stacks = format!(
            r#"{{"Stacks": [{{"StackName": "other", "Outputs": []}}, {{"StackName": "r", "Outputs": {list}}}]}}"#
        );
        for text in [list, &stacks, r#"{"MappingTableName": "from-file"}"#] {
            let env = environment(&[("MAPPING_TABLE_NAME", "from-env"), ("LEDGER_TABLE_NAME", "ledger")]);
            let settings = Settings::new(env, "r", Some(text)).unwrap();
            assert_eq!(settings.output(MAPPING_TABLE).unwrap(), "from-file");
            assert_eq!(settings.output(LEDGER_TABLE).unwrap(), "ledger");
        }
        for text in ["", "3", "[]", &stacks.replace("\"r\"", "\"q\"")] {
            assert_eq!(Settings::new(Environment::default(), "r", Some(text)).unwrap_err().exit_code(), 3, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_source() {
        let settings = Settings::new(environment(&[("MAPPING_TABLE_NAME", "")]), "r", None).unwrap();
        let error = settings.output(MAPPING_TABLE).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("MAPPING_TABLE_NAME"), "{error}");
        assert!(settings.credentials().unwrap_err().to_string().contains("export-credentials"));
        assert!(settings.place().unwrap_err().to_string().contains("AWS_REGION"));
    }
}
