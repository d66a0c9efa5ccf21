//! The template's shape: what each function has, what protects each edge, and the numbers that the promises rest on.

use std::collections::BTreeSet;

use runnerless_core::limits;
use runnerless_core::pool::{DRAIN_LIMIT, HEARTBEATS, Settings};
use runnerless_tidy::source::of_crate;
use runnerless_tidy::template::{FILE, POOL, Template, each, mappings, references, text};
use runnerless_tidy::{manifest, read, root};
use serde_json::Value;

/// A file that one person reads: seven hundred lines, two hundred and fifty for what instances need, twenty for their runners
/// at GitLab: who may make, keep and delete them, and whether they are the official one, a hundred for networks and for
/// what linters are told, and thirty for the jobs' caches.
const MOST_LINES: usize = 1140;
/// The routes that the API lets everybody through to: their function proves the body.
const PROVED_BY_THE_BODY: [&str; 1] = ["POST /launch"];
/// GitLab gives up on a webhook after this, in seconds.
const HOOK_LIMIT: u64 = 10;

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap_or_else(|_| panic!("{value} is no number"))
}

fn seconds(length: runnerless_core::time::Millis) -> u64 {
    length.0.unsigned_abs() / 1000
}

/// The text between two marks in a source.
fn between<'a>(source: &'a str, before: &str, after: &str) -> Option<&'a str> {
    source.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

#[test]
fn it_can_be_read_in_one_sitting() {
    for path in [FILE, POOL] {
        let lines = read(path).lines().count();
        assert!(lines < MOST_LINES, "{path} has {lines} lines");
    }
}

#[test]
fn every_function_has_its_crate_and_its_binary() {
    let crates = manifest::all();
    for function in Template::both().iter().flat_map(Template::functions) {
        let folder = format!("crates/bin/{}", function.part);
        let code = text(&function.properties["CodeUri"]).trim_start_matches("../").trim_end_matches('/');
        assert_eq!(code, folder, "{}", function.id);
        let manifest = crates.iter().find(|manifest| manifest.folder == folder);
        let manifest = manifest.unwrap_or_else(|| panic!("{}: there is no crate {folder}", function.id));
        assert!(manifest.binaries().contains(&function.part), "{folder}/Cargo.toml has no [[bin]] {}", function.part);
    }
}

#[test]
fn every_function_has_a_log_group_of_its_own_that_forgets() {
    for template in Template::both() {
        let mut groups = BTreeSet::new();
        for function in template.functions() {
            let group = text(&function.properties["LoggingConfig"]["LogGroup"]["!Ref"]).to_owned();
            let found = template.resources("AWS::Logs::LogGroup").find(|(id, _)| *id == group);
            let (_, properties) = found.unwrap_or_else(|| panic!("{} has no log group", function.id));
            assert!(number(&properties["RetentionInDays"]) > 0, "{group} keeps its lines for ever");
            assert!(groups.insert(group), "{} shares its log group", function.id);
        }
    }
}

