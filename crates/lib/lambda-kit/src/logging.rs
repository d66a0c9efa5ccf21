//! Logging: one JSON object a line on standard output, see `docs/logging.md`.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Our own lines from `info` on, those of libraries from `warn` on: an SDK's debug lines hold request bodies.
pub(crate) fn start() {
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let ours = Targets::new()
        .with_target("runnerless", LevelFilter::INFO)
        // The runtime repeats each error that this crate has logged already.
        .with_target("lambda_runtime::layers", LevelFilter::OFF)
        .with_default(LevelFilter::WARN);
    // A second call, which only a test makes, finds the first one's in place.
    let _already = tracing_subscriber::registry().with(lines).with(ours).try_init();
}
