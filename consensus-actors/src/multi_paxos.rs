//! Multi-Paxos's roles as actors: those of a node together in one.

use actix::Recipient;
use consensus_core::{
    Input, NodeId, Read, Ticket,
    client::Admin,
    ensemble::{Ensemble, Entry, Together},
    multi_paxos::{Control, LEARNER, Record, Role},
    snapshot::Cut,
};

use crate::{
    role::{Hosted, Post, RoleActor, Serving},
    seat::Delivery,
};

/// What a node has of a group: proposer, acceptor and learner.
pub(crate) type MultiPaxos = Ensemble<Role>;

/// The actor of all three: what they say to each other takes no way through a mailbox.
pub(crate) type Roles = RoleActor<MultiPaxos, Together>;

impl Hosted for MultiPaxos {
    fn start(role: Together, post: Box<Post<Self>>, first: bool) -> Recipient<Delivery<Self>> {
        Roles::launch(role, post, first)
    }

    fn is_at_rest(_: &Self) -> bool {
        false
    }

    fn wrote(record: &[u8]) -> bool {
        Entry::<Record>::is_encoded_in(record)
    }

    fn storage_full(full: bool) -> Option<Input<Self>> {
        Some(Input::Control(Control::StorageFull(full)))
    }

    fn make_room() -> Input<Self> {
        Input::Control(Control::MakeRoom)
    }
}

impl Serving for MultiPaxos {
    fn read(reads: Vec<Read>) -> Input<Self> {
        Input::Control(Control::Read(reads))
    }

    fn reach(_: NodeId, _: bool) -> Option<Input<Self>> {
        None
    }

    fn behind(behind: bool) -> Input<Self> {
        Input::Control(Control::Behind(behind))
    }

    fn admin(ticket: Ticket, admin: Admin) -> Input<Self> {
        Input::Control(Control::Admin(ticket, admin))
    }

    fn snapshot(&self) -> Option<Cut> {
        match self.role(LEARNER) {
            Some(Role::Learner(learner)) => learner.snapshot(),
            Some(_) | None => None,
        }
    }

    fn take_snapshot() -> Input<Self> {
        Input::Control(Control::TakeSnapshot)
    }

    fn resign(ticket: Ticket) -> Input<Self> {
        Input::Control(Control::Resign(ticket))
    }
}
