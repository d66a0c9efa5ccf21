//! The simulator's process.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::guarded::Guarded;
use super::{GitLab, Plan, SuperviseError};
use crate::layout::Layout;

/// It is up in milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Starts it and waits until it says where it listens.
pub(super) async fn start(layout: &Layout, plan: &Plan) -> Result<(Guarded, GitLab), SuperviseError> {
    let program = layout.command("gitlab-sim");
    if !program.exists() {
        return Err(SuperviseError::Missing { program, cure: "run `cargo build --release`" });
    }
    let ready = layout.at("sim/ready.json");
    let state = layout.at("sim/state");
    let command: Vec<OsString> = vec![
        program.into(),
        "--listen".into(),
        "127.0.0.1:0".into(),
        "--state".into(),
        state.into(),
        "--ready-file".into(),
        ready.clone().into(),
        "--root".into(),
        plan.gitlab_root.clone().into(),
        "--die-with-parent".into(),
    ];
    let environment = [
        ("PATH", plan.search_path.clone()),
        ("HOME", layout.at("home").display().to_string()),
        ("TMPDIR", layout.tmp().display().to_string()),
        ("LANG", "C.UTF-8".into()),
    ];
    let mut guarded = Guarded::start("the simulator", plan, layout.log("gitlab-sim"), &command, &environment)?;
    let begun = Instant::now();
    while begun.elapsed() < READY_WITHIN && !guarded.has_ended() {
        if let Some(gitlab) = read(&ready) {
            return Ok((guarded, gitlab));
        }
        sleep(Duration::from_millis(10)).await;
    }
    let failure = guarded.not_ready();
    guarded.end().await;
    Err(failure)
}

/// `None` until the file is there and whole.
fn read(ready: &Path) -> Option<GitLab> {
    let file: Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
    let text = |name: &str| file[name].as_str().map(str::to_owned);
    Some(GitLab { url: text("url")?.trim_end_matches('/').to_owned(), admin_token: text("admin_token")? })
}
