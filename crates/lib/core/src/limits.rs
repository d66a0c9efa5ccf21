//! The numbers that the promises rest on. Each says what it is bound to; changing one means reading what it names.

use crate::time::Millis;

/// How long a Lambda invocation may sit in AWS's queue before it is dropped as `EventAgeExceeded`. The template sets
/// the same number on every executor (`MaximumEventAgeInSeconds`); AWS allows 60 s to 6 h.
pub const EVENT_AGE: Millis = Millis::secs(120);

/// From the charge until the runner must have begun: the event's age, and half a minute for a cold start and the
/// begin itself. Shorter than the event's age would let the sweep start a second launch beside one still queued.
pub const START_LEASE: Millis = Millis(EVENT_AGE.0 + 30_000);

/// How long a runner asks GitLab for a job, counted from its begin: the last ask is sent before this is over. That of the
/// usual schedule (0, 1, 3, 7, 15 s) falls inside it.
pub const WAIT: Millis = Millis::secs(20);

/// The limit of one request to GitLab while asking. Not shorter, because a 201 that is cut off costs its job two minutes,
/// or an hour where GitLab runs jobs from the 201 on. The executor gives its client this limit.
pub const ASK_TIMEOUT: Millis = Millis::secs(30);

/// A bind happens within this of the 201, by the runner's monotonic clock; later the runner gives the job back.
pub const BIND_LIMIT: Millis = Millis::secs(30);

/// An acceptance happens within this of the 201. GitLab takes an unaccepted job back after two minutes.
pub const ACCEPT_LIMIT: Millis = Millis::secs(60);

/// Later than this after a 201 that was not accepted, nothing is sent about the job: it may be another runner's.
pub const SILENCE_LIMIT: Millis = Millis::secs(90);

/// From the begin until an unbound launch may be closed: its wait, its last request, the bind's limit, and ten
/// seconds for clocks that differ. This sum is what makes closing safe; `moves.rs` explores what happens without it.
pub const POLL_LEASE: Millis = Millis(WAIT.0 + ASK_TIMEOUT.0 + BIND_LIMIT.0 + 10_000);

/// How often our own runner gives a sign of life while its job runs. AWS's word that an invocation failed may be about
/// a second delivery of the event, so it is believed only when two signs are missing; the promise to report a lost
/// executor within thirty seconds allows no longer pause.
pub const BEAT: Millis = Millis::secs(10);

/// What is added to the missing signs of life: a write that takes its time.
pub const BEAT_MARGIN: Millis = Millis::secs(2);

/// How long whoever declares a launch lost has to tell GitLab, before the sweep does it.
pub const DEBT_GRACE: Millis = Millis::secs(20);

/// How long telling GitLab of a lost job is tried: by then GitLab has ended a job without a sign of life by itself.
pub const DEBT_LIMIT: Millis = Millis::minutes(90);

/// A bound launch that was silent for this long is lost: functions in other languages renew once a minute, and two renewals
/// may go missing. With the sweep's minute
/// this keeps the promise to report a lost executor within four minutes.
pub const HEARTBEAT_LEASE: Millis = Millis::secs(180);

/// No live launch is due later than this after now: every move that leaves one alive grants it [`EC2_BOOT`] at most, the
/// longest of the leases, by a clock that may be ten seconds ahead. The sweep reads the index so far, and has then seen
/// every live launch.
pub const LAUNCH_WINDOW: Millis = Millis(EC2_BOOT.0 + 10_000);

/// A Lambda launch's hard end after its charge: the queue, and Lambda's longest invocation of 900 s.
pub const LAMBDA_DEADLINE: Millis = Millis(START_LEASE.0 + 900_000);

/// From the charge until an EC2 launch's instance must be recorded: the workflow's tries and the sweep's, which repeat the
/// same request and token while it is unknown whether it went out. Later the launch is stopped, and what was started under
/// its tag is ended. AWS keeps a token for at least a day, so that each of these tries is the same start.
pub const EC2_CHARGE_LEASE: Millis = Millis::minutes(5);

