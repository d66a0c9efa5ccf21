//! The pool as a scaler of ours sees it.

use std::collections::BTreeMap;

use runnerless_core::pool::{self as core, Group, Hook, Phase, Reading, Scrape};
use runnerless_core::time::Millis;

use super::{Member, Pool, State};

impl Pool {
    /// As Auto Scaling describes it.
    #[must_use]
    pub fn describe(&self) -> Group {
        Group {
            name: "pool".to_owned(),
            minimum: self.shape.minimum,
            maximum: self.shape.maximum,
            desired: self.desired,
            protects_new_members: self.shape.protects,
            suspended: self.suspended.clone(),
            hook: self.shape.drains.then(|| Hook {
                name: "drain".to_owned(),
                heartbeat: Millis::minutes(10),
                default_result: "CONTINUE".to_owned(),
            }),
            members: self.members.iter().map(|member| self.described(member)).collect(),
        }
    }

    fn described(&self, member: &Member) -> core::Member {
        let phase = match member.state {
            State::Leaving => Phase::Leaving,
            State::Member if member.is_in_service(self.now) => Phase::InService,
            State::Member => Phase::Booting,
        };
        core::Member {
            id: member.id.clone(),
            phase,
            protected: member.protected,
            launched_at: Some(member.launched_at),
        }
    }

    /// What each member's runner manager tells; those that have not begun do not answer.
    #[must_use]
    pub fn scrape(&self) -> BTreeMap<String, Scrape> {
        self.members.iter().map(|member| (member.id.clone(), self.told(member))).collect()
    }

    fn told(&self, member: &Member) -> Scrape {
        if !member.is_ready(self.now) {
            return Scrape::Failed("connection refused".to_owned());
        }
        Scrape::Good(Reading {
            taken_at: self.now,
            jobs: u32::try_from(member.running.len()).unwrap_or(u32::MAX),
            capacity: Some(member.slots),
            process: member.process(),
            jobs_total: (member.taken > 0).then_some(member.taken),
        })
    }
}
