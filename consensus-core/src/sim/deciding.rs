//! What the simulator asks of a protocol that decides one value, by roles that stand side by side.

use std::{fmt, time::Duration};

use super::protocol::Broken;
use crate::{
    codec::{Decode, Encode},
    members::{Members, NodeId},
    process::{Effect, GroupId, Input, Process, Seat, Ticket, Token},
};

/// A protocol whose roles are processes of their own, one of each kind on every node. The process
/// is any of them, and its seat says which.
pub trait Deciding: Process<Message: Encode + Decode, Record: Encode + Decode> {
    /// What judges all of them.
    type Judge: DecisionJudge<Self> + fmt::Debug;

    /// The seats of a node.
    const SEATS: &'static [Seat];

    /// The seat that callers ask.
    const ASKED: Seat;

    /// Makes the configuration of a role.
    fn config(seating: &Seating, seat: Seat) -> Self::Config;

    /// Makes the input that asks what is decided.
    fn read(ticket: Ticket) -> Input<Self>;

    /// Tells how far a role is, and by its leadership clock when.
    fn standing(&self) -> (&'static str, u64);

    /// Tells what a message says, for people.
    fn describe_message(message: &Self::Message) -> String;

    /// Tells what a record says, for people.
    fn describe_record(record: &Self::Record) -> String;
}

/// What judges the roles of a group after every step: the protocol's invariants.
pub trait DecisionJudge<P: Deciding>: Default {
    /// Looks at a role that was rebuilt from its disk.
    ///
    /// # Errors
    /// What does not hold.
    fn recovered(&mut self, process: &P) -> Result<(), Broken>;

    /// Notes what a role is about to be asked.
    fn asked(&mut self, node: NodeId, input: &Input<P>);

    /// Looks at a role after a step that asked for `effects`.
    ///
    /// # Errors
    /// What does not hold.
    fn stepped(&mut self, process: &P, effects: &[Effect<P>]) -> Result<(), Broken>;

    /// Notes that a role's records up to `upto` are durable.
    ///
    /// # Errors
    /// What does not hold.
    fn durable(&mut self, node: NodeId, seat: Seat, upto: Token) -> Result<(), Broken>;

    /// Looks at a message at the moment it leaves.
    ///
    /// # Errors
    /// What does not hold.
    fn sent(&mut self, from: NodeId, message: &P::Message) -> Result<(), Broken>;
}

/// What the roles of a node of a simulated group are made of.
#[derive(Clone, Debug)]
pub struct Seating {
    /// The node.
    pub id: NodeId,
    /// The group.
    pub group: GroupId,
    /// All nodes of the group.
    pub members: Members,
    /// How many make the first phase, and the second.
    pub quorums: (usize, usize),
    /// After how long without an answer something is sent again.
    pub retry: Duration,
    /// The longest pause before another attempt.
    pub pause_max: Duration,
    /// What pauses are drawn from.
    pub seed: u64,
    /// The bug that is put back.
    #[cfg(feature = "mutants")]
    pub bug: Option<crate::mutants::Bug>,
}
