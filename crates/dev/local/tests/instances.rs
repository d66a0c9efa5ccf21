//! Instances of the local stack as real processes: what a launch template promises, and that nothing is left. What user data
//! that means harm can do to the machine is among the cases of `make instances`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use runnerless_local::aws::{Aws, EC2, IAM, REGION};
use runnerless_local::http::{Answer, Http};
use runnerless_local::instances::confine::Confinement;
use runnerless_local::processes::{self, Process};
use runnerless_local::stack::{Options, Stack};
use runnerless_local::supervise::{Endpoints, Record};
use rustix::process::Signal;
use tokio::time::sleep;

/// Only a hang makes a test wait this long.
const LIMIT: Duration = Duration::from_secs(60);
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// A stack, and what makes instances in it.
struct Ground {
    stack: Stack,
    aws: Aws,
}

impl Ground {
    /// None where the machine allows no confinement; `docs/limits.md` lists that.
    async fn start(name: &str) -> Option<Self> {
        let options = Options::for_tests(name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let runner = options.program.with_file_name("runnerless-runner");
        if let Err(error) = Confinement::new(&runner, PATH, &folder.path().join("probe")).await {
            eprintln!("skipped: {error}");
            return None;
        }
        let stack = Stack::start(&options).await.unwrap();
        // As the functions do: through the witness.
        let aws = Aws::new(stack.endpoint());
        Some(Self { stack, aws })
    }

    async fn launch(&self, name: &str, user_data: &str) -> String {
        launch(&self.aws, name, user_data).await
    }

    fn log(&self, instance: &str) -> String {
        let path = self.stack.layout().log(&format!("instances/{instance}"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The log, once it holds this.
    async fn said(&self, instance: &str, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log(instance);
            if log.contains(words) {
                return log;
            }
            assert!(begun.elapsed() < LIMIT, "{instance} does not say {words:?} but {log:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ended(&self, instance: &str) {
        state(&self.aws, instance, "terminated").await;
    }
}

/// Makes a launch template with a profile and this user data, and a fleet of one instance of it.
async fn launch(aws: &Aws, name: &str, user_data: &str) -> String {
    let encoded = STANDARD.encode(user_data);
    let data = "LaunchTemplateData";
    let of = |key: &str| format!("{data}.{key}");
    let (user, profile, over) =
        (of("UserData"), of("IamInstanceProfile.Name"), of("InstanceInitiatedShutdownBehavior"));
    let tags = of("MetadataOptions.InstanceMetadataTags");
    let template = [
        ("LaunchTemplateName", name),
        (user.as_str(), encoded.as_str()),
        (profile.as_str(), "runner-profile"),
        (over.as_str(), "terminate"),
        (tags.as_str(), "enabled"),
    ];
    aws.query(EC2, "CreateLaunchTemplate", &template).await.unwrap();
    let answer = aws.query(EC2, "CreateFleet", &fleet(name, "t-1")).await.unwrap();
    instance_in(&answer)
}

fn fleet<'a>(template: &'a str, tag: &'a str) -> Vec<(&'static str, &'a str)> {
    let of = "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName";
    vec![
        ("Type", "instant"),
        ("ClientToken", template),
        (of, template),
        ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
        ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "runnerless:launch"),
        ("TagSpecification.1.Tag.1.Value", tag),
    ]
}

fn instance_in(answer: &str) -> String {
    let from = answer.find("<item>i-").unwrap_or_else(|| panic!("{answer}")) + "<item>".len();
    answer[from..].split('<').next().unwrap().to_owned()
}

async fn state(aws: &Aws, instance: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let answer = aws.query(EC2, "DescribeInstances", &[("InstanceId.1", instance)]).await.unwrap();
        if answer.contains(&format!("<name>{wanted}</name>")) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{instance} does not become {wanted}: {answer}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The processes of this machine with these words in their command lines.
fn running(words: &str) -> Vec<Process> {
    let has = |process: &Process| {
        let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
    };
    processes::table().into_iter().filter(|entry| !entry.zombie).map(|entry| entry.process).filter(has).collect()
}

async fn runs(words: &str) {
    let begun = Instant::now();
    while running(words).is_empty() {
        assert!(begun.elapsed() < LIMIT, "{words} does not run");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn gone(words: &str) {
    let begun = Instant::now();
    while !running(words).is_empty() {
        assert!(begun.elapsed() < LIMIT, "{words} still runs: {:?}", running(words));
        sleep(Duration::from_millis(20)).await;
    }
}

/// A number of seconds that nobody else sleeps.
fn nap(what: u32) -> String {
    format!("sleep 8{what}{}", 1_000_000 + std::process::id())
}

#[tokio::test]
async fn an_instance_knows_itself_and_its_role_until_its_metadata_is_switched_off_and_ends_by_power_off() {
    let Some(ground) = Ground::start("instances").await else { return };
    role(&ground.aws).await;
    let script = "#!/bin/sh\necho \"metadata $AWS_EC2_METADATA_SERVICE_ENDPOINT\"\nuntil [ -e /tmp/off ]; do sleep 0.05; \
                  curl -s -o /dev/null -w '%{http_code}' \"$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/user-data\" | grep -q 403 && touch /tmp/off; done\n\
                  runnerless-runner --help > /dev/null && echo 'the runner is there'\necho over\npoweroff\n";
    let instance = ground.launch("knows-itself", script).await;

    // Asked again with the same token, and with another request under that token.
    let again = ground.aws.query(EC2, "CreateFleet", &fleet("knows-itself", "t-1")).await.unwrap();
    assert_eq!(instance_in(&again), instance, "the same request is the same fleet");
    let other = ground.aws.query(EC2, "CreateFleet", &fleet("knows-itself", "t-2")).await.unwrap_err();
    assert!(format!("{other:?}").contains("IdempotentParameterMismatch"), "{other:?}");

    let log = ground.said(&instance, "metadata http://").await;
    let metadata = Metadata::of(&log);
    assert_eq!(metadata.get("meta-data/instance-id", "none").await, (401, String::new()));
    let token = metadata.token("21600").await.1;
    for (ttl, status) in [("0", 400), ("21601", 400), ("x", 400), ("60", 200)] {
        assert_eq!(metadata.token(ttl).await.0, status, "{ttl}");
    }
    let get = async |path: &str| metadata.get(path, &token).await;
    assert_eq!(get("meta-data/instance-id").await, (200, instance.clone()));
    assert_eq!(get("meta-data/tags/instance/runnerless:launch").await, (200, "t-1".to_owned()));
    assert_eq!(get("meta-data/tags/instance/runnerless%3Alaunch").await, (200, "t-1".to_owned()));
    assert_eq!(get("meta-data/tags/instance/none").await.0, 404);
    assert_eq!(get("meta-data/placement/region").await, (200, REGION.to_owned()));
    assert_eq!(get("meta-data/spot/instance-action").await.0, 404);
    assert_eq!(get("meta-data/iam/security-credentials/").await, (200, "runner-role".to_owned()));
    assert_eq!(get("meta-data/iam/security-credentials/other-role").await.0, 404);
    let (status, credentials) = get("meta-data/iam/security-credentials/runner-role").await;
    assert_eq!(status, 200, "{credentials}");
    let caller = caller(&ground.stack, &credentials);
    assert!(caller.ends_with(&format!(":assumed-role/runner-role/{instance}")), "{caller}");

    // EC2 wants it back.
    let url = format!("{}/_proxy/interrupt/{instance}", ground.stack.endpoint());
    Http::default().json(Method::POST, &url, &[], &serde_json::Value::Null, LIMIT).await.unwrap();
    let warning = get("meta-data/spot/instance-action").await;
    assert!(warning.0 == 200 && warning.1.contains("\"action\":\"terminate\""), "{warning:?}");

    let hidden = [("InstanceId", instance.as_str()), ("HttpEndpoint", "disabled")];
    let answer = ground.aws.query(EC2, "ModifyInstanceMetadataOptions", &hidden).await.unwrap();
    assert!(answer.contains("<httpEndpoint>disabled</httpEndpoint>"), "{answer}");
    let nobody = [("InstanceId", "i-00000000000000000"), ("HttpEndpoint", "disabled")];
    let refused = ground.aws.query(EC2, "ModifyInstanceMetadataOptions", &nobody).await.unwrap_err();
    assert!(format!("{refused:?}").contains("InvalidInstanceID.NotFound"), "{refused:?}");

    let log = ground.said(&instance, "the power is off").await;
    assert!(log.contains("the runner is there") && log.contains("over"), "{log}");
    ground.ended(&instance).await;
    let begun = Instant::now();
    while ground.aws.query(EC2, "DescribeVolumes", &[]).await.unwrap().contains("<volumeId>") {
        assert!(begun.elapsed() < LIMIT, "its volume is left");
        sleep(Duration::from_millis(50)).await;
    }
    let calls = fs::read_to_string(ground.stack.layout().calls()).unwrap();
    for operation in ["CreateFleet", "ModifyInstanceMetadataOptions"] {
        assert!(calls.contains(&format!(r#""service":"ec2","op":"{operation}""#)), "the witness names {operation}");
    }
    assert!(calls.contains(&format!(r#""instances":["{instance}"]"#)), "and which instance a call is about");
    ground.stack.stop().await;
}

#[tokio::test]
async fn faults_hit_operations_of_ec2_by_their_names() {
    let Some(ground) = Ground::start("instance-faults").await else { return };
    let refused = serde_json::json!({"op": "ec2:CreateFleet", "do": "error:RequestLimitExceeded"});
    ground.stack.set_fault(&refused).await.unwrap();
    let error = ground.aws.query(EC2, "CreateFleet", &fleet("none", "t")).await.unwrap_err();
    assert!(format!("{error:?}").contains("<Code>RequestLimitExceeded</Code>"), "{error:?}");
    let empty = serde_json::json!({"op": "ec2:CreateFleet", "do": "no_instances:InsufficientInstanceCapacity"});
    ground.stack.set_fault(&empty).await.unwrap();
    let answer = ground.aws.query(EC2, "CreateFleet", &fleet("none", "t")).await.unwrap();
    assert!(answer.contains("<errorCode>InsufficientInstanceCapacity</errorCode>"), "{answer}");

    // Carried out, and nobody hears of it: the same request finds what was made.
    let lost = serde_json::json!({"op": "ec2:CreateFleet", "do": "reset"});
    ground.stack.set_fault(&lost).await.unwrap();
    ground.aws.query(EC2, "CreateLaunchTemplate", &[("LaunchTemplateName", "lost")]).await.unwrap();
    ground.aws.query(EC2, "CreateFleet", &fleet("lost", "t")).await.unwrap_err();
    let answer = ground.aws.query(EC2, "CreateFleet", &fleet("lost", "t")).await.unwrap();
    let all = ground.aws.query(EC2, "DescribeInstances", &[]).await.unwrap();
    assert_eq!(all.matches("<instanceId>").count(), 1, "{all}");
    assert!(all.contains(&instance_in(&answer)), "{all}");
    ground.stack.stop().await;
}

#[tokio::test]
async fn instances_end_with_their_stack_however_it_ends() {
    let Some(ground) = Ground::start("instance-ends").await else { return };
    let script = format!("#!/bin/sh\nsetsid {} &\ntrap '' TERM\necho up\n{}\n", nap(3), nap(3));
    let instance = ground.launch("stays", &script).await;
    ground.said(&instance, "up").await;
    runs(&nap(3)).await;
    ground.stack.stop().await;
    gone(&nap(3)).await;

    let Some(ground) = Ground::start("instance-killed").await else { return };
    let script = script.replace(&nap(3), &nap(4));
    let instance = ground.launch("stays", &script).await;
    ground.said(&instance, "up").await;
    runs(&nap(4)).await;
    Record::read(&ground.stack.layout().record()).unwrap().supervisor.signal(Signal::KILL);
    gone(&nap(4)).await;
}

/// Where no namespace can be made nothing runs, the log says why, and the instance is over.
#[tokio::test]
async fn nothing_runs_where_nothing_can_be_confined() {
    let options = Options::for_tests("instance-refused").unwrap();
    runnerless_local::venv::ensure(&options.layout).await.unwrap();
    let mut supervisor = Command::new(&options.program)
        .args(["supervise", "--root"])
        .arg(options.layout.root())
        .arg("--state")
        .arg(options.layout.state())
        // No `unshare` there.
        .env("PATH", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = supervisor.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    let endpoints: Endpoints = serde_json::from_str(&line).unwrap();
    let aws = Aws::new(&endpoints.proxy);
    let instance = launch(&aws, "refused", &format!("#!/bin/sh\n{}\n", nap(5))).await;
    state(&aws, &instance, "terminated").await;
    let log = fs::read_to_string(options.layout.log(&format!("instances/{instance}"))).unwrap();
    assert!(log.contains("no instance is run here") && log.lines().count() == 1, "{log}");
    assert!(running(&nap(5)).is_empty());
    drop(supervisor.stdin.take());
    supervisor.wait().unwrap();
    fs::remove_dir_all(options.layout.state()).unwrap();
}

/// A role that EC2 may use, in a profile.
async fn role(aws: &Aws) {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let role = [("RoleName", "runner-role"), ("AssumeRolePolicyDocument", trust)];
    aws.query(IAM, "CreateRole", &role).await.unwrap();
    aws.query(IAM, "CreateInstanceProfile", &[("InstanceProfileName", "runner-profile")]).await.unwrap();
    let both = [("InstanceProfileName", "runner-profile"), ("RoleName", "runner-role")];
    aws.query(IAM, "AddRoleToInstanceProfile", &both).await.unwrap();
}

/// Who AWS says that these credentials are.
fn caller(stack: &Stack, credentials: &str) -> String {
    let credentials: serde_json::Value = serde_json::from_str(credentials).unwrap();
    let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
    let output = Command::new(stack.layout().python())
        .args(["-c", "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"])
        .env_clear()
        .envs([("AWS_ENDPOINT_URL", stack.endpoint()), ("AWS_DEFAULT_REGION", REGION)])
        .envs([("AWS_ACCESS_KEY_ID", text("AccessKeyId")), ("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey"))])
        .env("AWS_SESSION_TOKEN", text("Token"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An instance's metadata service, as something inside uses it.
struct Metadata {
    url: String,
}

impl Metadata {
    fn of(log: &str) -> Self {
        let url = log.lines().find_map(|line| line.strip_prefix("metadata ")).unwrap();
        Self { url: format!("{url}/latest") }
    }

    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let headers = [("x-aws-ec2-metadata-token", token)];
        let answer = self.call(Method::GET, path, &headers).await;
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        (answer.status.as_u16(), if answer.status == 200 { body } else { String::new() })
    }

    async fn token(&self, ttl: &str) -> (u16, String) {
        let answer = self.call(Method::PUT, "api/token", &[("x-aws-ec2-metadata-token-ttl-seconds", ttl)]).await;
        (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        Http::default().call(method, &format!("{}/{path}", self.url), headers, Bytes::new(), LIMIT).await.unwrap()
    }
}
