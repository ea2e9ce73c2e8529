//! How messages between replicas are encoded; a tag never changes its meaning.

use bytes::Bytes;

use super::{
    message::{AppendResult, Message, Term, entries_bytes, put_entries, take_entries},
    snapshot_result::SnapshotResult,
};
use crate::{
    codec::{
        Decode, DecodeError, Encode, put_bytes, put_duration, put_u32, put_u64, take_bool,
        take_bytes, take_duration, take_u8, take_u32, take_u64,
    },
    log::Index,
    snapshot::SnapshotId,
};

impl Encode for Message {
    fn size_hint(&self) -> usize {
        match self {
            Self::Append { entries, .. } => 33 + entries_bytes(entries),
            Self::InstallSnapshot { bytes, .. } => 64 + bytes.len(),
            _ => 32,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Vote { term, last_index, last_term, transfer } => {
                out.push(1);
                put_u64(out, term.0);
                put_u64(out, last_index.0);
                put_u64(out, last_term.0);
                out.push(u8::from(*transfer));
            }
            Self::VoteReply { term, granted } => {
                out.push(2);
                put_u64(out, term.0);
                out.push(u8::from(*granted));
            }
            Self::Append { term, prev_index, prev_term, entries, commit } => {
                out.push(3);
                put_u64(out, term.0);
                put_u64(out, prev_index.0);
                put_u64(out, prev_term.0);
                put_u64(out, commit.0);
                put_entries(out, entries);
            }
            Self::AppendReply { term, result: AppendResult::Matched(index) } => {
                out.push(4);
                put_u64(out, term.0);
                put_u64(out, index.0);
            }
            Self::AppendReply {
                term,
                result: AppendResult::Conflict { refused, hint, hint_term },
            } => {
                out.push(5);
                put_u64(out, term.0);
                put_u64(out, refused.0);
                put_u64(out, hint.0);
                put_u64(out, hint_term.0);
            }
            Self::Heartbeat { term, commit, round } => {
                out.push(6);
                put_u64(out, term.0);
                put_u64(out, commit.0);
                put_u64(out, *round);
            }
            Self::HeartbeatReply { term, round, priority, promise } => {
                // Who takes no part in leases is understood by versions that know of none.
                out.push(if promise.is_some() { 17 } else { 7 });
                put_u64(out, term.0);
                put_u64(out, *round);
                out.push(u8::from(priority.is_some()));
                out.extend(priority);
                promise.iter().for_each(|promise| put_duration(out, *promise));
            }
            Self::PreVote { term, last_index, last_term } => {
                out.push(8);
                put_u64(out, term.0);
                put_u64(out, last_index.0);
                put_u64(out, last_term.0);
            }
            Self::PreVoteReply { term, granted } => {
                out.push(9);
                put_u64(out, term.0);
                out.push(u8::from(*granted));
            }
            Self::TimeoutNow { term, last_index, last_term } => {
                out.push(10);
                put_u64(out, term.0);
                put_u64(out, last_index.0);
                put_u64(out, last_term.0);
            }
            Self::ReadIndex { term, id, lease } => {
                out.push(if *lease { 18 } else { 11 });
                put_u64(out, term.0);
                put_u64(out, *id);
            }
            Self::ReadIndexReply { term, id, index } => {
                out.push(12);
                put_u64(out, term.0);
                put_u64(out, *id);
                put_u64(out, index.0);
            }
            Self::InstallSnapshot { term, snapshot, part, bytes } => {
                out.push(13);
                put_u64(out, term.0);
                snapshot.encode(out);
                put_u32(out, *part);
                put_bytes(out, bytes);
            }
            Self::SnapshotReply { term, result } => {
                out.push(14);
                put_u64(out, term.0);
                result.encode(out);
            }
            Self::Rest { term, commit } => {
                out.push(15);
                put_u64(out, term.0);
                put_u64(out, commit.0);
            }
            Self::RestReply { term, commit } => {
                out.push(16);
                put_u64(out, term.0);
                put_u64(out, commit.0);
            }
        }
    }
}

impl Decode for Message {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let tag = take_u8(input)?;
        let term = Term(take_u64(input)?);
        Ok(match tag {
            1 => Self::Vote {
                term,
                last_index: Index(take_u64(input)?),
                last_term: Term(take_u64(input)?),
                transfer: take_bool(input)?,
            },
            2 => Self::VoteReply { term, granted: take_bool(input)? },
            3 => Self::Append {
                term,
                prev_index: Index(take_u64(input)?),
                prev_term: Term(take_u64(input)?),
                commit: Index(take_u64(input)?),
                entries: take_entries(input)?,
            },
            4 => Self::AppendReply { term, result: AppendResult::Matched(Index(take_u64(input)?)) },
            5 => Self::AppendReply {
                term,
                result: AppendResult::Conflict {
                    refused: Index(take_u64(input)?),
                    hint: Index(take_u64(input)?),
                    hint_term: Term(take_u64(input)?),
                },
            },
            6 => Self::Heartbeat { term, commit: Index(take_u64(input)?), round: take_u64(input)? },
            7 | 17 => {
                let (round, willing) = (take_u64(input)?, take_bool(input)?);
                let priority = if willing { Some(take_u8(input)?) } else { None };
                let promise = if tag == 17 { Some(take_duration(input)?) } else { None };
                Self::HeartbeatReply { term, round, priority, promise }
            }
            8 => Self::PreVote {
                term,
                last_index: Index(take_u64(input)?),
                last_term: Term(take_u64(input)?),
            },
            9 => Self::PreVoteReply { term, granted: take_bool(input)? },
            10 => Self::TimeoutNow {
                term,
                last_index: Index(take_u64(input)?),
                last_term: Term(take_u64(input)?),
            },
            11 | 18 => Self::ReadIndex { term, id: take_u64(input)?, lease: tag == 18 },
            12 => {
                Self::ReadIndexReply { term, id: take_u64(input)?, index: Index(take_u64(input)?) }
            }
            13 => Self::InstallSnapshot {
                term,
                snapshot: SnapshotId::decode(input)?,
                part: take_u32(input)?,
                bytes: take_bytes(input)?,
            },
            14 => Self::SnapshotReply { term, result: SnapshotResult::decode(input)? },
            15 => Self::Rest { term, commit: Index(take_u64(input)?) },
            16 => Self::RestReply { term, commit: Index(take_u64(input)?) },
            tag => return Err(DecodeError::UnknownTag { what: "Raft message", tag }),
        })
    }
}
