//! What goes wrong, how often, and how much of it did.

use std::collections::BTreeMap;

use fastrand::Rng;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $delay:ident, $part:literal;)+) => {
        /// A kind of trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in reports and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it may cost a job that waits.
            #[must_use]
            pub const fn delay(self) -> Delay {
                match self { $(Self::$name => Delay::$delay,)+ }
            }

            /// Its rate in parts of the rate that a world drew for it: what is asked at each of hundreds of calls is
            /// rarer than what is asked once for each job.
            const fn part(self) -> f64 {
                match self { $(Self::$name => $part,)+ }
            }
        }
    };
}

/// What one trouble may cost a job that waits; the lengths are in [`crate::check::bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Nothing: it comes after the job has its runner, or is made good at once.
    Nothing,
    /// Some seconds more.
    Seconds,
    /// A hook that comes when GitLab gets to it.
    Hook,
    /// A look of the sweep more.
    Sweep,
    /// A launch that comes to nothing, and the wait for the next.
    Launch,
    /// Nobody tells us of the job: it is found by a listing or by a sentinel.
    Unseen,
    /// An instance that comes to nothing, and the wait for the next.
    Boot,
    /// What GitLab's own rules take.
    GitLab,
    /// Its whole length, and what a launch in vain costs.
    Outage,
    /// A run of the scaler that comes to nothing, or a member: only jobs of a pool wait for either.
    Pool,
}

