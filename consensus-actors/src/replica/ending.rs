//! What a replica does when its node is about to end.

use actix::{Handler, Message};
use consensus_core::{
    StateMachine, SubmitError, TransferError,
    client::{Answered, Failure},
};
use tokio::sync::oneshot;

use super::{Asker, Replica};
use crate::abort::AbortOnPanic;

/// The node is about to end: hand the lead over. Answered with whether nothing is left to do.
pub(crate) struct Resign(pub(crate) oneshot::Sender<bool>);

/// Tells when no caller of this node's waits for an answer.
pub(crate) struct Idle(pub(crate) oneshot::Sender<()>);

impl Message for Resign {
    type Result = ();
}

impl Message for Idle {
    type Result = ();
}

/// Tells whether nothing is left to do for a replica that was told to resign: it leads no more, or
/// nobody could take over.
pub(super) fn is_settled(result: &Result<Answered, Failure>) -> bool {
    match result {
        Ok(_) | Err(Failure::Rejected(_)) => true,
        Err(Failure::Refused(error)) => matches!(
            error,
            SubmitError::NotLeader { .. } | SubmitError::Transfer(TransferError::NoFollower)
        ),
    }
}

impl<S: StateMachine> Replica<S> {
    /// Tells whoever waits for it that no caller waits.
    pub(super) fn tell_idle(&mut self) {
        self.idle.drain(..).for_each(|waits| {
            waits.send(()).ok();
        });
    }
}

impl<S: StateMachine> Handler<Resign> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Resign(resigned): Resign, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let ticket = self.next_ticket();
        self.seated.insert(ticket, (Asker::Node(resigned), None));
        self.place.seat.resign(ticket);
    }
}

impl<S: StateMachine> Handler<Idle> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Idle(idle): Idle, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        self.idle.push(idle);
        self.flush();
    }
}
