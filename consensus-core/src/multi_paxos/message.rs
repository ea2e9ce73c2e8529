//! What proposers, acceptors and learners say to each other, on other nodes and on their own.

use std::time::Duration;

use bytes::Bytes;

use super::{ACCEPTOR, LEARNER, PROPOSER, ballot::Ballot, values::Values};
use crate::{
    log::Index,
    members::NodeId,
    membership::Membership,
    process::{Seat, Ticket},
    snapshot::SnapshotId,
};

/// What a slot may hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Nothing: it fills a gap that an earlier leader left, and begins a tenure.
    NoOp,
    /// A client's command, opaque to the protocol.
    Command(Bytes),
    /// Who takes part from the slot behind this one on, until the next such value.
    Membership(Membership),
}

impl Value {
    /// About how many bytes a value takes in a message besides its command.
    pub(super) const BESIDES_COMMAND: usize = 5;

    /// Returns who takes part, if it says so.
    pub(super) fn membership(&self) -> Option<&Membership> {
        match self {
            Self::Membership(membership) => Some(membership),
            Self::NoOp | Self::Command(_) => None,
        }
    }

    /// Returns about how many bytes it holds.
    pub fn size(&self) -> usize {
        match self {
            Self::NoOp => 0,
            Self::Command(command) => command.len(),
            // About so much: they are few.
            Self::Membership(membership) => 24 * membership.members().count(),
        }
    }
}

/// What an acceptor has accepted last in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The slot.
    pub slot: Index,
    /// The ballot.
    pub ballot: Ballot,
    /// The value.
    pub value: Value,
}

/// Beyond it slots are nonsense: nobody counts that far, and below it the next one always exists.
const SLOT_MAX: Index = Index(u64::MAX >> 1);

