//! The metrics of all members, from one server: as long as those of a runner manager that has run jobs of some projects.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Jobs that a member runs at once; three of them run.
pub(super) const SLOTS: u32 = 4;

/// The served metrics. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Exporter {
    /// # Errors
    /// There is no loopback port.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let table = Bytes::from(table());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let table = table.clone();
                let service = service_fn(move |_: Request<_>| {
                    let table = table.clone();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(table))) }
                });
                // An error is a scaler that left.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(Self { port, accepting })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A runner manager's table: jobs, limits, and histograms for forty projects, which are most of it.
pub(super) fn table() -> String {
    const RUNNER: &str = "runner=\"aBcDeFgHi\",runner_name=\"builds\",system_id=\"s_1a2b3c4d5e6f\"";
    let busy = SLOTS - 1;
    let mut text = format!(
        "# HELP gitlab_runner_concurrent The current value of concurrent setting\n# TYPE gitlab_runner_concurrent gauge\n\
         gitlab_runner_concurrent {SLOTS}\n# TYPE gitlab_runner_jobs gauge\n\
         gitlab_runner_jobs{{executor_stage=\"docker_run\",{RUNNER},stage=\"step_script\",state=\"running\"}} {busy}\n\
         gitlab_runner_jobs{{executor_stage=\"idle\",{RUNNER},stage=\"idle\",state=\"idle\"}} 0\n\
         # TYPE gitlab_runner_jobs_total counter\ngitlab_runner_jobs_total{{{RUNNER}}} 412\n\
         # TYPE gitlab_runner_limit gauge\ngitlab_runner_limit{{{RUNNER}}} 0\n\
         # TYPE gitlab_runner_process_state_info gauge\ngitlab_runner_process_state_info{{state=\"running\"}} 1\n\
         # TYPE gitlab_runner_job_queue_duration_seconds histogram\n"
    );
    for project in 0..40 {
        for bound in ["1", "3", "10", "30", "60", "120", "300", "900", "1800", "3600", "+Inf"] {
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "gitlab_runner_job_queue_duration_seconds_bucket{{project_jobs_running=\"{project}\",{RUNNER},le=\"{bound}\"}} 7"
            );
        }
    }
    text
}
