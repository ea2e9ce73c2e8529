//! The seat of a group: where its inputs go, whichever role holds it at the moment.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

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

/// Where the inputs of a group go.
pub(crate) trait Seating: Send + Sync + 'static {
    /// What takes them.
    type Process: Process;

    /// Sends inputs to whoever they are for.
    fn send(&self, inputs: Vec<Input<Self::Process>>);

    /// Tells whether ticks may be spared.
    fn is_at_rest(&self) -> bool;

    /// Asks how far the log of each follower is known to agree.
    fn inspect(&self, answer: oneshot::Sender<Vec<(NodeId, Index)>>);

    /// Ends all actors.
    fn vacate(&self);
}

/// A shared cell with the address of the actor that holds the seat.
///
/// Senders resolve it at each send, and send under its lock, so that nobody's input falls between
/// two holders.
pub(crate) struct Seat<P: Seated> {
    holder: Mutex<Option<Recipient<Delivery<P>>>>,
    /// Whether nothing comes of a tick until something else reaches the seat.
    is_at_rest: AtomicBool,
}

impl<P: Seated> Seat<P> {
    /// Makes a seat that nobody holds yet; what is sent to it before [`Seat::pass_on`] is lost.
    pub(crate) fn vacant() -> Self {
        Self { holder: Mutex::new(None), is_at_rest: AtomicBool::new(false) }
    }

    /// Notes whether ticks may be spared.
    pub(crate) fn set_at_rest(&self, rests: bool) {
        self.is_at_rest.store(rests, Ordering::Relaxed);
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
}

impl<P: Seated> Seating for Seat<P> {
    type Process = P;

    fn send(&self, inputs: Vec<Input<P>>) {
        if let Some(holder) = lock(&self.holder).as_ref() {
            holder.do_send(Delivery::Inputs(inputs));
        }
    }

    fn is_at_rest(&self) -> bool {
        self.is_at_rest.load(Ordering::Relaxed)
    }

    fn inspect(&self, answer: oneshot::Sender<Vec<(NodeId, Index)>>) {
        if let Some(holder) = lock(&self.holder).as_ref() {
            holder.do_send(Delivery::Inspect(answer));
        }
    }

    /// Takes the seat from its holder, which then ends.
    fn vacate(&self) {
        *lock(&self.holder) = None;
    }
}
