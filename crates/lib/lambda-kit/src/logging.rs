//! Logging: one JSON object a line on standard output, see `docs/logging.md`.
//!
//! The lines are those of tracing-subscriber's own JSON format with flat fields. They are written here because that
//! format serves spans, styles and any writer, and took longer for one line than the proof of a request.

use std::fmt::Debug;
use std::io::Write as _;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// What a line is made room for, in bytes; most are shorter.
const LINE_BYTES: usize = 512;

/// Our own lines from `info` on, those of libraries from `warn` on: an SDK's debug lines hold request bodies.
pub(crate) fn start() {
    let ours = Targets::new()
        .with_target("runnerless", LevelFilter::INFO)
        // The runtime repeats each error that this crate has logged already.
        .with_target("lambda_runtime::layers", LevelFilter::OFF)
        .with_default(LevelFilter::WARN);
    // A log that nobody takes is no reason to fail a call.
    let lines = Lines(|line: &[u8]| drop(std::io::stdout().lock().write_all(line)));
    // A second call, which only a test makes, finds the first one's in place.
    let _already = tracing_subscriber::registry().with(lines).with(ours).try_init();
}

/// Hands each event on as one line, whole.
struct Lines<W>(W);

impl<S: Subscriber, W: Fn(&[u8]) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        (self.0)(&line(event));
    }
}

fn line(event: &Event<'_>) -> Vec<u8> {
    let mut now = String::new();
    // Writing to a text cannot fail, here and below.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    let mut fields = Fields(Vec::with_capacity(LINE_BYTES));
    let _ = write!(fields.0, r#"{{"timestamp":"{now}","level":"{}""#, event.metadata().level());
    event.record(&mut fields);
    fields.add("target", event.metadata().target());
    fields.0.extend_from_slice(b"}\n");
    fields.0
}

/// The members of a line so far.
struct Fields(Vec<u8>);

impl Fields {
    fn add(&mut self, name: &str, value: impl Serialize) {
        self.0.push(b',');
        let _ = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    /// Also what is shown by `%`, and errors, which come as their text.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let lines = Lines(move |line: &[u8]| sink.lock().unwrap().extend_from_slice(line));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_object_with_the_fields_beside_each_other() {
        let name = "a \"quoted\"\nname";
        let logged = lines(|| {
            tracing::warn!(target: "runnerless", shown = %7, "job.name" = name, flag = true, less = -1, more = 1_u64,
                share = 0.5, list = ?[1, 2], "refused: {}", "no\u{1b}[31m proof");
        });
        let [line] = &logged[..] else { panic!("{logged:?}") };
        let mut line = line.clone();
        let at = line["timestamp"].take();
        let at = at.as_str().unwrap();
        assert!(at.len() == "2026-09-15T06:26:40.000000Z".len() && at.ends_with('Z'), "{at}");
        let expected = json!({
            "timestamp": null, "level": "WARN", "message": "refused: no\u{1b}[31m proof", "job.name": name, "shown": "7",
            "flag": true, "less": -1, "more": 1, "share": 0.5, "list": "[1, 2]", "target": "runnerless",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn an_error_is_its_text() {
        let error = std::io::Error::other("out of\tluck");
        let logged =
            lines(|| tracing::error!(target: "runnerless", error = &error as &(dyn std::error::Error + 'static), "x"));
        assert_eq!(logged[0]["error"], "out of\tluck");
    }
}
