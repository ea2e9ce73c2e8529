//! Roles that stand side by side, hosted together: what one node has of a group, as one process.
//!
//! Where roles are concurrent, as Paxos's are, each is a process with a seat, numbers its own
//! records and talks to the others by messages. An [`Ensemble`] runs all of a node in one place:
//! messages among them are delivered within the step, those that wait for a record once that is
//! durable. It numbers the records of all in one order, and keeps with each whose it is.
//!
//! A host that gives roles places of their own needs none of this.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    fmt,
};

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_u64, take_u8, take_u64},
    error::RecoverError,
    log::Index,
    members::NodeId,
    numbering::{FIRST, Numbering},
    process::{Effect, Effects, Input, Process, Seat, Status, Token},
    role::{Next, Role, Seated, Step},
    time::Time,
};

/// A process that is any of several roles, by its seat.
pub trait Roles: Process {
    /// What all roles of a node are built from.
    type Common: Clone + fmt::Debug + Send + 'static;

    /// The seats of a node, in the order in which they are told of what concerns several.
    const SEATS: &'static [Seat];

    /// Returns what the role at `seat` is built from.
    fn configured(common: &Self::Common, seat: Seat) -> Self::Config;

    /// Returns the node.
    fn node(common: &Self::Common) -> NodeId;

    /// Returns the seats that an input of the host is for; of messages it is not asked.
    fn concerned<P: Process<Control = Self::Control>>(input: &Input<P>) -> &'static [Seat];

    /// Tells whether anything of this role's waits until its records up to `upto` are durable: if
    /// nothing does, it need not be told that they are.
    fn awaits(&self, upto: Token) -> bool {
        let _ = upto;
        true
    }

    /// Adds what operators are told of this role.
    fn tell(&self, status: &mut Status);

    /// Returns how far each other node is known to have the log, where this role knows.
    fn followers(&self) -> Vec<(NodeId, Index)> {
        Vec::new()
    }
}

/// A message, and the seat that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed<M> {
    /// The seat.
    pub seat: Seat,
    /// What it says.
    pub message: M,
}

impl<M: Encode> Encode for Addressed<M> {
    fn size_hint(&self) -> usize {
        1 + self.message.size_hint()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(MARK + self.seat.0);
        self.message.encode(out);
    }
}

impl<M: Decode> Decode for Addressed<M> {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self { seat: take_seat(input)?, message: M::decode(input)? })
    }
}

/// A record of a role, as it stands in the journal of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<R> {
    /// Whose it is.
    pub seat: Seat,
    /// Its number among that role's.
    pub token: Token,
    /// What must survive.
    pub record: R,
}

/// What encodings begin with, added to the seat: no record or message of a protocol with one seat
/// begins so, and none is taken for the other.
const MARK: u8 = 0x40;

fn take_seat(input: &mut Bytes) -> Result<Seat, DecodeError> {
    let tag = take_u8(input)?;
    let unknown = DecodeError::UnknownTag { what: "seat", tag };
    tag.checked_sub(MARK).map(Seat).ok_or(unknown)
}

impl<R> Entry<R> {
    /// Tells whether an encoded record is of roles that stand side by side.
    pub fn is_encoded_in(record: &[u8]) -> bool {
        record.first().is_some_and(|tag| *tag >= MARK)
    }
}

impl<R: Encode> Encode for Entry<R> {
    fn size_hint(&self) -> usize {
        9 + self.record.size_hint()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(MARK + self.seat.0);
        put_u64(out, self.token.0);
        self.record.encode(out);
    }
}

impl<R: Decode> Decode for Entry<R> {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            seat: take_seat(input)?,
            token: Token(take_u64(input)?),
            record: R::decode(input)?,
        })
    }
}

/// Holds the seat of an [`Ensemble`], for good.
#[derive(Clone, Copy, Debug)]
pub struct Together;

/// The roles that a node has of a group, or some of them: those that share a place.
#[derive(Clone, Debug)]
pub struct Ensemble<R: Roles> {
    node: NodeId,
    /// By ascending seats; there are a few.
    members: Vec<(Seat, R)>,
    numbering: Numbering<Seat>,
    /// Up to where records are durable.
    durable: Token,
    /// Messages from role to role that are to be delivered.
    inner: VecDeque<(Seat, R::Message)>,
    /// Such messages that wait for a record, by its number among all.
    held: Vec<(Token, Seat, R::Message)>,
    /// What a role has just asked for, and whose records have become durable just now: kept for
    /// their room.
    asked: Effects<R>,
    lines: Vec<(Seat, Token)>,
}

