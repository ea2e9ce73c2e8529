//! How messages between roles are encoded; a tag never changes its meaning.

use bytes::Bytes;

use super::{
    ballot::Ballot,
    message::{Message, Value, Vote},
    values::Values,
};
use crate::{
    codec::{
        Decode, DecodeError, Encode, put_bytes, put_duration, put_u32, put_u64, take_bool,
        take_bytes, take_duration, take_u8, take_u32, take_u64,
    },
    log::Index,
    membership::Membership,
    process::Ticket,
    snapshot::SnapshotId,
};

impl Encode for Value {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::NoOp => out.push(0),
            Self::Command(command) => {
                out.push(1);
                put_bytes(out, command);
            }
            Self::Membership(membership) => {
                out.push(2);
                membership.encode(out);
            }
        }
    }
}

impl Decode for Value {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            0 => Ok(Self::NoOp),
            1 => Ok(Self::Command(take_bytes(input)?)),
            2 => Ok(Self::Membership(Membership::decode(input)?)),
            tag => Err(DecodeError::UnknownTag { what: "value of a slot", tag }),
        }
    }
}

/// Returns about how many bytes [`put_values`] appends.
pub(super) fn values_bytes(values: &[Value]) -> usize {
    4 + values.iter().map(|value| Value::BESIDES_COMMAND + value.size()).sum::<usize>()
}

/// Appends how many values there are, then each.
pub(super) fn put_values(out: &mut Vec<u8>, values: &[Value]) {
    put_u32(out, values.len() as u32);
    values.iter().for_each(|value| value.encode(out));
}

/// Reads what [`put_values`] wrote.
pub(super) fn take_values(input: &mut Bytes) -> Result<Values, DecodeError> {
    let count = take_count(input, 1)?;
    if count == 1 {
        return Ok(Value::decode(input)?.into());
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(Value::decode(input)?);
    }
    Ok(values.into())
}

/// Reads how many there are of what takes `bytes_min` each at least: a count that the input cannot
/// hold allocates nothing.
fn take_count(input: &mut Bytes, bytes_min: usize) -> Result<usize, DecodeError> {
    let count = take_u32(input)? as usize;
    if count > input.len() / bytes_min { Err(DecodeError::Truncated) } else { Ok(count) }
}

impl Encode for Vote {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.slot.0);
        self.ballot.encode(out);
        self.value.encode(out);
    }
}

impl Decode for Vote {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            slot: take_index(input)?,
            ballot: Ballot::decode(input)?,
            value: Value::decode(input)?,
        })
    }
}

fn take_index(input: &mut Bytes) -> Result<Index, DecodeError> {
    take_u64(input).map(Index)
}

fn put_slots(out: &mut Vec<u8>, slots: &[Index]) {
    slots.iter().for_each(|slot| put_u64(out, slot.0));
}

