//! What people and their tools see: runners, jobs, hooks, and refusals.

use std::net::SocketAddr;

use gitlab_sim::{Options, Simulator, StartError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;

const ONE: &str = "job:\n  script: [echo hi]\n  tags: [lambda]\n";

#[tokio::test]
async fn only_the_admin_gets_in_and_unknown_paths_are_404() {
    let bench = Bench::start().await;
    for path in ["version", "projects/1", "runners/1"] {
        assert_eq!(bench.send(bench.request(Method::GET, &format!("/api/v4/{path}"))).await.status, 401, "{path}");
        let request = bench.request(Method::GET, &format!("/api/v4/{path}")).header("PRIVATE-TOKEN", "glpat-x");
        assert_eq!(bench.send(request).await.status, 401, "{path}");
    }
    assert!(bench.user(Method::GET, "version", None).await.json()["version"].is_string());
    assert_eq!(bench.user(Method::GET, "nothing", None).await.status, 404);
    assert_eq!(bench.user(Method::GET, "projects/acme%2Fnone", None).await.status, 404);
}

#[tokio::test]
async fn a_job_shows_tags_runner_and_machine() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let pipeline = bench.pipeline(project).await;
    let path = format!("projects/acme%2Fwidget/jobs/{}", bench.job(pipeline, "job").await["id"]);
    let pending = bench.user(Method::GET, &path, None).await.json();
    assert_eq!((&pending["tag_list"], &pending["runner"]), (&json!(["lambda"]), &Value::Null));
    assert!(pending.get("failure_reason").is_none());
    let runner = bench.runner(json!({"runner_type": "instance_type", "tag_list": ["lambda"]})).await;
    let job = runner.take().await;
    job.patch(0, "hello\n").await;
    let running = bench.user(Method::GET, &path, None).await.json();
    assert_eq!(
        (&running["runner"]["id"], &running["runner_manager"]["system_id"]),
        (&json!(runner.id), &json!("r_abcdefghijkl"))
    );
    assert_eq!(running["pipeline"]["id"], pipeline);
    assert_eq!(bench.user(Method::GET, &format!("{path}/trace"), None).await.text, "hello\n");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n  parallel: 5\n").await;
    bench.pipeline(project).await;
    let first = bench.user(Method::GET, &format!("projects/{project}/jobs?scope[]=pending&per_page=2"), None).await;
    assert_eq!((first.header("x-next-page"), first.header("x-total")), (Some("2"), Some("5")));
    assert!(first.header("link").unwrap().contains("page=2&per_page=2>; rel=\"next\""));
    let names: Vec<Value> = first.json().as_array().unwrap().iter().map(|job| job["name"].clone()).collect();
    assert_eq!(names, ["job 5/5", "job 4/5"]);
    let last = bench.user(Method::GET, &format!("projects/{project}/jobs?per_page=2&page=3"), None).await;
    assert_eq!((last.header("x-next-page"), last.json().as_array().unwrap().len()), (Some(""), 1));
    let none = bench.user(Method::GET, &format!("projects/{project}/jobs?scope=running"), None).await;
    assert_eq!(none.json(), json!([]));
    assert_eq!(bench.user(Method::GET, &format!("projects/{project}/jobs?scope=odd"), None).await.status, 400);
}

#[tokio::test]
async fn jobs_are_listed_by_keyset_in_gitlabs_order_only() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n  parallel: 5\n").await;
    let pipeline = bench.pipeline(project).await;
    let list = |query: String| {
        let path = format!("projects/{project}/jobs?{query}");
        let bench = &bench;
        async move { bench.user(Method::GET, &path, None).await }
    };
    let asked = "scope[]=pending&pagination=keyset&order_by=id&sort=desc&per_page=2";
    let (mut names, mut query) = (Vec::new(), asked.to_owned());
    for page in 0..3 {
        let answer = list(query.clone()).await;
        assert_eq!((answer.status, answer.header("x-total"), answer.header("x-next-page")), (200, None, None));
        names.extend(answer.json().as_array().unwrap().iter().map(|job| job["name"].clone()));
        let link = answer.header("link").map(str::to_owned);
        assert_eq!(link.is_none(), page == 2, "the last page has no next one");
        let Some(link) = link else { break };
        assert!(link.ends_with(">; rel=\"next\"") && link.contains("/jobs?cursor="), "{link}");
        link.split_once('?').unwrap().1.split_once('>').unwrap().0.clone_into(&mut query);
    }
    assert_eq!(names, ["job 5/5", "job 4/5", "job 3/5", "job 2/5", "job 1/5"]);
    for (query, status) in [
        ("pagination=keyset&sort=asc", 405),
        ("pagination=keyset&order_by=created_at", 405),
        ("pagination=keyset&cursor=odd", 400),
        ("pagination=keyset&cursor=e30=", 400),
        ("pagination=odd", 400),
        ("scope[]=pending&scope[]=odd", 400),
        ("pagination=keyset", 200),
    ] {
        assert_eq!(list(query.to_owned()).await.status, status, "{query}");
    }
    let of_pipeline = format!("projects/{project}/pipelines/{pipeline}/jobs?pagination=keyset");
    assert_eq!(bench.user(Method::GET, &of_pipeline, None).await.status, 405);
}

