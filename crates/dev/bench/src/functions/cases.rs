//! What the functions are given, and what each answer must say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The secret token of the bench's hook.
pub(super) const TOKEN: &str = "token-of-the-bench-0123456789";
/// Its signing token: the bytes 0 to 31, as GitLab writes them.
pub(super) const SIGNING_TOKEN: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The job whose row is there before the first round.
pub(super) const KNOWN_JOB: u64 = 5_000_000_000;

/// How a request is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    /// By a token that is not ours.
    Wrongly,
    /// By the secret token.
    Token,
    /// By a signature over the body.
    Signature,
}

/// One kind of request to one function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The function.
    pub(super) binary: &'static str,
    /// Its floor.
    pub(super) floor: &'static str,
    /// The name in the results.
    pub(super) name: &'static str,
    /// How its requests are proved.
    pub(super) proved: Proved,
    /// Whether the job is known already, and not a new one each time.
    pub(super) known: bool,
    /// The field that says how the request was answered, and what it must say.
    pub(super) expected: (&'static str, Answered),
}

/// What a field of an answer must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answered {
    Flag(bool),
    Status(u16),
}

pub(super) const CASES: [Case; 7] = [
    authorizer("unauthenticated", Proved::Wrongly, false),
    authorizer("token", Proved::Token, true),
    authorizer("signed", Proved::Signature, true),
    ingest("unauthenticated", Proved::Wrongly, false, 401),
    ingest("token", Proved::Token, false, 200),
    ingest("signed", Proved::Signature, false, 200),
    ingest("duplicate", Proved::Signature, true, 200),
];

const fn authorizer(name: &'static str, proved: Proved, passes: bool) -> Case {
    let expected = ("isAuthorized", Answered::Flag(passes));
    Case { binary: "authorizer", floor: "floor-authorizer", name, proved, known: false, expected }
}

const fn ingest(name: &'static str, proved: Proved, known: bool, status: u16) -> Case {
    let expected = ("statusCode", Answered::Status(status));
    Case { binary: "ingest", floor: "floor-ingest", name, proved, known, expected }
}

impl Case {
    /// The event of the `nth` request.
    pub(super) fn event(&self, nth: u64) -> Value {
        let body = body(if self.known { KNOWN_JOB } else { KNOWN_JOB + 1 + nth });
        let headers = headers(self.proved, &body, nth);
        let mut event = json!({
            "version": "2.0", "routeKey": "POST /webhook", "rawPath": "/webhook", "rawQueryString": "",
            "headers": headers,
            "requestContext": {
                "accountId": "111122223333", "apiId": "a1b2c3d4e5", "stage": "$default", "routeKey": "POST /webhook",
                "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com", "domainPrefix": "a1b2c3d4e5",
                "http": {
                    "method": "POST", "path": "/webhook", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.44",
                    "userAgent": "GitLab/19.4.0-ee",
                },
                "requestId": format!("bench{nth}"), "time": "15/Sep/2026:06:26:40 +0000", "timeEpoch": since().as_millis(),
            },
        });
        if self.binary == "authorizer" {
            event["type"] = "REQUEST".into();
            event["routeArn"] = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/$default/POST/webhook".into();
            event["identitySource"] = json!(["Job Hook"]);
        } else {
            event["body"] = body.into();
            event["isBase64Encoded"] = false.into();
        }
        event
    }

    /// Whether the answer is the right one.
    pub(super) fn fits(&self, answer: Option<&Value>) -> bool {
        let (field, expected) = self.expected;
        let expected = match expected {
            Answered::Flag(flag) => Value::from(flag),
            Answered::Status(status) => Value::from(status),
        };
        answer.is_some_and(|answer| answer[field] == expected)
    }
}

