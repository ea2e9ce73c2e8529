//! How many acceptors decide, and counting distinct ones.

use std::collections::BTreeSet;

use super::{config::Config, mutant::Mutant, rules::ConfigError};
use crate::members::{Members, NodeId};

/// How many acceptors make each phase of a ballot: any that promise and any that accept share one.
///
/// Majorities do (2.2). So do other numbers that add up to more than there are acceptors, since no
/// more is needed of them (H. Howard, D. Malkhi, A. Spiegelman, "Flexible Paxos", 2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    prepare: usize,
    accept: usize,
}

impl Quorums {
    /// Returns majorities for both phases.
    pub fn majorities(acceptors: &Members) -> Self {
        let majority = acceptors.majority();
        Self { prepare: majority, accept: majority }
    }

    /// Takes `prepare` acceptors for the first phase and `accept` for the second.
    ///
    /// # Errors
    /// [`ConfigError::QuorumSize`] and [`ConfigError::QuorumsApart`].
    pub fn new(acceptors: &Members, prepare: usize, accept: usize) -> Result<Self, ConfigError> {
        let all = acceptors.voters().len();
        for quorum in [prepare, accept] {
            if !(1..=all).contains(&quorum) {
                return Err(ConfigError::QuorumSize { quorum, acceptors: all });
            }
        }
        if prepare + accept <= all {
            return Err(ConfigError::QuorumsApart { prepare, accept, acceptors: all });
        }
        Ok(Self { prepare, accept })
    }

    /// Returns how many acceptors must promise.
    pub fn prepare(self) -> usize {
        self.prepare
    }

    /// Returns how many acceptors must accept.
    pub fn accept(self) -> usize {
        self.accept
    }
}

impl Config {
    /// Tells whether those that promised are enough.
    pub(super) fn has_promises(&self, promised: &BTreeSet<NodeId>) -> bool {
        self.are(self.quorums().prepare, Mutant::PromiseQuorumOffByOne, promised)
    }

    /// Tells whether those that accepted one proposal are enough for its proposer.
    pub(super) fn has_accepted(&self, accepted: &BTreeSet<NodeId>) -> bool {
        self.are(self.quorums().accept, Mutant::AcceptQuorumOffByOne, accepted)
    }

    /// Tells whether those that accepted one proposal are enough for a learner.
    pub(super) fn has_chosen(&self, accepted: &BTreeSet<NodeId>) -> bool {
        self.are(self.quorums().accept, Mutant::LearnQuorumOffByOne, accepted)
    }

    fn are(&self, needed: usize, off_by_one: Mutant, nodes: &BTreeSet<NodeId>) -> bool {
        let short_by = usize::from(self.has_bug(off_by_one));
        let counted = nodes.iter().filter(|node| self.acceptors().is_voter(**node)).count();
        counted >= needed.saturating_sub(short_by).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::GroupId;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn members(count: u64) -> Members {
        Members::new((1..=count).map(node)).expect("tests have members")
    }

    fn subset(bits: u32) -> BTreeSet<NodeId> {
        (0..32).filter(|bit| bits >> bit & 1 == 1).map(|bit| node(bit + 1)).collect()
    }

    // Goal: any quorum of the first phase shares an acceptor with any of the second, and what would
    // not is refused. Method: all sizes, and all pairs of subsets, of up to six acceptors.
    #[test]
    fn quorums_of_the_two_phases_intersect() {
        for count in 1..=6_u64 {
            let acceptors = members(count);
            let (all, subsets) = (count as usize, 0..1_u32 << count);
            for (prepare, accept) in (0..=all + 1).flat_map(|p| (0..=all + 1).map(move |a| (p, a)))
            {
                let Ok(quorums) = Quorums::new(&acceptors, prepare, accept) else {
                    let apart = prepare + accept <= all;
                    assert!(apart || [prepare, accept].iter().any(|it| *it < 1 || *it > all));
                    continue;
                };
                let builder = Config::builder(node(1), GroupId(1), acceptors.clone());
                let config = builder.quorums(quorums).build().expect("the values fit");
                for left in subsets.clone().filter(|left| config.has_promises(&subset(*left))) {
                    let apart = subsets.clone().filter(|right| left & right == 0);
                    for right in apart {
                        assert!(!config.has_accepted(&subset(right)), "{left:b} {right:b}");
                        assert!(!config.has_chosen(&subset(right)), "{left:b} {right:b}");
                    }
                }
            }
        }
    }

    // Goal: QS-P03, T14, T15: majorities are what they must be, of even numbers too.
    #[test]
    fn majorities_of_one_to_nine() {
        let majorities = (1..=9).map(|count| Quorums::majorities(&members(count)));
        let sizes: Vec<_> = majorities.map(|it| (it.prepare(), it.accept())).collect();
        let expected = [1, 2, 2, 3, 3, 4, 4, 5, 5];
        assert_eq!(sizes, expected.map(|size| (size, size)));
    }

    // Goal: QS-P02, whoever is no acceptor does not count, however many they are.
    #[test]
    fn strangers_do_not_count() {
        let config = Config::builder(node(1), GroupId(1), members(3)).build().expect("valid");
        let one_and_strangers = BTreeSet::from([node(1), node(7), node(8), node(9)]);
        assert!(!config.has_promises(&one_and_strangers));
        assert!(!config.has_accepted(&one_and_strangers));
        assert!(!config.has_chosen(&one_and_strangers));
        assert!(config.has_chosen(&subset(0b101)));
    }
}
