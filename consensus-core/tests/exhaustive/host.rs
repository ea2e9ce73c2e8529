//! A node as a host runs it: the real replica, its disk, and what waits for the disk.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Index, Input, Members, NodeId, Process, Submission, Ticket, Time,
    Token,
    raft::{Config, Message, Raft, Record, Role},
};

use crate::{NODES, TERMS_MAX};

/// What happens on one node.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// So much time passes that every timer fires.
    Tick,
    /// A message arrives.
    Receive { from: usize, message: Message },
    /// A client submits the command of this number.
    Submit(u8),
    /// The oldest record that waits becomes durable, and the replica is told.
    Persist,
    /// The node crashes, and starts again from what is durable.
    Crash,
}

/// What only a step can do wrong, and no state shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Panicked,
    VotedTwice,
    WentBack,
    LeaderOverwrote,
    CompactedTooMuch,
    AcknowledgedTwice,
}

/// What a step does besides changing its node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) sent: Vec<(usize, Message)>,
    pub(crate) acknowledged: Vec<u8>,
    pub(crate) fault: Option<Fault>,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) config: Config,
    pub(crate) raft: Raft,
    clock: Duration,
    pub(crate) durable: Vec<(Token, Record)>,
    pub(crate) waiting: VecDeque<(Token, Record)>,
    /// Messages that wait for a record to be durable.
    pub(crate) held: Vec<(Token, usize, Message)>,
    /// The durable votes, by term.
    pub(crate) votes: [Option<NodeId>; TERMS_MAX],
}

/// Longer than any timer, so that one tick fires it.
const FOREVER: Duration = Duration::from_secs(10);

impl Host {
    /// Starts the node at `position` with an empty disk.
    pub(crate) fn new(position: usize) -> Self {
        let members = Members::new((0..NODES).map(id)).expect("there are nodes");
        let config = Config::builder(id(position), GroupId::named("test"), members)
            .append_window(1)
            .rests(false)
            .pre_vote(false)
            .check_quorum(false)
            .build()
            .expect("the bounds are valid");
        let raft = Raft::recover(config.clone(), Time::ZERO, []).expect("nothing is wrong");
        Self {
            config,
            raft,
            clock: Duration::ZERO,
            durable: Vec::new(),
            waiting: VecDeque::new(),
            held: Vec::new(),
            votes: [None; TERMS_MAX],
        }
    }

    /// Lets an event happen.
    pub(crate) fn act(&mut self, event: Event) -> Told {
        let mut told = Told::default();
        match event {
            Event::Tick => {
                self.clock += FOREVER;
                self.step(Input::Tick, &mut told);
            }
            Event::Receive { from, message } => {
                self.step(Input::Receive { from: id(from), message }, &mut told);
            }
            Event::Submit(number) => {
                let command = Bytes::from(vec![number]);
                let submission = Submission { ticket: Ticket(number.into()), command };
                self.step(Input::Submit(vec![submission]), &mut told);
            }
            Event::Persist => self.persist(&mut told),
            Event::Crash => {
                self.waiting.clear();
                self.held.clear();
                self.raft = self.recovered();
            }
        }
        told
    }

    /// Rebuilds the replica from its disk, as a restart does.
    pub(crate) fn recovered(&self) -> Raft {
        Raft::recover(self.config.clone(), self.now(), self.durable.iter().cloned())
            .expect("a disk that lost nothing durable recovers")
    }

    fn now(&self) -> Time {
        Time::after_start(self.clock)
    }

    fn persist(&mut self, told: &mut Told) {
        let (token, record) = self.waiting.pop_front().expect("only what waits is persisted");
        if let Record::Vote { term, voted_for: Some(vote) } = record {
            let first = *self.votes[term.0 as usize - 1].get_or_insert(vote);
            if first != vote {
                told.fault = Some(Fault::VotedTwice);
            }
        }
        self.durable.push((token, record));
        let free: Vec<_> = self.held.extract_if(.., |held| held.0 == token).collect();
        told.sent.extend(free.into_iter().map(|(_, to, message)| (to, message)));
        self.step(Input::Persisted { upto: token }, told);
    }

    fn step(&mut self, input: Input<Raft>, told: &mut Told) {
        let before = self.raft.clone();
        let now = self.now();
        let mut out = Effects::default();
        // A broken assertion shall be found like any other violation: with the way to it.
        let stepped = catch_unwind(AssertUnwindSafe(|| self.raft.step(now, input, &mut out)));
        if stepped.is_err() {
            told.fault = Some(Fault::Panicked);
            return;
        }
        for effect in out.drain() {
            self.carry_out(effect, told);
        }
        let fault = self.judge(&before);
        told.fault = told.fault.or(fault);
    }

    fn carry_out(&mut self, effect: Effect<Raft>, told: &mut Told) {
        match effect {
            Effect::Persist { token, record } => self.waiting.push_back((token, record)),
            Effect::Send { to, message, after } => {
                let durable = self.durable.last().map_or(Token(0), |(token, _)| *token);
                match after.filter(|token| *token > durable) {
                    Some(token) => self.held.push((token, position(to.node), message)),
                    None => told.sent.push((position(to.node), message)),
                }
            }
            Effect::Apply(decided) => {
                // A client is told as soon as its command is decided where it was submitted.
                let own = decided.iter().filter(|entry| entry.ticket.is_some());
                let commands = own.filter_map(|entry| entry.command.as_ref());
                told.acknowledged.extend(commands.filter_map(|command| command.first()));
            }
            Effect::Compact { before } => {
                let had = self.recovered();
                self.durable.retain(|(token, _)| *token >= before);
                let has = self.recovered();
                let (had, has) = (had.state(), has.state());
                let promised = (had.term(), had.voted_for(), had.log());
                if promised != (has.term(), has.voted_for(), has.log()) {
                    told.fault = Some(Fault::CompactedTooMuch);
                }
            }
            // No client waits here for what was refused, nobody reads, and no log becomes so long
            // that a snapshot is taken.
            Effect::Snapshot(_)
            | Effect::Answer { .. }
            | Effect::Done { .. }
            | Effect::ReadReady { .. }
            | Effect::Route { .. } => {}
        }
    }

    fn judge(&self, before: &Raft) -> Option<Fault> {
        let (old, new) = (before.state(), self.raft.state());
        if new.term() < old.term() || new.committed() < old.committed() {
            return Some(Fault::WentBack);
        }
        let led = matches!((before.role(), self.raft.role()), (Role::Leader(_), Role::Leader(_)));
        let entries = |raft: &Raft| raft.state().log().from(Index(1)).to_vec();
        if led && old.term() == new.term() && !entries(&self.raft).starts_with(&entries(before)) {
            return Some(Fault::LeaderOverwrote);
        }
        None
    }
}

/// Returns the id of the node at `position`.
pub(crate) fn id(position: usize) -> NodeId {
    NodeId::new(position as u64 + 1).expect("positive")
}

/// Returns the position of a node.
pub(crate) fn position(id: NodeId) -> usize {
    id.number() as usize - 1
}
