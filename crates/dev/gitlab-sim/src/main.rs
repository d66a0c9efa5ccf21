//! `gitlab-sim`: arguments, the ready file, signals.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gitlab_sim::{Options, Simulator, Stop};
use lexopt::prelude::*;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::PidfdFlags;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const USAGE: &str = "\
usage: gitlab-sim --listen 127.0.0.1:0 --state DIR --ready-file FILE
                  [--tls] [--root PATH] [--admin-token-file FILE] [--die-with-parent]

  --listen ADDRESS         where to listen; a loopback address, port 0 for any
  --state DIR              logs, repositories and artifacts go there; SIGTERM and
                           SIGINT save everything else there too, and the next
                           start goes on from it (with the same --listen, so
                           that the URL stays)
  --ready-file FILE        written when it listens: {\"url\", \"admin_token\", \"ca_file\", \"pid\"}
  --tls                    speak TLS with an authority of the state's own
  --root PATH              be at this path, as in /gitlab, and nowhere else
  --admin-token-file FILE  the token for the user API; without it the saved one,
                           or a new one
  --die-with-parent        end when the process that started it ends";

struct Arguments {
    options: Options,
    ready_file: PathBuf,
    die_with_parent: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("gitlab-sim: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gitlab-sim: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut listen, mut state, mut ready_file, mut token_file) = (None, None, None, None);
    let (mut tls, mut die_with_parent, mut root) = (false, false, String::new());
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let value = |parser: &mut lexopt::Parser| parser.value().map_err(|error| error.to_string());
        match argument {
            Long("listen") => {
                let text = value(&mut parser)?;
                let text = text.to_string_lossy();
                let address = text.parse().map_err(|_| format!("--listen {text}: not an address and a port"))?;
                listen = Some(address);
            }
            Long("state") => state = Some(PathBuf::from(value(&mut parser)?)),
            Long("ready-file") => ready_file = Some(PathBuf::from(value(&mut parser)?)),
            Long("admin-token-file") => token_file = Some(PathBuf::from(value(&mut parser)?)),
            Long("tls") => tls = true,
            Long("root") => root = value(&mut parser)?.to_string_lossy().into_owned(),
            Long("die-with-parent") => die_with_parent = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let admin_token = token_file.as_deref().map(read_token).transpose()?;
    let options = Options {
        listen: listen.ok_or("--listen is missing")?,
        state: state.ok_or("--state is missing")?,
        tls,
        admin_token,
        root,
    };
    Ok(Some(Arguments { options, ready_file: ready_file.ok_or("--ready-file is missing")?, die_with_parent }))
}

fn read_token(file: &Path) -> Result<String, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("--admin-token-file {}: {error}", file.display()))?;
    let token = text.trim();
    if token.is_empty() || token.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("--admin-token-file {}: it must hold one token", file.display()));
    }
    Ok(token.to_owned())
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let parent = arguments.die_with_parent.then(parent).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let simulator = Simulator::start(arguments.options).await?;
        write_ready(&arguments.ready_file, &simulator)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => Stop::Asked,
                _ = interrupt.recv() => Stop::Asked,
                () = ended(parent) => Stop::Orphaned,
            }
        };
        Ok::<(), Box<dyn std::error::Error>>(simulator.serve(stop).await?)
    });
    // Hooks under way and requests that hang are not waited for.
    runtime.shutdown_background();
    // A file of an earlier run must not be taken for that of the next.
    let _ = std::fs::remove_file(&arguments.ready_file);
    served
}

/// A receiver that is told when the parent ends. A descriptor of the parent is watched by a thread: unlike the parent
/// death signal it does not depend on the parent's thread that started this process, which may end long before it.
fn parent() -> Result<oneshot::Receiver<()>, Box<dyn std::error::Error>> {
    let parent = rustix::process::getppid().ok_or("the parent is in another process namespace")?;
    let descriptor = rustix::process::pidfd_open(parent, PidfdFlags::empty())?;
    if rustix::process::getppid() != Some(parent) {
        return Err("the parent has ended".into());
    }
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
        while matches!(poll(&mut watched, None), Err(rustix::io::Errno::INTR)) {}
        let _ = tell.send(());
    })?;
    Ok(told)
}

/// Waits for the parent's end; for ever without a parent to wait for.
async fn ended(parent: Option<oneshot::Receiver<()>>) {
    match parent {
        // An error is as good as an end: nothing tells of it any more.
        Some(told) => drop(told.await),
        None => std::future::pending().await,
    }
}

/// Writes the ready file so that nobody ever reads half of it.
fn write_ready(file: &Path, simulator: &Simulator) -> Result<(), Box<dyn std::error::Error>> {
    let ready = serde_json::json!({
        "url": simulator.url(),
        "admin_token": simulator.admin_token(),
        "ca_file": simulator.ca_file(),
        "pid": std::process::id(),
    });
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    let mut out = options.open(&temporary)?;
    writeln!(out, "{ready}")?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
