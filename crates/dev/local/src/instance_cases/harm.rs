//! User data that means harm to the machine that it really runs on. Nothing harmful is started before a harmless script has
//! shown, started in the same way, that it runs in namespaces of its own; and each harmful one looks for itself once more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::ground::Ground;
use crate::aws::EC2;
use crate::case_lines::Verdict;
use crate::processes::{self, Process};
use crate::suite::SuiteError;

/// Prefix of every harmful script: it goes no further where it is not confined. `MACHINE` has this machine's namespaces.
const ONLY_INSIDE: &str = r#"for kind in pid mnt user; do
  case "$MACHINE" in *"$(readlink /proc/self/ns/$kind)"*) echo "NOT CONFINED: $kind"; exit 1 ;; esac
done
[ -p /runnerless/power ] && ! grep -q 4294967295 /proc/self/uid_map || { echo "NOT CONFINED"; exit 1; }
"#;
/// The harmless one.
const PROBE: &str = "readlink /proc/self/ns/pid /proc/self/ns/mnt /proc/self/ns/user\n";
/// The kernel's number of `reboot`.
const REBOOT: u32 = if cfg!(target_arch = "aarch64") { 142 } else { 169 };

/// A script, what it says when the machine is safe from it, and what it never says then.
struct Harm {
    what: &'static str,
    script: String,
    said: &'static str,
    never_said: &'static str,
}

/// Every script on an instance of its own.
pub(super) async fn harm(ground: &Ground<'_>) -> Result<Vec<Verdict>, SuiteError> {
    let canary = Canary::new(ground)?;
    let mut probe = Verdict::new("user data: a harmless probe", json!({"namespaces": "its own"}));
    let (_, said) = run(ground, "probe", PROBE).await?;
    let own = !machine_namespaces()?.iter().any(|namespace| said.contains(namespace.as_str()));
    probe.unless(own && said.contains("pid:["), || format!("it is not confined: {said}"));
    probe.got = json!({"namespaces": if own { "its own" } else { "the machine's" }});
    let mut verdicts = vec![probe];
    if !own {
        return Ok(verdicts);
    }
    let nap = format!("sleep {}", 800_000_000 + u64::from(std::process::id()));
    for harm in harms(ground.stack.layout().root(), &nap) {
        verdicts.push(harm.try_it(ground, &canary).await?);
    }
    verdicts.push(daemon(ground, &canary, &nap).await?);
    Ok(verdicts)
}

fn harms(root: &Path, nap: &str) -> Vec<Harm> {
    let root = root.display();
    vec![
        Harm {
            what: "reboot(2)",
            script: format!(
                "perl -e 'syscall({REBOOT}, 0xfee1dead, 672274793, 0x4321fedc, 0) == 0 or print \"refused: $!\\n\"'"
            ),
            said: "refused: ",
            never_said: "NOT CONFINED",
        },
        Harm {
            what: "kill -9 -1",
            script: format!("{nap}1 & kill -9 -1; sleep 0.2; echo \"left: $(jobs -r | wc -l)\""),
            said: "left: 0",
            never_said: "NOT CONFINED",
        },
        Harm {
            what: "rm -rf /tmp/*",
            script: "echo x > /tmp/own; rm -rf /tmp/* /var/tmp/* /home/* /root/* /dev/shm/*; echo \"left: $(ls -A /tmp | wc -l)\""
                .to_owned(),
            said: "left: 0",
            never_said: "NOT CONFINED",
        },
        Harm {
            what: "a write into the checkout",
            script: format!(
                "for file in {root}/written {root}/README.md {root}/target/written /usr/bin/written /etc/written; do \
                 if echo x >> $file; then echo \"WRITTEN $file\"; fi; done; rm -rf {root}; echo 'all refused'"
            ),
            said: "all refused",
            never_said: "WRITTEN",
        },
    ]
}

impl Harm {
    async fn try_it(&self, ground: &Ground<'_>, canary: &Canary) -> Result<Verdict, SuiteError> {
        let expected = json!({"said": self.said, "machine": "as before", "instance": "runs on"});
        let mut verdict = Verdict::new(format!("user data: {}", self.what), expected);
        let name: String = self.what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let script = guarded(&self.script)?;
        let (instance, said) = run(ground, &name, &script).await?;
        let state = ground.state(&instance).await?;
        let hurt = canary.hurt();
        verdict.unless(said.contains(self.said), || format!("it said {said:?}"));
        verdict
            .unless(!said.contains(self.never_said) && !said.contains("NOT CONFINED"), || format!("it said {said:?}"));
        verdict.unless(hurt.is_empty(), || format!("hurt: {hurt:?}"));
        verdict.unless(state == "running", || format!("its instance is {state}"));
        verdict.got =
            json!({"machine": if hurt.is_empty() { json!("as before") } else { json!(hurt) }, "instance": state});
        end(ground, &instance).await?;
        Ok(verdict)
    }
}

