//! What a case is made of: what breaks, when that has done its work, and what is stated beforehand to come of it.

use std::time::Duration;

use super::expect::{Expect, Healer};
use super::kind::Kind;

/// A function of the stack, by its logical id without `Function`.
pub type Part = &'static str;

/// One thing that is put out of order.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Calls of a function to AWS, at the witness.
    Aws {
        /// Whose.
        part: Part,
        /// Which, as the witness names them.
        op: &'static str,
        /// The first one that is hit, from 1.
        nth: u64,
        /// How many are hit; `None`: until the case lifts it.
        times: Option<u64>,
    },
    /// One call of a function to AWS is carried out, and never answered.
    Unanswered(Part, &'static str),
    /// A call to GitLab, once: method, path below `/api/v4` (`*`: the case's job), what the simulator does.
    GitLab(&'static str, &'static str, &'static str),
    /// Such calls from the nth on, until the case lifts it.
    GitLabFrom(u64, &'static str, &'static str, &'static str),
    /// The bus cannot start the workflow.
    Unstartable(Workflow),
    /// The workflow knows another word than this for what its function answers.
    OtherWord(Workflow, &'static str),
}

/// A state machine of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workflow {
    /// Of a job that waits.
    StartRunner,
    /// Of a job that ended.
    StopRunner,
}

/// When the fault has done its work.
#[derive(Clone, Copy, Debug)]
pub enum Struck {
    /// GitLab has its answer.
    Answered,
    /// The job's row is in this state after so many charges.
    Row(&'static str, u64),
    /// The newest launch is in this state, and the witness hit so many calls.
    Launch(&'static str, u64),
    /// The witness hit so many calls.
    Hits(u64),
    /// GitLab shows the job in this state, the script has begun if it is to, and the witness hit so many calls.
    Job(&'static str, u64),
    /// A sweep ends with an error.
    SweepFails,
    /// The simulator was asked what it is not to answer, and the newest launch is in this state.
    Asked(&'static str),
    /// The job's run of this workflow failed with one of these errors.
    Failed(Workflow, &'static [&'static str]),
    /// The function was invoked as the schedule does it, failed, and its invocation is a dead letter.
    DeadLetter(Part),
}

/// How long a case takes: which runs have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// In `make test`, too.
    Quick,
    /// In `make breakage`.
    Whole,
    /// Only when it is asked for: it waits for a lease to end.
    Slow,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, its job's name and its lane's tag.
    pub id: String,
    /// How it breaks.
    pub kind: Kind,
    /// What is put out of order.
    pub faults: Vec<Fault>,
    /// Whether GitLab uses two-phase acceptance.
    pub two_phase: bool,
    /// Functions whose processes are new: they know no secret yet, and of the executor there is one process only.
    pub fresh: Vec<Part>,
    /// Whether the script waits until the fault is over.
    pub holds: bool,
    /// When the fault has done its work.
    pub struck: Struck,
    /// What is to be seen after that, and after the kill, before the fault is over.
    pub then: Option<Struck>,
    /// Whose process is killed or stands still.
    pub victim: Part,
    /// What is stated beforehand.
    pub expect: Expect,
    /// Which runs have it.
    pub pace: Pace,
}

impl Case {
    /// Whether the process that runs the job is gone when the fault is over.
    #[must_use]
    pub fn ends_executor(&self) -> bool {
        self.hits_process_of("Executor")
    }

    /// Whether calls of this function to AWS break, or one of its processes.
    #[must_use]
    pub fn breaks(&self, part: Part) -> bool {
        let of_part =
            |fault: &Fault| matches!(fault, Fault::Aws { part: p, .. } | Fault::Unanswered(p, _) if *p == part);
        self.faults.iter().any(of_part) || self.hits_process_of(part)
    }

    fn hits_process_of(&self, part: Part) -> bool {
        self.kind.signal().is_some() && self.victim == part
    }

    /// An undisturbed case, to be changed by what follows.
    #[must_use]
    pub fn new(what: &str, kind: Kind, place: &str) -> Self {
        Self {
            id: format!("{what}-{}-{place}", kind.name()),
            kind,
            faults: Vec::new(),
            two_phase: true,
            fresh: Vec::new(),
            holds: false,
            struck: Struck::Answered,
            then: None,
            victim: "Executor",
            expect: Expect {
                taken: true,
                stored: "nothing",
                healed_by: Healer::Nobody,
                within: Duration::from_secs(30),
                job: ("success", None),
                attempts: 1,
                runs: 1,
                metric: None,
                retired: false,
            },
            pace: Pace::Quick,
        }
    }

    /// Calls of this function to AWS break from the first on, until the fault is lifted.
    #[must_use]
    pub fn lasting(self, part: Part, op: &'static str) -> Self {
        self.with(Fault::Aws { part, op, nth: 1, times: None })
    }

    /// So many calls break.
    #[must_use]
    pub fn times(self, part: Part, op: &'static str, times: u64) -> Self {
        self.with(Fault::Aws { part, op, nth: 1, times: Some(times) })
    }

    /// One more thing is out of order.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// These functions start anew.
    #[must_use]
    pub fn fresh(mut self, parts: &[Part]) -> Self {
        self.fresh = parts.to_vec();
        self
    }

    /// The fault is over when this is seen, and the row is as stated then.
    #[must_use]
    pub fn struck(mut self, struck: Struck, stored: &'static str) -> Self {
        self.struck = struck;
        self.expect.stored = stored;
        self
    }

    /// And this is seen before the fault is over.
    #[must_use]
    pub fn then(mut self, then: Struck) -> Self {
        self.then = Some(then);
        self
    }

    /// Another function's process than an executor's is the victim; it is a new one, so that there is only one.
    #[must_use]
    pub fn of(mut self, victim: Part) -> Self {
        self.victim = victim;
        self.fresh = vec![victim];
        self
    }

    /// The job's row is done with in the end.
    #[must_use]
    pub fn retired(mut self) -> Self {
        self.expect.retired = true;
        self
    }

    /// Who puts it right, and within how many seconds.
    #[must_use]
    pub fn healed(mut self, by: Healer, within_s: u64) -> Self {
        self.expect.healed_by = by;
        self.expect.within = Duration::from_secs(within_s);
        self
    }

    /// GitLab is told 5xx.
    #[must_use]
    pub fn refused(mut self) -> Self {
        self.expect.taken = false;
        self
    }

    /// So many launches are charged.
    #[must_use]
    pub fn attempts(mut self, attempts: u64) -> Self {
        self.expect.attempts = attempts;
        self
    }

    /// The job fails, for this reason, after so many runs of its script.
    #[must_use]
    pub fn failed(mut self, reason: &'static str, runs: usize) -> Self {
        self.expect.job = ("failed", Some(reason));
        self.expect.runs = runs;
        self
    }

    /// Nobody gets the job, and GitLab shows it running until its own rule for silent jobs ends it.
    #[must_use]
    pub fn left_running(mut self) -> Self {
        self.expect.job = ("running", None);
        self.expect.runs = 0;
        self
    }

    /// A metric is counted.
    #[must_use]
    pub fn counts(mut self, metric: &'static str) -> Self {
        self.expect.metric = Some(metric);
        self
    }

    /// In GitLab's other mode; the name says so.
    #[must_use]
    pub fn one_phase(mut self) -> Self {
        self.two_phase = false;
        self.id.push_str("-one-phase");
        self
    }

    /// The script waits.
    #[must_use]
    pub fn holding(mut self) -> Self {
        self.holds = true;
        self
    }

    /// Which runs have it.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }
}
