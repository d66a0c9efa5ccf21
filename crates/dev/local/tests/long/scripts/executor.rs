//! The script of the executor's image in a root of Debian's packages: what it refuses, and what a job finds afterwards.

use std::path::Path;

use super::machine::{Done, Machine};
use super::shelf::{AWS_CLI, Shelf, aws_cli};

const SCRIPT: &str = include_str!("../../../../../../images/executor/install.sh");

fn shelf() -> Shelf {
    Shelf::new(&Path::new(env!("CARGO_BIN_EXE_runnerless-local")).with_file_name("runnerless-runner"))
}

fn options<'o>(url: &'o str, sum: &'o str) -> Vec<&'o str> {
    vec!["--release", "bookworm", "--aws-cli-version", AWS_CLI, "--aws-cli-sha256", sum, "--aws-cli-url", url]
}

fn install(machine: &Machine, options: &[&str]) -> Done {
    let write = "printf '%s' \"$1\" >/var/tmp/install.sh && shift && exec bash /var/tmp/install.sh \"$@\"";
    machine.run(&[&["bash", "-c", write, "bash", SCRIPT], options].concat())
}

#[test]
fn a_job_finds_its_commands_and_has_a_name_and_a_home() {
    let Some(machine) = Machine::new() else { return };
    let shelf = shelf();
    let (url, sum) = (shelf.url("aws-cli"), shelf.sum("aws-cli"));
    let done = install(&machine, &options(&url, &sum));
    assert_eq!(done.code, 0, "{}", done.err);

    let job = "setpriv --reuid 993 --regid 990 --clear-groups env -i PATH=/usr/local/bin:/usr/bin:/bin bash -euc";
    let said = machine.sh(&format!(
        "{job} 'whoami; cd ~; pwd; touch here; git lfs version; git config --get filter.lfs.required; jq --version; aws --version; \
         ssh -V 2>&1; echo x | zstd | zstd -d; type -P unzip tar find which ps'"
    ));
    for words in [
        "sbx_user1051\n/home/sbx_user1051\n",
        "git-lfs/",
        "\ntrue\n",
        "jq-",
        &format!("aws-cli/{AWS_CLI}"),
        "OpenSSH_",
        "\nx\n",
    ] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
    assert_eq!(machine.sh("ls /var/tmp"), "install.sh", "something is left behind");

    // The right file by its sum, and another version than it is taken for.
    shelf.put("aws-cli", aws_cli("2.32.0", AWS_CLI));
    let sum = shelf.sum("aws-cli");
    let mut wrong = options(&url, &sum);
    wrong[3] = "2.32.0";
    machine.sh("rm -rf /usr/local/aws-cli /usr/local/bin/aws*");
    let done = install(&machine, &wrong);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("the image is NOT finished: the AWS CLI is another than 2.32.0"), "{}", done.err);
}

#[test]
fn what_is_missing_wrong_or_changed_on_the_way_is_refused_before_anything_changes() {
    let Some(machine) = Machine::new() else { return };
    let shelf = shelf();
    let (url, sum) = (shelf.url("aws-cli"), shelf.sum("aws-cli"));
    let good = options(&url, &sum);
    for (at, value, code, words) in [
        (1, "", 2, "--release cannot be ''"),
        (1, "trixie", 3, "start from public.ecr.aws/lambda/provided:al2023"),
        (3, "latest", 2, "--aws-cli-version cannot be 'latest'"),
        (5, "ABC", 2, "build argument AWS_CLI_SHA256"),
        (7, "ftp://127.0.0.1/x", 2, "--aws-cli-url cannot be"),
        (7, "http://127.0.0.1:9/x", 4, "could not be fetched"),
        (5, &"0".repeat(64), 1, "has another SHA-256"),
    ] {
        let mut options = good.clone();
        options[at] = value;
        let done = install(&machine, &options);
        assert_eq!(done.code, code, "{value}: {}", done.err);
        assert!(done.err.contains(words), "{words:?}: {}", done.err);
    }
    assert_eq!(install(&machine, &["--verbose", "x"]).code, 2);
    assert_eq!(machine.sh("grep -c :993: /etc/passwd || true; ls /usr/local/bin; type -P git || true"), "0");
}

#[test]
fn on_amazon_linux_the_packages_are_those_of_one_release_with_their_signatures_checked() {
    let Some(machine) = Machine::new() else { return };
    let shelf = shelf();
    let (url, sum) = (shelf.url("aws-cli"), shelf.sum("aws-cli"));
    machine.sh("printf 'ID=amzn\\nVERSION_ID=2023\\n' >/etc/os-release
         printf '#!/bin/sh\\necho \"$*\" >>/opt/dnf\\n' >/usr/bin/dnf; chmod 755 /usr/bin/dnf");
    let mut options = options(&url, &sum);
    options[1] = "latest";
    let unpinned = install(&machine, &options);
    assert_eq!(unpinned.code, 2, "{}", unpinned.err);
    assert!(unpinned.err.contains("would pin nothing"), "{}", unpinned.err);
    options[1] = "2023.9.20251117";
    // The stand-in installs nothing, which the script notices.
    assert_eq!(install(&machine, &options).code, 127);
    let calls = machine.sh("cat /opt/dnf");
    let (first, packages) = calls.lines().next().unwrap().split_once(" install ").unwrap();
    assert_eq!(first, "--assumeyes --releasever=2023.9.20251117 --setopt=gpgcheck=1 --setopt=install_weak_deps=0");
    for package in ["git", "git-lfs", "jq", "tar", "unzip", "zstd", "openssh-clients", "bash"] {
        assert!(packages.split(' ').any(|name| name == package), "{package}: {packages}");
    }
}