faults! {
    /// A hook that does not arrive.
    HookLost = "webhook_lost", Unseen, 1.0;
    /// A hook that arrives twice.
    HookDoubled = "webhook_doubled", Nothing, 3.0;
    /// A hook that arrives minutes later.
    HookLate = "webhook_late", Hook, 1.0;
    /// A hook that later ones overtake.
    HookReordered = "webhook_reordered", Seconds, 3.0;
    /// A write or a read that is refused because there are too many.
    LedgerThrottled = "ledger_throttled", Launch, 0.2;
    /// A call that fails before it has an effect.
    LedgerFailed = "ledger_failed", Launch, 0.2;
    /// A write that has its effect and loses its answer.
    LedgerAnswerLost = "ledger_answer_lost", Launch, 0.3;
    /// A write that meets a conflict although its revisions are right, as two transactions at once do.
    LedgerConflict = "ledger_conflict", Seconds, 0.4;
    /// A call that takes seconds.
    LedgerSlow = "ledger_slow", Launch, 0.1;
    /// An index that is behind its table.
    IndexLate = "index_late", Sweep, 1.0;
    /// A mapping that cannot be read.
    MappingFailed = "mapping_failed", Sweep, 1.0;
    /// Parameter Store asks to slow down.
    ParametersThrottled = "parameters_throttled", Launch, 1.0;
    /// Parameter Store answers an old value.
    ParametersOld = "parameters_old", Launch, 15.0;
    /// An entry that the bus refuses.
    BusRefused = "bus_refused", Sweep, 1.0;
    /// An entry that the bus takes and whose answer is lost.
    BusAnswerLost = "bus_answer_lost", Seconds, 1.0;
    /// An event that is given up on.
    EventLost = "event_lost", Sweep, 1.0;
    /// An event that is delivered twice.
    EventDoubled = "event_doubled", Nothing, 2.0;
    /// An event that is delivered minutes later.
    EventLate = "event_late", Sweep, 1.0;
    /// A workflow that ends before its task.
    WorkflowKilled = "workflow_killed", Sweep, 1.0;
    /// A function's process that ends anywhere.
    FunctionKilled = "function_killed", Sweep, 1.0;
    /// A function's process that stands still and goes on later.
    FunctionFrozen = "function_frozen", Sweep, 1.0;
    /// A sweep that does not take place.
    SweepSkipped = "sweep_skipped", Sweep, 2.0;
    /// Two sweeps at once.
    SweepDoubled = "sweep_doubled", Nothing, 3.0;
    /// An invoke that Lambda refuses because there are too many.
    InvokeThrottled = "invoke_throttled", Sweep, 1.0;
    /// An invoke that fails before it has an effect.
    InvokeFailed = "invoke_failed", Sweep, 1.0;
    /// An invoke that has its effect and loses its answer.
    InvokeAnswerLost = "invoke_answer_lost", Launch, 1.0;
    /// An invocation that waits in Lambda's queue.
    InvocationLate = "invocation_late", Launch, 1.0;
    /// An invocation that takes place twice.
    InvocationDoubled = "invocation_doubled", Launch, 1.0;
    /// A second delivery that fails before it does anything, most often while the first is at work.
    SecondFailed = "second_failed", Launch, 20.0;
    /// An invocation that grows too old in Lambda's queue.
    InvocationDropped = "invocation_dropped", Launch, 1.0;
    /// The record of a failed invocation that gets lost.
    RecordLost = "record_lost", Launch, 10.0;
    /// The record of a failed invocation that comes twice.
    RecordDoubled = "record_doubled", Nothing, 10.0;
    /// An executor whose process ends anywhere.
    RunnerKilled = "runner_killed", Launch, 1.0;
    /// An executor that stands still and goes on later.
    RunnerFrozen = "runner_frozen", Launch, 0.5;
    /// GitLab answers a runner that it should come later.
    GitLabBusy = "gitlab_busy", Launch, 1.0;
    /// GitLab does what it was asked, and its answer is lost.
    GitLabAnswerLost = "gitlab_answer_lost", GitLab, 0.5;
    /// GitLab answers after half a minute.
    GitLabSlow = "gitlab_slow", Launch, 0.3;
    /// DynamoDB that answers nobody for minutes.
    LedgerOut = "ledger_out", Outage, 0.0;
    /// GitLab that answers nobody for minutes.
    GitLabOut = "gitlab_out", Outage, 0.0;
    /// A process whose clock is seconds off.
    ClockOff = "clock_off", Seconds, 3.0;
    /// A lane's token that is replaced in GitLab a while before it is in Parameter Store.
    TokenRotated = "token_rotated", Launch, 0.0;
    /// GitLab's jobs API does not answer.
    ApiFailed = "api_failed", Sweep, 1.0;
    /// EC2 asks to slow down instead of starting an instance.
    FleetThrottled = "fleet_throttled", Sweep, 3.0;
    /// A request for an instance that fails before it has an effect.
    FleetFailed = "fleet_failed", Sweep, 3.0;
    /// EC2 starts an instance, and its answer is lost.
    FleetAnswerLost = "fleet_answer_lost", Sweep, 6.0;
    /// EC2 starts an instance after the provisioner's patience.
    FleetSlow = "fleet_slow", Sweep, 3.0;
    /// EC2 says that it knows a token from another request.
    FleetMismatch = "fleet_mismatch", Launch, 60.0;
    /// All spot pools are empty.
    SpotEmpty = "spot_empty", Seconds, 10.0;
    /// All pools are empty on demand.
    PoolsEmpty = "pools_empty", Sweep, 6.0;
    /// The account's quota is used up.
    FleetQuota = "fleet_quota", Sweep, 6.0;
    /// EC2 starts an instance, and says beside it that a pool was empty.
    FaultsBeside = "faults_beside", Nothing, 6.0;
    /// EC2 starts two instances for one request.
    FleetDoubled = "fleet_doubled", Nothing, 6.0;
    /// What EC2 shows is behind by up to a minute.
    Ec2Behind = "ec2_behind", Sweep, 6.0;
    /// Any other call of EC2 that is throttled.
    Ec2Throttled = "ec2_throttled", Sweep, 1.0;
    /// Any other call of EC2 that fails before it has an effect.
    Ec2Failed = "ec2_failed", Sweep, 1.0;
    /// Any other call of EC2 that has its effect and loses its answer.
    Ec2AnswerLost = "ec2_answer_lost", Sweep, 2.0;
    /// An instance that boots slowly, at times for longer than its launch has.
    InstanceSlow = "instance_slow", Boot, 3.0;
    /// An instance that never boots.
    InstanceHangs = "instance_hangs", Boot, 3.0;
    /// An instance on which nothing goes on any more, and which stays there.
    InstanceStops = "instance_stops", Boot, 3.0;
    /// An instance that ends at any moment.
    InstanceKilled = "instance_killed", Boot, 3.0;
    /// An instance that does not power off at its end.
    PowerOffFailed = "power_off_failed", Nothing, 3.0;
    /// EC2 takes a spot instance back.
    SpotReclaimed = "spot_reclaimed", Boot, 10.0;
    /// The warning of that gets lost.
    WarningLost = "warning_lost", Boot, 60.0;
    /// The warning of that comes twice.
    WarningDoubled = "warning_doubled", Nothing, 60.0;
    /// Somebody else's instance looks like ours.
    LookAlike = "look_alike", Nothing, 3.0;
    /// An instance's call does not reach checkin.
    CheckInFailed = "check_in_failed", Boot, 1.0;
    /// Checkin does what it was asked, and its answer is lost.
    CheckInAnswerLost = "check_in_answer_lost", Boot, 1.0;
    /// GitLab makes no runner for a launch: its token may not, or there are too many. The first of those that only launches
    /// with runners of their own can meet.
    RunnerRefused = "runner_refused", Sweep, 6.0;
    /// GitLab makes a runner for a launch later.
    RunnerLater = "runner_later", Sweep, 6.0;
    /// GitLab makes a runner for a launch, and the answer that names it is lost.
    RunnerAnswerLost = "runner_answer_lost", Sweep, 10.0;
    /// The provisioner's process ends while GitLab makes a runner for its launch.
    RunnerAskerKilled = "runner_asker_killed", Sweep, 6.0;
    /// GitLab does not delete a launch's runner now.
    RunnerNotDeleted = "runner_not_deleted", Nothing, 10.0;
    /// A run of a pool's scaler that does not take place. The first of those that only a pool can meet.
    PoolRunSkipped = "pool_run_skipped", Pool, 2.0;
    /// Two runs of the scaler at once.
    PoolRunDoubled = "pool_run_doubled", Pool, 6.0;
    /// Auto Scaling asks to slow down.
    ScalingThrottled = "scaling_throttled", Pool, 1.0;
    /// A call of Auto Scaling that fails before it has an effect.
    ScalingFailed = "scaling_failed", Pool, 1.0;
    /// A call of Auto Scaling that has its effect and loses its answer.
    ScalingAnswerLost = "scaling_answer_lost", Pool, 2.0;
    /// What Auto Scaling shows of a group is behind by up to a minute.
    ScalingBehind = "scaling_behind", Pool, 4.0;
    /// A member that does not answer the question for its metrics.
    ScrapeTimedOut = "scrape_timed_out", Pool, 2.0;
    /// A member that refuses the connection, or answers something else.
    ScrapeRefused = "scrape_refused", Pool, 1.0;
    /// Jobs that come while the scaler is about to let a member go, in a call that takes seconds.
    JobsInBetween = "jobs_in_between", Pool, 10.0;
    /// Metrics that are cut off.
    ScrapeCut = "scrape_cut", Pool, 1.0;
    /// Metrics that were made a while ago.
    MetricsOld = "metrics_old", Pool, 2.0;
    /// Metrics that say that they are of the future.
    MetricsAhead = "metrics_ahead", Pool, 1.0;
    /// A member whose clock is minutes off.
    MemberClockOff = "member_clock_off", Pool, 3.0;
    /// A runner manager that counts its jobs from the beginning again.
    CounterReset = "counter_reset", Pool, 6.0;
    /// Half of the members, or all, that cannot be reached for minutes.
    MembersUnreachable = "members_unreachable", Pool, 3.0;
    /// Somebody changes the group by hand, most often while a run is under way.
    GroupByHand = "group_by_hand", Pool, 3.0;
    /// AWS replaces a member, as an instance refresh does.
    MemberReplaced = "member_replaced", Pool, 6.0;
    /// The group evens out its zones, where that is not suspended.
    ZonesRebalanced = "zones_rebalanced", Pool, 60.0;
    /// A member whose hardware is lost, or that EC2 takes back.
    MemberLost = "member_lost", Pool, 2.0;
    /// A member on which no runner manager ever starts.
    MemberStillborn = "member_stillborn", Pool, 3.0;
    /// A member that boots for minutes.
    MemberSlow = "member_slow", Pool, 4.0;
    /// The group cannot launch anything for minutes.
    GroupStuck = "group_stuck", Pool, 2.0;
    /// A runner manager whose process ends anywhere, and is started again.
    ManagerKilled = "manager_killed", Pool, 3.0;
    /// The program beside it whose process ends anywhere, and is started again.
    AgentKilled = "agent_killed", Pool, 10.0;
    /// A metadata service that does not tell whether the member is to leave.
    TargetUnknown = "target_unknown", Pool, 3.0;
}

