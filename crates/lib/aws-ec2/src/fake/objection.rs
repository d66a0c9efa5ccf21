//! What EC2 refuses.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::fleet::{FleetFault, FleetRequest};

/// The longest client token (characters).
const TOKEN: usize = 64;
/// The most tags of a resource.
const TAGS: usize = 50;
/// The longest name of a tag (characters).
const TAG_NAME: usize = 128;
/// The longest value of a tag (characters).
const TAG_VALUE: usize = 256;
/// The most overrides of an instant fleet's launch template.
const OVERRIDES: usize = 300;
/// The largest volume of the type gp3 (GiB).
const VOLUME: u64 = 65_536;

/// Why EC2 refuses the whole request.
pub(super) fn objection(request: &FleetRequest, templates: &BTreeMap<String, String>) -> Option<FleetFault> {
    let fault = |code: &str, message: String| Some(FleetFault::new(code, message));
    if !(1..=TOKEN).contains(&request.token.chars().count()) || !request.token.is_ascii() {
        return fault("InvalidParameterValue", format!("ClientToken has 1 to {TOKEN} ASCII characters"));
    }
    let (template, _) = request.launch_template.split_once(':').unwrap_or((&request.launch_template, ""));
    if !templates.contains_key(template) {
        return fault("InvalidLaunchTemplateId.NotFound", format!("there is no launch template {template:?}"));
    }
    if request.pools.is_empty() || request.pools.len() > OVERRIDES {
        return fault("InvalidParameterValue", format!("Overrides has 1 to {OVERRIDES} entries"));
    }
    if request.pools.iter().collect::<BTreeSet<_>>().len() < request.pools.len() {
        return fault("InvalidFleetConfig", "two overrides are the same".to_owned());
    }
    if let Some(pool) = request.pools.iter().find(|pool| pool.instance_type.is_empty() || pool.subnet.is_empty()) {
        return fault("InvalidParameterValue", format!("{pool:?} has an empty part"));
    }
    if request.disk_gb.is_some_and(|size| !(1..=VOLUME).contains(&size)) {
        return fault("InvalidParameterValue", format!("VolumeSize is 1 to {VOLUME}"));
    }
    let bad_tag = |(name, value): &(&String, &String)| {
        let (name, value) = (name.as_str(), value.as_str());
        !(1..=TAG_NAME).contains(&name.chars().count()) || value.chars().count() > TAG_VALUE || name.starts_with("aws:")
    };
    if request.tags.len() > TAGS {
        return fault("TagLimitExceeded", format!("at most {TAGS} tags"));
    }
    request.tags.iter().find(bad_tag).and_then(|(name, _)| fault("InvalidParameterValue", format!("the tag {name:?}")))
}

/// Whether EC2 would look for an instance of this id at all.
pub(super) fn is_instance_id(text: &str) -> bool {
    let hex = text.strip_prefix("i-").unwrap_or_default();
    matches!(hex.len(), 8 | 17) && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
