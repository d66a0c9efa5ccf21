//! The command as a process: exit codes, streams, and what works without AWS.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Nothing listens on port 1 of the loopback address.
const NOBODY: [(&str, &str); 4] = [
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "key"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

fn runnerless(words: &[&str], variables: &[(&str, &str)], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_runnerless"))
        .args(words)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A command that does not read its input may be gone already.
    let _unread = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn ended(words: &[&str], variables: &[(&str, &str)], stdin: &str) -> (i32, String, String) {
    let output = runnerless(words, variables, stdin);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

fn file(folder: &TempDir, text: &str) -> String {
    let path: PathBuf = folder.path().join("file.json");
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[test]
fn exit_codes_tell_usage_configuration_and_remote_errors_apart() {
    let folder = TempDir::new().unwrap();
    let good = file(&folder, r#"[{"pk": "job#u", "sk": "tags#a", "type": "EC2"}]"#);
    let with_table = [&NOBODY[..], &[("MAPPING_TABLE_NAME", "mapping"), ("PARAMETER_PATH", "/r")]].concat();
    let with_sweep = [&NOBODY[..], &[("RECONCILER_FUNCTION_NAME", "reconciler")]].concat();
    for (words, variables, stdin, code, word) in [
        (vec!["map", "load"], &NOBODY[..], "", 2, "FILE"),
        (vec!["map", "load", "/nowhere.json"], &NOBODY[..], "", 2, "/nowhere.json"),
        (vec!["map", "delete", "a", "b", "c"], &with_table[..], "", 2, "pk and sk"),
        (vec!["secrets", "put", "runner-token"], &with_table[..], "t", 2, "--lane-tags"),
        (vec!["map", "list"], &NOBODY[..], "", 3, "MAPPING_TABLE_NAME"),
        (vec!["map", "list"], &with_table[..2], "", 3, "AWS_ACCESS_KEY_ID"),
        (vec!["map", "list"], &[], "", 3, "AWS_REGION"),
        (vec!["map", "list"], &with_table[..], "", 4, "Scan failed"),
        (vec!["map", "load", &good, "--global"], &with_table[..], "", 4, "Scan failed"),
        (vec!["secrets", "put", "secret-token"], &with_table[..], "sesame", 4, "PutParameter failed"),
        (vec!["secrets", "put", "signing-token"], &with_table[..], "sesame", 1, "whsec_"),
        (vec!["map", "load", &good], &with_table[..], "", 1, "--global"),
        (vec!["stack", "remove", "--yes"], &NOBODY[..], "", 4, "DescribeStacks failed"),
        (vec!["stack", "resume"], &NOBODY[1..2], "", 3, "AWS_ACCESS_KEY_ID"),
        (vec!["sweep"], &NOBODY[..], "", 3, "RECONCILER_FUNCTION_NAME"),
        (vec!["sweep", "--dry-run"], &with_sweep[..], "", 4, "Invoke failed"),
    ] {
        let (got, out, err) = ended(&words, variables, stdin);
        assert_eq!((got, out.as_str()), (code, ""), "{words:?}: {err}");
        assert!(err.contains(word) && !err.contains("sesame"), "{words:?}: {err}");
    }
}

#[test]
fn a_file_is_checked_and_explained_without_aws() {
    let folder = TempDir::new().unwrap();
    let good = file(&folder, r#"{"jobs": [{"type": "EC2", "name": "image", "tags": ["docker"]}]}"#);
    assert_eq!(ended(&["map", "check", &good, "--global"], &[], ""), (0, "1 row is fine\n".into(), String::new()));
    let (code, out, _) = ended(&["explain", "--file", &good, "--name", "image 1/2"], &[], "");
    assert_eq!(code, 0);
    assert!(out.starts_with("EC2 ") && out.contains("because: row job#image tags#docker"), "{out}");
    let (code, out, _) =
        ended(&["explain", "--file", &good, "--name", "x", "--default-route", "NONE", "--json"], &[], "");
    assert_eq!(code, 0);
    assert!(out.contains(r#""outcome":"not_ours""#), "{out}");
    let (code, out, err) = ended(&["map", "check", &file(&folder, "[{}]")], &[], "");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("row 1 of the file") && err.contains("pk is \"\""), "{err}");
}

#[test]
fn a_lanes_id_needs_nothing() {
    let (code, out, _) = ended(&["lane", "id", "--engine", "LAMBDA", "--tags", ""], &[("PARAMETER_PATH", "/r")], "");
    // The first 16 hex digits of SHA-256 of "LAMBDA".
    let id = "04d3911e83ed42b5";
    assert_eq!(code, 0);
    assert_eq!(
        out.lines().nth(1),
        Some(format!("/r/runner/LAMBDA/{}/RegistrationToken", out.lines().next().unwrap()).as_str())
    );
    assert_eq!(out.lines().next(), Some(id));
}
