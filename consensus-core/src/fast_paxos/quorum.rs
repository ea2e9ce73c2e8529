//! How many acceptors decide in rounds of either kind, and counting distinct ones.

use std::collections::BTreeSet;

use super::{config::Config, mutant::Mutant, round::Kind, rules::ConfigError};
use crate::{
    members::{Members, NodeId},
    paxos,
};

/// How many acceptors make each phase, of classic rounds and of fast ones.
///
/// Any that promise share one with any that vote in a classic round, and with what any two fast
/// quorums share (3.1, the quorum requirement). By numbers, of n acceptors: `prepare` + `accept` >
/// n, and `prepare` + 2 `fast` > 2 n. That two quorums of votes meet is asked by the paper and needed
/// by nothing (H. Howard, A. Charapko, R. Mortier, "Fast Flexible Paxos", 2021).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    classic: paxos::Quorums,
    fast: usize,
}

impl Quorums {
    /// Returns majorities for classic rounds, and the fewest that will do for fast ones: three
    /// quarters.
    pub fn usual(acceptors: &Members) -> Self {
        let classic = paxos::Quorums::majorities(acceptors);
        Self { classic, fast: fewest(acceptors, classic) }
    }

    /// Takes the fewest for fast rounds that those of `classic` allow.
    ///
    /// # Errors
    /// [`ConfigError::Classic`].
    pub fn fewest(acceptors: &Members, classic: paxos::Quorums) -> Result<Self, ConfigError> {
        Self::new(acceptors, classic, fewest(acceptors, classic))
    }

    /// Takes those of `classic` for classic rounds and `fast` acceptors for fast ones.
    ///
    /// # Errors
    /// [`ConfigError::Classic`], [`ConfigError::FastQuorumSize`] and
    /// [`ConfigError::FastQuorumsApart`].
    pub fn new(
        acceptors: &Members,
        classic: paxos::Quorums,
        fast: usize,
    ) -> Result<Self, ConfigError> {
        let classic = paxos::Quorums::new(acceptors, classic.prepare(), classic.accept())?;
        let (all, prepare) = (acceptors.voters().len(), classic.prepare());
        if !(1..=all).contains(&fast) {
            return Err(ConfigError::FastQuorumSize { fast, acceptors: all });
        }
        if prepare + 2 * fast <= 2 * all {
            return Err(ConfigError::FastQuorumsApart { prepare, fast, acceptors: all });
        }
        Ok(Self { classic, fast })
    }

    /// Returns how many acceptors must promise.
    pub fn prepare(self) -> usize {
        self.classic.prepare()
    }

    /// Returns those of classic rounds.
    pub fn classic(self) -> paxos::Quorums {
        self.classic
    }

    /// Returns how many acceptors must vote for a value in a round of that kind.
    pub fn accept(self, kind: Kind) -> usize {
        match kind {
            Kind::Fast => self.fast,
            Kind::Classic => self.classic.accept(),
        }
    }
}

fn fewest(acceptors: &Members, classic: paxos::Quorums) -> usize {
    (2 * acceptors.voters().len() - classic.prepare()) / 2 + 1
}

impl Config {
    /// Tells whether those that promised are enough.
    pub(super) fn has_promises(&self, promised: &BTreeSet<NodeId>) -> bool {
        self.are(self.quorums().prepare(), Mutant::PromiseQuorumOffByOne, promised)
    }

    /// Tells whether the votes of a fast round tell as much as promises of its classic one do
    /// (3.2).
    pub(super) fn has_recovery(&self, voted: &BTreeSet<NodeId>) -> bool {
        self.are(self.quorums().prepare(), Mutant::RecoveryQuorumOffByOne, voted)
    }

    /// Tells whether those that voted for one proposal are enough for its coordinator.
    pub(super) fn has_votes(&self, kind: Kind, voted: &BTreeSet<NodeId>) -> bool {
        let off_by_one = match kind {
            Kind::Fast => Mutant::FastQuorumOffByOne,
            Kind::Classic => Mutant::AcceptQuorumOffByOne,
        };
        self.are(self.quorums().accept(kind), off_by_one, voted)
    }

