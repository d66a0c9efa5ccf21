//! How a member leaves its group without ending a job: what the program beside its runner manager does next.
//!
//! Auto Scaling ends no member before its terminating lifecycle hook is answered, or no heartbeat came in time. So the member
//! tells its runner manager to take no more jobs, holds the hook open with heartbeats while builds run, and answers it
//! when the runner manager is gone. Nothing else makes it act: a runner manager that crashes while its member is in service is
//! not its concern, and what it cannot see counts as builds that run.

use serde::{Deserialize, Serialize};

use super::{DRAIN_LIMIT, HEARTBEATS};
use crate::time::{Millis, Timestamp};

/// The version of [`Memory`] as it is written down.
pub const MEMORY_VERSION: u32 = 1;
/// A member on which no runner manager was seen for that long after it was to leave never had one: its boot failed. Until
/// then one may still be starting.
pub const NEVER_STARTED: Millis = Millis::minutes(10);
/// Heartbeats are sent in a third of the time that a hook waits for one: two may fail before it is too late.
const BEATS_IN_TIME: i64 = 3;
/// A runner manager that still runs is told again that much later: until it has set up its signals, it does not hear them.
const TELL_AGAIN: Millis = Millis::minutes(1);
/// After a call that Auto Scaling did not take, the first pause; each further one is twice as long.
const FIRST_PAUSE: Millis = Millis::secs(2);
/// The longest such pause. Bound besides to a sixth of the hook's heartbeat: then a beat is late, and not too late.
const LONGEST_PAUSE: Millis = Millis::secs(60);

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in the kernel's ticks since the boot.
    pub started: u64,
}

/// What the instance is on its way to, as far as a look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is to be terminated.
    Leaves,
    /// Anything else: in service, in no group, on standby.
    Stays,
    /// The metadata service did not tell; why.
    Unknown(String),
}

/// The runner manager, as far as a look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manager {
    /// It runs.
    Runs(Process),
    /// One was here, and is gone.
    Gone,
    /// None was ever seen here.
    NeverSeen,
    /// It cannot be seen; why.
    Unknown(String),
}

/// What the look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where the instance is going.
    pub target: Target,
    /// What the runner manager does.
    pub manager: Manager,
}

/// What the program remembers, also when it is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// See [`MEMORY_VERSION`].
    pub v: u32,
    /// When it was seen that the member is to leave. There is no way back from that.
    pub leaving_since: Option<Timestamp>,
    /// The runner manager that was seen last.
    pub manager: Option<Process>,
    /// The runner manager that was told to take no more jobs.
    pub told: Option<Process>,
    /// When.
    #[serde(default)]
    pub told_at: Option<Timestamp>,
    /// When Auto Scaling took the last heartbeat.
    pub beaten_at: Option<Timestamp>,
    /// Calls in a row that Auto Scaling did not take: throttled, not answered, refused.
    pub put_off: u32,
    /// Until when it is left alone after them.
    pub quiet_until: Option<Timestamp>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            v: MEMORY_VERSION,
            leaving_since: None,
            manager: None,
            told: None,
            told_at: None,
            beaten_at: None,
            put_off: 0,
            quiet_until: None,
        }
    }
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell this runner manager to take no more jobs and to leave when its last one is over.
    Tell(Process),
    /// Tell Auto Scaling that the hook is still needed.
    Beat,
    /// Answer the hook: the instance may end.
    Complete,
}

/// What comes of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to remember, before anything is done.
    pub memory: Memory,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Why, for people; equal while nothing changes.
    pub reason: String,
}

/// Decides what to do at `now`. `heartbeat` is how long the hook waits for a heartbeat.
#[must_use]
pub fn decide(now: Timestamp, heartbeat: Millis, seen: &Seen, memory: &Memory) -> Decision {
    let mut memory = memory.clone();
    if let Manager::Runs(process) = seen.manager {
        memory.manager = Some(process);
    }
    if seen.target == Target::Leaves {
        memory.leaving_since.get_or_insert(now);
    }
    let Some(since) = memory.leaving_since else {
        let reason = match &seen.target {
            Target::Unknown(why) => format!("whether this member is to leave is not known: {why}"),
            _ => "this member stays".to_owned(),
        };
        return Decision { memory, steps: Vec::new(), reason };
    };
    let may_call = memory.quiet_until.is_none_or(|until| now >= until);
    let (steps, reason) = match &seen.manager {
        Manager::Gone => (vec![Step::Complete], "its runner manager is gone: the instance may end".to_owned()),
        Manager::NeverSeen if now - since >= NEVER_STARTED => {
            (vec![Step::Complete], "no runner manager ever started here: the instance may end".to_owned())
        }
        Manager::NeverSeen => {
            (beat(now, heartbeat, &memory), "no runner manager was seen yet, and one may be starting".to_owned())
        }
        Manager::Unknown(why) => {
            let reason = format!("what its runner manager does is not known, which counts as builds that run: {why}");
            (beat(now, heartbeat, &memory), reason)
        }
        Manager::Runs(process) => {
            let was_told = memory.told == Some(*process) && is_fresh(memory.told_at, now, TELL_AGAIN);
            let tell = (!was_told).then_some(Step::Tell(*process));
            let steps = tell.into_iter().chain(beat(now, heartbeat, &memory)).collect();
            (steps, format!("its runner manager (process {}) finishes its builds", process.pid))
        }
    };
    let steps = steps.into_iter().filter(|step| may_call || matches!(step, Step::Tell(_))).collect();
    Decision { memory, steps, reason: format!("this member is to leave: {reason}") }
}

