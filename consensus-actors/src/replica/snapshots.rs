//! A replica's state as it is copied for a snapshot, and as another takes its place.

use std::sync::Arc;

use actix::{Addr, AsyncContext, Context, Handler, Message};
use consensus_core::{
    Index, StateMachine,
    replica::Replica as Copied,
    snapshot::{Cut, Saved, SnapshotId},
};
use tokio::sync::oneshot;

use super::Replica;
use crate::{
    abort::AbortOnPanic,
    archive::{Archive, Restore, Return, Save, Workers},
    error::{Code, Error, Result},
};

/// What a replica needs for its snapshots.
pub(crate) struct Keeping {
    pub(crate) archive: Addr<Archive>,
    pub(crate) workers: Workers,
}

/// Who waits for a snapshot up to an index, or later.
pub(super) type Waiter = (Index, oneshot::Sender<Result<Saved>>);

/// Asks for a snapshot of what is applied now.
pub(crate) struct TakeSnapshot(pub(crate) oneshot::Sender<Result<Saved>>);

/// A replica that was read back; `None` if none could be.
struct Restored<S: StateMachine>(Option<Copied<S>>);

/// The snapshot that was being taken is durable, or failed.
struct Ended(Option<Saved>);

impl Message for TakeSnapshot {
    type Result = ();
}

impl<S: StateMachine> Message for Restored<S> {
    type Result = ();
}

impl Message for Ended {
    type Result = ();
}

impl<S: StateMachine> Replica<S> {
    /// Returns what takes a replica that was read back.
    pub(crate) fn returns(replica: Addr<Self>) -> Return<S> {
        Box::new(move |restored| replica.do_send(Restored(restored)))
    }

    /// Copies the state, which goes on while the copy is written.
    pub(super) fn take(&mut self, cut: Cut, ctx: &mut Context<Self>) {
        assert!(self.replica.applied() == cut.index, "a snapshot is taken where it was asked for");
        let began = self.place.clock.now();
        let replica = self.replica.clone();
        self.watch("the state takes", began, "to be copied for a snapshot");
        let me = ctx.address();
        let done = Box::new(move |saved| me.do_send(Ended(saved)));
        let group = self.place.group;
        self.place.keeping.archive.do_send(Save { group, cut, replica, done });
    }

    /// Tells those who wait for a snapshot that none can be taken.
    pub(super) fn decline(&mut self) {
        for (_, waiter) in std::mem::take(&mut self.savers) {
            let message = format!(
                "this node has no state of {:?} to take a snapshot of: it is a witness, or waits for \
                 the state; ask a node that stores the data",
                self.place.name
            );
            waiter.send(Err(Error::new(Code::SnapshotFailed, message))).ok();
        }
    }

    /// Has a snapshot read, and applies nothing until it is there.
    pub(super) fn restore(&mut self, snapshot: SnapshotId, ctx: &mut Context<Self>) {
        self.restoring = true;
        let (group, back) = (self.place.group, Self::returns(ctx.address()));
        self.place.keeping.archive.do_send(Restore { group, snapshot, back });
    }

    /// Warns when something holds up what shares this thread for longer than a heartbeat.
    pub(super) fn watch(&mut self, what: &str, began: consensus_core::Time, why: &str) {
        let took = self.place.clock.now().since(began);
        if took <= self.place.heartbeat || self.place.is_apart || self.warned {
            return;
        }
        self.warned = true;
        tracing::warn!(
            node = %self.place.node,
            group = %self.place.name,
            ?took,
            "{what} longer {why} than a heartbeat may be late, and leaders could change for it; \
             host this group with .own_thread()"
        );
    }

    fn answer_savers(&mut self, saved: Option<&Saved>) {
        let waiters = std::mem::take(&mut self.savers);
        for (index, waiter) in waiters {
            match saved {
                Some(saved) if saved.id.index >= index => drop(waiter.send(Ok(saved.clone()))),
                // That one had been asked for before.
                Some(_) => self.savers.push((index, waiter)),
                None => {
                    let message = format!(
                        "the snapshot of {:?} could not be taken; this node's log says why",
                        self.place.name
                    );
                    waiter.send(Err(Error::new(Code::SnapshotFailed, message))).ok();
                }
            }
        }
        if !self.savers.is_empty() {
            self.place.seat.take_snapshot();
        }
    }
}

impl<S: StateMachine> Handler<TakeSnapshot> for Replica<S> {
    type Result = ();

    fn handle(&mut self, TakeSnapshot(waiter): TakeSnapshot, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let applied = self.replica.applied();
        if self.restoring || applied == Index::ZERO {
            let message = format!(
                "there is nothing of {:?} to take a snapshot of yet; call again",
                self.place.name
            );
            waiter.send(Err(Error::new(Code::Starting, message))).ok();
            return;
        }
        self.savers.push((applied, waiter));
        self.place.seat.take_snapshot();
    }
}

impl<S: StateMachine> Handler<Ended> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Ended(saved): Ended, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        self.answer_savers(saved.as_ref());
    }
}

impl<S: StateMachine> Handler<Restored<S>> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Restored(restored): Restored<S>, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let Some(restored) = restored else {
            tracing::error!(
                node = %self.place.node,
                group = %self.place.name,
                "a snapshot that was whole cannot be read back, so this process ends; check the \
                 disk, and that the state's type is the one that was saved"
            );
            std::process::exit(74);
        };
        let former = std::mem::replace(&mut self.replica, restored);
        // A large state takes long to let go.
        (Arc::clone(&self.place.keeping.workers))(Box::new(move || drop(former)));
        self.restoring = false;
        self.place.board.set_applied(self.replica.applied());
        // Perhaps nothing is applied behind it for long.
        self.answer_waiting();
        self.work(ctx);
    }
}
