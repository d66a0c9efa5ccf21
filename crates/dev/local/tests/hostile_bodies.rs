//! An ordinary pipeline's job under every way to write a 201 body that the contract allows: the real runner brings it to
//! the same end, with the same log.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

mod support;

use hyper::Method;
use serde_json::{Value, json};
use support::{GitLab, comparable};

const FILE: &str = r#"
variables:
  FF_TIMESTAMPS: "false"
  GREETING: "hello $CI_PROJECT_PATH"
job:
  script:
    - echo "$GREETING; $HIDDEN; $CI_JOB_STAGE; $CI_JOB_TIMEOUT"
    - cat "$CONF" && ls && git log --format=%s
    - |
      for i in 1 2; do
        echo "loop $i"
      done
  after_script:
    - echo "after $CI_JOB_STATUS"
"#;

/// Sections that only the distorted body has: steps without anything to do.
fn without_unknown_steps(log: &str) -> String {
    let mut out = log.to_owned();
    for name in ["polish", "varnish"] {
        let end = format!("section_end::step_{name}\r\u{1b}[0K");
        if let (Some(from), Some(to)) = (out.find(&format!("section_start::step_{name}")), out.find(&end)) {
            out.replace_range(from..to + end.len(), "");
        }
    }
    out
}

#[tokio::test]
async fn a_job_is_the_same_however_its_body_is_written() {
    let gitlab = GitLab::start().await;
    let variables =
        json!({"HIDDEN": {"value": "hush-hush-42", "masked": true}, "CONF": {"value": "conf\n", "file": true}});
    let project = gitlab.project("acme/widget", &[(".gitlab-ci.yml", FILE)], variables).await;
    let runner = gitlab.runner().await;
    let mut expected = None;
    for settings in [
        json!({}),
        json!({"distort": ["null_arrays"]}),
        json!({"distort": ["missing_keys"]}),
        json!({"distort": ["duplicate_variables"]}),
        json!({"distort": ["unknown_enums"]}),
        json!({"distort": ["unknown_steps"]}),
        json!({"distort": ["unknown_keys"]}),
        json!({"distort": ["floats_for_ints"]}),
        json!({"long_tokens": true, "distort": []}),
        json!({"distort": ["null_arrays", "missing_keys", "duplicate_variables", "unknown_enums", "unknown_steps",
                           "unknown_keys", "floats_for_ints"]}),
    ] {
        gitlab.sim(Method::POST, "settings", settings.clone()).await;
        let pipeline = gitlab.sim(Method::POST, "pipelines", json!({"project": project})).await;
        let id = pipeline["jobs"][0]["id"].as_u64().unwrap();
        runner.run().await;
        let job = gitlab.job(id).await;
        assert_eq!((&job["status"], &job["exit_code"]), (&json!("success"), &json!(0)), "{settings}");
        let log = comparable(&gitlab.log(id).await, id, &runner.work);
        let log = without_unknown_steps(&log);
        for text in ["hello acme/widget; [MASKED]; test; 3600\n", "conf\n", "\nloop 2\n", "after success\n"] {
            assert!(log.contains(text), "{settings}: {text:?} in {log}");
        }
        assert_eq!(&log, expected.get_or_insert_with(|| log.clone()), "{settings}");
    }
    assert_eq!(gitlab.violations().await, Value::Array(Vec::new()));
}