impl Encode for Message {
    fn size_hint(&self) -> usize {
        match self {
            Self::Accept { values, .. }
            | Self::Voted { values, .. }
            | Self::Learned { values, .. } => 17 + Ballot::BYTES + values_bytes(values),
            Self::Promise { votes, .. } => {
                let beside = 8 + Ballot::BYTES + Value::BESIDES_COMMAND;
                64 + votes.iter().map(|vote| beside + vote.value.size()).sum::<usize>()
            }
            Self::Part { bytes, .. } => 40 + bytes.as_ref().map_or(0, Bytes::len),
            _ => 48,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Canvass { ballot } => {
                out.push(1);
                ballot.encode(out);
            }
            Self::Prepare { ballot, first, transfer } => {
                out.push(2);
                ballot.encode(out);
                put_slots(out, &[*first]);
                out.push(u8::from(transfer.is_some()));
                transfer.iter().for_each(|told| told.encode(out));
            }
            Self::Accept { ballot, first, values, chosen } => {
                out.push(3);
                put_proposal(out, ballot, *first, values, *chosen);
            }
            Self::Heartbeat { ballot, round, chosen } => {
                out.push(4);
                ballot.encode(out);
                put_u64(out, *round);
                put_slots(out, &[*chosen]);
            }
            Self::Recall { first } => {
                out.push(5);
                put_slots(out, &[*first]);
            }
            Self::Forget { upto } => {
                out.push(6);
                put_slots(out, &[*upto]);
            }
            Self::Support { ballot, chosen } => {
                out.push(7);
                ballot.encode(out);
                put_slots(out, &[*chosen]);
            }
            Self::Promise { ballot, first, votes, upto, last, base } => {
                out.push(8);
                ballot.encode(out);
                put_slots(out, &[*first, *upto, *last, *base]);
                put_u32(out, votes.len() as u32);
                votes.iter().for_each(|vote| vote.encode(out));
            }
            Self::Nack { ballot, promised } => {
                out.push(9);
                ballot.encode(out);
                promised.encode(out);
            }
            Self::Accepted { ballot, first, last } => {
                out.push(10);
                ballot.encode(out);
                put_slots(out, &[*first, *last]);
            }
            Self::HeartbeatReply { ballot, round, promise, known, base } => {
                out.push(11);
                ballot.encode(out);
                put_u64(out, *round);
                out.push(u8::from(promise.is_some()));
                promise.iter().for_each(|promise| put_duration(out, *promise));
                put_slots(out, &[*known, *base]);
            }
            Self::Heard { ballot } => {
                out.push(12);
                ballot.encode(out);
            }
            Self::Promised { ballot } => {
                out.push(25);
                ballot.encode(out);
            }
            Self::Known { chosen, base, era, membership } => {
                out.push(13);
                put_slots(out, &[*chosen, *base, *era]);
                membership.encode(out);
            }
            Self::Abreast { upto } => {
                out.push(26);
                put_slots(out, &[*upto]);
            }
            Self::ReadIndex { id, lease } => {
                out.push(14);
                put_u64(out, *id);
                out.push(u8::from(*lease));
            }
            Self::ReadIndexReply { id, index } => {
                out.push(15);
                put_u64(out, *id);
                put_slots(out, &[*index]);
            }
            Self::TakeOver { ballot } => {
                out.push(16);
                ballot.encode(out);
            }
            Self::Voted { ballot, first, values, chosen } => {
                out.push(17);
                put_proposal(out, ballot, *first, values, *chosen);
            }
            Self::Chosen { ballot, upto } => {
                out.push(18);
                ballot.encode(out);
                put_slots(out, &[*upto]);
            }
            Self::Settled { ballot, upto, tickets } => {
                out.push(19);
                ballot.encode(out);
                put_slots(out, &[*upto]);
                put_u32(out, tickets.len() as u32);
                for (slot, ticket) in tickets {
                    put_u64(out, slot.0);
                    put_u64(out, ticket.0);
                }
            }
            Self::Learn { first, state } => {
                out.push(20);
                put_slots(out, &[*first]);
                out.push(u8::from(*state));
            }
            Self::Learned { first, values, chosen } => {
                out.push(21);
                put_slots(out, &[*first, *chosen]);
                put_values(out, values);
            }
            Self::Offer { snapshot } => {
                out.push(22);
                snapshot.encode(out);
            }
            Self::Fetch { snapshot, part } => {
                out.push(23);
                snapshot.encode(out);
                put_u32(out, *part);
            }
            Self::Part { snapshot, part, bytes } => {
                out.push(24);
                snapshot.encode(out);
                put_u32(out, *part);
                out.push(u8::from(bytes.is_some()));
                bytes.iter().for_each(|bytes| put_bytes(out, bytes));
            }
        }
    }
}

fn put_proposal(out: &mut Vec<u8>, ballot: &Ballot, first: Index, values: &Values, chosen: Index) {
    ballot.encode(out);
    put_slots(out, &[first, chosen]);
    put_values(out, values);
}

