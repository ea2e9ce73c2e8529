//! A group whose roles have several actors on this node: what they say to each other, what they
//! write, and what they tell.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, mpsc},
};

use actix::Arbiter;
use consensus_core::{
    Address, Index, Input, NodeId, Process, RecoverError, Status, Token,
    ensemble::{Ensemble, Entry, Roles},
    numbering::{FIRST, Numbering},
    snapshot::Order,
};
use tokio::sync::oneshot;

use super::wiring::{Showcase, Ways};
use crate::{
    clock::NodeClock,
    journal::{Durability, Records},
    placement::Part,
    role::{Decision, Hosted, Labels, Outlets, Post},
    seat::{Seat, Seating},
    sync::lock,
    transport::{Arena, send_all},
};

/// The seats of the parts.
pub(super) struct Parts<R: Roles> {
    node: NodeId,
    parts: &'static [Part],
    seats: Vec<Arc<Seat<Ensemble<R>>>>,
}

/// A record of a role, as the journal has it.
type Found<R> = (Token, Entry<<R as Process>::Record>);

/// What a part is started from.
struct Recovered<R: Roles> {
    process: Ensemble<R>,
    durable: Token,
}

/// Parts that are rebuilt and have not been started.
pub(super) struct Rebuilt<R: Roles> {
    parts: &'static [Part],
    recovered: Vec<Recovered<R>>,
    numbering: Numbering<usize>,
}

impl<R: Roles> Rebuilt<R> {
    /// Rebuilds each part from what the journal holds of the group.
    ///
    /// # Errors
    /// As [`Ensemble::recover_some`].
    pub(super) fn recover(
        common: &R::Common,
        parts: &'static [Part],
        clock: &NodeClock,
        records: Vec<Found<R>>,
    ) -> Result<Self, RecoverError> {
        let oldest = records.first().map(|(number, _)| *number);
        let last = records.last().map(|(number, _)| *number).unwrap_or_default();
        let mut own: Vec<Vec<Found<R>>> = parts.iter().map(|_| Vec::new()).collect();
        let mut numbers: Vec<_> = parts.iter().map(|_| VecDeque::new()).collect();
        for (number, entry) in records {
            // One of no role is the first part's to refuse.
            let part = parts.iter().position(|part| part.seats.contains(&entry.seat)).unwrap_or(0);
            // Each part counts its own from the first on.
            let token = own[part].last().map_or(FIRST, |(token, _)| token.next());
            own[part].push((token, entry));
            numbers[part].push_back(number);
        }
        let lines = numbers.into_iter().enumerate().map(|(part, numbers)| (part, FIRST, numbers));
        let numbering = Numbering::recover(lines, (oldest, last));
        let mut recovered = Vec::new();
        for (part, own) in parts.iter().zip(own) {
            let durable = own.last().map(|(token, _)| *token).unwrap_or_default();
            let process = Ensemble::recover_some(common, part.seats, clock.now(), own)?;
            recovered.push(Recovered { process, durable });
        }
        Ok(Self { parts, recovered, numbering })
    }

    /// Returns the processes.
    pub(super) fn processes(&self) -> impl Iterator<Item = &Ensemble<R>> {
        self.recovered.iter().map(|recovered| &recovered.process)
    }
}

impl<R: Roles> Parts<R>
where
    Ensemble<R>: Hosted,
{
    /// Makes the seats of parts that are about to be started.
    pub(super) fn vacant(node: NodeId, parts: &'static [Part]) -> Self {
        let seats = parts.iter().map(|_| Arc::new(Seat::vacant())).collect();
        Self { node, parts, seats }
    }

    /// Starts the actors, each where it has its place.
    pub(super) fn take(
        self: &Arc<Self>,
        rebuilt: Rebuilt<R>,
        (ways, records, showcase): (Ways, Records, Showcase),
        clock: &NodeClock,
        labels: &Labels,
    ) {
        let ledger = Arc::new(Ledger {
            records: records.clone(),
            seats: self.seats.clone(),
            numbering: Mutex::new(rebuilt.numbering),
        });
        records.register(ways.group, Arc::clone(&ledger) as _);
        let standing = vec![Status::default(); rebuilt.parts.len()];
        let showcase = Arc::new(Mutex::new((standing, showcase)));
        for (part, Recovered { process, durable }) in rebuilt.recovered.into_iter().enumerate() {
            let outlets = PartOutlets {
                part,
                parts: Arc::clone(self),
                ways: ways.clone(),
                ledger: Arc::clone(&ledger),
                showcase: Arc::clone(&showcase),
                arena: Arena::default(),
            };
            let (clock, labels) = (clock.clone(), labels.clone());
            let seat = Arc::clone(&self.seats[part]);
            let start =
                move || Post::take(process, seat, clock, durable, Box::new(outlets), labels);
            if !rebuilt.parts[part].own_thread {
                start();
                continue;
            }
            // Whatever is sent to a seat before somebody has it is lost, so that is waited for.
            let (started, has_started) = mpsc::sync_channel(1);
            Arbiter::new().spawn_fn(move || {
                start();
                started.send(()).ok();
            });
            has_started.recv().ok();
        }
    }
}

