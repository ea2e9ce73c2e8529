//! What a message promises must survive a crash of its sender.

use std::collections::BTreeMap;

use consensus_core::{
    Index, NodeId,
    raft::{AppendResult, Message, Term},
};

use crate::disk::View;

/// Who got whose vote, as peers were told.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    votes: BTreeMap<(NodeId, Term), NodeId>,
}

impl Promises {
    /// Judges a message at the moment it leaves, by what the sender's disk holds then.
    pub(crate) fn check(&mut self, from: NodeId, to: NodeId, message: &Message, view: &View) {
        let term = message.term();
        if matches!(message, Message::PreVote { .. } | Message::PreVoteReply { .. }) {
            // They promise nothing.
            return;
        }
        assert!(view.term >= term, "{from} speaks in a term that is not durable");
        let vote = match message {
            Message::Vote { last_index, last_term, .. } => {
                let last = view.log.get((last_index.0 as usize).wrapping_sub(1));
                assert!(
                    *last_index == Index::ZERO || last == Some(last_term),
                    "{from} boasts of entries that are not durable"
                );
                Some(from)
            }
            Message::VoteReply { granted: true, .. } => Some(to),
            Message::AppendReply { result: AppendResult::Matched(index), .. } => {
                assert!(
                    view.log.len() as u64 >= index.0,
                    "{from} acknowledges entries that are not durable"
                );
                None
            }
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::VoteReply { granted: false, .. }
            | Message::Append { .. }
            | Message::AppendReply { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow { .. }
            | Message::Rest { .. }
            | Message::RestReply { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => None,
        };
        let Some(candidate) = vote else { return };
        assert!(
            view.term > term || view.voted_for == Some(candidate),
            "{from} votes for {candidate} and its disk does not know"
        );
        let first = *self.votes.entry((from, term)).or_insert(candidate);
        assert_eq!(first, candidate, "{from} votes once in term {}", term.0);
    }
}