/// A part that some worlds have. What goes wrong with it is drawn apart: a world without it is the same whatever it is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What every world has.
    Everything,
    /// Launches with runners of their own.
    OwnRunners,
    /// A pool.
    Pool,
}

impl Fault {
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// What a world must have to meet it.
    pub(crate) const fn part_of(self) -> Part {
        if self as usize >= Self::PoolRunSkipped as usize {
            Part::Pool
        } else if self as usize >= Self::RunnerRefused as usize {
            Part::OwnRunners
        } else {
            Part::Everything
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }
}

/// How often each kind was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits([u64; Fault::COUNT]);

impl Default for Hits {
    fn default() -> Self {
        Self([0; Fault::COUNT])
    }
}

impl Hits {
    /// One more.
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// All of another world's.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine += others;
        }
    }

    /// How often this kind was met.
    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// How often any was met.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// By name, for reports.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        Fault::ALL.iter().map(|fault| (fault.name(), self.of(*fault))).collect()
    }
}

/// By how much a kind's rate differs from world to world.
const SPREAD: [f64; 5] = [0.3, 0.6, 1.0, 1.7, 3.0];

/// Parts of a million.
pub(crate) const WHOLE: u32 = 1_000_000;

/// How often each kind strikes in one world, in parts of a million of the times that it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rates([u32; Fault::COUNT]);

