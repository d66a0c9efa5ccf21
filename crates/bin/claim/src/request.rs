//! What a caller asks for.

use runnerless_core::cache::{CacheKey, CacheUse};
use runnerless_core::event::Nonce;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::moves::Got;
use serde_json::Value;

use crate::deeds::Ending;
use crate::error::Error;
use crate::fields::{self, BadField};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The launch.
    pub launch: LaunchId,
    /// What the caller proves it with.
    pub nonce: Nonce,
    /// A text that the calling process drew at random and sends with each of its calls: it tells two deliveries of one
    /// event apart. A begin under the same claim is the same begin; without one, each begin is another.
    pub claim: Option<String>,
    /// What to do.
    pub does: Does,
}

/// See [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// May I ask GitLab?
    Begin,
    /// GitLab handed this job out.
    Bind(Got),
    /// The job cannot be kept.
    GiveBack(JobKey),
    /// The accepted job still runs.
    Renew,
    /// A URL for this use of a cache of the job.
    Cache(CacheUse, CacheKey),
    /// It is over.
    End(Ending, String),
}

impl Does {
    /// The job that it is about, if it names one that is not read again later.
    #[must_use]
    pub const fn about(&self) -> Option<JobKey> {
        match self {
            Self::Bind(got) => Some(got.job),
            Self::Begin | Self::GiveBack(_) | Self::Renew | Self::Cache(..) | Self::End(..) => None,
        }
    }
}

impl Request {
    /// Reads a call.
    ///
    /// # Errors
    /// The first field that is missing or wrong.
    pub fn read(event: &Value) -> Result<Self, Error> {
        let does = match event.get("do").and_then(Value::as_str) {
            Some("begin") => Does::Begin,
            Some("bind") => Does::Bind(Got { caches: fields::caches(event)?, ..fields::job(event)?.into() }),
            Some("give_back") => Does::GiveBack(fields::job(event)?),
            Some("renew") => Does::Renew,
            Some("cache") => {
                let (what, key) = fields::cache(event)?;
                Does::Cache(what, key)
            }
            Some("end") => Does::End(ending(event)?, fields::reason(event)?),
            _ => return Err(bad("do", "begin, bind, give_back, renew, cache or end")),
        };
        let launch = LaunchId::new(fields::text(event, "launch", "the event's launch id")?);
        let nonce = Nonce::new(fields::text(event, "nonce", "the event's nonce")?);
        Ok(Self { launch, nonce, claim: fields::claim(event)?, does })
    }
}

fn bad(field: &'static str, what: &'static str) -> Error {
    BadField { field, what }.into()
}

fn ending(event: &Value) -> Result<Ending, Error> {
    match event.get("outcome").and_then(Value::as_str) {
        Some("done") => Ok(Ending::Done),
        Some("no_job") => Ok(Ending::NoJob),
        Some("failed") => Ok(Ending::Failed),
        _ => Err(bad("outcome", "done, no_job or failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_documented_requests_are_read() {
        for (text, does) in [
            (include_str!("../../../../events/claim/begin.json"), Does::Begin),
            (
                include_str!("../../../../events/claim/bind.json"),
                Does::Bind(JobKey { project: 380, job: 4_300_000_001 }.into()),
            ),
            (include_str!("../../../../events/claim/give_back.json"), Does::GiveBack(JobKey { project: 380, job: 7 })),
            (include_str!("../../../../events/claim/renew.json"), Does::Renew),
            (
                include_str!("../../../../events/claim/cache.json"),
                Does::Cache(CacheUse::Restore, CacheKey::new("deps-non_protected").unwrap()),
            ),
            (include_str!("../../../../events/claim/end.json"), Does::End(Ending::Done, "exit code 0".to_owned())),
        ] {
            let request = Request::read(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!((request.launch.as_str(), request.does), ("l-4n8w2c6h0r5t9v3x7z1b", does));
            assert_eq!(request.claim.as_deref(), Some("i-5f0c2a"));
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_no_value_is_repeated() {
        let bind = json!({"do": "bind", "launch": "l-1", "nonce": "s3cret", "job": {"project_id": "1", "job_id": 2}});
        for (pointer, value, field) in [
            ("/do", json!("steal"), "do"),
            ("/do", json!(null), "do"),
            ("/launch", json!(3), "launch"),
            ("/nonce", json!(["s3cret"]), "nonce"),
            ("/nonce", json!("s3cret".repeat(50)), "nonce"),
            ("/job/project_id", json!("s3cret"), "job.project_id"),
            ("/job/job_id", json!(0), "job.job_id"),
            ("/job/job_id", json!(-1), "job.job_id"),
            ("/job/job_id", json!(1.5), "job.job_id"),
            ("/job", json!("1/2"), "job.project_id"),
        ] {
            let mut wrong = bind.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let error = Request::read(&wrong).unwrap_err();
            assert!(
                matches!(error, Error::BadRequest(BadField { field: named, .. }) if named == field),
                "{pointer}: {error}"
            );
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        for (wrong, field) in [
            (json!({"do": "begin", "launch": "l", "nonce": "n", "claim": ""}), "claim"),
            (json!({"do": "begin", "launch": "l", "nonce": "n", "claim": "x".repeat(65)}), "claim"),
            (json!({"do": "end", "launch": "l", "nonce": "n", "outcome": "fine"}), "outcome"),
            (json!({"do": "end", "launch": "l", "nonce": "n", "outcome": "done", "reason": 7}), "reason"),
            (json!("begin"), "do"),
        ] {
            let error = Request::read(&wrong).unwrap_err();
            assert!(
                matches!(error, Error::BadRequest(BadField { field: named, .. }) if named == field),
                "{wrong}: {error}"
            );
        }
    }

    #[test]
    fn a_reason_is_cut_and_holds_no_control_characters() {
        let long = json!({"do": "end", "launch": "l", "nonce": "n", "outcome": "failed",
            "reason": format!("a\nb\u{1b}[0m{}", "x".repeat(500))});
        let Does::End(Ending::Failed, reason) = Request::read(&long).unwrap().does else { panic!("no end") };
        assert!(reason.starts_with("a b [0mx") && reason.chars().count() == 200, "{reason}");
    }
}
