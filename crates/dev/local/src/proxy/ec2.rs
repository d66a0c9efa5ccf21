//! What the emulator lacks of EC2, and the system relies on.
//!
//! - `CreateFleet` with a `ClientToken`: the same request with the same token is answered as the first time and launches
//!   nothing; another request with that token is an `IdempotentParameterMismatch`. The emulator launches each time.
//! - `ModifyInstanceMetadataOptions`, which it does not know. The caller's right is still its to check.
//! - Grants on condition of a tag of the request or of the instance: the emulator treats both as absent. The deployment
//!   grants these actions without the condition, and it is enforced here.
//! - The warning of a spot instance that is taken away.
//! - Addresses of groups' members at which somebody listens.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Response, StatusCode, http};
use jiff::{SignedDuration, Timestamp};
use runnerless_core::fleet::EXPIRES_TAG;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::identify::Tagged;
use super::operation::Call;
use super::{Body, answers, never};
use crate::aws::{ACCOUNT, Aws, EC2, EVENTS, REGION};
use crate::http::HttpError;
use crate::instances::register::Register;
use crate::instances::{Element, GROUP_TAG, address_of_member};

/// EC2 warns two minutes before.
const WARNING: SignedDuration = SignedDuration::from_mins(2);

/// What EC2 calls itself and its warning on the bus.
const EC2_SOURCE: &str = "aws.ec2";
const WARNED: &str = "EC2 Spot Instance Interruption Warning";

/// An answer that is given again.
#[derive(Clone, Debug)]
struct Given {
    request: Bytes,
    parts: http::response::Parts,
    body: Bytes,
}

/// What stands in.
#[derive(Debug)]
pub(super) struct Lacking {
    aws: Aws,
    register: Arc<Register>,
    /// By client token. Held while a fleet is made, so that of two requests at once one makes it.
    fleets: Mutex<HashMap<String, Given>>,
}

impl Lacking {
    pub(super) fn new(aws: Aws, register: Arc<Register>) -> Self {
        Self { aws, register, fleets: Mutex::default() }
    }

    /// Answers an operation of EC2; `sent` is the emulator's answer, which is not asked for where it is not needed.
    ///
    /// With `expires` the instances of a fleet have their hard end then.
    pub(super) async fn answer(
        &self,
        operation: &str,
        form: &Bytes,
        expires: Option<Timestamp>,
        sent: impl Future<Output = Response<Body>>,
    ) -> Response<Body> {
        match operation {
            "CreateFleet" => self.fleet(form, expires, sent).await,
            "ModifyInstanceMetadataOptions" => self.metadata_options(form, sent.await).await,
            "RunInstances" | "TerminateInstances" | "StopInstances" => self.told(sent.await),
            "DescribeInstances" => reachable(sent.await).await,
            _ => sent.await,
        }
    }

    /// Tells the instances' driver to look.
    fn told(&self, response: Response<Body>) -> Response<Body> {
        self.register.nudge();
        response
    }

