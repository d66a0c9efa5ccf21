//! Caches behind signed URLs: what an engine does with a storage that serves, refuses, breaks or keeps silent. A program of its
//! own, because an engine ends what its process started: one run is under way at a time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{Cursor, Read as _};
use std::sync::Mutex;
use std::time::Duration;

use runnerless_core::cache::CacheKey;
use runnerless_engine::{
    BindRefused, CachePlace, CacheUnknown, CacheUse, Environment, Host, ImagePolicy, JobIds, NamedCaches, Outcome,
    RunConfig, WorkRoot, log, run_one, stop_channel,
};
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Secret};
use serde_json::{Value, json};
use support::coordinator::Coordinator;
use support::storage::{Fault, Storage};
use support::{Finished, RUNNER_TOKEN, job};
use tempfile::TempDir;
use zip::ZipArchive;

/// What opens the storage, and is for no log.
const SIGNATURE: &str = "signature-of-this-very-url";

/// One engine runs at a time.
static TURN: Mutex<()> = Mutex::new(());

type Answers = fn(&Storage, &str) -> Result<CachePlace, CacheUnknown>;

struct Bench {
    folder: TempDir,
    coordinator: Coordinator,
    storage: Storage,
    place: Answers,
    /// What the last bind named.
    named: Mutex<NamedCaches>,
}

impl Host for Bench {
    async fn bind(&self, _job: &JobIds, _token: &Secret, caches: &NamedCaches) -> Result<(), BindRefused> {
        *self.named.lock().unwrap() = caches.clone();
        Ok(())
    }

    async fn unbind(&self, _job: &JobIds) {}

    async fn accepted(&self, _job: &JobIds) {}

    async fn cache(&self, job: &JobIds, key: &str, what: CacheUse) -> Result<CachePlace, CacheUnknown> {
        assert_eq!(job.project_id, Some(380));
        let named = self.named.lock().unwrap().clone();
        let of_use = if what == CacheUse::Restore { named.restore } else { named.save };
        assert!(of_use.iter().any(|named| named.as_str() == key), "{key} was not named at the bind");
        (self.place)(&self.storage, key)
    }
}

fn signed(storage: &Storage, key: &str) -> Result<CachePlace, CacheUnknown> {
    Ok(CachePlace::Url(Secret::new(format!("{}/{key}?{SIGNATURE}", storage.url))))
}

impl Bench {
    fn new(place: Answers) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            coordinator: Coordinator::start(None),
            storage: Storage::start(),
            place,
            named: Mutex::default(),
        }
    }

    /// Runs a job in a work tree of its own.
    fn run(&self, job: Value) -> Finished {
        let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let work = self.folder.path().join("work");
        if work.exists() {
            fs::remove_dir_all(&work).unwrap();
        }
        let root = WorkRoot::take(&work).unwrap();
        self.coordinator.add_job(job);
        let client = Client::new(ClientConfig::new(&self.coordinator.url, Info::new("t", "0", ""))).unwrap();
        let (_handle, stop) = stop_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(run_one(&config(), &client, self, &root, stop));
        assert!(matches!(outcome, Outcome::Ran(_)), "{outcome:?}");
        drop(turn);
        let log = String::from_utf8(self.coordinator.log()).unwrap();
        assert!(!log.contains(SIGNATURE), "{log}");
        Finished { code: Some(0), stderr: String::new(), log, puts: self.coordinator.puts() }
    }
}

fn config() -> RunConfig {
    RunConfig {
        token: Secret::new(RUNNER_TOKEN),
        system_id: None,
        runner_name: String::new(),
        wait: Duration::ZERO,
        images: ImagePolicy::Ignore,
        disposable: true,
        environment: Environment {
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            lang: "C.UTF-8".to_owned(),
            user: "root".to_owned(),
            cure: String::new(),
        },
        deadline: None,
        log_limit: log::DEFAULT_LIMIT,
        proxy: None,
        ca_pem: None,
        report_limit: Duration::from_secs(60),
    }
}

fn caching(script: &[&str]) -> Value {
    let mut job = job(script);
    job["cache"] = json!([{"key": "deps", "untracked": false, "paths": ["f"], "policy": "pull-push", "when": "on_success",
        "fallback_keys": []}]);
    job
}

