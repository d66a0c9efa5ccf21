//! The session of an instance's role, as EC2 makes it: its name is the instance's id.
//!
//! EC2 is a service that the role trusts; we are the emulator's root, which it does not. So a statement for root is added
//! to the role's trust policy, in the emulator only, once the policy is seen to trust EC2.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::xml::Element;
use crate::aws::{ACCOUNT, Aws, IAM, STS};
use crate::http::HttpError;

/// A session is renewed when less than this is left of it.
const RENEW: SignedDuration = SignedDuration::from_mins(5);
/// The statement that stands in for EC2.
const OURS: &str = "LocalStack";
const EC2_SERVICE: &str = "ec2.amazonaws.com";

/// There are no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    /// No answer, or an error.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// An answer of another shape.
    #[error("the emulator's answer to {0} cannot be read")]
    Answer(&'static str),
    /// The profile holds none.
    #[error("the instance profile {0} holds no role")]
    NoRole(String),
    /// EC2 may not use it.
    #[error("the role {0} does not trust {EC2_SERVICE}")]
    NoTrust(String),
}

/// The role of one instance.
#[derive(Debug)]
pub(crate) struct Role {
    aws: Aws,
    /// The instance profile's ARN.
    profile: String,
    instance: String,
    session: Mutex<Option<(Timestamp, Value)>>,
}

impl Role {
    pub(crate) fn new(aws: Aws, profile: &str, instance: &str) -> Self {
        Self { aws, profile: profile.to_owned(), instance: instance.to_owned(), session: Mutex::default() }
    }

    /// Its name.
    pub(crate) async fn name(&self) -> Result<String, RoleError> {
        let profile = self.profile.rsplit('/').next().unwrap_or_default();
        let answer = self.aws.query(IAM, "GetInstanceProfile", &[("InstanceProfileName", profile)]).await?;
        let answer = Element::parse(&answer).ok_or(RoleError::Answer("GetInstanceProfile"))?;
        let profile = answer.at(&["GetInstanceProfileResult", "InstanceProfile"]);
        let role = profile.and_then(|profile| profile.list("Roles").next()?.text_at(&["RoleName"]).map(str::to_owned));
        role.ok_or_else(|| RoleError::NoRole(self.profile.clone()))
    }

    /// The document with its credentials.
    pub(crate) async fn credentials(&self, now: Timestamp) -> Result<Value, RoleError> {
        if let Some((expires, document)) = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
            && expires - RENEW > now
        {
            return Ok(document);
        }
        let name = self.name().await?;
        self.trust_us(&name).await?;
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let input = json!({"RoleArn": role, "RoleSessionName": self.instance});
        let answer = self.aws.call(STS, "AssumeRole", &input).await?;
        let credentials = &answer["Credentials"];
        let expires = credentials["Expiration"].as_i64().and_then(|at| Timestamp::from_second(at).ok());
        let expires = expires.ok_or(RoleError::Answer("AssumeRole"))?;
        let document = json!({
            "Code": "Success", "LastUpdated": stamp(now), "Type": "AWS-HMAC",
            "AccessKeyId": credentials["AccessKeyId"], "SecretAccessKey": credentials["SecretAccessKey"],
            "Token": credentials["SessionToken"], "Expiration": stamp(expires),
        });
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some((expires, document.clone()));
        Ok(document)
    }

    async fn trust_us(&self, role: &str) -> Result<(), RoleError> {
        let answer = self.aws.query(IAM, "GetRole", &[("RoleName", role)]).await?;
        let answer = Element::parse(&answer).ok_or(RoleError::Answer("GetRole"))?;
        let document = answer.text_at(&["GetRoleResult", "Role", "AssumeRolePolicyDocument"]);
        let document = document.and_then(policy).ok_or(RoleError::Answer("GetRole"))?;
        match with_us(document) {
            Trust::Already => Ok(()),
            Trust::Missing => Err(RoleError::NoTrust(role.to_owned())),
            Trust::Added(document) => {
                let parameters = [("RoleName", role), ("PolicyDocument", document.as_str())];
                self.aws.query(IAM, "UpdateAssumeRolePolicy", &parameters).await?;
                Ok(())
            }
        }
    }
}

/// What a trust policy needs.
#[derive(Debug, PartialEq, Eq)]
enum Trust {
    /// We are in it.
    Already,
    /// EC2 is not.
    Missing,
    /// The policy with us in it.
    Added(String),
}

fn with_us(mut document: Value) -> Trust {
    let mut statements = match document["Statement"].take() {
        Value::Array(statements) => statements,
        one => vec![one],
    };
    let is_ec2 =
        |named: &Value| named == EC2_SERVICE || named.as_array().is_some_and(|all| all.contains(&json!(EC2_SERVICE)));
    if !statements.iter().any(|one| one["Effect"] == "Allow" && is_ec2(&one["Principal"]["Service"])) {
        return Trust::Missing;
    }
    if statements.iter().any(|one| one["Sid"] == OURS) {
        return Trust::Already;
    }
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    statements.push(json!({"Sid": OURS, "Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}));
    document["Statement"] = statements.into();
    Trust::Added(document.to_string())
}

/// IAM answers with documents in the encoding of addresses.
fn policy(text: &str) -> Option<Value> {
    let plain = match serde_json::from_str(text) {
        Ok(document) => return Some(document),
        Err(_) => url::form_urlencoded::parse(format!("x={text}").as_bytes()).next()?.1.into_owned(),
    };
    serde_json::from_str(&plain).ok()
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_role_that_ec2_may_use_is_used() {
        let trusting = |service: Value| {
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service},
                "Action": "sts:AssumeRole"}]})
        };
        assert_eq!(with_us(trusting(json!("lambda.amazonaws.com"))), Trust::Missing);
        for service in [json!("ec2.amazonaws.com"), json!(["lambda.amazonaws.com", "ec2.amazonaws.com"])] {
            let Trust::Added(document) = with_us(trusting(service)) else { panic!("not added") };
            assert_eq!(with_us(serde_json::from_str(&document).unwrap()), Trust::Already);
        }
        let encoded = "%7B%22Statement%22%3A%20%5B%5D%7D";
        assert_eq!(policy(encoded), Some(json!({"Statement": []})));
    }
}
