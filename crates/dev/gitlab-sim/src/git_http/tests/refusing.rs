//! Who gets nothing: wrong passwords, pushes, other clients.

use super::client::{OneProject, Site, git};
use crate::git_http::{Request, Response, serve};

const AUTHORIZATION: (&str, &str) = ("Authorization", "Basic Z2l0bGFiLWNpLXRva2VuOnNlY3JldA==");

async fn ask(site: &Site, method: &str, path: &str, query: Option<&str>, headers: &[(&str, &str)]) -> Response {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = Request { method, path, query, headers, body: b"0000".to_vec() };
    serve(&OneProject(site.bare.clone()), request).await
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn a_wrong_password_and_none_are_unauthorized() {
    let site = Site::with_commits(1).await;
    let output = site.try_git(&["clone", "-q", &site.url("wrong"), "clone"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("Authentication failed"), "{output:?}");
    assert!(site.seen().iter().all(|seen| seen.status == 401), "{:?}", site.seen());
    let anonymous = site.url("secret").replace("gitlab-ci-token:secret@", "");
    let output = site.try_git(&["clone", "-q", &anonymous, "clone"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not read Username"), "{output:?}");

    let (path, query) = ("/group/sub/project.git/info/refs", Some("service=git-upload-pack"));
    let response = ask(&site, "GET", path, query, &[]).await;
    assert_eq!(response.status, 401);
    assert_eq!(header(&response, "WWW-Authenticate"), Some("Basic realm=\"GitLab\""));
}

#[tokio::test]
async fn a_push_is_forbidden_and_changes_nothing() {
    let site = Site::with_commits(1).await;
    let before = git(&site.bare, &["for-each-ref"]);
    site.git(&["clone", "-q", &site.url("secret"), "clone"]).await;
    site.git(&["-C", "clone", "commit", "-q", "--allow-empty", "-m", "mine"]).await;
    let output = site.try_git(&["-C", "clone", "push", "-q", "origin", "HEAD:refs/heads/mine"]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("403"), "{output:?}");
    assert_eq!(git(&site.bare, &["for-each-ref"]), before);
    let last = site.seen().pop().unwrap();
    assert_eq!((last.path.as_str(), last.status), ("/group/sub/project.git/info/refs", 403));
    assert_eq!(ask(&site, "POST", "/group/sub/project.git/git-receive-pack", None, &[AUTHORIZATION]).await.status, 403);
}

#[tokio::test]
async fn other_projects_and_paths_are_not_found() {
    let site = Site::with_commits(1).await;
    let output = site.try_git(&["clone", "-q", &site.url("secret").replace("project", "other"), "clone"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("not found"), "{output:?}");
    let upload = Some("service=git-upload-pack");
    for (method, path, query, status) in [
        ("GET", "/group/sub/project.git/info/refs", None, 403),
        ("GET", "/group/sub/project.git/HEAD", None, 404),
        ("GET", "/group/sub/project.git/objects/info/packs", None, 404),
        ("GET", "/group/sub/project/info/refs", upload, 404),
        ("GET", "/group/sub/../sub/project.git/info/refs", upload, 404),
        ("GET", "/group/sub/%2e%2e/project.git/info/refs", upload, 404),
        ("PUT", "/group/sub/project.git/git-upload-pack", None, 404),
    ] {
        assert_eq!(ask(&site, method, path, query, &[AUTHORIZATION]).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn answers_have_gits_types_and_are_not_kept() {
    let site = Site::with_commits(1).await;
    let (path, query) = ("/group/sub/project.git/info/refs", Some("service=git-upload-pack"));
    let refs = ask(&site, "GET", path, query, &[AUTHORIZATION]).await;
    assert_eq!(refs.status, 200);
    assert_eq!(header(&refs, "Content-Type"), Some("application/x-git-upload-pack-advertisement"));
    assert_eq!(header(&refs, "Cache-Control"), Some("no-cache, max-age=0, must-revalidate"));
    assert!(refs.body.starts_with(b"001e# service=git-upload-pack\n0000"));
    let modern = ask(&site, "GET", path, query, &[AUTHORIZATION, ("git-protocol", "version=2")]).await;
    assert!(String::from_utf8_lossy(&modern.body).contains("version 2\n"));
    let odd = ask(&site, "GET", path, query, &[AUTHORIZATION, ("git-protocol", "version=2:x")]).await;
    assert_eq!(odd.body, refs.body);

    let path = "/group/sub/project.git/git-upload-pack";
    let typed = ("Content-Type", "application/x-git-upload-pack-request");
    let pack = ask(&site, "POST", path, None, &[AUTHORIZATION, typed]).await;
    assert_eq!((pack.status, header(&pack, "Content-Type")), (200, Some("application/x-git-upload-pack-result")));
    assert_eq!(ask(&site, "POST", path, None, &[AUTHORIZATION]).await.status, 415);
    let coded = ask(&site, "POST", path, None, &[AUTHORIZATION, typed, ("Content-Encoding", "gzip")]).await;
    assert_eq!(coded.status, 400);
}

#[tokio::test]
async fn a_repository_that_is_gone_is_an_error_of_the_server() {
    let site = Site::with_commits(1).await;
    std::fs::remove_dir_all(&site.bare).unwrap();
    let (path, query) = ("/group/sub/project.git/info/refs", Some("service=git-upload-pack"));
    let response = ask(&site, "GET", path, query, &[AUTHORIZATION]).await;
    assert_eq!(response.status, 500);
    assert!(String::from_utf8_lossy(&response.body).contains("git upload-pack failed"), "{response:?}");
}
