//! The replica of a group on this node, as an actor: users' calls come here, and decisions of the
//! protocol.
//!
//! It applies what is decided, answers the queries of the node's callers whichever node leads, and
//! stands for these towards the leader. What it does with each is decided by the core
//! ([`consensus_core::replica`], [`consensus_core::client`]); here are only the mailbox, the
//! tickets, and the way back to whoever asked.

mod deciding;
mod ending;
mod snapshots;

pub(crate) use ending::{Idle, Resign};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actix::{Actor, AsyncContext, Context, Handler};
use bytes::Bytes;
use consensus_core::{
    GroupId, Index, NodeId, Outcome, Read, StateMachine, Submission, SubmitError, Ticket, Time,
    WallTime,
    client::{
        Admin, Answered, Ask, Attempt, Attempted, Client, ClientEffect, Failure, Patience, Request,
        Response,
    },
    codec::Encode,
    replica::{self, Envelope, Rejection, Reply},
    table::Table,
};
use tokio::sync::oneshot;

use snapshots::Waiter;
pub(crate) use snapshots::{Keeping, TakeSnapshot};

use crate::{
    abort::AbortOnPanic,
    backlog::Backlog,
    call::{Answer, check_token},
    client::COMMAND_BYTES_MAX,
    clock::NodeClock,
    error::Error,
    inbox::{Called, Look},
    node::Board,
    transport::{Item, Kind, Links, guest::Guest},
};

mod messages;

use messages::Flush;
pub(crate) use messages::{Decisions, Inspect, Requests, Responses, Tick};

/// How many commands and reads of all nodes' callers may be at the seat. Each node's own window is
/// smaller; beyond it somebody asks again too often, or follows no window.
const SEATED_MAX: usize = 1 << 15;

/// The largest request that a peer may send: a command with its envelope, whose parts are bounded.
const REQUEST_BYTES_MAX: usize = COMMAND_BYTES_MAX + 1_024;

/// The seat of the group on this node, whatever its protocol.
pub(crate) trait Proposer: Send + Sync {
    /// Proposes commands.
    fn submit(&self, submissions: Vec<Submission>);
    /// Asks for reads.
    fn read(&self, reads: Vec<Read>);
    /// Asks for a snapshot of what is committed.
    fn take_snapshot(&self);
    /// Tells that more is decided than the replica may have to apply, or that it has caught up.
    fn behind(&self, behind: bool);
    /// Asks for what operators want.
    fn admin(&self, requests: Vec<(Ticket, Admin)>);
    /// Tells that the node is about to end.
    fn resign(&self, ticket: Ticket);
    /// Asks how far the log of each follower is known to agree.
    fn inspect(&self, answer: oneshot::Sender<Vec<(NodeId, Index)>>);
}

/// The actor that holds a group's state on this node.
///
/// Its address takes the messages that `#[replicated]` makes of commands and queries:
/// `addr.send(counter::Add { by: 1 }).await??`.
pub struct Replica<S: StateMachine> {
    place: Place,
    pub(crate) replica: replica::Replica<S>,
    /// The calls of this node's callers, with where the answer of each goes.
    client: Client<Caller>,
    /// The buffer of the calls that were looked at last.
    called: Vec<Called>,
    ticket: Ticket,
    /// What is at the seat for others than this node's callers, by ticket: who asked, and the query
    /// if it is one.
    seated: Table<Ticket, (Asker, Option<Bytes>)>,
    /// Reads that wait for an index to be applied.
    waiting: BTreeSet<(Index, Ticket)>,
    backlog: Backlog,
    /// Whether the state is being read back: until it is there nothing is applied.
    restoring: bool,
    /// Who waits for a snapshot to be durable.
    savers: Vec<Waiter>,
    /// Whether it was said that something takes too long.
    warned: bool,
    outbox: Outbox,
    flushing: bool,
    /// Who waits until no caller of this node's does.
    idle: Vec<oneshot::Sender<()>>,
}

