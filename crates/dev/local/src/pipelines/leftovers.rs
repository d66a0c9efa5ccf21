//! What a stack left behind: processes, listening ports, and files outside its folders.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::layout::Layout;
use crate::strays;
use crate::supervise::Endpoints;

/// Folders of the checkout that builds and stacks may write to.
const OURS: [&str; 5] = [".git", ".local", "target", "dist", ".aws-sam"];
/// The machine's temporary folder, and what the stack's programs would use there if they forgot where they belong: the
/// executor's default, and the emulator's names, which end in its port.
const TEMPORARY: &str = "/tmp";
const WORK_ROOT: &str = "runnerless";
const EMULATORS: &str = "ministack";

/// Something that is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leftover {
    /// `process`, `port`, `file` or `row`.
    pub(crate) what: &'static str,
    /// Which.
    pub(crate) id: String,
}

/// The files before the stack began.
#[derive(Debug)]
pub(crate) struct Before {
    files: BTreeSet<PathBuf>,
    temporary: PathBuf,
}

impl Before {
    /// Looks.
    pub(crate) fn new(layout: &Layout) -> Self {
        Self::with(layout, Path::new(TEMPORARY))
    }

    fn with(layout: &Layout, temporary: &Path) -> Self {
        Self { files: files(layout, temporary), temporary: temporary.to_owned() }
    }

    /// What is there now that was not there before.
    #[must_use]
    pub(crate) fn leftovers(&self, layout: &Layout, endpoints: Option<&Endpoints>) -> Vec<Leftover> {
        let mut found: Vec<Leftover> =
            strays::of_stack(&layout.tmp()).into_iter().map(|id| Leftover { what: "process", id }).collect();
        found.extend(endpoints.into_iter().flat_map(ports));
        let now = files(layout, &self.temporary);
        let new: Vec<&PathBuf> = now.difference(&self.files).collect();
        // What somebody else writes at the same time is theirs.
        let open = if new.is_empty() { BTreeSet::new() } else { open_files() };
        let left = new.into_iter().filter(|path| !open.contains(*path));
        found.extend(left.map(|path| Leftover { what: "file", id: path.display().to_string() }));
        found.sort();
        found
    }
}

fn ports(endpoints: &Endpoints) -> Vec<Leftover> {
    let gitlab = endpoints.gitlab.as_ref().map(|gitlab| &gitlab.url);
    let urls = [Some(&endpoints.emulator), Some(&endpoints.proxy), gitlab];
    let addresses = urls.into_iter().flatten().filter_map(|url| url.split("//").nth(1)?.parse::<SocketAddr>().ok());
    addresses
        .filter(|address| TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok())
        .map(|address| Leftover { what: "port", id: address.to_string() })
        .collect()
}

/// Every file that a process has open.
fn open_files() -> BTreeSet<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let handles = processes.flat_map(|process| fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    handles.filter_map(|handle| fs::read_link(handle.path()).ok()).collect()
}

fn files(layout: &Layout, temporary: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let entries = fs::read_dir(layout.root()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| !OURS.iter().any(|ours| entry.file_name() == OsStr::new(ours))) {
        walk(&entry.path(), layout.state(), &mut found);
    }
    let named = |name: &OsStr| name == WORK_ROOT || name.as_bytes().starts_with(EMULATORS.as_bytes());
    let strays = fs::read_dir(temporary).into_iter().flatten().flatten().filter(|entry| named(&entry.file_name()));
    found.extend(strays.map(|entry| entry.path()));
    found
}

fn walk(path: &Path, state: &Path, found: &mut BTreeSet<PathBuf>) {
    if path == state {
        return;
    }
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), state, found);
        }
    } else {
        found.insert(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processes_ports_and_files_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("template.yaml"), "").unwrap();
        let layout = Layout::new(folder.path(), Path::new(".local")).unwrap();
        fs::create_dir_all(layout.tmp()).unwrap();
        let machine = tempfile::tempdir().unwrap();
        let before = Before::with(&layout, machine.path());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = format!("http://{}", listener.local_addr().unwrap());
        let endpoints = Endpoints { emulator: open.clone(), proxy: open, gitlab: None };
        fs::write(layout.at("tmp/x"), "").unwrap();
        assert!(before.leftovers(&layout, None).is_empty());

        fs::write(folder.path().join("forgotten"), "").unwrap();
        fs::create_dir(machine.path().join("runnerless")).unwrap();
        fs::create_dir(machine.path().join("runnerless-of-somebody")).unwrap();
        let _theirs = fs::File::create(folder.path().join("being-written")).unwrap();
        let sleeper = |command: &mut Command| command.arg("60").stdin(Stdio::null()).spawn().unwrap();
        let mut one = sleeper(Command::new("sleep").env("TMPDIR", layout.tmp()));
        let mut two = sleeper(Command::new("sleep").env_clear().current_dir(layout.tmp()));
        let found = before.leftovers(&layout, Some(&endpoints));
        for child in [&mut one, &mut two] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let count = |what| found.iter().filter(|left| left.what == what).count();
        assert_eq!((count("process"), count("port"), count("file")), (2, 2, 2), "{found:?}");
    }
}
