//! The seat of a group: where its inputs go, whichever role holds it at the moment.

use std::sync::Mutex;

use actix::Recipient;
use consensus_core::{Index, Input, NodeId, Process, role::Seated};
use tokio::sync::oneshot;

use crate::sync::lock;

/// What reaches a role actor.
pub(crate) enum Delivery<P: Process> {
    /// Inputs that were sent to the seat while this actor held it.
    Inputs(Vec<Input<P>>),
    /// Inputs that reached the predecessor after it had ended; they come before those of the seat.
    Forwarded(Vec<Input<P>>),
    /// A question how far the log of each follower is known to agree.
    Inspect(oneshot::Sender<Vec<(NodeId, Index)>>),
    /// The predecessor's last word: nothing forwarded follows.
    PredecessorDone,
    /// An actor's note to itself: whatever was sent to the seat before the hand-over lies before
    /// it.
    Fence,
}

impl<P: Process> actix::Message for Delivery<P> {
    type Result = ();
}

/// A shared cell with the address of the actor that holds the seat.
///
/// Senders resolve it at each send, and send under its lock, so that nobody's input falls between
/// two holders.
pub(crate) struct Seat<P: Seated> {
    holder: Mutex<Option<Recipient<Delivery<P>>>>,
}

impl<P: Seated> Seat<P> {
    /// Makes a seat that nobody holds yet; what is sent to it before [`Seat::pass_on`] is lost.
    pub(crate) fn vacant() -> Self {
        Self { holder: Mutex::new(None) }
    }

    /// Sends inputs to whoever holds the seat.
    pub(crate) fn send(&self, inputs: Vec<Input<P>>) {
        if let Some(holder) = lock(&self.holder).as_ref() {
            holder.do_send(Delivery::Inputs(inputs));
        }
    }

    /// Asks whoever holds the seat how far the log of each follower is known to agree.
    pub(crate) fn inspect(&self, answer: oneshot::Sender<Vec<(NodeId, Index)>>) {
        if let Some(holder) = lock(&self.holder).as_ref() {
            holder.do_send(Delivery::Inspect(answer));
        }
    }

    /// Gives the seat to the actor that `start` starts, while no sender can come between.
    pub(crate) fn pass_on(
        &self,
        start: impl FnOnce() -> Recipient<Delivery<P>>,
    ) -> Recipient<Delivery<P>> {
        let mut holder = lock(&self.holder);
        let started = start();
        *holder = Some(started.clone());
        started
    }

    /// Takes the seat from its holder, which then ends.
    pub(crate) fn vacate(&self) {
        *lock(&self.holder) = None;
    }
}