fn beat(now: Timestamp, heartbeat: Millis, memory: &Memory) -> Vec<Step> {
    let every = Millis(heartbeat.0 / BEATS_IN_TIME);
    if is_fresh(memory.beaten_at, now, every) { Vec::new() } else { vec![Step::Beat] }
}

/// Whether something was done less than that ago. Something in the future was done before the clock was set.
fn is_fresh(done_at: Option<Timestamp>, now: Timestamp, every: Millis) -> bool {
    done_at.is_some_and(|at| at <= now && now - at < every)
}

impl Memory {
    /// The runner manager was told.
    pub fn was_told(&mut self, process: Process, now: Timestamp) {
        self.told = Some(process);
        self.told_at = Some(now);
    }

    /// Auto Scaling took a heartbeat.
    pub fn has_beaten(&mut self, now: Timestamp) {
        self.beaten_at = Some(now);
        self.put_off = 0;
        self.quiet_until = None;
    }

    /// Auto Scaling did not take a call. Returns for how long it is left alone.
    pub fn was_put_off(&mut self, now: Timestamp, heartbeat: Millis) -> Millis {
        let pause = FIRST_PAUSE.0.saturating_mul(1 << self.put_off.min(16));
        let pause = Millis(pause.min(LONGEST_PAUSE.0).min(heartbeat.0 / (2 * BEATS_IN_TIME)));
        self.put_off = self.put_off.saturating_add(1);
        self.quiet_until = Some(now + pause);
        pause
    }