/// Where a replica stands, and what it needs of its node.
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) group: GroupId,
    pub(crate) name: Arc<str>,
    pub(crate) seat: Arc<dyn Proposer>,
    pub(crate) links: Links,
    pub(crate) clock: NodeClock,
    pub(crate) board: Arc<Board>,
    pub(crate) patience: Patience,
    /// Drawn anew at each start: an answer to an earlier life must not pass for one to this.
    pub(crate) first_attempt: Attempt,
    pub(crate) deadline: Duration,
    pub(crate) keeping: Keeping,
    /// How long what shares the thread may be held up.
    pub(crate) heartbeat: Duration,
    /// Whether its thread is not that of the node's other actors.
    pub(crate) is_apart: bool,
}

/// Where the answer to a call goes.
type Caller = oneshot::Sender<Result<Answer, Error>>;

/// Who asked the seat, if it was none of this node's callers.
enum Asker {
    Away(Origin, Attempt),
    /// The node, which is about to end.
    Node(oneshot::Sender<bool>),
}

/// Where requests come from that are not this node's own.
#[derive(Clone)]
pub(crate) enum Origin {
    /// A peer, for its callers.
    Peer(NodeId),
    /// A client that is no member.
    Guest(Guest),
}

/// What a handler has gathered for others, sent once at its end.
#[derive(Default)]
struct Outbox {
    submissions: Vec<Submission>,
    reads: Vec<Read>,
    admins: Vec<(Ticket, Admin)>,
    items: BTreeMap<NodeId, Vec<Item>>,
    effects: Vec<ClientEffect<Caller>>,
}

/// The first ticket of those whose asker has to be looked up; those of this node's callers are the
/// numbers of their attempts.
const ASKERS_FROM: u64 = 1 << 63;

// Nothing in it is pinned; a user's state need not say so.
impl<S: StateMachine> Unpin for Replica<S> {}

impl<S: StateMachine> Replica<S> {
    /// Makes the replica before its first command, or one whose state is being read back.
    pub(crate) fn new(place: Place, restoring: bool) -> Self {
        Self {
            replica: replica::Replica::new(place.group),
            client: Client::new(place.patience)
                .numbering_from(place.first_attempt)
                .reading_from(place.node),
            place,
            called: Vec::new(),
            ticket: Ticket(ASKERS_FROM),
            seated: Table::default(),
            waiting: BTreeSet::new(),
            backlog: Backlog::default(),
            restoring,
            savers: Vec::new(),
            warned: false,
            outbox: Outbox::default(),
            flushing: false,
            idle: Vec::new(),
        }
    }

    /// Starts a call that came by the mailbox.
    pub(crate) fn call(&mut self, ask: Ask, answer: Caller, ctx: &mut Context<Self>) {
        let (now, wall) = (self.place.clock.now(), self.place.clock.wall());
        self.begin(Called { ask, after: None, deadline: None, answer }, now, wall);
        // What else waits in the mailbox goes into the same batch.
        if !self.flushing {
            self.flushing = true;
            ctx.notify(Flush);
        }
    }

    /// Starts a call; the answer comes at the deadline at the latest.
    fn begin(&mut self, called: Called, now: Time, wall: WallTime) {
        let Called { ask, after, deadline, answer } = called;
        if let Err(error) = check_token(after, self.place.group, &self.place.name) {
            answer.send(Err(error)).ok();
            return;
        }
        let deadline = now + deadline.unwrap_or(self.place.deadline);
        if let Err((error, answer)) = self.client.call(ask, answer, wall, deadline) {
            answer.send(Err(Error::of_call(&error, &self.place.name))).ok();
        }
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ticket = Ticket(self.ticket.0 + 1);
        self.ticket
    }

