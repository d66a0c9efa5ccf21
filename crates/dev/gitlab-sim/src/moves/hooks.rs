//! A job's change of state becomes messages to the project's hooks.

use crate::clock;
use crate::hooks::payload;
use crate::random;
use crate::world::World;
use crate::world::hook::{Delivery, DeliveryState, Fate, is_told};
use crate::world::settings::millis;
use crate::world::status::Status;

/// Deliveries that are remembered, with their bodies.
const DELIVERIES: usize = 50_000;
/// After so many failures in a row a hook is left alone until a test goes well (contract, section 1.3).
const GIVEN_UP: u32 = 40;
/// The longest pause of `shuffle` when it names none.
const SHUFFLE_MS: u64 = 2000;

impl World {
    /// Makes a delivery for every hook that wants to know of the job's state.
    pub(crate) fn tell(&mut self, id: u64, status: Status) {
        if !is_told(status) {
            return;
        }
        let Some(job) = self.jobs.get(&id) else { return };
        let (project, pipeline) = (job.project, job.pipeline);
        if self.pipelines.get(&pipeline).is_none_or(|pipeline| pipeline.silent) {
            return;
        }
        let hooks: Vec<u64> =
            self.hooks.values().filter(|hook| hook.project == project && hook.job_events).map(|hook| hook.id).collect();
        if hooks.is_empty() {
            return;
        }
        let Some(body) = payload::job_event(self, id, status, clock::hook_text) else { return };
        let event_uuid = random::uuid();
        for hook in hooks {
            let delivery = Delivery {
                id: 0,
                hook,
                project,
                pipeline,
                job: id,
                status,
                message: random::uuid(),
                event_uuid: event_uuid.clone(),
                attempt: 1,
                test: false,
                state: DeliveryState::Waiting,
                sent_at: None,
                answered_at: None,
                answer: None,
                error: None,
                pause_ms: 0,
                late: false,
                body: body.clone(),
            };
            self.dispatch(delivery);
        }
    }

    /// A message by which a person tries a hook; the caller sends it. Its dates are spelled as the user API's: it is made
    /// by another part of GitLab (contract, section 1.4).
    pub(crate) fn test_message(&mut self, hook: u64, job: u64) -> Option<u64> {
        let row = self.jobs.get(&job)?;
        let (project, pipeline, status) = (row.project, row.pipeline, row.status);
        let delivery = Delivery {
            id: 0,
            hook,
            project,
            pipeline,
            job,
            status,
            message: random::uuid(),
            event_uuid: random::uuid(),
            attempt: 1,
            test: true,
            state: DeliveryState::Waiting,
            sent_at: None,
            answered_at: None,
            answer: None,
            error: None,
            pause_ms: 0,
            late: false,
            body: payload::job_event(self, job, status, clock::api_text)?,
        };
        Some(self.insert_delivery(delivery))
    }

    /// Puts a new delivery on its way, or where the faults want it.
    fn dispatch(&mut self, mut delivery: Delivery) {
        let ruled = self.ruled(delivery.job, delivery.status);
        let faults = &mut self.hook_faults;
        if faults.lost > 0 && faults.lost_status.as_deref().is_none_or(|status| status == delivery.status.as_str()) {
            faults.lost -= 1;
            delivery.state = DeliveryState::Lost;
            self.insert_delivery(delivery);
            return;
        }
        let drawn = || faults.drawn.map_or(Fate::Undisturbed, |drawn| drawn.fate(delivery.job, delivery.status));
        let (fate, late_ms) = ruled.unwrap_or_else(|| (drawn(), faults.drawn.map_or(0, |drawn| drawn.late_ms)));
        if fate == Fate::Lost {
            delivery.state = DeliveryState::Lost;
            self.insert_delivery(delivery);
            return;
        }
        delivery.late = fate == Fate::Late;
        delivery.pause_ms = if delivery.late { late_ms } else { 0 };
        let (hold, late) = (faults.hold, faults.created_after_pending);
        let double = faults.double || fate == Fate::Doubled;
        if let Some(state) = self.refusal(&delivery) {
            delivery.state = state;
            self.insert_delivery(delivery);
            return;
        }
        let again = double.then(|| Delivery { attempt: 2, ..delivery.clone() });
        for delivery in std::iter::once(delivery).chain(again) {
            let created = delivery.status == Status::Created;
            let id = self.insert_delivery(delivery);
            if hold {
                self.held.all.push_back(id);
            } else if late && created {
                self.held.created.push(id);
            } else {
                self.send(id);
            }
        }
    }

    /// What a rule does to the deliveries of this state of this job, and how late they leave then.
    fn ruled(&mut self, job: u64, status: Status) -> Option<(Fate, u64)> {
        let mut rules = self.hook_rules.iter_mut();
        let rule = rules.find(|rule| rule.job == job && rule.status == status.as_str())?;
        rule.hits += 1;
        rule.fate().ok()
    }

    /// Why GitLab does not send it: the hook is disabled, or its top-level namespace has sent too many in this minute.
    fn refusal(&mut self, delivery: &Delivery) -> Option<DeliveryState> {
        let now = self.now;
        if self.hooks.get(&delivery.hook).is_some_and(|hook| !hook.is_executable(now)) {
            return Some(DeliveryState::Disabled);
        }
        let namespace = self.projects.get(&delivery.project)?.root_namespace;
        let limit = self.settings.hooks_per_min;
        self.over_rate("hooks", &namespace.to_string(), limit).map(|_| DeliveryState::RateLimited)
    }

