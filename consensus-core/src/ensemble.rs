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
    fn concerned(input: &Input<Self>) -> &'static [Seat];

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

/// The roles that a node has of a group.
#[derive(Clone, Debug)]
pub struct Ensemble<R: Roles> {
    node: NodeId,
    members: BTreeMap<Seat, Member<R>>,
    /// The youngest record of all.
    last: Token,
    /// Up to where records are durable.
    durable: Token,
    /// Records that are not: their numbers, and whose they are, with their numbers among those.
    pending: VecDeque<(Token, Seat, Token)>,
    /// The oldest record that is still needed, as the host was told last.
    needed: Token,
    /// Messages from role to role that are to be delivered.
    inner: VecDeque<(Seat, R::Message)>,
    /// Such messages that wait for a record, by its number among all.
    held: VecDeque<(Token, Seat, R::Message)>,
    /// What a role has just asked for.
    asked: Effects<R>,
}

/// A role, and where its records are.
#[derive(Clone, Debug)]
struct Member<R> {
    role: R,
    /// The numbers among all of the records that it still needs: the first is of its record
    /// `first`.
    numbers: VecDeque<Token>,
    first: Token,
}

impl<R> Member<R> {
    /// Returns the number among all of one of this role's records.
    fn number(&self, token: Token) -> Option<Token> {
        let at = usize::try_from(token.0.checked_sub(self.first.0)?).ok()?;
        self.numbers.get(at).copied()
    }
}

impl<R: Roles> Ensemble<R> {
    /// Returns the roles, by their seats.
    pub fn roles(&self) -> impl Iterator<Item = &R> {
        self.members.values().map(|member| &member.role)
    }

    /// Returns the node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Returns the youngest record of all.
    pub fn last(&self) -> Token {
        self.last
    }

    /// Returns what operators are told of all roles.
    pub fn status(&self) -> Status {
        let mut status = Status::default();
        self.roles().for_each(|role| role.tell(&mut status));
        status
    }

    /// Returns the role at `seat`.
    pub fn role(&self, seat: Seat) -> Option<&R> {
        self.members.get(&seat).map(|member| &member.role)
    }

    /// Feeds `input` to the role at `seat`, and takes note of what it asks for.
    fn feed(&mut self, seat: Seat, now: Time, input: Input<R>, out: &mut Effects<Self>) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        member.role.step(now, input, &mut self.asked);
        let mut asked = std::mem::take(&mut self.asked);
        for effect in asked.drain() {
            self.carry(seat, effect, out);
        }
        self.asked = asked;
    }

    /// Passes on what a role asks for: to the host, or to another role here.
    fn carry(&mut self, seat: Seat, effect: Effect<R>, out: &mut Effects<Self>) {
        let effect = match effect {
            Effect::Persist { token, record } => {
                self.last = self.last.next();
                let member = self.members.get_mut(&seat).expect("it has just been stepped");
                let next = member.first.0 + member.numbers.len() as u64;
                assert!(token.0 == next, "a role numbers its records without gaps");
                member.numbers.push_back(self.last);
                self.pending.push_back((self.last, seat, token));
                Effect::Persist { token: self.last, record: Entry { seat, token, record } }
            }
            Effect::Send { to, message, after } => {
                let after = after.and_then(|token| self.members.get(&seat)?.number(token));
                let after = after.filter(|token| *token > self.durable);
                if to.node != self.node {
                    Effect::Send { to, message: Addressed { seat: to.seat, message }, after }
                } else {
                    return match after {
                        Some(token) => self.held.push_back((token, to.seat, message)),
                        None => self.inner.push_back((to.seat, message)),
                    };
                }
            }
            Effect::Compact { before } => {
                let member = self.members.get_mut(&seat).expect("it has just been stepped");
                while member.first < before && member.numbers.pop_front().is_some() {
                    member.first = member.first.next();
                }
                match self.compact() {
                    Some(effect) => effect,
                    None => return,
                }
            }
            Effect::Apply(decided) => Effect::Apply(decided),
            Effect::ReadReady { ticket, at } => Effect::ReadReady { ticket, at },
            Effect::Answer { ticket, error } => Effect::Answer { ticket, error },
            Effect::Done { ticket } => Effect::Done { ticket },
            Effect::Route { leader } => Effect::Route { leader },
            Effect::Snapshot(order) => Effect::Snapshot(order),
        };
        out.push(effect);
    }

    /// Gives up the records that no role needs any more, if there are new ones of them.
    fn compact(&mut self) -> Option<Effect<Self>> {
        let oldest = self.members.values().filter_map(|member| member.numbers.front()).min();
        let before = oldest.copied().unwrap_or_else(|| self.last.next());
        if before <= self.needed {
            return None;
        }
        self.needed = before;
        Some(Effect::Compact { before })
    }

    /// Tells each role up to where its records are durable, and lets go of what waited for that.
    fn on_persisted(&mut self, upto: Token, now: Time, out: &mut Effects<Self>) {
        self.durable = self.durable.max(upto);
        let mut durable: BTreeMap<Seat, Token> = BTreeMap::new();
        while let Some((_, seat, token)) = self.pending.pop_front_if(|(at, ..)| *at <= upto) {
            durable.insert(seat, token);
        }
        // In the order of their records, as any host releases them; those that a later step adds
        // come behind.
        while let Some((_, seat, message)) = self.held.pop_front_if(|(at, ..)| *at <= upto) {
            self.inner.push_back((seat, message));
        }
        for (seat, upto) in durable {
            self.feed(seat, now, Input::Persisted { upto }, out);
        }
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
        let mut found: BTreeMap<Seat, Vec<(Token, R::Record)>> = BTreeMap::new();
        let mut numbers: BTreeMap<Seat, VecDeque<Token>> = BTreeMap::new();
        let (mut oldest, mut last) = (None, Token::default());
        for (number, Entry { seat, token, record }) in records {
            let unfit = |reason| RecoverError::Contradiction { token: number.0, reason };
            if !R::SEATS.contains(&seat) {
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
        let mut members = BTreeMap::new();
        for seat in R::SEATS {
            let records = found.remove(seat).unwrap_or_default();
            let first =
                records.first().map_or_else(|| Token::default().next(), |(token, _)| *token);
            let role = R::recover(R::configured(&common, *seat), now, records)?;
            let numbers = numbers.remove(seat).unwrap_or_default();
            members.insert(*seat, Member { role, numbers, first });
        }
        Ok(Self {
            node: R::node(&common),
            members,
            last,
            durable: last,
            pending: VecDeque::new(),
            needed: oldest.unwrap_or_default(),
            inner: VecDeque::new(),
            held: VecDeque::new(),
            asked: Effects::default(),
        })
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