/// How long an EC2 launch may wait for its provisioner before the sweep sends its request: the workflow's first try, whose
/// function ends after 45 s, is over by then.
pub const EC2_CHARGE_GRACE: Millis = Millis::secs(60);

/// From the recorded instance until its runner must have begun. An image with all tools in it begins half a minute after
/// the request; the rest is for an image that installs some at its first boot.
pub const EC2_BOOT: Millis = Millis::minutes(5);

/// The longest job of an EC2 lane whose mapping row sets no `timeout_s`: GitLab.com's own limit of three hours, and ten
/// minutes for a job that uses it up.
pub const EC2_JOB: Millis = Millis::minutes(190);

/// The longest `timeout_s` that counts: GitLab lets no job run longer than a month.
pub const EC2_JOB_MOST: Millis = Millis::days(31);

/// What an EC2 launch's hard end adds to its longest job: the bind, `after_script`, uploads, the report and the power-off.
pub const EC2_SLACK: Millis = Millis::minutes(10);

/// An instance that EC2 says it started is shown by a look-up within this. It is said to be eventually consistent, and
/// takes seconds.
pub const EC2_VISIBLE: Millis = Millis::secs(60);

/// How long a job waits whose launch found no capacity or met a quota: these change within minutes.
pub const EC2_FULL_RETRY: Millis = Millis::secs(60);

/// How long a job waits after EC2 asked to slow down: its buckets fill up within seconds.
pub const EC2_THROTTLED_RETRY: Millis = Millis::secs(15);

/// How long the answer to a request for a launch's own runner may take: whoever asked for it has ended by then, because the
/// provisioner's function ends after 45 s, and the sweep's after 55.
pub const RUNNER_ANSWER: Millis = Millis::secs(60);

/// How long a job waits after GitLab asked to slow down: its limits are counted by the minute.
pub const RUNNER_LATER: Millis = Millis::secs(60);

/// How long deleting a launch's own runner is tried. GitLab forgets no runner by itself, and a day is longer than any GitLab
/// is down; then an operator is told.
pub const RUNNER_LIMIT: Millis = Millis::days(1);

/// An EC2 launch's hard end after its charge. `longest` is the longest job of its mapping row, where that says so.
#[must_use]
pub const fn ec2_deadline(longest: Option<Millis>) -> Millis {
    let longest = match longest {
        Some(longest) if longest.0 < EC2_JOB_MOST.0 => longest,
        Some(_) => EC2_JOB_MOST,
        None => EC2_JOB,
    };
    Millis(EC2_CHARGE_LEASE.0 + EC2_BOOT.0 + longest.0 + EC2_SLACK.0)
}

/// After this many launches that found nothing, a job is unserved.
pub const FRUITLESS_LIMIT: u32 = 3;

/// An unserved job costs one attempt in this time.
pub const UNSERVED_RETRY: Millis = Millis::minutes(60);

/// The wait before the second and the third attempt; later ones are the unserved job's. A job whose offer nobody accepted
/// is shown to nobody for GitLab's two minutes: the third attempt comes after them, or one crash would cost an hour.
pub const RETRY_BACKOFF: [Millis; 2] = [Millis::secs(10), Millis::secs(130)];

/// The wait after a launch that was not in vain for the job's sake: GitLab did not answer, or this side had a trouble.
pub const TROUBLE_RETRY: Millis = Millis::secs(60);

/// How long an offer that nobody accepted hides its job: GitLab's two minutes, and a little.
pub const OFFER_AGAIN: Millis = Millis::secs(125);

/// How long a job is taken to be pending without another word. GitLab drops a pending job after a day; an hour is for
/// clocks and queues.
pub const PENDING_LIMIT: Millis = Millis(Millis::days(1).0 + Millis::minutes(60).0);

/// How long an announced job may wait for its charge before the sweep charges it. The bus and the workflow take well
/// under a second; a smaller number only makes the sweep and the router race, which costs a conflict and no launch.
pub const CHARGE_GRACE: Millis = Millis::secs(20);

/// How long the sweep waits before it looks whether an ended job's launch is gone.
pub const SETTLE_CHECK: Millis = Millis::secs(60);