impl Rates {
    /// No trouble.
    pub(crate) const CALM: Self = Self([0; Fault::COUNT]);

    /// Draws which kinds strike in a world, and how often. `off` never strike. Those that only some worlds can meet are
    /// [`Self::draw_of`]'s.
    pub(crate) fn draw(rng: &mut Rng, off: &[Fault]) -> Self {
        // One world in ten is calm: what is promised without trouble is looked at without trouble.
        let (kinds, usual) = match rng.u32(0..10) {
            0 => (0.0, 0.0),
            1..=3 => (0.15, 0.03),
            4..=7 => (0.5, 0.015),
            _ => (1.0, 0.01),
        };
        let mut rates = Self::CALM;
        let kinds_of = Fault::ALL.iter().filter(|fault| fault.part_of() == Part::Everything);
        kinds_of.for_each(|fault| rates.draw_one(*fault, rng, (kinds, usual), off));
        rates
    }

    /// Draws the same for the kinds that only worlds with this part can meet. A calm world stays calm.
    pub(crate) fn draw_of(&mut self, part: Part, rng: &mut Rng, off: &[Fault]) {
        if *self == Self::CALM {
            return;
        }
        let (kinds, usual) = [(0.2, 0.03), (0.6, 0.015), (1.0, 0.01)][rng.usize(0..3)];
        let kinds_of = Fault::ALL.iter().filter(|fault| fault.part_of() == part);
        kinds_of.for_each(|fault| self.draw_one(*fault, rng, (kinds, usual), off));
    }

    fn draw_one(&mut self, fault: Fault, rng: &mut Rng, (kinds, usual): (f64, f64), off: &[Fault]) {
        let strikes = rng.f64() < kinds;
        let rate = usual * fault.part() * SPREAD[rng.usize(0..SPREAD.len())];
        if strikes && !off.contains(&fault) {
            self.0[fault as usize] = parts(rate);
        }
    }

    /// How often it strikes, in parts of a million.
    pub(crate) const fn of(&self, fault: Fault) -> u32 {
        self.0[fault as usize]
    }

    /// Whether it strikes now.
    pub(crate) fn strikes(&self, fault: Fault, rng: &mut Rng) -> bool {
        let rate = self.0[fault as usize];
        rate > 0 && rng.u32(0..WHOLE) < rate
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the whole")]
fn parts(share: f64) -> u32 {
    (share.clamp(0.0, 0.5) * f64::from(WHOLE)) as u32
}
