//! What the image's script fetches, on a loopback address: our real programs, and stand-ins for the AWS CLI, buildx and
//! gitlab-runner.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

/// The versions that the stand-ins say of themselves.
pub(crate) const AWS_CLI: &str = "2.31.4";
pub(crate) const BUILDX: &str = "0.30.1";
pub(crate) const GITLAB_RUNNER: &str = "19.4.0";

/// Takes the words of AWS's installer, and leaves the same tree.
const AWS_INSTALL: &str = r#"#!/bin/sh
set -eu
while [ $# -gt 0 ]; do
  case "$1" in
    --bin-dir) bin="$2"; shift 2 ;;
    --install-dir) dir="$2"; shift 2 ;;
    --update) shift ;;
    *) echo "unknown: $1" >&2; exit 1 ;;
  esac
done
here="$(cd "$(dirname "$0")" && pwd)"
# Like the real one: a version whose folder is there counts as installed.
[ ! -e "$dir/v2/VERSION" ] || exit 0
mkdir -p "$dir/v2/VERSION" "$bin"
cp -R "$here/dist" "$dir/v2/VERSION/dist"
ln -sfn "$dir/v2/VERSION" "$dir/v2/current"
ln -sfn "$dir/v2/current/dist/aws" "$bin/aws"
"#;

/// A file to be fetched.
#[derive(Clone)]
enum Item {
    Whole(Vec<u8>),
    /// Its length is announced, and half of it comes.
    Cut(Vec<u8>),
}

/// Serves files until it is dropped; what is not there is a 404.
pub(crate) struct Shelf {
    url: String,
    items: Arc<Mutex<BTreeMap<String, Item>>>,
}

impl Shelf {
    /// One with the three programs of every image, `runner` being the real one.
    pub(crate) fn new(runner: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let items = Arc::<Mutex<BTreeMap<String, Item>>>::default();
        let shared = Arc::clone(&items);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream.unwrap(), &shared));
            }
        });
        let shelf = Self { url, items };
        shelf.put("runner", fs::read(runner).unwrap());
        shelf.put("aws-cli", aws_cli(AWS_CLI, AWS_CLI));
        shelf.put("buildx", buildx(BUILDX));
        shelf
    }

    pub(crate) fn put(&self, name: &str, content: Vec<u8>) {
        self.items.lock().unwrap().insert(name.to_owned(), Item::Whole(content));
    }

    /// From now on the file breaks off in the middle.
    pub(crate) fn cut(&self, name: &str) {
        let mut items = self.items.lock().unwrap();
        let Some(Item::Whole(content)) = items.get(name).cloned() else { panic!("there is no {name}") };
        items.insert(name.to_owned(), Item::Cut(content));
    }

    pub(crate) fn remove(&self, name: &str) {
        self.items.lock().unwrap().remove(name);
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// The SHA-256 of a file that is there.
    pub(crate) fn sum(&self, name: &str) -> String {
        let (Item::Whole(content) | Item::Cut(content)) = self.items.lock().unwrap()[name].clone();
        hex::encode(Sha256::digest(content))
    }
}

fn answer(mut stream: TcpStream, items: &Mutex<BTreeMap<String, Item>>) {
    let mut head = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    head.read_line(&mut first).unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        // A client that goes away has not asked for anything.
        if head.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
    }
    let name = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let item = items.lock().unwrap().get(&name).cloned();
    let (status, length, content) = match &item {
        Some(Item::Whole(content)) => ("200 OK", content.len(), &content[..]),
        Some(Item::Cut(content)) => ("200 OK", content.len(), &content[..content.len() / 2]),
        None => ("404 Not Found", 0, &[][..]),
    };
    let head_out = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // Whether the client takes all of it is what the test asks of the client.
    let _ = stream.write_all(head_out.as_bytes()).and_then(|()| stream.write_all(content));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = head.read(&mut [0]);
}

/// The zip of a version of the AWS CLI whose program says that it is `says`.
pub(crate) fn aws_cli(version: &str, says: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let program = |path: &str, text: String| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("aws/install", AWS_INSTALL.replace("VERSION", version));
    program("aws/dist/aws", format!("#!/bin/sh\necho aws-cli/{says} Python/3.13.7 Linux/6.1\n"));
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-c", "aws-cli.zip", "aws"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "python3 makes no zip");
    fs::read(folder.path().join("aws-cli.zip")).unwrap()
}

/// A plugin of docker that says which version it is.
pub(crate) fn buildx(version: &str) -> Vec<u8> {
    let about = format!(
        r#"{{"SchemaVersion":"0.1.0","Vendor":"Docker Inc.","Version":"v{version}","ShortDescription":"Docker Buildx"}}"#
    );
    format!(
        "#!/bin/sh\nif [ \"$1\" = docker-cli-plugin-metadata ]; then\n  echo '{about}'\nelse\n  echo github.com/docker/buildx v{version} 9e66234\nfi\n"
    )
    .into_bytes()
}

/// A program that says which gitlab-runner it is, in the words of the official one.
pub(crate) fn gitlab_runner(version: &str) -> Vec<u8> {
    let lines = [
        format!("Version:      {version}"),
        "Git revision: 0f6c2e1d".to_owned(),
        "Git branch:   19-4-stable".to_owned(),
        "GO version:   go1.25.3".to_owned(),
        "OS/Arch:      linux/amd64".to_owned(),
    ];
    format!("#!/bin/sh\necho '{}'\n", lines.join("\n")).into_bytes()
}
