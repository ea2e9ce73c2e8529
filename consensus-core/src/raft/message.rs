//! What replicas of a group say to each other.

use std::time::Duration;

use bytes::Bytes;

use super::snapshot_result::SnapshotResult;
use crate::{
    codec::{
        Decode, DecodeError, Encode, put_bytes, put_u32, put_u64, take_bytes, take_u8, take_u32,
        take_u64,
    },
    log::Index,
    membership::Membership,
    snapshot::SnapshotId,
};

/// Raft's leadership clock: each term has at most one leader (5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    /// Returns the term that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A log entry; its index is its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The term in which a leader received it.
    pub term: Term,
    /// What it says.
    pub payload: Payload,
}

impl Entry {
    /// Returns the entry as a witness gets it: a command without its bytes, whatever else whole.
    #[must_use]
    pub fn stripped(&self) -> Self {
        let payload = match &self.payload {
            Payload::Command(_) => Payload::Stripped,
            Payload::NoOp | Payload::Stripped | Payload::Membership(_) => self.payload.clone(),
        };
        Self { term: self.term, payload }
    }
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Nothing: a new leader's first entry, by whose commitment it learns what is committed (8).
    NoOp,
    /// A command for the state machine, opaque to Raft.
    Command(Bytes),
    /// A command whose bytes were left out: all that a witness gets and keeps.
    Stripped,
    /// A configuration, in effect as soon as it is in a log (dissertation 4.1).
    Membership(Membership),
}

impl Payload {
    /// Returns the bytes of the command, zero for an entry of the protocol's own.
    pub fn size(&self) -> usize {
        match self {
            Self::NoOp | Self::Stripped | Self::Membership(_) => 0,
            Self::Command(command) => command.len(),
        }
    }
}

/// A message between replicas. Every one carries its sender's term (5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks whether a vote would be given (dissertation 9.6). It changes nobody's term.
    PreVote {
        /// The term that the sender would campaign in.
        term: Term,
        /// The last index of the sender's log.
        last_index: Index,
        /// The term of the entry at `last_index`.
        last_term: Term,
    },
    /// Answers [`Message::PreVote`].
    PreVoteReply {
        /// The term that was asked about where it is granted, else the voter's own.
        term: Term,
        /// Whether the sender would have the vote.
        granted: bool,
    },
    /// Asks for a vote (RequestVote, 5.2).
    Vote {
        /// The candidate's term.
        term: Term,
        /// The last index of the candidate's log.
        last_index: Index,
        /// The term of the entry at `last_index`.
        last_term: Term,
        /// Whether the leader of the term before told the candidate to campaign, so that its voters
        /// need not be loyal to it (dissertation 4.2.3).
        transfer: bool,
    },
    /// Answers [`Message::Vote`].
    VoteReply {
        /// The voter's term.
        term: Term,
        /// Whether the candidate has the vote.
        granted: bool,
    },
    /// Appends entries to a follower's log (AppendEntries, 5.3).
    Append {
        /// The leader's term.
        term: Term,
        /// The index before the first of `entries`.
        prev_index: Index,
        /// The term of the entry at `prev_index`; the follower must hold that entry.
        prev_term: Term,
        /// The entries that follow `prev_index`.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
    },
    /// Answers [`Message::Append`].
    AppendReply {
        /// The follower's term.
        term: Term,
        /// What became of it.
        result: AppendResult,
    },
    /// Asserts leadership without entries, and carries a round that confirms reads (5.2, 8).
    ///
    /// Apart from Append, since it needs neither the consistency check nor the disk.
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// The smaller of the leader's commit index and what the follower is known to hold.
        commit: Index,
        /// The leader's latest read round, increasing within the term.
        round: u64,
    },
    /// Answers [`Message::Heartbeat`].
    HeartbeatReply {
        /// The follower's term.
        term: Term,
        /// The round of the heartbeat that it answers.
        round: u64,
        /// The priority with which the follower would lead; `None` while it would not.
        priority: Option<u8>,
        /// For how long after that heartbeat, by the clock of any member, the follower refuses its
        /// vote to whoever was not told to campaign; `None` if that is not to be relied on.
        promise: Option<Duration>,
    },
    /// Asks the leader how far reads must see (dissertation 6.4).
    ReadIndex {
        /// The follower's term.
        term: Term,
        /// Names the answer. The sender never uses it for other reads.
        id: u64,
        /// Whether the reads may rest on a lease.
        lease: bool,
    },
    /// Answers [`Message::ReadIndex`], once the leader is known to have led after it arrived.
    ReadIndexReply {
        /// The leader's term.
        term: Term,
        /// The id of the request.
        id: u64,
        /// The index that the reads must see.
        index: Index,
    },
    /// Tells a follower to campaign at once (dissertation 3.10), if its log is the one named.
    TimeoutNow {
        /// The leader's term.
        term: Term,
        /// The last index of the leader's log.
        last_index: Index,
        /// The term of the entry at `last_index`.
        last_term: Term,
    },
    /// A part of a snapshot, for a follower that needs entries which the leader has let go (7).
    InstallSnapshot {
        /// The leader's term.
        term: Term,
        /// What names the snapshot.
        snapshot: SnapshotId,
        /// Which part: 0 is the manifest, and the chunks follow.
        part: u32,
        /// The part's bytes.
        bytes: Bytes,
    },
    /// Answers [`Message::InstallSnapshot`] as far as it promises nothing, or asks for one. That
    /// one is installed is told as it is of entries, by [`Message::AppendReply`].
    SnapshotReply {
        /// The follower's term.
        term: Term,
        /// What became of it.
        result: SnapshotResult,
    },
    /// Says that there is nothing to do, and that no heartbeat follows until there is: see the
    /// module `rest`.
    Rest {
        /// The leader's term.
        term: Term,
        /// The leader's commit index, up to which the follower is known to hold everything.
        commit: Index,
    },
    /// Answers [`Message::Rest`]: the follower is at rest.
    RestReply {
        /// The follower's term.
        term: Term,
        /// The commit index of the message that it answers.
        commit: Index,
    },
}