impl Decode for Message {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        // A vote takes 33 bytes at least, a slot with its ticket 16.
        const VOTE_BYTES_MIN: usize = 33;
        const TICKET_BYTES: usize = 16;
        let tag = take_u8(input)?;
        Ok(match tag {
            1 => Self::Canvass { ballot: Ballot::decode(input)? },
            2 => {
                let (ballot, first) = (Ballot::decode(input)?, take_index(input)?);
                let transfer = if take_bool(input)? { Some(Ballot::decode(input)?) } else { None };
                Self::Prepare { ballot, first, transfer }
            }
            3 | 17 => {
                let ballot = Ballot::decode(input)?;
                let (first, chosen) = (take_index(input)?, take_index(input)?);
                let values = take_values(input)?;
                if tag == 3 {
                    Self::Accept { ballot, first, values, chosen }
                } else {
                    Self::Voted { ballot, first, values, chosen }
                }
            }
            4 => Self::Heartbeat {
                ballot: Ballot::decode(input)?,
                round: take_u64(input)?,
                chosen: take_index(input)?,
            },
            5 => Self::Recall { first: take_index(input)? },
            6 => Self::Forget { upto: take_index(input)? },
            7 => Self::Support { ballot: Ballot::decode(input)?, chosen: take_index(input)? },
            8 => {
                let (ballot, first) = (Ballot::decode(input)?, take_index(input)?);
                let (upto, last, base) =
                    (take_index(input)?, take_index(input)?, take_index(input)?);
                let count = take_count(input, VOTE_BYTES_MIN)?;
                let mut votes = Vec::with_capacity(count);
                for _ in 0..count {
                    votes.push(Vote::decode(input)?);
                }
                Self::Promise { ballot, first, votes, upto, last, base }
            }
            9 => Self::Nack { ballot: Ballot::decode(input)?, promised: Ballot::decode(input)? },
            10 => Self::Accepted {
                ballot: Ballot::decode(input)?,
                first: take_index(input)?,
                last: take_index(input)?,
            },
            11 => {
                let (ballot, round) = (Ballot::decode(input)?, take_u64(input)?);
                let promise = if take_bool(input)? { Some(take_duration(input)?) } else { None };
                let (known, base) = (take_index(input)?, take_index(input)?);
                Self::HeartbeatReply { ballot, round, promise, known, base }
            }
            12 => Self::Heard { ballot: Ballot::decode(input)? },
            13 => Self::Known {
                chosen: take_index(input)?,
                base: take_index(input)?,
                era: take_index(input)?,
                membership: Membership::decode(input)?,
            },
            14 => Self::ReadIndex { id: take_u64(input)?, lease: take_bool(input)? },
            15 => Self::ReadIndexReply { id: take_u64(input)?, index: take_index(input)? },
            16 => Self::TakeOver { ballot: Ballot::decode(input)? },
            18 => Self::Chosen { ballot: Ballot::decode(input)?, upto: take_index(input)? },
            19 => {
                let (ballot, upto) = (Ballot::decode(input)?, take_index(input)?);
                let count = take_count(input, TICKET_BYTES)?;
                let mut tickets = Vec::with_capacity(count);
                for _ in 0..count {
                    tickets.push((take_index(input)?, Ticket(take_u64(input)?)));
                }
                Self::Settled { ballot, upto, tickets }
            }
            20 => Self::Learn { first: take_index(input)?, state: take_bool(input)? },
            21 => {
                let (first, chosen) = (take_index(input)?, take_index(input)?);
                Self::Learned { first, values: take_values(input)?, chosen }
            }
            22 => Self::Offer { snapshot: SnapshotId::decode(input)? },
            23 => Self::Fetch { snapshot: SnapshotId::decode(input)?, part: take_u32(input)? },
            24 => {
                let (snapshot, part) = (SnapshotId::decode(input)?, take_u32(input)?);
                let bytes = if take_bool(input)? { Some(take_bytes(input)?) } else { None };
                Self::Part { snapshot, part, bytes }
            }
            26 => Self::Abreast { upto: take_index(input)? },
            25 => Self::Promised { ballot: Ballot::decode(input)? },
            _ => return Err(DecodeError::UnknownTag { what: "Multi-Paxos message", tag }),
        })
    }
}
