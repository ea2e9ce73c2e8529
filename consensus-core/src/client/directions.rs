//! Which replica gets a call.

use super::call::Call;
use crate::members::NodeId;

/// The replicas that a client can send to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Directions {
    /// Who leads, and takes whatever there is to ask.
    pub(super) leader: Option<NodeId>,
    /// The replica beside the client, which takes queries.
    pub(super) home: Option<NodeId>,
    /// A replica that is reached while no leader is, and takes queries meanwhile.
    pub(super) reached: Option<NodeId>,
}

impl Directions {
    /// Returns where a call goes; nowhere for now, if nobody is there to take it.
    pub(super) fn of<W>(&self, call: &Call<W>) -> Option<NodeId> {
        let reads = |_: &NodeId| call.is_query() && !call.shuns_others;
        let follower = || self.reached.filter(reads);
        self.home.filter(reads).or(self.leader).or_else(follower)
    }

    /// Tells whether anybody is there at all.
    pub(super) fn lead_anywhere(&self) -> bool {
        self.leader.or(self.home).or(self.reached).is_some()
    }

    /// Tells whether a call goes to the replica beside the client: it is answered there, or refused.
    pub(super) fn lead_home<W>(&self, call: &Call<W>) -> bool {
        self.home.is_some() && self.of(call) == self.home && call.is_query()
    }
}
