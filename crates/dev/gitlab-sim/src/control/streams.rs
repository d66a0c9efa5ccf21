//! What happened, as JSON lines.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::server::answer::{Answer, LINES};
use crate::server::request::Request;
use crate::sim::Sim;

/// `GET requests`: one line a request; `since=<seq>` leaves out what is known.
pub(super) fn requests(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let since = since(request)?.unwrap_or(0);
    let text = sim.look(|world| {
        let lines = world.requests.iter().filter(|line| line.seq > since);
        lines.filter_map(|line| serde_json::to_string(line).ok()).map(|line| line + "\n").collect::<String>()
    });
    Ok(Answer::bytes(200, LINES, text))
}

/// `GET violations`: what runners did that GitLab does not forgive.
pub(super) fn violations(sim: &Sim) -> Result<Answer, Answer> {
    let all = sim.look(|world| {
        world.violations.iter().filter_map(|violation| serde_json::to_value(violation).ok()).collect::<Vec<_>>()
    });
    Ok(Answer::json(200, &Value::Array(all)))
}

/// `GET events`: one line a transition, as it happens. `since=<seq>` begins with what was before; with `follow=false`
/// the answer ends there.
pub(super) fn events(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let since = since(request)?;
    // Subscribed first, so that nothing falls between; what comes twice is left out by its number.
    let receiver = sim.events();
    let (past, last) = sim.look(|world| {
        let chosen = world.events.iter().filter(|event| since.is_some_and(|since| seq(event) > since));
        (chosen.map(|event| Bytes::from(format!("{event}\n"))).collect::<Vec<_>>(), world.event_seq)
    });
    let past = stream::iter(past);
    if request.query("follow").as_deref() == Some("false") {
        return Ok(Answer::lines(past.boxed()));
    }
    let live = stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(line) => return Some((line, receiver)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let fresh = live.filter(move |line| {
        let is_new = serde_json::from_slice::<Value>(line).is_ok_and(|event| seq(&event) > last);
        std::future::ready(is_new)
    });
    Ok(Answer::lines(past.chain(fresh).boxed()))
}

fn seq(event: &Value) -> u64 {
    event.get("seq").and_then(Value::as_u64).unwrap_or(0)
}

fn since(request: &Request) -> Result<Option<u64>, Answer> {
    request.query("since").map(|text| super::id(&text)).transpose()
}