    /// Puts a request of somebody else's to the seat.
    fn seat(&mut self, asker: Asker, request: Request) {
        let ticket = self.next_ticket();
        if self.seated.len() >= SEATED_MAX {
            let error = SubmitError::Busy { limit: SEATED_MAX };
            self.seated.insert(ticket, (asker, None));
            let now = self.place.clock.now();
            return self.answer(now, ticket, Err(Failure::Refused(error)));
        }
        let query = match &request {
            Request::Query { query, .. } => Some(query.clone()),
            Request::Propose(_) | Request::Admin(_) => None,
        };
        self.seated.insert(ticket, (asker, query));
        self.put(ticket, request);
    }

    /// Puts a request to the seat under its ticket.
    fn put(&mut self, ticket: Ticket, request: Request) {
        match request {
            Request::Propose(command) => {
                self.outbox.submissions.push(Submission { ticket, command });
            }
            Request::Query { level, .. } => self.outbox.reads.push(Read { ticket, level }),
            Request::Admin(admin) => self.outbox.admins.push((ticket, admin)),
        }
    }

    /// Returns the query that was put to the seat under a ticket.
    fn query(&self, ticket: Ticket) -> Option<&Bytes> {
        match own_attempt(ticket) {
            Some(attempt) => self.client.query(attempt),
            None => self.seated.get(ticket).and_then(|(_, query)| query.as_ref()),
        }
    }

    /// Answers the reads whose index is applied.
    fn answer_waiting(&mut self) {
        let applied = self.replica.applied();
        while let Some((at, ticket)) = self.waiting.first().copied()
            && at <= applied
        {
            self.waiting.remove(&(at, ticket));
            // Without one, whoever asked has given up.
            let query = self.query(ticket);
            let reply: Reply =
                query.map_or(Err(Rejection::Malformed), |query| self.replica.query(query));
            let answered = reply.map(|reply| Answered { reply, index: Some(applied) });
            let now = self.place.clock.now();
            self.answer(now, ticket, answered.map_err(Failure::Rejected));
        }
    }

    /// Forgets reads that wait for the replica to catch up and whose callers have given up.
    fn forget_waiting(&mut self) {
        let Self { waiting, client, .. } = self;
        let awaits = |ticket| own_attempt(ticket).is_none_or(|attempt| client.awaits(attempt));
        waiting.retain(|(_, ticket)| awaits(*ticket));
    }

    /// Sends the answer to whoever asked; by `now` it came.
    fn answer(&mut self, now: Time, ticket: Ticket, result: Result<Answered, Failure>) {
        if let Some(attempt) = own_attempt(ticket) {
            return self.client.answered(now, attempt, result, &mut self.outbox.effects);
        }
        match self.seated.remove(ticket) {
            Some((Asker::Away(origin, attempt), _)) => {
                self.respond(&origin, Response { attempt, result });
            }
            Some((Asker::Node(resigned), _)) => {
                resigned.send(ending::is_settled(&result)).ok();
            }
            None => tracing::debug!(group = %self.place.name, ?ticket, "answered twice"),
        }
    }

    fn respond(&mut self, origin: &Origin, response: Response) {
        match origin {
            Origin::Peer(node) => self.post(*node, Kind::Response, &response),
            Origin::Guest(guest) => guest.answer(response),
        }
    }

    fn post(&mut self, to: NodeId, kind: Kind, message: &impl Encode) {
        let item = Item { group: self.place.group, kind, bytes: message.encoded().into() };
        self.outbox.items.entry(to).or_default().push(item);
    }

    fn carry_out(&mut self, effect: ClientEffect<Caller>) {
        match effect {
            ClientEffect::Request { to, attempt, request, .. } if to == self.place.node => {
                assert!(attempt.0 < ASKERS_FROM, "attempts are numbered from below 2^62");
                self.put(Ticket(attempt.0), request);
            }
            ClientEffect::Request { to, attempt, request, .. } => {
                self.post(to, Kind::Request, &Attempted { attempt, request });
            }
            ClientEffect::Finish { caller, result, .. } => {
                let Place { group, name, .. } = &self.place;
                caller.send(Answer::of(result, *group, name)).ok();
            }
        }
    }

