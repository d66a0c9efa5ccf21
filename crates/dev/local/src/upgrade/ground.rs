//! The stack under the upgrade: two lanes with half of the jobs each, whose scripts wait at a gate.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::deploy::{Deployment, Release};
use crate::field::{self, Field, Plot};
use crate::instance_cases::gate::Gate;
use crate::instances::Ec2;
use crate::seed::Target;
use crate::stack::Stack;
use crate::suite::SuiteError;
use crate::up;

/// The project of the jobs.
const PROJECT: &str = "acme/upgrade";
/// What some scripts end with.
pub(super) const FAILS: i64 = 3;
/// Longer than jobs take to begin, or to end, on a machine that does much else.
pub(super) const LIMIT: Duration = Duration::from_secs(180);

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) on_instance: bool,
    /// What its script ends with.
    pub(super) exit_code: i64,
}

/// The stack, ready for the upgrade.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) field: Field<'a>,
    pub(super) ec2: Ec2,
    pub(super) jobs: Vec<Job>,
    gate: Gate,
}

/// Deploys the earlier release, whose runner is on the image of its instances. What was deployed, and which builds.
pub(super) async fn deploy_before(
    stack: &Stack,
    before: &Path,
) -> Result<(BTreeMap<String, String>, Deployment), SuiteError> {
    // Functions are started in folders of their own.
    let before = before.canonicalize().map_err(SuiteError::machine(before.display()))?;
    let release = Release { source: before.join("source"), programs: before.join("target/release") };
    let (image, runner) = (stack.layout().image(), "runnerless-runner");
    let put =
        std::fs::create_dir_all(&image).and_then(|()| std::fs::copy(release.programs.join(runner), image.join(runner)));
    put.map_err(SuiteError::machine(image.display()))?;
    let deployment = up::deploy_release(stack, Some(&release)).await?;
    Ok((digests(&stack.aws(), &deployment).await?, deployment))
}

/// Deploys this release, and its image. Which builds there are then.
pub(super) async fn deploy_after(stack: &Stack) -> Result<BTreeMap<String, String>, SuiteError> {
    let image = stack.layout().image();
    std::fs::remove_dir_all(&image).map_err(SuiteError::machine(image.display()))?;
    let deployment = up::deploy_release(stack, None).await?;
    digests(&stack.aws(), &deployment).await
}

/// The digest of each function's code.
async fn digests(aws: &Aws, deployment: &Deployment) -> Result<BTreeMap<String, String>, SuiteError> {
    let mut digests = BTreeMap::new();
    for (id, function) in &deployment.functions {
        let path = format!("/2015-03-31/functions/{}/configuration", function.name);
        let shown = aws.get("lambda", &path, "").await?;
        digests.insert(id.clone(), shown["CodeSha256"].as_str().unwrap_or_default().to_owned());
    }
    Ok(digests)
}

impl<'a> Ground<'a> {
    /// Makes the lanes and the jobs: three in five on Lambda, the others on instances.
    pub(super) async fn prepare(
        stack: &'a Stack,
        deployment: &'a Deployment,
        number: usize,
    ) -> Result<Self, SuiteError> {
        let jobs: Vec<Job> = (1..=number)
            .map(|n| Job {
                name: format!("job-{n}"),
                on_instance: n % 5 >= 3,
                exit_code: if n % 5 == 0 || n % 10 == 3 { FAILS } else { 0 },
            })
            .collect();
        let executor = field::function(deployment, "Executor")?.arn.clone();
        let instance = Target::Instance { market: None, timeout_s: None, own_runner: false };
        let gate = Gate::new().await.map_err(SuiteError::machine("a port of loopback"))?;
        let folder = stack.layout().tmp().join("upgrade");
        let file: String = jobs.iter().map(|job| described(job, &gate)).collect();
        let plot = |job| plot(job, instance, &executor);
        let plots: Vec<Plot<'_>> = jobs.iter().map(plot).collect();
        let field = Field::prepare(stack, deployment, PROJECT, &plots, &folder, &file).await?;
        Ok(Self { field, ec2: Ec2::new(stack.aws()), jobs, gate })
    }

    /// People play these jobs.
    pub(super) async fn start(&self, jobs: &[Job]) -> Result<(), SuiteError> {
        for job in jobs {
            self.field.start(self.field.job_id(&job.name)?).await?;
        }
        Ok(())
    }

    /// Waits until all of their scripts stand at the gate.
    pub(super) async fn all_run(&self, jobs: &[Job]) -> Result<(), SuiteError> {
        for job in jobs {
            if !self.gate.is_there(&job.name).await {
                return Err(SuiteError::Late(LIMIT.as_secs(), format!("the script of {} runs", job.name)));
            }
        }
        Ok(())
    }

    /// Lets all scripts go on.
    pub(super) fn go_on(&self) {
        self.jobs.iter().for_each(|job| self.gate.let_through(&job.name));
    }

    /// A job's log.
    pub(super) async fn log(&self, job: u64) -> Result<String, SuiteError> {
        Ok(String::from_utf8_lossy(&self.field.simulator.job_log(job).await?).into_owned())
    }

    /// GitLab's runners.
    pub(super) async fn runners(&self) -> Result<Vec<Value>, SuiteError> {
        let all = self.field.simulator.call(Method::GET, "/_sim/v1/runners", &json!(null)).await?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }
}

fn plot<'p>(job: &'p Job, instance: Target<'p>, executor: &'p str) -> Plot<'p> {
    let (lane, target) = match job.on_instance {
        true => ("instance", instance),
        false => ("lambda", Target::Function(executor)),
    };
    Plot { id: &job.name, lane, target, has_token: true }
}

/// The first and the last word of a job's script.
pub(super) fn words(job: &Job) -> [String; 2] {
    ["begins", "ends"].map(|word| format!("{} really {word}", job.name))
}

/// Its description in the `.gitlab-ci.yml`. The words are made by the script, so that the log has them once.
fn described(job: &Job, gate: &Gate) -> String {
    let Job { name, on_instance, exit_code } = job;
    let tag = if *on_instance { "instance" } else { "lambda" };
    let quoted = |line: &str| line.replace('\\', "\\\\").replace('"', "\\\"");
    let say = |word: &str| quoted(&format!("printf '%s real%s {word}\\n' \"$CI_JOB_NAME\" ly"));
    format!(
        "{name}:\n  when: manual\n  tags: [{tag}]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - \"{}\"\n    - \"{}\"\n    - \"{}\"\n    - \"exit {exit_code}\"\n",
        say("begins"),
        quoted(&gate.script()),
        say("ends"),
    )
}
