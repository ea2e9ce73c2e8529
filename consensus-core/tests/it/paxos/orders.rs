//! Every order in which the messages of a few ballots can arrive.
//!
//! Proposers with a value and a ballot each, and three acceptors, are stepped as a host steps them,
//! by disks that write at once. A message that was sent may arrive at any time, again and again, or
//! never, so what is in the network only grows. Parts are told apart by what they will do
//! (`Role::fingerprint`).
//!
//! What is left out changes nothing of what acceptors do: refusals, behind which a proposer would
//! begin another ballot, which is another proposer here; and that proposers and learners hear what
//! was accepted. What is chosen is read off the messages: whatever was accepted stays said.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;
use consensus_core::{
    Address, Effect, Effects, GroupId, Input, Members, NodeId, Process, Seat, Submission, Ticket,
    Time,
    paxos::{ACCEPTOR, Ballot, Config, LEARNER, Message, PROPOSER, Role},
};

use crate::{bug, node::id};

const ACCEPTORS: u64 = 3;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Letter {
    from: NodeId,
    to: Address,
    message: Message,
}

/// What tells a state from others: its parts, by their numbers, and which letters were sent.
type State = ([u32; 6], u128);

/// All that was seen: parts and letters by their numbers, and what comes of a letter for a part.
#[derive(Default)]
struct Search {
    parts: Vec<Role>,
    numbers: BTreeMap<u64, u32>,
    letters: Vec<Letter>,
    steps: BTreeMap<(u32, usize), (u32, u128)>,
}

fn value(node: NodeId) -> Bytes {
    Bytes::copy_from_slice(&[b'a' + node.number() as u8])
}

fn role(node: NodeId, seat: Seat) -> Role {
    let acceptors = Members::new((1..=ACCEPTORS).map(id)).expect("there are some");
    let builder = bug::paxos(Config::builder(node, GroupId(1), acceptors));
    let config = builder.build().expect("the values fit");
    Role::recover((config, seat), Time::ZERO, []).expect("nothing is wrong with nothing")
}

/// Steps a role; its disk writes at once. Returns what it sends.
fn step(role: &mut Role, input: Input<Role>) -> Vec<Letter> {
    let (mut sent, mut inputs) = (Vec::new(), VecDeque::from([input]));
    while let Some(input) = inputs.pop_front() {
        let mut out = Effects::default();
        role.step(Time::ZERO, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Persist { token, .. } => inputs.push_back(Input::Persisted { upto: token }),
                Effect::Send { message: Message::Nack { .. }, .. }
                | Effect::Send { to: Address { seat: LEARNER, .. }, .. } => {}
                Effect::Send { to, message, .. } => {
                    sent.push(Letter { from: role.config().id(), to, message });
                }
                _ => {}
            }
        }
    }
    sent
}

impl Search {
    fn number(&mut self, role: Role) -> u32 {
        let mut hasher = DefaultHasher::new();
        (role.config().id(), role.seat()).hash(&mut hasher);
        role.fingerprint(&mut hasher);
        let next = self.parts.len() as u32;
        let number = *self.numbers.entry(hasher.finish()).or_insert(next);
        if number == next {
            self.parts.push(role);
        }
        number
    }

    fn post(&mut self, letters: Vec<Letter>) -> u128 {
        let mut bits = 0;
        for letter in letters {
            let known = self.letters.iter().position(|known| *known == letter);
            let number = known.unwrap_or_else(|| {
                self.letters.push(letter);
                self.letters.len() - 1
            });
            assert!(number < 128, "there are more messages than bits");
            bits |= 1 << number;
        }
        bits
    }

    /// Returns what a part becomes when a letter arrives, and what it sends then.
    fn arrives(&mut self, part: u32, letter: usize) -> (u32, u128) {
        if let Some(known) = self.steps.get(&(part, letter)) {
            return *known;
        }
        let mut role = self.parts[part as usize].clone();
        let Letter { from, message, .. } = self.letters[letter].clone();
        let sent = step(&mut role, Input::Receive { from, message });
        let done = (self.number(role), self.post(sent));
        self.steps.insert((part, letter), done);
        done
    }

