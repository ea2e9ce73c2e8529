//! Decisions by name: any number of instances of a protocol that chooses one value, as one process.
//!
//! A decision is made up of the roles that each node has of it, an [`Ensemble`] on every node. It
//! comes to be on a node when somebody there asks for it, or when another node speaks of it. None is
//! ever forgotten: that it was made is what it is for. One that nobody asks for takes no time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    codec::{Decode, DecodeError, Encode, put_bytes, take_bytes},
    ensemble::Together,
    ensemble::{Addressed, Ensemble, Entry, Roles},
    error::{RecoverError, SubmitError},
    log::{Decided, Index},
    paxos::{self, CHOSEN},
    process::{Effect, Effects, Input, Process, Seat, Status, Submission, Ticket, Token},
    role::{Next, Role, Seated, Step},
    time::Time,
};

/// How many decisions there may be. Each stays for good.
pub const DECISIONS_MAX: usize = 1 << 16;

/// How long a name may be, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// For how long a decision is looked after that nobody waits for any more: others may still be at it.
const AWAKE: Duration = Duration::from_secs(60);

/// The name of a decision.
pub type Name = Arc<str>;

/// Something about one decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// Which.
    pub name: Name,
    /// What.
    pub what: T,
}

impl<T: Encode> Encode for Named<T> {
    fn size_hint(&self) -> usize {
        4 + self.name.len() + self.what.size_hint()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        self.what.encode(out);
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let name = take_bytes(input)?;
        let name = std::str::from_utf8(&name).ok().filter(|name| is_name(name));
        let name = name.ok_or(DecodeError::Invalid("name of a decision"))?.into();
        Ok(Self { name, what: T::decode(input)? })
    }
}

/// Tells whether a decision can be called that.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// What is asked of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Have something chosen, this value unless there is another. Answered by `Apply` with what is.
    Decide(Named<Submission>),
    /// Tell what is chosen, if anything is: linearizably. Answered by `Apply`; without a value
    /// nothing had been chosen when it was asked.
    Read(Named<Ticket>),
    /// The journal would give up old records that decisions rest on.
    MakeRoom,
}

/// A protocol that chooses one value, as decisions take it: it is asked as Basic Paxos is.
pub trait Decides: Roles<Record: Encode + Decode, Control = paxos::Control> {}

impl<R: Roles<Record: Encode + Decode, Control = paxos::Control>> Decides for R {}

/// The decisions of a node.
#[derive(Clone, Debug)]
pub struct Decisions<R: Decides> {
    common: R::Common,
    made: BTreeMap<Name, Decision<R>>,
    /// Those that are looked after, and until when if nobody waits for them.
    awake: BTreeMap<Name, Time>,
    /// The youngest record of all, and up to where they are durable.
    last: Token,
    durable: Token,
    /// Records that are not durable: their numbers, and whose they are, with their numbers there.
    pending: VecDeque<(Token, Name, Token)>,
    /// The oldest record that each decision needs.
    needed: BTreeSet<(Token, Name)>,
    /// The oldest of all, as the host was told last.
    kept: Token,
    /// The last record of those that were written anew, until it is durable: nothing is given up
    /// before.
    rewritten: Option<Token>,
}

#[derive(Clone, Debug)]
struct Decision<R: Decides> {
    roles: Ensemble<R>,
    chosen: Option<Bytes>,
    /// Who waits here, and who does for the learner alone.
    waiting: BTreeSet<Ticket>,
    ready: Vec<Ticket>,
    /// The records that it rests on, with their numbers among all; the first is its record `first`.
    records: VecDeque<(Token, Entry<R::Record>)>,
    first: Token,
}

impl<R: Decides> Decision<R> {
    /// Makes what a caller is told.
    fn answer(&self, ticket: Ticket, at: Index) -> Decided {
        let command = self.chosen.clone().filter(|_| at > Index::ZERO);
        Decided { index: at, command, ticket: Some(ticket) }
    }

    /// Tells whether somebody waits for what comes of it.
    fn is_wanted(&self) -> bool {
        !self.waiting.is_empty() || !self.ready.is_empty()
    }

