//! What a client has its host do.

use super::{Answered, Attempt, CallError, CallId, Request};
use crate::members::NodeId;

/// What a client asks of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEffect<W = ()> {
    /// Sends a request to the replica on `to`, which may be this node's own.
    Request {
        /// The node.
        to: NodeId,
        /// Names the answer.
        attempt: Attempt,
        /// The call that this is an attempt at: the client's own, where it opens a session.
        call: CallId,
        /// What to do.
        request: Request,
    },
    /// Answers the caller; the call is over.
    Finish {
        /// The call.
        call: CallId,
        /// Who made it.
        caller: W,
        /// The reply, or why there is none.
        result: Result<Answered, CallError>,
    },
}
