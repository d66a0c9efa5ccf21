//! Sending a message: GitLab's headers, its ten seconds, no second try.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{redirect, retry};

use super::signature;
use crate::random;
use crate::sim::Sim;
use crate::world::VERSION;
use crate::world::hook::{Delivery, Hook};
use crate::world::settings::millis;

/// How much of a receiver's answer is read: GitLab keeps as much.
const ANSWER_BYTES: usize = 8 * 1024;

/// The clients that send hooks.
#[derive(Debug)]
pub(crate) struct Clients {
    checking: reqwest::Client,
    trusting: reqwest::Client,
}

impl Clients {
    /// Builds them. GitLab follows no redirect of a receiver, and opens a connection for each message: one that is kept may be
    /// closed by the receiver at the moment in which the next message is sent on it.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let builder = || {
            let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
            client.redirect(redirect::Policy::none()).retry(retry::never())
        };
        Ok(Self {
            checking: builder().tls_certs_only(Vec::new()).build()?,
            trusting: builder().tls_certs_only(Vec::new()).tls_danger_accept_invalid_certs(true).build()?,
        })
    }
}

/// Sends one delivery and notes its end.
pub(crate) async fn deliver(sim: Sim, id: u64) {
    let pause = sim.look(|world| world.deliveries.get(&id).map_or(0, |delivery| delivery.pause_ms));
    if pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let Ok(_permit) = sim.senders().acquire().await else { return };
    let job = sim.with(|world| {
        if !world.delivery_leaves(id) {
            return None;
        }
        let delivery = world.deliveries.get(&id)?.clone();
        let hook = world.hooks.get(&delivery.hook).cloned();
        Some((delivery, hook, world.settings.hook_timeout_s))
    });
    let answer = match job {
        Some((delivery, Some(hook), seconds)) => {
            send(&sim, &delivery, &hook, Duration::from_millis(millis(seconds))).await
        }
        Some((_, None, _)) => Err("the hook was removed".to_owned()),
        None => return,
    };
    sim.with(|world| world.delivery_ended(id, answer));
}

async fn send(sim: &Sim, delivery: &Delivery, hook: &Hook, limit: Duration) -> Result<u16, String> {
    let client = if hook.verify_tls { &sim.clients().checking } else { &sim.clients().trusting };
    let mut request = client.post(&hook.url).timeout(limit).body(delivery.body.clone());
    for (name, value) in headers(sim, delivery, hook) {
        // A value that no header can hold is left out, as GitLab's client does with it.
        if let Ok(value) = HeaderValue::from_str(&value) {
            request = request.header(name, value);
        }
    }
    let mut answer = request.send().await.map_err(|error| reason(&error))?;
    let status = answer.status().as_u16();
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read >= ANSWER_BYTES {
            break;
        }
    }
    Ok(status)
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "Net::ReadTimeout".to_owned();
    }
    if error.is_connect() {
        return "Errno::ECONNREFUSED".to_owned();
    }
    "the connection broke".to_owned()
}

/// The headers of contract, section 1.1.
fn headers(sim: &Sim, delivery: &Delivery, hook: &Hook) -> Vec<(HeaderName, String)> {
    let name = HeaderName::from_static;
    let timestamp = crate::clock::now() / 1000;
    let mut headers = vec![
        (CONTENT_TYPE, "application/json".to_owned()),
        (USER_AGENT, format!("GitLab/{VERSION}")),
        (name("idempotency-key"), delivery.message.clone()),
        (name("webhook-id"), delivery.message.clone()),
        (name("webhook-timestamp"), timestamp.to_string()),
        (name("x-gitlab-event"), "Job Hook".to_owned()),
        (name("x-gitlab-webhook-uuid"), random::uuid()),
        (name("x-gitlab-instance"), sim.place().url.clone()),
        (name("x-gitlab-event-uuid"), delivery.event_uuid.clone()),
    ];
    if let Some(token) = &hook.token {
        headers.push((name("x-gitlab-token"), token.replace(['\r', '\n'], "")));
    }
    if let Some(token) = &hook.signing_token {
        let signed = signature::sign(token, &delivery.message, timestamp, &delivery.body);
        headers.extend(signed.map(|signature| (name("webhook-signature"), signature)));
    }
    if let Some(host) = &hook.host_header {
        headers.push((HOST, host.clone()));
    }
    headers
}