    async fn fleet(
        &self,
        form: &Bytes,
        expires: Option<Timestamp>,
        sent: impl Future<Output = Response<Body>>,
    ) -> Response<Body> {
        let Some(token) = parameter(form, "ClientToken") else { return self.told(sent.await) };
        let mut fleets = self.fleets.lock().await;
        if let Some(given) = fleets.get(&token) {
            if given.request != *form {
                let message = "The client token is used with other parameters than before";
                return answers::error(Some("ec2"), &HeaderMap::new(), "IdempotentParameterMismatch", message);
            }
            return Response::from_parts(given.parts.clone(), whole(given.body.clone()));
        }
        let unread = if expires.is_some() { Some(self.register.unread().await) } else { None };
        let (parts, body) = sent.await.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return answers::plain(StatusCode::BAD_GATEWAY, &error.to_string()),
        };
        if let Some(expires) = expires
            && let Err(error) = self.expire(&body, expires).await
        {
            return answers::plain(StatusCode::BAD_GATEWAY, &crate::demo::said(&error));
        }
        drop(unread);
        self.register.nudge();
        if parts.status.is_success() {
            let given = Given { request: form.clone(), parts: parts.clone(), body: body.clone() };
            fleets.insert(token, given);
        }
        Response::from_parts(parts, whole(body))
    }

    /// Gives the instances of a fleet's answer another hard end, which their tag says. The request itself is signed.
    async fn expire(&self, answer: &[u8], expires: Timestamp) -> Result<(), HttpError> {
        let Some(answer) = Element::parse(&String::from_utf8_lossy(answer)) else { return Ok(()) };
        let groups = answer.list("fleetInstanceSet");
        let expires = expires.as_millisecond().to_string();
        for id in groups.flat_map(|group| group.list("instanceIds")) {
            let tag = [("ResourceId.1", id.text()), ("Tag.1.Key", EXPIRES_TAG), ("Tag.1.Value", &expires)];
            self.aws.query(EC2, "CreateTags", &tag).await?;
        }
        Ok(())
    }

    async fn metadata_options(&self, form: &Bytes, sent: Response<Body>) -> Response<Body> {
        let (parts, body) = sent.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if !String::from_utf8_lossy(&body).contains("<Code>InvalidAction</Code>") {
            // The caller may not, or the emulator has learned it.
            return Response::from_parts(parts, whole(body));
        }
        let refused = |code: &str, message: &str| answers::error(Some("ec2"), &HeaderMap::new(), code, message);
        let Some(instance) = parameter(form, "InstanceId") else {
            return refused("MissingParameter", "The request must contain the parameter InstanceId");
        };
        match self.aws.query(EC2, "DescribeInstances", &[("InstanceId.1", &instance)]).await {
            Ok(answer) if answer.contains("<name>terminated</name>") => {
                return refused("IncorrectInstanceState", &format!("The instance '{instance}' is terminated"));
            }
            Ok(_) => {}
            Err(HttpError::Refused { .. }) => {
                let message = format!("The instance ID '{instance}' does not exist");
                return refused("InvalidInstanceID.NotFound", &message);
            }
            Err(error) => return answers::plain(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
        let endpoint = parameter(form, "HttpEndpoint");
        match endpoint.as_deref() {
            Some("disabled") => self.register.hide(&instance, true),
            Some("enabled") => self.register.hide(&instance, false),
            None => {}
            Some(other) => return refused("InvalidParameterValue", &format!("HttpEndpoint is {other}")),
        }
        let state = if self.register.is_hidden(&instance) { "disabled" } else { "enabled" };
        let options =
            format!("<state>pending</state><httpTokens>required</httpTokens><httpEndpoint>{state}</httpEndpoint>");
        let text = format!(
            "<ModifyInstanceMetadataOptionsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>witness</requestId><instanceId>{instance}</instanceId><instanceMetadataOptions>{options}</instanceMetadataOptions></ModifyInstanceMetadataOptionsResponse>"
        );
        answers::xml(StatusCode::OK, text)
    }

    /// The refusal of a call whose tags, or whose instances' tags, no grant takes. `grants` are those that ask for tags.
    pub(super) async fn untagged(
        &self,
        grants: &[Tagged],
        function: &str,
        call: &Call,
        form: &[u8],
    ) -> Option<Response<Body>> {
        if grants.is_empty() {
            return None;
        }
        let requested = tags_of_instances(form);
        let mut resources = Vec::new();
        for id in instances(form) {
            let shown = self.aws.query(EC2, "DescribeInstances", &[("InstanceId.1", &id)]).await.ok();
            // One that is not there has no tags; the operation itself says so.
            resources.extend(shown.map(|shown| tags_shown(&shown)));
        }
        let holds = |key: &str, values: &[String]| match key.split_once('/') {
            Some(("aws:RequestTag", tag)) => requested.get(tag).is_some_and(|value| values.contains(value)),
            Some((_, tag)) => resources.iter().all(|tags| tags.get(tag).is_some_and(|value| values.contains(value))),
            None => false,
        };
        if grants.iter().any(|grant| grant.tags.iter().all(|(key, values)| holds(key, values))) {
            return None;
        }
        let message = format!("{function} is not authorized to perform: {} without the tags of its grant", call.op());
        Some(answers::error(Some("ec2"), &HeaderMap::new(), "UnauthorizedOperation", &message))
    }

    /// Warns of a spot instance's end: in its metadata, and by an event on the default bus.
    pub(super) async fn interrupt(&self, instance: &str, now: Timestamp) -> Result<Timestamp, HttpError> {
        let at = now + WARNING;
        self.register.warn(instance, at);
        let event = json!({
            "version": "0", "id": format!("warning-{instance}-{}", now.as_millisecond()), "detail-type": WARNED,
            "source": EC2_SOURCE, "account": ACCOUNT, "time": now.to_string(), "region": REGION,
            "resources": [format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance}")],
            "detail": {"instance-id": instance, "instance-action": "terminate"},
        });
        self.publish(&event).await?;
        Ok(at)
    }

    /// Does what the default bus does with an event of AWS's own, which it takes from nobody else: it invokes the functions of
    /// the rules that are about it.
    async fn publish(&self, event: &Value) -> Result<(), HttpError> {
        let rules = self.aws.call(EVENTS, "ListRules", &json!({})).await?;
        for rule in rules["Rules"].as_array().into_iter().flatten().filter(|rule| is_about(rule, event)) {
            let targets = self.aws.call(EVENTS, "ListTargetsByRule", &json!({"Rule": rule["Name"]})).await?;
            let arns = targets["Targets"].as_array().into_iter().flatten().filter_map(|target| target["Arn"].as_str());
            for function in arns.filter_map(|arn| arn.split_once(":function:")).map(|(_, name)| name) {
                self.aws.invoke_later(function, event.to_string()).await?;
            }
        }
        Ok(())
    }
}

/// Whether a rule is on, and asks for this source and kind of event.
fn is_about(rule: &Value, event: &Value) -> bool {
    let pattern: Value = serde_json::from_str(rule["EventPattern"].as_str().unwrap_or_default()).unwrap_or_default();
    let takes = |key: &str| pattern[key].as_array().is_some_and(|values| values.contains(&event[key]));
    rule["State"] == "ENABLED" && takes("source") && takes("detail-type")
}

/// The tags that a request gives to the instances that it makes.
fn tags_of_instances(form: &[u8]) -> HashMap<String, String> {
    let mut tags = HashMap::new();
    for at in 1.. {
        let of = |rest: &str| format!("TagSpecification.{at}.{rest}");
        let Some(kind) = parameter(form, &of("ResourceType")) else { break };
        for tag in (1..).map_while(|tag| parameter(form, &of(&format!("Tag.{tag}.Key"))).map(|key| (tag, key))) {
            if kind == "instance" {
                let value = parameter(form, &of(&format!("Tag.{}.Value", tag.0)));
                tags.insert(tag.1, value.unwrap_or_default());
            }
        }
    }
    tags
}

/// The tags of the one instance that was described.
fn tags_shown(answer: &str) -> HashMap<String, String> {
    let Some(answer) = Element::parse(answer) else { return HashMap::new() };
    let instances = answer.list("reservationSet").flat_map(|reservation| reservation.list("instancesSet"));
    let tags = instances.flat_map(|instance| instance.list("tagSet"));
    let tag = |tag: &Element| Some((tag.text_at(&["key"])?.to_owned(), tag.child("value")?.text().to_owned()));
    tags.filter_map(tag).collect()
}

/// Gives groups' members the addresses that they have here; see [`address_of_member`].
async fn reachable(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let Some(text) = std::str::from_utf8(&body).ok().filter(|text| text.contains(GROUP_TAG)) else {
        return Response::from_parts(parts, whole(body));
    };
    parts.headers.remove(hyper::header::CONTENT_LENGTH);
    Response::from_parts(parts, whole(with_addresses(text).into()))
}

/// The answer of `DescribeInstances`, with a member's address in the place of its private one.
fn with_addresses(answer: &str) -> String {
    const INSTANCE: &str = "<instanceId>";
    const ADDRESS: [&str; 2] = ["<privateIpAddress>", "</privateIpAddress>"];
    let mut parts = answer.split(INSTANCE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(INSTANCE);
        let id = part.split('<').next().unwrap_or_default();
        let [begin, end] = ADDRESS;
        let mut rest = part;
        while let Some((before, after)) = rest.split_once(begin).filter(|_| part.contains(GROUP_TAG)) {
            let Some((_, after)) = after.split_once(end) else { break };
            text.push_str(&format!("{before}{begin}{}{end}", address_of_member(id)));
            rest = after;
        }
        text.push_str(rest);
    }
    text
}

/// The instances that a call names.
pub(super) fn instances(form: &[u8]) -> Vec<String> {
    listed(form, "InstanceId")
}

/// What a list of a request holds, in order: `<name>.1` and so on; or its one value by the bare name.
pub(super) fn listed(form: &[u8], name: &str) -> Vec<String> {
    (1..).map_while(|at| parameter(form, &format!("{name}.{at}"))).chain(parameter(form, name)).collect()
}

/// A parameter of a request that is not empty.
pub(super) fn parameter(form: &[u8], name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(form);
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(never).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_an_address_of_their_own_and_others_keep_theirs() {
        let instance = |id: &str, tag: &str| {
            format!(
                "<item><instanceId>{id}</instanceId><privateIpAddress>10.0.0.7</privateIpAddress><tagSet><item><key>{tag}</key></item></tagSet><networkInterfaceSet><item><privateIpAddress>10.0.0.7</privateIpAddress></item></networkInterfaceSet></item>"
            )
        };
        let answer = format!("<set>{}{}</set>", instance("i-0123456789abcdef0", GROUP_TAG), instance("i-1", "Name"));
        let address = address_of_member("i-0123456789abcdef0");
        let expected = answer.replacen("10.0.0.7", &address, 2);
        assert_eq!(with_addresses(&answer), expected);
        assert!(address.starts_with("127.") && address != address_of_member("i-0123456789abcdef1"), "{address}");
    }

    #[test]
    fn a_warning_goes_to_the_rules_that_ask_for_it() {
        let event = json!({"source": EC2_SOURCE, "detail-type": WARNED});
        let rule = |state: &str, source: &str, kind: &str| {
            let pattern = json!({"source": [source], "detail-type": ["another", kind]}).to_string();
            json!({"State": state, "EventPattern": pattern})
        };
        assert!(is_about(&rule("ENABLED", EC2_SOURCE, WARNED), &event));
        for other in [
            rule("DISABLED", EC2_SOURCE, WARNED),
            rule("ENABLED", "runnerless", WARNED),
            rule("ENABLED", EC2_SOURCE, "EC2 Instance State-change Notification"),
            json!({"State": "ENABLED", "ScheduleExpression": "rate(1 minute)"}),
        ] {
            assert!(!is_about(&other, &event), "{other}");
        }
    }
}