fn since() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn headers(proved: Proved, body: &str, nth: u64) -> Value {
    let mut headers = json!({
        "content-type": "application/json", "content-length": body.len().to_string(),
        "user-agent": "GitLab/19.4.0-ee", "host": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
        "x-gitlab-event": "Job Hook", "x-gitlab-instance": "https://gitlab.acme.example",
        "x-gitlab-event-uuid": format!("5d2f7c11-08ad-4f6b-8a57-{nth:012}"),
        "x-forwarded-for": "192.0.2.44", "x-forwarded-proto": "https",
    });
    match proved {
        Proved::Wrongly => headers["x-gitlab-token"] = "a-token-of-somebody-else-0123".into(),
        Proved::Token => headers["x-gitlab-token"] = TOKEN.into(),
        Proved::Signature => {
            let (id, at) = (format!("3b1f0c52-77c1-4d0e-9d1c-{nth:012}"), since().as_secs().to_string());
            headers["webhook-signature"] = signature(&id, &at, body).into();
            headers["webhook-id"] = id.into();
            headers["webhook-timestamp"] = at.into();
        }
    }
    headers
}

/// As Standard Webhooks signs: `v1,` and the HMAC over id, time and body, joined by full stops.
fn signature(id: &str, at: &str, body: &str) -> String {
    let key = STANDARD.decode(SIGNING_TOKEN.trim_start_matches("whsec_")).unwrap_or_default();
    let mac = Hmac::<Sha256>::new_from_slice(&key).map(|mut mac| {
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    });
    format!("v1,{}", mac.unwrap_or_default())
}

/// A job hook of the size and shape that GitLab sends.
fn body(job: u64) -> String {
    let now = jiff::Timestamp::now();
    let url = "https://gitlab.acme.example/acme/widgets";
    json!({
        "object_kind": "build", "ref": "main", "tag": false, "before_sha": "0".repeat(40),
        "sha": "9d3e6f1b2c4a5d7e8f90a1b2c3d4e5f60718293a", "retries_count": 0, "build_id": job, "build_name": "unit 1/2",
        "build_stage": "test", "build_status": "pending", "build_created_at": now.strftime("%F %T UTC").to_string(),
        "build_started_at": null, "build_finished_at": null,
        "build_created_at_iso": now.strftime("%FT%TZ").to_string(), "build_started_at_iso": null,
        "build_finished_at_iso": null, "build_duration": null, "build_queued_duration": 0.31,
        "build_allow_failure": false, "build_failure_reason": "unknown_failure", "pipeline_id": 88001, "runner": null,
        "project_id": 7301, "project_name": "Acme / Widgets",
        "user": {"id": 12, "name": "Robin Ray", "username": "robin", "avatar_url": null, "email": "[REDACTED]"},
        "commit": {
            "id": 88001, "name": null, "sha": "9d3e6f1b2c4a5d7e8f90a1b2c3d4e5f60718293a",
            "message": "Paint the widgets blue\n", "author_name": "Robin Ray", "author_email": "robin@acme.example",
            "author_url": "https://gitlab.acme.example/robin", "status": "pending", "duration": null,
            "started_at": null, "finished_at": null,
        },
        "repository": {
            "name": "Widgets", "url": "git@gitlab.acme.example:acme/widgets.git", "description": "", "homepage": url,
            "git_http_url": format!("{url}.git"), "git_ssh_url": "git@gitlab.acme.example:acme/widgets.git",
            "visibility_level": 0,
        },
        "project": {
            "id": 7301, "name": "Widgets", "description": "", "web_url": url, "avatar_url": null,
            "git_ssh_url": "git@gitlab.acme.example:acme/widgets.git", "git_http_url": format!("{url}.git"),
            "namespace": "Acme", "visibility_level": 0, "path_with_namespace": "acme/widgets",
            "default_branch": "main", "ci_config_path": null,
        },
        "environment": null,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_published_vector() {
        let made = signature(
            "f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
            "1744578123",
            r#"{"object_kind":"build","build_id":1977}"#,
        );
        assert_eq!(made, "v1,JawtsnraI75fqBm55pTGkqdQcTp0sDEr38M2uhLV9Nk=");
    }

    #[test]
    fn an_answer_fits_its_case_only() {
        let case = CASES[3];
        assert!(case.fits(Some(&json!({"statusCode": 401}))));
        assert!(!case.fits(Some(&json!({"statusCode": 200}))) && !case.fits(Some(&json!({}))) && !case.fits(None));
    }
}
