//! What an instance asks for.

use runnerless_claim::deeds::Ending;
use runnerless_claim::fields::{self, BadField};
use runnerless_core::cache::{CacheKey, CacheUse, NamedCaches};
use runnerless_core::event::Nonce;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::time::Millis;
use serde_json::Value;
use zeroize::Zeroizing;

/// Longest job token, in bytes. GitLab's are JWTs of one or two kilobytes.
const TOKEN_BYTES: usize = 16 * 1024;
/// The longest pause between two signs of life that is taken: a lease lasts three minutes.
const LONGEST_BEAT: i64 = 60_000;

/// A begin. It names its launch; which instance says so is AWS's to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) launch: LaunchId,
    /// A text that the calling process drew at random: under it a repeated begin is the same one.
    pub(crate) claim: String,
}

impl Begin {
    pub(crate) fn read(body: &Value) -> Result<Self, BadField> {
        if body.get("do").and_then(Value::as_str) != Some("begin") {
            return Err(BadField { field: "do", what: "begin" });
        }
        let launch = LaunchId::new(fields::text(body, "launch", "the id of the tag runnerless:launch")?);
        let what = "a text of 1 to 64 characters that the process drew at random";
        let claim = fields::claim(body)?.ok_or(BadField { field: "claim", what })?;
        Ok(Self { launch, claim })
    }
}

/// A word of a launch that began.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) launch: LaunchId,
    pub(crate) nonce: Nonce,
    pub(crate) does: Does,
}

/// See [`Word`].
#[derive(Debug)]
pub(crate) enum Does {
    /// GitLab handed this job out.
    Bind(Bind),
    /// The job cannot be kept.
    GiveBack(JobKey),
    /// The job is accepted, or still runs.
    Renew,
    /// A URL for this use of a cache of the job.
    Cache(CacheUse, CacheKey),
    /// It is over.
    End(End),
}

impl Does {
    /// The job that it is about, if it names one that is not read again later.
    pub(crate) const fn about(&self) -> Option<JobKey> {
        match self {
            Self::Bind(bind) => Some(bind.job),
            Self::End(end) => end.job,
            Self::GiveBack(_) | Self::Renew | Self::Cache(..) => None,
        }
    }
}

/// What a runner says when it ends.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) outcome: Ending,
    pub(crate) reason: String,
    /// The job that it had, if it says so: it spares a read, and decides nothing.
    pub(crate) job: Option<JobKey>,
}

/// What a runner says when it binds.
pub(crate) struct Bind {
    pub(crate) job: JobKey,
    /// The job's token, to report the job with should the instance be lost.
    pub(crate) token: Zeroizing<String>,
    /// How often the runner will give a sign of life.
    pub(crate) beat: Millis,
    /// The caches that the job names: its runner may ask URLs for these and no others.
    pub(crate) caches: NamedCaches,
}

impl std::fmt::Debug for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bind").field("job", &self.job).finish_non_exhaustive()
    }
}

impl Word {
    pub(crate) fn read(body: &Value) -> Result<Self, BadField> {
        let does = match body.get("do").and_then(Value::as_str) {
            Some("bind") => {
                let (job, caches) = (fields::job(body)?, fields::caches(body)?);
                Does::Bind(Bind { job, token: token(body)?, beat: beat(body)?, caches })
            }
            Some("give_back") => Does::GiveBack(fields::job(body)?),
            Some("accepted" | "renew") => Does::Renew,
            Some("cache") => {
                let (what, key) = fields::cache(body)?;
                Does::Cache(what, key)
            }
            Some("end") => {
                let job = body.get("job").filter(|job| !job.is_null()).map(|_| fields::job(body)).transpose()?;
                Does::End(End { outcome: ending(body)?, reason: fields::reason(body)?, job })
            }
            _ => return Err(BadField { field: "do", what: "bind, give_back, accepted, renew, cache or end" }),
        };
        let launch = LaunchId::new(fields::text(body, "launch", "the launch's id")?);
        let nonce = Nonce::new(fields::text(body, "nonce", "the launch's nonce")?);
        Ok(Self { launch, nonce, does })
    }
}

fn token(body: &Value) -> Result<Zeroizing<String>, BadField> {
    let token = body.get("job_token").and_then(Value::as_str);
    let token = token.filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES);
    token.map(|token| Zeroizing::new(token.to_owned())).ok_or(BadField { field: "job_token", what: "the job's token" })
}

