//! `stack remove`: from a stack that serves jobs to none.
//!
//! First the stack drains: a row of the ledger says so, router and sweep obey it, and the sweep does what there is to do,
//! with the moves that it always makes. This command only has it done now instead of each minute, and looks at the ledger
//! until nothing is left. Then CloudFormation deletes the stack. A command that was ended anywhere goes on where it stood
//! when it is run again.

mod left;
mod standing;

use std::io::Read;

use runnerless_aws::clock::Clock;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_aws_admin::ports::{FunctionCalls, SecretStore, StackFacts, Stacks};
use runnerless_core::change::RowKey;
use runnerless_core::drain::{DRAIN_SETTLES, Draining, drain};
use runnerless_core::time::{Millis, Timestamp};

use crate::error::{CliError, counted};
use crate::screen::Screen;
use crate::settings::{LEDGER_TABLE, MAPPING_TABLE, Output, PARAMETER_PATH, RECONCILER, Settings, WEBHOOK};
use left::Left;
use standing::{Standing, Swept};

/// Pause between two looks, at the ledger and at CloudFormation: each look at the ledger costs a sweep.
const PAUSE: Millis = Millis::secs(5);
/// How long CloudFormation is waited for. It takes minutes, and up to forty where functions had network interfaces.
const DELETION: Millis = Millis::minutes(60);
/// How often the row is written again because another command wrote it in between.
const TRIES: u32 = 5;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The stack's name.
    pub stack: String,
    /// Nobody is asked.
    pub yes: bool,
    /// How long jobs are waited for.
    pub wait: Millis,
    /// They are not: they are reported as failed.
    pub now: bool,
    /// What is to be told to GitLab, or removed there, stays undone where GitLab does not answer.
    pub without_gitlab: bool,
}

/// What the command speaks to.
#[derive(Clone, Copy, Debug)]
pub struct Ports<'a, L, F, S, P, C> {
    /// The ledger.
    pub ledger: &'a L,
    /// The sweep.
    pub functions: &'a F,
    /// CloudFormation.
    pub stacks: &'a S,
    /// Parameter Store.
    pub parameters: &'a P,
    /// The time.
    pub clock: &'a C,
}

/// What is known of the stack: its outputs, from CloudFormation and from where every command has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The ledger's table.
    pub ledger: Option<String>,
    /// The function that sweeps.
    pub reconciler: Option<String>,
    /// The mapping's table.
    pub mapping: Option<String>,
    /// Where the secrets are.
    pub parameter_path: Option<String>,
    /// Where GitLab sends its hooks.
    pub webhook: Option<String>,
}

impl Known {
    /// From both. They must not name two stacks: one would be drained, and the other deleted.
    ///
    /// # Errors
    /// They do.
    pub fn new(settings: &Settings, facts: Option<&StackFacts>) -> Result<Self, CliError> {
        let of = |output: Output| -> Result<Option<String>, CliError> {
            let shown = facts.and_then(|facts| facts.outputs.get(output.name()));
            match (settings.optional(output), shown) {
                (Some(told), Some(shown)) if told != shown => Err(CliError::NotConfigured {
                    what: format!("stack {} has {} {shown}, and {told} was given", settings.stack(), output.name()),
                    cure: format!(
                        "give the outputs of the stack that is to be removed, or none: unset {}, leave out --outputs",
                        output.variable()
                    ),
                }),
                (told, shown) => Ok(shown.map(String::as_str).or(told).map(str::to_owned)),
            }
        };
        Ok(Self {
            ledger: of(LEDGER_TABLE)?,
            reconciler: of(RECONCILER)?,
            mapping: of(MAPPING_TABLE)?,
            parameter_path: of(PARAMETER_PATH)?,
            webhook: of(WEBHOOK)?,
        })
    }
}

