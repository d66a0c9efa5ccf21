//! The executor where nothing is but what Lambda's `provided.al2023` has, without a layer and with ours.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runnerless_local::bare::{self, Bare, NoBare};
use runnerless_local::desk::{Desk, Fate, Run, Sandbox};
use runnerless_local::layout::Layout;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than any job here takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);

/// A state folder, which goes with this.
struct State(Layout);

impl State {
    fn new(name: &str) -> Self {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let state = format!(".local/tests/{name}-{}", std::process::id());
        Self(Layout::new(&checkout, Path::new(&state)).unwrap())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.state());
    }
}

fn programs() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_runnerless-local")).parent().unwrap();
    assert!(programs.join("executor").is_file(), "the executor is not there: run `make test`, or `make build` first");
    programs.to_owned()
}

/// A desk whose executor is in there; none where this machine cannot show it, which is said.
async fn desk(state: &State, layer: Result<Option<PathBuf>, NoBare>) -> Option<Desk> {
    let bare = match layer {
        Ok(layer) => Bare::new(&state.0, &state.0.at("bare"), &programs().join("executor"), layer).await,
        Err(why) => Err(why),
    };
    match bare {
        Ok(bare) => Some(Desk::start(state.0.clone(), &programs(), bare, Sandbox::Shared).await.unwrap()),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// The log without colours and marks.
fn text(run: &Run) -> String {
    let mut text = String::from_utf8_lossy(&run.log).into_owned();
    for mark in ["\u{1b}[0K", "\u{1b}[32;1m", "\u{1b}[0;33m", "\u{1b}[0;m", "\r"] {
        text = text.replace(mark, "");
    }
    text
}

fn of_script(lines: &[&str]) -> Value {
    json!({"script": lines, "variables": {"GIT_STRATEGY": "none", "FF_TIMESTAMPS": "false"}})
}

async fn run(desk: &mut Desk, job: &Value) -> (String, Value) {
    let run = desk.run(job, LIMIT).await.unwrap();
    assert!(matches!(run.fate, Fate::Answered(_)), "{:?}: {}", run.fate, text(&run));
    assert_eq!(run.violations, [] as [String; 0]);
    (text(&run), run.seen)
}

#[tokio::test]
async fn a_job_finds_what_lambda_has_and_nothing_more() {
    let state = State::new("bare");
    let Some(mut desk) = desk(&state, Ok(None)).await else { return };

    let (log, seen) = run(
        &mut desk,
        &of_script(&[
            r#"echo "user=$(id -u):$(id -g) groups=$(id -G) home=$HOME""#,
            r#"for command in git tar gzip unzip jq python3 perl find which ps ssh node; do type -P "$command" || true; done"#,
            "type -P bash curl grep sed awk sort | wc -l",
            "for folder in / /usr/bin /var/task /opt /var/tmp /run /dev; do ! touch $folder/x 2>/dev/null || echo writes $folder; done",
            r#"df --output=size -m /tmp | tail -n 1"#,
            "ls /dev/shm 2>&1 || true",
            "ls -A /opt | wc -l",
            "echo left > /tmp/left",
            "exit 3",
        ]),
    )
    .await;
    assert_eq!((&seen["status"], &seen["exit_code"]), (&json!("failed"), &json!(3)), "{log}");
    for line in
        ["user=993:990 groups=990 home=/tmp/runnerless/l-", "\n6\n", " 512\n", "cannot access '/dev/shm'", "\n0\n"]
    {
        assert!(log.contains(line), "{line:?} in {log}");
    }
    assert!(
        !log.contains("\n/usr/bin/git\n") && !log.contains("writes /") && !log.contains("\n/usr/bin/tar\n"),
        "{log}"
    );

    let (log, seen) = run(&mut desk, &of_script(&["ls /tmp/left 2>&1 || true", "unzip nothing.zip"])).await;
    assert_eq!((&seen["status"], &seen["exit_code"]), (&json!("failed"), &json!(127)), "{log}");
    assert!(log.contains("cannot access '/tmp/left'"), "the job before left something: {log}");
    assert!(
        log.contains("exit code 127 is the shell's for a command that it does not find. A Lambda function has few"),
        "{log}"
    );

    let sources = json!({"repo": {"a": "x\n"}, "script": ["echo reached"], "variables": {"FF_TIMESTAMPS": "false"}});
    let (log, seen) = run(&mut desk, &sources).await;
    assert_eq!((&seen["status"], &seen["exit_code"]), (&json!("failed"), &json!(127)), "{log}");
    assert!(log.contains("there is no git in /opt/bin:") && log.contains("docs/tools.md"), "{log}");
    desk.stop().await;
}

#[tokio::test]
async fn with_the_tools_layer_jobs_have_their_sources_and_the_common_commands() {
    let state = State::new("bare-layer");
    let Some(mut desk) = desk(&state, bare::layer(&state.0).map(Some)).await else { return };
    let job = json!({
        "repo": {"a/b": "x\n", "c": "y\n"},
        "variables": {"GIT_DEPTH": "1", "FF_TIMESTAMPS": "false"},
        "script": [
            "type -P git tar gzip unzip jq ssh-keygen find",
            r#"test "$(git rev-parse HEAD)" = "$CI_COMMIT_SHA" && cat a/b"#,
            "git status --porcelain | wc -l",
            "git log -1 --format=%s && git grep -c x && git archive HEAD | tar -t",
            "tar -czf /tmp/all.tgz --exclude .git . && mkdir /tmp/out && tar -xzf /tmp/all.tgz -C /tmp/out && diff -r a /tmp/out/a && cmp c /tmp/out/c && echo same",
            r#"echo '{"a": [1, {"b": "found"}]}' | jq -r '.a[1].b | test("^fo+u") | "regex \(.)"'"#,
            "find . -name b -not -path '*/.git/*' -print0 | xargs -0 -n 1 echo found",
            "ssh-keygen -q -t ed25519 -N '' -f /tmp/key && ssh-keygen -l -f /tmp/key.pub | cut -d' ' -f1",
            r#"eval "$(ssh-agent -s)" && ssh-add -q /tmp/key && ssh-add -l | wc -l; ssh-agent -k"#,
            "ssh -V && ssh -o BatchMode=yes -o ConnectTimeout=2 -p 9 127.0.0.1 true || echo ssh ended with $?",
            "exit 7",
        ],
    });
    let (log, seen) = run(&mut desk, &job).await;
    assert_eq!((&seen["status"], &seen["exit_code"]), (&json!("failed"), &json!(7)), "{log}");
    for line in [
        "/opt/bin/git\n/opt/bin/tar\n",
        "\nx\n",
        "a/b\nc\n",
        "\nsame\n",
        "regex true",
        "found ./a/b",
        "\n256\n",
        "Connection refused",
        "ended with 255",
    ] {
        assert!(log.contains(line), "{line:?} in {log}");
    }
    assert!(!log.contains("No user exists"), "{log}");
    desk.stop().await;
}

/// A GitLab that speaks TLS with an authority of its own, and ends with this.
struct Gitlab {
    folder: TempDir,
    ready: Value,
    process: std::process::Child,
}

impl Gitlab {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready.json");
        let process = Command::new(programs().join("gitlab-sim"))
            .args(["--listen", "127.0.0.1:0", "--tls", "--die-with-parent", "--state"])
            .arg(folder.path().join("state"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !ready.exists() {
            assert!(began.elapsed() < LIMIT, "the simulator is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        let ready = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        Self { folder, ready, process }
    }

    fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap()
    }

    /// As its administrator.
    fn call(&self, method: &str, path: &str, body: &Value) -> String {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail-with-body",
                "--cacert",
                self.text("ca_file"),
                "--request",
                method,
            ])
            .args(["--header", "content-type: application/json", "--header"])
            .arg(format!("private-token: {}", self.text("admin_token")))
            .args(["--data", &body.to_string()])
            .arg(format!("{}{path}", self.text("url").trim_end_matches('/')))
            .output()
            .unwrap();
        assert!(output.status.success(), "{path}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        serde_json::from_str(&self.call(method, path, body)).unwrap()
    }
}

impl Drop for Gitlab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository whose submodule is its own first commit, by a relative address: as private as itself.
fn with_submodule(folder: &Path) {
    fs::create_dir(folder).unwrap();
    git(folder, &["init", "--quiet"]);
    fs::write(folder.join("file"), "of the first commit\n").unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "-m", "first"]);
    let first = git(folder, &["rev-parse", "HEAD"]);
    fs::write(folder.join("file"), "of the second commit\n").unwrap();
    fs::write(folder.join(".gitmodules"), "[submodule \"inner\"]\n\tpath = inner\n\turl = ../private.git\n").unwrap();
    fs::write(
        folder.join(".gitlab-ci.yml"),
        "variables: {PATH: '/opt/bin:/usr/bin:/bin', GIT_SUBMODULE_STRATEGY: recursive, GIT_DEPTH: '0', FF_TIMESTAMPS: 'false'}\n\
         inside:\n  script:\n    - cat file inner/file\n    - git submodule status\n    - git -C inner config --get remote.origin.url\n    \
         - exit 5\n",
    )
    .unwrap();
    git(folder, &["add", "."]);
    git(folder, &["update-index", "--add", "--cacheinfo", &format!("160000,{first},inner")]);
    git(folder, &["commit", "--quiet", "-m", "second"]);
}

#[tokio::test]
async fn a_private_submodule_comes_over_https_from_a_gitlab_with_an_authority_of_its_own() {
    let state = State::new("bare-tls");
    let folder = state.0.at("bare");
    let bare = match bare::layer(&state.0) {
        Ok(layer) => Bare::new(&state.0, &folder, &programs().join("runnerless-runner"), Some(layer)).await,
        Err(why) => Err(why),
    };
    let bare = match bare {
        Ok(bare) => bare,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let gitlab = Gitlab::start();
    let source = gitlab.folder.path().join("source");
    with_submodule(&source);
    let runner = json!({"runner_type": "instance_type", "description": "bare", "run_untagged": true, "tag_list": []});
    let runner = gitlab.json("POST", "/api/v4/user/runners", &runner);
    let project = json!({"path": "acme/private", "source": source, "variables": []});
    let project = gitlab.json("POST", "/_sim/v1/projects", &project);
    let pipeline = gitlab.json("POST", "/_sim/v1/pipelines", &json!({"project": project["id"]}));
    // The function's folder is all of this that the runner sees.
    fs::write(folder.join("task/token"), runner["token"].as_str().unwrap()).unwrap();
    fs::copy(gitlab.text("ca_file"), folder.join("task/ca.pem")).unwrap();

    let words = bare.words(bare::PROGRAM);
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(["once", "--url", gitlab.text("url"), "--work", "/tmp/work", "--token-file", "/var/task/token"])
        .args(["--ca-file", "/var/task/ca.pem"])
        .output()
        .unwrap();
    let pipeline = gitlab.json("GET", &format!("/_sim/v1/pipelines/{}?wait_s=0", pipeline["id"]), &Value::Null);
    let job = &pipeline["jobs"][0];
    let log = gitlab.call("GET", &format!("/_sim/v1/jobs/{}/log", job["id"]), &Value::Null);
    let job = gitlab.json("GET", &format!("/_sim/v1/jobs/{}", job["id"]), &Value::Null);
    assert_eq!((&job["status"], &job["exit_code"]), (&json!("failed"), &json!(5)), "{log}\n{output:?}");
    for line in ["Updating/initializing submodules recursively...", "of the second commit", "of the first commit"] {
        assert!(log.contains(line), "{line:?} in {log}");
    }
    let inner = format!("{}/acme/private.git", gitlab.text("url").trim_end_matches('/'));
    assert!(inner.starts_with("https://") && log.contains(&inner), "{inner} in {log}");
    assert!(!log.contains("glcbt-"), "{log}");
}
