//! What a client's replica and the leader's replica say to each other.

use bytes::Bytes;

use super::{Admin, Attempt};
use crate::{
    change::ChangeError,
    codec::{Decode, DecodeError, Encode, put_u64, take_u8, take_u64},
    error::{SubmitError, TransferError},
    members::NodeId,
    replica::Rejection,
};

/// What a client asks of the leader's replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put this envelope into the log, and answer when it is applied.
    Propose(Bytes),
    /// Answer this query linearizably.
    Query(Bytes),
    /// Do this for an operator.
    Admin(Admin),
}

impl Request {
    /// Returns how many bytes of a caller's the request carries.
    pub fn size(&self) -> usize {
        match self {
            Self::Propose(bytes) | Self::Query(bytes) => bytes.len(),
            Self::Admin(_) => 0,
        }
    }
}

/// A request as it travels: under the attempt that names its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// The attempt.
    pub attempt: Attempt,
    /// What to do.
    pub request: Request,
}

/// The answer to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The attempt.
    pub attempt: Attempt,
    /// The encoded reply, or why there is none.
    pub result: Result<Bytes, Failure>,
}

/// Why an attempt has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The protocol did not take it, or did not finish it.
    Refused(SubmitError),
    /// It was decided, and there is no reply.
    Rejected(Rejection),
}

impl Encode for Request {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Propose(envelope) => {
                out.push(1);
                out.extend_from_slice(envelope);
            }
            Self::Query(query) => {
                out.push(2);
                out.extend_from_slice(query);
            }
            Self::Admin(admin) => {
                out.push(3);
                admin.encode(out);
            }
        }
    }
}

impl Decode for Request {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            1 => Ok(Self::Propose(std::mem::take(input))),
            2 => Ok(Self::Query(std::mem::take(input))),
            3 => Ok(Self::Admin(Admin::decode(input)?)),
            tag => Err(DecodeError::UnknownTag { what: "request", tag }),
        }
    }
}

impl Encode for Attempted {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.attempt.0);
        self.request.encode(out);
    }
}

impl Decode for Attempted {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let attempt = Attempt(take_u64(input)?);
        Ok(Self { attempt, request: Request::decode(input)? })
    }
}

fn put_transfer(out: &mut Vec<u8>, error: &TransferError) {
    let (tag, node) = match error {
        TransferError::NotAVoter { to } => (6, Some(to)),
        TransferError::NoFollower => (7, None),
        TransferError::UnderWay { to } => (8, Some(to)),
        TransferError::Aborted { to } => (9, Some(to)),
    };
    out.push(tag);
    node.into_iter().for_each(|node| put_u64(out, node.number()));
}

fn take_node(input: &mut Bytes) -> Result<NodeId, DecodeError> {
    NodeId::new(take_u64(input)?).ok_or(DecodeError::Invalid("node"))
}

impl Encode for Response {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.attempt.0);
        match &self.result {
            Ok(reply) => {
                out.push(0);
                out.extend_from_slice(reply);
            }
            Err(Failure::Refused(SubmitError::NotLeader { leader })) => {
                out.push(1);
                put_u64(out, leader.map_or(0, NodeId::number));
            }
            Err(Failure::Refused(SubmitError::Busy { limit })) => {
                out.push(2);
                put_u64(out, *limit as u64);
            }
            Err(Failure::Refused(SubmitError::StorageFull)) => out.push(3),
            Err(Failure::Refused(SubmitError::LeadershipLost)) => out.push(4),
            Err(Failure::Refused(SubmitError::Transferring { to })) => {
                out.push(5);
                put_u64(out, to.number());
            }
            Err(Failure::Refused(SubmitError::Transfer(error))) => put_transfer(out, error),
            Err(Failure::Refused(SubmitError::Change(error))) => {
                out.push(10);
                error.encode(out);
            }
            Err(Failure::Rejected(rejection)) => out.push(match rejection {
                Rejection::Panicked => 16,
                Rejection::Malformed => 17,
                Rejection::UnknownSession => 18,
                Rejection::AlreadyAnswered => 19,
                Rejection::SessionWindow => 20,
                Rejection::RequestReused => 21,
                Rejection::KeyReused => 22,
                Rejection::ReplyTooLarge => 23,
            }),
        }
    }
}

impl Decode for Response {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let attempt = Attempt(take_u64(input)?);
        let refused = |error| Err(Failure::Refused(error));
        let rejected = |rejection| Err(Failure::Rejected(rejection));
        let result = match take_u8(input)? {
            0 => Ok(std::mem::take(input)),
            1 => refused(SubmitError::NotLeader { leader: NodeId::new(take_u64(input)?) }),
            2 => {
                let limit = take_u64(input)?;
                let limit = usize::try_from(limit).map_err(|_| DecodeError::Invalid("limit"))?;
                refused(SubmitError::Busy { limit })
            }
            3 => refused(SubmitError::StorageFull),
            4 => refused(SubmitError::LeadershipLost),
            5 => refused(SubmitError::Transferring { to: take_node(input)? }),
            6 => refused(TransferError::NotAVoter { to: take_node(input)? }.into()),
            7 => refused(TransferError::NoFollower.into()),
            8 => refused(TransferError::UnderWay { to: take_node(input)? }.into()),
            9 => refused(TransferError::Aborted { to: take_node(input)? }.into()),
            10 => refused(ChangeError::decode(input)?.into()),
            16 => rejected(Rejection::Panicked),
            17 => rejected(Rejection::Malformed),
            18 => rejected(Rejection::UnknownSession),
            19 => rejected(Rejection::AlreadyAnswered),
            20 => rejected(Rejection::SessionWindow),
            21 => rejected(Rejection::RequestReused),
            22 => rejected(Rejection::KeyReused),
            23 => rejected(Rejection::ReplyTooLarge),
            tag => return Err(DecodeError::UnknownTag { what: "response", tag }),
        };
        Ok(Self { attempt, result })
    }
}