impl<R: Roles> Ensemble<R> {
    /// Returns the roles, by their seats.
    pub fn roles(&self) -> impl Iterator<Item = &R> {
        self.members.iter().map(|(_, role)| role)
    }

    /// Returns the node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Returns the youngest record of all.
    pub fn last(&self) -> Token {
        self.numbering.last()
    }

    /// Returns what operators are told of all roles.
    pub fn status(&self) -> Status {
        let mut status = Status::default();
        self.roles().for_each(|role| role.tell(&mut status));
        status
    }

    /// Returns the role at `seat`.
    pub fn role(&self, seat: Seat) -> Option<&R> {
        self.members.iter().find(|(at, _)| *at == seat).map(|(_, role)| role)
    }

    /// Feeds `input` to the role at `seat`, and takes note of what it asks for.
    fn feed(&mut self, seat: Seat, now: Time, input: Input<R>, out: &mut Effects<Self>) {
        let role = self.members.iter_mut().find(|(at, _)| *at == seat);
        let Some((_, role)) = role else { return };
        role.step(now, input, &mut self.asked);
        if self.asked.is_empty() {
            return;
        }
        let mut asked = std::mem::take(&mut self.asked);
        for effect in asked.drain() {
            self.carry(seat, effect, out);
        }
        self.asked = asked;
    }

    /// Passes on what a role asks for: to the host, or to another role here.
    fn carry(&mut self, seat: Seat, effect: Effect<R>, out: &mut Effects<Self>) {
        match effect {
            Effect::Persist { token, record } => {
                let number = self.numbering.assign(seat, token);
                let record = Entry { seat, token, record };
                out.push(Effect::Persist { token: number, record });
            }
            Effect::Send { to, message, after } => {
                let after = after.and_then(|token| self.numbering.number(seat, token));
                let after = after.filter(|token| *token > self.durable);
                if to.node != self.node || self.role(to.seat).is_none() {
                    let message = Addressed { seat: to.seat, message };
                    out.push(Effect::Send { to, message, after });
                } else if let Some(token) = after {
                    self.held.push((token, to.seat, message));
                } else {
                    self.inner.push_back((to.seat, message));
                }
            }
            Effect::Compact { before } => {
                if let Some(before) = self.numbering.give_up(seat, before) {
                    out.push(Effect::Compact { before });
                }
            }
            Effect::Apply(decided) => out.push(Effect::Apply(decided)),
            Effect::ReadReady { ticket, at } => out.push(Effect::ReadReady { ticket, at }),
            Effect::Answer { ticket, error } => out.push(Effect::Answer { ticket, error }),
            Effect::Done { ticket } => out.push(Effect::Done { ticket }),
            Effect::Route { leader } => out.push(Effect::Route { leader }),
            Effect::Snapshot(order) => out.push(Effect::Snapshot(order)),
        }
    }

    /// Tells each role up to where its records are durable, and lets go of what waited for that.
    fn on_persisted(&mut self, upto: Token, now: Time, out: &mut Effects<Self>) {
        self.durable = self.durable.max(upto);
        let mut durable = std::mem::take(&mut self.lines);
        self.numbering.on_durable(upto, &mut durable);
        // In the order of their records, as any host releases them; those that a later step adds
        // come behind.
        self.held.sort_by_key(|(at, ..)| *at);
        let due = self.held.partition_point(|(at, ..)| *at <= upto);
        for (_, seat, message) in self.held.drain(..due) {
            self.inner.push_back((seat, message));
        }
        for (seat, upto) in durable.drain(..) {
            if self.role(seat).is_some_and(|role| !role.awaits(upto)) {
                continue;
            }
            self.feed(seat, now, Input::Persisted { upto }, out);
        }
        self.lines = durable;
    }
}

impl<R: Roles> Process for Ensemble<R> {
    type Config = R::Common;
    type Message = Addressed<R::Message>;
    type Record = Entry<R::Record>;
    type Control = R::Control;

