//! Artifacts between the client and a simulated GitLab.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

#[path = "suite/simulator.rs"]
mod simulator;

use std::io;

use reqwest::Method;
use runnerless_gitlab::protocol::{
    ArtifactAnswer, ArtifactForm, Assignment, Client, ClientConfig, Downloaded, Info, Secret, TransportError,
};
use serde_json::{Value, json};
use simulator::GitLab;
use tokio::sync::mpsc::channel;

const FILE: &str = r#"
stages: [build, test]
build: {stage: build, script: ["true"], artifacts: {paths: [x]}}
unit: {stage: test, needs: [], script: ["true"], dependencies: []}
"#;

/// A client that trusts what this GitLab was made with.
fn client(gitlab: &GitLab, tls: bool) -> Client {
    let mut config = ClientConfig::new(&gitlab.url, Info::new("runnerless", "1", ""));
    config.ca_pem = tls.then(|| std::fs::read(gitlab.ca_file()).unwrap());
    Client::new(config).unwrap()
}

async fn running(gitlab: &GitLab, client: &Client) -> Assignment {
    use runnerless_gitlab::protocol::{Requested, Update};
    gitlab.pipeline(gitlab.project("acme/widgets", FILE).await).await;
    let runner = gitlab.runner(&[]).await;
    let Requested::Job(job) = client.request_job(&runner.token, Some(simulator::SYSTEM_ID)).await.unwrap() else {
        panic!("there is no job for this runner")
    };
    client.update_job(job.id, &job.token, Update::ACCEPT).await.unwrap();
    *job
}

async fn upload(
    client: &Client,
    job: &Assignment,
    kind: &str,
    parts: Vec<io::Result<Vec<u8>>>,
) -> Result<ArtifactAnswer, TransportError> {
    let (sender, content) = channel(1);
    let sending = tokio::spawn(async move {
        for part in parts {
            if sender.send(part).await.is_err() {
                return;
            }
        }
    });
    let form = ArtifactForm { filename: "my \"art\".zip", format: "zip", kind, expire_in: "1 week" };
    let answer = client.upload_artifact(job.id, &job.token, &form, content).await;
    sending.await.unwrap();
    answer
}

async fn violations(gitlab: &GitLab) -> Value {
    gitlab.call(Method::GET, "_sim/v1/violations", Value::Null).await
}

async fn content(downloaded: Downloaded) -> (Vec<u8>, Option<String>) {
    let Downloaded::File(mut file) = downloaded else { panic!("no file: {downloaded:?}") };
    let mut bytes = Vec::new();
    while let Some(part) = file.content.part().await.unwrap() {
        bytes.extend_from_slice(part.as_ref());
    }
    (bytes, file.host)
}

#[tokio::test]
async fn what_is_uploaded_in_parts_comes_back_whole() {
    for tls in [false, true] {
        let gitlab = if tls { GitLab::start_tls().await } else { GitLab::start().await };
        let client = client(&gitlab, tls);
        let job = running(&gitlab, &client).await;
        let whole: Vec<u8> = b"PK".iter().copied().cycle().take(200_000).collect();
        let parts = whole.chunks(70_000).map(|part| Ok(part.to_vec())).collect();
        let answer = upload(&client, &job, "archive", parts).await.unwrap();
        assert_eq!((answer.status, answer.said.as_str()), (201, "201 Created"));
        let shown = gitlab.call(Method::GET, &format!("_sim/v1/jobs/{}", job.id), Value::Null).await;
        assert_eq!(shown["artifacts"][0]["filename"], "my \"art\".zip");

        // By GitLab's own server, and from where it is stored: with GitLab's private authority and without its token.
        for (stored, direct) in [(false, true), (true, false), (true, true)] {
            gitlab.call(Method::POST, "_sim/v1/settings", json!({"object_storage": stored})).await;
            let (bytes, host) = content(client.download_artifact(job.id, &job.token, direct).await.unwrap()).await;
            assert!(bytes == whole, "{stored} {direct}: {} bytes", bytes.len());
            assert_eq!(host.is_some(), stored && direct);
        }
        assert_eq!(violations(&gitlab).await, json!([]));
    }
}

#[tokio::test]
async fn refusals_keep_gitlabs_words() {
    let gitlab = GitLab::start().await;
    let client = client(&gitlab, false);
    let job = running(&gitlab, &client).await;
    gitlab.call(Method::POST, "_sim/v1/settings", json!({"artifact_limit_bytes": 3})).await;
    let answer = upload(&client, &job, "archive", vec![Ok(b"PK too large".to_vec())]).await.unwrap();
    assert_eq!((answer.status, answer.said.as_str()), (413, "413 Request Entity Too Large"));
    let Downloaded::Refused(answer) = client.download_artifact(job.id, &job.token, true).await.unwrap() else {
        panic!("there is no archive")
    };
    assert_eq!((answer.status, answer.said.as_str()), (404, "404 Not Found"));
    let Downloaded::Refused(answer) = client.download_artifact(job.id, &Secret::new("x"), true).await.unwrap() else {
        panic!("a stranger's token")
    };
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn content_that_breaks_off_leaves_nothing_behind() {
    let gitlab = GitLab::start().await;
    let client = client(&gitlab, false);
    let job = running(&gitlab, &client).await;
    let broken = vec![Ok(b"PK".to_vec()), Err(io::Error::other("the file is gone"))];
    assert!(upload(&client, &job, "archive", broken).await.is_err());
    let shown = gitlab.call(Method::GET, &format!("_sim/v1/jobs/{}", job.id), Value::Null).await;
    assert_eq!(shown["artifacts"], json!([]));
    let answer = upload(&client, &job, "archive", vec![Ok(b"PK whole".to_vec())]).await.unwrap();
    assert_eq!(answer.status, 201, "and another attempt is free");
}