    /// Tells whether those that voted for one proposal are enough for a learner.
    pub(super) fn has_chosen(&self, kind: Kind, voted: &BTreeSet<NodeId>) -> bool {
        let all_alike = self.has_bug(Mutant::FastQuorumLikeClassic);
        let kind = if all_alike { Kind::Classic } else { kind };
        self.are(self.quorums().accept(kind), Mutant::LearnQuorumOffByOne, voted)
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

    // Goal: any that promise share an acceptor with any classic quorum, and one with what any two
    // fast quorums share; and what would not is refused, for fast ones with no size to spare.
    // Method: all sizes, and all subsets, of up to five acceptors.
    #[test]
    fn quorums_intersect_as_they_must() {
        for count in 1..=5_u64 {
            let acceptors = members(count);
            let (all, subsets) = (count as usize, 0..1_u32 << count);
            let classic = (1..=all).flat_map(|p| (1..=all).map(move |a| (p, a)));
            let classic = classic.filter_map(|(p, a)| paxos::Quorums::new(&acceptors, p, a).ok());
            for (classic, fast) in classic.flat_map(|it| (0..=all + 1).map(move |f| (it, f))) {
                let Ok(quorums) = Quorums::new(&acceptors, classic, fast) else {
                    let apart = classic.prepare() + 2 * fast <= 2 * all;
                    assert!(apart || !(1..=all).contains(&fast));
                    continue;
                };
                assert!(fast >= fewest(&acceptors, classic));
                let builder = Config::builder(node(1), GroupId(1), acceptors.clone());
                let config = builder.quorums(quorums).build().expect("the values fit");
                let fast = subsets.clone().filter(|it| config.has_votes(Kind::Fast, &subset(*it)));
                let fast: Vec<u32> = fast.collect();
                for promised in subsets.clone().filter(|it| config.has_promises(&subset(*it))) {
                    for apart in subsets.clone().filter(|right| promised & right == 0) {
                        assert!(!config.has_votes(Kind::Classic, &subset(apart)));
                    }
                    for (left, right) in fast.iter().flat_map(|l| fast.iter().map(move |r| (l, r)))
                    {
                        assert!(promised & left & right != 0, "{promised:b} {left:b} {right:b}");
                    }
                }
            }
        }
    }

    // Goal: the sizes that are taken if nobody says are those of the paper's inequality, which three
    // quarters rounded down do not keep.
    #[test]
    fn fast_quorums_of_one_to_ten() {
        let usual = (1..=10).map(|count| Quorums::usual(&members(count)));
        let sizes: Vec<_> = usual.map(|it| (it.prepare(), it.accept(Kind::Fast))).collect();
        let classic = [1, 2, 2, 3, 3, 4, 4, 5, 5, 6];
        let fast = [1, 2, 3, 3, 4, 5, 6, 6, 7, 8];
        assert_eq!(sizes, classic.into_iter().zip(fast).collect::<Vec<_>>());
        for (count, fast) in (1..).zip(fast) {
            let acceptors = members(count);
            let classic = paxos::Quorums::majorities(&acceptors);
            assert!(Quorums::new(&acceptors, classic, fast - 1).is_err());
        }
    }

    // Goal: QS-P02, whoever is no acceptor does not count, however many they are.
    #[test]
    fn strangers_do_not_count() {
        let config = Config::builder(node(1), GroupId(1), members(3)).build().expect("valid");
        let one_and_strangers = BTreeSet::from([node(1), node(7), node(8), node(9)]);
        assert!(!config.has_promises(&one_and_strangers));
        assert!(!config.has_recovery(&one_and_strangers));
        for kind in [Kind::Fast, Kind::Classic] {
            assert!(!config.has_votes(kind, &one_and_strangers));
            assert!(!config.has_chosen(kind, &one_and_strangers));
            assert!(config.has_chosen(kind, &subset(0b111)));
        }
    }
}