    /// Gives up the records before one; returns the oldest that is left.
    fn give_up(&mut self, before: Token) -> Option<Token> {
        while self.first < before && self.records.pop_front().is_some() {
            self.first = self.first.next();
        }
        self.oldest()
    }

    /// Returns the number among all of the oldest record that it rests on.
    fn oldest(&self) -> Option<Token> {
        self.records.iter().map(|(number, _)| *number).min()
    }

    fn number(&self, token: Token) -> Option<Token> {
        let at = usize::try_from(token.0.checked_sub(self.first.0)?).ok()?;
        self.records.get(at).map(|(number, _)| *number)
    }
}

impl<R: Decides> Decisions<R> {
    /// Returns what was chosen, as far as this node knows.
    pub fn chosen(&self, name: &str) -> Option<&Bytes> {
        self.made.get(name)?.chosen.as_ref()
    }

    /// Returns the names of all that this node knows of, and whether it knows what was chosen.
    pub fn names(&self) -> impl Iterator<Item = (&Name, bool)> {
        self.made.iter().map(|(name, decision)| (name, decision.chosen.is_some()))
    }

    /// Tells whether nothing comes of ticks until something else happens.
    pub fn is_at_rest(&self) -> bool {
        self.awake.is_empty()
    }

    /// Finds a decision, or lets it come to be; `None` where there are too many.
    fn open(&mut self, name: &Name, now: Time) -> Option<&mut Decision<R>> {
        if !self.made.contains_key(name) {
            if self.made.len() >= DECISIONS_MAX || !is_name(name) {
                return None;
            }
            let roles = Ensemble::recover(self.common.clone(), now, []);
            let roles = roles.expect("without records nothing contradicts");
            self.made.insert(Arc::clone(name), Decision::begin(roles));
        }
        self.made.get_mut(name)
    }

    fn on_control(&mut self, now: Time, control: Control, out: &mut Effects<Self>) {
        let (name, ticket, input) = match control {
            Control::Decide(Named { name, what }) => (name, what.ticket, Input::Submit(vec![what])),
            Control::Read(Named { name, what }) => {
                (name, what, Input::Control(paxos::Control::Read(vec![what])))
            }
            Control::MakeRoom => return self.make_room(out),
        };
        let Some(decision) = self.open(&name, now) else {
            let error = SubmitError::Busy { limit: DECISIONS_MAX };
            return out.push(Effect::Answer { ticket, error });
        };
        decision.waiting.insert(ticket);
        self.feed(&name, now, input, out);
    }

    /// Feeds an input to a decision's roles, and takes note of what they ask for.
    fn feed(&mut self, name: &Name, now: Time, input: Input<Ensemble<R>>, out: &mut Effects<Self>) {
        // Learners ask each other of their own accord: that alone must not keep all awake.
        let mut moves = matches!(input, Input::Submit(_) | Input::Control(_));
        let Some(decision) = self.made.get_mut(name) else { return };
        let mut asked = Effects::default();
        decision.roles.step(now, input, &mut asked);
        for effect in asked.drain() {
            moves |= matches!(effect, Effect::Persist { .. });
            self.carry(name, effect, out);
        }
        if moves {
            self.awake.insert(Arc::clone(name), now + AWAKE);
        }
    }