fn beat(body: &Value) -> Result<Millis, BadField> {
    let beat = body.get("beat_ms").and_then(Value::as_i64).filter(|beat| (1..=LONGEST_BEAT).contains(beat));
    beat.map(Millis).ok_or(BadField { field: "beat_ms", what: "a number of milliseconds, at most 60000" })
}

fn ending(body: &Value) -> Result<Ending, BadField> {
    match body.get("outcome").and_then(Value::as_str) {
        Some("done") => Ok(Ending::Done),
        Some("untold") => Ok(Ending::Untold),
        Some("no_job") => Ok(Ending::NoJob),
        Some("unanswered") => Ok(Ending::Unanswered),
        Some("failed") => Ok(Ending::Failed),
        Some("over") => Ok(Ending::Over),
        _ => Err(BadField { field: "outcome", what: "done, untold, no_job, unanswered, failed or over" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_or_wrong_is_named_and_no_value_is_repeated() {
        let bind = json!({"do": "bind", "launch": "l-1", "nonce": "s3cret", "job_token": "s3cret", "beat_ms": 10_000,
            "caches": {"restore": ["k", "l"], "save": ["k"]}, "job": {"project_id": 1, "job_id": 2}});
        assert!(Word::read(&bind).is_ok());
        assert!(!format!("{:?}", Word::read(&bind).unwrap()).contains("s3cret"));
        for (pointer, value, field) in [
            ("/do", json!("steal"), "do"),
            ("/launch", json!(3), "launch"),
            ("/nonce", json!(["s3cret"]), "nonce"),
            ("/nonce", json!("s3cret".repeat(50)), "nonce"),
            ("/job/project_id", json!("s3cret"), "job.project_id"),
            ("/job/job_id", json!(0), "job.job_id"),
            ("/job_token", json!(""), "job_token"),
            ("/job_token", json!("x".repeat(TOKEN_BYTES + 1)), "job_token"),
            ("/job_token", json!({"s3cret": 1}), "job_token"),
            ("/beat_ms", json!(0), "beat_ms"),
            ("/beat_ms", json!(60_001), "beat_ms"),
            ("/beat_ms", json!("10"), "beat_ms"),
            ("/caches", json!(["s3cret"]), "caches"),
            ("/caches", json!({"restore": ["../s3cret"]}), "caches"),
            ("/caches", json!({"save": vec!["s3cret"; 33]}), "caches"),
        ] {
            let mut wrong = bind.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let error = Word::read(&wrong).unwrap_err();
            assert_eq!(error.field, field, "{pointer}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        for (wrong, field) in [
            (json!({"do": "begin", "launch": "l"}), "claim"),
            (json!({"do": "begin", "launch": "l", "claim": ""}), "claim"),
            (json!({"do": "begin", "claim": "c"}), "launch"),
            (json!({"do": "bind", "launch": "l", "claim": "c"}), "do"),
            (json!([1]), "do"),
            (json!(null), "do"),
        ] {
            assert_eq!(Begin::read(&wrong).unwrap_err().field, field, "{wrong}");
        }
        let cache = json!({"do": "cache", "launch": "l", "nonce": "n", "what": "restore", "key": "k"});
        assert!(Word::read(&cache).is_ok_and(|word| word.does.about().is_none()));
        for (field, value) in [("what", "steal"), ("key", "/k"), ("key", "")] {
            let mut wrong = cache.clone();
            wrong[field] = value.into();
            assert_eq!(Word::read(&wrong).unwrap_err().field, field, "{wrong}");
        }
        let end = json!({"do": "end", "launch": "l", "nonce": "n", "outcome": "fine"});
        assert_eq!(Word::read(&end).unwrap_err().field, "outcome");
        let end = json!({"do": "end", "launch": "l", "nonce": "n", "outcome": "done", "job": {"project_id": 1}});
        assert_eq!(Word::read(&end).unwrap_err().field, "job.job_id");
        let end = json!({"do": "end", "launch": "l", "nonce": "n", "outcome": "done", "job": null});
        assert!(Word::read(&end).is_ok_and(|word| word.does.about().is_none()), "it need not be said");
    }
}
