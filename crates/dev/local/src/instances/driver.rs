//! The driver's loop: look, take in what is new, end what is over.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::confine::{Confinement, Folder, NoConfinement};
use super::ec2::{Ec2, Ec2Error, Origin, Record, Template};
use super::metadata::{Facts, Service};
use super::role::Role;
use super::{GROUP_TAG, Plan, address_of_member};
use crate::aws::{Aws, REGION};
use crate::demo::{said, tell};
use crate::guard;
use crate::layout::Layout;

/// Between two looks, while an instance is on. The witness tells of most changes, so this is for those that pass it by.
const BUSY: Duration = Duration::from_millis(500);
/// Between two looks, else.
const IDLE: Duration = Duration::from_secs(2);

/// An instance cannot be run.
#[derive(Debug, thiserror::Error)]
enum CannotRun {
    #[error(transparent)]
    Confinement(#[from] NoConfinement),
    #[error("its processes cannot be started")]
    Start(#[from] io::Error),
    #[error("its user data is no script: it does not begin with #!")]
    NoScript,
}

/// Processes of an instance.
struct Running {
    /// The guard ends them when this is dropped.
    _guard: ChildStdin,
    _metadata: Service,
}

/// An instance that was taken in.
struct Known {
    template: Template,
    /// None for a mere record, and after the power went off.
    running: Option<Running>,
}

pub(super) struct Driver {
    plan: Plan,
    aws: Aws,
    ec2: Ec2,
    confinement: Option<Result<Confinement, NoConfinement>>,
    known: HashMap<String, Known>,
    /// Switched off, and EC2 does not know yet: whether they are over for good.
    off: HashMap<String, bool>,
    /// Terminated, and their volumes are gone.
    settled: HashSet<String>,
    started: u32,
    guards: JoinSet<()>,
    ended: mpsc::UnboundedSender<(String, io::Result<ExitStatus>)>,
    ends: mpsc::UnboundedReceiver<(String, io::Result<ExitStatus>)>,
}

impl Driver {
    pub(super) fn new(plan: Plan) -> Self {
        let aws = Aws::new(&plan.emulator);
        let (ended, ends) = mpsc::unbounded_channel();
        Self {
            ec2: Ec2::new(aws.clone()),
            aws,
            plan,
            confinement: None,
            known: HashMap::new(),
            off: HashMap::new(),
            settled: HashSet::new(),
            started: 0,
            guards: JoinSet::new(),
            ended,
            ends,
        }
    }

    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut said_before = String::new();
        loop {
            let pause = tokio::select! {
                looked = self.look() => {
                    // The emulator may be busy, or ending; the next look tells.
                    let words = looked.as_ref().err().map(|error| said(error)).unwrap_or_default();
                    if !words.is_empty() && words != said_before {
                        tell(&format!("instances cannot be looked at: {words}"));
                    }
                    said_before = words;
                    if self.is_busy() { BUSY } else { IDLE }
                }
                _ = &mut stopped => break,
            };
            let register = Arc::clone(&self.plan.register);
            tokio::select! {
                Some((id, status)) = self.ends.recv() => self.has_ended(&id, status),
                () = register.nudged() => {}
                () = sleep(pause) => {}
                _ = &mut stopped => break,
            }
        }
        self.known.clear();
        while self.guards.join_next().await.is_some() {}
    }

    fn is_busy(&self) -> bool {
        !self.off.is_empty() || self.known.values().any(|known| known.running.is_some())
    }

    async fn look(&mut self) -> Result<(), Ec2Error> {
        while let Some((id, is_over)) = self.off.iter().next().map(|(id, over)| (id.clone(), *over)) {
            self.ec2.end(&id, is_over).await?;
            self.off.remove(&id);
        }
        let records = {
            let _made = self.plan.register.unread().await;
            self.ec2.instances().await?
        };
        let mut origins = None;
        for record in &records {
            let id = &record.id;
            if record.is_on() && !self.known.contains_key(id) {
                // A record without a fleet may get one in a moment; one that never does stays a record.
                if let Some((origin, template)) = self.made_from(id, &mut origins).await? {
                    self.take_in(record, &origin, template).await;
                }
            } else if record.state == "terminated" && !self.settled.contains(id) {
                self.settle(record, &mut origins).await?;
            }
        }
        let is_on = |id: &String| records.iter().any(|record| record.id == *id && record.is_on());
        for (_, known) in self.known.iter_mut().filter(|(id, _)| !is_on(id)) {
            known.running = None;
        }
        Ok(())
    }

    async fn made_from(
        &self,
        id: &str,
        origins: &mut Option<HashMap<String, Origin>>,
    ) -> Result<Option<(Origin, Template)>, Ec2Error> {
        if origins.is_none() {
            *origins = Some(self.ec2.origins().await?);
        }
        let Some(origin) = origins.as_ref().and_then(|all| all.get(id)).cloned() else { return Ok(None) };
        let template = self.ec2.template(&origin).await?;
        Ok(Some((origin, template)))
    }

    /// Runs it, or says why not and has it over.
    async fn take_in(&mut self, record: &Record, origin: &Origin, template: Template) {
        let mut known = Known { template, running: None };
        let log = log(&self.plan.layout, &record.id);
        // What cannot be made is told when the log is.
        let _ = log.parent().map(std::fs::create_dir_all);
        if let Some(user_data) = known.template.user_data.clone() {
            match self.start(record, origin, &known.template, &user_data).await {
                Ok(running) => {
                    self.note(&record.id, "begun");
                    known.running = Some(running);
                }
                Err(error) => {
                    let words = format!("instance {} is terminated: {}", record.id, said(&error));
                    tell(&words);
                    // The supervisor's log has it too.
                    let _ = std::fs::write(log, format!("{words}\n"));
                    self.off.insert(record.id.clone(), true);
                    self.plan.register.nudge();
                }
            }
        }
        self.known.insert(record.id.clone(), known);
    }

    async fn start(
        &mut self,
        record: &Record,
        origin: &Origin,
        template: &Template,
        user_data: &[u8],
    ) -> Result<Running, CannotRun> {
        if !user_data.starts_with(b"#!") {
            return Err(CannotRun::NoScript);
        }
        let confinement = self.confinement().await?;
        let apis = self.apis().await;
        let is_member = record.tags.contains_key(GROUP_TAG);
        let address = if is_member { address_of_member(&record.id) } else { record.address.clone() };
        let mut user_data = self.with_local_apis(user_data, &apis);
        if is_member {
            user_data = with_own_address(&user_data, &address);
        }
        let names: String = apis.iter().map(|api| format!("127.0.0.1 {api}.execute-api.localhost\n")).collect();
        let facts = Facts {
            id: record.id.clone(),
            image: record.image.clone(),
            kind: record.kind.clone(),
            zone: record.zone.clone(),
            address,
            spot: origin.spot,
            tags: template.tags_in_metadata.then(|| record.tags.clone()),
            user_data: user_data.clone(),
            on: template.metadata,
        };
        let role = record.profile.as_ref().map(|profile| Role::new(self.aws.clone(), profile, &record.id));
        let metadata = Service::start(facts, role, Arc::clone(&self.plan.register)).await?;
        let path = self.plan.layout.tmp().join("instances").join(&record.id);
        let folder = Folder::new(&path, &user_data, &format!("127.0.0.1 localhost\n{names}"))?;
        folder.bring(&self.plan.layout.image())?;
        let (number, metadata_url) = (self.number(), metadata.url());
        let mut variables = vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_url.as_str())];
        if is_member {
            // What a member says to AWS is under test; other instances have nothing to say there.
            variables.push(("AWS_ENDPOINT_URL", self.plan.witness.as_str()));
        }
        let words = confinement.words(&folder, number, &variables);
        let output = File::create(log(&self.plan.layout, &record.id))?;
        let errors = output.try_clone()?;
        let mut command: Command = guard::command(&self.plan.program, &words).into();
        command.env_clear().env("PATH", confinement.search_path()).env("TMPDIR", self.plan.layout.tmp());
        let mut child = command.stdout(output).stderr(errors).spawn()?;
        let guard = child.stdin.take().ok_or_else(|| io::Error::other("the guard has no standard input"))?;
        let (ended, id) = (self.ended.clone(), record.id.clone());
        self.guards.spawn(async move {
            let status = child.wait().await;
            folder.remove();
            let _ = ended.send((id, status));
        });
        Ok(Running { _guard: guard, _metadata: metadata })
    }

    /// A number that no instance of late had, also not one of another stack.
    fn number(&mut self) -> u32 {
        self.started = self.started.wrapping_add(1);
        std::process::id().wrapping_mul(31).wrapping_add(self.started)
    }

    /// The probe is made when the first instance is there: most stacks have none.
    async fn confinement(&mut self) -> Result<Confinement, NoConfinement> {
        if self.confinement.is_none() {
            let runner = self.plan.layout.command("runnerless-runner");
            let folder = self.plan.layout.tmp().join("instances/probe");
            self.confinement = Some(Confinement::new(&runner, &self.plan.search_path, &folder).await);
        }
        self.confinement.clone().unwrap_or_else(|| unreachable!("it was just made"))
    }

    /// The ids of the HTTP APIs: an instance reaches them by name. None when they cannot be asked for: then it reaches
    /// none, and its log says so.
    async fn apis(&self) -> Vec<String> {
        let answer = self.aws.get("apigateway", "/v2/apis", "").await.unwrap_or_default();
        let items = answer["items"].as_array().into_iter().flatten();
        items.filter_map(|api| api["apiId"].as_str().map(str::to_owned)).collect()
    }

    /// The names that APIs have on AWS lead to the emulator, by way of the witness. Neither has TLS.
    fn with_local_apis(&self, user_data: &[u8], apis: &[String]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(user_data) else { return user_data.to_vec() };
        let port = self.plan.witness.rsplit(':').next().unwrap_or_default();
        let with = |text: String, api: &String| {
            let there = format!("https://{api}.execute-api.{REGION}.amazonaws.com");
            text.replace(&there, &format!("http://{api}.execute-api.localhost:{port}"))
        };
        apis.iter().fold(text.to_owned(), with).into_bytes()
    }

    /// The guard of an instance is gone: the power is off, or the instance was ended and is forgotten.
    fn has_ended(&mut self, id: &str, status: io::Result<ExitStatus>) {
        let Some(known) = self.known.get_mut(id).filter(|known| known.running.is_some()) else { return };
        known.running = None;
        let over = known.template.off_is_over;
        self.note(id, "off");
        let is_off = status.as_ref().is_ok_and(ExitStatus::success);
        if !is_off {
            let log = log(&self.plan.layout, id);
            let why = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            tell(&format!("instance {id} is terminated: it broke ({why}); its last words are in {}", log.display()));
        }
        self.off.insert(id.to_owned(), !is_off || over);
    }

    /// An instance that is over takes its volumes with it, but for those that are to stay.
    async fn settle(&mut self, record: &Record, origins: &mut Option<HashMap<String, Origin>>) -> Result<(), Ec2Error> {
        let kept = match self.known.get(&record.id) {
            Some(known) => known.template.kept.clone(),
            None => self.made_from(&record.id, origins).await?.map(|(_, template)| template.kept).unwrap_or_default(),
        };
        for volume in record.volumes.iter().filter(|volume| !kept.contains(&volume.device)) {
            self.ec2.remove(&volume.id).await?;
        }
        self.settled.insert(record.id.clone());
        self.note(&record.id, "terminated");
        Ok(())
    }

    /// When what happened to an instance, for the demo's table. A line that is missing shows there.
    fn note(&self, id: &str, what: &str) {
        let line = json!({"t": Timestamp::now().as_millisecond(), "instance": id, "what": what});
        let path = self.plan.layout.instances();
        let file = File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// A member's services listen at its own address, where on AWS they listen at all that an instance has.
fn with_own_address(user_data: &[u8], address: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(user_data) else { return user_data.to_vec() };
    text.replace("listen_address = \":", &format!("listen_address = \"{address}:")).into_bytes()
}

/// What an instance said.
fn log(layout: &Layout, id: &str) -> std::path::PathBuf {
    layout.log(&format!("instances/{id}"))
}
