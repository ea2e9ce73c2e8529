//! The search: states, breadth first, told apart by what their parts will do.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    Address, Effect, Effects, Index, Input, NodeId, Process, Seat, Submission, Ticket, Time,
    paxos::{ACCEPTOR, LEARNER, PROPOSER},
};

/// A protocol by which proposers and acceptors choose one value.
pub(crate) trait Party: Process<Message: PartialEq> {
    /// What votes are counted in.
    type Round: Clone + PartialEq;

    /// Feeds all that decides what the role will do.
    fn fingerprint(&self, out: &mut impl Hasher);

    /// Returns the round and the value that a message says its sender has voted for.
    fn vote(message: &Self::Message) -> Option<(Self::Round, &Bytes)>;

    /// Returns the value that a message says is chosen.
    fn claim(message: &Self::Message) -> Option<&Bytes>;

    /// Returns how many votes choose a value of a round.
    fn needed(round: &Self::Round) -> u32;

    /// Tells whether a message is left out: it does not arrive.
    fn is_left_out(message: &Self::Message) -> bool;

    /// Returns what makes the role give up what it does, if it may: that arrives, and then its
    /// timers run out.
    fn gives_up(&self) -> Option<Option<Self::Message>>;
}

/// What the search begins with.
pub(crate) struct Scene<P: Process> {
    /// In the order of their nodes, from the first: what they were asked is done.
    pub(crate) proposers: Vec<Part<P>>,
    pub(crate) acceptors: Vec<Part<P>>,
    /// What was sent so far.
    pub(crate) letters: Vec<Letter<P>>,
}

/// A role, and how often it may look at its clock.
#[derive(Clone, Debug)]
pub(crate) struct Part<P> {
    pub(crate) role: P,
    pub(crate) node: NodeId,
    pub(crate) seat: Seat,
    pub(crate) ticks: u32,
    ticked: u32,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter<P: Process> {
    from: NodeId,
    to: Address,
    message: P::Message,
}

impl<P: Party> PartialEq for Letter<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.from, self.to) == (other.from, other.to) && self.message == other.message
    }
}

impl<P: Party> Part<P> {
    pub(crate) fn new(role: P, node: NodeId, seat: Seat, ticks: u32) -> Self {
        Self { role, node, seat, ticks, ticked: 0 }
    }

    /// Asks a proposer for a value.
    pub(crate) fn submit(&mut self, value: &'static [u8]) -> Vec<Letter<P>> {
        let submission = Submission { ticket: Ticket(1), command: Bytes::from_static(value) };
        self.step(Input::Submit(vec![submission]))
    }

    /// Lets so much time pass that every timer runs out.
    pub(crate) fn tick(&mut self) -> Vec<Letter<P>> {
        self.ticked += 1;
        self.step(Input::Tick)
    }

    /// Steps the role; its disk writes at once. Returns what it sends to others than learners, but
    /// what it says is chosen.
    pub(crate) fn step(&mut self, input: Input<P>) -> Vec<Letter<P>> {
        let now = Time::ZERO + Duration::from_secs(1_000) * self.ticked;
        let (mut sent, mut inputs) = (Vec::new(), VecDeque::from([input]));
        while let Some(input) = inputs.pop_front() {
            let mut out = Effects::default();
            self.role.step(now, input, &mut out);
            for effect in out.drain() {
                match effect {
                    Effect::Persist { token, .. } => {
                        inputs.push_back(Input::Persisted { upto: token });
                    }
                    Effect::Send { to, message, .. } => {
                        let is_said = P::vote(&message).is_some() && to.seat != LEARNER;
                        let is_claimed = P::claim(&message).is_some();
                        let arrives = to.seat != LEARNER && !P::is_left_out(&message);
                        if arrives || is_said || is_claimed {
                            sent.push(Letter { from: self.node, to, message });
                        }
                    }
                    Effect::ReadReady { at, .. } => assert!(at <= Index(1)),
                    _ => {}
                }
            }
        }
        sent
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.node, self.seat, self.ticks, self.ticked).hash(&mut hasher);
        self.role.fingerprint(&mut hasher);
        hasher.finish()
    }
}

const PARTS_MAX: usize = 6;

/// What tells a state from others: its parts, by their numbers, and which letters were sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    parts: [u16; PARTS_MAX],
    sent: u128,
}

/// Those that voted for a value in a round: their letters.
struct Votes<R> {
    round: R,
    value: Bytes,
    letters: u128,
}

/// All that was seen: parts and letters by their numbers, and what comes of a letter for a part.
pub(crate) struct Search<P: Party> {
    parts: Vec<Part<P>>,
    numbers: BTreeMap<u64, u16>,
    letters: Vec<Letter<P>>,
    /// By part, then by letter.
    arrivals: Vec<Vec<Option<(u16, u128)>>>,
    ticks: Vec<Option<(u16, u128)>>,
    votes: Vec<Votes<P::Round>>,
    claims: Vec<(Bytes, u128)>,
    proposers: usize,
}

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    /// Which values are chosen in any state.
    pub(crate) outcomes: BTreeSet<BTreeSet<Bytes>>,
    /// What is broken in the last state, if anything is.
    pub(crate) broken: Option<&'static str>,
}