/// What became of an Append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendResult {
    /// The follower's log agrees with the leader's up to this index, and is durable up to there.
    Matched(Index),
    /// The follower does not hold the entry before the first.
    Conflict {
        /// The `prev_index` that was refused.
        refused: Index,
        /// The largest index at which the logs may agree, as far as the follower can tell (5.3).
        hint: Index,
        /// The term of the follower's entry at `hint`.
        hint_term: Term,
    },
}

/// Beyond it terms are nonsense: nobody counts that far, and below it the next term always exists.
const TERM_MAX: Term = Term(u64::MAX >> 1);

impl Message {
    /// Tells whether a replica that follows the protocol could have sent this; what it says may
    /// still be untrue.
    pub(super) fn is_plausible(&self) -> bool {
        // Index zero, before the first entry, has term zero, and no other index has.
        let is_position = |index: Index, term: Term| (index == Index::ZERO) == (term.0 == 0);
        let term = self.term();
        if term.0 == 0 || term > TERM_MAX {
            return false;
        }
        match self {
            Self::PreVote { last_index, last_term, .. }
            | Self::Vote { last_index, last_term, .. } => {
                is_position(*last_index, *last_term) && *last_term < term
            }
            Self::TimeoutNow { last_index, last_term, .. } => {
                is_position(*last_index, *last_term) && *last_term <= term
            }
            Self::Append { prev_index, prev_term, entries, .. } => {
                let terms = entries.iter().map(|entry| entry.term);
                // Under a configuration without voters nothing would ever be decided.
                let decides = |entry: &Entry| match &entry.payload {
                    Payload::Membership(membership) => !membership.voters().is_empty(),
                    Payload::NoOp | Payload::Command(_) | Payload::Stripped => true,
                };
                is_position(*prev_index, *prev_term)
                    && prev_index.0.checked_add(entries.len() as u64).is_some()
                    && entries.first().is_none_or(|first| first.term.0 > 0)
                    && entries.iter().all(decides)
                    && [*prev_term].into_iter().chain(terms).chain([term]).is_sorted()
            }
            Self::AppendReply {
                result: AppendResult::Conflict { refused, hint, hint_term },
                ..
            } => is_position(*hint, *hint_term) && hint <= refused,
            Self::InstallSnapshot { snapshot, .. } => {
                let SnapshotId { index, term: of, .. } = *snapshot;
                index > Index::ZERO && index.0 < u64::MAX && of > 0 && of <= term.0
            }
            Self::PreVoteReply { .. }
            | Self::VoteReply { .. }
            | Self::AppendReply { result: AppendResult::Matched(_), .. }
            | Self::Heartbeat { .. }
            | Self::HeartbeatReply { .. }
            | Self::ReadIndex { .. }
            | Self::ReadIndexReply { .. }
            | Self::Rest { .. }
            | Self::RestReply { .. }
            | Self::SnapshotReply { .. } => true,
        }
    }

