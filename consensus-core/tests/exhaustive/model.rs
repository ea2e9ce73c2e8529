//! The cluster as a model: its states, and what may happen in each.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU32, Ordering},
};

use consensus_core::raft::Message;
use stateright::{Model, Property};

use crate::{
    Bounds, NODES, TERMS_MAX,
    host::{Event, Fault},
    properties,
    symmetry::{WAYS, place},
    world::{Letter, Node, Outcome, Part, Stamp, Step, World},
};

/// The cluster and what it has done so far, as far as it matters for what must hold.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) nodes: [&'static Node; NODES],
    /// Messages on their way, in order of their numbers.
    pub(crate) network: Vec<&'static Letter>,
    pub(crate) past: Past,
    key: u64,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    pub(crate) submitted: u8,
    pub(crate) heartbeats: u8,
    /// Which node is the one that may crash.
    pub(crate) doomed: Option<u8>,
    /// Whether a crash lost a record.
    pub(crate) lost: bool,
    /// Who led each term: a bit for each node.
    pub(crate) leaders: [u8; TERMS_MAX],
    /// All that any replica committed.
    pub(crate) committed: &'static [Stamp],
    /// Which commands were acknowledged: a bit for each.
    pub(crate) acknowledged: u8,
    pub(crate) fault: Option<Fault>,
}

/// What may happen.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Action {
    Tick(usize),
    Deliver(&'static Letter),
    Submit(usize, u8),
    Persist(usize),
    Crash(usize),
}

/// A cluster within bounds.
pub(crate) struct Cluster {
    bounds: Bounds,
    world: World,
    /// Which properties were reached: a bit for each.
    reached: AtomicU32,
}

