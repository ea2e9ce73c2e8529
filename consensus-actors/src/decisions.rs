//! The decisions of a node: their roles as an actor, and the desk where callers wait for what comes
//! of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::Recipient;
use bytes::Bytes;
use consensus_core::{
    Address, GroupId, Input, Members, NodeId, Process, Status, Submission, SubmitError, Ticket,
    Token,
    codec::{Decode, DecodeError, Encode},
    decisions::{Control, Decides, Decisions, Name, Named},
    ensemble::Together,
    fast_paxos, paxos,
    snapshot::Order,
};
use tokio::sync::oneshot;

use crate::{
    clock::Ticked,
    journal::Records,
    role::{Decision, Hosted, Outlets, Post, RoleActor},
    seat::{Delivery, Seat, Seating},
    sync::lock,
    transport::{Arena, Inlet, Item, Kind, Links, send_all},
};

/// The protocol by which a cluster makes decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecisionProtocol {
    /// Basic Paxos: a majority decides, in two round trips.
    Paxos,
    /// Fast Paxos: about three quarters decide, in one round trip, if nobody wants another value at
    /// the same time; else a majority does, later.
    FastPaxos,
}

impl DecisionProtocol {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Paxos, Self::FastPaxos];

    /// Returns the protocol's name as it is written in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paxos => "paxos",
            Self::FastPaxos => "fast_paxos",
        }
    }

    /// Returns what frames and the journal call decisions by it: no group has that name.
    pub(crate) fn group(self) -> GroupId {
        GroupId::named(match self {
            Self::Paxos => "/decisions",
            Self::FastPaxos => "/decisions/fast_paxos",
        })
    }

    /// Returns the one that it is not.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Paxos => Self::FastPaxos,
            Self::FastPaxos => Self::Paxos,
        }
    }
}

impl FromStr for DecisionProtocol {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name).ok_or(())
    }
}

/// A protocol by which this node makes decisions: of each it has a proposer, an acceptor and a
/// learner.
pub(crate) trait Makes:
    Decides<Message: Encode + Decode + Unpin, Record: Unpin, Common: Unpin> + Unpin
{
    /// Which it is.
    const PROTOCOL: DecisionProtocol;

    /// Makes what the roles of node `id` are built from: they try again after `retry`, and rest no
    /// longer than `pause_max`.
    fn common(id: NodeId, founders: Members, retry: Duration, pause_max: Duration) -> Self::Common;
}

impl Makes for paxos::Role {
    const PROTOCOL: DecisionProtocol = DecisionProtocol::Paxos;

    fn common(
        id: NodeId,
        founders: Members,
        retry: Duration,
        pause_max: Duration,
    ) -> paxos::Config {
        let config = paxos::Config::builder(id, Self::PROTOCOL.group(), founders);
        let config = config.retry(retry).pause_max(pause_max).build();
        config.expect("a heartbeat is well below the election timeout")
    }
}

impl Makes for fast_paxos::Role {
    const PROTOCOL: DecisionProtocol = DecisionProtocol::FastPaxos;

    fn common(
        id: NodeId,
        founders: Members,
        retry: Duration,
        pause_max: Duration,
    ) -> fast_paxos::Config {
        let config = fast_paxos::Config::builder(id, Self::PROTOCOL.group(), founders);
        let config = config.retry(retry).pause_max(pause_max).build();
        config.expect("a heartbeat is well below the election timeout")
    }
}

/// What was chosen, or that nothing was when it was asked.
pub(crate) type Chosen = Result<Option<Bytes>, SubmitError>;

impl<R: Makes> Hosted for Decisions<R> {
    fn start(role: Together, post: Box<Post<Self>>, first: bool) -> Recipient<Delivery<Self>> {
        RoleActor::<Self, Together>::launch(role, post, first)
    }

    fn is_at_rest(decisions: &Self) -> bool {
        decisions.is_at_rest()
    }

    /// Each protocol writes under a name of its own.
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

/// Where what is asked of decisions goes: a seat, whatever protocol makes them.
pub(crate) trait Asked: Send + Sync {
    /// Asks.
    fn ask(&self, control: Control);

    /// Ends who is asked.
    fn close(&self);
}

impl<R: Makes> Asked for Seat<Decisions<R>> {
    fn ask(&self, control: Control) {
        self.send(vec![Input::Control(control)]);
    }

    fn close(&self) {
        self.vacate();
    }
}

/// Where callers wait.
pub(crate) struct Desk {
    seat: Arc<dyn Asked>,
    protocol: DecisionProtocol,
    tickets: AtomicU64,
    waiting: Mutex<BTreeMap<Ticket, oneshot::Sender<Chosen>>>,
    /// Peers that make decisions by another protocol, as they were heard last.
    apart: Mutex<BTreeSet<NodeId>>,
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
    /// Makes the desk of a seat.
    pub(crate) fn new<R: Makes>(seat: &Arc<Seat<Decisions<R>>>) -> Self {
        let seat = Arc::clone(seat) as Arc<dyn Asked>;
        let (tickets, waiting, apart) = (AtomicU64::new(1), Mutex::default(), Mutex::default());
        Self { seat, protocol: R::PROTOCOL, tickets, waiting, apart }
    }

