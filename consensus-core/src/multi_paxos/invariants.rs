//! Multi-Paxos's safety properties, checked after every step of every test.
//!
//! The observer counts votes itself, from what acceptors have made durable: what is chosen does not
//! depend on what any leader or learner thinks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use super::violation::Violation;
use super::{
    LEARNER, PROPOSER,
    ballot::Ballot,
    config::Config,
    message::{Message, Value},
    record::Record,
    role::Role,
};
use crate::{
    codec::Encode,
    ensemble::{Addressed, Ensemble, Entry},
    log::{Decided, Index},
    members::NodeId,
    membership::Membership,
    paxos::{Quorums, Round},
    process::{Effect, Token},
    sim::Broken,
    snapshot::Order,
    time::Time,
};

/// What acceptors have made durable of one value in one slot under one ballot.
#[derive(Clone, Debug)]
struct Decree {
    value: u64,
    /// The configuration, if it is one.
    membership: Option<Membership>,
    holders: BTreeSet<NodeId>,
}

/// What was seen of a node.
#[derive(Clone, Debug, Default)]
struct Mirror {
    /// Records that are not durable.
    waiting: VecDeque<(Token, Record)>,
    /// What is.
    round: Round,
    promised: Option<Ballot>,
    /// Slots up to here the acceptor may have let go.
    base: Index,
    applied: Index,
    leads: Option<Ballot>,
    lease: Option<(Ballot, Time)>,
}

/// What has been seen of a group so far; it judges each new sight against it.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    /// The configurations that were chosen, by their slots; the first is that of the founders.
    configurations: BTreeMap<Index, Membership>,
    /// What says how many make a quorum.
    config: Option<Config>,
    /// The configurations that ballots have proposed.
    stops: BTreeMap<Ballot, Index>,
    decrees: BTreeMap<(Index, Ballot), Decree>,
    /// What is chosen, and the first ballot that chose it.
    chosen: BTreeMap<Index, (Ballot, u64)>,
    mirrors: BTreeMap<NodeId, Mirror>,
}

fn digest(value: &Value) -> u64 {
    twox_hash::XxHash3_64::oneshot(&value.encoded())
}

impl Decree {
    fn of(value: &Value) -> Self {
        let membership = value.membership().cloned();
        Self { value: digest(value), membership, holders: BTreeSet::new() }
    }
}

