//! The running simulator: the world behind its lock, and what an operation on it sets off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::clock;
use crate::hooks::deliver;
use crate::world::{Place, World};

/// Deliveries that are under way at the same time; a small Sidekiq has as many workers.
const SENDERS: usize = 25;
/// Events that a slow reader of the stream may lag behind.
const EVENT_BUFFER: usize = 16_384;
/// Longest sleep between two looks at the timers.
const LONGEST_SLEEP_MS: u64 = 60_000;

/// A handle; clones share the world.
#[derive(Clone, Debug)]
pub(crate) struct Sim(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    world: Mutex<World>,
    place: Arc<Place>,
    changed: watch::Sender<u64>,
    events: broadcast::Sender<Bytes>,
    senders: Semaphore,
    ended: watch::Sender<bool>,
    clients: deliver::Clients,
}

impl Sim {
    /// A simulator of that world.
    pub(crate) fn new(world: World, clients: deliver::Clients) -> Self {
        let place = Arc::clone(&world.place);
        Self(Arc::new(Inner {
            world: Mutex::new(world),
            place,
            changed: watch::Sender::new(0),
            events: broadcast::Sender::new(EVENT_BUFFER),
            senders: Semaphore::new(SENDERS),
            ended: watch::Sender::new(false),
            clients,
        }))
    }

    /// What does not change.
    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.0.place
    }

    /// The clients that send hooks.
    pub(crate) fn clients(&self) -> &deliver::Clients {
        &self.0.clients
    }

    /// Permits to send hooks.
    pub(crate) fn senders(&self) -> &Semaphore {
        &self.0.senders
    }

    /// Does something with the world, alone, then what it set off: events, deliveries, waking of those who wait.
    pub(crate) fn with<R>(&self, operation: impl FnOnce(&mut World) -> R) -> R {
        let (result, out) = {
            let mut world = self.0.world.lock().unwrap_or_else(PoisonError::into_inner);
            world.now = clock::now();
            // What is due comes first: an offer that has expired cannot be accepted any more.
            world.run_timers();
            let result = operation(&mut world);
            (result, std::mem::take(&mut world.out))
        };
        for event in &out.events {
            // Without readers there is nobody to tell.
            let _ = self.0.events.send(Bytes::from(format!("{event}\n")));
        }
        for id in out.deliveries {
            let (sim, mut ended) = (self.clone(), self.0.ended.subscribe());
            tokio::spawn(async move {
                tokio::select! {
                    () = deliver::deliver(sim, id) => {}
                    _ = ended.wait_for(|ended| *ended) => {}
                }
            });
        }
        self.0.changed.send_modify(|version| *version += 1);
        result
    }

    /// Breaks off all deliveries, those to come too.
    pub(crate) fn end_deliveries(&self) {
        self.0.ended.send_replace(true);
    }

    /// Looks at the world without changing it: wakes nobody.
    pub(crate) fn look<R>(&self, view: impl FnOnce(&World) -> R) -> R {
        let mut world = self.0.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.now = clock::now();
        view(&world)
    }

    /// Waits until the view has an answer, at most that long. The last view's answer counts.
    pub(crate) async fn wait<R>(&self, limit: Duration, view: impl Fn(&World) -> Option<R>) -> Option<R> {
        let mut changed = self.0.changed.subscribe();
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            changed.mark_unchanged();
            if let Some(answer) = self.look(&view) {
                return Some(answer);
            }
            match tokio::time::timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return self.look(&view),
            }
        }
    }

    /// The events from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Bytes> {
        self.0.events.subscribe()
    }

    /// Runs the timers, for ever.
    pub(crate) async fn run_timers(self) {
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let due = self.look(World::next_timer);
            let now = clock::now();
            if due.is_some_and(|due| due <= now) {
                self.with(|_| ());
                continue;
            }
            let sleep = due.map_or(LONGEST_SLEEP_MS, |due| due - now).min(LONGEST_SLEEP_MS);
            // Whichever comes first; a change may have set an earlier timer.
            let _ = tokio::time::timeout(Duration::from_millis(sleep), changed.changed()).await;
        }
    }
}
