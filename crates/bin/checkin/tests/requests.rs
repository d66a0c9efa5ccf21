//! The requests of an instance, in the order in which it makes them and in every other, and those of strangers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runnerless_aws::fake::{FakeLedger, FakeParameters};
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::{CacheBucket, Credentials, Place};
use runnerless_aws_ec2::FakeFleet;
use runnerless_aws_ec2::fake::{Operation, Trouble};
use runnerless_checkin::{Http, Memory, Ports, Reply, Role, Settings, handle};
use runnerless_core::change::{Plan, RowKey, put};
use runnerless_core::fleet::{Instance, InstanceState};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{Start, charge, record};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use serde_json::{Value, json};

const T0: Timestamp = Timestamp(1_789_373_730_000);
const INSTANCE: &str = "i-0123456789abcdef0";
const LANE_TOKEN: &str = "glrt-t3_thelanestoken";
const ROLE: &str = "arn:aws:iam::123456789012:role/runnerless-InstanceRole-1";

fn key(job: u64) -> JobKey {
    JobKey { project: 380, job }
}

fn lane() -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Ec2, target: String::new(), run_untagged: true }
}

fn session(role: &str, name: &str) -> String {
    format!("arn:aws:sts::123456789012:assumed-role/{role}/{name}")
}

/// A pending job 1 with launch `l-1`, and its instance.
struct World {
    ledger: FakeLedger,
    parameters: FakeParameters,
    fleet: FakeFleet,
    settings: Settings,
    memory: Memory,
}

