//! What every bus does.
//!
//! A rejected entry that is answered with 200 is one of the things that the suite demands; how many entries AWS takes, how
//! large they may be and what it does with an event that no rule wants is not, because ours are one at a time and small.

use runnerless_aws::ports::{Announcement, Bus};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::moves::Announce;
use serde_json::{Value, json};

/// An event as its rules and targets see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrived {
    pub source: String,
    pub detail_type: String,
    pub detail: String,
}

impl Arrived {
    /// As it is delivered to a target.
    pub fn read(event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        Self { source: text("source"), detail_type: text("detail-type"), detail: event["detail"].to_string() }
    }
}

fn announcement(what: Announce, job: u64) -> Announcement {
    let launch = (what == Announce::Finished).then(|| LaunchId::new("l-1"));
    Announcement { what, job: JobKey { project: 41, job }, launch }
}

/// Runs the suite. `arrived` gives so many events that the bus delivered, and would give more if there were more.
pub async fn all(bus: &impl Bus, arrived: impl AsyncFn(usize) -> Vec<Arrived>) {
    // Beyond 2^53, where numbers that pass through floats break.
    let big = 9_007_199_254_740_993;
    let sent = [announcement(Announce::Pending, big), announcement(Announce::Finished, 2)];
    for announcement in sent {
        bus.announce(announcement).await.unwrap();
    }
    let event = |detail_type: &str, detail: Value| Arrived {
        source: "runnerless.ingest".to_owned(),
        detail_type: detail_type.to_owned(),
        detail: detail.to_string(),
    };
    let mut wanted = [
        event("JobPending", json!({"v": 1, "job": format!("41/{big}")})),
        event("JobFinished", json!({"v": 1, "job": "41/2", "launch": "l-1"})),
    ];
    let mut got = arrived(2).await;
    // A bus promises no order.
    wanted.sort();
    got.sort();
    assert_eq!(got, wanted);
}

/// A bus that rejects what it is given, or does not answer, has announced nothing and says so.
pub async fn that_refuses(bus: &impl Bus) {
    for what in [Announce::Pending, Announce::Finished] {
        let error = bus.announce(announcement(what, 1)).await.unwrap_err();
        assert_eq!(error.name(), "Bus.Unavailable", "{error:?}");
    }
}
