//! The graceful end of a node: it takes no more calls over HTTP, hands over what it leads, answers
//! what is in flight, and lets its journal write what waits. All of it within a grace.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{Group, Shared};
use crate::journal::Records;

/// The pause before a group is asked again that could not hand its lead over.
const AGAIN: Duration = Duration::from_millis(20);

/// Who calls the node over HTTP, and whether it takes calls.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    closed: AtomicBool,
    inside: AtomicUsize,
    empty: Notify,
}

/// A call that was let in, until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit(Arc<Doors>);

impl Doors {
    /// Lets a call in, unless the node is about to end.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Visit> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let visit = Visit(Arc::clone(self));
        (!self.are_closed()).then_some(visit)
    }

    /// Tells whether the node is about to end.
    pub(crate) fn are_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    async fn until_empty(&self) {
        loop {
            let leaves = self.empty.notified();
            if self.inside.load(Ordering::SeqCst) == 0 {
                return;
            }
            leaves.await;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

/// Prepares the node's end, for so long at most; true if the journal has written all that waited.
pub(super) async fn prepare(shared: &Shared, records: &Records, grace: Duration) -> bool {
    let until = Instant::now() + grace;
    shared.doors.close();
    let groups: Vec<Arc<dyn Group>> = shared.groups().values().cloned().collect();
    let handed_over: Vec<_> =
        groups.iter().map(|group| actix_rt::spawn(hand_over(Arc::clone(group)))).collect();
    let orderly = async {
        for group in handed_over {
            group.await.ok();
        }
        shared.doors.until_empty().await;
        for group in &groups {
            group.idle().await.ok();
        }
        records.flush().await;
    };
    let orderly = timeout_at(until, orderly).await.is_ok();
    if !orderly {
        tracing::warn!(
            node = %shared.id, ?grace,
            "ends although not all is done; what was answered is durable"
        );
    }
    orderly
}

/// Hands the lead of a group over, unless this node has none or nobody could take it.
async fn hand_over(group: Arc<dyn Group>) {
    loop {
        match group.resign().await {
            Ok(true) | Err(_) => return,
            Ok(false) => tokio::time::sleep(AGAIN).await,
        }
    }
}
