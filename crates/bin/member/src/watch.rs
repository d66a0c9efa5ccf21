//! The loop: look, decide, act, note.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use runnerless_aws_ec2::leave::Heard;
use runnerless_core::chain::chain;
use runnerless_core::pool::leaving::{Memory, Process, Seen, Step, decide};
use runnerless_core::time::Timestamp;
use tokio::time::sleep;

use crate::arguments::Arguments;
use crate::cloud::{Cloud, NoWay, Unheard};
use crate::notes::Notes;
use crate::{Surroundings, process, say};

/// The watch cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Way(#[from] NoWay),
}

/// Watches until the hook is answered.
pub(crate) fn watch(arguments: &Arguments, surroundings: &Surroundings) -> Result<(), WatchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WatchError::Runtime)?;
    let cloud = Cloud::new(arguments, surroundings)?;
    let (notes, memory, bad) = Notes::open(&arguments.notes);
    if let Some(bad) = bad {
        say(&format!("{}; begun anew", chain(&bad)));
    }
    let watch = Watch { arguments, cloud, notes, memory, said: String::new(), is_done: false };
    runtime.block_on(watch.run());
    Ok(())
}

struct Watch<'a> {
    arguments: &'a Arguments,
    cloud: Cloud,
    notes: Notes,
    memory: Memory,
    /// The last reason that was told.
    said: String,
    is_done: bool,
}

impl Watch<'_> {
    async fn run(mut self) {
        while !self.is_done {
            self.look().await;
            if !self.is_done {
                sleep(self.arguments.look).await;
            }
        }
    }

    async fn look(&mut self) {
        let target = self.cloud.target().await;
        // Last: when none is there, this is noted before the user data starts another.
        let seen = Seen { target, manager: self.arguments.manager.look(self.memory.manager).await };
        let was_leaving = self.memory.leaving_since.is_some();
        let decision = decide(now(), self.arguments.heartbeat, &seen, &self.memory);
        self.memory = decision.memory;
        if decision.reason != self.said {
            say(&decision.reason);
            self.said = decision.reason;
        }
        if let (false, Some(at)) = (was_leaving, self.memory.ends_at(self.arguments.heartbeat)) {
            let hours = (at - now()).0 / 3_600_000;
            say(&format!("Auto Scaling ends this instance in {hours} hours at the latest, whatever runs on it"));
        }
        // Before anything is done: a restart knows that this member leaves, also when nobody tells it again.
        self.note();
        for step in decision.steps {
            match step {
                Step::Tell(process) => self.tell(process),
                Step::Beat => self.beat().await,
                Step::Complete => self.complete().await,
            }
        }
        self.note();
    }

    fn tell(&mut self, process: Process) {
        match process::quit(process) {
            Ok(true) => {
                say(&format!("told process {} to finish its builds and leave (SIGQUIT)", process.pid));
                self.memory.was_told(process, now());
            }
            // The next look sees that it is gone.
            Ok(false) => {}
            Err(error) => say(&format!("process {} cannot be told to finish its builds: {error}", process.pid)),
        }
    }

    async fn beat(&mut self) {
        match self.cloud.beat().await {
            Ok(Heard::Taken) => self.memory.has_beaten(now()),
            Ok(Heard::NothingWaits) => {
                self.put_off("the group's hook does not wait for this instance yet, or any more")
            }
            Err(error) => self.unheard("the heartbeat was not taken", &error),
        }
    }

    async fn complete(&mut self) {
        match self.cloud.complete().await {
            Ok(Heard::Taken) => {
                say("the group's hook is answered: the instance may end");
                self.is_done = true;
            }
            // Not at the hook yet, or answered by somebody else: then the instance ends, and this program with it.
            Ok(Heard::NothingWaits) => {
                self.put_off("the group's hook does not wait for this instance yet, or any more")
            }
            Err(error) => self.unheard("the answer to the group's hook was not taken", &error),
        }
    }

    fn unheard(&mut self, what: &str, error: &Unheard) {
        self.put_off(&format!("{what}: {}", chain(error)));
    }

    fn put_off(&mut self, why: &str) {
        let pause = self.memory.was_put_off(now(), self.arguments.heartbeat);
        say(&format!("{why}; again in {} s", pause.0.div_euclid(1000)));
    }

    fn note(&mut self) {
        if let Err(error) = self.notes.write(&self.memory) {
            let words = format!("{}: cannot be written: {error}", self.arguments.notes.display());
            if words != self.said {
                say(&words);
                self.said = words;
            }
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
