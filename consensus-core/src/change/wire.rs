//! Changes, and why there is none, as they travel.

use bytes::Bytes;

use super::{Change, ChangeError};
use crate::{
    codec::{
        Decode, DecodeError, Encode, put_bytes, put_u32, put_u64, take_bytes, take_u8, take_u32,
        take_u64,
    },
    members::NodeId,
    membership::take_node,
};

impl Encode for Change {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, nodes: &[&NodeId], contact: Option<&String>| {
            out.push(tag);
            nodes.iter().for_each(|node| put_u64(out, node.number()));
            if let Some(contact) = contact {
                put_bytes(out, contact.as_bytes());
            }
        };
        match self {
            Self::AddLearner { node, contact } => put(1, &[node], Some(contact)),
            Self::AddVoter { node, contact } => put(2, &[node], Some(contact)),
            Self::Promote { node } => put(3, &[node], None),
            Self::Demote { node } => put(4, &[node], None),
            Self::Remove { node } => put(5, &[node], None),
            Self::Replace { old, new, contact } => put(6, &[old, new], Some(contact)),
            Self::Witness { node } => put(7, &[node], None),
            Self::Move { node, contact } => put(8, &[node], Some(contact)),
            Self::All(changes) => {
                out.push(9);
                put_u32(out, changes.len() as u32);
                changes.iter().for_each(|change| change.encode(out));
            }
        }
    }
}

impl Decode for Change {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            // A list in a list would be read without end.
            9 => {
                let mut changes = Vec::new();
                for _ in 0..take_u32(input)? {
                    let tag = take_u8(input)?;
                    changes.push(take_step(tag, input)?);
                }
                Ok(Self::All(changes))
            }
            tag => take_step(tag, input),
        }
    }
}

fn contact(input: &mut Bytes) -> Result<String, DecodeError> {
    let bytes = take_bytes(input)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::Invalid("contact"))
}

fn take_step(tag: u8, input: &mut Bytes) -> Result<Change, DecodeError> {
    let node = take_node(input)?;
    Ok(match tag {
        1 => Change::AddLearner { node, contact: contact(input)? },
        2 => Change::AddVoter { node, contact: contact(input)? },
        3 => Change::Promote { node },
        4 => Change::Demote { node },
        5 => Change::Remove { node },
        6 => Change::Replace { old: node, new: take_node(input)?, contact: contact(input)? },
        7 => Change::Witness { node },
        8 => Change::Move { node, contact: contact(input)? },
        tag => return Err(DecodeError::UnknownTag { what: "change", tag }),
    })
}

impl Encode for ChangeError {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, numbers: &[u64]| {
            out.push(tag);
            numbers.iter().for_each(|number| put_u64(out, *number));
        };
        match self {
            Self::Underway => put(1, &[]),
            Self::NotReady => put(2, &[]),
            Self::CatchingUp { node, matched, last } => put(3, &[node.number(), *matched, *last]),
            Self::NoMajority { voters, heard } => put(4, &[*voters as u64, *heard as u64]),
            Self::Retired { node } => put(5, &[node.number()]),
            Self::NotAMember { node } => put(6, &[node.number()]),
            Self::Elsewhere { node, contact } => {
                put(7, &[node.number()]);
                put_bytes(out, contact.as_bytes());
            }
            Self::SameNode { node } => put(8, &[node.number()]),
            Self::NoVoter => put(9, &[]),
            Self::TooManyWitnesses { witnesses, voters } => {
                put(10, &[*witnesses as u64, *voters as u64]);
            }
            Self::WitnessLeads { node } => put(11, &[node.number()]),
            Self::TooMany { members } => put(12, &[*members as u64]),
            Self::LongContact { bytes } => put(13, &[*bytes as u64]),
            Self::StaysWitness { node } => put(14, &[node.number()]),
            Self::NoWitnesses => put(16, &[]),
            Self::QuorumSizes { voters, prepare, accept } => {
                put(17, &[*voters as u64, *prepare as u64, *accept as u64]);
            }
        }
    }
}

impl Decode for ChangeError {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let count = |input: &mut Bytes| {
            usize::try_from(take_u64(input)?).map_err(|_| DecodeError::Invalid("count"))
        };
        Ok(match take_u8(input)? {
            1 => Self::Underway,
            2 => Self::NotReady,
            3 => Self::CatchingUp {
                node: take_node(input)?,
                matched: take_u64(input)?,
                last: take_u64(input)?,
            },
            4 => Self::NoMajority { voters: count(input)?, heard: count(input)? },
            5 => Self::Retired { node: take_node(input)? },
            6 => Self::NotAMember { node: take_node(input)? },
            7 => Self::Elsewhere { node: take_node(input)?, contact: contact(input)? },
            8 => Self::SameNode { node: take_node(input)? },
            9 => Self::NoVoter,
            10 => Self::TooManyWitnesses { witnesses: count(input)?, voters: count(input)? },
            11 => Self::WitnessLeads { node: take_node(input)? },
            12 => Self::TooMany { members: count(input)? },
            13 => Self::LongContact { bytes: count(input)? },
            14 => Self::StaysWitness { node: take_node(input)? },
            16 => Self::NoWitnesses,
            17 => Self::QuorumSizes {
                voters: count(input)?,
                prepare: count(input)?,
                accept: count(input)?,
            },
            tag => return Err(DecodeError::UnknownTag { what: "refusal of a change", tag }),
        })
    }
}
