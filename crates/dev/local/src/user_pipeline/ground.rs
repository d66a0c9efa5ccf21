//! The user's function, role, bucket and repository, on a deployed stack.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hyper::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{UserPipeline, job_named};
use crate::aws::{ACCOUNT, IAM, REGION, SECRET};
use crate::gitlab::{NewHook, Simulator};
use crate::pipelines::repository;
use crate::seed::{self, DEFAULT_LANE, Hook, SeedError};
use crate::stack::Stack;
use crate::suite::SuiteError;
use crate::up;

/// The project that the role trusts.
pub(super) const PROJECT: &str = "acme/greeter";
/// One with the same repository, which it does not trust.
pub(super) const STRANGER: &str = "acme/stranger";
/// The function, as the example's file has it.
const FUNCTION: &str = "greeter";
const ROLE: &str = "greeter-deployer";
const BUCKET: &str = "artifacts";
/// How long one job or pipeline may take on a machine that does much else (s).
const LIMIT_S: u64 = 180;
/// What the project's variables beside AWS's leave on a job's `PATH`.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The ground.
pub(super) struct Ground<'a> {
    stack: &'a Stack,
    cli: PathBuf,
    work: PathBuf,
    pub(super) simulator: Simulator,
    /// Each project, with its pipelines whose rollback has not been played.
    projects: Vec<(&'static str, u64, RefCell<Vec<u64>>)>,
}

impl<'a> Ground<'a> {
    /// Deploys the stack and makes what somebody else's template would have made.
    pub(super) async fn prepare(wish: &UserPipeline, stack: &'a Stack) -> Result<Self, SuiteError> {
        let deployment = up::deploy(stack).await?;
        let hook = seed::seed(stack, &deployment, &[DEFAULT_LANE], true).await?;
        let gitlab = stack.gitlab().ok_or(SeedError::NoGitLab)?;
        let layout = stack.layout();
        let work = layout.tmp().join("user-pipeline");
        if work.exists() {
            fs::remove_dir_all(&work).map_err(SuiteError::machine(work.display()))?;
        }
        let cli = wish.cli.canonicalize().map_err(|source| SuiteError::Program { path: wish.cli.clone(), source })?;
        let source = repository(layout.source("pipelines").as_path(), &work).await?;
        let simulator = Simulator::new(gitlab);
        let mut ground = Self { stack, cli, work, simulator, projects: Vec::new() };
        ground.function(&layout.python()).await?;
        ground.role(&gitlab.url).await?;
        for path in [PROJECT, STRANGER] {
            let id = ground.project(path, &source, &hook).await?;
            ground.projects.push((path, id, RefCell::default()));
        }
        Ok(ground)
    }