/// A message between roles. Each kind has one role that it is for: [`Message::seat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    // To acceptors.
    /// Asks whether the receiver would promise this ballot, before anything is made durable for it:
    /// who cannot win disturbs nobody.
    Canvass {
        /// The ballot that the sender would begin next.
        ballot: Ballot,
    },
    /// Asks to take part in no ballot before this one, in any slot, and what was accepted from slot
    /// `first` on (phase 1a).
    Prepare {
        /// The sender's ballot.
        ballot: Ballot,
        /// The first slot that the sender does not know to be chosen, or that it asks for next.
        first: Index,
        /// The leader of this ballot told the sender to take over, so that loyalty to it is no
        /// reason to refuse. Loyalty to a later one is.
        transfer: Option<Ballot>,
    },
    /// Asks to accept values for the slots from `first` on (phase 2a).
    Accept {
        /// The sender's ballot.
        ballot: Ballot,
        /// The slot of the first value.
        first: Index,
        /// The values.
        values: Values,
        /// Under this ballot all slots up to here are chosen.
        chosen: Index,
    },
    /// The leader of a ballot is there.
    Heartbeat {
        /// Its ballot.
        ballot: Ballot,
        /// The round that answers name.
        round: u64,
        /// Under this ballot all slots up to here are chosen.
        chosen: Index,
    },
    /// The learner of the node starts and asks for what its acceptor has from `first` on.
    Recall {
        /// The first slot that it does not know.
        first: Index,
    },
    /// The learner of the node knows everything up to `upto`.
    Abreast {
        /// The last slot that it knows.
        upto: Index,
    },
    /// The learner of the node has everything up to `upto` in a durable snapshot.
    Forget {
        /// The last slot that need not be kept.
        upto: Index,
    },

    // To proposers.
    /// Answers [`Message::Canvass`]: the sender would promise.
    Support {
        /// The ballot that it answers.
        ballot: Ballot,
        /// Up to where the sender's node knows slots to be chosen.
        chosen: Index,
    },
    /// Answers [`Message::Prepare`]: the sender keeps out of earlier ballots (phase 1b).
    ///
    /// It speaks of the slots from `first` to `upto`. A slot in that range without a vote is one in
    /// which nothing was accepted; where slots were let go, it says so by `base`.
    Promise {
        /// The ballot that it answers.
        ballot: Ballot,
        /// As in the Prepare.
        first: Index,
        /// What was accepted in these slots, by ascending slot.
        votes: Vec<Vote>,
        /// The last slot that this speaks of.
        upto: Index,
        /// The last slot in which the sender has accepted anything; beyond `upto` if not all fit.
        last: Index,
        /// Slots up to here were chosen and let go: nothing is said of them.
        base: Index,
    },
    /// Refuses to take part in a ballot, since a later one was promised.
    Nack {
        /// The ballot that is refused.
        ballot: Ballot,
        /// The later one.
        promised: Ballot,
    },
    /// The sender has accepted the values of `first` to `last` in this ballot, durably (phase 2b).
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The first slot.
        first: Index,
        /// The last slot.
        last: Index,
    },
    /// Answers [`Message::Heartbeat`]: the sender has promised no later ballot.
    HeartbeatReply {
        /// The ballot that it answers.
        ballot: Ballot,
        /// The round that it answers.
        round: u64,
        /// For how long the sender takes part in no other ballot, from when it heard; `None` if it
        /// keeps no leases.
        promise: Option<Duration>,
        /// Up to where the sender's node knows what is chosen.
        known: Index,
        /// Up to where it has that in a durable snapshot.
        base: Index,
    },
    /// The node's acceptor has heard of the leader of this ballot.
    Heard {
        /// The ballot.
        ballot: Ballot,
    },
    /// The node's acceptor has promised this ballot: whoever began it is given time to lead.
    Promised {
        /// The ballot.
        ballot: Ballot,
    },
    /// The node's learner knows all slots up to `chosen`, and those up to `base` are in a durable
    /// snapshot.
    Known {
        /// The last slot of the prefix that it knows.
        chosen: Index,
        /// The last slot that its snapshot covers.
        base: Index,
        /// The slot of the configuration that holds behind `chosen`.
        era: Index,
        /// That configuration.
        membership: Membership,
    },
    /// A proposer that does not lead asks how far its reads must see.
    ReadIndex {
        /// What the answer names.
        id: u64,
        /// Whether the answer may rest on a lease.
        lease: bool,
    },
    /// Answers [`Message::ReadIndex`].
    ReadIndexReply {
        /// The request.
        id: u64,
        /// What the reads must see.
        index: Index,
    },
    /// The leader tells this proposer to campaign at once.
    TakeOver {
        /// The leader's ballot.
        ballot: Ballot,
    },

    // To learners.
    /// The node's acceptor has been asked to accept these values, and does: whether they are chosen
    /// is another matter.
    Voted {
        /// The ballot.
        ballot: Ballot,
        /// The slot of the first value.
        first: Index,
        /// The values.
        values: Values,
        /// Under this ballot all slots up to here are chosen.
        chosen: Index,
    },
    /// Under this ballot all slots up to here are chosen.
    Chosen {
        /// The ballot: of what was accepted in another it says nothing (MPX-P01).
        ballot: Ballot,
        /// The last slot.
        upto: Index,
    },
    /// The node's proposer leads, and under its ballot all slots up to `upto` are chosen.
    Settled {
        /// Its ballot.
        ballot: Ballot,
        /// The last slot.
        upto: Index,
        /// The submissions that slots answer, by ascending slot.
        tickets: Vec<(Index, Ticket)>,
    },
    /// A learner asks another what is chosen from `first` on.
    Learn {
        /// The first slot that it does not know.
        first: Index,
        /// Whether it has lost its state to its disk: it needs a snapshot, whatever values there
        /// are.
        state: bool,
    },
    /// Answers [`Message::Learn`]: these are chosen.
    Learned {
        /// The slot of the first value.
        first: Index,
        /// The values.
        values: Values,
        /// Up to where the sender knows slots to be chosen.
        chosen: Index,
    },
    /// Answers [`Message::Learn`] where that slot was let go: a snapshot covers it.
    Offer {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Asks for a part of a snapshot.
    Fetch {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: u32,
    },
    /// Answers [`Message::Fetch`].
    Part {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The part.
        part: u32,
        /// Its bytes; `None` where the sender has it no more.
        bytes: Option<Bytes>,
    },
}

impl Message {
    /// Returns the seat of the role that the message is for.
    pub fn seat(&self) -> Seat {
        match self {
            Self::Canvass { .. }
            | Self::Prepare { .. }
            | Self::Accept { .. }
            | Self::Heartbeat { .. }
            | Self::Recall { .. }
            | Self::Abreast { .. }
            | Self::Forget { .. } => ACCEPTOR,
            Self::Support { .. }
            | Self::Promise { .. }
            | Self::Nack { .. }
            | Self::Accepted { .. }
            | Self::HeartbeatReply { .. }
            | Self::Heard { .. }
            | Self::Promised { .. }
            | Self::Known { .. }
            | Self::ReadIndex { .. }
            | Self::ReadIndexReply { .. }
            | Self::TakeOver { .. } => PROPOSER,
            Self::Voted { .. }
            | Self::Chosen { .. }
            | Self::Settled { .. }
            | Self::Learn { .. }
            | Self::Learned { .. }
            | Self::Offer { .. }
            | Self::Fetch { .. }
            | Self::Part { .. } => LEARNER,
        }
    }

