//! What a runner must be able to do to get a job (contract, section 3.2).
//!
//! GitLab fails a job as `runner_unsupported` when the runner that it would get to does not advertise a feature.

use serde_json::{Map, Value};

use crate::world::spec::{AllowFailure, JobSpec};

/// The first feature that the job asks for and the runner lacks.
pub(crate) fn missing(
    spec: &JobSpec,
    body: &Map<String, Value>,
    features: &Map<String, Value>,
) -> Option<&'static str> {
    let has = |feature: &str| features.get(feature).and_then(Value::as_bool).unwrap_or(false);
    let artifacts = items(body, "artifacts");
    let demands = [
        (matches!(spec.allow_failure, AllowFailure::ExitCodes(_)), "return_exit_code"),
        (
            artifacts.iter().any(is_report) || spec.artifacts.iter().any(|kept| kept.kind != "archive"),
            "upload_multiple_artifacts",
        ),
        (
            artifacts.iter().any(|entry| filled(entry, "exclude"))
                || spec.artifacts.iter().any(|kept| !kept.exclude.is_empty()),
            "artifacts_exclude",
        ),
        (
            items(body, "steps").iter().any(|step| step.get("name").is_some_and(|name| name == "release")),
            "multi_build_steps",
        ),
        (
            items(body, "cache").iter().any(|entry| filled(entry, "fallback_keys"))
                || spec.caches.iter().any(|cache| !cache.fallback_keys.is_empty()),
            "fallback_cache_keys",
        ),
        (body.get("run").and_then(Value::as_str).is_some_and(|run| !run.trim().is_empty()), "native_steps_integration"),
        (body.get("secrets").and_then(Value::as_object).is_some_and(|secrets| !secrets.is_empty()), "vault_secrets"),
        (is_of_merge_request(body), "refspecs"),
    ];
    demands.into_iter().find(|(asked, feature)| *asked && !has(feature)).map(|(_, feature)| feature)
}

fn items<'a>(body: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    body.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Merge requests have refs of their own, which only a runner that heeds `refspecs` fetches.
fn is_of_merge_request(body: &Map<String, Value>) -> bool {
    let name = body.get("git_info").and_then(|git| git.get("ref")).and_then(Value::as_str);
    name.is_some_and(|name| name.starts_with("refs/merge-requests/"))
}

fn is_report(entry: &Value) -> bool {
    entry.get("artifact_type").and_then(Value::as_str).is_some_and(|kind| kind != "archive")
}

fn filled(entry: &Value, key: &str) -> bool {
    entry.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}