    /// Ends what the node has of decisions.
    pub(crate) fn close(&self) {
        self.seat.close();
    }

    /// Tells which peers make decisions by another protocol, and what to do, if any does.
    pub(crate) fn discord(&self) -> Option<String> {
        let apart = lock(&self.apart);
        let peers: Vec<_> = apart.iter().map(|peer| format!("node {}", peer.number())).collect();
        let (own, other) = (self.protocol.name(), self.protocol.other().name());
        (!peers.is_empty()).then(|| {
            format!(
                "decisions are made by {own} here, and by {other} at {}; give all nodes the same \
                 `decisions.protocol`",
                peers.join(", ")
            )
        })
    }

    /// Notes by which protocol a peer makes decisions: this node's, or another.
    fn heard(&self, peer: NodeId, alike: bool) {
        let mut apart = lock(&self.apart);
        if alike {
            apart.remove(&peer);
            return;
        }
        let is_new = apart.insert(peer);
        drop(apart);
        if is_new && let Some(discord) = self.discord() {
            tracing::warn!(%peer, "{discord}");
        }
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
        self.seat.ask(control(ticket));
        Waiter { desk: Arc::clone(self), ticket, answer }
    }

    fn answer(&self, ticket: Ticket, chosen: Chosen) {
        if let Some(waiting) = lock(&self.waiting).remove(&ticket) {
            waiting.send(chosen).ok();
        }
    }
}

/// How frames and ticks reach the decisions of this node.
pub(crate) struct DecisionInlet<R: Makes> {
    pub(crate) seat: Arc<Seat<Decisions<R>>>,
    pub(crate) desk: Arc<Desk>,
}

impl<R: Makes> Inlet for DecisionInlet<R> {
    fn deliver(&self, from: NodeId, items: Vec<Item>) -> Result<(), DecodeError> {
        let input = |item: Item| match item.kind {
            Kind::Message => Ok(Input::Receive { from, message: Named::decode_all(item.bytes)? }),
            Kind::Request | Kind::Response | Kind::Whereabouts => {
                Err(DecodeError::Invalid("item of a peer"))
            }
        };
        // A notice is for who makes decisions otherwise, as this node did before it started.
        let items = items.into_iter().filter(|item| !item.bytes.is_empty());
        let inputs = items.map(input).collect::<Result<Vec<_>, _>>()?;
        self.desk.heard(from, true);
        self.seat.send(inputs);
        Ok(())
    }

    fn reach(&self, _: NodeId, _: bool) {}
}

impl<R: Makes> Ticked for DecisionInlet<R> {
    fn tick(&self) {
        if !self.seat.is_at_rest() {
            self.seat.send(vec![Input::Tick]);
        }
    }
}

/// Where peers speak of decisions by the protocol that is not this node's: what they say is dropped,
/// and they are told so.
pub(crate) struct OtherInlet {
    pub(crate) desk: Arc<Desk>,
    pub(crate) links: Links,
}

impl Inlet for OtherInlet {
    fn deliver(&self, from: NodeId, items: Vec<Item>) -> Result<(), DecodeError> {
        self.desk.heard(from, false);
        // Who gives notice has noticed.
        if items.iter().any(|item| !item.bytes.is_empty()) {
            let group = self.desk.protocol.group();
            let notice = Item { group, kind: Kind::Message, bytes: Bytes::new() };
            self.links.send(from, vec![notice]);
        }
        Ok(())
    }

    fn reach(&self, _: NodeId, _: bool) {}
}

/// Where the effects of decisions go.
pub(crate) struct DecisionOutlets {
    pub(crate) records: Records,
    pub(crate) links: Links,
    pub(crate) desk: Arc<Desk>,
    pub(crate) arena: Arena,
}

impl<R: Makes> Outlets<Decisions<R>> for DecisionOutlets {
    fn persist(
        &mut self,
        records: Vec<(Token, <Decisions<R> as Process>::Record)>,
        awaited: bool,
    ) -> Option<Token> {
        self.records.append(R::PROTOCOL.group(), records, awaited)
    }

    fn send(&mut self, messages: Vec<(Address, <Decisions<R> as Process>::Message)>) {
        send_all(&self.links, &mut self.arena, R::PROTOCOL.group(), messages);
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
        self.records.compact(R::PROTOCOL.group(), before);
    }

    fn publish(&mut self, _: Status) {}
}