impl Observer {
    /// Looks at a node that was rebuilt from its disk.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn recovered(&mut self, process: &Ensemble<Role>) -> Result<(), Violation> {
        let node = process.node();
        if let Some(Role::Proposer(proposer)) = process.role(PROPOSER)
            && self.config.is_none()
        {
            let founders = proposer.config().membership().clone();
            self.configurations.insert(Index::ZERO, founders);
            self.config = Some(proposer.config().clone());
        }
        // Records that were on their way may have reached the disk, from the oldest on.
        self.durable(node, process.last())?;
        let mirror = self.mirrors.entry(node).or_default();
        mirror.waiting.clear();
        mirror.leads = None;
        mirror.applied = match process.role(LEARNER) {
            Some(Role::Learner(learner)) => learner.snapshot().map_or(Index::ZERO, |it| it.index),
            Some(_) | None => Index::ZERO,
        };
        self.remembers(process)
    }

    /// What was durable is not forgotten.
    fn remembers(&self, process: &Ensemble<Role>) -> Result<(), Violation> {
        let node = process.node();
        let fail = |what| Err(Violation::Promise { node, what });
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        let Some(Role::Acceptor(acceptor)) = process.role(super::ACCEPTOR) else { return Ok(()) };
        if acceptor.promised() < mirror.promised {
            return fail("has forgotten what it promised");
        }
        let held = self.decrees.iter().filter(|(_, decree)| decree.holders.contains(&node));
        for ((slot, ballot), _) in held.filter(|((slot, _), _)| *slot > mirror.base) {
            if acceptor.accepted(*slot).is_none_or(|vote| vote < *ballot) {
                return fail("has forgotten what it accepted");
            }
        }
        Ok(())
    }

    /// Looks at a node after a step that asked for `effects`.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn observe(
        &mut self,
        process: &Ensemble<Role>,
        effects: &[Effect<Ensemble<Role>>],
    ) -> Result<(), Violation> {
        let node = process.node();
        for effect in effects {
            match effect {
                Effect::Persist { token, record: Entry { record, .. } } => {
                    if let Record::Accepted { ballot, first, values, .. } = record {
                        self.proposed(*ballot, *first, values)?;
                    }
                    let mirror = self.mirrors.entry(node).or_default();
                    mirror.waiting.push_back((*token, record.clone()));
                }
                Effect::Send {
                    message:
                        Addressed { message: Message::Accept { ballot, first, values, .. }, .. },
                    ..
                } => {
                    self.proposed(*ballot, *first, values)?;
                }
                Effect::Apply(decided) => self.applied(node, decided)?,
                Effect::Snapshot(Order::Restore(snapshot)) => {
                    let mirror = self.mirrors.entry(node).or_default();
                    let (slot, after) = (snapshot.index, mirror.applied);
                    // One that has lost its state may be given the same again.
                    if slot < after {
                        return Err(Violation::Order { node, slot, after });
                    }
                    mirror.applied = slot;
                }
                Effect::Send { .. }
                | Effect::ReadReady { .. }
                | Effect::Answer { .. }
                | Effect::Done { .. }
                | Effect::Route { .. }
                | Effect::Compact { .. }
                | Effect::Snapshot(_) => {}
            }
        }
        let leads = match process.role(PROPOSER) {
            Some(Role::Proposer(proposer)) if proposer.leads() => proposer.ballot(),
            Some(_) | None => None,
        };
        let mirror = self.mirrors.entry(node).or_default();
        let before = std::mem::replace(&mut mirror.leads, leads);
        if leads.is_some() && leads < before {
            return Err(Violation::Promise { node, what: "leads an earlier ballot than before" });
        }
        match leads.filter(|_| leads > before) {
            Some(ballot) if !self.is_promised(ballot) => Err(Violation::Unpromised { ballot }),
            Some(_) | None => Ok(()),
        }
    }

    /// Tells whether a quorum of the configuration that a ballot proposes under has promised it,
    /// durably.
    fn is_promised(&self, ballot: Ballot) -> bool {
        let promised = |node: &NodeId| {
            self.mirrors.get(node).is_some_and(|mirror| mirror.promised >= Some(ballot))
        };
        self.configurations.get(&ballot.era).is_some_and(|membership| {
            let promised = membership.voters().voters().filter(promised).count();
            promised >= self.quorums(membership).prepare()
        })
    }

    /// Tells whether a quorum of the configuration that a ballot proposes under is among `holders`.
    fn is_chosen(&self, ballot: Ballot, holders: &BTreeSet<NodeId>) -> bool {
        self.configurations.get(&ballot.era).is_some_and(|membership| {
            let accepted = holders.iter().filter(|node| membership.voters().is_voter(**node));
            accepted.count() >= self.quorums(membership).accept()
        })
    }

    fn quorums(&self, membership: &Membership) -> Quorums {
        let majorities = Quorums::majorities(membership.voters());
        let config = self.config.as_ref();
        config.and_then(|config| config.quorums_of(membership).ok()).unwrap_or(majorities)
    }

    /// Notes that values are proposed.
    fn proposed(
        &mut self,
        ballot: Ballot,
        first: Index,
        values: &[Value],
    ) -> Result<(), Violation> {
        for (slot, proposed) in (first.0..).map(Index).zip(values) {
            let value = digest(proposed);
            let decree = self.decrees.entry((slot, ballot)).or_insert_with(|| Decree::of(proposed));
            if value != decree.value {
                return Err(Violation::OneValue { ballot, slot });
            }
            if decree.membership.is_some() {
                self.stops.insert(ballot, slot);
            }
            if self.stops.get(&ballot).is_some_and(|stop| slot > *stop) {
                return Err(Violation::Stop { ballot, slot });
            }
            if let Some((chosen_in, chosen)) = self.chosen.get(&slot)
                && *chosen_in < ballot
                && *chosen != value
            {
                return Err(Violation::SafeAt { slot, ballot });
            }
        }
        Ok(())
    }

    fn applied(&mut self, node: NodeId, decided: &[Decided]) -> Result<(), Violation> {
        let mirror = self.mirrors.entry(node).or_default();
        for Decided { index, command, .. } in decided {
            let (slot, after) = (*index, mirror.applied);
            if slot != after.next() {
                return Err(Violation::Order { node, slot, after });
            }
            let value = command.clone().map_or(Value::NoOp, Value::Command);
            let chosen = self.chosen.get(&slot).map(|(_, chosen)| *chosen);
            let configures = command.is_none() && self.configurations.contains_key(&slot);
            if chosen != Some(digest(&value)) && !configures {
                return Err(Violation::AppliedUnchosen { node, slot });
            }
            mirror.applied = slot;
        }
        Ok(())
    }

    /// Notes that a node's records up to `upto` are durable.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn durable(&mut self, node: NodeId, upto: Token) -> Result<(), Violation> {
        loop {
            let mirror = self.mirrors.entry(node).or_default();
            let front = mirror.waiting.pop_front_if(|(token, _)| *token <= upto);
            let Some((_, record)) = front else { return Ok(()) };
            match record {
                Record::Round(round) => {
                    if round < mirror.round {
                        let what = "goes back to a round that it used before";
                        return Err(Violation::Promise { node, what });
                    }
                    mirror.round = round;
                }
                Record::Promised(ballot) => mirror.promise(node, Some(ballot))?,
                Record::Forgotten { upto, promised, .. } => {
                    mirror.promise(node, promised)?;
                    mirror.base = mirror.base.max(upto);
                }
                Record::Accepted { ballot, first, values, .. } => {
                    mirror.promise(node, Some(ballot))?;
                    self.voted(node, ballot, (first, &values))?;
                }
                Record::Snapshot(_) => {}
            }
        }
    }

    /// Counts votes that are durable.
    fn voted(
        &mut self,
        node: NodeId,
        ballot: Ballot,
        (first, values): (Index, &[Value]),
    ) -> Result<(), Violation> {
        for (slot, voted) in (first.0..).map(Index).zip(values) {
            let value = digest(voted);
            let decree = self.decrees.entry((slot, ballot)).or_insert_with(|| Decree::of(voted));
            if decree.value != value {
                return Err(Violation::OneValue { ballot, slot });
            }
            decree.holders.insert(node);
            let (holders, membership) = (decree.holders.clone(), decree.membership.clone());
            if !self.is_chosen(ballot, &holders) {
                continue;
            }
            match self.chosen.get(&slot) {
                Some((_, chosen)) if *chosen != value => {
                    return Err(Violation::Agreement { slot, ballot });
                }
                Some((first, _)) if *first <= ballot => continue,
                Some(_) | None => drop(self.chosen.insert(slot, (ballot, value))),
            }
            self.configured(slot, ballot, membership)?;
            // What later ballots have proposed already.
            let later = self.decrees.range((slot, ballot)..(slot.next(), ballot));
            for ((at, later), decree) in later {
                if *at == slot && decree.value != value {
                    return Err(Violation::SafeAt { slot, ballot: *later });
                }
            }
        }
        Ok(())
    }

    /// Judges a choice by the configurations that were chosen before and behind it.
    fn configured(
        &mut self,
        slot: Index,
        ballot: Ballot,
        membership: Option<Membership>,
    ) -> Result<(), Violation> {
        let between = self.configurations.range(ballot.era.next().min(slot)..slot).next();
        if let Some((configured, _)) = between {
            return Err(Violation::Era { slot, ballot, configured: *configured });
        }
        let Some(membership) = membership else { return Ok(()) };
        self.configurations.insert(slot, membership);
        let behind = self.chosen.range(slot.next()..).find(|(_, (ballot, _))| ballot.era < slot);
        match behind {
            Some((late, (ballot, _))) => {
                Err(Violation::Era { slot: *late, ballot: *ballot, configured: slot })
            }
            None => Ok(()),
        }
    }

    /// Looks at a message at the moment it leaves: what it promises must be durable.
    ///
    /// # Errors
    /// [`Violation::Promise`].
    pub fn sent(&mut self, node: NodeId, message: &Message) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        let fail = |what| Err(Violation::Promise { node, what });
        match message {
            Message::Prepare { ballot, .. } if ballot.round > mirror.round => {
                fail("begins a round that is not durable")
            }
            Message::Promise { ballot, .. } | Message::HeartbeatReply { ballot, .. }
                if mirror.promised < Some(*ballot) =>
            {
                fail("promises what is not durable")
            }
            Message::Accepted { ballot, first, last } => {
                let lacks = |slot: &Index| {
                    let decree = self.decrees.get(&(*slot, *ballot));
                    !decree.is_some_and(|decree| decree.holders.contains(&node))
                };
                let beyond = first.0.max(mirror.base.0 + 1)..=last.0;
                if mirror.promised < Some(*ballot) || beyond.map(Index).any(|slot| lacks(&slot)) {
                    return fail("has not accepted durably what it says it has");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes until when, in true time, a node answers reads under a lease, if it does.
    ///
    /// # Errors
    /// [`Violation::LeaseOverlap`].
    pub fn leased(
        &mut self,
        node: NodeId,
        now: Time,
        until: Option<Time>,
    ) -> Result<(), Violation> {
        let mirror = self.mirrors.entry(node).or_default();
        mirror.lease = mirror.leads.zip(until);
        for (earlier, until) in self.mirrors.values().filter_map(|mirror| mirror.lease) {
            let later = self.mirrors.values().filter_map(|mirror| mirror.leads);
            if let Some(later) = later.filter(|later| *later > earlier && until > now).max() {
                return Err(Violation::LeaseOverlap { earlier, later });
            }
        }
        Ok(())
    }

    /// Returns who takes part, by the latest configuration that is chosen.
    pub(super) fn membership(&self) -> &Membership {
        let latest = self.configurations.last_key_value();
        latest.map(|(_, membership)| membership).expect("groups are founded before anything else")
    }

    /// Returns who may come to take part, as somebody has proposed so; and who took part before, where
    /// those of the present have not yet on their disks what was decided with them.
    pub(super) fn pending(&self) -> Vec<Membership> {
        let latest = self.configurations.last_key_value().map_or(Index::ZERO, |(slot, _)| *slot);
        let stops = self.stops.iter().filter(|(_, slot)| **slot > latest);
        let decrees = stops.filter_map(|(ballot, slot)| self.decrees.get(&(*slot, *ballot)));
        let proposed = decrees.filter_map(|decree| decree.membership.clone());
        let mut needed = Vec::new();
        let mut later = None;
        for (era, membership) in self.configurations.iter().rev() {
            if later.is_some_and(|later| self.is_kept(later)) {
                break;
            }
            needed.extend(later.map(|_| membership.clone()));
            later = Some(*era);
        }
        proposed.chain(needed).collect()
    }

    /// Tells whether a quorum of a configuration has in durable snapshots what was chosen up to it.
    fn is_kept(&self, era: Index) -> bool {
        let keeps = |node: &NodeId| self.mirrors.get(node).is_some_and(|it| it.base >= era);
        self.configurations.get(&era).is_some_and(|membership| {
            let kept = membership.voters().voters().filter(keeps).count();
            kept >= self.quorums(membership).accept()
        })
    }

    /// Tells what does not hold, and what acceptors have at the place where it shows.
    pub(super) fn broken(&self, violation: &Violation) -> Broken {
        let slot = match violation {
            Violation::OneValue { slot, .. }
            | Violation::Agreement { slot, .. }
            | Violation::SafeAt { slot, .. }
            | Violation::Era { slot, .. }
            | Violation::Stop { slot, .. }
            | Violation::AppliedUnchosen { slot, .. } => Some(*slot),
            Violation::Order { .. }
            | Violation::Unpromised { .. }
            | Violation::Promise { .. }
            | Violation::LeaseOverlap { .. } => None,
        };
        let mut evidence = Vec::new();
        for ((at, ballot), Decree { value, holders, .. }) in &self.decrees {
            if Some(*at) == slot {
                let holders: Vec<_> = holders.iter().map(NodeId::to_string).collect();
                let holders = holders.join(", ");
                evidence.push(format!("slot {at}, {ballot}: {:08x} at {holders}", value >> 32));
            }
        }
        Broken { what: violation.to_string(), evidence }
    }
}

impl Mirror {
    fn promise(&mut self, node: NodeId, promised: Option<Ballot>) -> Result<(), Violation> {
        if promised < self.promised {
            let what = "takes part in a ballot before one that it promised";
            return Err(Violation::Promise { node, what });
        }
        self.promised = promised;
        Ok(())
    }
}