impl Cluster {
    /// Makes the model of a cluster.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, world: World::default(), reached: AtomicU32::new(0) }
    }

    /// Tells how many states of nodes and how many messages there were.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        self.world.sizes()
    }

    /// Tells whether a property is reached for the first time: later ways to it are not kept.
    pub(crate) fn is_first(&self, bit: u32) -> bool {
        self.reached.load(Ordering::Relaxed) & 1 << bit == 0
            && self.reached.fetch_or(1 << bit, Ordering::Relaxed) & 1 << bit == 0
    }

    /// Changes a state by an action, but not its key.
    fn carry_out(&self, state: &mut State, action: Action) {
        if let Action::Deliver(letter) = action {
            let at = state.network.iter().position(|other| *other == letter);
            state.network.remove(at.expect("only what is on its way is delivered"));
        }
        let outcome = self.outcome(state, action);
        let position = outcome.node.position;
        state.past = state.past.after(action, state.nodes[position], outcome);
        state.nodes[position] = outcome.node;
        state.network.extend(&outcome.sent);
        let nodes = state.nodes;
        state.network.retain(|letter| !self.is_dead(letter, &nodes));
        state.network.sort_unstable_by_key(|letter| letter.number);
    }

    /// Returns an action that may as well be taken at once, if there is one.
    fn forced(&self, state: &State) -> Option<Action> {
        let is_settled = |letter: &&&Letter| self.is_settled(letter, &state.nodes);
        let settled = || state.network.iter().find(is_settled).copied().map(Action::Deliver);
        state.eager().map(Action::Persist).or_else(settled)
    }

    fn outcome(&self, state: &State, action: Action) -> &'static Outcome {
        let step = |position: usize, step, event: fn() -> Event| {
            self.world.step(state.nodes[position], step, event)
        };
        match action {
            Action::Tick(position) => step(position, Step::Tick, || Event::Tick),
            Action::Persist(position) => step(position, Step::Persist, || Event::Persist),
            Action::Crash(position) => step(position, Step::Crash, || Event::Crash),
            Action::Submit(position, number) => {
                let event = || Event::Submit(number);
                self.world.step(state.nodes[position], Step::Submit(number), event)
            }
            Action::Deliver(letter) => {
                let Letter { number, from, to, message, .. } = letter;
                let event = || Event::Receive { from: *from, message: message.clone() };
                self.world.step(state.nodes[*to], Step::Receive(*number), event)
            }
        }
    }

    /// Tells whether a question is answered the same whenever it arrives, and changes nothing
    /// where it does.
    fn is_settled(&self, letter: &Letter, nodes: &[&'static Node; NODES]) -> bool {
        let to = nodes[letter.to];
        if to.disk_term < self.bounds.terms || to.waits {
            return false;
        }
        match letter.message {
            Message::Vote { .. } => {
                letter.term < to.disk_term || to.disk_vote.is_some_and(|vote| vote != letter.from)
            }
            Message::Append { .. } | Message::Heartbeat { .. } => letter.term < to.disk_term,
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::VoteReply { .. }
            | Message::AppendReply { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow { .. }
            | Message::Rest { .. }
            | Message::RestReply { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => false,
        }
    }

    /// Tells whether nothing can ever come of a message any more.
    ///
    /// What rests on a durable term holds for good: no crash takes it back, and terms only
    /// increase.
    fn is_dead(&self, letter: &Letter, nodes: &[&'static Node; NODES]) -> bool {
        let (to, from) = (nodes[letter.to], nodes[letter.from]);
        let campaigns = |node: &Node| node.part == Part::Candidate && node.term == letter.term;
        let leads = |node: &Node| node.part == Part::Leader && node.term == letter.term;
        // Nobody has news for a sender that has reached the last term.
        let knows_all = from.disk_term >= self.bounds.terms;
        match letter.message {
            // An answer is for who campaigns or leads in its term, or is news of a later one.
            // Nobody begins to campaign or lead in a term that it has on its disk already.
            // Nobody reads, and no log becomes so long that a snapshot is taken.
            Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => false,
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::TimeoutNow { .. }
            | Message::Rest { .. }
            | Message::RestReply { .. } => false,
            Message::VoteReply { .. } => {
                letter.term < to.disk_term || letter.term == to.disk_term && !campaigns(to)
            }
            // A candidate may yet read it as a leader.
            Message::AppendReply { .. } | Message::HeartbeatReply { .. } => {
                letter.term < to.disk_term
                    || letter.term == to.disk_term && !leads(to) && !campaigns(to)
            }
            // Who has voted in the term, or left it behind, only answers.
            Message::Vote { .. } => {
                let has_voted = letter.term == to.disk_term && to.disk_vote.is_some();
                let only_answers = letter.term < to.disk_term || has_voted;
                only_answers && knows_all && from.part != Part::Candidate
            }
            Message::Append { .. } | Message::Heartbeat { .. } => {
                letter.term < to.disk_term && knows_all && from.part == Part::Follower
            }
        }
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let past = Past {
            submitted: 0,
            heartbeats: 0,
            doomed: (self.bounds.crashes > 0).then_some(0),
            lost: false,
            leaders: [0; TERMS_MAX],
            committed: &[],
            acknowledged: 0,
            fault: None,
        };
        let nodes = std::array::from_fn(|position| self.world.start(position));
        vec![State::new(nodes, Vec::new(), past)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let (bounds, past) = (&self.bounds, &state.past);
        for (position, node) in state.nodes.iter().enumerate() {
            let leads = node.part == Part::Leader;
            if leads && past.heartbeats < bounds.heartbeats || !leads && node.term < bounds.terms {
                actions.push(Action::Tick(position));
            }
            if leads && past.submitted < bounds.commands {
                actions.push(Action::Submit(position, past.submitted + 1));
            }
            if node.waits {
                actions.push(Action::Persist(position));
            }
            if past.doomed == Some(position as u8) {
                actions.push(Action::Crash(position));
            }
        }
        // Two that are equal are delivered to the same end.
        let mut last = None;
        for letter in &state.network {
            if last.replace(letter.number) != Some(letter.number) {
                actions.push(Action::Deliver(letter));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let mut action = Some(action);
        while let Some(present) = action {
            self.carry_out(&mut next, present);
            action = self.forced(&next);
        }
        next.key = next.least_key();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.bounds)
    }
}

impl Past {
    fn after(mut self, action: Action, before: &Node, outcome: &Outcome) -> Self {
        let after = outcome.node;
        match action {
            Action::Tick(_) if before.part == Part::Leader => self.heartbeats += 1,
            Action::Submit(..) => self.submitted += 1,
            Action::Crash(_) => {
                self.doomed = None;
                self.lost |= before.waits;
            }
            Action::Tick(_) | Action::Deliver(_) | Action::Persist(_) => {}
        }
        if after.part == Part::Leader {
            self.leaders[after.term as usize - 1] |= 1 << after.position;
        }
        if after.committed > self.committed.len() {
            self.committed = &after.log[..after.committed];
        }
        self.fault = self.fault.or(outcome.fault);
        for number in &outcome.acknowledged {
            if self.acknowledged & 1 << number != 0 {
                self.fault = Some(Fault::AcknowledgedTwice);
            }
            self.acknowledged |= 1 << number;
        }
        self
    }
}

impl State {
    fn new(nodes: [&'static Node; NODES], network: Vec<&'static Letter>, past: Past) -> Self {
        let mut state = Self { nodes, network, past, key: 0 };
        state.key = state.least_key();
        state
    }

    fn least_key(&self) -> u64 {
        let past = self.past.mark();
        let keys = (0..WAYS).map(|way| self.renamed_key(way, past));
        keys.min().expect("there are ways")
    }

    /// Returns a node whose disk need not be waited for.
    fn eager(&self) -> Option<usize> {
        let is_eager = |node: &&&Node| {
            node.waits && node.part != Part::Leader && self.past.doomed != Some(node.position as u8)
        };
        self.nodes.iter().find(is_eager).map(|node| node.position)
    }

    /// Hashes the state with its nodes renamed.
    fn renamed_key(&self, way: usize, past: u64) -> u64 {
        let mut nodes = [0; NODES];
        let mut roles = [0; NODES];
        for (position, node) in self.nodes.iter().enumerate() {
            let led = self.past.leaders.map(|leaders| leaders >> position & 1);
            let doomed = self.past.doomed == Some(position as u8);
            let place = place(way, position);
            nodes[place] = node.marks[way];
            roles[place] = u64::from(led[0] | led[1] << 1 | u8::from(doomed) << 2);
        }
        // A sum has no order, as the network has none.
        let letters = self.network.iter().map(|letter| letter.marks[way]);
        let network = letters.fold(0, u64::wrapping_add);
        let roles = roles.into_iter().fold(0, |all, one| all << 3 | one);
        nodes.into_iter().chain([network, roles]).fold(past, mix)
    }
}

impl Past {
    /// Hashes what names no nodes.
    fn mark(&self) -> u64 {
        let Self { submitted, heartbeats, doomed: _, lost, leaders: _, .. } = *self;
        let flags = [submitted, heartbeats, u8::from(lost), self.acknowledged];
        let fault = u64::from(self.fault.is_some());
        let start = mix(u64::from(u32::from_le_bytes(flags)), fault);
        let committed = self.committed.iter();
        committed.fold(start, |mark, (term, number)| {
            mix(mark, u64::from(*term) << 8 | u64::from(*number))
        })
    }
}

fn mix(left: u64, right: u64) -> u64 {
    let wide = u128::from(left ^ 0x9e37_79b9_7f4a_7c15) * u128::from(right ^ 0xd6e8_feb8_6659_fd93);
    (wide as u64 ^ (wide >> 64) as u64).rotate_left(23) ^ left
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.past)?;
        self.nodes.iter().try_for_each(|node| writeln!(f, "  {node:?}"))?;
        self.network.iter().try_for_each(|letter| writeln!(f, "  {letter:?}"))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(node) => write!(f, "n{} waits until its timer fires", node + 1),
            Self::Deliver(letter) => write!(f, "{letter:?}"),
            Self::Submit(node, number) => write!(f, "n{} takes command {number}", node + 1),
            Self::Persist(node) => write!(f, "n{} has a record durable", node + 1),
            Self::Crash(node) => write!(f, "n{} crashes and restarts", node + 1),
        }
    }
}