#[tokio::test]
async fn hooks_are_for_maintainers() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let path = format!("projects/{project}/hooks");
    let listed = bench.user(Method::GET, &path, None).await;
    assert_eq!((listed.status, listed.header("x-next-page"), listed.json()), (200, Some(""), json!([])));
    bench.settings(json!({"token_of_maintainer": false})).await;
    assert_eq!(bench.user(Method::GET, &path, None).await.status, 403);
}

#[tokio::test]
async fn secrets_of_hooks_go_in_and_do_not_come_out() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let path = format!("projects/{project}/hooks");
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let body =
        json!({"url": "http://127.0.0.1:9/hook", "token": "plain-secret", "signing_token": secret, "job_events": true});
    let made = bench.user(Method::POST, &path, Some(body)).await;
    assert_eq!(made.status, 201);
    let hook = made.json();
    for key in ["token_present", "signing_token_present", "job_events"] {
        assert_eq!(hook[key], true, "{key}");
    }
    let listed = bench.user(Method::GET, &path, None).await.text;
    assert!(!listed.contains("plain-secret") && !listed.contains(secret));
    for (body, status) in [
        (json!({}), 400),
        (json!({"url": "http://example.com/"}), 422),
        (json!({"url": "nonsense"}), 422),
        (json!({"url": "http://127.0.0.1:9/", "signing_token": "whsec_AAEC"}), 400),
    ] {
        assert_eq!(bench.user(Method::POST, &path, Some(body.clone())).await.status, status, "{body}");
    }
    let one = format!("{path}/{}", hook["id"]);
    assert_eq!(bench.user(Method::PUT, &one, Some(json!({"job_events": false}))).await.json()["job_events"], false);
    assert_eq!(bench.user(Method::DELETE, &one, None).await.status, 204);
    assert_eq!(bench.user(Method::GET, &one, None).await.status, 404);
}

#[tokio::test]
async fn runners_are_checked_when_they_are_made() {
    let bench = Bench::start().await;
    for (body, status) in [
        (json!({}), 400),
        (json!({"runner_type": "odd"}), 400),
        (json!({"runner_type": "project_type"}), 400),
        (json!({"runner_type": "project_type", "project_id": 9}), 404),
        (json!({"runner_type": "instance_type", "maximum_timeout": 599}), 400),
        (json!({"runner_type": "instance_type", "run_untagged": false}), 400),
        (json!({"runner_type": "instance_type", "access_level": "odd"}), 400),
    ] {
        assert_eq!(bench.user(Method::POST, "user/runners", Some(body.clone())).await.status, status, "{body}");
    }
    let project = bench.project("acme/widget", ONE).await;
    let runner = bench.runner(json!({"runner_type": "project_type", "project_id": project})).await;
    assert!(runner.token.starts_with("glrt-t3_"));
    let register = bench.request(Method::POST, "/api/v4/runners").json(&json!({"token": "GR13489411"}));
    assert_eq!(bench.send(register).await.status, 410);
}

#[tokio::test]
async fn a_runner_about_itself() {
    let bench = Bench::start().await;
    let runner = bench.any_runner().await;
    let call =
        |method, path: &str, body: Value| bench.send(bench.request(method, &format!("/api/v4/{path}")).json(&body));
    let verify = json!({"token": runner.token, "system_id": "r_abcdefghijkl", "info": {"features": {"cancel_gracefully": true}}});
    let verified = call(Method::POST, "runners/verify", verify).await;
    assert_eq!((verified.status, &verified.json()["id"]), (200, &json!(runner.id)));
    assert_eq!(call(Method::POST, "runners/verify", json!({"token": "glrt-x"})).await.status, 403);
    let shown = bench.user(Method::GET, &format!("runners/{}", runner.id), None).await.json();
    assert_eq!(shown["status"], "online");
    let manager = |system_id: &str| json!({"token": runner.token, "system_id": system_id});
    assert_eq!(call(Method::DELETE, "runners/managers", json!({"token": runner.token})).await.status, 400);
    assert_eq!(call(Method::DELETE, "runners/managers", manager("r_other0000000")).await.status, 404);
    assert_eq!(call(Method::DELETE, "runners/managers", manager("r_abcdefghijkl")).await.status, 204);
    assert_eq!(call(Method::DELETE, "runners/managers", manager("r_abcdefghijkl")).await.status, 404);
    let reset = call(Method::POST, "runners/reset_authentication_token", json!({"token": runner.token})).await;
    assert_eq!(reset.status, 201);
    assert_eq!(runner.ask().await.status, 403, "the old token dies at once");
    let fresh = reset.json()["token"].clone();
    assert_eq!(call(Method::DELETE, "runners", json!({"token": fresh})).await.status, 204);
    assert_eq!(call(Method::POST, "runners/verify", json!({"token": fresh})).await.status, 403);
}

