//! The witness between a runner and the simulator: passes each request on and stamps it.

use std::fs::File;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::wire::{Connection, Message, prepare};
use serde_json::Value;

use super::case::MARK;
use super::process::peak_kib;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks for a job.
    Ask,
    /// Says that the job is accepted, or that it still runs.
    Running,
    /// A part of the log.
    Part,
    /// Says how the job ended.
    Final,
    /// Anything else, which no runner of the bench should send.
    Other,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// When it had arrived whole.
    pub(super) arrived: Instant,
    /// When its answer had been handed back.
    pub(super) answered: Instant,
    /// How long the simulator took for it.
    pub(super) simulator: Duration,
    pub(super) status: u16,
    /// Largest memory of the runner's process until then (KiB); with the final report only.
    pub(super) peak_kib: Option<u64>,
    /// By the clock of the wall, when the first of the script's bytes arrived: the line that shows its first command, or
    /// what that command said. With the parts of the log that have any of both only.
    pub(super) speaks_at: Option<Duration>,
    /// By the same clock, when the script spoke: it says so itself.
    pub(super) spoke_at: Option<Duration>,
}

#[derive(Debug, Default)]
struct Notes {
    seen: Vec<Seen>,
    /// The process that is watched.
    pid: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Witness {
    address: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    go: PathBuf,
}

impl Witness {
    /// Listens, and passes on to the simulator at `host`. `go` is a file that is made when a script's first words arrive.
    pub(super) fn start(host: &str, go: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let notes = Arc::new(Mutex::new(Notes::default()));
        let (host, inner, file) = (host.to_owned(), Arc::clone(&notes), go.clone());
        // The threads end with the process; nobody waits for them.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (host, notes, go) = (host.clone(), Arc::clone(&inner), file.clone());
                thread::spawn(move || {
                    if let Err(error) = pass_on(client, &host, &notes, &go) {
                        eprintln!("runnerless-bench: a connection broke: {error}");
                    }
                });
            }
        });
        Ok(Self { address, notes, go })
    }

    /// Where runners find it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file that appears when a script's first words have arrived.
    pub(super) fn go_file(&self) -> &Path {
        &self.go
    }

    /// Which process the next requests come from.
    pub(super) fn watch(&self, pid: u32) {
        lock(&self.notes).pid = Some(pid);
    }

    /// What was seen since the last call.
    pub(super) fn take(&self) -> Vec<Seen> {
        // What is not there need not be removed.
        let _ = std::fs::remove_file(&self.go);
        std::mem::take(&mut *lock(&self.notes)).seen
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection of a runner.
fn pass_on(client: TcpStream, host: &str, notes: &Mutex<Notes>, go: &Path) -> io::Result<()> {
    prepare(&client)?;
    let mut simulator = Connection::to(host)?;
    let mut client = BufReader::new(client);
    while let Some(request) = Message::read(&mut client)? {
        let (arrived, now) = (Instant::now(), SystemTime::now());
        let kind = kind_of(&request);
        let text = if kind == Kind::Part { String::from_utf8_lossy(&request.body) } else { "".into() };
        let speaks_at = now.duration_since(SystemTime::UNIX_EPOCH).ok().filter(|_| text.contains(MARK));
        if speaks_at.is_some() {
            File::create(go)?;
        }
        let pid = lock(notes).pid;
        let peak_kib = if kind == Kind::Final { pid.and_then(peak_kib) } else { None };
        let asked = Instant::now();
        let answer = simulator.pass(&request)?;
        let simulator = asked.elapsed();
        // The time is taken before the answer goes out: what the runner does next must not count as before it.
        let answered = Instant::now();
        let status = answer.status();
        let spoke_at = spoke_at(&text);
        lock(notes).seen.push(Seen { kind, arrived, answered, simulator, status, peak_kib, speaks_at, spoke_at });
        answer.write(client.get_mut())?;
    }
    Ok(())
}

fn kind_of(request: &Message) -> Kind {
    let (method, path) = request.target();
    let path = path.split('?').next().unwrap_or_default();
    match (method, path) {
        ("POST", "/api/v4/jobs/request") => Kind::Ask,
        ("PATCH", path) if path.ends_with("/trace") => Kind::Part,
        ("PUT", _) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if body["state"] == "running" { Kind::Running } else { Kind::Final }
        }
        _ => Kind::Other,
    }
}

/// When the script spoke, if this part of the log says so. The line that shows the command has the mark too, but no time
/// behind it.
fn spoke_at(part: &str) -> Option<Duration> {
    part.split(MARK).skip(1).find_map(|rest| seconds(rest.split_whitespace().next()?))
}

/// Bash's `$EPOCHREALTIME`: seconds and six digits.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, micros) = text.split_once('.')?;
    Some(Duration::new(whole.parse().ok()?, micros.get(..6)?.parse::<u32>().ok()? * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let request = |method, path, body: &str| Message::request(method, path, "h", &[], body.as_bytes().to_vec());
        for (message, kind) in [
            (request("POST", "/api/v4/jobs/request", "{}"), Kind::Ask),
            (request("PUT", "/api/v4/jobs/7", r#"{"state":"running"}"#), Kind::Running),
            (request("PUT", "/api/v4/jobs/7", r#"{"state":"success"}"#), Kind::Final),
            (request("PATCH", "/api/v4/jobs/7/trace?debug_trace=false", "x"), Kind::Part),
            (request("GET", "/api/v4/jobs/7/artifacts", ""), Kind::Other),
        ] {
            assert_eq!(kind_of(&message), kind);
        }
    }

    #[test]
    fn the_script_spoke_where_a_time_follows_the_mark() {
        let shown = "$ echo \"first output at $EPOCHREALTIME\"\n";
        assert_eq!(spoke_at(shown), None);
        let spoken = format!("{shown}first output at 999.750000\n");
        assert_eq!(spoke_at(&spoken), Some(Duration::from_millis(999_750)));
    }
}
