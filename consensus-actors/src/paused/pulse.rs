//! The life of a node that shares its thread with all others: its tasks are in sets of its own, so
//! that they can stand still or be dropped, at any moment and all at once.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{
    task::LocalSet,
    time::{Instant, sleep_until},
};

use super::network::{Life, Wire};
use crate::sync::lock;

/// The threads that a node has in production.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thread {
    Actors,
    Journal,
}

/// Whether a life goes on.
pub(super) struct Pulse {
    pub(super) life: Life,
    wire: Wire,
    dead: AtomicBool,
    /// Whether the thread that is at work is that of the journal.
    journal_works: AtomicBool,
    /// Until when the threads stand still, and how long each will have by then.
    still: Mutex<[(Instant, Duration); 2]>,
    waker: Mutex<Option<Waker>>,
}

impl Pulse {
    pub(super) fn new(life: Life, wire: Wire) -> Arc<Self> {
        let still = Mutex::new([(Instant::now(), Duration::ZERO); 2]);
        let (dead, journal_works) = (AtomicBool::new(false), AtomicBool::new(false));
        let waker = Mutex::new(None);
        Arc::new(Self { life, wire, dead, journal_works, still, waker })
    }

    /// Ends the life: from this moment on it reaches neither its peers nor its disk.
    pub(super) fn die(&self, silently: bool) {
        if !self.dead.swap(true, Ordering::Relaxed) {
            self.wire.kill(self.life, silently);
            self.wake();
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Lets the thread that is at work stand still for a while.
    pub(super) fn hold_up(&self, pause: Duration) {
        let journal = self.journal_works.load(Ordering::Relaxed);
        self.stand_still(if journal { Thread::Journal } else { Thread::Actors }, pause);
    }

    /// Lets a thread stand still for a while.
    pub(super) fn stand_still(&self, thread: Thread, pause: Duration) {
        let (mut still, now) = (lock(&self.still), Instant::now());
        let (until, total) = &mut still[thread as usize];
        let later = (*until).max(now + pause);
        *total += later - (*until).max(now);
        *until = later;
        drop(still);
        self.wake();
    }

    /// Tells how long the actors have stood still so far.
    pub(super) fn stood_still(&self) -> Duration {
        let (until, total) = lock(&self.still)[Thread::Actors as usize];
        total - until.saturating_duration_since(Instant::now())
    }

    fn wake(&self) {
        lock(&self.waker).take().into_iter().for_each(Waker::wake);
    }

    /// Runs the tasks of a life to its end, and drops them.
    pub(super) async fn run(self: Arc<Self>, mut actors: LocalSet, mut journal: LocalSet) {
        let mut timer = Box::pin(sleep_until(Instant::now()));
        poll_fn(|cx| {
            *lock(&self.waker) = Some(cx.waker().clone());
            if self.is_dead() {
                return Poll::Ready(());
            }
            let (now, still) = (Instant::now(), *lock(&self.still));
            let sets = [(&mut actors, false), (&mut journal, true)];
            for ((set, journal_works), (until, _)) in sets.into_iter().zip(still) {
                self.journal_works.store(journal_works, Ordering::Relaxed);
                if until <= now && !self.is_dead() {
                    // The clock's task never ends, nor does the set.
                    let _ = Pin::new(set).poll(cx).is_ready();
                }
            }
            if let Some(next) =
                still.into_iter().map(|(until, _)| until).filter(|until| *until > now).min()
            {
                timer.as_mut().reset(next);
                if timer.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
            if self.is_dead() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