    /// Carries out what the handler has gathered, each kind as one batch.
    fn flush(&mut self) {
        let (now, wall) = (self.place.clock.now(), self.place.clock.wall());
        self.client.flush(now, wall, &mut self.outbox.effects);
        // What is refused at once has effects of its own.
        while !self.outbox.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.outbox.effects);
            effects.drain(..).for_each(|effect| self.carry_out(effect));
            // The buffer is used again.
            effects.append(&mut self.outbox.effects);
            self.outbox.effects = effects;
        }
        if !self.outbox.submissions.is_empty() {
            self.place.seat.submit(std::mem::take(&mut self.outbox.submissions));
        }
        if !self.outbox.reads.is_empty() {
            self.place.seat.read(std::mem::take(&mut self.outbox.reads));
        }
        if !self.outbox.admins.is_empty() {
            self.place.seat.admin(std::mem::take(&mut self.outbox.admins));
        }
        self.place.board.set_calls(!self.client.is_idle());
        for (to, items) in std::mem::take(&mut self.outbox.items) {
            self.place.links.send(to, items);
        }
        if self.client.is_quiet() {
            self.tell_idle();
        }
    }
}

/// Returns the attempt of this node's callers that a ticket stands for, if it is one of theirs.
fn own_attempt(Ticket(number): Ticket) -> Option<Attempt> {
    (number < ASKERS_FROM).then_some(Attempt(number))
}

impl<S: StateMachine> Actor for Replica<S> {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        // In the order of the calls: a table's own would differ from run to run.
        for caller in self.client.drain() {
            caller.send(Err(Error::stopping(Outcome::Unknown))).ok();
        }
    }
}

impl<S: StateMachine> Handler<Look<S>> for Replica<S> {
    type Result = ();

    fn handle(&mut self, look: Look<S>, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let mut called = std::mem::take(&mut self.called);
        look.take(&mut called);
        let (now, wall) = (self.place.clock.now(), self.place.clock.wall());
        called.drain(..).for_each(|called| self.begin(called, now, wall));
        self.called = called;
        self.flush();
    }
}

impl<S: StateMachine> Handler<Inspect> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Inspect(answer): Inspect, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        self.place.seat.inspect(answer);
    }
}

impl<S: StateMachine> Handler<Decisions> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Decisions(decisions): Decisions, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let working = !self.backlog.is_empty() && !self.restoring;
        self.backlog.extend(decisions);
        self.tell_behind();
        if !working {
            self.work(ctx);
        }
    }
}

impl<S: StateMachine> Handler<Requests> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Requests(from, requests): Requests, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let latest = self.place.clock.wall();
        for Attempted { attempt, request } in requests {
            if request.size() > REQUEST_BYTES_MAX {
                let result = Err(Failure::Rejected(Rejection::Malformed));
                self.respond(&from, Response { attempt, result });
                continue;
            }
            let request = match request {
                Request::Propose(command) => {
                    Request::Propose(Envelope::no_later_than(command, latest))
                }
                plain @ (Request::Query { .. } | Request::Admin(_)) => plain,
            };
            self.seat(Asker::Away(from.clone(), attempt), request);
        }
        self.flush();
    }
}

impl<S: StateMachine> Handler<Responses> for Replica<S> {
    type Result = ();

    fn handle(&mut self, Responses(responses): Responses, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        let now = self.place.clock.now();
        for Response { attempt, result } in responses {
            self.client.answered(now, attempt, result, &mut self.outbox.effects);
        }
        self.flush();
    }
}

impl<S: StateMachine> Handler<Tick> for Replica<S> {
    type Result = ();

    fn handle(&mut self, _: Tick, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        self.client.tick(self.place.clock.now(), &mut self.outbox.effects);
        self.forget_waiting();
        self.flush();
    }
}

impl<S: StateMachine> Handler<Flush> for Replica<S> {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {
        let _guard = AbortOnPanic("replica");
        self.flushing = false;
        self.flush();
    }
}
