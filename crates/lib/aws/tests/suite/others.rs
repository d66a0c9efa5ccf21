//! What the bus and invoke do.

use runnerless_aws::ports::{Announcement, Bus, Invoker};
use runnerless_core::id::JobKey;
use runnerless_core::moves::Announce;

/// An announcement is taken by a bus that is there.
pub async fn bus(bus: &impl Bus) {
    for what in [Announce::Pending, Announce::Finished] {
        let announcement = Announcement { what, job: JobKey { project: 1, job: 2 } };
        bus.announce(announcement).await.unwrap();
    }
}

/// A function that is not there is a refusal, not a trouble that passes: the router then uses another row.
pub async fn invoker(invoker: &impl Invoker) {
    let missing = "arn:aws:lambda:us-east-1:000000000000:function:missing";
    let error = invoker.start(missing, "{}", None).await.unwrap_err();
    assert_eq!(error.name(), "Invoke.Refused", "{error:?}");
}