    /// Tells whether the message speaks of a term that nobody is in yet: whoever hears it keeps its
    /// own.
    pub(super) fn is_tentative(&self) -> bool {
        matches!(self, Self::PreVote { .. } | Self::PreVoteReply { granted: true, .. })
    }

    /// Tells whether the message answers one of its receiver's.
    pub(super) fn is_reply(&self) -> bool {
        match self {
            Self::PreVoteReply { .. }
            | Self::VoteReply { .. }
            | Self::AppendReply { .. }
            | Self::HeartbeatReply { .. }
            | Self::ReadIndexReply { .. }
            | Self::RestReply { .. }
            | Self::SnapshotReply { .. } => true,
            Self::PreVote { .. }
            | Self::Vote { .. }
            | Self::Append { .. }
            | Self::InstallSnapshot { .. }
            | Self::Heartbeat { .. }
            | Self::TimeoutNow { .. }
            | Self::ReadIndex { .. }
            | Self::Rest { .. } => false,
        }
    }

    /// Returns the sender's term, or that which a pre-vote is about.
    pub fn term(&self) -> Term {
        match self {
            Self::PreVote { term, .. }
            | Self::PreVoteReply { term, .. }
            | Self::Vote { term, .. }
            | Self::VoteReply { term, .. }
            | Self::Append { term, .. }
            | Self::AppendReply { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::HeartbeatReply { term, .. }
            | Self::ReadIndex { term, .. }
            | Self::ReadIndexReply { term, .. }
            | Self::TimeoutNow { term, .. }
            | Self::Rest { term, .. }
            | Self::RestReply { term, .. }
            | Self::InstallSnapshot { term, .. }
            | Self::SnapshotReply { term, .. } => *term,
        }
    }
}

impl Encode for Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.term.0);
        match &self.payload {
            Payload::NoOp => out.push(0),
            Payload::Command(command) => {
                out.push(1);
                put_bytes(out, command);
            }
            Payload::Membership(membership) => {
                out.push(2);
                membership.encode(out);
            }
            Payload::Stripped => out.push(3),
        }
    }
}

impl Decode for Entry {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let term = Term(take_u64(input)?);
        let payload = match take_u8(input)? {
            0 => Payload::NoOp,
            1 => Payload::Command(take_bytes(input)?),
            2 => Payload::Membership(Membership::decode(input)?),
            3 => Payload::Stripped,
            tag => return Err(DecodeError::UnknownTag { what: "entry", tag }),
        };
        Ok(Self { term, payload })
    }
}

/// Returns about how many bytes [`put_entries`] appends.
pub(super) fn entries_bytes(entries: &[Entry]) -> usize {
    const ENTRY_BYTES: usize = 13;
    4 + entries.iter().map(|entry| ENTRY_BYTES + entry.payload.size()).sum::<usize>()
}

/// Appends how many entries there are, then each.
pub(super) fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    put_u32(out, entries.len() as u32);
    entries.iter().for_each(|entry| entry.encode(out));
}

/// Reads what [`put_entries`] wrote.
pub(super) fn take_entries(input: &mut Bytes) -> Result<Vec<Entry>, DecodeError> {
    // An entry takes nine bytes at least: a count that the input cannot hold allocates nothing.
    const ENTRY_BYTES_MIN: usize = 9;
    let count = take_u32(input)? as usize;
    if count > input.len() / ENTRY_BYTES_MIN {
        return Err(DecodeError::Truncated);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(Entry::decode(input)?);
    }
    Ok(entries)
}
