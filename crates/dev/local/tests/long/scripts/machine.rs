//! A machine of Debian's packages: a root that is made once, and a layer above it that takes what a test changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Names what `root.sh` makes: another number when it makes something else.
const ROOT: &str = "bookworm-1";

/// How a program in the machine ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The machine.
pub(crate) struct Machine {
    root: PathBuf,
    layer: TempDir,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}

fn helper(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/long/scripts").join(name)
}

/// The words before a program that is to be the first process of fresh namespaces.
fn namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--"]).stdin(Stdio::null());
    command
}

/// Why no root can be made on this machine at all; docs/limits.md lists these.
fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can make a root of Debian's packages".to_owned());
    }
    let probe = namespaces().arg("true").output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no namespaces: unshare cannot be started: {error}")),
    }
}

/// Makes the root unless an earlier run did, or says why this machine cannot.
fn root() -> Result<PathBuf, String> {
    if let Some(why) = obstacle() {
        return Err(why);
    }
    let folder = repository().join(".local/tests/images");
    fs::create_dir_all(&folder).unwrap();
    let root = folder.join(ROOT);
    // Two processes make it one after the other: the second finds it.
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if root.is_dir() {
        return Ok(root);
    }
    eprintln!("making {}: this takes a minute or two", root.display());
    let output = namespaces().arg("bash").arg(helper("root.sh")).arg(&root).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Ok(root),
        Some(3) => Err(words.lines().last().unwrap_or("Debian's tools are not here").to_owned()),
        _ => panic!("no root: {words}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

impl Machine {
    /// A fresh one; none where this machine allows none, which is said.
    pub(crate) fn new() -> Option<Self> {
        static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match MADE.get_or_init(root) {
            Ok(root) => Some(Self { root: root.clone(), layer: tempfile::tempdir_in(root.parent().unwrap()).unwrap() }),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    /// Runs a program in it. The script is there as `/tmp/provision.sh`.
    pub(crate) fn run(&self, words: &[&str]) -> Done {
        let output = namespaces()
            .arg("bash")
            .arg(helper("enter.sh"))
            .args([&self.root, self.layer.path(), &repository().join("ami/provision.sh")])
            .args(words)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("an exit code");
        Done { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What a shell command prints, which must not fail.
    pub(crate) fn sh(&self, line: &str) -> String {
        let done = self.run(&["bash", "-euc", line]);
        assert_eq!(done.code, 0, "{line}: {done:?}");
        done.out.trim_end().to_owned()
    }

    /// Every file, folder and link with its mode, owner, size, target and sum.
    pub(crate) fn all(&self) -> String {
        let tree = r"find / -xdev -printf '%p %y %m %u %g %l\n' | sort; find / -xdev -type f -print0 | sort -z | xargs -0 sha256sum";
        self.sh(tree)
    }

    /// The files that a fresh machine got, changed and lost.
    pub(crate) fn changed(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.layer.path().join("changes")];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() { left.push(entry.path()) } else { found.push(entry.path()) }
            }
        }
        found
    }
}