    /// The bucket, and the function with code that nobody calls.
    async fn function(&self, python: &Path) -> Result<(), SuiteError> {
        let (code, zip) = (self.work.join("handler.py"), self.work.join("first.zip"));
        let write = fs::write(&code, "def handler(event, context):\n    return {}\n");
        write.map_err(SuiteError::machine(code.display()))?;
        let mut zipped = Command::new(python);
        zipped.args(["-m", "zipfile", "-c"]).arg(&zip).arg(&code);
        done(&mut zipped, python).await?;
        self.aws(&["s3", "mb", &format!("s3://{BUCKET}")]).await?;
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{FUNCTION}");
        let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"Service": "lambda.amazonaws.com"}}]});
        self.make_role(FUNCTION, &trust, None).await?;
        let zip = format!("fileb://{}", zip.display());
        let make = ["lambda", "create-function", "--function-name", FUNCTION, "--runtime", "python3.12"];
        self.aws(&[&make[..], &["--handler", "handler.handler", "--role", &role, "--zip-file", &zip]].concat()).await?;
        Ok(())
    }

    /// The role, with the trust and the rights that `docs/pipelines.md` names, and one for the emulator.
    async fn role(&self, gitlab: &str) -> Result<(), SuiteError> {
        let host = gitlab.split_once("://").map_or(gitlab, |(_, host)| host);
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{host}")},
            "Condition": {"StringEquals": {
                (format!("{host}:aud")): gitlab,
                (format!("{host}:sub")): format!("project_path:{PROJECT}:ref_type:branch:ref:main"),
            }},
        }]});
        let function = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}");
        let on_function = [
            "UpdateFunctionCode",
            "GetFunction",
            "GetFunctionConfiguration",
            "PublishVersion",
            "GetAlias",
            "CreateAlias",
            "UpdateAlias",
            "InvokeFunction",
            // What the emulator takes GetAlias and UpdateAlias for.
            "ListAliases",
        ];
        let rights = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": on_function.map(|action| format!("lambda:{action}")),
                "Resource": [function, format!("{function}:*")]},
            {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"],
                "Resource": format!("arn:aws:s3:::{BUCKET}/{FUNCTION}/*")},
        ]});
        self.make_role(ROLE, &trust, Some(&rights)).await
    }

    async fn make_role(&self, name: &str, trust: &Value, rights: Option<&Value>) -> Result<(), SuiteError> {
        let aws = self.stack.aws();
        let trust = trust.to_string();
        aws.query(IAM, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await?;
        if let Some(rights) = rights {
            let policy = [("RoleName", name), ("PolicyName", "rights"), ("PolicyDocument", &rights.to_string())];
            aws.query(IAM, "PutRolePolicy", &policy).await?;
        }
        Ok(())
    }

    /// A project of the repository, whose webhook goes to the stack.
    async fn project(&self, path: &str, source: &Path, hook: &Hook) -> Result<u64, SuiteError> {
        let variables = json!([
            {"key": "PATH", "value": format!("{}:{SYSTEM_PATH}", self.cli.display())},
            {"key": "AWS_ROLE_ARN", "value": format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}")},
            {"key": "AWS_ENDPOINT_URL", "value": self.stack.emulator()},
            {"key": "AWS_DEFAULT_REGION", "value": REGION},
            {"key": "ARTIFACT_BUCKET", "value": BUCKET},
        ]);
        let id = self.simulator.create_project(path, &source.display().to_string(), &variables).await?;
        let hook = NewHook {
            url: &hook.url,
            host_header: &hook.host_header,
            token: &hook.secret_token,
            signing_token: &hook.signing_token,
        };
        self.simulator.create_hook(id, &hook).await?;
        Ok(id)
    }

    /// Runs a pipeline with this folder as the function's source; its job that deploys, ended.
    pub(super) async fn deploy(&self, project: &str, source: &str) -> Result<Value, SuiteError> {
        let (id, pipelines) = self.project_named(project)?;
        let wish = json!({"project": id, "variables": [{"key": "SOURCE", "value": source}]});
        let made = self.simulator.call(Method::POST, "/_sim/v1/pipelines", &wish).await?;
        let pipeline = made["id"].as_u64().unwrap_or_default();
        pipelines.borrow_mut().push(pipeline);
        let ended = self.simulator.pipeline(pipeline, LIMIT_S).await?;
        job_named(&ended, "deploy").cloned().ok_or_else(|| refused("the pipeline", &ended.to_string()))
    }

    /// Plays the newest job that rolls back; it, ended.
    pub(super) async fn roll_back(&self, project: &str) -> Result<Value, SuiteError> {
        let (id, pipelines) = self.project_named(project)?;
        let pipeline = pipelines.borrow_mut().pop().ok_or_else(|| refused(project, "no pipeline is left"))?;
        let shown = self.simulator.pipeline(pipeline, 0).await?;
        let job = job_named(&shown, "rollback").and_then(|job| job["id"].as_u64());
        let job = job.ok_or_else(|| refused("the pipeline", &shown.to_string()))?;
        self.simulator.play(id, job).await?;
        let path = format!("/_sim/v1/jobs/{job}?wait_s={LIMIT_S}");
        Ok(self.simulator.call(Method::GET, &path, &Value::Null).await?)
    }

    /// How the job ended that tests before this one.
    pub(super) async fn tests_of(&self, job: &Value) -> Result<Value, SuiteError> {
        let shown = self.simulator.pipeline(job["pipeline"].as_u64().unwrap_or_default(), 0).await?;
        Ok(job_named(&shown, "test").map_or(Value::Null, |job| job["status"].clone()))
    }

    /// A job's log.
    pub(super) async fn log(&self, job: &Value) -> Result<String, SuiteError> {
        let log = self.simulator.job_log(job["id"].as_u64().unwrap_or_default()).await?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// What callers of the alias get, or how they are refused.
    pub(super) async fn callers(&self) -> Result<String, SuiteError> {
        let answer = self.work.join("answer");
        let to = answer.display().to_string();
        let call = ["lambda", "invoke", "--function-name", FUNCTION, "--qualifier", "live"];
        match self.aws(&[&call[..], &["--payload", r#"{"name": "you"}"#, &to]].concat()).await {
            Err(SuiteError::Refused { said, .. }) => return Ok(said),
            called => called?,
        }
        fs::read_to_string(&answer).map_err(SuiteError::machine(answer.display()))
    }

    fn project_named(&self, path: &str) -> Result<(u64, &RefCell<Vec<u64>>), SuiteError> {
        let found = self.projects.iter().find(|(name, ..)| *name == path);
        found.map(|(_, id, pipelines)| (*id, pipelines)).ok_or_else(|| refused(path, "there is no such project"))
    }

    /// The AWS CLI, as the emulator's administrator.
    async fn aws(&self, words: &[&str]) -> Result<(), SuiteError> {
        let program = self.cli.join("aws");
        let mut command = Command::new(&program);
        command
            .args(words)
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("AWS_ENDPOINT_URL", self.stack.emulator())
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        done(&mut command, &program).await
    }
}

fn refused(what: &str, said: &str) -> SuiteError {
    SuiteError::Refused { what: what.to_owned(), said: said.to_owned() }
}

/// Runs a program to its end, which must be a good one.
async fn done(command: &mut Command, program: &Path) -> Result<(), SuiteError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|source| SuiteError::Program { path: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let words: Vec<_> = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    Err(refused(&words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// The example's repository as somebody would make it: with our two files, and here with all versions of its function at
/// once, a folder each.
async fn repository(pipelines: &Path, work: &Path) -> Result<PathBuf, SuiteError> {
    let files = work.join("files");
    let bad = |path: &Path| SuiteError::machine(path.display().to_string());
    let from = pipelines.join("example");
    let handler = from.join("src/handler.py");
    let first = fs::read_to_string(&handler).map_err(bad(&handler))?;
    let versions = [
        ("src", first.clone()),
        ("next", first.replace("\"hello\"", "\"good day\"")),
        ("wrong", first.replace("\"hello\"", "\"\"")),
        ("broken", "def handler(\n".to_owned()),
    ];
    for (folder, text) in versions {
        let folder = files.join(folder);
        fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("handler.py"), text)).map_err(bad(&folder))?;
    }
    fs::create_dir_all(files.join("pipelines")).map_err(bad(&files))?;
    for (from, to) in [
        (from.join(".gitlab-ci.yml"), ".gitlab-ci.yml"),
        (from.join("src/test_handler.py"), "src/test_handler.py"),
        (pipelines.join("lambda.gitlab-ci.yml"), "pipelines/lambda.gitlab-ci.yml"),
        (pipelines.join("lambda.sh"), "pipelines/lambda.sh"),
    ] {
        fs::copy(&from, files.join(to)).map_err(bad(&from))?;
    }
    Ok(repository::commit(&files, &work.join("repository")).await?)
}
