//! What a replica makes durable, as it stands in the journal.

use bytes::Bytes;

use super::message::{Entry, Term, entries_bytes, put_entries, take_entries};
use crate::{
    codec::{Decode, DecodeError, Encode, put_u64, take_bool, take_u8, take_u64},
    log::Index,
    members::NodeId,
    snapshot::Cut,
};

/// One durable fact of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The current term and the vote in it. Never merged with entries: it must precede them.
    Vote {
        /// The current term.
        term: Term,
        /// Who has this replica's vote in it.
        voted_for: Option<NodeId>,
    },
    /// Drops what follows `after` and appends `entries`, in one: no crash can come between
    /// (RAFT-P05).
    Append {
        /// The index before the first of `entries`.
        after: Index,
        /// What follows it.
        entries: Vec<Entry>,
    },
    /// Everything up to `cut` is in a snapshot that is durable: what lies before is let go.
    Snapshot {
        /// The point of the log that it covers.
        cut: Cut,
        /// Whether the log was another one there, or ended before, and goes as a whole (RAFT-P21).
        replaces: bool,
    },
}

impl Encode for Record {
    fn size_hint(&self) -> usize {
        match self {
            Self::Append { entries, .. } => 9 + entries_bytes(entries),
            Self::Vote { .. } | Self::Snapshot { .. } => 64,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Vote { term, voted_for } => {
                out.push(1);
                put_u64(out, term.0);
                put_u64(out, voted_for.map_or(0, NodeId::number));
            }
            Self::Append { after, entries } => {
                out.push(2);
                put_u64(out, after.0);
                put_entries(out, entries);
            }
            Self::Snapshot { cut, replaces } => {
                out.push(3);
                cut.encode(out);
                out.push(u8::from(*replaces));
            }
        }
    }
}

impl Decode for Record {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_u8(input)? {
            1 => Ok(Self::Vote {
                term: Term(take_u64(input)?),
                voted_for: NodeId::new(take_u64(input)?),
            }),
            2 => Ok(Self::Append { after: Index(take_u64(input)?), entries: take_entries(input)? }),
            3 => Ok(Self::Snapshot { cut: Cut::decode(input)?, replaces: take_bool(input)? }),
            tag => Err(DecodeError::UnknownTag { what: "Raft record", tag }),
        }
    }
}