    /// Passes on what a decision's roles ask for.
    fn carry(&mut self, name: &Name, effect: Effect<Ensemble<R>>, out: &mut Effects<Self>) {
        let decision = self.made.get_mut(name).expect("it has just been stepped");
        let named = || Arc::clone(name);
        out.push(match effect {
            Effect::Persist { token, record } => {
                self.last = self.last.next();
                if decision.records.is_empty() {
                    self.needed.insert((self.last, named()));
                }
                decision.records.push_back((self.last, record.clone()));
                self.pending.push_back((self.last, named(), token));
                Effect::Persist { token: self.last, record: Named { name: named(), what: record } }
            }
            Effect::Send { to, message, after } => {
                let after = after.and_then(|token| decision.number(token));
                let after = after.filter(|token| *token > self.durable);
                Effect::Send { to, message: Named { name: named(), what: message }, after }
            }
            Effect::Apply(decided) => {
                let value = decided.into_iter().find_map(|decided| decided.command);
                decision.chosen = decision.chosen.take().or(value);
                let ready = std::mem::take(&mut decision.ready).into_iter();
                if ready.len() == 0 {
                    return;
                }
                Effect::Apply(ready.map(|ticket| decision.answer(ticket, CHOSEN)).collect())
            }
            Effect::Compact { before } => {
                let oldest = decision.oldest();
                oldest.map(|oldest| self.needed.remove(&(oldest, named())));
                let oldest = decision.give_up(before);
                self.needed.extend(oldest.map(|oldest| (oldest, named())));
                match self.compact() {
                    Some(effect) => effect,
                    None => return,
                }
            }
            Effect::ReadReady { ticket, at } => {
                decision.waiting.remove(&ticket);
                // The proposer may know that something is chosen before the learner knows what.
                if at > Index::ZERO && decision.chosen.is_none() {
                    decision.ready.push(ticket);
                    return;
                }
                Effect::Apply(vec![decision.answer(ticket, at)])
            }
            Effect::Answer { ticket, error } => {
                decision.waiting.remove(&ticket);
                Effect::Answer { ticket, error }
            }
            // There is no leader, no operator and no snapshot.
            Effect::Done { .. } | Effect::Route { .. } | Effect::Snapshot(_) => return,
        });
    }

    /// Writes anew all that decisions rest on, since nothing else would: they are made once.
    fn make_room(&mut self, out: &mut Effects<Self>) {
        if self.rewritten.is_some() {
            return;
        }
        self.needed.clear();
        for (name, decision) in &mut self.made {
            for (number, record) in &mut decision.records {
                self.last = self.last.next();
                *number = self.last;
                let record = Named { name: Arc::clone(name), what: record.clone() };
                out.push(Effect::Persist { token: self.last, record });
            }
            let oldest = decision.oldest();
            self.needed.extend(oldest.map(|oldest| (oldest, Arc::clone(name))));
        }
        self.rewritten = Some(self.last);
    }

    fn compact(&mut self) -> Option<Effect<Self>> {
        if self.rewritten.is_some() {
            return None;
        }
        let before = self.needed.first().map_or_else(|| self.last.next(), |(oldest, _)| *oldest);
        if before <= self.kept {
            return None;
        }
        self.kept = before;
        Some(Effect::Compact { before })
    }

    fn on_persisted(&mut self, upto: Token, now: Time, out: &mut Effects<Self>) {
        self.durable = self.durable.max(upto);
        let mut durable: BTreeMap<Name, Token> = BTreeMap::new();
        while let Some((_, name, token)) = self.pending.pop_front_if(|(at, ..)| *at <= upto) {
            durable.insert(name, token);
        }
        for (name, upto) in durable {
            self.feed(&name, now, Input::Persisted { upto }, out);
        }
        if self.rewritten.take_if(|last| *last <= upto).is_some() {
            self.compact().into_iter().for_each(|effect| out.push(effect));
        }
    }

    /// Looks after those that are awake; what is chosen, and what nobody has asked for lately, is
    /// not.
    fn on_tick(&mut self, now: Time, out: &mut Effects<Self>) {
        for name in self.awake.keys().cloned().collect::<Vec<_>>() {
            self.feed(&name, now, Input::Tick, out);
        }
        let made = &self.made;
        self.awake.retain(|name, until| {
            let decision = made.get(name);
            decision.is_some_and(|it| it.is_wanted() || it.chosen.is_none() && now < *until)
        });
    }
}

impl<R: Decides> Decision<R> {
    fn begin(roles: Ensemble<R>) -> Self {
        let first = Token::default().next();
        let (waiting, ready, records) = (BTreeSet::new(), Vec::new(), VecDeque::new());
        Self { roles, chosen: None, waiting, ready, records, first }
    }
}

