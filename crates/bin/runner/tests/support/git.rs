//! Git over HTTP by git itself, for those who bring the job's token.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::coordinator::Request;

/// Status, headers and body.
pub type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A bare repository with one file per commit; returns it and the last commit.
pub fn repository(folder: &Path, commits: u32) -> (PathBuf, String) {
    let tree = folder.join("tree");
    git(folder, &["init", "-q", "-b", "main", "tree"]);
    for number in 1..=commits {
        std::fs::write(tree.join(format!("file{number}.txt")), format!("content {number}\n")).unwrap();
        git(&tree, &["add", "."]);
        git(
            &tree,
            &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", &format!("c{number}")],
        );
    }
    let bare = folder.join("widget.git");
    git(folder, &["clone", "-q", "--bare", "tree", "widget.git"]);
    let sha = git(&bare, &["rev-parse", "main"]).trim().to_owned();
    (bare, sha)
}

pub fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn answer(request: &Request, repository: Option<&Path>, token: &str) -> Answer {
    let Some(repository) = repository else { return (404, Vec::new(), Vec::new()) };
    // "gitlab-ci-token:<token>" in base64, without another dependency: git decodes it for us in the test's own terms.
    if request.headers.get("authorization") != Some(&basic(token)) {
        return (401, vec![("WWW-Authenticate", "Basic realm=\"GitLab\"".to_owned())], Vec::new());
    }
    let (kind, args): (&str, &[&str]) = if request.path.contains("/info/refs?service=git-upload-pack") {
        ("advertisement", &["--stateless-rpc", "--advertise-refs"])
    } else if request.path.ends_with("/git-upload-pack") {
        ("result", &["--stateless-rpc"])
    } else {
        return (404, Vec::new(), Vec::new());
    };
    let mut body = if kind == "advertisement" { b"001e# service=git-upload-pack\n0000".to_vec() } else { Vec::new() };
    body.extend(upload_pack(request, repository, args));
    (200, vec![("Content-Type", format!("application/x-git-upload-pack-{kind}"))], body)
}

fn upload_pack(request: &Request, repository: &Path, args: &[&str]) -> Vec<u8> {
    // Gitaly hands out any commit that somebody names, whatever is advertised.
    let mut child = Command::new("git")
        .args(["-c", "uploadpack.allowAnySHA1InWant=true", "upload-pack"])
        .args(args)
        .arg(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let gzipped = request.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
    let input = if gzipped { gunzip(&request.body) } else { request.body.clone() };
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    child.wait().unwrap();
    out
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn basic(token: &str) -> String {
    let mut child = Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("gitlab-ci-token:{token}").as_bytes()).unwrap();
    format!("Basic {}", String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim())
}
