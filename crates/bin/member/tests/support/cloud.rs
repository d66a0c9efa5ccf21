//! AWS as an instance sees it: its metadata service, strict about sessions, and Auto Scaling, which answers by a script. Both,
//! and one parameter, on one plain socket.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::until;

pub const INSTANCE: &str = "i-0123456789abcdef0";
const METADATA_TOKEN: &str = "metadata-session";
/// What Auto Scaling says to an instance that does not wait at the hook.
const NOTHING_WAITS: &str = "No active Lifecycle Action found with instance ID i-0123456789abcdef0";
const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

/// An answer of Auto Scaling.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Throttled,
    NothingWaits,
    Broken,
    Refused,
}

#[derive(Default)]
struct State {
    /// The instance's target; none for an instance that is in no group.
    target: Option<&'static str>,
    metadata_is_off: bool,
    looks: usize,
    /// The forms that Auto Scaling took.
    taken: Vec<BTreeMap<String, String>>,
    script: VecDeque<Answer>,
    token: Option<&'static str>,
    /// What was asked for and is not there.
    unknown: Vec<String>,
}

#[derive(Clone)]
pub struct Cloud {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Cloud {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Self { url, state: Arc::default() };
        cloud.heads_for(Some("InService"));
        let accepting = cloud.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        cloud
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap())
    }

    /// Where the group has the instance go; none: it is in no group.
    pub fn heads_for(&self, target: Option<&'static str>) {
        self.with(|state| state.target = target);
    }

    pub fn switch_metadata(&self, on: bool) {
        self.with(|state| state.metadata_is_off = !on);
    }

    /// The value of the one parameter that the role may read.
    pub fn store(&self, token: &'static str) {
        self.with(|state| state.token = Some(token));
    }

    /// Auto Scaling's next answers; it takes what comes after them.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.with(|state| state.script.extend(answers));
    }

    /// How many of those were not given yet.
    pub fn answers_left(&self) -> usize {
        self.with(|state| state.script.len())
    }

    /// Waits until the instance's target was asked for again, several times.
    pub fn is_looked_at(&self) {
        let before = self.with(|state| state.looks);
        until("the target is asked for", || self.with(|state| state.looks >= before + 3));
    }

    /// How often Auto Scaling took this action.
    pub fn count(&self, action: &str) -> usize {
        self.with(|state| state.taken.iter().filter(|form| form["Action"] == action).count())
    }

    /// What it took last.
    pub fn last(&self) -> BTreeMap<String, String> {
        self.with(|state| state.taken.last().cloned().unwrap_or_default())
    }

    pub fn unknown(&self) -> Vec<String> {
        self.with(|state| state.unknown.clone())
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(request) = Request::read(&mut reader) {
            let (status, body) = self.with(|state| say(state, &request));
            let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n", body.len());
            if writer.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn say(state: &mut State, request: &Request) -> (u16, String) {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/") if request.head.contains("x-amz-target: AmazonSSM.GetParameter\n") => {
            of_parameters(state, request)
        }
        ("POST", "/") => of_auto_scaling(state, request),
        _ if state.metadata_is_off => (403, String::new()),
        ("PUT", "/latest/api/token") if request.head.contains("x-aws-ec2-metadata-token-ttl-seconds: ") => {
            (200, METADATA_TOKEN.to_owned())
        }
        ("GET", _) if !request.head.contains(&format!("x-aws-ec2-metadata-token: {METADATA_TOKEN}")) => {
            (401, String::new())
        }
        ("GET", path) => of_metadata(state, path),
        _ => (405, String::new()),
    }
}

fn of_metadata(state: &mut State, path: &str) -> (u16, String) {
    let keys = json!({"Code": "Success", "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret",
        "Token": "session-of-the-role", "Expiration": "2030-01-01T00:00:00Z"});
    match path.trim_start_matches("/latest/meta-data/") {
        "autoscaling/target-lifecycle-state" => {
            state.looks += 1;
            state.target.map_or((404, String::new()), |target| (200, target.to_owned()))
        }
        "placement/region" => (200, "eu-west-1".to_owned()),
        "instance-id" => (200, INSTANCE.to_owned()),
        "iam/security-credentials/" => (200, "member-role".to_owned()),
        "iam/security-credentials/member-role" => (200, keys.to_string()),
        other => {
            state.unknown.push(other.to_owned());
            (404, String::new())
        }
    }
}

fn is_signed(request: &Request, service: &str) -> bool {
    request.head.contains(&format!("/eu-west-1/{service}/aws4_request"))
        && request.head.contains("x-amz-security-token: session-of-the-role\n")
}

fn of_parameters(state: &State, request: &Request) -> (u16, String) {
    let asked: Value = serde_json::from_str(&request.body).unwrap();
    let whole = is_signed(request, "ssm") && asked["Name"] == "/a/token" && asked["WithDecryption"] == true;
    match state.token.filter(|_| whole) {
        Some(token) => (200, json!({"Parameter": {"Name": "/a/token", "Value": token}}).to_string()),
        None => (400, json!({"__type": "ParameterNotFound"}).to_string()),
    }
}

fn of_auto_scaling(state: &mut State, request: &Request) -> (u16, String) {
    if !is_signed(request, "autoscaling") {
        return refusal(403, "MissingAuthenticationToken", "not signed by the instance's role");
    }
    match state.script.pop_front() {
        Some(Answer::Throttled) => refusal(400, "Throttling", "Rate exceeded"),
        Some(Answer::NothingWaits) => refusal(400, "ValidationError", NOTHING_WAITS),
        Some(Answer::Broken) => refusal(500, "InternalFailure", "not today"),
        Some(Answer::Refused) => refusal(403, "AccessDenied", "not this role"),
        None => {
            let pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
            let form: BTreeMap<String, String> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            let action = form["Action"].clone();
            state.taken.push(form);
            let id = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>";
            (200, format!("<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result/>{id}</{action}Response>"))
        }
    }
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, String) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, format!("<ErrorResponse xmlns=\"{NAMESPACE}\">{error}<RequestId>r</RequestId></ErrorResponse>"))
}

struct Request {
    method: String,
    path: String,
    /// A line for each header, its name in small letters.
    head: String,
    body: String,
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut words = first.split_ascii_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let name = name.to_lowercase();
            if name == "content-length" {
                length = value.trim().parse().ok()?;
            }
            writeln!(head, "{name}: {}", value.trim()).ok()?;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { method, path, head, body: String::from_utf8(body).ok()? })
    }
}
