//! Pipelines of the simulator through the command, one after the other in one work folder.

use std::process::Stdio;

use crate::simulator::GitLab;
use reqwest::Method;
use tokio::process::Command;

const FILE: &str = "\
deps:
  script:
  - test -e vendor/lib && state=found || state=made
  - echo it was $state
  - mkdir -p vendor && touch vendor/lib
  cache:
  - {key: $CI_JOB_NAME, paths: [vendor/], fallback_keys: [other]}
";

#[tokio::test]
async fn a_pipeline_finds_what_the_one_before_saved() {
    let (gitlab, folder) = (GitLab::start().await, tempfile::tempdir().unwrap());
    let project = gitlab.project("acme/widgets", FILE).await;
    let runner = gitlab.runner(&[]).await;
    std::fs::write(folder.path().join("token"), runner.token.expose()).unwrap();
    for (script, restored, saved) in [
        ("it was made", "Checking cache for other-protected...", "Creating cache deps-protected..."),
        ("it was found", "Successfully extracted cache", "Created cache"),
    ] {
        let job = gitlab.pipeline(project).await[0].1;
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-runner"));
        command.args(["once", "--url", &gitlab.url, "--wait", "0"]);
        command.arg("--token-file").arg(folder.path().join("token"));
        command.arg("--work").arg(folder.path().join("work")).stdin(Stdio::null());
        assert!(command.output().await.unwrap().status.success());
        let log = gitlab.text(Method::GET, &format!("api/v4/projects/{project}/jobs/{job}/trace")).await;
        assert_eq!(gitlab.job(project, job).await["status"], "success", "{log}");
        for text in [script, restored, saved] {
            assert!(log.contains(text), "{text:?} in {log}");
        }
    }
}