/// Removes the stack, and says what stays.
///
/// # Errors
/// Nobody agreed, something is left and the time is over, or AWS refuses.
pub async fn remove<L: Ledger, F: FunctionCalls, S: Stacks, P: SecretStore, C: Clock>(
    ports: &Ports<'_, L, F, S, P, C>,
    wish: &Wish,
    facts: Option<&StackFacts>,
    known: &Known,
    stdin: &mut dyn Read,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let stack = &wish.stack;
    let mut left = Left::new(stack, known);
    let Some(facts) = facts else {
        screen.say(format!("there is no stack {stack} in this region and account"))?;
        return left.tell(ports.parameters, screen).await;
    };
    refuse(stack, facts)?;
    say_what_comes(wish, facts, screen)?;
    if !wish.yes {
        confirm(stack, stdin, screen)?;
    }
    // Its functions may be gone already, and were idle when its deletion began.
    if !is_deleted_already(facts) {
        left.look(ports.ledger).await?;
        let reconciler = known.reconciler.as_deref().ok_or_else(|| not_ours(stack))?;
        drained(ports, wish, reconciler, screen).await?;
    }
    delete(ports, wish, facts, screen).await?;
    left.tell(ports.parameters, screen).await
}

/// Has a stack that drains take jobs again.
///
/// # Errors
/// The ledger is out of reach.
pub async fn resume(ledger: &impl Ledger, clock: &impl Clock, screen: &mut Screen<'_>) -> Result<(), CliError> {
    write(ledger, None, clock.now()).await?;
    screen.say("the stack takes jobs again; the sweep launches for those that wait, within a minute")?;
    Ok(())
}

fn is_deleted_already(facts: &StackFacts) -> bool {
    facts.status.starts_with("DELETE_")
}

fn not_ours(stack: &str) -> CliError {
    CliError::Finding(format!(
        "stack {stack} has no output ReconcilerFunctionName: it is no stack of Runnerless; nothing was changed"
    ))
}

/// What would only fail later.
fn refuse(stack: &str, facts: &StackFacts) -> Result<(), CliError> {
    if !facts.outputs.contains_key(RECONCILER.name()) && !is_deleted_already(facts) {
        return Err(not_ours(stack));
    }
    if facts.protected {
        return Err(CliError::Finding(format!(
            "stack {stack} is protected from its deletion; nothing was changed. To lift that: aws cloudformation \
             update-termination-protection --no-enable-termination-protection --stack-name {stack}"
        )));
    }
    if facts.status.ends_with("_IN_PROGRESS") && !is_deleted_already(facts) {
        let status = &facts.status;
        return Err(CliError::Finding(format!("stack {stack} is {status}; wait until that is over")));
    }
    Ok(())
}

fn say_what_comes(wish: &Wish, facts: &StackFacts, screen: &mut Screen<'_>) -> Result<(), CliError> {
    let Wish { stack, wait, now, without_gitlab, .. } = wish;
    screen.say(format!("stack {stack} ({}, {}) is to be removed:", facts.status, facts.id))?;
    if !is_deleted_already(facts) {
        screen.say("- it launches nothing more; jobs that wait keep waiting at GitLab")?;
        screen.say("- launches that have no job are ended")?;
        screen.say(match now {
            true => "- jobs that run are reported to GitLab as failed (runner_system_failure), and their instances end"
                .to_owned(),
            false => format!("- jobs that run are waited for, {} minutes at most", wait.0 / 60_000),
        })?;
        screen.say(match without_gitlab {
            false => "- its runner managers, and the runners that it made, are removed from GitLab",
            true => "- its runner managers, and the runners that it made, are removed from GitLab if that answers",
        })?;
    }
    screen.say("- CloudFormation deletes the stack, with the ledger")?;
    Ok(())
}

/// Asks for the stack's name.
fn confirm(stack: &str, stdin: &mut dyn Read, screen: &mut Screen<'_>) -> Result<(), CliError> {
    screen.tell("type the stack's name to go on:")?;
    let mut line = Vec::new();
    let mut byte = [0];
    // What follows the line is not ours to read.
    while line.len() < 1024 && stdin.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&line);
    if answer.trim() == stack {
        Ok(())
    } else {
        Err(CliError::Usage(format!("that is not {stack}; nothing was changed. Scripts give --yes")))
    }
}

