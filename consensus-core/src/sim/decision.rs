//! One decision under virtual time: what happens next, and who is told.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Counts, Failure, Flaw,
    agenda::Agenda,
    deciding::{Deciding, DecisionJudge, Seating},
    event::Due,
    fault::Fault,
    network::Network,
    operations::{Ended, Operations},
    plan::Plan,
    protocol::Broken,
    sides::Sides,
    trace::{Trace, What, nanoseconds},
};
use crate::{
    codec::{Decode, Encode},
    members::{Members, NodeId},
    process::{Address, Effects, GroupId, Input, Seat, Token},
    time::Time,
};

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A node looks at the clock.
    Tick(NodeId, u64),
    /// A message arrives; one to another role of the same node with the life that it is of.
    Message {
        from: NodeId,
        to: Address,
        life: Option<u64>,
        number: u64,
        bytes: Bytes,
    },
    /// A disk has written and synced the records of a role.
    Commit(NodeId, Seat, u64),
    /// A role learns that its records are durable.
    Persisted(NodeId, Seat, u64, Token),
    /// A caller calls, or gives up.
    Call(usize),
    Deadline(usize),
    /// A fault strikes, or is over.
    Strike(usize),
    Over(usize),
    /// A process starts again.
    Restart(NodeId, u64),
    /// A process that stood still goes on.
    Resume(NodeId, u64),
    /// Everything is mended.
    Mend,
}

impl Event {
    /// Returns the node that must run for the event to reach it.
    fn concerns(&self) -> Option<NodeId> {
        match self {
            Self::Tick(node, _)
            | Self::Commit(node, ..)
            | Self::Persisted(node, ..)
            | Self::Message { to: Address { node, .. }, .. } => Some(*node),
            Self::Call(_)
            | Self::Deadline(_)
            | Self::Strike(_)
            | Self::Over(_)
            | Self::Restart(..)
            | Self::Resume(..)
            | Self::Mend => None,
        }
    }
}

/// What is known of a run beyond its decisions.
#[derive(Debug)]
pub(super) struct Minutes {
    pub(super) trace: Trace,
    pub(super) counts: Counts,
    pub(super) operations: Operations,
    pub(super) terms: BTreeSet<u64>,
    pub(super) now: Time,
}

/// A group that decides one value, its surroundings and its callers.
#[derive(Debug)]
pub(super) struct Decision<'a, P: Deciding> {
    pub(super) plan: &'a Plan,
    pub(super) agenda: Agenda,
    pub(super) minutes: &'a mut Minutes,
    pub(super) nodes: BTreeMap<NodeId, Sides<P>>,
    pub(super) network: Network,
    pub(super) judge: P::Judge,
    pub(super) members: Members,
    /// The links that strikes have cut and not mended yet.
    pub(super) cuts: BTreeMap<usize, Vec<(NodeId, NodeId)>>,
    pub(super) mended: bool,
    /// The operations of the run before the first of this decision.
    pub(super) first: usize,
    queue: BinaryHeap<Due<Event>>,
    order: u64,
    messages: u64,
}

/// After everything was mended, all must have been told within this time, and as many attempts.
const SERVICE_WITHIN: Duration = Duration::from_secs(20);
const ATTEMPTS_MAX: u32 = 500;

/// More events than any decision has that gets anywhere.
const EVENTS_MAX: u64 = 2_000_000;

impl<'a, P: Deciding> Decision<'a, P> {
    /// Starts the nodes, their disks empty, when the decision before is over.
    pub(super) fn new(
        plan: &'a Plan,
        agenda: Agenda,
        minutes: &'a mut Minutes,
    ) -> Result<Self, Failure> {
        let ids: Vec<NodeId> = (1..=plan.nodes()).filter_map(NodeId::new).collect();
        let drift = |node: &NodeId| agenda.temper.drift.get(node.number() as usize - 1);
        let node = |id: &NodeId| {
            let drift = drift(id).copied().unwrap_or_default();
            (*id, Sides::new(agenda.seed, id.number(), P::SEATS, drift))
        };
        let (nodes, began) = (ids.iter().map(node).collect(), minutes.now);
        let mut decision = Self {
            plan,
            nodes,
            network: Network::new(agenda.seed, &ids),
            judge: P::Judge::default(),
            members: Members::new(ids.iter().copied()).expect("a plan has nodes"),
            cuts: BTreeMap::new(),
            mended: false,
            first: minutes.operations.all().len(),
            queue: BinaryHeap::new(),
            order: 0,
            messages: 0,
            agenda,
            minutes,
        };
        for _ in decision.agenda.temper.drift.iter().filter(|drift| **drift != 0) {
            decision.minutes.counts.count(Fault::Drift);
        }
        for node in ids {
            decision.start(node)?;
        }
        let since = |at: Time| began + at.since(Time::ZERO);
        for number in 0..decision.agenda.strikes.len() {
            let at = decision.agenda.strikes.get(number).map(|strike| since(strike.at));
            decision.schedule(at.unwrap_or(began), Event::Strike(number));
        }
        for number in 0..decision.agenda.motions.len() {
            let at = decision.agenda.motions.get(number).map(|motion| began + motion.at);
            decision.schedule(at.unwrap_or(began), Event::Call(number));
        }
        let end = began + decision.agenda.lasts;
        decision.schedule(end, Event::Mend);
        Ok(decision)
    }

