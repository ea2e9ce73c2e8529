//! Changes of who takes part, as operators ask for them, and who is expected to serve.
//!
//! Operators are careful, or nothing could be expected: they ask for one change at a time, and for
//! none that would leave the group without a majority of voters that can be counted on, and store
//! commands. Nodes are lost for good under the same condition, whatever is under way.

use super::{
    Failure,
    event::Event,
    fault::Fault,
    host::{CrashPoint, Host},
    protocol::{Judge, Simulated},
    script::Strike,
    world::World,
};
use crate::{
    change::Change,
    client::Admin,
    log::Index,
    members::{Members, NodeId},
    membership::Membership,
    state_machine::StateMachine,
    time::Time,
};

/// How many nodes a run may have besides those that it starts with.
const NEWCOMERS_MAX: u64 = 6;

/// What operators have asked for, and do not know the end of.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) change: Change,
    /// When it is over at the latest, whatever became of it.
    until: Time,
}

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Returns the membership that a node starts with: none, if it joins later.
    pub(super) fn first_membership(&self, node: NodeId) -> Membership {
        let is_first = self.membership.is_member(node);
        if is_first { self.membership.clone() } else { Membership::default() }
    }

    /// Tells whether service is expected of a node once everything is mended: it takes part. One
    /// that stores no commands has its callers served by the leader.
    pub(super) fn serves(&self, node: NodeId) -> bool {
        let takes_part = self.judge.membership().is_member(node);
        takes_part && self.hosts.get(&node).is_some_and(Host::is_good)
    }

    /// Tells whether a node is expected to have the state in the end.
    pub(super) fn has_state(&self, node: NodeId) -> bool {
        self.serves(node) && !self.judge.membership().is_witness(node)
    }

    /// Returns the nodes of which service is expected.
    pub(super) fn good(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().filter(|node| self.serves(*node)).collect()
    }

    /// Tells whether every node of which service is expected has served.
    pub(super) fn serves_everywhere(&self) -> bool {
        self.operations.probes_are_answered(|node| self.serves(node))
    }

    /// Tells whether nothing is left to happen.
    pub(super) fn is_settled(&self) -> bool {
        let goal = Index(self.decided.len() as u64);
        let mut replicas = self.hosts.iter().filter(|(node, _)| self.has_state(**node));
        let is_same = replicas.all(|(_, host)| host.replica.applied() == goal);
        is_same && self.operations.all_ended() && self.serves_everywhere()
    }

    /// Tells whether, `lost` being lost too, each half of a membership has a majority of voters
    /// that can be counted on and store commands.
    ///
    /// Witnesses are left out: what is committed with the help of one may be on one other node
    /// only, and while that is lost nobody can be elected, by design.
    pub(super) fn keeps_a_majority(&self, lost: Option<NodeId>, membership: &Membership) -> bool {
        let counts = |node: &NodeId| {
            let host = self.hosts.get(node);
            let is_sound = host.is_none_or(|host| host.is_good() && !host.is_doomed);
            is_sound && lost != Some(*node) && !membership.is_witness(*node)
        };
        let keeps = |half: &Members| {
            half.is_empty() || half.voters().filter(counts).count() >= half.majority()
        };
        keeps(membership.voters()) && keeps(membership.outgoing())
    }

    /// Returns every membership that may come to decide: what is committed or in a log, and what
    /// may become of it by the changes that operators asked for.
    fn possible(&self) -> Vec<Membership> {
        let mut possible = self.judge.pending();
        possible.push(self.judge.membership().clone());
        for asked in &self.asked {
            let changed = possible.iter().filter_map(|it| asked.change.apply(it).ok());
            let changed: Vec<_> = changed.collect();
            possible.extend(changed);
        }
        possible.iter().flat_map(Membership::growths).collect()
    }

    /// Tells whether a node may be lost for good: the group goes on without it, and without those
    /// that are lost already, whatever becomes of the changes that are under way.
    pub(super) fn may_lose(&self, node: NodeId) -> bool {
        let is_lost =
            |it: &NodeId| self.hosts.get(it).is_some_and(|host| !host.is_good() || host.is_doomed);
        let lost = self.judge.membership().members().filter(is_lost).count();
        lost < self.script.temper.losses_max
            && self.possible().iter().all(|it| self.keeps_a_majority(Some(node), it))
    }

    /// Asks a node, any of them, to change who takes part. Counted when it comes to that.
    pub(super) fn ask_for_change(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        let now = self.now;
        self.asked.retain(|asked| now < asked.until);
        // Now and then somebody asks for another while one is under way.
        if self.asked.len() > usize::from(strike.pick >> 5 & 3 == 0) {
            return Ok(());
        }
        let Some(change) = self.draw_change(strike) else { return Ok(()) };
        // What makes no sense is asked for all the same now and then, and refused.
        let targets: Vec<Membership> =
            self.possible().iter().filter_map(|it| change.apply(it).ok()).collect();
        let is_sound =
            |it: &Membership| it.growths().iter().all(|grown| self.keeps_a_majority(None, grown));
        if !targets.iter().all(is_sound) {
            return Ok(());
        }
        self.welcome(&change)?;
        self.tell(strike, node, format!("is asked for {change:?}"));
        let patience = strike.lasts + self.script.temper.election_timeout * 4;
        // A request may be heard long after whoever sent it has given it up.
        let until = patience + self.script.temper.election_timeout * 15;
        let until = self.now + self.script.temper.by_the_slowest(until);
        self.asked.push(Asked { change: change.clone(), until });
        self.administer(node, Admin::Change(change), patience);
        Ok(())
    }

    /// Notes that what operators asked for is over.
    pub(super) fn change_is_over(&mut self, change: &Change, is_done: bool) {
        self.asked.retain(|asked| asked.change != *change);
        if is_done {
            self.counts.count(Fault::MembershipChange);
        }
    }

    /// Now and then who leads ends, or is cut off with some of the others, at the moment when it
    /// changes who takes part: some hear of it and others do not.
    pub(super) fn quarrel(&mut self, node: NodeId, effects: usize) -> Option<CrashPoint> {
        let membership = self.hosts.get(&node)?.process.as_ref()?.status().membership;
        let host = self.host(node);
        let changed = std::mem::replace(&mut host.membership, membership.clone()) != membership;
        if !changed || !host.leads() || !host.is_judged() || self.mended {
            return None;
        }
        let host = self.host(node);
        match host.random.below(4) {
            0 => Some(CrashPoint::Between(host.random.below(effects as u64))),
            1 | 2 => {
                let sides = host.random.any();
                let inside = |other: NodeId| other == node || sides >> other.number() & 1 == 0;
                let links = self.network.cut(|from, to| inside(from) != inside(to));
                let timeouts = 2 + (sides >> 32) as u32 % 8;
                self.quarrels.push(links);
                let pause = self.script.temper.election_timeout * timeouts;
                self.schedule_in(pause, Event::Reconciled);
                None
            }
            _ => None,
        }
    }

    /// Mends the links of the oldest quarrel.
    pub(super) fn on_reconciled(&mut self) {
        if !self.quarrels.is_empty() {
            let links = self.quarrels.remove(0);
            self.network.mend(&links);
        }
    }

    /// Starts the nodes that a change brings: their disks are empty, and they know nobody.
    fn welcome(&mut self, change: &Change) -> Result<(), Failure> {
        let steps = match change {
            Change::All(steps) => steps.as_slice(),
            single => std::slice::from_ref(single),
        };
        for step in steps {
            let (Change::AddLearner { node, .. }
            | Change::AddVoter { node, .. }
            | Change::Replace { new: node, .. }) = step
            else {
                continue;
            };
            if !self.hosts.contains_key(node) {
                self.network.connect(*node, self.hosts.keys().copied());
                self.add_host(*node, None);
                self.start(*node)?;
            }
        }
        Ok(())
    }

    fn draw_change(&self, strike: Strike) -> Option<Change> {
        let membership = self.judge.membership();
        let pick = |shift: u32, from: &[NodeId]| {
            from.get((strike.pick >> shift) as usize % from.len().max(1)).copied()
        };
        let members: Vec<NodeId> = membership.members().collect();
        let learners: Vec<NodeId> = membership.learners().collect();
        let is_lost = |node: &NodeId| self.hosts.get(node).is_some_and(|host| !host.is_good());
        let lost: Vec<NodeId> = members.iter().copied().filter(is_lost).collect();
        let newcomer = self.newcomer();
        let contact = || String::from("somewhere");
        // The leader half of the time: it has more consequences.
        let leader = self.leader().filter(|_| strike.pick >> 8 & 1 == 0);
        let member = leader.or_else(|| pick(16, &members))?;
        let crowded = members.len() as u64 > self.plan.nodes();
        let remove = Change::Remove { node: member };
        let witness = strike.pick >> 12 & 7 == 0;
        Some(match (strike.pick % 10, newcomer, pick(20, &lost)) {
            // Who is lost is replaced before anything else.
            (0..=6, Some(new), Some(old)) => Change::Replace { old, new, contact: contact() },
            (_, _, Some(old)) => Change::Remove { node: old },
            (0 | 1, Some(node), None) if !crowded && witness => Change::All(vec![
                Change::AddVoter { node, contact: contact() },
                Change::Witness { node },
            ]),
            (0 | 1, Some(node), None) if !crowded => Change::AddVoter { node, contact: contact() },
            (2, Some(node), None) if !crowded => Change::AddLearner { node, contact: contact() },
            (0..=3, Some(new), None) => Change::Replace { old: member, new, contact: contact() },
            (4, Some(node), None) => {
                Change::All(vec![Change::AddVoter { node, contact: contact() }, remove])
            }
            (5, ..) => Change::Demote { node: member },
            (6 | 7, ..) => Change::Promote { node: pick(24, &learners)? },
            _ if members.len() > 1 => remove,
            _ => return None,
        })
    }

    /// Returns the id of a node that was never there, if there may be another.
    fn newcomer(&self) -> Option<NodeId> {
        let last = self.hosts.keys().next_back().map_or(0, |node| node.number());
        let may = last < self.plan.nodes() + NEWCOMERS_MAX;
        NodeId::new(last + 1).filter(|_| may)
    }
}
