//! What a client's replica and the leader's replica say to each other.

use bytes::Bytes;

use super::Attempt;
use crate::{
    codec::{Decode, DecodeError, Encode, put_u64, take_u8, take_u64},
    error::SubmitError,
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
}

impl Request {
    /// Returns how many bytes the request takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Propose(bytes) | Self::Query(bytes) => bytes.len(),
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
        let (tag, body) = match self {
            Self::Propose(envelope) => (1, envelope),
            Self::Query(query) => (2, query),
        };
        out.push(tag);
        out.extend_from_slice(body);
    }
}

impl Decode for Request {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            1 => Ok(Self::Propose(std::mem::take(input))),
            2 => Ok(Self::Query(std::mem::take(input))),
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