    /// When Auto Scaling ends this member at the latest, whatever runs on it; `None` while it stays.
    #[must_use]
    pub fn ends_at(&self, heartbeat: Millis) -> Option<Timestamp> {
        let longest = Millis(heartbeat.0.saturating_mul(HEARTBEATS).min(DRAIN_LIMIT.0));
        self.leaving_since.map(|since| since + longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Millis = Millis::secs(300);
    const T0: Timestamp = Timestamp(1_800_000_000_000);
    const MANAGER: Process = Process { pid: 42, started: 7 };

    fn seen(target: Target, manager: Manager) -> Seen {
        Seen { target, manager }
    }

    fn unknown() -> String {
        "no answer".to_owned()
    }

    /// What is done, and what is remembered when all of it worked.
    fn act(now: Timestamp, seen: &Seen, memory: &mut Memory) -> Vec<Step> {
        let decision = decide(now, HEARTBEAT, seen, memory);
        *memory = decision.memory;
        for step in &decision.steps {
            match step {
                Step::Tell(process) => memory.was_told(*process, now),
                Step::Beat => memory.has_beaten(now),
                Step::Complete => {}
            }
        }
        decision.steps
    }

    #[test]
    fn nothing_is_done_to_a_member_that_stays_whatever_its_runner_manager_does() {
        for target in [Target::Stays, Target::Unknown(unknown())] {
            let managers = [Manager::Runs(MANAGER), Manager::Gone, Manager::NeverSeen, Manager::Unknown(unknown())];
            for manager in managers {
                let mut memory = Memory::default();
                assert_eq!(act(T0, &seen(target.clone(), manager.clone()), &mut memory), [], "{target:?} {manager:?}");
                assert_eq!(memory.leaving_since, None);
            }
        }
    }

    #[test]
    fn the_runner_manager_is_told_each_minute_and_the_hook_held_open_until_it_is_gone() {
        let mut memory = Memory::default();
        let runs = seen(Target::Leaves, Manager::Runs(MANAGER));
        assert_eq!(act(T0, &runs, &mut memory), [Step::Tell(MANAGER), Step::Beat]);
        assert_eq!(act(T0 + Millis::secs(59), &runs, &mut memory), []);
        assert_eq!(act(T0 + Millis::secs(60), &runs, &mut memory), [Step::Tell(MANAGER)]);
        assert_eq!(act(T0 + Millis::secs(99), &runs, &mut memory), []);
        assert_eq!(act(T0 + Millis::secs(100), &runs, &mut memory), [Step::Beat]);
        let gone = seen(Target::Leaves, Manager::Gone);
        assert_eq!(act(T0 + Millis::secs(101), &gone, &mut memory), [Step::Complete]);
        assert_eq!(act(T0 + Millis::secs(102), &gone, &mut memory), [Step::Complete], "until Auto Scaling took it");
    }

    #[test]
    fn a_metadata_service_that_is_gone_meanwhile_changes_nothing() {
        let mut memory = Memory::default();
        act(T0, &seen(Target::Leaves, Manager::Runs(MANAGER)), &mut memory);
        let blind = |manager| seen(Target::Unknown(unknown()), manager);
        let again = act(T0 + Millis::secs(100), &blind(Manager::Runs(MANAGER)), &mut memory);
        assert_eq!(again, [Step::Tell(MANAGER), Step::Beat]);
        assert_eq!(act(T0 + Millis::secs(101), &blind(Manager::Gone), &mut memory), [Step::Complete]);
    }

    #[test]
    fn a_runner_manager_that_was_started_meanwhile_is_told_too() {
        let mut memory = Memory::default();
        act(T0, &seen(Target::Leaves, Manager::Runs(MANAGER)), &mut memory);
        // The same number, and another process.
        let next = Process { started: 8, ..MANAGER };
        assert_eq!(act(T0, &seen(Target::Leaves, Manager::Runs(next)), &mut memory), [Step::Tell(next)]);
        assert_eq!(act(T0, &seen(Target::Leaves, Manager::Runs(next)), &mut memory), []);
    }

    #[test]
    fn one_that_cannot_be_seen_counts_as_builds_that_run() {
        let mut memory = Memory::default();
        let blind = seen(Target::Leaves, Manager::Unknown(unknown()));
        for at in (0..48 * 60).map(|minute| T0 + Millis::minutes(minute)) {
            assert!(!act(at, &blind, &mut memory).contains(&Step::Complete));
        }
        assert_eq!(act(T0 + Millis::days(2), &blind, &mut memory), [Step::Beat]);
    }

    #[test]
    fn a_member_whose_boot_failed_leaves_in_the_end_and_not_before_one_may_have_started() {
        let mut memory = Memory::default();
        let never = seen(Target::Leaves, Manager::NeverSeen);
        assert_eq!(act(T0, &never, &mut memory), [Step::Beat]);
        assert!(!act(T0 + NEVER_STARTED - Millis(1), &never, &mut memory).contains(&Step::Complete));
        assert_eq!(act(T0 + NEVER_STARTED, &never, &mut memory), [Step::Complete]);
    }

    #[test]
    fn a_throttled_beat_is_late_and_never_too_late() {
        let mut memory = Memory::default();
        let runs = seen(Target::Leaves, Manager::Runs(MANAGER));
        act(T0, &runs, &mut memory);
        let (mut now, mut taken) = (T0, T0);
        // AWS takes every third beat.
        for _ in 0..200 {
            now = now + Millis::secs(5);
            let decision = decide(now, HEARTBEAT, &runs, &memory);
            memory = decision.memory;
            if decision.steps.contains(&Step::Beat) {
                if memory.put_off == 2 {
                    assert!(now - taken < HEARTBEAT, "{now:?}");
                    taken = now;
                    memory.has_beaten(now);
                } else {
                    memory.was_put_off(now, HEARTBEAT);
                }
            }
        }
        assert!(taken > T0 + Millis::minutes(10));
        assert_eq!(memory.was_put_off(now, Millis::secs(30)), Millis::secs(2));
        for _ in 0..40 {
            memory.was_put_off(now, HEARTBEAT);
        }
        assert_eq!(memory.was_put_off(now, HEARTBEAT), Millis::secs(50));
    }

    #[test]
    fn a_clock_that_was_set_back_costs_a_beat_and_no_more() {
        let mut memory = Memory::default();
        let runs = seen(Target::Leaves, Manager::Runs(MANAGER));
        act(T0, &runs, &mut memory);
        let before = T0 - Millis::minutes(30);
        assert_eq!(act(before, &runs, &mut memory), [Step::Tell(MANAGER), Step::Beat]);
        assert_eq!(act(before + Millis::secs(59), &runs, &mut memory), []);
    }

    #[test]
    fn the_end_that_no_heartbeat_moves_is_known() {
        let leaving = Memory { leaving_since: Some(T0), ..Memory::default() };
        assert_eq!(leaving.ends_at(Millis::secs(30)), Some(T0 + Millis::secs(3000)));
        assert_eq!(leaving.ends_at(Millis::secs(7200)), Some(T0 + DRAIN_LIMIT));
        assert_eq!(Memory::default().ends_at(HEARTBEAT), None);
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let memory = Memory { leaving_since: Some(T0), told: Some(MANAGER), told_at: Some(T0), ..Memory::default() };
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }
}
