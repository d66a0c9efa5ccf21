//! What this runner does not do, said clearly: refused where the job would run without what it needs, warned about
//! where it would only leave less behind.

use runnerless_gitlab::protocol::{Dependency, JobBody};

use super::{Stages, Step};
use crate::config::ImagePolicy;
use crate::verdict::Verdict;

/// Whether the job names images; the error is the sentence about it.
pub(super) fn images(policy: ImagePolicy, body: &JobBody) -> Result<(), String> {
    let image = body.image.iter().map(|image| image.name.as_str()).filter(|name| !name.is_empty());
    let services = body.services.iter().map(|service| service.name.as_str()).filter(|name| !name.is_empty());
    let (image, services): (Vec<_>, Vec<_>) = (image.collect(), services.collect());
    let what = match (image.is_empty(), services.is_empty()) {
        (true, true) => return Ok(()),
        (false, true) => format!("image: {}", image[0]),
        (true, false) => format!("services: {}", services.join(", ")),
        (false, false) => format!("image: {} and services: {}", image[0], services.join(", ")),
    };
    Err(match policy {
        ImagePolicy::Fail => format!(
            "the job names {what}, and this runner has a shell, not containers. Remove it from the job (a default: \
             section may set it), or give the job tags of a runner with containers"
        ),
        ImagePolicy::Warn | ImagePolicy::Ignore => {
            format!("the job names {what}, and this runner has a shell, not containers: the script runs without it")
        }
    })
}

/// Jobs whose work this runner does not understand.
pub(super) fn unknown_work(body: &JobBody) -> Step {
    let refuse = |sentence: &str| Err(Verdict::Configuration(sentence.to_owned()));
    if !body.run.trim().is_empty() {
        return refuse(
            "the job uses `run:`, and this runner executes `script:` only. Use script, or a runner with CI functions",
        );
    }
    let mut lines = body.steps.iter().flat_map(|step| &step.script);
    if !body.inputs.is_empty() && lines.any(|line| line.contains("${{") && line.contains("job.inputs")) {
        return refuse(
            "the script uses `${{ job.inputs }}`, which this runner does not fill in. Use variables instead",
        );
    }
    if body.steps.is_empty() {
        return refuse("GitLab handed out a job without any step");
    }
    Ok(())
}

/// A job must not run without its inputs.
pub(super) fn dependencies(body: &JobBody, stages: &Stages) -> Step {
    let has_file =
        |dependency: &&Dependency| dependency.artifacts_file.as_ref().is_some_and(|file| !file.filename.is_empty());
    let needed: Vec<&str> =
        body.dependencies.iter().filter(has_file).map(|dependency| dependency.name.as_str()).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let section = stages.open("download_artifacts", "Downloading artifacts");
    section.close();
    Err(Verdict::Configuration(format!(
        "the job needs artifacts of {}, and this version of the runner does not download artifacts. Set `dependencies: []` \
         (or `needs: [{{job: ..., artifacts: false}}]`) if it can do without, or use another runner",
        needed.join(", ")
    )))
}

/// Caches and artifacts that the job wants kept.
pub(super) fn keepsakes(body: &JobBody, stages: &Stages, succeeded: bool) {
    let (cache, upload, end) = if succeeded {
        ("archive_cache", "upload_artifacts_on_success", "successful")
    } else {
        ("archive_cache_on_failure", "upload_artifacts_on_failure", "failed")
    };
    if succeeded && !body.cache.is_empty() {
        let section = stages.open(cache, &format!("Saving cache for {end} job"));
        stages.log().warn("this version of the runner keeps no caches: nothing was saved");
        section.close();
    }
    if body.artifacts.iter().any(|entry| is_due(entry, succeeded)) {
        let section = stages.open(upload, &format!("Uploading artifacts for {end} job"));
        stages
            .log()
            .warn("this version of the runner does not upload artifacts: later jobs and reports will not have them");
        section.close();
    }
}

/// Whether an artifact's `when` asks for it after this end.
fn is_due(entry: &serde_json::Value, succeeded: bool) -> bool {
    match entry.get("when").and_then(serde_json::Value::as_str) {
        Some("always") => true,
        Some("on_failure") => !succeeded,
        _ => succeeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> JobBody {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_sentence_about_images_names_them_and_the_cure() {
        let job = body(r#"{"image":{"name":"rust:1"},"services":[{"name":"redis:7"}]}"#);
        let sentence = images(ImagePolicy::Fail, &job).unwrap_err();
        assert!(sentence.contains("rust:1") && sentence.contains("redis:7") && sentence.contains("tags"), "{sentence}");
        assert!(images(ImagePolicy::Fail, &body("{}")).is_ok());
        assert!(images(ImagePolicy::Fail, &body(r#"{"image":{"name":""}}"#)).is_ok());
    }

    #[test]
    fn work_that_is_not_a_script_is_refused() {
        let script = r#""steps":[{"name":"script","script":["echo ${{ job.inputs.flavour }}"]}]"#;
        for job in
            [r#"{"run":"[{}]"}"#.to_owned(), "{}".to_owned(), format!(r#"{{"inputs":[{{"key":"flavour"}}],{script}}}"#)]
        {
            assert!(matches!(unknown_work(&body(&job)), Err(Verdict::Configuration(_))), "{job}");
        }
        assert!(unknown_work(&body(&format!("{{{script}}}"))).is_ok());
    }

    #[test]
    fn artifacts_are_due_by_their_when() {
        for (when, on_success, on_failure) in
            [("on_success", true, false), ("on_failure", false, true), ("always", true, true), ("new", true, false)]
        {
            let entry = serde_json::json!({"when": when});
            assert_eq!((is_due(&entry, true), is_due(&entry, false)), (on_success, on_failure), "{when}");
        }
        assert!(is_due(&serde_json::json!({"when": null}), true));
    }
}
