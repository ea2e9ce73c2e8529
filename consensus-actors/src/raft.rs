//! Raft's roles as actors.

use actix::Recipient;
use consensus_core::{
    Input, NodeId, Read, Ticket,
    client::Admin,
    ensemble::Entry,
    raft::{self, Control, Raft, Role},
    snapshot::Cut,
};

use crate::{
    role::{Hosted, Post, RoleActor, Serving},
    seat::Delivery,
};

/// The actor of a replica that neither leads nor campaigns.
pub(crate) type Follower = RoleActor<Raft, raft::Follower>;

/// The actor of a replica that asks whether it would be elected.
pub(crate) type PreCandidate = RoleActor<Raft, raft::PreCandidate>;

/// The actor of a replica that campaigns.
pub(crate) type Candidate = RoleActor<Raft, raft::Candidate>;

/// The actor of the replica that leads.
pub(crate) type Leader = RoleActor<Raft, raft::Leader>;

impl Hosted for Raft {
    fn start(role: Role, post: Box<Post<Self>>, first: bool) -> Recipient<Delivery<Self>> {
        match role {
            Role::Follower(role) => Follower::launch(role, post, first),
            Role::PreCandidate(role) => PreCandidate::launch(role, post, first),
            Role::Candidate(role) => Candidate::launch(role, post, first),
            Role::Leader(role) => Leader::launch(role, post, first),
        }
    }

    fn is_at_rest(state: &raft::State) -> bool {
        state.is_at_rest()
    }

    fn wrote(record: &[u8]) -> bool {
        !Entry::<raft::Record>::is_encoded_in(record)
    }

    fn storage_full(full: bool) -> Option<Input<Self>> {
        Some(Input::Control(Control::StorageFull(full)))
    }

    fn make_room() -> Input<Self> {
        Input::Control(Control::MakeRoom)
    }
}

impl Serving for Raft {
    fn read(reads: Vec<Read>) -> Input<Self> {
        Input::Control(Control::Read(reads))
    }

    fn reach(peer: NodeId, present: bool) -> Option<Input<Self>> {
        let control = if present { Control::Alive(peer) } else { Control::Silent(peer) };
        Some(Input::Control(control))
    }

    fn behind(behind: bool) -> Input<Self> {
        Input::Control(Control::Behind(behind))
    }

    fn admin(ticket: Ticket, admin: Admin) -> Input<Self> {
        Input::Control(Control::of(ticket, admin))
    }

    fn snapshot(&self) -> Option<Cut> {
        // A witness has no state.
        self.state().snapshot().filter(|_| !self.state().is_witness()).cloned()
    }

    fn take_snapshot() -> Input<Self> {
        Input::Control(Control::TakeSnapshot)
    }

    fn resign(ticket: Ticket) -> Input<Self> {
        Input::Control(Control::Resign { ticket })
    }
}