    pub(super) fn now(&self) -> Time {
        self.minutes.now
    }

    pub(super) fn node(&mut self, node: NodeId) -> &mut Sides<P> {
        self.nodes.get_mut(&node).expect("every node that is spoken of is there")
    }

    pub(super) fn schedule(&mut self, at: Time, event: Event) {
        self.order += 1;
        self.queue.push(Due { at: at.max(self.now()), order: self.order, event });
    }

    pub(super) fn schedule_in(&mut self, pause: Duration, event: Event) {
        self.schedule(self.now() + pause, event);
    }

    pub(super) fn note(
        &mut self,
        node: Option<NodeId>,
        numbers: [u64; 3],
        what: impl FnOnce() -> What,
    ) {
        let now = self.now();
        self.minutes.trace.note(now, node, numbers, what);
    }

    pub(super) fn broken(&self, flaw: Flaw, what: impl Into<String>) -> Failure {
        Failure { flaw, what: what.into(), evidence: Vec::new(), at: self.now() }
    }

    pub(super) fn judged(&self, verdict: Result<(), Broken>) -> Result<(), Failure> {
        if !self.plan.checks_invariants() {
            return Ok(());
        }
        verdict.map_err(|broken| {
            let mut failure = self.broken(Flaw::Invariant, broken.what);
            failure.evidence = broken.evidence;
            failure
        })
    }