/// Returns the records of each role from the last one back to where one is missing: what lies before
/// that was given up, and is left of an attempt to write it anew.
fn unbroken<R>(entries: BTreeMap<(Seat, Token), (Token, Entry<R>)>) -> VecDeque<(Token, Entry<R>)> {
    let mut kept: VecDeque<(Token, Entry<R>)> = VecDeque::new();
    for ((seat, token), entry) in entries.into_iter().rev() {
        let next = kept.front().filter(|(_, next)| next.seat == seat);
        if next.is_none_or(|(_, next)| next.token == token.next()) {
            kept.push_front(entry);
        }
    }
    kept
}

/// The records of a decision by role and number, each with its number among all.
type Found<R> = BTreeMap<(Seat, Token), (Token, Entry<R>)>;

impl<R: Decides> Process for Decisions<R> {
    type Config = R::Common;
    type Message = Named<Addressed<R::Message>>;
    type Record = Named<Entry<R::Record>>;
    type Control = Control;

    fn recover(
        common: R::Common,
        now: Time,
        records: impl IntoIterator<Item = (Token, Self::Record)>,
    ) -> Result<Self, RecoverError> {
        // What was written anew is there twice, if the journal has not given up the former.
        let mut found: BTreeMap<Name, Found<R::Record>> = BTreeMap::new();
        let (mut kept, mut last) = (None, Token::default());
        for (number, Named { name, what }) in records {
            found.entry(name).or_default().insert((what.seat, what.token), (number, what));
            kept = kept.or(Some(number));
            last = number;
        }
        let (mut made, mut awake, mut needed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for (name, entries) in found {
            // By role, each in its order: the last attempt to write them anew may have got halfway.
            let entries = unbroken(entries);
            // Its records are counted anew in each life: what they are called outside is here.
            let first = Token::default().next();
            let counted =
                entries.iter().zip(first.0..).map(|((_, it), at)| (Token(at), it.clone()));
            let roles = Ensemble::recover(common.clone(), now, counted)?;
            // The learner says what it knows when it looks at the time.
            awake.insert(Arc::clone(&name), now + AWAKE);
            let decision = Decision { records: entries, ..Decision::begin(roles) };
            needed.extend(decision.oldest().map(|oldest| (oldest, Arc::clone(&name))));
            made.insert(name, decision);
        }
        let (pending, kept) = (VecDeque::new(), kept.unwrap_or_default());
        let rewritten = None;
        Ok(Self { common, made, awake, last, durable: last, pending, needed, kept, rewritten })
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Receive { from, message: Named { name, what } } => {
                if self.open(&name, now).is_some() {
                    self.feed(&name, now, Input::Receive { from, message: what }, out);
                }
            }
            Input::Persisted { upto } => self.on_persisted(upto, now, out),
            Input::Control(control) => self.on_control(now, control, out),
            Input::Submit(_) | Input::Snapshot(_) => {
                unreachable!("decisions are asked for by name, and take no snapshots")
            }
        }
    }
}

impl<R: Decides> Seated for Decisions<R> {
    type State = Self;
    type Role = Together;

    fn into_parts(self) -> (Self, Together) {
        (self, Together)
    }

    /// There is nobody to take the seat.
    fn preempt(_: &mut Self, _: Time, _: &Input<Self>, _: &mut Effects<Self>) -> Option<Together> {
        None
    }

    /// Decisions have no leader and no log.
    fn status(_: &Self, role: &'static str) -> Status {
        Status { role, ..Status::default() }
    }
}

impl<R: Decides> Step<Decisions<R>> for Together {
    fn name(&self) -> &'static str {
        "decisions"
    }

    fn step(
        &mut self,
        decisions: &mut Decisions<R>,
        now: Time,
        input: Input<Decisions<R>>,
        out: &mut Effects<Decisions<R>>,
    ) -> Next<Decisions<R>> {
        Process::step(decisions, now, input, out);
        Next::Stay
    }

    fn retire(&mut self, _: &mut Decisions<R>, _: &mut Effects<Decisions<R>>) {}
}

impl<R: Decides> Role<Decisions<R>> for Together {}
