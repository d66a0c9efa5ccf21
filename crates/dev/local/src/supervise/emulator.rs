//! The AWS emulator, unpatched, with an environment of its own.
//!
//! Lambda processes inherit the emulator's whole environment, so nothing of the caller's gets into it. What is set is
//! what the emulator reads; the functions see it too.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use tokio::time::{Instant, sleep};

use super::guarded::Guarded;
use super::{Plan, SuperviseError};
use crate::aws::{ACCOUNT, REGION, SECRET};
use crate::http::Http;
use crate::layout::Layout;

/// It is up in a second; much more on a busy machine, and when Python compiles its modules for the first time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between choosing a free port and taking it somebody else may take it.
const TRIES: u32 = 3;

/// Starts it and waits until it answers. Returns its `<host>:<port>`.
pub(super) async fn start(layout: &Layout, plan: &Plan, witness: &str) -> Result<(Guarded, String), SuperviseError> {
    let python = layout.python();
    if !python.exists() {
        return Err(SuperviseError::Missing { program: python, cure: "run `runnerless-local venv`" });
    }
    let command: Vec<OsString> = vec![python.into(), "-m".into(), "ministack".into()];
    let mut tries = 0;
    loop {
        let port = free_port().map_err(|error| SuperviseError::Kernel("finding a free port", error))?;
        let environment = environment(layout, plan, witness, port);
        let mut guarded = Guarded::start("the emulator", plan, layout.log("emulator"), &command, &environment)?;
        tries += 1;
        if is_ready(&mut guarded, port).await {
            return Ok((guarded, format!("127.0.0.1:{port}")));
        }
        let failure = guarded.not_ready();
        guarded.end().await;
        if tries == TRIES {
            return Err(failure);
        }
    }
}

fn environment(layout: &Layout, plan: &Plan, witness: &str, port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("PATH", plan.search_path.clone()),
        ("HOME", layout.at("home").display().to_string()),
        ("TMPDIR", layout.tmp().display().to_string()),
        ("LANG", "C.UTF-8".into()),
        ("AWS_ACCESS_KEY_ID", ACCOUNT.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
        ("AWS_REGION", REGION.into()),
        ("AWS_DEFAULT_REGION", REGION.into()),
        // Not for itself: the Lambda processes inherit it, and so call through the witness.
        ("AWS_ENDPOINT_URL", witness.into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".into()),
        ("GATEWAY_PORT", port.to_string()),
        ("BIND_HOST", "127.0.0.1".into()),
        ("AUTH", "true".into()),
        ("IOT_MTLS_ENABLED", "0".into()),
        ("SFTP_ENABLED", "0".into()),
        // It would look for a Docker daemon of the machine and remove containers with its label.
        ("DOCKER_HOST", "unix:///nonexistent".into()),
        ("PYTHONUNBUFFERED", "1".into()),
    ]
}

async fn is_ready(guarded: &mut Guarded, port: u16) -> bool {
    let http = Http::default();
    let url = format!("http://127.0.0.1:{port}/_ministack/ready");
    let begun = Instant::now();
    while begun.elapsed() < READY_WITHIN && !guarded.has_ended() {
        let answer = http.call(Method::GET, &url, &[], Bytes::new(), Duration::from_secs(5)).await;
        if answer.is_ok_and(|answer| answer.status.is_success()) {
            // A stranger on that port makes the emulator leave at once.
            return !guarded.has_ended();
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