    fn recover(
        common: R::Common,
        now: Time,
        records: impl IntoIterator<Item = (Token, Entry<R::Record>)>,
    ) -> Result<Self, RecoverError> {
        Self::recover_some(&common, R::SEATS, now, records)
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        let input: Input<R> = match input {
            Input::Persisted { upto } => {
                self.on_persisted(upto, now, out);
                return self.converse(now, out);
            }
            Input::Receive { from, message: Addressed { seat, message } } => {
                self.feed(seat, now, Input::Receive { from, message }, out);
                return self.converse(now, out);
            }
            Input::Tick => Input::Tick,
            Input::Submit(submissions) => Input::Submit(submissions),
            Input::Snapshot(report) => Input::Snapshot(report),
            Input::Control(control) => Input::Control(control),
        };
        if let [seat] = R::concerned(&input) {
            self.feed(*seat, now, input, out);
        } else {
            for seat in R::concerned(&input) {
                self.feed(*seat, now, input.clone(), out);
            }
        }
        self.converse(now, out);
    }
}

impl<R: Roles> Ensemble<R> {
    /// Rebuilds the roles at `seats` from what was durable of them. What they say to those of the
    /// node that are elsewhere is the host's to deliver, as if it were for another node.
    ///
    /// # Errors
    /// As [`Process::recover`]; also where there are records of another role.
    pub fn recover_some(
        common: &R::Common,
        seats: &[Seat],
        now: Time,
        records: impl IntoIterator<Item = (Token, Entry<R::Record>)>,
    ) -> Result<Self, RecoverError> {
        let mut found: BTreeMap<Seat, Vec<(Token, R::Record)>> = BTreeMap::new();
        let mut numbers: BTreeMap<Seat, VecDeque<Token>> = BTreeMap::new();
        let (mut oldest, mut last) = (None, Token::default());
        for (number, Entry { seat, token, record }) in records {
            let unfit = |reason| RecoverError::Contradiction { token: number.0, reason };
            if !seats.contains(&seat) {
                return Err(unfit("it is of no role that there is"));
            }
            let of_seat = found.entry(seat).or_default();
            if of_seat.last().is_some_and(|(before, _)| before.next() != token) {
                return Err(unfit("it does not follow the last one of its role"));
            }
            of_seat.push((token, record));
            numbers.entry(seat).or_default().push_back(number);
            oldest = oldest.or(Some(number));
            last = number;
        }
        let (mut members, mut lines) = (Vec::new(), Vec::new());
        for seat in seats {
            let records = found.remove(seat).unwrap_or_default();
            let first = records.first().map_or(FIRST, |(token, _)| *token);
            lines.push((*seat, first, numbers.remove(seat).unwrap_or_default()));
            members.push((*seat, R::recover(R::configured(common, *seat), now, records)?));
        }
        members.sort_by_key(|(seat, _)| *seat);
        Ok(Self {
            node: R::node(common),
            members,
            numbering: Numbering::recover(lines, (oldest, last)),
            durable: last,
            inner: VecDeque::new(),
            held: Vec::new(),
            asked: Effects::default(),
            lines: Vec::new(),
        })
    }

    /// Delivers what roles say to each other, until none says any more.
    fn converse(&mut self, now: Time, out: &mut Effects<Self>) {
        while let Some((seat, message)) = self.inner.pop_front() {
            self.feed(seat, now, Input::Receive { from: self.node, message }, out);
        }
    }
}

impl<R: Roles> Seated for Ensemble<R> {
    type State = Self;
    type Role = Together;

    fn into_parts(self) -> (Self, Together) {
        (self, Together)
    }

    /// There is nobody to take the seat.
    fn preempt(_: &mut Self, _: Time, _: &Input<Self>, _: &mut Effects<Self>) -> Option<Together> {
        None
    }

    fn status(ensemble: &Self, _: &'static str) -> Status {
        ensemble.status()
    }
}

impl<R: Roles> Step<Ensemble<R>> for Together {
    fn name(&self) -> &'static str {
        "ensemble"
    }

    fn step(
        &mut self,
        ensemble: &mut Ensemble<R>,
        now: Time,
        input: Input<Ensemble<R>>,
        out: &mut Effects<Ensemble<R>>,
    ) -> Next<Ensemble<R>> {
        Process::step(ensemble, now, input, out);
        Next::Stay
    }

    fn followers(&self, ensemble: &Ensemble<R>) -> Vec<(NodeId, Index)> {
        ensemble.roles().flat_map(Roles::followers).collect()
    }

    fn retire(&mut self, _: &mut Ensemble<R>, _: &mut Effects<Ensemble<R>>) {}
}

impl From<Infallible> for Together {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl<R: Roles> Role<Ensemble<R>> for Together {}