/// It survives its parents and the user data for as long as its instance lives, and no longer.
async fn daemon(ground: &Ground<'_>, canary: &Canary, nap: &str) -> Result<Verdict, SuiteError> {
    let expected = json!({"while_the_instance_lives": "runs", "afterwards": "gone", "machine": "as before"});
    let mut verdict = Verdict::new("user data: a daemon with setsid", expected);
    let nap = format!("{nap}2");
    let script = guarded(&format!("setsid sh -c '{nap} & {nap}' > /dev/null 2>&1 < /dev/null &"))?;
    let (instance, _) = run(ground, "daemon", &script).await?;
    ground.until("the daemon runs", async || Ok((!running(&nap).is_empty()).then_some(()))).await?;
    let state = ground.state(&instance).await?;
    end(ground, &instance).await?;
    let gone = ground.until("the daemon is gone", async || Ok(running(&nap).is_empty().then_some(()))).await;
    let hurt = canary.hurt();
    verdict.unless(state == "running", || format!("its instance was {state}"));
    verdict.unless(gone.is_ok(), || format!("{:?} run on", running(&nap)));
    verdict.unless(hurt.is_empty(), || format!("hurt: {hurt:?}"));
    verdict.got = json!({"while_the_instance_lives": "runs", "afterwards": if gone.is_ok() { "gone" } else { "runs" },
        "machine": if hurt.is_empty() { json!("as before") } else { json!(hurt) }});
    Ok(verdict)
}

fn guarded(script: &str) -> Result<String, SuiteError> {
    Ok(format!("MACHINE='{}'\n{ONLY_INSIDE}{script}\n", machine_namespaces()?.join(" ")))
}

/// Starts an instance with this user data, and waits for the end of that; what it said.
async fn run(ground: &Ground<'_>, name: &str, script: &str) -> Result<(String, String), SuiteError> {
    let template = format!("harm-{name}");
    let user_data = STANDARD.encode(format!("#!/bin/bash\n{script}\necho 'the user data is over'\nsleep 1000000\n"));
    let aws = ground.stack.aws();
    let of_template = [
        ("LaunchTemplateName", template.as_str()),
        ("LaunchTemplateData.UserData", user_data.as_str()),
        ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
    ];
    aws.query(EC2, "CreateLaunchTemplate", &of_template).await?;
    let of_fleet = [
        ("Type", "instant"),
        ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName", template.as_str()),
        ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
        ("TargetCapacitySpecification.DefaultTargetCapacityType", "on-demand"),
    ];
    let answer = aws.query(EC2, "CreateFleet", &of_fleet).await?;
    let id = answer.split_once("<item>i-").and_then(|(_, rest)| rest.split_once('<')).map(|(id, _)| format!("i-{id}"));
    let id = id.ok_or_else(|| SuiteError::Missing(format!("instance in {answer}")))?;
    let log = ground.stack.layout().log(&format!("instances/{id}"));
    let said = ground
        .until(&format!("the user data {name} is over; {} has its words", log.display()), async || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let over = said.contains("the user data is over") || said.contains("NOT CONFINED");
            Ok(over.then_some(said))
        })
        .await?;
    Ok((id, said))
}

async fn end(ground: &Ground<'_>, instance: &str) -> Result<(), SuiteError> {
    ground.stack.aws().query(EC2, "TerminateInstances", &[("InstanceId.1", instance)]).await?;
    Ok(())
}

/// The processes of this machine with these words in their command lines.
fn running(words: &str) -> Vec<Process> {
    let has = |process: &Process| {
        let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").trim_end().ends_with(words)
    };
    processes::table().into_iter().filter(|entry| !entry.zombie).map(|entry| entry.process).filter(has).collect()
}

/// The namespaces that this command runs in.
fn machine_namespaces() -> Result<Vec<String>, SuiteError> {
    let name = |kind: &str| {
        let path = format!("/proc/self/ns/{kind}");
        fs::read_link(&path).map(|link| link.display().to_string()).map_err(SuiteError::machine(&path))
    };
    ["pid", "mnt", "user"].into_iter().map(name).collect()
}

/// Things of the machine that user data must not touch. They go with this value.
struct Canary {
    processes: Vec<(Child, Option<Process>)>,
    files: Vec<PathBuf>,
    root: PathBuf,
    status: String,
}

const CANARY: &str = "canary";

impl Canary {
    fn new(ground: &Ground<'_>) -> Result<Self, SuiteError> {
        let layout = ground.stack.layout();
        let name = format!("runnerless-canary-{}", std::process::id());
        let folders = [Path::new("/tmp"), Path::new("/var/tmp"), Path::new("/dev/shm"), layout.state()];
        let mut canary =
            Self { processes: Vec::new(), files: Vec::new(), root: layout.root().to_owned(), status: String::new() };
        for path in folders.map(|folder| folder.join(&name)) {
            fs::write(&path, CANARY).map_err(SuiteError::machine(path.display()))?;
            canary.files.push(path);
        }
        for program in [&["sleep", "900"][..], &["setsid", "--wait", "sleep", "900"]] {
            let mut command = Command::new(program[0]);
            let child = command.args(&program[1..]).stdin(Stdio::null()).spawn();
            let child = child.map_err(SuiteError::machine(program[0]))?;
            let process = i32::try_from(child.id()).ok().and_then(Process::of);
            canary.processes.push((child, process));
        }
        canary.status = canary.git_status();
        Ok(canary)
    }

    /// What is not as it was.
    fn hurt(&self) -> Vec<String> {
        let mut hurt = Vec::new();
        let alive = |process: &Option<Process>| process.as_ref().is_some_and(Process::is_alive);
        hurt.extend(
            self.processes
                .iter()
                .filter(|(_, process)| !alive(process))
                .map(|(child, _)| format!("process {}", child.id())),
        );
        let intact = |path: &&PathBuf| !fs::read_to_string(path).is_ok_and(|text| text == CANARY);
        hurt.extend(self.files.iter().filter(intact).map(|path| path.display().to_string()));
        let status = self.git_status();
        if status != self.status {
            hurt.push(format!("git status: {status}"));
        }
        hurt
    }

    /// Empty where the sources are no repository.
    fn git_status(&self) -> String {
        let output = Command::new("git").arg("-C").arg(&self.root).args(["status", "--porcelain"]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        for (child, _) in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}