impl World {
    /// With the instance recorded, or not yet.
    async fn with(instance: Option<&str>, engine: Engine) -> Self {
        let (ledger, parameters, fleet) = (FakeLedger::default(), FakeParameters::default(), FakeFleet::default());
        let event = JobEvent {
            key: key(1),
            status: JobStatus::Pending,
            facts: JobFacts::default(),
            created_at: Some(T0),
            runner: None,
        };
        ledger.apply(&record(None, &event, T0).plan).await.unwrap();
        let start = Start {
            launch: LaunchId::new("l-1"),
            nonce_sha256: String::new(),
            system_id: "r_launch".into(),
            request: "{}".into(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        fleet.add(Instance {
            id: INSTANCE.to_owned(),
            state: InstanceState::Running,
            tags: [].into(),
            launched_at: T0,
            instance_type: "m7i.large".to_owned(),
            subnet: "subnet-1".to_owned(),
            spot: false,
            profile: None,
        });
        let settings = Settings {
            parameter_path: "/r".to_owned(),
            gitlab_url: "https://gitlab.example.com".to_owned(),
            image_policy: "fail".to_owned(),
            caches: Some(bucket()),
            role: Role::of_arn(ROLE),
        };
        let world = Self { ledger, parameters, fleet, settings, memory: Memory::default() };
        let plan = charge(&world.job(1).await, &Lane { engine, ..lane() }, start, "test", T0).unwrap();
        world.ledger.apply(&plan).await.unwrap();
        let launch = world.launch().await;
        let recorded = LaunchRow { instance_id: instance.map(str::to_owned), ..launch.clone() };
        world.ledger.apply(&Plan::because("test").with_some(put(Some(&launch), recorded))).await.unwrap();
        world.parameters.put(&Self::token_name(), LANE_TOKEN);
        world
    }

    async fn new() -> Self {
        Self::with(Some(INSTANCE), Engine::Ec2).await
    }

    fn token_name() -> String {
        format!("/r/runner/EC2/{}/RegistrationToken", lane().id())
    }

    async fn ask_at(&self, http: Value, now: Timestamp) -> (u16, Value) {
        let http: Http = serde_json::from_value(http).unwrap();
        let Self { ledger, parameters, fleet, settings, memory } = self;
        let ports = Ports { ledger, parameters, fleet, settings, memory };
        let reply = handle(&http, &ports, now).await.unwrap_or_else(|error| Reply::of_error(&error));
        (reply.status(), serde_json::from_str(&reply.body()).unwrap())
    }

    async fn claim_as(&self, caller: &str, body: Value) -> (u16, Value) {
        let http = json!({"routeKey": "POST /claim", "body": body.to_string(),
            "requestContext": {"authorizer": {"iam": {"userArn": caller}}}});
        self.ask_at(http, T0 + Millis::secs(1)).await
    }

    async fn claim(&self, claim: &str) -> (u16, Value) {
        let caller = session("runnerless-InstanceRole-1", INSTANCE);
        self.claim_as(&caller, json!({"do": "begin", "launch": "l-1", "claim": claim})).await
    }

    async fn say(&self, nonce: &str, mut word: Value) -> (u16, Value) {
        word["launch"] = "l-1".into();
        word["nonce"] = nonce.into();
        self.ask_at(json!({"routeKey": "POST /launch", "body": word.to_string()}), T0 + Millis::secs(2)).await
    }

    async fn job(&self, job: u64) -> JobRow {
        self.ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap().unwrap()
    }

    async fn launch(&self) -> LaunchRow {
        let id = LaunchId::new("l-1");
        self.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap().launch(&id).unwrap().unwrap()
    }

    /// A world whose launch began, and its nonce.
    async fn begun() -> (Self, String) {
        let world = Self::new().await;
        let (status, body) = world.claim("c").await;
        assert_eq!(status, 200, "{body}");
        let nonce = body["nonce"].as_str().unwrap().to_owned();
        (world, nonce)
    }
}

fn ok() -> (u16, Value) {
    (200, json!({"ok": true}))
}

fn bind(job: u64) -> Value {
    json!({"do": "bind", "job": {"project_id": 380, "job_id": job}, "job_token": "glcbt-1", "beat_ms": 10_000})
}

fn end(outcome: &str) -> Value {
    json!({"do": "end", "outcome": outcome, "reason": "said so"})
}

#[tokio::test]
async fn a_launch_from_its_begin_to_its_end() {
    let world = World::new().await;
    let (status, begun) = world.claim("c").await;
    assert_eq!(status, 200, "{begun}");
    assert_eq!((&begun["token"], &begun["system_id"]), (&json!(LANE_TOKEN), &json!("r_launch")));
    assert_eq!((&begun["gitlab_url"], &begun["image_policy"]), (&json!("https://gitlab.example.com"), &json!("fail")));
    assert_eq!(begun["wait_ms"], limits::WAIT.0);
    assert!(begun["left_ms"].as_i64().unwrap() > limits::WAIT.0);
    assert!(world.fleet.is_hidden(INSTANCE), "its metadata service is switched off");
    let nonce = begun["nonce"].as_str().unwrap();
    assert_eq!(world.launch().await.state, LaunchState::Polling);
    assert_eq!(world.say(nonce, bind(2)).await, ok(), "GitLab handed out another job");
    let launch = world.launch().await;
    assert_eq!((launch.bound_job, launch.beat_ms, launch.accepted), (Some(key(2)), Some(Millis::secs(10)), false));
    let seal = TokenSeal::new(LANE_TOKEN, &LaunchId::new("l-1")).unwrap();
    assert_eq!(seal.open(key(2), launch.job_token.as_ref().unwrap()).unwrap().as_str(), "glcbt-1");
    assert_eq!(world.say(nonce, json!({"do": "accepted"})).await, ok());
    assert!(world.launch().await.accepted);
    assert_eq!(world.say(nonce, json!({"do": "renew"})).await, ok());
    assert_eq!(world.say(nonce, end("done")).await, ok());
    assert_eq!(world.say(nonce, end("done")).await, ok(), "an end may be told twice");
    let launch = world.launch().await;
    assert_eq!((launch.state, launch.job_token), (LaunchState::Closing, None), "its instance is still there");
    assert_eq!(launch.end_reason.as_deref(), Some("job 380/2 is done: said so"));
    assert_eq!(world.job(1).await.state, JobState::Waiting, "its own job is free for another launch");
}

/// Each is made for every job on an instance, the renewal once a minute.
#[tokio::test]
async fn what_was_read_to_prove_a_request_is_not_read_again() {
    // By one process, or each word by another.
    for is_one in [true, false] {
        let mut world = World::new().await;
        let mut before = (world.ledger.calls(), world.parameters.reads());
        let mut took = |world: &mut World| {
            let now = (world.ledger.calls(), world.parameters.reads());
            let since = (now.0 - before.0, now.1 - before.1);
            before = now;
            if !is_one {
                world.memory = Memory::default();
            }
            since
        };
        let (_, begun) = world.claim("c").await;
        assert_eq!(took(&mut world), (2, 1), "begin: the launch, its token, and the write");
        let nonce = begun["nonce"].as_str().unwrap();
        assert_eq!(world.say(nonce, bind(1)).await, ok());
        assert_eq!(took(&mut world), (2, u32::from(!is_one)), "bind: both rows, and the write");
        assert_eq!(world.say(nonce, json!({"do": "accepted"})).await, ok());
        assert_eq!(
            took(&mut world),
            (2 - u64::from(is_one), 0),
            "the acceptance: the launch as it was bound, and the write"
        );
        assert_eq!(world.say(nonce, json!({"do": "renew"})).await, ok());
        assert_eq!(took(&mut world), (2 - u64::from(is_one), 0), "a sign of life: the launch, and the write");
        let mut end = end("done");
        end["job"] = bind(1)["job"].clone();
        assert_eq!(world.say(nonce, end).await, ok());
        assert_eq!(took(&mut world), (2 - u64::from(is_one), 0), "end: both rows, and the write");
        assert!(world.launch().await.accepted);
        let bound = T0 + Millis::secs(2);
        assert_eq!(world.job(1).await.due.next_check_at, Some(bound + limits::HEARTBEAT_LEASE), "as it was bound");
    }
}

/// It spares a read and decides nothing.
#[tokio::test]
async fn the_job_that_an_end_names_counts_for_nothing() {
    let (world, nonce) = World::begun().await;
    assert_eq!(world.say(&nonce, bind(2)).await, ok());
    let mut end = end("done");
    end["job"] = bind(1)["job"].clone();
    let before = world.job(1).await;
    assert_eq!(world.say(&nonce, end).await, ok());
    assert_eq!(world.launch().await.end_reason.as_deref(), Some("job 380/2 is done: said so"));
    assert_eq!(world.job(1).await, before);
    assert_eq!(world.job(2).await.launch, Some(LaunchId::new("l-1")));
}

/// What a process remembers of a launch is no proof of anything, and nothing to refuse or to answer by.
#[tokio::test]
async fn what_is_remembered_is_only_where_a_write_starts() {
    let (world, nonce) = World::begun().await;
    assert_eq!(world.say(&nonce, bind(1)).await, ok());
    let stranger = world.say("not-its-nonce", json!({"do": "accepted"})).await;
    assert_eq!(stranger.0, 410, "{stranger:?}");
    assert!(!world.launch().await.accepted);
    let (world, nonce) = World::begun().await;
    assert_eq!(world.say(&nonce, bind(1)).await, ok());
    // The sweep writes it off before the acceptance is said.
    let launch = world.launch().await;
    let gone = LaunchRow { state: LaunchState::Closing, ..launch.clone() };
    world.ledger.apply(&Plan::because("test").with_some(put(Some(&launch), gone))).await.unwrap();
    let (status, answer) = world.say(&nonce, json!({"do": "accepted"})).await;
    assert_eq!((status, &answer["ok"]), (409, &json!(false)));
    assert!(!world.launch().await.accepted);
}

/// Somebody else may write a row between the proof and the move.
#[tokio::test]
async fn a_row_that_changed_after_its_proof_is_read_again() {
    let world = World::new().await;
    world.ledger.conflict(1);
    let (status, begun) = world.claim("c").await;
    assert_eq!(status, 200, "{begun}");
    let nonce = begun["nonce"].as_str().unwrap();
    assert_eq!(world.say(nonce, bind(1)).await, ok());
    for word in [json!({"do": "accepted"}), end("done")] {
        world.ledger.conflict(1);
        assert_eq!(world.say(nonce, word).await, ok());
    }
    assert_eq!(world.launch().await.state, LaunchState::Closing, "its instance is still there");
}

#[tokio::test]
async fn who_is_no_instance_of_this_stack_learns_and_changes_nothing() {
    let world = World::new().await;
    let before = world.ledger.items();
    let body = json!({"do": "begin", "launch": "l-1", "claim": "c"});
    for caller in [
        String::new(),
        session("another-role", INSTANCE),
        session("runnerless-InstanceRole-1", "somebody"),
        "arn:aws:iam::123456789012:user/admin".to_owned(),
    ] {
        let (status, answer) = world.claim_as(&caller, body.clone()).await;
        assert_eq!((status, answer.get("token")), (403, None), "{caller}");
    }
    // An instance of this stack, for another's launch: as if there were none.
    let stranger = session("runnerless-InstanceRole-1", "i-0fedcba9876543210");
    let answer = world.claim_as(&stranger, body).await;
    let none = world.claim_as(&stranger, json!({"do": "begin", "launch": "l-9", "claim": "c"})).await;
    assert_eq!((answer.0, &answer), (410, &none));
    assert_eq!((world.ledger.items(), world.parameters.reads()), (before, 0));
    assert!(!world.fleet.is_hidden(INSTANCE));
    // A stack that launches no instances has no role.
    let none = World { settings: Settings { role: None, ..world.settings.clone() }, ..world };
    assert_eq!(none.claim("c").await.0, 403);
}

#[tokio::test]
async fn what_the_body_says_of_the_caller_counts_for_nothing() {
    let world = World::new().await;
    let body = json!({"do": "begin", "launch": "l-1", "claim": "c", "instance": INSTANCE, "instance_id": INSTANCE,
        "requestContext": {"authorizer": {"iam": {"userArn": session("runnerless-InstanceRole-1", INSTANCE)}}}});
    let stranger = session("runnerless-InstanceRole-1", "i-0fedcba9876543210");
    assert_eq!(world.claim_as(&stranger, body.clone()).await.0, 410);
    // The other route asks nobody who he is, and begins nothing.
    assert_eq!(world.say("n", body).await.0, 400);
    assert_eq!(world.launch().await.state, LaunchState::Charged);
}

#[tokio::test]
async fn an_instance_that_is_not_recorded_yet_is_told_to_come_again() {
    let world = World::with(None, Engine::Ec2).await;
    let (status, answer) = world.claim("c").await;
    assert_eq!((status, &answer["again"]), (409, &json!(true)));
    assert_eq!((world.parameters.reads(), world.fleet.is_hidden(INSTANCE)), (0, false));
}

#[tokio::test]
async fn a_function_s_launch_is_not_there_for_an_instance() {
    let world = World::with(Some(INSTANCE), Engine::Lambda).await;
    assert_eq!(world.claim("c").await.0, 410);
}

#[tokio::test]
async fn a_begin_whose_answer_was_lost_is_answered_alike_and_another_process_is_not() {
    let (world, nonce) = World::begun().await;
    let (status, again) = world.claim("c").await;
    assert_eq!((status, again["nonce"].as_str()), (200, Some(nonce.as_str())));
    let (status, other) = world.claim("another").await;
    assert_eq!((status, other.get("token"), &other["gone"]), (410, None, &json!(true)));
    assert_eq!(world.say(&nonce, bind(1)).await, ok(), "the first one's nonce is still good");
}

#[tokio::test]
async fn a_begin_that_is_repeated_too_late_ends_its_launch_at_no_attempt_s_cost() {
    let (world, _) = World::begun().await;
    let body = json!({"do": "begin", "launch": "l-1", "claim": "c"}).to_string();
    let iam = json!({"iam": {"userArn": session("runnerless-InstanceRole-1", INSTANCE)}});
    let http = json!({"routeKey": "POST /claim", "body": body, "requestContext": {"authorizer": iam}});
    let (status, answer) = world.ask_at(http, T0 + Millis::secs(1) + limits::WAIT).await;
    assert_eq!((status, &answer["gone"]), (410, &json!(true)));
    assert_eq!(world.launch().await.state, LaunchState::Closing, "its instance is still there");
    assert_eq!((world.job(1).await.state, world.job(1).await.fruitless), (JobState::Waiting, 0));
}

#[tokio::test]
async fn nothing_begins_while_the_metadata_service_cannot_be_switched_off() {
    for (trouble, status) in [(Trouble::Throttled, 503), (Trouble::NoAnswer, 503), (Trouble::Refused, 500)] {
        let world = World::new().await;
        world.fleet.trouble(Operation::ModifyInstanceMetadataOptions, trouble);
        let (answered, body) = world.claim("c").await;
        assert_eq!((answered, body.get("token"), body["again"] == true), (status, None, status == 503), "{trouble:?}");
        assert_eq!(world.launch().await.state, LaunchState::Charged);
        assert_eq!(world.claim("c").await.0, 200, "the next call does it");
    }
}

#[tokio::test]
async fn a_lane_without_a_token_ends_the_launch_by_the_parameters_name() {
    for token in [None, Some("GR1348941abcdefghij")] {
        let world = World::new().await;
        match token {
            Some(token) => world.parameters.put(&World::token_name(), token),
            None => world.parameters.delete(&World::token_name()),
        }
        let (status, answer) = world.claim("c").await;
        assert_eq!(status, 500);
        assert!(answer["error"].as_str().unwrap().contains("/RegistrationToken"), "{answer}");
        assert!(!answer.to_string().contains("GR1348941"), "{answer}");
        assert_eq!((world.job(1).await.state, world.job(1).await.fruitless), (JobState::Waiting, 1));
        assert_eq!(world.claim("c").await.0, 410, "the launch is over");
    }
}

#[tokio::test]
async fn without_the_nonce_nothing_is_told_and_nothing_changes() {
    let (world, nonce) = World::begun().await;
    world.say(&nonce, bind(1)).await;
    let (before, reads) = (world.ledger.items(), world.parameters.reads());
    for word in [
        bind(1),
        json!({"do": "give_back", "job": {"project_id": 380, "job_id": 1}}),
        json!({"do": "renew"}),
        end("failed"),
    ] {
        let wrong = world.say("another", word.clone()).await;
        let mut unknown = word;
        unknown["launch"] = "l-9".into();
        unknown["nonce"] = nonce.clone().into();
        let http = json!({"routeKey": "POST /launch", "body": unknown.to_string()});
        let none = world.ask_at(http, T0 + Millis::secs(2)).await;
        assert_eq!((wrong.0, &wrong), (410, &none), "a wrong nonce and an unknown launch look the same");
    }
    assert_eq!((world.ledger.items(), world.parameters.reads()), (before, reads));
}

#[tokio::test]
async fn a_launch_that_has_not_begun_hears_nobody() {
    // The hash of an empty nonce's row must open nothing, nor the nonce of an event.
    let world = World::new().await;
    for nonce in ["n", "00"] {
        assert_eq!(world.say(nonce, bind(1)).await.0, 410);
    }
    let of_function = World::with(None, Engine::Lambda).await;
    assert_eq!(of_function.say("n", bind(1)).await.0, 410);
}

#[tokio::test]
async fn the_rules_refuse_with_409_and_their_reason() {
    let (world, nonce) = World::begun().await;
    assert_eq!(world.say(&nonce, end("done")).await.0, 409, "no job is bound");
    assert_eq!(world.say(&nonce, bind(1)).await, ok());
    let (status, answer) = world.say(&nonce, bind(2)).await;
    assert_eq!((status, answer["refused"].as_str().unwrap().contains("380/1")), (409, true));
    assert_eq!(world.say(&nonce, end("no_job")).await.0, 409);
    assert_eq!(world.say(&nonce, end("untold")).await, ok());
    assert_eq!(world.launch().await.state, LaunchState::Closing, "GitLab is to be told");
}

#[tokio::test]
async fn a_job_that_is_given_back_waits_again() {
    let (world, nonce) = World::begun().await;
    world.say(&nonce, bind(1)).await;
    let back = json!({"do": "give_back", "job": {"project_id": 380, "job_id": 1}});
    assert_eq!(world.say(&nonce, back.clone()).await, ok());
    assert_eq!(world.say(&nonce, back).await, ok());
    assert_eq!((world.launch().await.state, world.job(1).await.state), (LaunchState::Closing, JobState::Waiting));
}

#[tokio::test]
async fn a_job_is_bound_once_its_token_is_kept_and_also_where_it_never_can_be() {
    let (mut world, nonce) = World::begun().await;
    world.memory = Memory::default();
    world.parameters.fail(true);
    let (status, answer) = world.say(&nonce, bind(1)).await;
    assert_eq!((status, &answer["again"]), (503, &json!(true)), "it is said again within the runner's thirty seconds");
    assert_eq!(world.launch().await.state, LaunchState::Polling);
    world.parameters.fail(false);
    assert_eq!(world.say(&nonce, bind(1)).await, ok());
    assert!(world.launch().await.job_token.is_some());
    // A lane's token that was deleted meanwhile keeps nobody from running the job.
    let (mut world, nonce) = World::begun().await;
    world.memory = Memory::default();
    world.parameters.delete(&World::token_name());
    assert_eq!(world.say(&nonce, bind(1)).await, ok());
    let launch = world.launch().await;
    assert_eq!((launch.state, launch.job_token), (LaunchState::Bound, None));
}

#[tokio::test]
async fn a_ledger_out_of_reach_is_told_as_such() {
    let (world, nonce) = World::begun().await;
    world.ledger.fail(true);
    for (status, answer) in [world.claim("c").await, world.say(&nonce, json!({"do": "renew"})).await] {
        assert_eq!((status, &answer["again"]), (503, &json!(true)));
    }
}

#[tokio::test]
async fn hostile_requests_get_their_status_and_change_nothing() {
    let (world, nonce) = World::begun().await;
    let before = world.ledger.items();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let long = json!({"do": "bind", "launch": "l-1", "nonce": nonce, "x": "y".repeat(70_000)}).to_string();
    for (route, body, status) in [
        (json!("POST /launch"), json!(""), 400),
        (json!("POST /launch"), json!(null), 400),
        (json!("POST /launch"), json!("{"), 400),
        (json!("POST /launch"), json!("[]"), 400),
        (json!("POST /launch"), json!("null"), 400),
        (json!("POST /launch"), json!(deep), 400),
        (json!("POST /launch"), json!("{\"do\":\"bind\",\"do\":\"end\"}"), 400),
        (json!("POST /launch"), json!("{\"do\":\"renew\",\"launch\":{\"$ne\":1},\"nonce\":true}"), 400),
        (json!("POST /launch"), json!("\u{0}\u{1}"), 400),
        (json!("POST /launch"), json!(long), 413),
        (json!("GET /launch"), json!("{}"), 404),
        (json!("$default"), json!("{}"), 404),
        (json!(null), json!("{}"), 404),
    ] {
        let got = world.ask_at(json!({"routeKey": route, "body": body}), T0 + Millis::secs(2)).await;
        assert_eq!(got.0, status, "{route} {}", got.1);
        assert!(got.1["error"].as_str().is_some_and(|why| !why.contains(&nonce)), "{}", got.1);
    }
    assert_eq!(world.ledger.items(), before);
}

#[test]
fn the_recorded_events_are_read() {
    for text in [
        include_str!("../../../../events/checkin/claim.json"),
        include_str!("../../../../events/checkin/bind.json"),
        include_str!("../../../../events/checkin/cache.json"),
    ] {
        let http: Http = serde_json::from_str(text).unwrap();
        assert!(!format!("{http:?}").contains("nonce"), "a request does not show its body");
    }
}

/// A bucket whose URLs nobody needs to verify: that they are right is shown where they are signed.
fn bucket() -> CacheBucket {
    let credentials = Credentials { key_id: "AKID".to_owned(), secret: "s".to_owned().into(), session: None };
    CacheBucket::new("caches", &Place::new("eu-west-1", None), &credentials)
}

#[tokio::test]
async fn a_job_has_urls_for_the_caches_that_it_named_at_the_bind_and_for_no_others() {
    let (world, nonce) = World::begun().await;
    let ask = |what: &str, key: &str| json!({"do": "cache", "what": what, "key": key});
    let (status, early) = world.say(&nonce, ask("restore", "k")).await;
    assert_eq!((status, &early["ok"]), (409, &json!(false)), "{early}");
    let mut bind = bind(1);
    bind["caches"] = json!({"restore": ["k-protected", "old"], "save": ["k-protected"]});
    assert_eq!(world.say(&nonce, bind).await.0, 200);
    for (what, key, method) in
        [("restore", "k-protected", "GET"), ("restore", "old", "GET"), ("save", "k-protected", "PUT")]
    {
        let (status, answer) = world.say(&nonce, ask(what, key)).await;
        let url = answer["url"].as_str().unwrap();
        let object = format!("https://caches.s3.eu-west-1.amazonaws.com/project/380/{key}?");
        assert!(status == 200 && url.starts_with(&object) && url.contains("X-Amz-Expires=1800"), "{method}: {answer}");
    }
    for (what, key) in [("save", "old"), ("restore", "other-protected"), ("save", "k-non_protected")] {
        let (status, answer) = world.say(&nonce, ask(what, key)).await;
        assert_eq!((status, answer.get("url")), (409, None), "{answer}");
        assert!(answer["refused"].as_str().unwrap().contains("named no such cache"), "{answer}");
    }
    let (status, answer) = world.say(&nonce, ask("save", "../381/k")).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("key"), "{answer}");
    assert_eq!(world.say("another", ask("restore", "k-protected")).await.0, 410);
    let none = World { settings: Settings { caches: None, ..world.settings.clone() }, ..world };
    assert_eq!(none.say(&nonce, ask("restore", "old")).await, (200, json!({"ok": true, "url": null})));
    assert_eq!(none.say(&nonce, json!({"do": "end", "outcome": "done", "reason": ""})).await.0, 200);
    assert!(none.launch().await.caches.is_empty());
    assert_eq!(none.say(&nonce, ask("restore", "old")).await.0, 409, "its job is over");
}
