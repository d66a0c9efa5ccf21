//! Processes: one invocation of one function, which may end, stand still or run out of time at any step.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use fastrand::Rng;
use runnerless_core::time::{Millis, Timestamp};

use crate::fault::Fault;
use crate::timeline::Timeline;

/// How a process ended that did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It was ended at some step.
    Killed,
    /// Its time was up.
    TimedOut,
    /// Its machine was ended.
    Unplugged,
}

/// One process. Its steps are the moments before and after each of its calls.
#[derive(Debug)]
pub(crate) struct Process {
    /// Which of the world's processes it is.
    pub(crate) number: u32,
    /// The function.
    pub(crate) function: &'static str,
    /// When it is ended at the latest.
    pub(crate) ends_at: Timestamp,
    /// What it is called when it is ended.
    pub(crate) killed: Fault,
    /// What it is called when it stands still.
    pub(crate) frozen: Fault,
    /// By how much its clock is off.
    pub(crate) clock_off: Millis,
    rng: Mutex<Rng>,
    /// Steps until it is ended; 0 is never.
    dies_in: AtomicU32,
    /// Steps until it stands still; 0 is never.
    freezes_in: AtomicU32,
    freezes_for: Millis,
    frozen_until: AtomicI64,
    dead: AtomicBool,
    /// Set by whoever ends its machine.
    plug: Arc<AtomicBool>,
}

/// What is to become of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// What it is called when it is ended.
    pub(crate) killed: Fault,
    /// What it is called when it stands still.
    pub(crate) frozen: Fault,
    /// After how many steps it is ended; 0 is never.
    pub(crate) dies_in: u32,
    /// After how many steps it stands still; 0 is never.
    pub(crate) freezes_in: u32,
    /// For how long.
    pub(crate) freezes_for: Millis,
    /// By how much its clock is off.
    pub(crate) clock_off: Millis,
}

impl Process {
    pub(crate) fn new(number: u32, function: &'static str, ends_at: Timestamp, rng: Rng, fate: Fate) -> Self {
        Self {
            number,
            function,
            ends_at,
            killed: fate.killed,
            frozen: fate.frozen,
            clock_off: fate.clock_off,
            rng: Mutex::new(rng),
            dies_in: AtomicU32::new(fate.dies_in),
            freezes_in: AtomicU32::new(fate.freezes_in),
            freezes_for: fate.freezes_for,
            frozen_until: AtomicI64::new(0),
            dead: AtomicBool::new(false),
            plug: Arc::default(),
        }
    }

    /// Draws something of this process's own.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it was ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Ends it: it goes no step further.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// What ends it from outside once it is set.
    pub(crate) fn plug(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.plug)
    }

    /// One step: true when the process does not come beyond it now.
    pub(crate) fn steps(&self, now: Timestamp) -> bool {
        if counts_down(&self.dies_in) {
            self.kill();
            return true;
        }
        if counts_down(&self.freezes_in) {
            self.frozen_until.store((now + self.freezes_for).0, Ordering::Relaxed);
            return true;
        }
        false
    }

    /// Until when it stands still.
    pub(crate) fn frozen_until(&self) -> Timestamp {
        Timestamp(self.frozen_until.load(Ordering::Relaxed))
    }

    /// Runs `work` as this process: to its end, or to the process's.
    pub(crate) async fn live<T>(&self, timeline: &Timeline, work: impl Future<Output = T>) -> Result<T, Death> {
        let mut work = pin!(work);
        let mut over = pin!(timeline.pause(self.ends_at - timeline.now()));
        let mut thaw = None;
        poll_fn(|context| {
            if self.plug.load(Ordering::Relaxed) {
                self.kill();
                return Poll::Ready(Err(Death::Unplugged));
            }
            if over.as_mut().poll(context).is_ready() {
                self.kill();
                return Poll::Ready(Err(Death::TimedOut));
            }
            let frozen_until = self.frozen_until();
            if frozen_until > timeline.now() {
                return wait(&mut thaw, timeline, frozen_until, context);
            }
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            if self.is_dead() {
                return Poll::Ready(Err(Death::Killed));
            }
            let frozen_until = self.frozen_until();
            if frozen_until > timeline.now() {
                return wait(&mut thaw, timeline, frozen_until, context);
            }
            Poll::Pending
        })
        .await
    }
}

/// Counts down, and says whether it came to its end.
fn counts_down(steps: &AtomicU32) -> bool {
    let left = steps.load(Ordering::Relaxed);
    if left > 0 {
        steps.store(left - 1, Ordering::Relaxed);
    }
    left == 1
}

/// Waits until then, however often it is asked.
fn wait<'a, T>(
    thaw: &mut Option<std::pin::Pin<Box<crate::timeline::Pause<'a>>>>,
    timeline: &'a Timeline,
    until: Timestamp,
    context: &mut std::task::Context<'_>,
) -> Poll<T> {
    let pause = thaw.get_or_insert_with(|| Box::pin(timeline.pause(until - timeline.now())));
    let _ = pause.as_mut().poll(context);
    Poll::Pending
}
