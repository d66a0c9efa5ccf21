//! The image's script in a root of Debian's packages: what it refuses, what it leaves, and what a second run changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::{Done, Machine};
use super::shelf::{self, AWS_CLI, BUILDX, GITLAB_RUNNER, Shelf, aws_cli, buildx};
use serde_json::{Value, json};

const STATEMENT: &str = "/etc/runnerless-image.json";

/// The script's options by their names.
type Options = BTreeMap<&'static str, String>;

fn shelf() -> Shelf {
    let [runner, member] = ["runnerless-runner", "runnerless-member"].map(|name| {
        let program = Path::new(env!("CARGO_BIN_EXE_runnerless-local")).with_file_name(name);
        assert!(program.is_file(), "{} is not there: run `make test`, or `make build` first", program.display());
        program
    });
    let shelf = Shelf::new(&runner);
    shelf.put("member", fs::read(member).unwrap());
    shelf.put("gitlab-runner", gitlab_runner());
    shelf
}

/// The official runner that `make test OFFICIAL=path` names, else its stand-in.
fn gitlab_runner() -> Vec<u8> {
    official().map_or_else(|| shelf::gitlab_runner(GITLAB_RUNNER), |program| fs::read(program).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line, and reads its environment only here")]
fn official() -> Option<PathBuf> {
    std::env::var_os("OFFICIAL").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The version that it says of itself.
fn gitlab_runner_version() -> String {
    let Some(program) = official() else { return GITLAB_RUNNER.to_owned() };
    let output = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|line| line.strip_prefix("Version:")).unwrap().trim().to_owned()
}

/// What makes a good image.
fn options(shelf: &Shelf) -> Options {
    let mut options: Options = [
        ("release", "bookworm"),
        ("runner-version", env!("CARGO_PKG_VERSION")),
        ("aws-cli-version", AWS_CLI),
        ("buildx-version", BUILDX),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();
    for (name, url, sum) in [
        ("runner", "runner-url", "runner-sha256"),
        ("aws-cli", "aws-cli-url", "aws-cli-sha256"),
        ("buildx", "buildx-url", "buildx-sha256"),
    ] {
        options.insert(url, shelf.url(name));
        options.insert(sum, shelf.sum(name));
    }
    options
}

/// The value of a program's option.
fn option<'o>(options: &'o Options, name: &str, what: &str) -> &'o str {
    &options[format!("{name}-{what}").as_str()]
}

/// What makes it an image of a pool's members besides.
fn members(shelf: &Shelf) -> Options {
    [
        ("member-url", shelf.url("member")),
        ("member-version", env!("CARGO_PKG_VERSION").to_owned()),
        ("member-sha256", shelf.sum("member")),
        ("gitlab-runner-url", shelf.url("gitlab-runner")),
        ("gitlab-runner-version", gitlab_runner_version()),
        ("gitlab-runner-sha256", shelf.sum("gitlab-runner")),
    ]
    .into()
}

/// What makes a pool's image.
fn all_options(shelf: &Shelf) -> Options {
    let mut all = options(shelf);
    all.extend(members(shelf));
    all
}

fn provision(machine: &Machine, options: &Options) -> Done {
    let words: Vec<String> = options.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect();
    let words: Vec<&str> = ["/tmp/provision.sh"].into_iter().chain(words.iter().map(String::as_str)).collect();
    machine.run(&words)
}

#[test]
fn an_image_keeps_its_promises_and_a_second_run_changes_nothing() {
    let Some(machine) = Machine::new() else { return };
    let shelf = shelf();
    let options = all_options(&shelf);
    let secrets = "/root/.bash_history /home/admin/.zsh_history /home/admin/.ssh/authorized_keys /root/.aws/credentials \
                   /etc/ssh/ssh_host_rsa_key /var/log/syslog.1 /var/log/journal/0123/system.journal \
                   /var/lib/cloud/instances/i-1/user-data.txt /var/lib/systemd/random-seed /var/lib/docker/engine-id";
    machine.sh(&format!(
        "for file in {secrets}; do mkdir -p \"$(dirname \"$file\")\"; echo left-behind-canary >\"$file\"; done
         echo 0123456789abcdef0123456789abcdef >/etc/machine-id"
    ));

    let done = provision(&machine, &options);
    assert_eq!(done.code, 0, "{}", done.err);
    let statement: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        statement["downloads"]["aws-cli"],
        json!({"version": AWS_CLI, "sha256": options["aws-cli-sha256"]}),
        "{statement}"
    );
    for (program, name) in [("runnerless-member", "member"), ("gitlab-runner", "gitlab-runner")] {
        let stated = json!({"version": option(&options, name, "version"), "sha256": option(&options, name, "sha256")});
        assert_eq!(statement["downloads"][program], stated, "{statement}");
        assert_eq!(machine.sh(&format!("stat -c '%a %U %F' /usr/local/bin/{program}")), "755 root regular file");
    }
    assert_eq!(machine.sh(&format!("cat {STATEMENT}")), done.out.trim_end());
    for tool in ["git", "git-lfs", "docker", "jq"] {
        assert!(statement["packages"][tool].is_string(), "{tool}: {statement}");
    }

    // As a job finds it: its user, and the PATH that the engine gives to jobs.
    let job = "runuser -u runnerless -- env -i HOME=/home/runnerless PATH=/usr/local/bin:/usr/bin:/bin";
    let said = machine.sh(&format!(
        "{job} git lfs version; {job} jq --version; {job} docker buildx version; {job} aws --version; {job} runnerless-runner --version; \
         {job} runnerless-member --version; {job} gitlab-runner --version"
    ));
    for words in [
        "git-lfs/",
        "jq-",
        &format!("buildx v{BUILDX}"),
        &format!("aws-cli/{AWS_CLI}"),
        "runnerless-runner ",
        "runnerless-member ",
        &format!("Version:      {}\n", gitlab_runner_version()),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(machine.sh(&format!("{job} id -nG")).contains("docker"));
    assert_eq!(machine.sh(&format!("{job} git config --get filter.lfs.required")), "true");

    assert_eq!(machine.sh("stat -c '%s %F' /etc/machine-id"), "0 regular empty file");
    let left = machine.sh(&format!("for file in {secrets}; do [ ! -e \"$file\" ] || echo \"$file\"; done"));
    assert_eq!(left, "", "files of this machine are in the image");
    assert_eq!(machine.sh("grep -rl left-behind-canary / --exclude-dir=proc --exclude-dir=sys || true"), "");
    assert_eq!(machine.sh("find /var/log /var/tmp -mindepth 1 ! -type d; ls /var/cache/apt/archives/*.deb 2>&1 | grep -v 'No such' || true"), "");

    let before = machine.all();
    assert_eq!(provision(&machine, &options).out, done.out);
    assert_eq!(machine.all(), before, "a second run changed the image");

    changes_what_is_new_and_keeps_what_is_refused(&machine, &shelf, options);
}

/// What follows on a finished image of a pool.
fn changes_what_is_new_and_keeps_what_is_refused(machine: &Machine, shelf: &Shelf, mut options: Options) {
    shelf.put("buildx", buildx("0.31.0"));
    let before = machine.all();
    let refused = provision(machine, &options);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert_eq!(machine.all(), before, "a refused file changed the image");

    options.insert("buildx-version", "0.31.0".to_owned());
    options.insert("buildx-sha256", shelf.sum("buildx"));
    // What only members have is asked for no more, and gone.
    let members_only = members(shelf);
    options.retain(|name, _| !members_only.contains_key(name));
    let done = provision(machine, &options);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(machine.sh("docker buildx version").contains("v0.31.0"));
    assert_eq!(machine.sh("ls /usr/local/bin"), "aws\nrunnerless-runner");
    let statement: Value = serde_json::from_str(&done.out).unwrap();
    let downloads: Vec<&String> = statement["downloads"].as_object().unwrap().keys().collect();
    assert_eq!(downloads, ["aws-cli", "docker-buildx", "runnerless-runner"]);

    // The right files by their sums, and other versions than they are taken for.
    shelf.put("aws-cli", aws_cli("2.32.0", AWS_CLI));
    options.insert("aws-cli-version", "2.32.0".to_owned());
    options.insert("aws-cli-sha256", shelf.sum("aws-cli"));
    shelf.put("gitlab-runner", shelf::gitlab_runner("19.4.01"));
    let mut others = options.clone();
    others.extend(members(shelf));
    let wrong = provision(machine, &others);
    assert_eq!((wrong.code, wrong.out.as_str()), (1, ""), "{}", wrong.err);
    let gitlab = format!("not so: gitlab-runner is {}", gitlab_runner_version());
    for words in ["not so: the AWS CLI is 2.32.0", &gitlab, "2 of its promises", "NOT finished"] {
        assert!(wrong.err.contains(words), "{words}: {}", wrong.err);
    }
    assert_eq!(
        machine.sh(&format!("ls {STATEMENT} 2>/dev/null || echo none")),
        "none",
        "a statement of a broken image"
    );

    // On Amazon Linux the packages come from dnf, of the release that was asked for, with their signatures checked.
    shelf.put("aws-cli", aws_cli("2.32.0", "2.32.0"));
    options.insert("aws-cli-sha256", shelf.sum("aws-cli"));
    options.insert("release", "2023.9.20251117".to_owned());
    machine.sh("printf 'ID=amzn\\nVERSION_ID=2023\\n' >/etc/os-release
         printf '#!/bin/sh\\necho \"$*\" >>/opt/dnf\\n' >/usr/bin/dnf; chmod 755 /usr/bin/dnf");
    let done = provision(machine, &options);
    assert_eq!(done.code, 0, "{}", done.err);
    let calls = machine.sh("cat /opt/dnf");
    let first = "--assumeyes --quiet --releasever=2023.9.20251117 --setopt=gpgcheck=1";
    let expected = [
        format!("{first} upgrade"),
        format!("{first} install git git-lfs jq unzip docker shadow-utils"),
        "--quiet clean all".to_owned(),
    ];
    assert_eq!(calls.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn each_parameter_must_be_there_and_have_its_form() {
    let Some(machine) = Machine::new() else { return };
    let shelf = shelf();
    let all = all_options(&shelf);
    for name in all.keys().filter(|name| !["aws-cli-url", "buildx-url", "gitlab-runner-url"].contains(name)) {
        let mut options = all.clone();
        options.remove(name);
        let done = provision(&machine, &options);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "without --{name}: {}", done.err);
        assert!(done.err.contains(&format!("--{name} is missing: give ")), "{}", done.err);
    }
    // One of what only members have brings the others of its program along.
    for (name, program) in [("member-sha256", "runnerless-member"), ("gitlab-runner-url", "gitlab-runner")] {
        let mut options = options(&shelf);
        options.insert(name, all[name].clone());
        let done = provision(&machine, &options);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "--{name} alone: {}", done.err);
        for words in [" is missing: give ", &format!(" at all, for an image without {program}\n")] {
            assert!(done.err.contains(words), "--{name} alone: {words}: {}", done.err);
        }
    }
    for (name, value) in [
        ("runner-sha256", "ABC"),
        ("aws-cli-sha256", ""),
        ("buildx-version", "latest"),
        ("runner-url", "/tmp/runner"),
        ("aws-cli-url", "ftp://127.0.0.1/aws.zip"),
        ("member-sha256", "ABC"),
        ("gitlab-runner-version", "v19.4.0"),
        ("gitlab-runner-url", "ftp://127.0.0.1/gitlab-runner"),
        ("release", "trixie"),
    ] {
        let mut options = all.clone();
        options.insert(name, value.to_owned());
        let done = provision(&machine, &options);
        assert_eq!(done.code, 2, "--{name} {value}: {}", done.err);
        assert!(done.err.contains(&format!("--{name} ")) && done.err.contains("give "), "{}", done.err);
    }
    for (words, said) in
        [(["--runner-md5", "x"], "--runner-md5 is no option"), (["--release", "--release"], "--release has no value")]
    {
        let done = machine.run(&[&["/tmp/provision.sh"], &words[..]].concat());
        assert_eq!(done.code, 2);
        assert!(done.err.contains(said), "{}", done.err);
    }
    assert_eq!(machine.changed(), [] as [&Path; 0], "a refused call changed the machine");
}

#[test]
fn what_is_fetched_must_be_whole_and_right() {
    let Some(machine) = Machine::new() else { return };
    for name in ["runner", "aws-cli", "buildx", "member", "gitlab-runner"] {
        let shelf = shelf();
        let options = all_options(&shelf);
        shelf.put(name, b"another file".to_vec());
        let other = provision(&machine, &options);
        assert_eq!(other.code, 1, "{name}: {}", other.err);
        assert!(
            other.err.contains(&format!("--{name}-sha256 says {}", option(&options, name, "sha256"))),
            "{}",
            other.err
        );

        shelf.cut(name);
        let cut = provision(&machine, &options);
        assert_eq!(cut.code, 4, "{name}: {}", cut.err);
        shelf.remove(name);
        let gone = provision(&machine, &options);
        assert_eq!(gone.code, 4, "{name}: {}", gone.err);
        for done in [other, cut, gone] {
            assert_eq!(done.out, "");
            assert!(done.err.contains(&shelf.url(name)) && done.err.contains("Nothing was changed"), "{}", done.err);
        }
    }
    assert_eq!(machine.changed(), [] as [&Path; 0], "a failed fetch changed the machine");
}

#[test]
fn packages_that_cannot_be_installed_leave_no_image() {
    let Some(machine) = Machine::new() else { return };
    let options = options(&shelf());
    // Port 9 of this machine: nobody answers. The statement is one of an image before.
    machine.sh(&format!(
        "echo 'deb http://127.0.0.1:9/debian bookworm main' >/etc/apt/sources.list; echo '{{}}' >{STATEMENT}"
    ));
    let done = provision(&machine, &options);
    assert_eq!((done.code, done.out.as_str()), (1, ""), "{}", done.err);
    assert!(done.err.contains("NOT finished"), "{}", done.err);
    assert_eq!(
        machine.sh(&format!("ls {STATEMENT} /usr/local/bin /var/tmp 2>&1 || true")).matches("runnerless-").count(),
        1
    );
}

#[test]
fn another_machine_and_another_user_are_refused() {
    let Some(machine) = Machine::new() else { return };
    let mut options = options(&shelf());
    let words: Vec<String> = options.iter().map(|(name, value)| format!("--{name} {value}")).collect();
    let line = format!("setpriv --reuid 65534 --clear-groups /tmp/provision.sh {}", words.join(" "));
    let stranger = machine.run(&["bash", "-c", &line]);
    assert_eq!(stranger.code, 3, "{}", stranger.err);
    machine.sh("printf 'ID=other\\nVERSION_ID=1\\n' >/etc/os-release");
    let other = provision(&machine, &options);
    assert_eq!(other.code, 3, "{}", other.err);
    assert!(other.err.contains("use Amazon Linux 2023"), "{}", other.err);
    machine.sh("printf 'ID=amzn\\nVERSION_ID=2023\\n' >/etc/os-release");
    options.insert("release", "latest".to_owned());
    let unpinned = provision(&machine, &options);
    assert_eq!(unpinned.code, 2, "{}", unpinned.err);
    assert!(unpinned.err.contains("would pin nothing"), "{}", unpinned.err);
}
