//! The decisions of a node: their roles as an actor, and the desk where callers wait for what comes
//! of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::Recipient;
use bytes::Bytes;
use consensus_core::{
    Address, GroupId, Input, NodeId, Status, Submission, SubmitError, Ticket, Token,
    codec::{Decode, DecodeError},
    decisions::{Control, Decisions, Name, Named},
    ensemble::Together,
    paxos::Role,
    snapshot::Order,
};
use tokio::sync::oneshot;

use crate::{
    clock::Ticked,
    journal::{Durability, Records},
    role::{Decision, Hosted, Outlets, Post, RoleActor},
    seat::{Delivery, Seat, Seating},
    sync::lock,
    transport::{Inlet, Item, Kind, Links, send_all},
};

/// What a node has of all decisions by Basic Paxos: of each a proposer, an acceptor and a learner.
pub(crate) type Paxos = Decisions<Role>;

/// What was chosen, or that nothing was when it was asked.
pub(crate) type Chosen = Result<Option<Bytes>, SubmitError>;

/// Returns what frames and the journal call the decisions of a node: no group has that name.
pub(crate) fn group() -> GroupId {
    GroupId::named("/decisions")
}

impl Hosted for Paxos {
    fn start(role: Together, post: Box<Post<Self>>, first: bool) -> Recipient<Delivery<Self>> {
        RoleActor::<Self, Together>::launch(role, post, first)
    }

    fn is_at_rest(decisions: &Self) -> bool {
        decisions.is_at_rest()
    }

    /// No other protocol writes under their name.
    fn wrote(_: &[u8]) -> bool {
        true
    }

    /// What waits for a full disk goes on when there is room.
    fn storage_full(_: bool) -> Option<Input<Self>> {
        None
    }

    fn make_room() -> Input<Self> {
        Input::Control(Control::MakeRoom)
    }
}

/// Where callers wait.
pub(crate) struct Desk {
    seat: Arc<Seat<Paxos>>,
    tickets: AtomicU64,
    waiting: Mutex<BTreeMap<Ticket, oneshot::Sender<Chosen>>>,
}

/// A caller that waits; it gives up when this is dropped.
pub(crate) struct Waiter {
    desk: Arc<Desk>,
    ticket: Ticket,
    pub(crate) answer: oneshot::Receiver<Chosen>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        lock(&self.desk.waiting).remove(&self.ticket);
    }
}

impl Desk {
    /// Makes the desk of a seat that nobody holds yet.
    pub(crate) fn new() -> Self {
        let seat = Arc::new(Seat::vacant());
        Self { seat, tickets: AtomicU64::new(1), waiting: Mutex::default() }
    }

    /// Returns the seat.
    pub(crate) fn seat(&self) -> &Arc<Seat<Paxos>> {
        &self.seat
    }

    /// Has something chosen: this value, unless there is another.
    pub(crate) fn decide(self: &Arc<Self>, name: Name, command: Bytes) -> Waiter {
        self.ask(|ticket| Control::Decide(Named { name, what: Submission { ticket, command } }))
    }

    /// Asks what is chosen, if anything is.
    pub(crate) fn read(self: &Arc<Self>, name: Name) -> Waiter {
        self.ask(|what| Control::Read(Named { name, what }))
    }

    fn ask(self: &Arc<Self>, control: impl FnOnce(Ticket) -> Control) -> Waiter {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(ticket, sender);
        self.seat.send(vec![Input::Control(control(ticket))]);
        Waiter { desk: Arc::clone(self), ticket, answer }
    }

    fn answer(&self, ticket: Ticket, chosen: Chosen) {
        if let Some(waiting) = lock(&self.waiting).remove(&ticket) {
            waiting.send(chosen).ok();
        }
    }
}

impl Inlet for Desk {
    fn deliver(&self, from: NodeId, items: Vec<Item>) -> Result<(), DecodeError> {
        let input = |item: Item| match item.kind {
            Kind::Message => Ok(Input::Receive { from, message: Named::decode_all(item.bytes)? }),
            Kind::Request | Kind::Response | Kind::Whereabouts => {
                Err(DecodeError::Invalid("item of a peer"))
            }
        };
        let inputs = items.into_iter().map(input).collect::<Result<Vec<_>, _>>()?;
        self.seat.send(inputs);
        Ok(())
    }

    fn reach(&self, _: NodeId, _: bool) {}
}

impl Ticked for Desk {
    fn tick(&self) {
        if !self.seat.is_at_rest() {
            self.seat.send(vec![Input::Tick]);
        }
    }
}

impl Durability for Desk {
    fn persisted(&self, upto: Token) {
        self.seat.send(vec![Input::Persisted { upto }]);
    }

    fn storage_full(&self, _: bool) {}

    fn make_room(&self) {
        self.seat.send(vec![Paxos::make_room()]);
    }
}

/// Where the effects of decisions go.
pub(crate) struct DecisionOutlets {
    pub(crate) records: Records,
    pub(crate) links: Links,
    pub(crate) desk: Arc<Desk>,
}

impl Outlets<Paxos> for DecisionOutlets {
    fn persist(&mut self, records: Vec<(Token, PaxosRecord)>, awaited: bool) -> Option<Token> {
        self.records.append(group(), records, awaited)
    }

    fn send(&mut self, messages: Vec<(Address, PaxosMessage)>) {
        send_all(&self.links, messages);
    }

    fn decide(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            match decision {
                Decision::Apply(decided) => {
                    for decided in decided {
                        let ticket = decided.ticket.expect("a decision is told to who asks");
                        self.desk.answer(ticket, Ok(decided.command));
                    }
                }
                Decision::Answer { ticket, error } => self.desk.answer(ticket, Err(error)),
                // They have no leader, no reads at an index and no snapshots.
                Decision::ReadReady { .. }
                | Decision::Done { .. }
                | Decision::Take(_)
                | Decision::Decline
                | Decision::Restore(_)
                | Decision::Route { .. } => {}
            }
        }
    }

    fn order(&mut self, _: Order) {}

    fn compact(&mut self, before: Token) {
        self.records.compact(group(), before);
    }

    fn publish(&mut self, _: Status) {}
}

type PaxosRecord = <Paxos as consensus_core::Process>::Record;
type PaxosMessage = <Paxos as consensus_core::Process>::Message;