    /// Tells whether roles of one node alone say this to each other.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Recall { .. }
            | Self::Abreast { .. }
            | Self::Forget { .. }
            | Self::Heard { .. }
            | Self::Promised { .. }
            | Self::Known { .. }
            | Self::Voted { .. }
            | Self::Chosen { .. }
            | Self::Settled { .. } => true,
            Self::Canvass { .. }
            | Self::Prepare { .. }
            | Self::Accept { .. }
            | Self::Heartbeat { .. }
            | Self::Support { .. }
            | Self::Promise { .. }
            | Self::Nack { .. }
            | Self::Accepted { .. }
            | Self::HeartbeatReply { .. }
            | Self::ReadIndex { .. }
            | Self::ReadIndexReply { .. }
            | Self::TakeOver { .. }
            | Self::Learn { .. }
            | Self::Learned { .. }
            | Self::Offer { .. }
            | Self::Fetch { .. }
            | Self::Part { .. } => false,
        }
    }

    /// Tells whether `from` could have sent this to `to` if it follows the protocol; what it says
    /// may still be untrue.
    pub(super) fn is_plausible(&self, from: NodeId, to: NodeId) -> bool {
        let sound = |value: &Value| value.membership().is_none_or(|it| !it.voters().is_empty());
        let fits = |first: &Index, values: &Values| {
            let inside = first.0.saturating_add(values.len() as u64) <= SLOT_MAX.0;
            *first > Index::ZERO && inside && values.iter().all(sound)
        };
        let own = |ballot: &Ballot| ballot.is_plausible() && ballot.node == from;
        if self.is_local() && from != to {
            return false;
        }
        match self {
            // Nobody speaks for the proposer of another node.
            Self::Canvass { ballot }
            | Self::Heartbeat { ballot, .. }
            | Self::TakeOver { ballot } => own(ballot),
            Self::Prepare { ballot, first, transfer } => {
                let over = transfer.is_none_or(|told| told.is_plausible() && told < *ballot);
                own(ballot) && *first > ballot.era && over
            }
            // What stands behind a configuration is proposed in its era.
            Self::Accept { ballot, first, values, .. } => {
                own(ballot) && fits(first, values) && *first > ballot.era
            }
            Self::Promise { ballot, first, votes, upto, last, base } => {
                let inside = |vote: &Vote| vote.slot >= *first && vote.slot <= *upto;
                let earlier = |vote: &Vote| vote.ballot.is_plausible() && vote.ballot < *ballot;
                ballot.is_plausible()
                    && *first > Index::ZERO
                    && [*upto, *last, *base].iter().all(|slot| *slot <= SLOT_MAX)
                    && votes.iter().all(|vote| inside(vote) && earlier(vote) && sound(&vote.value))
                    && votes.is_sorted_by(|a, b| a.slot < b.slot)
            }
            Self::Support { ballot, .. }
            | Self::HeartbeatReply { ballot, .. }
            | Self::Heard { ballot }
            | Self::Promised { ballot } => ballot.is_plausible(),
            Self::Nack { ballot, promised } => {
                ballot.is_plausible() && promised.is_plausible() && ballot < promised
            }
            Self::Accepted { ballot, first, last } => {
                ballot.is_plausible() && *first > Index::ZERO && first <= last && *last <= SLOT_MAX
            }
            Self::Learn { first, .. } => *first > Index::ZERO,
            Self::Learned { first, values, .. } => fits(first, values),
            Self::Recall { .. }
            | Self::Abreast { .. }
            | Self::Forget { .. }
            | Self::Known { .. }
            | Self::Voted { .. }
            | Self::Chosen { .. }
            | Self::Settled { .. }
            | Self::ReadIndex { .. }
            | Self::ReadIndexReply { .. }
            | Self::Offer { .. }
            | Self::Fetch { .. }
            | Self::Part { .. } => true,
        }
    }
}
