//! The network between the nodes: what becomes of each message.

use std::collections::BTreeMap;

use super::{
    fault::{Counts, Fault},
    random::Random,
    script::Temper,
};
use crate::{members::NodeId, time::Time};

/// Links between any two nodes, one for each direction.
#[derive(Clone, Debug)]
pub(super) struct Network {
    links: BTreeMap<(NodeId, NodeId), Link>,
    seed: u64,
    calm: bool,
}

/// A directed link.
#[derive(Clone, Debug)]
struct Link {
    /// How many faults cut it.
    cuts: u32,
    /// Until when it holds back what is put on it.
    held_until: Time,
    last_arrival: Time,
    random: Random,
}

const LINKS: u64 = 1 << 32;

impl Network {
    /// Connects all `nodes` with each other.
    pub(super) fn new(seed: u64, nodes: &[NodeId]) -> Self {
        let mut network = Self { links: BTreeMap::new(), seed, calm: false };
        for (place, node) in nodes.iter().enumerate() {
            network.connect(*node, nodes.iter().take(place).copied());
        }
        network
    }

    /// Connects `node` with `others`, both ways.
    pub(super) fn connect(&mut self, node: NodeId, others: impl Iterator<Item = NodeId>) {
        for other in others {
            for (from, to) in [(node, other), (other, node)] {
                let random = Random::new(self.seed, LINKS + from.number() * 256 + to.number());
                let link =
                    Link { cuts: 0, held_until: Time::ZERO, last_arrival: Time::ZERO, random };
                self.links.insert((from, to), link);
            }
        }
    }

    /// Decides when a message that leaves now arrives.
    pub(super) fn send(
        &mut self,
        from: NodeId,
        to: NodeId,
        now: Time,
        temper: &Temper,
        counts: &mut Counts,
    ) -> Option<Time> {
        let Some(link) = self.links.get_mut(&(from, to)) else { return Some(now) };
        if link.cuts > 0 {
            return None;
        }
        let (shortest, longest) = temper.transit;
        let mut at = now + link.random.between(shortest, longest);
        if self.calm {
            link.last_arrival = link.last_arrival.max(at);
            return Some(link.last_arrival);
        }
        if link.random.happens(temper.loss) {
            counts.count(Fault::Loss);
            return None;
        }
        if link.held_until > now {
            at = at.max(link.held_until + link.random.between(shortest, longest));
        }
        // Without reordering a link is a queue, as a connection is.
        if at < link.last_arrival {
            if link.random.happens(temper.reordering) {
                counts.count(Fault::Reordering);
            } else {
                at = link.last_arrival;
            }
        }
        link.last_arrival = link.last_arrival.max(at);
        Some(at)
    }

    /// Decides when a copy arrives of a message that arrives at `at`, if there is one.
    pub(super) fn send_again(
        &mut self,
        from: NodeId,
        to: NodeId,
        at: Time,
        temper: &Temper,
        counts: &mut Counts,
    ) -> Option<Time> {
        let link = self.links.get_mut(&(from, to)).filter(|_| !self.calm)?;
        if !link.random.happens(temper.duplication) {
            return None;
        }
        counts.count(Fault::Duplication);
        // Some copies come so late that their sender has been somebody else meanwhile.
        let (shortest, longest) = temper.transit;
        let latest = [longest * 20, temper.election_timeout * 12];
        let latest = link.random.pick(&latest).copied().unwrap_or(longest);
        Some(at + link.random.between(shortest, latest))
    }

    /// Cuts the links for which `cut` is true, and returns them.
    pub(super) fn cut(&mut self, cut: impl Fn(NodeId, NodeId) -> bool) -> Vec<(NodeId, NodeId)> {
        let mut links = Vec::new();
        for ((from, to), link) in &mut self.links {
            if cut(*from, *to) {
                link.cuts += 1;
                links.push((*from, *to));
            }
        }
        links
    }

    /// Ends one cut of each of `links`.
    pub(super) fn mend(&mut self, links: &[(NodeId, NodeId)]) {
        for link in links {
            if let Some(link) = self.links.get_mut(link) {
                link.cuts = link.cuts.saturating_sub(1);
            }
        }
    }

    /// Lets the links for which `held` is true hold back what is put on them until `until`.
    pub(super) fn hold(&mut self, until: Time, held: impl Fn(NodeId, NodeId) -> bool) {
        for ((from, to), link) in &mut self.links {
            if held(*from, *to) {
                link.held_until = link.held_until.max(until);
            }
        }
    }

    /// Mends everything for good.
    pub(super) fn calm(&mut self) {
        self.calm = true;
        self.links.values_mut().for_each(|link| link.cuts = 0);
    }
}
