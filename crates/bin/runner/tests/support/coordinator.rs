//! The runner API of GitLab as far as one job goes, on plain sockets, recording every request.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::git;

#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    pub status: u16,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An answer that a test wants instead of the usual one.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status and headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is closed without an answer, after the request took effect.
    Lost,
}

pub fn status(status: u16) -> Answer {
    Answer::Status(status, Vec::new())
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Value>,
    handed_out: Option<Value>,
    requests: Vec<Request>,
    log: Vec<u8>,
    job_status: String,
    interval: u32,
    /// The zips of other jobs, by their ids.
    archives: HashMap<u64, Vec<u8>>,
    /// By `POST`, `PUT`, `PATCH`, `UPLOAD`, `DOWNLOAD`.
    faults: HashMap<&'static str, VecDeque<Answer>>,
    /// When the log holds the text, the job's status becomes the other.
    turn: Option<(String, String)>,
    repository: Option<PathBuf>,
}

#[derive(Clone)]
pub struct Coordinator {
    pub url: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Coordinator {
    pub fn start(job: Option<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            jobs: job.into_iter().collect(),
            job_status: "running".to_owned(),
            interval: 1,
            ..State::default()
        };
        let coordinator = Self { url, shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let accepting = coordinator.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        coordinator
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        result
    }

    pub fn fault(&self, method: &'static str, answers: impl IntoIterator<Item = Answer>) {
        self.with(|state| state.faults.entry(method).or_default().extend(answers));
    }

    pub fn job_status_after(&self, text: &str, status: &str) {
        self.with(|state| state.turn = Some((text.to_owned(), status.to_owned())));
    }

    pub fn set_job_status(&self, status: &str) {
        self.with(|state| state.job_status = status.to_owned());
    }

    pub fn set_interval(&self, interval: u32) {
        self.with(|state| state.interval = interval);
    }

    pub fn add_job(&self, job: Value) {
        self.with(|state| {
            state.log.clear();
            state.jobs.push_back(job);
        });
    }

    /// The job that was not handed out yet.
    pub fn take_job(&self) -> Value {
        self.with(|state| state.jobs.pop_front().unwrap())
    }

    /// The job that was handed out last.
    pub fn last_job(&self) -> Value {
        self.with(|state| state.handed_out.clone().unwrap())
    }

    /// The archive of another job.
    pub fn add_archive(&self, job: u64, zip: Vec<u8>) {
        self.with(|state| drop(state.archives.insert(job, zip)));
    }

    /// The requests about artifacts.
    pub fn about_artifacts(&self) -> Vec<Request> {
        self.requests().into_iter().filter(is_about_artifacts).collect()
    }

    pub fn serve_git(&self, repository: PathBuf) {
        self.with(|state| state.repository = Some(repository));
    }

    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| state.requests.clone())
    }

    pub fn log(&self) -> Vec<u8> {
        self.with(|state| state.log.clone())
    }

    pub fn puts(&self) -> Vec<Value> {
        self.requests().iter().filter(|request| request.method == "PUT").map(Request::json).collect()
    }

    /// Blocks until something holds; the runner's end would end the test by its own assertions.
    pub fn wait_for(&self, what: impl Fn(&[Request], &[u8]) -> bool) {
        let state = self.shared.0.lock().unwrap();
        drop(self.shared.1.wait_while(state, |state| !what(&state.requests, &state.log)).unwrap());
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(mut request) = read(&mut reader) {
            let answer = if request.path.starts_with("/api/v4/") { Some(self.answer(&mut request)) } else { None };
            match answer {
                Some(None) => {
                    self.with(|state| state.requests.push(request));
                    return;
                }
                Some(Some((status, headers, body))) => {
                    request.status = status;
                    self.with(|state| state.requests.push(request));
                    write(&mut writer, status, &headers, &body);
                }
                None => {
                    let repository = self.with(|state| state.repository.clone());
                    let (status, headers, body) = git::answer(&request, repository.as_deref(), super::JOB_TOKEN);
                    request.status = status;
                    self.with(|state| state.requests.push(request));
                    write(&mut writer, status, &headers, &body);
                }
            }
        }
    }

    fn answer(&self, request: &mut Request) -> Option<git::Answer> {
        self.with(|state| {
            let method: &'static str = match request.method.as_str() {
                "POST" if is_about_artifacts(request) => "UPLOAD",
                "GET" if is_about_artifacts(request) => "DOWNLOAD",
                "POST" => "POST",
                "PUT" => "PUT",
                "PATCH" => "PATCH",
                _ => "OTHER",
            };
            match state.faults.get_mut(method).and_then(VecDeque::pop_front) {
                Some(Answer::Status(status, headers)) => {
                    return Some((status, headers, b"{\"message\":\"fault\"}".to_vec()));
                }
                Some(Answer::Lost) => {
                    usual(state, request);
                    return None;
                }
                None => {}
            }
            Some(usual(state, request))
        })
    }
}

fn usual(state: &mut State, request: &Request) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
    let job_headers = |state: &State| {
        vec![("Job-Status", state.job_status.clone()), ("X-GitLab-Trace-Update-Interval", state.interval.to_string())]
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v4/jobs/request") => match state.jobs.pop_front() {
            Some(job) => {
                let body = job.to_string().into_bytes();
                state.handed_out = Some(job);
                (201, vec![("Content-Type", "application/json".to_owned())], body)
            }
            None => (204, Vec::new(), Vec::new()),
        },
        ("POST", "/api/v4/runners/verify") => {
            (200, vec![("Content-Type", "application/json".to_owned())], br#"{"id":7}"#.to_vec())
        }
        ("POST", _) if is_about_artifacts(request) => (
            201,
            vec![("Content-Type", "application/json".to_owned()), ("X-Request-Id", "r1".to_owned())],
            b"{}".to_vec(),
        ),
        ("GET", path) if is_about_artifacts(request) => {
            let id = path.split('/').nth(4).and_then(|id| id.parse().ok()).unwrap_or_default();
            match state.archives.get(&id) {
                Some(zip) => (200, vec![("Content-Type", "application/zip".to_owned())], zip.clone()),
                None => (404, Vec::new(), b"{\"message\":\"404 Not Found\"}".to_vec()),
            }
        }
        ("PUT", _) => (200, job_headers(state), b"200".to_vec()),
        ("PATCH", _) => {
            let start: usize = request.headers["content-range"].split('-').next().unwrap().parse().unwrap();
            let status = if start == state.log.len() {
                state.log.extend_from_slice(&request.body);
                202
            } else {
                416
            };
            if let Some((text, turned)) = &state.turn
                && String::from_utf8_lossy(&state.log).contains(text)
            {
                state.job_status.clone_from(turned);
            }
            let mut headers = job_headers(state);
            headers.push(("Range", format!("0-{}", state.log.len())));
            (status, headers, b"0".to_vec())
        }
        _ => (404, Vec::new(), Vec::new()),
    }
}

fn is_about_artifacts(request: &Request) -> bool {
    request.path.split('?').next().is_some_and(|path| path.ends_with("/artifacts"))
}

pub fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let body = if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        chunked(reader)?
    } else {
        let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(Request { at: Instant::now(), method, path, headers, body, status: 0 })
}

fn chunked(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

pub fn write(stream: &mut TcpStream, status: u16, headers: &[(&'static str, String)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} x\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    // The runner may have left: its own assertions tell.
    let _ = stream.write_all(&bytes);
}
