//! What this runner does not do, said clearly: refused where the job would run without what it needs.

use runnerless_gitlab::protocol::JobBody;

use super::Step;
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
}
