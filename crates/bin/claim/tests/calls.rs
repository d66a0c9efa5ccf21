//! The calls of a function that takes the executor's place, in the order in which it makes them and in every other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runnerless_aws::fake::{FakeLedger, FakeParameters};
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::{CacheBucket, Credentials, Place};
use runnerless_claim::{Answer, Error, Ports, handle};
use runnerless_core::change::RowKey;
use runnerless_core::event::nonce_sha256;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{Start, charge, record};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Named as _, SystemDice};
use serde_json::{Value, json};

const T0: Timestamp = Timestamp(1_789_373_730_000);
const NONCE: &str = "a-nonce-that-nobody-guesses";

fn key(job: u64) -> JobKey {
    JobKey { project: 380, job }
}

fn lane(engine: Engine) -> Lane {
    Lane { tags: TagSet::default(), engine, target: "arn:theirs".into(), run_untagged: true }
}

/// A pending job 1 with launch `l-1`, and a lane with a token.
struct World {
    ledger: FakeLedger,
    parameters: FakeParameters,
    caches: CacheBucket,
}

impl World {
    async fn new() -> Self {
        Self::with(Engine::Lambda).await
    }

    async fn with(engine: Engine) -> Self {
        let (ledger, parameters) = (FakeLedger::default(), FakeParameters::default());
        let event = JobEvent {
            key: key(1),
            status: JobStatus::Pending,
            facts: JobFacts::default(),
            created_at: Some(T0),
            runner: None,
        };
        ledger.apply(&record(None, &event, T0).plan).await.unwrap();
        let credentials = Credentials { key_id: "AKID".to_owned(), secret: "s".to_owned().into(), session: None };
        let caches = CacheBucket::new("caches", &Place::new("eu-west-1", None), &credentials);
        let world = Self { ledger, parameters, caches };
        let start = Start {
            launch: LaunchId::new("l-1"),
            nonce_sha256: nonce_sha256(NONCE),
            system_id: "r_lane".into(),
            request: "{}".into(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        let plan = charge(&world.job(1).await, &lane(engine), start, "test", T0).unwrap();
        world.ledger.apply(&plan).await.unwrap();
        world.token("glrt-t3_thelanestoken");
        world.parameters.put("/r/runner/LAMBDA/0000/RegistrationToken", "glrt-of-another-lane");
        world
    }

    fn token(&self, token: &str) {
        self.parameters.put(&Self::token_name(), token);
    }

    fn token_name() -> String {
        format!("/r/runner/LAMBDA/{}/RegistrationToken", lane(Engine::Lambda).id())
    }

    async fn ask(&self, request: Value) -> Result<Answer, Error> {
        let (ledger, parameters, caches) = (&self.ledger, &self.parameters, Some(&self.caches));
        let ports = Ports { ledger, parameters, parameter_path: "/r", caches, dice: &SystemDice };
        handle(&request, &ports, T0 + Millis::secs(1)).await
    }

    async fn say(&self, mut request: Value) -> Value {
        request["launch"] = "l-1".into();
        if request.get("nonce").is_none() {
            request["nonce"] = NONCE.into();
        }
        serde_json::to_value(self.ask(request).await.unwrap()).unwrap()
    }

    async fn job(&self, job: u64) -> JobRow {
        self.ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap().unwrap()
    }

    async fn launch(&self) -> LaunchRow {
        let id = LaunchId::new("l-1");
        self.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap().launch(&id).unwrap().unwrap()
    }

    /// A bound launch; accepted when its runner said that it lives.
    async fn bound(accepted: bool) -> Self {
        let world = Self::new().await;
        world.say(json!({"do": "begin", "claim": "c"})).await;
        assert_eq!(world.say(bind(1)).await, ok());
        if accepted {
            assert_eq!(world.say(json!({"do": "renew"})).await, ok());
        }
        world
    }
}

fn ok() -> Value {
    json!({"ok": true})
}

fn bind(job: u64) -> Value {
    json!({"do": "bind", "job": {"project_id": 380, "job_id": job}})
}

fn give_back(job: u64) -> Value {
    json!({"do": "give_back", "job": {"project_id": "380", "job_id": job.to_string()}})
}

fn end(outcome: &str) -> Value {
    json!({"do": "end", "outcome": outcome, "reason": "said so"})
}

fn is_refused(answer: &Value, word: &str) -> bool {
    answer["ok"] == false && answer["refused"].as_str().is_some_and(|why| why.contains(word))
}

#[tokio::test]
async fn a_launch_from_begin_to_end() {
    let world = World::new().await;
    let begun = world.say(json!({"do": "begin"})).await;
    assert_eq!(begun, json!({"token": "glrt-t3_thelanestoken", "system_id": "r_lane"}));
    assert_eq!(world.say(bind(2)).await, ok(), "GitLab handed out another job");
    assert_eq!(world.say(json!({"do": "renew"})).await, ok());
    let launch = world.launch().await;
    assert_eq!((launch.state, launch.bound_job, launch.accepted), (LaunchState::Bound, Some(key(2)), true));
    assert_eq!(world.say(end("done")).await, ok());
    assert_eq!(world.say(end("done")).await, ok(), "an end may be told twice");
    let launch = world.launch().await;
    assert_eq!(launch.state, LaunchState::Closed);
    assert_eq!(launch.end_reason.as_deref(), Some("job 380/2 is done: said so"));
    assert!(is_refused(&world.say(json!({"do": "renew"})).await, "Closed"));
    assert_eq!(world.job(1).await.state, JobState::Waiting, "its own job is free for another launch");
}

#[tokio::test]
async fn of_two_deliveries_one_begins_and_a_repeated_begin_of_the_same_process_is_the_same() {
    let world = World::new().await;
    let begun = world.say(json!({"do": "begin", "claim": "first"})).await;
    assert!(begun.get("token").is_some());
    assert_eq!(world.say(json!({"do": "begin", "claim": "first"})).await, begun);
    for other in [json!({"do": "begin", "claim": "second"}), json!({"do": "begin"})] {
        let answer = world.say(other).await;
        assert_eq!((&answer["gone"], answer.get("token")), (&json!(true), None), "{answer}");
    }
    // What the loser says afterwards touches nothing of the winner's.
    for mut call in [bind(1), give_back(1), json!({"do": "renew"}), end("failed")] {
        call["claim"] = "second".into();
        assert_eq!(world.say(call.clone()).await["gone"], true, "{call}");
    }
    assert_eq!(world.launch().await.state, LaunchState::Polling);
}

#[tokio::test]
async fn without_the_nonce_nothing_is_told_and_nothing_changes() {
    let world = World::bound(true).await;
    let before = world.ledger.items();
    let reads = world.parameters.reads();
    for call in [json!({"do": "begin"}), bind(2), give_back(1), json!({"do": "renew"}), end("failed")] {
        let mut wrong = call.clone();
        wrong["nonce"] = "another".into();
        let answer = world.say(wrong).await;
        let mut unknown = call.clone();
        unknown["launch"] = "l-9".into();
        unknown["nonce"] = NONCE.into();
        let no_launch = serde_json::to_value(world.ask(unknown).await.unwrap()).unwrap();
        assert_eq!(answer, no_launch, "a wrong nonce and an unknown launch look the same");
        assert_eq!(answer["gone"], true);
    }
    assert_eq!((world.ledger.items(), world.parameters.reads()), (before, reads));
}

#[tokio::test]
async fn a_launch_of_an_instance_is_not_there_for_those_with_a_nonce() {
    let world = World::with(Engine::Ec2).await;
    assert_eq!(world.say(json!({"do": "begin"})).await["gone"], true);
    assert_eq!(world.parameters.reads(), 0);
}

#[tokio::test]
async fn a_bind_that_the_rules_refuse_is_refused_with_the_reason() {
    let world = World::new().await;
    assert!(is_refused(&world.say(bind(1)).await, "Charged"), "nobody began");
    world.say(json!({"do": "begin"})).await;
    assert_eq!(world.say(bind(1)).await, ok());
    assert_eq!(world.say(bind(1)).await, ok(), "a bind whose answer was lost");
    assert!(is_refused(&world.say(bind(2)).await, "380/1"));
}

#[tokio::test]
async fn a_job_is_given_back_until_it_is_accepted() {
    let world = World::bound(false).await;
    assert!(is_refused(&world.say(give_back(2)).await, "380/1"), "another job is not this launch's to give");
    assert_eq!(world.say(give_back(1)).await, ok());
    assert_eq!(world.say(give_back(1)).await, ok());
    assert_eq!((world.launch().await.state, world.job(1).await.state), (LaunchState::Closed, JobState::Waiting));

    let accepted = World::bound(true).await;
    assert!(is_refused(&accepted.say(give_back(1)).await, "accepted"));
    assert_eq!(accepted.launch().await.state, LaunchState::Bound);
}

#[tokio::test]
async fn an_end_must_fit_what_happened() {
    let world = World::new().await;
    world.say(json!({"do": "begin"})).await;
    assert!(is_refused(&world.say(end("done")).await, "bind"));
    assert_eq!(world.say(end("no_job")).await, ok());
    let row = world.job(1).await;
    assert_eq!((row.state, row.fruitless), (JobState::Waiting, 1));
    assert!(row.reason.contains("GitLab had no job") && row.reason.contains("said so"), "{}", row.reason);

    let bound = World::bound(true).await;
    assert!(is_refused(&bound.say(end("no_job")).await, "380/1"));
    assert_eq!(bound.say(end("failed")).await, ok());
    assert_eq!(bound.launch().await.state, LaunchState::Closed);
    assert!(bound.job(1).await.due.next_check_at.is_some(), "the sweep looks what became of the job");
}

#[tokio::test]
async fn a_lane_without_a_token_ends_the_launch_by_the_parameters_name() {
    for token in [None, Some("GR1348941abcdefghij")] {
        let world = World::new().await;
        match token {
            Some(token) => world.token(token),
            None => world.parameters.delete(&World::token_name()),
        }
        let error = world.ask(json!({"do": "begin", "launch": "l-1", "nonce": NONCE})).await.unwrap_err();
        assert_eq!(error.name(), "Claim.NoToken");
        let row = world.job(1).await;
        assert_eq!((row.state, row.fruitless), (JobState::Waiting, 1));
        assert!(row.reason.contains("/RegistrationToken") && !row.reason.contains("GR1348941"), "{}", row.reason);
    }
}

#[tokio::test]
async fn a_begin_without_an_answer_may_be_made_again_under_its_claim() {
    let world = World::new().await;
    let begin = json!({"do": "begin", "claim": "c", "launch": "l-1", "nonce": NONCE});
    world.parameters.fail(true);
    assert_eq!(world.ask(begin.clone()).await.unwrap_err().name(), "Parameters.Unavailable");
    world.parameters.fail(false);
    world.ledger.fail(true);
    assert_eq!(world.ask(begin.clone()).await.unwrap_err().name(), "Ledger.Unavailable");
    world.ledger.fail(false);
    assert!(matches!(world.ask(begin).await.unwrap(), Answer::Begun { .. }));
}

#[tokio::test]
async fn a_request_that_is_none_is_named() {
    let error = World::new().await.ask(json!({"do": "dance"})).await.unwrap_err();
    assert_eq!(error.name(), "Claim.BadRequest");
    assert!(error.to_string().starts_with("do must be begin, bind"), "{error}");
}

#[tokio::test]
async fn a_function_has_urls_for_the_caches_that_it_named_at_the_bind() {
    let world = World::new().await;
    let ask = |key: &str| json!({"do": "cache", "what": "save", "key": key});
    world.say(json!({"do": "begin", "claim": "c"})).await;
    assert!(is_refused(&world.say(ask("k")).await, "no job"));
    let mut named = bind(1);
    named["caches"] = json!({"save": ["k"]});
    assert_eq!(world.say(named).await, ok());
    let answer = world.say(ask("k")).await;
    assert!(answer["url"].as_str().unwrap().starts_with("https://caches.s3.eu-west-1.amazonaws.com/project/380/k?"));
    assert!(is_refused(&world.say(ask("other")).await, "no such cache"));
    let mut anothers = ask("k");
    anothers["claim"] = "d".into();
    assert_eq!(world.say(anothers).await["gone"], true, "another delivery of the event");
    assert_eq!(world.say(end("done")).await, ok());
    assert!(is_refused(&world.say(ask("k")).await, "no job"));
}
