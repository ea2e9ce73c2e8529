//! What openraft is told of our types.

use openraft::{
    OptionalSend, RaftTypeConfig,
    impls::{BoxedErrorSource, InlineBatch, OneshotResponder, TokioRuntime, leader_id_std},
    vote::RaftLeaderId,
};

use crate::put::Put;

/// Raft as in the paper, with answers by a channel that is used once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Types;

pub(super) type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(super) type CommittedLeaderId = <LeaderId as RaftLeaderId>::Committed;
pub(super) type Vote = openraft::Vote<LeaderId>;
pub(super) type LogId = openraft::LogId<CommittedLeaderId>;
pub(super) type Payload = openraft::EntryPayload<Put, u64, ()>;
pub(super) type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub(super) type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, ()>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, u64, ()>;
pub(super) type Snapshot = openraft::Snapshot<CommittedLeaderId, u64, (), ()>;

impl RaftTypeConfig for Types {
    type D = Put;
    type R = ();
    type NodeId = u64;
    type Node = ();
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}
