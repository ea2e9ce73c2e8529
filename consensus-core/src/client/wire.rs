//! What a client and a replica say to each other.

use bytes::Bytes;

use super::{Admin, Attempt};
use crate::{
    change::ChangeError,
    codec::{Decode, DecodeError, Encode, put_duration, put_u64, take_duration, take_u8, take_u64},
    error::{SubmitError, TransferError},
    log::Index,
    members::NodeId,
    read::ReadLevel,
    replica::Rejection,
};

/// What a client asks of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put this envelope into the log, and answer when it is applied.
    Propose(Bytes),
    /// Answer this query.
    Query {
        /// The query in named MessagePack.
        query: Bytes,
        /// What it is promised.
        level: ReadLevel,
    },
    /// Do this for an operator.
    Admin(Admin),
}

impl Request {
    /// Returns how many bytes of a caller's the request carries.
    pub fn size(&self) -> usize {
        match self {
            Self::Propose(bytes) | Self::Query { query: bytes, .. } => bytes.len(),
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
    /// The reply, or why there is none.
    pub result: Result<Answered, Failure>,
}

/// A reply, and the state that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The reply, encoded.
    pub reply: Bytes,
    /// An index at or after the entry of a command, or the last one that a query saw; `None` for
    /// what is not about the state.
    pub index: Option<Index>,
}

impl From<Bytes> for Answered {
    fn from(reply: Bytes) -> Self {
        Self { reply, index: None }
    }
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
            Self::Query { query, level } => {
                match level {
                    ReadLevel::Linearizable => out.push(2),
                    ReadLevel::Stale { max_lag } => {
                        out.push(4);
                        put_duration(out, *max_lag);
                    }
                    ReadLevel::Lease => out.push(6),
                    ReadLevel::After { index } => {
                        out.push(5);
                        put_u64(out, index.0);
                    }
                }
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
        let level = match take_u8(input)? {
            1 => return Ok(Self::Propose(std::mem::take(input))),
            2 => ReadLevel::Linearizable,
            3 => return Ok(Self::Admin(Admin::decode(input)?)),
            4 => ReadLevel::Stale { max_lag: take_duration(input)? },
            6 => ReadLevel::Lease,
            5 => ReadLevel::After { index: Index(take_u64(input)?) },
            tag => return Err(DecodeError::UnknownTag { what: "request", tag }),
        };
        Ok(Self::Query { query: std::mem::take(input), level })
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
            Ok(Answered { reply, index: None }) => {
                out.push(0);
                out.extend_from_slice(reply);
            }
            Ok(Answered { reply, index: Some(index) }) => {
                out.push(32);
                put_u64(out, index.0);
                out.extend_from_slice(reply);
            }
            Err(Failure::Refused(SubmitError::NoLeases)) => out.push(36),
            Err(Failure::Refused(SubmitError::TooStale { age: None })) => out.push(33),
            Err(Failure::Refused(SubmitError::TooStale { age: Some(age) })) => {
                out.push(34);
                put_duration(out, *age);
            }
            Err(Failure::Refused(SubmitError::NoState { leader })) => {
                out.push(35);
                put_u64(out, leader.map_or(0, NodeId::number));
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
            0 => Ok(std::mem::take(input).into()),
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
            32 => {
                let index = Some(Index(take_u64(input)?));
                Ok(Answered { reply: std::mem::take(input), index })
            }
            33 => refused(SubmitError::TooStale { age: None }),
            34 => refused(SubmitError::TooStale { age: Some(take_duration(input)?) }),
            35 => refused(SubmitError::NoState { leader: NodeId::new(take_u64(input)?) }),
            36 => refused(SubmitError::NoLeases),
            tag => return Err(DecodeError::UnknownTag { what: "response", tag }),
        };
        Ok(Self { attempt, result })
    }
}
