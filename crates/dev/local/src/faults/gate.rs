//! Where the cases' scripts say that they run, and wait until they may end. An instance shares no file with the machine, and
//! its loopback address.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The longest name of a case that is read.
const NAME: u64 = 200;

/// What the scripts say, and what they are told.
#[derive(Debug, Default)]
struct Board {
    /// How often each case's script began.
    runs: watch::Sender<BTreeMap<String, usize>>,
    /// The cases whose scripts may end.
    open: watch::Sender<BTreeSet<String>>,
}

/// The gate; it closes when this goes.
#[derive(Debug)]
pub(super) struct Gate {
    port: u16,
    board: Arc<Board>,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// Takes a free port on loopback.
    pub(super) async fn new() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let board = Arc::new(Board::default());
        let keeper = tokio::spawn(keep(listener, Arc::clone(&board)));
        Ok(Self { port, board, keeper })
    }

    /// The line of a case's script. It fails where the gate is not there.
    pub(super) fn line(&self, case: &str) -> String {
        let port = self.port;
        format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo {case} >&3 && read -r word <&3 && [ \"$word\" = go ]")
    }

    /// How often the case's script began.
    pub(super) fn runs(&self, case: &str) -> usize {
        self.board.runs.borrow().get(case).copied().unwrap_or_default()
    }

    /// Lets the case's script end, and each later one.
    pub(super) fn open(&self, case: &str) {
        self.board.open.send_modify(|open| {
            open.insert(case.to_owned());
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, board: Arc<Board>) {
    // An error is one of a connection; a script that is not let in fails, and says so.
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&board)));
        }
    }
}

async fn serve(stream: TcpStream, board: Arc<Board>) {
    let (from, mut to) = stream.into_split();
    let mut name = String::new();
    let read = BufReader::new(tokio::io::AsyncReadExt::take(from, NAME)).read_line(&mut name).await;
    let name = name.trim();
    if read.is_err() || name.is_empty() {
        return;
    }
    board.runs.send_modify(|runs| *runs.entry(name.to_owned()).or_default() += 1);
    let mut open = board.open.subscribe();
    if open.wait_for(|open| open.contains(name)).await.is_ok() {
        // Its instance may be gone.
        let _ = to.write_all(b"go\n").await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_script_is_counted_waits_and_goes_on() {
        let gate = Gate::new().await.unwrap();
        let line = format!("set -eo pipefail\n{}\necho over\n", gate.line("a-case"));
        let mut runs = gate.board.runs.subscribe();
        let mut script = Command::new("bash").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
        runs.wait_for(|runs| runs.get("a-case") == Some(&1)).await.unwrap();
        assert!(script.try_wait().unwrap().is_none(), "it did not wait");
        gate.open("another");
        gate.open("a-case");
        let output = script.wait_with_output().await.unwrap();
        assert!(output.status.success());
        assert_eq!((output.stdout.as_slice(), gate.runs("a-case"), gate.runs("b")), (b"over\n".as_slice(), 1, 0));
    }
}