/// Drains the stack to the end.
async fn drained<L: Ledger, F: FunctionCalls, S, P, C: Clock>(
    ports: &Ports<'_, L, F, S, P, C>,
    wish: &Wish,
    reconciler: &str,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let Ports { ledger, functions, clock, .. } = *ports;
    let how = if wish.now { Draining::Now } else { Draining::Wait };
    let began = clock.now();
    let since = write(ledger, Some(how), began).await?;
    screen.say("the stack launches nothing more")?;
    let mut said = String::new();
    loop {
        let swept = Swept::ask(functions, reconciler).await?;
        if !swept.drains {
            write(ledger, None, clock.now()).await?;
            return Err(CliError::Finding(format!(
                "{reconciler} is of a release that cannot drain its stack, or sweeps another ledger; nothing was \
                 changed. Deploy this release first, or go by docs/runbook.md, \"Delete the stack\""
            )));
        }
        let standing = Standing::read(ledger).await?;
        let open = standing.open(swept.instances, wish.without_gitlab);
        let settles = since + DRAIN_SETTLES;
        let words = match (open.is_empty(), clock.now() < settles) {
            (true, false) => break tell_waiting(&standing, screen)?,
            (true, true) => "nothing is left; whoever began before the stack drained has a minute to end".to_owned(),
            (false, _) => format!("waiting for {}", open.join(", ")),
        };
        if words != said {
            tell_waiting(&standing, screen)?;
            screen.say(&words)?;
            said = words;
        }
        if clock.now() - began >= wish.wait.max(DRAIN_SETTLES) {
            return Err(late(wish, &open, &swept));
        }
        clock.pause(PAUSE).await;
    }
    Ok(())
}

fn tell_waiting(standing: &Standing, screen: &mut Screen<'_>) -> Result<(), CliError> {
    if let Some(words) = standing.waiting() {
        screen.say(words)?;
    }
    Ok(())
}

fn late(wish: &Wish, open: &[String], swept: &Swept) -> CliError {
    let held =
        if swept.held.is_empty() { String::new() } else { format!(" (the last sweep: {})", swept.held.join("; ")) };
    let mut ways = vec!["run this again to wait on"];
    if !wish.now {
        ways.push("with --now to have jobs reported as failed");
    }
    if !wish.without_gitlab {
        ways.push("with --without-gitlab if GitLab does not answer and will not");
    }
    CliError::Finding(format!(
        "after {} minutes there still is {}{held}; the stack launches nothing: {}, or `runnerless stack resume` to have it \
         take jobs again",
        wish.wait.0 / 60_000,
        open.join(", "),
        ways.join(", "),
    ))
}

/// Has CloudFormation delete the stack, and waits for that.
async fn delete<L, F, S: Stacks, P, C: Clock>(
    ports: &Ports<'_, L, F, S, P, C>,
    wish: &Wish,
    facts: &StackFacts,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let Ports { stacks, clock, .. } = *ports;
    let stack = &wish.stack;
    stacks.delete(&facts.id).await?;
    screen.say(format!("CloudFormation deletes stack {stack}"))?;
    let until = clock.now() + DELETION;
    loop {
        let Some(shown) = stacks.show(&facts.id).await? else { break };
        match shown.status.as_str() {
            "DELETE_COMPLETE" => break,
            "DELETE_FAILED" => {
                let reason = shown.reason.unwrap_or_else(|| "it does not say why".to_owned());
                return Err(CliError::Finding(format!(
                    "CloudFormation could not delete all of stack {stack}: {reason} Mend that, and run this again"
                )));
            }
            status if clock.now() >= until => {
                let minutes = DELETION.0 / 60_000;
                return Err(CliError::Finding(format!(
                    "stack {stack} is still {status} after {minutes} minutes; run this again to wait on"
                )));
            }
            _ => clock.pause(PAUSE).await,
        }
    }
    screen.say(format!("stack {stack} is gone"))?;
    Ok(())
}

/// Writes how the stack drains. Returns since when it does, or does not.
async fn write(ledger: &impl Ledger, how: Option<Draining>, now: Timestamp) -> Result<Timestamp, CliError> {
    for _ in 0..TRIES {
        let row = ledger.load(&[RowKey::Drain]).await?.drain()?;
        let plan = drain(row.as_ref(), how, now);
        if ledger.apply(&plan).await? == Applied::All {
            let stands = row.filter(|row| row.draining.is_some() == how.is_some());
            return Ok(stands.map_or(now, |row| row.since));
        }
    }
    Err(CliError::Contended { what: "the row `drain`", times: TRIES })
}

/// `3 jobs that run (41/7, 41/8, ...)`.
fn named(n: usize, one: &str, many: &str, names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.take(SHOWN).collect();
    let more = if n > shown.len() { ", ..." } else { "" };
    format!("{} ({}{more})", counted(n, one, many), shown.join(", "))
}
