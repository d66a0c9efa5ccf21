//! A server around `serve`, and git as its client.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::git_http::{Access, Denied, Request, Response, serve};

/// One project, `group/sub/project`, for one token.
pub(super) struct OneProject(pub(super) PathBuf);

impl Access for OneProject {
    fn repository(&self, path: &str, user: &str, password: &str) -> Result<PathBuf, Denied> {
        match (path, user, password) {
            ("group/sub/project", "gitlab-ci-token", "secret") => Ok(self.0.clone()),
            (_, "gitlab-ci-token", "secret") => Err(Denied::NotFound),
            _ => Err(Denied::Unauthorized),
        }
    }
}

/// What the server saw of a request, and its answer's status.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) status: u16,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A bare repository that is served, and a folder for clients.
pub(super) struct Site {
    pub(super) folder: TempDir,
    pub(super) bare: PathBuf,
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Site {
    /// Serves a bare copy of a source with this many commits.
    pub(super) async fn with_commits(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), count);
        let bare = folder.path().join("bare.git");
        crate::git_http::import(&source, &bare).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(accept(listener, Arc::new(OneProject(bare.clone())), seen.clone()));
        Self { folder, bare, address, seen }
    }

    pub(super) fn url(&self, password: &str) -> String {
        format!("http://gitlab-ci-token:{password}@{}/group/sub/project.git", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Runs git in the clients' folder; it must succeed.
    pub(super) async fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args).await;
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What git says when it shows the packets that it sends and gets.
    pub(super) async fn traced(&self, args: &[&str]) -> String {
        let mut command = tokio::process::Command::from(client(self.folder.path(), args));
        let output = command.env("GIT_TRACE_PACKET", "1").output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(super) async fn try_git(&self, args: &[&str]) -> Output {
        tokio::process::Command::from(client(self.folder.path(), args)).output().await.unwrap()
    }
}

/// A git command that knows nobody's settings.
fn client(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(args)
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")])
        .envs([("GIT_COMMITTER_DATE", "1770000000 +0100"), ("GIT_AUTHOR_DATE", "1769999999 +0100")])
        .env("HOME", folder);
    command
}

/// Runs git; it must succeed.
pub(super) fn git(folder: &Path, args: &[&str]) -> String {
    let output = client(folder, args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with commits `c1`, `c2`, ... on `trunk`, each with a file.
pub(super) fn source(folder: &Path, count: usize) -> PathBuf {
    git(folder, &["init", "-q", "-b", "trunk", "source"]);
    let tree = folder.join("source");
    for number in 1..=count {
        commit(&tree, &format!("c{number}"));
    }
    tree
}

/// Commits a file with this name, and gives the commit's hash.
pub(super) fn commit(tree: &Path, name: &str) -> String {
    std::fs::write(tree.join(name), format!("content of {name}\n")).unwrap();
    git(tree, &["add", "."]);
    git(tree, &["commit", "-q", "-m", name]);
    git(tree, &["rev-parse", "HEAD"])
}

async fn accept(listener: TcpListener, access: Arc<OneProject>, seen: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, access.clone(), seen.clone()));
    }
}

/// One request per connection, which HTTP allows and which keeps this short.
async fn answer(stream: TcpStream, access: Arc<OneProject>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut stream = BufReader::new(stream);
    let first = line(&mut stream).await;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = Vec::new();
    loop {
        let header = line(&mut stream).await;
        let Some((name, value)) = header.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let body = body(&mut stream, &headers).await;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Response { status, headers: answered, body } =
        serve(access.as_ref(), Request { method, path, query, headers: headers.clone(), body }).await;
    seen.lock().unwrap().push(Seen { path: path.to_owned(), headers, status });
    let mut head = format!("HTTP/1.1 {status} Answer\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in answered {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream.shutdown().await.unwrap();
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

async fn body(stream: &mut BufReader<TcpStream>, headers: &[(String, String)]) -> Vec<u8> {
    let header =
        |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let mut body = Vec::new();
    if let Some(length) = header("content-length") {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.unwrap();
    } else if header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&line(stream).await, 16).unwrap();
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk).await.unwrap();
            line(stream).await;
            body.extend(chunk);
            if size == 0 {
                break;
            }
        }
    }
    body
}