    fn insert_delivery(&mut self, mut delivery: Delivery) -> u64 {
        if self.deliveries.len() >= DELIVERIES {
            let oldest = self.deliveries.iter().find(|(_, delivery)| delivery.state.is_over()).map(|(id, _)| *id);
            oldest.and_then(|id| self.deliveries.remove(&id));
        }
        self.ids.delivery += 1;
        delivery.id = self.ids.delivery;
        self.deliveries.insert(delivery.id, delivery);
        self.ids.delivery
    }

    /// Sends it once the lock is free; with `shuffle` after a random pause.
    fn send(&mut self, id: u64) {
        let faults = &self.hook_faults;
        let longest = if faults.shuffle_ms == 0 { SHUFFLE_MS } else { faults.shuffle_ms };
        let pause = if faults.shuffle { random::below(longest) } else { 0 };
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.pause_ms = delivery.pause_ms.saturating_add(pause);
        }
        self.out.deliveries.push(id);
    }

    /// Lets go what was kept back; their number.
    pub(crate) fn release_hooks(&mut self) -> usize {
        let mut ids: Vec<u64> = self.held.all.drain(..).collect();
        ids.append(&mut self.held.created);
        let count = ids.len();
        for id in ids {
            self.send(id);
        }
        count
    }

    /// Sends a message again, as a person does from GitLab's pages: same message id, new time.
    pub(crate) fn resend(&mut self, id: u64) -> Option<u64> {
        let old = self.deliveries.get(&id)?;
        let last =
            self.deliveries.values().filter(|other| other.message == old.message).map(|other| other.attempt).max();
        let again = Delivery {
            attempt: last.unwrap_or(1) + 1,
            state: DeliveryState::Waiting,
            sent_at: None,
            answered_at: None,
            answer: None,
            error: None,
            late: false,
            pause_ms: 0,
            ..old.clone()
        };
        let id = self.insert_delivery(again);
        self.send(id);
        Some(id)
    }

    /// Notes that a delivery leaves; false when its hook was disabled while it waited, and nothing is sent.
    pub(crate) fn delivery_leaves(&mut self, id: u64) -> bool {
        let now = self.now;
        let Some(delivery) = self.deliveries.get_mut(&id) else { return false };
        let stopped = self.hooks.get(&delivery.hook).is_some_and(|hook| !hook.is_executable(now));
        if stopped && !delivery.test {
            delivery.state = DeliveryState::Disabled;
            return false;
        }
        delivery.state = DeliveryState::Sending;
        delivery.sent_at = Some(now);
        let tells = delivery.status == Status::Pending && !delivery.test;
        if let Some(job) = self.jobs.get_mut(&delivery.job).filter(|_| tells) {
            job.stamps.hook_sent.get_or_insert(now);
        }
        true
    }

    /// Notes how a delivery ended, counts failures, and lets a late `created` of the same job go.
    pub(crate) fn delivery_ended(&mut self, id: u64, answer: Result<u16, String>) {
        let now = self.now;
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        let ok = matches!(answer, Ok(code) if (200..400).contains(&code));
        delivery.state = if ok { DeliveryState::Done } else { DeliveryState::Failed };
        delivery.answered_at = Some(now);
        match answer {
            Ok(code) => delivery.answer = Some(code),
            Err(error) => delivery.error = Some(error),
        }
        let (hook, job) = (delivery.hook, delivery.job);
        let disables = self.settings.auto_disable;
        let first = millis(self.settings.auto_disable_s);
        if let Some(hook) = self.hooks.get_mut(&hook) {
            hook.failures = if ok { 0 } else { hook.failures + 1 };
            hook.disabled_until = pause(hook.failures, first).filter(|_| disables).map(|length| now + length);
            hook.disabled = disables && hook.failures >= GIVEN_UP;
        }
        let deliveries = &self.deliveries;
        let (due, later): (Vec<u64>, Vec<u64>) = std::mem::take(&mut self.held.created)
            .into_iter()
            .partition(|held| deliveries.get(held).is_some_and(|held| held.job == job));
        self.held.created = later;
        for id in due {
            self.send(id);
        }
    }

    /// Whether every delivery that is not kept back is over.
    pub(crate) fn deliveries_are_over(&self) -> bool {
        self.deliveries.values().all(|delivery| delivery.state.is_over() || self.is_kept_back(delivery.id))
    }

    fn is_kept_back(&self, id: u64) -> bool {
        self.held.all.contains(&id) || self.held.created.contains(&id)
    }

    /// After a restart: sends what had not left, and once more what had left without its end being known. So does Sidekiq.
    pub(crate) fn resume_deliveries(&mut self) {
        let open = self.deliveries.values().filter(|delivery| !delivery.state.is_over()).map(|delivery| delivery.id);
        let due: Vec<u64> = open.filter(|id| !self.is_kept_back(*id)).collect();
        for id in due {
            if let Some(delivery) = self.deliveries.get_mut(&id) {
                delivery.state = DeliveryState::Waiting;
            }
            self.out.deliveries.push(id);
        }
    }
}

/// How long a hook with so many failures in a row is left alone: from the fourth on, doubling, a day at most
/// (contract, section 1.3).
fn pause(failures: u32, first: u64) -> Option<u64> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let doublings = failures.checked_sub(4)?;
    Some(first.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(DAY))
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn the_fourth_failure_pauses_a_minute_and_each_further_one_twice_as_long() {
        let pauses: Vec<_> = [0, 3, 4, 5, 6, 40].into_iter().map(|failures| pause(failures, 60_000)).collect();
        assert_eq!(pauses, [None, None, Some(60_000), Some(120_000), Some(240_000), Some(86_400_000)]);
    }
}
