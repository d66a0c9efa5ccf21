//! Git does not outlive its request.

use std::io::{ErrorKind, Write as _};
use std::process::Command;

use super::client::{OneProject, Site};
use crate::git_http::{Request, serve};

/// Git reads the repository's settings from a pipe here, so it waits as long as the test wants, and the pipe breaks
/// when git is gone.
#[tokio::test]
async fn a_request_that_is_given_up_kills_git() {
    let site = Site::with_commits(1).await;
    let settings = site.bare.join("config");
    std::fs::remove_file(&settings).unwrap();
    assert!(Command::new("mkfifo").arg(&settings).status().unwrap().success());

    let access = OneProject(site.bare.clone());
    let request = tokio::spawn(async move {
        let authorization = ("Authorization".to_owned(), "Basic Z2l0bGFiLWNpLXRva2VuOnNlY3JldA==".to_owned());
        let asked = Request {
            method: "GET",
            path: "/group/sub/project.git/info/refs",
            query: Some("service=git-upload-pack"),
            headers: vec![authorization],
            body: Vec::new(),
        };
        serve(&access, asked).await
    });
    // Opening waits for a reader, which is git.
    let open = move || std::fs::OpenOptions::new().write(true).open(settings).unwrap();
    let mut pipe = tokio::task::spawn_blocking(open).await.unwrap();
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    // A living git would read all these empty lines.
    let written = tokio::task::spawn_blocking(move || pipe.write_all(&vec![b'\n'; 16 * 1024 * 1024])).await.unwrap();
    assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
}
