//! A gate in jobs' scripts: each waits at it, by its name, until it is let through. Instances share the machine's loopback
//! addresses, and no folder.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Longer than a launch takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Who stands at the gate, and who may pass.
#[derive(Clone, Debug, Default)]
struct Names {
    there: BTreeSet<String>,
    free: BTreeSet<String>,
}

/// The gate; it is gone with this value.
#[derive(Debug)]
pub(crate) struct Gate {
    port: u16,
    names: watch::Sender<Names>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Listens on a free port of loopback.
    pub(crate) async fn new() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let names = watch::Sender::new(Names::default());
        let task = tokio::spawn(accept(listener, names.clone()));
        Ok(Self { port, names, task })
    }

    /// Lines of bash that wait at the gate under the job's name, and fail when it closes.
    pub(crate) fn script(&self) -> String {
        let port = self.port;
        format!(
            "exec 9<>/dev/tcp/127.0.0.1/{port} && echo \"$CI_JOB_NAME\" >&9 && read -r word <&9 && test \"$word\" = go"
        )
    }

    /// Waits until this job's script stands at the gate; false when it does not come.
    pub(crate) async fn is_there(&self, name: &str) -> bool {
        let mut names = self.names.subscribe();
        timeout(LIMIT, names.wait_for(|names| names.there.contains(name))).await.is_ok_and(|seen| seen.is_ok())
    }

    /// Lets it through, also when it comes later.
    pub(crate) fn let_through(&self, name: &str) {
        self.names.send_modify(|names| {
            names.free.insert(name.to_owned());
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, names: watch::Sender<Names>) {
    let mut all = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        all.spawn(wait(stream, names.clone()));
    }
}

/// A script that leaves is nobody's concern.
async fn wait(stream: TcpStream, names: watch::Sender<Names>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).await.is_err() {
        return;
    }
    let name = line.trim().to_owned();
    names.send_modify(|names| {
        names.there.insert(name.clone());
    });
    let mut seen = names.subscribe();
    if seen.wait_for(|names| names.free.contains(&name)).await.is_ok() {
        let _ = stream.write_all(b"go\n").await;
    }
}