#[test]
fn every_function_has_events_to_try_it_with() {
    for function in Template::both().iter().flat_map(Template::functions) {
        let folder = format!("events/{}", function.part);
        let events = runnerless_tidy::files(&folder, ".json");
        assert!(!events.is_empty(), "{folder} is empty");
        for path in events {
            serde_json::from_str::<Value>(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

#[test]
fn everything_carries_the_stacks_tag() {
    let template = Template::load();
    let tag = &template.value["Globals"]["Function"]["Tags"]["runnerless:stack"];
    assert_eq!(tag["!Ref"], "AWS::StackName", "Globals lack the tag runnerless:stack");
    for kind in ["AWS::DynamoDB::Table", "AWS::SQS::Queue"] {
        for (id, properties) in template.resources(kind) {
            let tagged = each(&properties["Tags"]).iter().any(|tag| tag["Key"] == "runnerless:stack");
            assert!(tagged, "{id} lacks the tag runnerless:stack");
        }
    }
}

/// The functions that are started without anybody who waits for the answer: targets of rules, places for failures, and
/// the executor, which the router starts so.
fn started_asynchronously(template: &Template) -> BTreeSet<String> {
    let functions = template.functions();
    let targets = template.resources("AWS::Events::Rule").flat_map(|(_, rule)| references(&rule["Targets"]));
    let places = functions.iter().flat_map(|function| references(&function.properties["EventInvokeConfig"]));
    let all: BTreeSet<String> = targets.chain(places).chain(["ExecutorFunction".to_owned()]).collect();
    functions.into_iter().map(|function| function.id).filter(|id| all.contains(id)).collect()
}

#[test]
fn no_asynchronous_edge_loses_what_failed() {
    for template in Template::both() {
        let asynchronous = started_asynchronously(&template);
        for function in template.functions() {
            let config = &function.properties["EventInvokeConfig"];
            if asynchronous.contains(&function.id) {
                let place = &config["DestinationConfig"]["OnFailure"]["Destination"];
                assert!(
                    !references(place).is_empty(),
                    "{} is started asynchronously and has no OnFailure",
                    function.id
                );
                assert!(config["MaximumRetryAttempts"].is_string(), "{}: AWS's own retries are two", function.id);
            } else {
                assert!(config.is_null(), "{} has an EventInvokeConfig and nobody starts it so", function.id);
            }
        }
        for (id, rule) in template.resources("AWS::Events::Rule") {
            for target in each(&rule["Targets"]) {
                assert!(!target["DeadLetterConfig"].is_null(), "{id}: target {} has no DeadLetterConfig", target["Id"]);
                assert!(!target["RetryPolicy"].is_null(), "{id}: AWS's own retries last a day; write a RetryPolicy");
            }
        }
    }
}

#[test]
fn every_rule_may_write_to_the_dead_letters() {
    for template in Template::both() {
        let (_, policy) = template.resources("AWS::SQS::QueuePolicy").next().expect("a queue policy");
        let allowed = references(policy);
        for (id, _) in template.resources("AWS::Events::Rule") {
            assert!(allowed.contains(id), "the queue's policy does not name {id}: its dead letters would be lost");
        }
    }
}

#[test]
fn no_right_has_a_wildcard_action_and_every_wildcard_resource_is_explained() {
    for template in Template::both() {
        let mut statements = 0;
        for statement in mappings(&template.value).into_iter().filter(|map| !map["Effect"].is_null()) {
            statements += 1;
            for action in each(&statement["Action"]) {
                assert!(!text(action).contains('*'), "action {action} has a wildcard");
            }
            assert!(
                statement["NotAction"].is_null() && statement["NotResource"].is_null(),
                "{statement}: name what is allowed"
            );
        }
        assert!(statements > 5, "only {statements} statements were found");
        let lines: Vec<&str> = template.text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let any =
                line.contains("Resource: '*'") || line.contains("Resource: \"*\"") || line.ends_with("function:*");
            let explained = at > 0 && lines[at - 1].starts_with('#');
            assert!(!any || explained, "{}:{}: say in a comment above why it is any resource", template.path, at + 1);
        }
    }
}

#[test]
fn the_front_door_asks_for_every_request_and_answers_in_time() {
    let template = Template::load();
    for (id, authorizer) in template.resources("AWS::ApiGatewayV2::Authorizer") {
        assert_eq!(authorizer["AuthorizerResultTtlInSeconds"], "0", "{id}: the default caches one yes for everybody");
        let sources = each(&authorizer["IdentitySource"]);
        assert_eq!(sources, ["$request.header.X-Gitlab-Event"], "{id}");
    }
    for (id, route) in template.resources("AWS::ApiGatewayV2::Route") {
        let proved = PROVED_BY_THE_BODY.contains(&text(&route["RouteKey"]));
        let asked = matches!(text(&route["AuthorizationType"]), "CUSTOM" | "AWS_IAM");
        assert!(proved || asked, "{id} is open to everybody");
    }
    let of_ingest =
        |(_, integration): &(&str, &Value)| references(&integration["IntegrationUri"]).contains("IngestFunction");
    let (_, integration) =
        template.resources("AWS::ApiGatewayV2::Integration").find(of_ingest).expect("an integration of ingest");
    let ingest = number(&template.function("ingest").properties["Timeout"]);
    let waits = number(&integration["TimeoutInMillis"]) / 1000;
    assert!(ingest <= waits && waits < HOOK_LIMIT, "ingest {ingest} s, API {waits} s, GitLab {HOOK_LIMIT} s");
}

/// What calls a function from outside, by the property that names it.
const CALLERS: [(&str, &str, &str); 3] = [
    ("AWS::ApiGatewayV2::Integration", "IntegrationUri", "apigateway.amazonaws.com"),
    ("AWS::ApiGatewayV2::Authorizer", "AuthorizerUri", "apigateway.amazonaws.com"),
    ("AWS::Events::Rule", "Targets", "events.amazonaws.com"),
];

#[test]
fn every_caller_of_a_function_has_its_permission_and_no_other_has_one() {
    for template in Template::both() {
        let functions: BTreeSet<String> = template.functions().into_iter().map(|function| function.id).collect();
        let mut called = BTreeSet::new();
        for (kind, property, principal) in CALLERS {
            for (_, caller) in template.resources(kind) {
                let names = references(&caller[property]).into_iter().filter(|name| functions.contains(name));
                called.extend(names.map(|name| (name, principal.to_owned())));
            }
        }
        let mut permitted = BTreeSet::new();
        for (id, permission) in template.resources("AWS::Lambda::Permission") {
            assert!(
                !permission["SourceArn"].is_null(),
                "{id}: any caller of that service could use it; write a SourceArn"
            );
            let function = text(&permission["FunctionName"]["!Ref"]).to_owned();
            permitted.insert((function, text(&permission["Principal"]).to_owned()));
        }
        assert_eq!(permitted, called, "permissions and callers differ");
    }
}

#[test]
fn the_executors_times_are_those_of_the_promises() {
    let executor = Template::load().function("executor").properties;
    let config = &executor["EventInvokeConfig"];
    assert_eq!(number(&config["MaximumEventAgeInSeconds"]), seconds(limits::EVENT_AGE), "limits::EVENT_AGE");
    assert_eq!(number(&config["MaximumRetryAttempts"]), 0, "a job never runs twice");
    let timeout = number(&executor["Timeout"]);
    assert_eq!(timeout, 900, "Lambda's longest");
    let deadline = seconds(limits::LAMBDA_DEADLINE);
    assert!(deadline >= seconds(limits::EVENT_AGE) + timeout, "limits::LAMBDA_DEADLINE ends before a late invocation");
}

#[test]
fn the_tables_are_those_that_the_code_writes() {
    let template = Template::load();
    let (_, ledger) =
        template.resources("AWS::DynamoDB::Table").find(|(id, _)| *id == "LedgerTable").expect("LedgerTable");
    assert_eq!(ledger["TimeToLiveSpecification"]["AttributeName"], "expires_at");
    let indexes = each(&ledger["GlobalSecondaryIndexes"]);
    assert_eq!(indexes.len(), 1);
    assert_eq!(indexes[0]["IndexName"], "due");
    let keys: Vec<&Value> = each(&indexes[0]["KeySchema"]).into_iter().map(|key| &key["AttributeName"]).collect();
    assert_eq!(keys, ["open", "next_check_at"]);
    let core = of_crate("crates/lib/core");
    for field in ["pub expires_at: ", "pub open: ", "pub next_check_at: "] {
        assert!(core.contains(field), "no row of core has `{field}`");
    }
    let (_, mapping) =
        template.resources("AWS::DynamoDB::Table").find(|(id, _)| *id == "MappingTable").expect("MappingTable");
    assert_eq!(mapping["DeletionProtectionEnabled"], "true", "the mapping is the users' data");
    assert_eq!(template.value["Resources"]["MappingTable"]["DeletionPolicy"], "Retain");
}

#[test]
fn the_rules_match_what_is_announced() {
    let ports = read("crates/lib/aws/src/ports.rs");
    let source = between(&ports, "SOURCE: &'static str = \"", "\"").expect("Announcement::SOURCE");
    let kinds = between(&ports, "fn detail_type", "\n    }\n").expect("Announcement::detail_type");
    let announced: BTreeSet<&str> = kinds.split('"').skip(1).step_by(2).collect();
    let terminator = read("crates/bin/terminator/src/event.rs");
    let warning = between(&terminator, "INTERRUPTION: &str = \"", "\"").expect("INTERRUPTION");
    let template = Template::load();
    let mut matched = BTreeSet::new();
    for (id, rule) in template.resources("AWS::Events::Rule").filter(|(_, rule)| !rule["EventPattern"].is_null()) {
        let pattern = &rule["EventPattern"];
        // What AWS itself announces comes on the account's default bus.
        if rule["EventBusName"].is_null() {
            assert_eq!(each(&pattern["source"]), ["aws.ec2"], "{id}");
            assert_eq!(each(&pattern["detail-type"]), [warning], "{id}");
            continue;
        }
        assert_eq!(each(&pattern["source"]), [source], "{id}");
        matched.extend(each(&pattern["detail-type"]).into_iter().map(text));
    }
    assert_eq!(matched, announced, "rules and Announcement::detail_type differ");
}

#[test]
fn an_instances_user_data_is_what_the_documents_say_and_leads_to_the_claim_url() {
    let template = Template::load();
    let (_, launch) = template.resources("AWS::EC2::LaunchTemplate").next().expect("a launch template");
    let data = text(&launch["LaunchTemplateData"]["UserData"]["Fn::Base64"]["!Sub"]);
    let url = text(&template.value["Outputs"]["ClaimUrl"]["Value"]["!Sub"]);
    assert!(url.ends_with("/claim") && data.contains(&format!("--claim-url {url} ")), "{data}");
    let told = read("docs/instances.md");
    for line in data.replace(url, "CLAIM_URL").lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(told.contains(line), "docs/instances.md lacks this line of the user data: {line}");
    }
    let last = data.lines().map(str::trim).rfind(|line| !line.is_empty());
    assert!(last.is_some_and(|line| line.starts_with("poweroff")), "an instance powers off however its runner ends");
}

#[test]
fn a_member_is_what_the_code_and_the_documents_say() {
    let pool = Template::at(POOL);
    let (_, launch) = pool.resources("AWS::EC2::LaunchTemplate").next().expect("a launch template");
    let data = text(&launch["LaunchTemplateData"]["UserData"]["Fn::Base64"]["!Sub"]);
    let (_, hook) = pool.resources("AWS::AutoScaling::LifecycleHook").next().expect("a hook");
    let (name, heartbeat) = (text(&hook["LifecycleHookName"]), number(&hook["HeartbeatTimeout"]));
    assert_eq!(hook["LifecycleTransition"], "autoscaling:EC2_INSTANCE_TERMINATING");
    assert!(data.contains(&format!("--hook {name} --heartbeat-s {heartbeat} ")), "{data}");
    // What AWS lets a member wait at most is what the decisions want for the longest job.
    let waits = heartbeat * u64::try_from(HEARTBEATS).expect("a count");
    let scaler = pool.functions().remove(0);
    let longest = number(&scaler.properties["Environment"]["Variables"]["RUNNERLESS_LONGEST_JOB_MINUTES"]) * 60;
    assert!(waits >= seconds(DRAIN_LIMIT) && longest <= seconds(DRAIN_LIMIT), "{waits} s, {longest} s");
    let port = text(&scaler.properties["Environment"]["Variables"]["RUNNERLESS_METRICS_PORT"]);
    assert!(data.contains(&format!("listen_address = \":{port}\"")), "members tell their metrics on port {port}");
    let (_, group) = pool.resources("AWS::AutoScaling::AutoScalingGroup").next().expect("a group");
    assert_eq!(group["NewInstancesProtectedFromScaleIn"], "true", "the group itself chooses no member");
    for given in ["DesiredCapacity", "UpdatePolicy"] {
        assert!(group[given].is_null() && pool.value["Resources"]["Group"][given].is_null(), "{given} is the scaler's");
    }
    let metadata = &launch["LaunchTemplateData"]["MetadataOptions"];
    assert_eq!((&metadata["HttpTokens"], &metadata["HttpPutResponseHopLimit"]), (&"required".into(), &"1".into()));
    assert!(text(&scaler.properties["ReservedConcurrentExecutions"]) == "1", "one run at a time");
}

#[test]
fn a_pools_defaults_are_those_of_the_decisions() {
    let usual = Settings::default();
    let pool = Template::at(POOL);
    let default = |name: &str| text(&pool.value["Parameters"][name]["Default"]).to_owned();
    assert_eq!(default("Members"), format!("{},{}", usual.minimum, usual.maximum));
    for (name, value) in [
        ("SlotsPerMember", usual.slots_per_member),
        ("TargetUtilisation", usual.target_utilisation),
        ("HeadroomSlots", usual.headroom_slots),
    ] {
        assert_eq!(default(name), value.to_string(), "{name}");
    }
    let scaler = pool.functions().remove(0);
    for (name, value) in [
        ("GROW_STEP", usual.grow_step.into()),
        ("SHRINK_STEP", usual.shrink_step.into()),
        ("IDLE_RUNS", usual.idle_scrapes.into()),
        ("UNHEALTHY_RUNS", usual.unhealthy_after.into()),
        ("STABILISATION_MINUTES", seconds(usual.stabilisation) / 60),
        ("LONGEST_JOB_MINUTES", seconds(usual.longest_job) / 60),
        ("WARM_UP_SECONDS", seconds(usual.warm_up)),
    ] {
        let set = &scaler.properties["Environment"]["Variables"][format!("RUNNERLESS_{name}")];
        assert_eq!(number(set), value, "{name}");
    }
}

#[test]
fn every_output_that_others_rely_on_is_there() {
    let template = Template::load();
    let outputs: BTreeSet<&str> = template.section("Outputs").map(|(name, _)| name).collect();
    for function in template.functions() {
        let (first, rest) = function.part.split_at(1);
        let name = format!("{}{rest}FunctionName", first.to_uppercase());
        assert!(outputs.contains(name.as_str()), "output {name} is missing");
    }
    for name in [
        "WebhookUrl",
        "ClaimUrl",
        "MappingTableName",
        "LedgerTableName",
        "EventBusName",
        "ParameterPath",
        "StartRunnerArn",
        "StopRunnerArn",
        "DeadLetterQueueUrls",
    ] {
        assert!(outputs.contains(name), "output {name} is missing");
    }
    assert!(root().join("samconfig.toml").exists());
}
