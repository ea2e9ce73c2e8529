//! Where a node has the roles of a group.

use std::str::FromStr;

use consensus_core::{
    Seat,
    multi_paxos::{ACCEPTOR, LEARNER, PROPOSER},
};

/// Where a node has the roles of a group that stand side by side: Multi-Paxos's proposer, acceptor
/// and learner.
///
/// Whatever it is, they say the same to each other and write the same; it may change from one start
/// to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// One actor has all three: what they say to each other takes no way through a mailbox.
    #[default]
    Together,
    /// Each has an actor of its own, all on the node's thread.
    Apart,
    /// The acceptor has a thread of its own.
    Acceptor,
    /// The learner has a thread of its own.
    Learner,
    /// The acceptor and the learner have a thread each.
    Threads,
}

/// Roles that share an actor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Their seats.
    pub(crate) seats: &'static [Seat],
    /// Whether the actor has a thread of its own.
    pub(crate) own_thread: bool,
}

const fn on_node(seats: &'static [Seat]) -> Part {
    Part { seats, own_thread: false }
}

const fn on_thread(seats: &'static [Seat]) -> Part {
    Part { seats, own_thread: true }
}

impl Placement {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Together, Self::Apart, Self::Acceptor, Self::Learner, Self::Threads];

    /// Returns the placement's name as it is written in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::Apart => "apart",
            Self::Acceptor => "acceptor",
            Self::Learner => "learner",
            Self::Threads => "threads",
        }
    }

    /// Returns the actors that there are, the proposer's first; none where one has all.
    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Self::Together => &[],
            Self::Apart => {
                const { &[on_node(&[PROPOSER]), on_node(&[ACCEPTOR]), on_node(&[LEARNER])] }
            }
            Self::Acceptor => const { &[on_node(&[PROPOSER, LEARNER]), on_thread(&[ACCEPTOR])] },
            Self::Learner => const { &[on_node(&[PROPOSER, ACCEPTOR]), on_thread(&[LEARNER])] },
            Self::Threads => {
                const { &[on_node(&[PROPOSER]), on_thread(&[ACCEPTOR]), on_thread(&[LEARNER])] }
            }
        }
    }
}

impl FromStr for Placement {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|placement| placement.name() == name).ok_or(())
    }
}
