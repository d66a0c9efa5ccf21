//! Jobs from case files.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;

async fn case(bench: &Bench, case: Value) -> u64 {
    bench.sim(Method::POST, "jobs", Some(case)).await["job"].as_u64().unwrap()
}

#[tokio::test]
async fn a_case_is_pending_at_once_and_its_keys_replace_those_of_the_body() {
    let bench = Bench::start().await;
    let id = case(&bench, json!({
        "about": "x", "probe": "first", "limit": 60, "expect": {"state": "success"},
        "script": ["echo first"], "after_script": ["echo after"], "timeout": 4, "interval": 1,
        "variables": {"PLAIN": "a", "HIDDEN": {"value": "hush-hush-42", "masked": true}, "F": {"value": "x", "file": true},
                      "R": {"value": "$CI_PROJECT_ID", "raw": true}, "REF": {"value": "project $CI_PROJECT_ID"}},
        "repo": {"dir/file.txt": "content\n"},
        "job": {"cache": [{"key": "k"}]},
    })).await;
    let runner = bench.runner(json!({"runner_type": "instance_type", "tag_list": ["x"], "run_untagged": false})).await;
    let job = runner.take().await;
    assert_eq!(job.id, id);
    let body = &job.body;
    assert_eq!((&body["runner_info"]["timeout"], &body["cache"][0]["key"]), (&json!(4), &json!("k")));
    let variable = |key: &str| body["variables"].as_array().unwrap().iter().rfind(|v| v["key"] == key).unwrap().clone();
    assert_eq!(variable("REF")["value"], "project 380");
    assert_eq!((&variable("R")["value"], &variable("R")["raw"]), (&json!("$CI_PROJECT_ID"), &json!(true)));
    assert_eq!(variable("HIDDEN")["masked"], true);
    assert_eq!(variable("F")["file"], true);
    let refs = format!("{}/info/refs?service=git-upload-pack", body["git_info"]["repo_url"].as_str().unwrap());
    let refs = bench.send(bench.http.get(refs)).await;
    assert_eq!(refs.status, 200);
    assert!(refs.text.contains(body["git_info"]["sha"].as_str().unwrap()));
    assert_eq!(job.put(json!({"state": "running"})).await.header("x-gitlab-trace-update-interval"), Some("1"));
}

#[tokio::test]
async fn prepared_faults_happen_once() {
    let bench = Bench::start().await;
    case(&bench, json!({"script": ["x"], "faults": {"drop_trace": 1, "rewind_at_patch": 3, "put_202": 2}})).await;
    let job = bench.any_runner().await.take().await;
    assert_eq!(job.patch(0, "12345678").await.status, 502);
    assert_eq!(job.patch(0, "12345678").await.status, 202);
    let rewound = job.patch(8, "9").await;
    assert_eq!((rewound.status, rewound.header("range")), (416, Some("0-4")));
    assert_eq!(job.patch(4, "56789").await.header("range"), Some("0-9"));
    let checksum = format!("crc32:{:08x}", crc32fast::hash(b"123456789"));
    let report = json!({"state": "success", "output": {"checksum": checksum, "bytesize": 9}});
    for expected in [202, 202, 200] {
        assert_eq!(job.put(report.clone()).await.status, expected);
    }
    assert_eq!(bench.violations().await, [""; 0]);
}

#[tokio::test]
async fn a_dependencys_zip_and_artifacts() {
    let bench = Bench::start().await;
    case(
        &bench,
        json!({
            "script": ["x"], "download": {"from/earlier.txt": "earlier\n"},
            "job": {"dependencies": [{"id": 190_001, "name": "build", "token": "glcbt-66_given",
                                      "artifacts_file": {"filename": "artifacts.zip", "size": 150}}]},
        }),
    )
    .await;
    let job = bench.any_runner().await.take().await;
    let get = |token: &str| {
        let request = bench.request(Method::GET, "/api/v4/jobs/190001/artifacts?direct_download=true");
        bench.send(request.header("JOB-TOKEN", token.to_owned()))
    };
    for token in ["glcbt-66_given", job.token.as_str()] {
        let zip = get(token).await;
        assert_eq!((zip.status, zip.header("content-type")), (200, Some("application/zip")));
        assert!(zip.text.contains("from/earlier.txtearlier\n"));
    }
    assert_eq!(get("glcbt-66_other").await.status, 403);

    let upload = |body: &str, filename: &str| {
        let part = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\r\n{body}\r\n--b--\r\n"
        );
        let path = format!("/api/v4/jobs/{}/artifacts?artifact_format=zip&artifact_type=archive", job.id);
        let request = bench.request(Method::POST, &path).header("JOB-TOKEN", &job.token);
        bench.send(request.header("Content-Type", "multipart/form-data; boundary=b").body(part))
    };
    assert_eq!(upload("not a zip", "artifacts.zip").await.status, 400);
    assert_eq!(upload("PK one", "artifacts.zip").await.status, 201);
    assert_eq!(upload("PK one", "artifacts.zip").await.status, 201, "the same file again is a resend");
    assert_eq!(upload("PK two", "artifacts.zip").await.status, 400);
    let path = format!("/api/v4/jobs/{}/artifacts", job.id);
    let own = bench.send(bench.request(Method::GET, &path).header("JOB-TOKEN", &job.token)).await;
    assert_eq!((own.status, own.text.as_str()), (200, "PK one"));
    bench.settings(json!({"artifact_limit_bytes": 3})).await;
    assert_eq!(upload("PK three", "artifacts.zip").await.status, 413);
}

#[tokio::test]
async fn a_case_can_be_cancelled_after_its_201() {
    let bench = Bench::start().await;
    case(&bench, json!({"script": ["x"], "cancel_after": 0.05})).await;
    let job = bench.any_runner().await.take().await;
    let seen = bench.sim(Method::GET, &format!("jobs/{}?wait_s=30&until=canceling", job.id), None).await;
    assert_eq!(seen["status"], "canceling");
    assert_eq!(job.end("failed").await.header("job-status"), Some("canceled"));
}

#[tokio::test]
async fn an_archive_in_object_storage_is_for_who_has_the_link_and_brings_no_token() {
    let bench = Bench::start().await;
    bench.settings(json!({"object_storage": true})).await;
    let dependency = json!({"id": 190_001, "name": "build", "token": "glcbt-66_given",
                            "artifacts_file": {"filename": "artifacts.zip", "size": 150}});
    case(&bench, json!({"script": ["x"], "download": {"a.txt": "stored\n"}, "job": {"dependencies": [dependency]}}))
        .await;
    let job = bench.any_runner().await.take().await;
    let quiet = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = |url: &str| quiet.get(url.to_owned());
    let call = format!("{}/api/v4/jobs/190001/artifacts", bench.url);
    let plain = bench.send(get(&call).header("JOB-TOKEN", &job.token)).await;
    assert_eq!(plain.status, 200, "through GitLab where no direct download is asked for");
    let sent = bench.send(get(&format!("{call}?direct_download=true")).header("JOB-TOKEN", &job.token)).await;
    let link = sent.header("location").unwrap().to_owned();
    assert_eq!(sent.status, 302);
    assert!(!link.starts_with(&bench.url), "{link}");
    assert!(bench.send(get(&link)).await.text.contains("a.txtstored\n"));
    assert_eq!(bench.send(get(link.split('?').next().unwrap())).await.status, 403);
    assert_eq!(bench.violations().await, [""; 0]);
    assert_eq!(bench.send(get(&link).header("JOB-TOKEN", &job.token)).await.status, 400);
    assert_eq!(bench.violations().await, ["secret_abroad"]);
}