/// A job name that a foreign runner took is launched for only when it still waits after this.
pub const LEARNED_DELAY: Millis = Millis::minutes(2);

/// How long the ledger remembers that a foreign runner takes a job name.
pub const LEARNED_KEEP: Millis = Millis::days(30);

/// How long after a `running` hook that names our runner its binding may be late: a runner that has not bound a job thirty
/// seconds after the 201 gives it back.
pub const UNBOUND_GRACE: Millis = BIND_LIMIT;

/// How long a job held back by a cap waits for the next look.
pub const CAP_RETRY: Millis = Millis::secs(30);

/// How often a lane's token is verified. GitLab shows a runner that was silent for two hours as offline.
pub const VERIFY_EVERY: Millis = Millis::minutes(60);

/// How soon a token is verified again that was refused or missing, or about which GitLab did not answer.
pub const VERIFY_RETRY: Millis = Millis::minutes(10);

/// How soon after a sentinel was sent, or held back by a cap, the sweep looks at its lane again.
pub const SENTINEL_LOOK: Millis = Millis::secs(60);

/// How long rows with nothing left to do are kept. GitLab drops a pending job after a day, so a `pending` of a job
/// that was created longer ago than this is an old message that was sent again.
pub const KEEP_CLOSED_ROWS: Millis = Millis::days(14);

/// Default cap on the live launches of one lane.
pub const LANE_CAP: u32 = 100;

/// Default cap on the live launches of one stack.
pub const STACK_CAP: u32 = 400;

/// From one sweep to the next: the template's schedule.
pub const SWEEP_EVERY: Millis = Millis::minutes(1);

/// How often an active project's pending jobs are listed.
pub const VISIT_ACTIVE: Millis = Millis::minutes(2);

/// How often a quiet project's are.
pub const VISIT_QUIET: Millis = Millis::minutes(10);

/// How often an idle project's are.
pub const VISIT_IDLE: Millis = Millis::minutes(30);

/// When a listing that failed goes on: not with the next run, so that one broken project does not use up the calls.
pub const VISIT_RETRY: Millis = Millis::minutes(2);

/// A project of which a hook or a pending job was seen within this is active.
pub const ACTIVE_FOR: Millis = Millis::minutes(60);

/// One of which something was seen within this is quiet; the others are idle. Longer than a weekend.
pub const QUIET_FOR: Millis = Millis::days(3);

/// What the promise grants the listing beside a project's interval: the sweep's minute, and some runs in which others take
/// their turns. A longer bound is an alarm.
pub const LISTING_SLACK: Millis = Millis::minutes(5);

/// The least calls of a run: three of four are for active projects.
pub const LISTING_CALLS_MIN: u32 = 4;

/// How often the known projects are counted.
pub const CENSUS_EVERY: Millis = Millis::minutes(10);

/// How often ingest writes down that hooks of a project come.
pub const NOTE_EVERY: Millis = Millis::minutes(3);

/// How long after a job became pending its hook should have come: GitLab sends within seconds, and its queue may be long.
pub const HOOK_GRACE: Millis = Millis::secs(60);

/// How long jobs may wait without any hook of their project before that is called silence. One hook that was lost, or a queue
/// of GitLab's that is slow, is none.
pub const HOOK_SILENCE: Millis = Millis::minutes(10);

/// How often a project's hook is looked at.
pub const HOOK_CHECK: Millis = Millis::minutes(60);

/// How long after a look it is looked at again when a job's hook did not come.
pub const HOOK_CHECK_SUSPECT: Millis = Millis::minutes(10);

/// How long a hook that came proves that hooks come, whatever GitLab shows of them.
pub const HEARD_FOR: Millis = Millis::days(1);

/// How long an instance that no launch names is left alone: as long as any launch may be silent. Within it the request of an
/// answer that was lost is sent again, and its launch names the instance.
pub const ADOPTION: Millis = HEARTBEAT_LEASE;

/// How long removing an instance's runner manager is tried: GitLab forgets a manager that is silent by itself.
pub const MANAGER_LIMIT: Millis = DEBT_LIMIT;