    fn begin(&mut self, proposers: u64) -> State {
        let (mut parts, mut sent) = ([0; 6], 0);
        for node in 1..=3 {
            let mut proposer = role(id(node), PROPOSER);
            if node <= proposers {
                let submission = Submission { ticket: Ticket(1), command: value(id(node)) };
                let letters = step(&mut proposer, Input::Submit(vec![submission]));
                sent |= self.post(letters);
            }
            parts[node as usize - 1] = self.number(proposer);
            parts[node as usize + 2] = self.number(role(id(node), ACCEPTOR));
        }
        (parts, sent)
    }

    /// Returns the states that may follow.
    fn next(&mut self, (parts, sent): State) -> Vec<State> {
        let mut states = Vec::new();
        let there: Vec<usize> =
            (0..self.letters.len()).filter(|number| sent >> number & 1 == 1).collect();
        for letter in there {
            let Letter { to, message, .. } = &self.letters[letter];
            if matches!(message, Message::Accepted { .. }) {
                continue;
            }
            let node = to.node.number() as usize;
            let place = if to.seat == ACCEPTOR { node + 2 } else { node - 1 };
            let (part, more) = self.arrives(parts[place], letter);
            let mut next = (parts, sent | more);
            next.0[place] = part;
            states.push(next);
        }
        states
    }

    /// Returns the values that are chosen, by what acceptors have said.
    fn chosen(&self, sent: u128) -> BTreeSet<Bytes> {
        let mut votes: BTreeMap<(Ballot, Bytes), BTreeSet<NodeId>> = BTreeMap::new();
        for (number, letter) in self.letters.iter().enumerate() {
            if let (Message::Accepted { proposal }, 1) = (&letter.message, sent >> number & 1) {
                let vote = votes.entry((proposal.ballot, proposal.value.clone())).or_default();
                vote.insert(letter.from);
            }
        }
        let chosen = votes.into_iter().filter(|(_, voters)| voters.len() * 2 > ACCEPTORS as usize);
        chosen.map(|((_, value), _)| value).collect()
    }
}

/// Returns how many states there are, and which values are chosen in any of them; stops at a state
/// in which two are.
fn explore(proposers: u64) -> (usize, BTreeSet<BTreeSet<Bytes>>) {
    let mut search = Search::default();
    let first = search.begin(proposers);
    let (mut seen, mut queue) = (BTreeSet::from([first]), VecDeque::from([first]));
    let mut outcomes = BTreeSet::new();
    while let Some(state) = queue.pop_front() {
        let chosen = search.chosen(state.1);
        let is_broken = chosen.len() > 1;
        outcomes.insert(chosen);
        if is_broken {
            break;
        }
        for next in search.next(state) {
            if seen.insert(next) {
                queue.push_back(next);
            }
        }
    }
    (seen.len(), outcomes)
}

/// Three ballots, of which each may find what the ones before it left.
const BALLOTS: u64 = 3;

// Goal: whatever the order in which messages arrive, one value is chosen, and any may be.
#[test]
fn no_order_of_messages_chooses_two_values() {
    let (states, outcomes) = explore(BALLOTS);
    eprintln!("{BALLOTS} ballots: {states} states");
    let any = (1..=BALLOTS).map(|node| BTreeSet::from([value(id(node))]));
    assert_eq!(outcomes, [BTreeSet::new()].into_iter().chain(any).collect());
}

// Goal: the orders show each bug by which two values may be chosen without a crash, a refusal or a
// later round.
#[cfg(feature = "mutants")]
#[test]
fn orders_of_messages_find_paxos_bugs() {
    use consensus_core::{mutants::Bug, paxos::Mutant};
    for mutant in [
        Mutant::RoundsAlone,
        Mutant::PromiseGoesBack,
        Mutant::PromiseQuorumOffByOne,
        Mutant::DuplicatePromiseCounts,
        Mutant::FirstAcceptedProposed,
        Mutant::OwnValueFirst,
        Mutant::LatePromiseCounts,
        Mutant::PromiseIgnored,
        Mutant::AcceptLeavesPromise,
    ] {
        let outcomes = bug::with(Some(Bug::Paxos(mutant)), || explore(BALLOTS).1);
        let outcomes = outcomes.expect("nothing stops itself");
        let disagree = outcomes.iter().any(|chosen| chosen.len() > 1);
        assert!(disagree, "{} is not found", mutant.name());
    }
}
