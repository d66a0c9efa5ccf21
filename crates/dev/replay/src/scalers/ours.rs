//! Ours: the real decision.

use runnerless_core::pool::{Action, Decision, Memory, Pending, Settings, decide};

use super::Scaler;
use crate::pool::{Pool, Refused};

/// Our scaler, with or without the jobs that wait.
#[derive(Clone, Debug)]
pub struct Ours {
    settings: Settings,
    memory: Memory,
    sees_pending: bool,
}

impl Ours {
    /// One that counts the jobs that wait.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, memory: Memory::default(), sees_pending: true }
    }

    /// One that knows nothing of them.
    #[must_use]
    pub fn without_pending(settings: Settings) -> Self {
        Self { sees_pending: false, ..Self::new(settings) }
    }
}

impl Scaler for Ours {
    fn run(&mut self, pool: &mut Pool) {
        let pending = if self.sees_pending {
            Pending::Known(pool.waiting())
        } else {
            Pending::Unknown("it does not look".to_owned())
        };
        let Decision { memory, actions, .. } =
            decide(pool.now(), &self.settings, &pool.describe(), &pool.scrape(), &pending, &self.memory);
        self.memory = memory;
        for action in &actions {
            act(pool, action).expect("a decision that nothing came between is one that Auto Scaling takes");
        }
    }
}

/// Does what was decided.
pub(crate) fn act(pool: &mut Pool, action: &Action) -> Result<(), Refused> {
    match action {
        Action::Suspend { process } => pool.suspended.push((*process).to_owned()),
        Action::Protect { ids } => pool.protect(ids),
        Action::Grow { to, .. } if *to > pool.desired => pool.set_desired(*to)?,
        Action::Grow { .. } | Action::Hold { .. } => {}
        Action::Retire { id, lower_desired, .. } => pool.terminate(id, *lower_desired)?,
    }
    Ok(())
}