fn succeeds(done: &Finished) -> String {
    assert_eq!(done.last()["state"], "success", "{}", done.text());
    done.text()
}

#[test]
fn what_one_job_puts_the_next_one_finds_and_puts_no_more_unless_it_changed() {
    let bench = Bench::new(signed);
    let text = succeeds(&bench.run(caching(&["echo kept > f"])));
    assert!(text.contains("WARNING: file does not exist") && text.contains("Failed to extract cache"), "{text}");
    assert!(text.contains("Uploading cache.zip to 127.0.0.1") && text.contains("Created cache"), "{text}");
    let put = bench.storage.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(put.path, format!("/deps?{SIGNATURE}"));
    assert_eq!(put.headers["content-type"], "application/octet-stream");
    assert_eq!(put.headers["content-length"], put.body.len().to_string(), "a storage takes no body of unknown length");
    for header in ["job-token", "runner-token", "private-token", "authorization", "transfer-encoding"] {
        assert!(!put.headers.contains_key(header), "{header}");
    }
    let mut kept = String::new();
    let mut zip = ZipArchive::new(Cursor::new(&put.body)).unwrap();
    zip.by_name("f").unwrap().read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "kept\n");

    let text = succeeds(&bench.run(caching(&["cat f"])));
    assert!(
        text.contains("Downloading cache from 127.0.0.1") && text.contains("Successfully extracted cache"),
        "{text}"
    );
    assert!(text.contains("\nkept\n") && text.contains("Archive is up to date!"), "{text}");
    bench.storage.put("/deps", put.body, "Sat, 01 Jan 2000 00:00:00 GMT");
    let text = succeeds(&bench.run(caching(&["echo changed > f"])));
    assert!(text.contains("Created cache") && !text.contains("up to date"), "{text}");
    let puts = bench.storage.requests().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(puts, 2);
    for get in bench.storage.requests().iter().filter(|request| request.method == "GET") {
        assert!(!get.headers.contains_key("job-token"));
    }
}

#[test]
fn a_storage_that_refuses_is_named_by_its_own_word_and_asked_once() {
    let denied = "<Error><Code>AccessDenied</Code><Message>User: arn:aws:sts::123456789012:x</Message></Error>";
    let bench = Bench::new(signed);
    bench.storage.fault([Fault::Status(403, denied), Fault::Status(403, denied)]);
    let text = succeeds(&bench.run(caching(&["touch f"])));
    let line = "received: 403 Forbidden. Request failed with code: AccessDenied";
    assert!(text.contains(&format!("WARNING: {line}")) && text.contains("Failed to extract cache"), "{text}");
    assert!(text.contains(&format!("FATAL: {line}")) && text.contains("Failed to create cache"), "{text}");
    assert!(!text.contains("123456789012"), "who we are there is not for a job's log: {text}");
    assert_eq!(bench.storage.requests().len(), 2);
}

#[test]
fn a_storage_that_is_in_trouble_is_asked_three_times() {
    let bench = Bench::new(signed);
    bench.storage.fault([Fault::Status(503, ""), Fault::Lost, Fault::Status(500, "")]);
    bench.storage.fault([Fault::Status(500, ""), Fault::Status(502, "")]);
    let text = succeeds(&bench.run(caching(&["echo kept > f"])));
    assert_eq!(text.matches("WARNING: Retrying...").count(), 4, "{text}");
    assert!(text.contains("error=received: 503 Service Unavailable"), "{text}");
    assert!(text.contains("WARNING: received: 500 Internal Server Error"), "{text}");
    assert!(text.contains("Failed to extract cache") && text.contains("Created cache"), "{text}");
    let put: Vec<_> = bench.storage.requests().into_iter().filter(|request| request.method == "PUT").collect();
    assert_eq!(put.len(), 3);
    assert_eq!(put[0].body, put[2].body, "each attempt sends the whole");
    assert_eq!(bench.storage.file("/deps"), Some(put[2].body.clone()));
}

