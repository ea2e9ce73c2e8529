//! What the actor of a replica is told. Nobody waits for an answer to any of it.

use actix::Message;
use consensus_core::{
    Index, NodeId,
    client::{Attempted, Response},
};
use tokio::sync::oneshot;

use super::Origin;
use crate::role::Decision;

/// Asks how far the log of each follower is known to agree.
pub(crate) struct Inspect(pub(crate) oneshot::Sender<Vec<(NodeId, Index)>>);

/// Decisions of the protocol, in order.
pub(crate) struct Decisions(pub(crate) Vec<Decision>);

/// Requests of callers elsewhere.
pub(crate) struct Requests(pub(crate) Origin, pub(crate) Vec<Attempted>);

/// Answers to requests that went to a peer.
pub(crate) struct Responses(pub(crate) Vec<Response>);

/// An occasion to look at the time.
pub(crate) struct Tick;

/// Sends what has gathered; behind everything that waited when it was sent.
pub(super) struct Flush;

macro_rules! messages {
    ($($message:ty),+ $(,)?) => {
        $(impl Message for $message {
            type Result = ();
        })+
    };
}

messages!(Decisions, Inspect, Requests, Responses, Tick, Flush);