    /// Runs until all that can be told are told.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let within = SERVICE_WITHIN + self.agenda.retry * ATTEMPTS_MAX;
        let end = self.now() + self.agenda.lasts + within;
        for _ in 0..EVENTS_MAX {
            let Some(Due { at, event, .. }) = self.queue.pop() else {
                return Err(self.broken(Flaw::Liveness, "nothing is left to happen"));
            };
            self.minutes.now = at;
            self.dispatch(event)?;
            if self.mended && self.is_settled() {
                return Ok(());
            }
            if at > end {
                let what = format!("{within:?} after everything was mended somebody is not told");
                return Err(self.unsettled(&what));
            }
        }
        Err(self.unsettled("the group is busy and gets nowhere"))
    }

    fn unsettled(&self, what: &str) -> Failure {
        let mut failure = self.broken(Flaw::Liveness, what);
        failure.evidence = self.standings();
        failure
    }

    /// Tells how each node stands.
    pub(super) fn standings(&self) -> Vec<String> {
        let told = self.nodes.iter().map(|(node, sides)| {
            let (standing, clock) = sides.standing;
            let (up, knows) = (sides.is_up, sides.applied.is_some());
            format!("{node} up: {up}, told: {knows}, {standing} at {clock}")
        });
        told.collect()
    }

    fn is_settled(&self) -> bool {
        let mut live = self.nodes.values().filter(|sides| sides.is_up);
        live.all(|sides| sides.applied.is_some() && sides.open.is_empty())
    }

    fn dispatch(&mut self, event: Event) -> Result<(), Failure> {
        if let Some(node) = event.concerns()
            && let Some(parked) = &mut self.node(node).parked
        {
            parked.push(event);
            return Ok(());
        }
        match event {
            Event::Tick(node, life) => self.on_tick(node, life),
            Event::Message { from, to, life, number, bytes } => {
                self.on_message(from, to, life, (number, bytes))
            }
            Event::Commit(node, seat, life) => self.on_commit(node, seat, life),
            Event::Persisted(node, seat, life, upto) => self.on_persisted(node, seat, life, upto),
            Event::Call(number) => self.on_call(number),
            Event::Deadline(operation) => {
                self.on_deadline(operation);
                Ok(())
            }
            Event::Strike(number) => self.on_strike(number),
            Event::Over(number) => {
                self.on_over(number);
                Ok(())
            }
            Event::Restart(node, life) => self.on_restart(node, life),
            Event::Resume(node, life) => {
                self.on_resume(node, life);
                Ok(())
            }
            Event::Mend => self.on_mend(),
        }
    }

    // Processes.

    /// Starts a node's roles from their disks.
    pub(super) fn start(&mut self, node: NodeId) -> Result<(), Failure> {
        let now = self.now();
        let sides = self.node(node);
        (sides.is_up, sides.started, sides.life) = (true, now, sides.life + 1);
        let life = sides.life;
        let seating = self.seating(node, life);
        for seat in P::SEATS.iter().copied() {
            let records = self.node(node).side(seat).records();
            let records = records.map_err(|error| {
                self.broken(Flaw::Durability, format!("a record of {node} is unreadable: {error}"))
            })?;
            let clock = self.node(node).clock(now);
            let role = P::recover(P::config(&seating, seat), clock, records).map_err(|error| {
                self.broken(Flaw::Durability, format!("{node} cannot start: {error}"))
            })?;
            let verdict = self.judge.recovered(&role);
            self.judged(verdict)?;
            self.node(node).side(seat).role = Some(role);
        }
        self.note(Some(node), [1, life, 0], || What::Up { text: format!("life {life}") });
        self.look(node);
        self.schedule_in(Duration::ZERO, Event::Tick(node, life));
        Ok(())
    }

    fn seating(&self, id: NodeId, life: u64) -> Seating {
        Seating {
            id,
            group: GroupId::named("simulated"),
            members: self.members.clone(),
            quorums: self.agenda.quorums,
            retry: self.agenda.retry,
            pause_max: self.agenda.pause_max,
            seed: self.agenda.seed ^ id.number() << 32 ^ life,
            #[cfg(feature = "mutants")]
            bug: self.plan.bug(),
        }
    }

    /// Notes how callers' role stands, if that has changed.
    pub(super) fn look(&mut self, node: NodeId) {
        let sides = self.node(node);
        let standing = sides.side(P::ASKED).role.as_ref().map(P::standing).unwrap_or_default();
        if std::mem::replace(&mut sides.standing, standing) != standing {
            self.minutes.terms.insert(standing.1);
            self.note(Some(node), [2, standing.1, 0], || What::Role {
                role: standing.0.to_owned(),
                term: standing.1,
            });
        }
    }

    fn on_tick(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        if !self.node(node).lives(life) {
            return Ok(());
        }
        let period = self.agenda.retry / 3;
        self.schedule_in(period, Event::Tick(node, life));
        for seat in P::SEATS.iter().copied() {
            if self.node(node).lives(life) {
                self.step(node, seat, Input::Tick)?;
            }
        }
        Ok(())
    }

    /// Steps a role, and carries out what it asks for.
    pub(super) fn step(
        &mut self,
        node: NodeId,
        seat: Seat,
        input: Input<P>,
    ) -> Result<(), Failure> {
        self.judge.asked(node, &input);
        let now = self.now();
        let sides = self.node(node);
        let clock = sides.clock(now);
        let mut out = Effects::default();
        let role = sides.side(seat).role.as_mut().expect("only who runs is stepped");
        role.step(clock, input, &mut out);
        let role = self.nodes.get(&node).and_then(|sides| sides.sides.get(&seat));
        if let Some(role) = role.and_then(|side| side.role.as_ref()) {
            let verdict = self.judge.stepped(role, out.as_slice());
            self.judged(verdict)?;
        }
        self.look(node);
        self.carry_out(node, seat, out)
    }

    // The network.

    /// Sends a message, to another node or to another role of the same.
    pub(super) fn put(
        &mut self,
        from: NodeId,
        to: Address,
        message: &P::Message,
    ) -> Result<(), Failure> {
        let verdict = self.judge.sent(from, message);
        self.judged(verdict)?;
        let bytes = Bytes::from(message.encoded());
        self.messages += 1;
        let (number, now) = (self.messages, self.now());
        let (temper, counts) = (&self.agenda.temper, &mut self.minutes.counts);
        let is_own = from == to.node;
        let arrival =
            if is_own { Some(now) } else { self.network.send(from, to.node, now, temper, counts) };
        let copy = arrival
            .filter(|_| !is_own)
            .and_then(|at| self.network.send_again(from, to.node, at, temper, counts));
        let digest = twox_hash::XxHash3_64::oneshot(&bytes);
        let arrives = arrival.map(nanoseconds);
        self.note(Some(from), [3, to.node.number(), digest], || What::Send {
            to: to.node.number(),
            message: number,
            text: P::describe_message(message),
            arrives,
        });
        let life = is_own.then(|| self.node(from).life);
        for at in arrival.into_iter().chain(copy) {
            self.schedule(at, Event::Message { from, to, life, number, bytes: bytes.clone() });
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        from: NodeId,
        to: Address,
        life: Option<u64>,
        (number, bytes): (u64, Bytes),
    ) -> Result<(), Failure> {
        let sender_is_barred = self.node(from).is_barred;
        let sides = self.node(to.node);
        let is_of_another_life = life.is_some_and(|life| life != sides.life);
        if !sides.is_up || sender_is_barred || is_of_another_life {
            return Ok(());
        }
        self.note(Some(to.node), [4, from.number(), number], || What::Receive {
            from: from.number(),
            message: number,
        });
        let message = P::Message::decode_all(bytes).map_err(|error| {
            self.broken(Flaw::Panic, format!("a message is unreadable: {error}"))
        })?;
        self.step(to.node, to.seat, Input::Receive { from, message })
    }

    // Callers.

    /// Notes how an operation of this decision ended.
    pub(super) fn end(&mut self, node: NodeId, operation: usize, ended: Ended) {
        let number = operation as u64;
        let text = match &ended {
            Ended::Ok(value) => super::decided::told(value),
            Ended::NotApplied(why) | Ended::Unknown(why) => why.clone(),
            Ended::Applied(_) | Ended::Unanswered(_) => "nothing".to_owned(),
        };
        self.note(Some(node), [12, number, 0], || What::Return { operation: number, text });
        let now = self.now();
        self.minutes.operations.end(operation, now, ended);
    }
}