#[test]
fn a_job_that_is_cancelled_waits_for_no_storage() {
    let bench = Bench::new(signed);
    bench.storage.fault([Fault::Silent]);
    let (coordinator, storage) = (bench.coordinator.clone(), bench.storage.clone());
    let cancelling = std::thread::spawn(move || {
        storage.wait_for("GET");
        coordinator.set_job_status("canceling");
    });
    let done = bench.run(caching(&["echo must-not-run"]));
    cancelling.join().unwrap();
    assert_eq!(done.last()["state"], "failed", "{}", done.text());
    assert!(!done.text().contains("$ echo must-not-run"), "{}", done.text());
}

#[test]
fn a_job_whose_host_keeps_no_caches_says_so_and_runs() {
    let bench = Bench::new(|_, _| Ok(CachePlace::Nowhere("there is no bucket: set one".to_owned())));
    let text = succeeds(&bench.run(caching(&["touch f"])));
    assert_eq!(text.matches("WARNING: there is no bucket: set one").count(), 2, "{text}");
    assert!(bench.storage.requests().is_empty());
}

#[test]
fn a_host_that_does_not_know_harms_no_job() {
    let bench = Bench::new(|_, _| Err(CacheUnknown("nobody answers".to_owned())));
    let text = succeeds(&bench.run(caching(&["touch f"])));
    assert!(text.contains("Failed to obtain environment for cache deps: nobody answers"), "{text}");
    assert!(text.contains("Unable to generate cache upload environment: nobody answers"), "{text}");
    assert!(text.contains("Failed to extract cache") && text.contains("Failed to create cache"), "{text}");
}

#[test]
fn a_url_that_gives_up_what_it_should_not_is_not_used() {
    let bench = Bench::new(|_, key| Ok(CachePlace::Url(Secret::new(format!("ftp://127.0.0.1/{key}?{SIGNATURE}")))));
    let text = succeeds(&bench.run(caching(&["touch f"])));
    assert!(text.contains("what opens the storage is no URL that may be used"), "{text}");
}

#[test]
fn what_is_found_may_be_anything() {
    let bench = Bench::new(signed);
    bench.storage.put("/deps", b"no archive".to_vec(), "never");
    let text = succeeds(&bench.run(caching(&["echo new > f"])));
    assert!(text.contains("FATAL: the archive cannot be read") && text.contains("Failed to extract cache"), "{text}");
    assert!(text.contains("Created cache") && bench.storage.file("/deps").unwrap().starts_with(b"PK"), "{text}");
    let folder = bench.folder.path().join("work/jobs");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left");
    assert!(File::open(bench.folder.path().join("work/cache")).is_err(), "nothing is kept on this machine");
}

#[test]
fn the_caches_of_a_job_are_named_before_any_line_of_it_runs() {
    let bench = Bench::new(signed);
    let mut job = caching(&["true"]);
    let variable = |key: &str, value: &str| json!({"key": key, "value": value, "public": true});
    let more = [variable("OF", "main"), variable("CACHE_FALLBACK_KEY", "old/../last"), variable("READS", "pull")];
    job["variables"].as_array_mut().unwrap().extend(more);
    job["cache"] = json!([
        {"key": "$OF-7", "paths": ["f"], "policy": "pull-push", "fallback_keys": ["$OF", "", "other"]},
        {"key": "read", "paths": ["f"], "policy": "$READS"},
        {"key": "written", "untracked": true, "policy": "push"},
        {"key": "of nothing", "paths": []},
    ]);
    let text = succeeds(&bench.run(job));
    let named = bench.named.lock().unwrap().clone();
    let texts = |keys: &[CacheKey]| keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(&named.restore), ["main-7", "main", "other", "last", "read"], "{text}");
    assert_eq!(texts(&named.save), ["main-7", "written"]);
    for key in texts(&named.restore) {
        assert!(text.contains(&format!("Checking cache for {key}...")), "{key}: {text}");
    }
}

#[test]
fn no_key_of_a_protected_branch_is_named_for_the_variable() {
    let bench = Bench::new(signed);
    let mut job = caching(&["true"]);
    let fallback = json!({"key": "CACHE_FALLBACK_KEY", "value": "main-protected", "public": true});
    job["variables"].as_array_mut().unwrap().push(fallback);
    let text = succeeds(&bench.run(job));
    let named = bench.named.lock().unwrap().clone();
    assert_eq!((named.restore.len(), named.save.len()), (1, 1), "{text}");
    assert!(text.contains("not allowed to end in"), "{text}");
}
