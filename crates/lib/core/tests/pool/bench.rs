//! A pool on the bench: what a test says of it, run after run.

use std::collections::BTreeMap;

use runnerless_core::pool::{
    Action, Decision, Finding, Group, Held, Hook, Member, Memory, Pending, Phase, Process, Reading, Scrape, Settings,
    decide,
};
use runnerless_core::time::{Millis, Timestamp};

pub(crate) const T0: Timestamp = Timestamp(1_900_000_020_000);

/// A pool whose members have two slots. Its scaler has watched it for long enough to shrink it.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) group: Group,
    pub(crate) scrapes: BTreeMap<String, Scrape>,
    pub(crate) pending: Pending,
    pub(crate) memory: Memory,
    pub(crate) now: Timestamp,
}

impl Bench {
    /// So many idle members in service, of which nothing is remembered.
    pub(crate) fn of(members: u32) -> Self {
        let settings = Settings {
            minimum: 1,
            maximum: 20,
            target_utilisation: 100,
            headroom_slots: 0,
            grow_step: 10,
            shrink_step: 10,
            idle_scrapes: 3,
            stabilisation: Millis::minutes(3),
            warm_up: Millis::minutes(5),
            unhealthy_after: 3,
            slots_per_member: 2,
            longest_job: Millis::minutes(60),
        };
        let group = Group {
            name: "builds".to_owned(),
            minimum: 0,
            maximum: 100,
            desired: members,
            protects_new_members: true,
            suspended: vec!["AZRebalance".to_owned()],
            hook: Some(Hook {
                name: "drain".to_owned(),
                heartbeat: Millis::minutes(10),
                default_result: "CONTINUE".to_owned(),
            }),
            members: (1..=members).map(|number| member(number, Phase::InService)).collect(),
        };
        let mut bench = Self {
            settings,
            group,
            scrapes: BTreeMap::new(),
            pending: Pending::Known(0),
            memory: Memory::default(),
            now: T0,
        };
        for number in 1..=members {
            bench.tells(number, 0, 0);
        }
        bench
    }

    /// The member tells of so many jobs, and that it ever took so many.
    pub(crate) fn tells(&mut self, number: u32, jobs: u32, jobs_total: u64) {
        self.reading(number, jobs, jobs_total, Process::Running);
    }

    pub(crate) fn reading(&mut self, number: u32, jobs: u32, jobs_total: u64, process: Process) {
        let reading = Reading { taken_at: self.now, jobs, capacity: Some(2), process, jobs_total: Some(jobs_total) };
        self.scrapes.insert(id(number), Scrape::Good(reading));
    }

    pub(crate) fn fails(&mut self, number: u32) {
        self.scrapes.insert(id(number), Scrape::Failed("it did not answer".to_owned()));
    }

    /// A run now; its memory is kept.
    pub(crate) fn run(&mut self) -> Decision {
        let decision = decide(self.now, &self.settings, &self.group, &self.scrapes, &self.pending, &self.memory);
        self.memory = decision.memory.clone();
        decision
    }

    /// A minute later, at which each good scrape is made again.
    pub(crate) fn minute(&mut self) -> &mut Self {
        self.now = self.now + Millis::minutes(1);
        for scrape in self.scrapes.values_mut() {
            if let Scrape::Good(reading) = scrape {
                reading.taken_at = self.now;
            }
        }
        self
    }

    /// So many runs, a minute apart; the last one's decision.
    pub(crate) fn minutes(&mut self, runs: u32) -> Decision {
        let mut last = self.run();
        for _ in 1..runs {
            last = self.minute().run();
        }
        last
    }
}

pub(crate) fn id(number: u32) -> String {
    format!("i-{number:02}")
}

pub(crate) fn member(number: u32, phase: Phase) -> Member {
    Member { id: id(number), phase, protected: true, launched_at: Some(T0 - Millis::minutes(30)) }
}

/// The desired capacity that is set.
pub(crate) fn grown(decision: &Decision) -> Option<u32> {
    decision.actions.iter().find_map(|action| match action {
        Action::Grow { to, .. } => Some(*to),
        _ => None,
    })
}

/// Who is retired.
pub(crate) fn retired(decision: &Decision) -> Vec<&str> {
    let actions = decision.actions.iter();
    let ids = actions.filter_map(|action| match action {
        Action::Retire { id, .. } => Some(id.as_str()),
        _ => None,
    });
    ids.collect()
}

/// Why nothing is done.
pub(crate) fn held(decision: &Decision) -> &Held {
    let held = decision.actions.iter().find_map(|action| match action {
        Action::Hold { reason } => Some(reason),
        _ => None,
    });
    held.unwrap_or_else(|| panic!("it does not hold: {decision:?}"))
}

pub(crate) fn finds(decision: &Decision, finding: &Finding) -> bool {
    decision.findings.contains(finding)
}