impl<P: Party> Search<P> {
    /// Visits all states that may follow a scene, or all until one is broken.
    #[expect(clippy::disallowed_types, reason = "states are only looked up, in no order")]
    pub(crate) fn explore(scene: Scene<P>) -> Found {
        let mut search = Self {
            parts: Vec::new(),
            numbers: BTreeMap::new(),
            letters: Vec::new(),
            arrivals: Vec::new(),
            ticks: Vec::new(),
            votes: Vec::new(),
            claims: Vec::new(),
            proposers: scene.proposers.len(),
        };
        let mut first = State { parts: [0; PARTS_MAX], sent: search.post(scene.letters) };
        for (place, part) in scene.proposers.into_iter().chain(scene.acceptors).enumerate() {
            first.parts[place] = search.number(part);
        }
        let mut seen = std::collections::HashSet::from([fingerprint(&first)]);
        let (mut queue, mut found) = (VecDeque::from([first]), Found::default());
        let mut next = Vec::new();
        while let Some(state) = queue.pop_front() {
            found.broken = search.judge(state.sent, &mut found.outcomes);
            if found.broken.is_some() {
                break;
            }
            search.next(state, &mut next);
            let fresh = next.drain(..).filter(|state| seen.insert(fingerprint(state)));
            queue.extend(fresh);
        }
        found.states = seen.len();
        found
    }

    fn number(&mut self, part: Part<P>) -> u16 {
        let next = u16::try_from(self.parts.len()).expect("there are few states of parts");
        let number = *self.numbers.entry(part.fingerprint()).or_insert(next);
        if number == next {
            self.parts.push(part);
            self.arrivals.push(Vec::new());
            self.ticks.push(None);
        }
        number
    }

    fn post(&mut self, letters: Vec<Letter<P>>) -> u128 {
        letters.into_iter().fold(0, |bits, letter| bits | 1 << self.letter(letter))
    }

    fn letter(&mut self, letter: Letter<P>) -> usize {
        if let Some(known) = self.letters.iter().position(|known| *known == letter) {
            return known;
        }
        let number = self.letters.len();
        assert!(number < 128, "there are more messages than bits");
        if let Some((round, value)) = P::vote(&letter.message) {
            let same = |votes: &&mut Votes<P::Round>| votes.round == round && votes.value == *value;
            match self.votes.iter_mut().find(same) {
                Some(votes) => votes.letters |= 1 << number,
                None => {
                    let value = value.clone();
                    self.votes.push(Votes { round, value, letters: 1 << number });
                }
            }
        }
        if let Some(value) = P::claim(&letter.message) {
            self.claims.push((value.clone(), 1 << number));
        }
        self.letters.push(letter);
        number
    }

    /// Tells what is broken in a state in which these letters were sent, and notes what is chosen.
    fn judge(&self, sent: u128, outcomes: &mut BTreeSet<BTreeSet<Bytes>>) -> Option<&'static str> {
        let is_chosen = |votes: &&Votes<P::Round>| {
            (votes.letters & sent).count_ones() >= P::needed(&votes.round)
        };
        let chosen: BTreeSet<&Bytes> =
            self.votes.iter().filter(is_chosen).map(|votes| &votes.value).collect();
        let claimed = self.claims.iter().filter(|(_, bit)| sent & bit != 0);
        let lies = claimed.into_iter().any(|(value, _)| !chosen.contains(value));
        let disagrees = chosen.len() > 1;
        if !outcomes.iter().any(|known| known.iter().eq(chosen.iter().copied())) {
            outcomes.insert(chosen.into_iter().cloned().collect());
        }
        if disagrees {
            return Some("two values are chosen");
        }
        lies.then_some("a value is said to be chosen that is not")
    }

    /// Lists the states that may follow.
    fn next(&mut self, state: State, next: &mut Vec<State>) {
        let mut left = state.sent;
        while left != 0 {
            let letter = left.trailing_zeros() as usize;
            left &= left - 1;
            let Letter { to, message, .. } = &self.letters[letter];
            if P::is_left_out(message) {
                continue;
            }
            let node = to.node.number() as usize - 1;
            let place = match to.seat {
                PROPOSER if node < self.proposers => node,
                ACCEPTOR => self.proposers + node,
                _ => continue,
            };
            let (part, sent) = self.arrives(state.parts[place], letter);
            let mut after = State { sent: state.sent | sent, ..state };
            after.parts[place] = part;
            if after != state {
                next.push(after);
            }
        }
        for place in 0..self.proposers {
            let part = &self.parts[state.parts[place] as usize];
            if part.ticked < part.ticks && part.role.gives_up().is_some() {
                let (part, sent) = self.ticks(state.parts[place]);
                let mut after = State { sent: state.sent | sent, ..state };
                after.parts[place] = part;
                next.push(after);
            }
        }
    }

    /// Returns what a part becomes when a letter arrives, and what it sends then.
    fn arrives(&mut self, part: u16, letter: usize) -> (u16, u128) {
        let known = self.arrivals[part as usize].get(letter).copied().flatten();
        if let Some(known) = known {
            return known;
        }
        let mut after = self.parts[part as usize].clone();
        let Letter { from, message, .. } = self.letters[letter].clone();
        let sent = after.step(Input::Receive { from, message });
        let done = (self.number(after), self.post(sent));
        let arrivals = &mut self.arrivals[part as usize];
        arrivals.resize(arrivals.len().max(letter + 1), None);
        arrivals[letter] = Some(done);
        done
    }

    /// Returns what a part becomes when its timer runs out, and what it sends then.
    fn ticks(&mut self, part: u16) -> (u16, u128) {
        if let Some(known) = self.ticks[part as usize] {
            return known;
        }
        let mut after = self.parts[part as usize].clone();
        let mut sent = Vec::new();
        if let Some(message) = after.role.gives_up().flatten() {
            sent.extend(after.step(Input::Receive { from: after.node, message }));
        }
        sent.extend(after.tick());
        let done = (self.number(after), self.post(sent));
        self.ticks[part as usize] = Some(done);
        done
    }
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
