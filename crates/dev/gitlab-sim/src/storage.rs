//! Where artifacts are stored: a server beside GitLab, as object storage is.
//!
//! It knows nobody. A link that GitLab signed opens one file, for a while; who sends a secret along has given it away.

use hmac::{Hmac, KeyInit, Mac};
use hyper::Response;
use hyper::body::Incoming;
use sha2::Sha256;

use crate::api;
use crate::server::answer::{Answer, Body};
use crate::sim::Sim;
use crate::world::World;

/// Headers that are for GitLab alone.
const SECRETS: [&str; 5] = ["job-token", "private-token", "runner-token", "authorization", "cookie"];
/// The parameter with the signature.
const SIGNATURE: &str = "X-Amz-Signature";

/// The link to the archive of a job.
pub(crate) fn link(world: &World, job: u64) -> String {
    format!("{}/artifacts/{job}?X-Amz-Expires=300&{SIGNATURE}={}", world.place.storage_url, signature(world, job))
}

fn signature(world: &World, job: u64) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(world.place.admin_token.as_bytes());
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(&job.to_be_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Answers one request.
pub(crate) fn serve(sim: &Sim, request: &hyper::Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().strip_prefix("/artifacts/").and_then(|id| id.parse().ok());
    let query = request.uri().query().unwrap_or_default();
    let given_away = SECRETS.iter().find(|name| request.headers().contains_key(**name));
    let answer = sim.with(|world| {
        if let Some(name) = given_away {
            world.violation("secret_abroad", path, format!("sent {name} to where artifacts are stored"));
            return Answer::bytes(400, "application/xml", error("InvalidArgument"));
        }
        let Some(job) = path else { return Answer::bytes(404, "application/xml", error("NoSuchKey")) };
        let expected = format!("{SIGNATURE}={}", signature(world, job));
        if request.method() != "GET" || !query.split('&').any(|pair| pair == expected) {
            return Answer::bytes(403, "application/xml", error("SignatureDoesNotMatch"));
        }
        match api::stored_archive(world, job) {
            Some(bytes) => Answer::bytes(200, "application/octet-stream", bytes),
            None => Answer::bytes(404, "application/xml", error("NoSuchKey")),
        }
    });
    answer.into_http(None)
}

fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")
}
