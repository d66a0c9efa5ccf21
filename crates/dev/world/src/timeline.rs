//! Virtual time: a queue of what happens when, and of who waits until when.
//!
//! Nothing here is real time, and nothing is left to chance: what is due at the same moment happens in the order in which
//! it was asked for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use runnerless_core::time::{Millis, Timestamp};

use crate::event::Event;

/// The queue, and what time it is.
#[derive(Debug)]
pub(crate) struct Timeline {
    now: AtomicI64,
    queue: Mutex<Queue>,
    /// Tasks that may go on at once.
    ready: Arc<Mutex<VecDeque<usize>>>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: BinaryHeap<Reverse<Entry>>,
    asked: u64,
}

/// Something that is due.
#[derive(Debug)]
pub(crate) enum Due {
    /// Somebody has waited long enough.
    Wakes(Waker),
    /// Something happens.
    Happens(Box<Event>),
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    asked: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.asked) == (other.at, other.asked)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.asked).cmp(&(other.at, other.asked))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timeline {
    /// It is `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), queue: Mutex::default(), ready: Arc::default() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    /// This happens so much later.
    pub(crate) fn happens_in(&self, length: Millis, event: Event) {
        self.happens_at(self.now() + length, event);
    }

    /// This happens then, or now where that is over.
    pub(crate) fn happens_at(&self, at: Timestamp, event: Event) {
        self.push(at, Due::Happens(Box::new(event)));
    }

    fn push(&self, at: Timestamp, due: Due) {
        let mut queue = locked(&self.queue);
        queue.asked += 1;
        let entry = Entry { at: at.max(self.now()), asked: queue.asked, due };
        queue.entries.push(Reverse(entry));
    }

    /// What is due next; it is that late then. `None` when nothing is left.
    pub(crate) fn next(&self) -> Option<Due> {
        let Reverse(entry) = locked(&self.queue).entries.pop()?;
        self.now.store(entry.at.0, Ordering::Relaxed);
        Some(entry.due)
    }

    /// A task that may go on.
    pub(crate) fn ready(&self) -> Option<usize> {
        locked(&self.ready).pop_front()
    }

    /// What wakes this task.
    pub(crate) fn waker(&self, task: usize) -> Waker {
        Waker::from(Arc::new(Bell { task, ready: Arc::clone(&self.ready) }))
    }

    /// Ends so much later.
    pub(crate) fn pause(&self, length: Millis) -> Pause<'_> {
        Pause { timeline: self, until: self.now() + length, asked: false }
    }
}

struct Bell {
    task: usize,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        locked(&self.ready).push_back(self.task);
    }
}

/// See [`Timeline::pause`].
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    timeline: &'a Timeline,
    until: Timestamp,
    asked: bool,
}

impl Future for Pause<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timeline.now() >= self.until {
            return Poll::Ready(());
        }
        if !self.asked {
            self.asked = true;
            self.timeline.push(self.until, Due::Wakes(context.waker().clone()));
        }
        Poll::Pending
    }
}

/// The tasks of one world: one for each thing that happens and takes time.
#[derive(Default)]
pub(crate) struct Tasks<'a> {
    tasks: Vec<Option<Task<'a>>>,
    free: Vec<usize>,
}

struct Task<'a> {
    waker: Waker,
    work: Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<'a> Tasks<'a> {
    /// Begins a task and runs it until it waits.
    pub(crate) fn begin(&mut self, timeline: &Timeline, work: Pin<Box<dyn Future<Output = ()> + 'a>>) {
        let id = self.free.pop().unwrap_or_else(|| {
            self.tasks.push(None);
            self.tasks.len() - 1
        });
        self.tasks[id] = Some(Task { waker: timeline.waker(id), work });
        self.go_on(id);
    }

    /// Runs a task until it waits or ends. A bell that rings for an ended task, or twice, wakes nobody or the task that
    /// has its place, which then finds that it still waits.
    pub(crate) fn go_on(&mut self, id: usize) {
        let Some(task) = self.tasks.get_mut(id).and_then(Option::as_mut) else { return };
        let waker = task.waker.clone();
        if task.work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.tasks[id] = None;
            self.free.push(id);
        }
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len() - self.free.len()
    }
}