impl<R: Roles> Seating for Parts<R> {
    type Process = Ensemble<R>;

    fn send(&self, inputs: Vec<Input<Ensemble<R>>>) {
        let mut own: Vec<Vec<_>> = self.parts.iter().map(|_| Vec::new()).collect();
        for input in inputs {
            let seats = match &input {
                Input::Receive { message, .. } => std::slice::from_ref(&message.seat),
                other => R::concerned(other),
            };
            let concerns = |part: &Part| seats.iter().any(|seat| part.seats.contains(seat));
            let concerned: Vec<usize> =
                (0..own.len()).filter(|part| concerns(&self.parts[*part])).collect();
            if let [part] = concerned[..] {
                own[part].push(input);
                continue;
            }
            concerned.into_iter().for_each(|part| own[part].push(input.clone()));
        }
        for (seat, inputs) in self.seats.iter().zip(own) {
            if !inputs.is_empty() {
                seat.send(inputs);
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        false
    }

    fn inspect(&self, answer: oneshot::Sender<Vec<(NodeId, Index)>>) {
        // The proposer knows.
        if let Some(seat) = self.seats.first() {
            seat.inspect(answer);
        }
    }

    fn vacate(&self) {
        self.seats.iter().for_each(|seat| seat.vacate());
    }
}

/// The records of the parts, in one order: the journal knows one stream a group.
struct Ledger<R: Roles> {
    records: Records,
    seats: Vec<Arc<Seat<Ensemble<R>>>>,
    /// Held from when records get their numbers until they are on their way, so that they go in
    /// their order.
    numbering: Mutex<Numbering<usize>>,
}

impl<R: Roles> Durability for Ledger<R>
where
    Ensemble<R>: Hosted,
{
    fn persisted(&self, upto: Token) {
        let mut durable = Vec::new();
        lock(&self.numbering).on_durable(upto, &mut durable);
        for (part, upto) in durable {
            self.seats[part].send(vec![Input::Persisted { upto }]);
        }
    }

    fn storage_full(&self, full: bool) {
        self.seats.iter().for_each(|seat| seat.storage_full(full));
    }

    fn make_room(&self) {
        self.seats.iter().for_each(|seat| seat.make_room());
    }
}

/// Where the effects of a part go.
struct PartOutlets<R: Roles> {
    part: usize,
    parts: Arc<Parts<R>>,
    ways: Ways,
    ledger: Arc<Ledger<R>>,
    /// What each part told last, and where all is shown.
    showcase: Arc<Mutex<(Vec<Status>, Showcase)>>,
    arena: Arena,
}

impl<R: Roles> Outlets<Ensemble<R>> for PartOutlets<R>
where
    Ensemble<R>: Hosted,
{
    fn persist(
        &mut self,
        records: Vec<(Token, <Ensemble<R> as Process>::Record)>,
        awaited: bool,
    ) -> Option<Token> {
        let (count, last) = (records.len(), records.last().map(|(token, _)| *token));
        let mut numbering = lock(&self.ledger.numbering);
        let part = self.part;
        let numbered = records.into_iter();
        let numbered = numbered.map(|(token, record)| (numbering.assign(part, token), record));
        let numbered = numbered.collect();
        self.ledger.records.append(self.ways.group, numbered, awaited)?;
        numbering.settle_last(count);
        last
    }

    fn send(&mut self, messages: Vec<(Address, <Ensemble<R> as Process>::Message)>) {
        let from = self.parts.node;
        let (own, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|(to, _)| to.node == from);
        if !own.is_empty() {
            let received = own.into_iter().map(|(_, message)| Input::Receive { from, message });
            self.parts.send(received.collect());
        }
        send_all(&self.ways.links, &mut self.arena, self.ways.group, others);
    }

    fn decide(&mut self, decisions: Vec<Decision>) {
        self.ways.decide(decisions);
    }

    fn order(&mut self, order: Order) {
        self.ways.order(order);
    }

    fn compact(&mut self, before: Token) {
        let mut numbering = lock(&self.ledger.numbering);
        if let Some(before) = numbering.give_up(self.part, before) {
            self.ledger.records.compact(self.ways.group, before);
        }
    }

    fn publish(&mut self, status: Status) {
        let mut showcase = lock(&self.showcase);
        let (standing, showcase) = &mut *showcase;
        if standing[self.part] == status {
            return;
        }
        standing[self.part] = status;
        let all = standing.iter().skip(1).fold(standing[0].clone(), Status::and);
        showcase.publish(all);
    }
}