#[tokio::test]
async fn it_speaks_tls_with_its_own_authority() {
    let bench = Bench::start_with(true).await;
    assert!(bench.url.starts_with("https://127.0.0.1:"));
    assert_eq!(bench.user(Method::GET, "version", None).await.status, 200);
}

#[tokio::test]
async fn it_listens_on_the_loopback_interface_only() {
    let dir = tempfile::tempdir().unwrap();
    let listen: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let options = Options { listen, state: dir.path().to_owned(), tls: false, admin_token: None, root: String::new() };
    assert!(matches!(Simulator::start(options.clone()).await, Err(StartError::NotLoopback(_))));
    for root in ["gitlab", "/gitlab/", "/", "/a b"] {
        let options = Options { listen: "127.0.0.1:0".parse().unwrap(), root: root.into(), ..options.clone() };
        assert!(matches!(Simulator::start(options).await, Err(StartError::Root(_))), "{root}");
    }
}

#[tokio::test]
async fn a_narrow_token_may_do_what_its_scopes_say_and_no_more() {
    let bench = Bench::start().await;
    let token = async |scopes: Value| {
        let made = bench.sim(Method::POST, "tokens", Some(json!({"scopes": scopes}))).await;
        made["token"].as_str().unwrap().to_owned()
    };
    let status = async |token: &str, method: Method, path: &str, body: Value| {
        let request = bench.request(method, &format!("/api/v4/{path}")).header("PRIVATE-TOKEN", token);
        bench.send(request.json(&body)).await.status
    };
    let new = json!({"runner_type": "instance_type"});
    for (scopes, reads, makes, ends) in [
        (json!(["api"]), 200, 201, 204),
        (json!(["read_api"]), 200, 403, 403),
        (json!(["create_runner"]), 403, 201, 403),
        (json!(["create_runner", "manage_runner"]), 403, 201, 204),
    ] {
        let (token, runner) = (token(scopes.clone()).await, bench.any_runner().await);
        let one = format!("runners/{}", runner.id);
        assert_eq!(status(&token, Method::GET, &one, json!({})).await, reads, "{scopes}");
        assert_eq!(status(&token, Method::POST, "user/runners", new.clone()).await, makes, "{scopes}");
        assert_eq!(status(&token, Method::DELETE, &one, json!({})).await, ends, "{scopes}");
    }
    let odd = bench.request(Method::POST, "/_sim/v1/tokens").json(&json!({"scopes": ["sudo"]}));
    assert_eq!(bench.send(odd).await.status, 400);
}

#[tokio::test]
async fn a_project_has_room_for_so_many_runners() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    bench.settings(json!({"registration_tokens": true, "runners_per_owner": 2})).await;
    let new = json!({"runner_type": "project_type", "project_id": project});
    assert_eq!(bench.user(Method::POST, "user/runners", Some(new.clone())).await.status, 201);
    let register =
        || bench.request(Method::POST, "/api/v4/runners").json(&json!({"token": format!("GR1348941{project}")}));
    let registered = bench.send(register()).await;
    assert_eq!(registered.status, 201);
    assert_eq!(bench.user(Method::POST, "user/runners", Some(new.clone())).await.status, 400);
    assert_eq!(bench.send(register()).await.status, 400);
    let end = bench.request(Method::DELETE, "/api/v4/runners").json(&json!({"token": registered.json()["token"]}));
    assert_eq!(bench.send(end).await.status, 204);
    assert_eq!(bench.send(register()).await.status, 201, "there is room again");
    let many: Vec<String> = (0..51).map(|n| format!("tag-{n}")).collect();
    let many = json!({"runner_type": "instance_type", "tag_list": many});
    assert_eq!(bench.user(Method::POST, "user/runners", Some(many)).await.status, 400);
}

#[tokio::test]
async fn below_a_relative_root_is_everything_and_beside_it_nothing() {
    let bench = Bench::start_at(false, "/gitlab").await;
    assert!(bench.url.ends_with("/gitlab"), "{}", bench.url);
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.runner(json!({"runner_type": "instance_type", "tag_list": ["lambda"]})).await;
    let job = runner.take().await;
    let repo = job.body["git_info"]["repo_url"].as_str().unwrap();
    assert!(repo.contains("/gitlab/acme/widget.git"), "{repo}");
    let refs = bench.http.get(format!("{repo}/info/refs?service=git-upload-pack"));
    assert_eq!(bench.send(refs).await.status, 200);
    let bare = bench.url.strip_suffix("/gitlab").unwrap();
    for path in ["/api/v4/version", "/gitlabx/api/v4/version", "/acme/widget.git/info/refs?service=git-upload-pack"] {
        let beside = bench.http.get(format!("{bare}{path}")).header("PRIVATE-TOKEN", &bench.admin);
        assert_eq!(bench.send(beside).await.status, 404, "{path}");
    }
    assert_eq!(bench.send(bench.http.get(format!("{bare}/_sim/v1/violations"))).await.status, 200);
}
