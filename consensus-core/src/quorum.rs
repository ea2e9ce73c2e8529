//! Counting votes and acknowledgements of distinct members.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use crate::{
    members::{Members, NodeId},
    membership::Membership,
};

/// What a tally amounts to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A majority granted.
    Won,
    /// So many refused that no majority can grant any more.
    Lost,
    /// Neither yet.
    Pending,
}

/// Votes of distinct nodes: a duplicate counts once. Whose votes count, the membership says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    granted: BTreeSet<NodeId>,
    refused: BTreeSet<NodeId>,
}

impl Tally {
    /// Counts the vote of `from`; its first vote stands.
    pub fn count(&mut self, from: NodeId, granted: bool) {
        if self.has(from) {
            return;
        }
        if granted {
            self.granted.insert(from);
        } else {
            self.refused.insert(from);
        }
    }

    /// Tells whether the vote of `node` is counted.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.granted.contains(&node) || self.refused.contains(&node)
    }

    /// Feeds the votes to `out`, under other names.
    pub(crate) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { granted, refused } = self;
        for votes in [granted, refused] {
            votes.iter().copied().map(name).collect::<BTreeSet<_>>().hash(out);
        }
    }
}

/// What decides under a membership: a majority of its voters, or of both its halves (dissertation
/// 4.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quorum<'a> {
    halves: [&'a Members; 2],
    /// By how many fewer than a majority it is taken for one, as known bugs do.
    short_by: usize,
}

impl<'a> Quorum<'a> {
    pub(crate) fn of(membership: &'a Membership) -> Self {
        Self { halves: [membership.voters(), membership.outgoing()], short_by: 0 }
    }

    /// Asks the new half of a joint configuration only, as a known bug does.
    pub(crate) fn new_half(self) -> Self {
        let [voters, _] = self.halves;
        Self { halves: [voters, voters], ..self }
    }

    /// Is content with `short_by` fewer than a majority, as a known bug is.
    pub(crate) fn short_by(self, short_by: usize) -> Self {
        Self { short_by, ..self }
    }

    /// A half without voters decides nothing and hinders nothing.
    fn halves(&self) -> impl Iterator<Item = &'a Members> {
        self.halves.into_iter().filter(|half| !half.is_empty())
    }

    fn needed(&self, half: &Members) -> usize {
        half.majority().saturating_sub(self.short_by).max(1)
    }

    /// Judges votes: won where each half is, lost where either is, or where nobody votes.
    pub(crate) fn verdict(&self, tally: &Tally) -> Verdict {
        let verdicts = self.halves().map(|half| {
            let needed = self.needed(half);
            let granted = tally.granted.iter().filter(|node| half.is_voter(**node)).count();
            let refused = tally.refused.iter().filter(|node| half.is_voter(**node)).count();
            if granted >= needed {
                Verdict::Won
            } else if half.voters().len() - refused < needed {
                Verdict::Lost
            } else {
                Verdict::Pending
            }
        });
        let worst = verdicts.max_by_key(|verdict| match verdict {
            Verdict::Won => 0,
            Verdict::Pending => 1,
            Verdict::Lost => 2,
        });
        worst.unwrap_or(Verdict::Lost)
    }

    /// Returns the largest value that enough voters of each half have `reached`; the least one if
    /// nobody votes.
    ///
    /// Sorted ascending, that is the element at position n - majority(n) of each half.
    pub(crate) fn reached<T: Ord + Copy + Default>(
        &self,
        mut reached: impl FnMut(NodeId) -> T,
    ) -> T {
        let by_half = self.halves().map(|half| {
            let mut values: Vec<T> = half.voters().map(&mut reached).collect();
            values.sort_unstable();
            values.get(values.len() - self.needed(half)).copied().unwrap_or_default()
        });
        by_half.min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn members(count: u64) -> Membership {
        Members::new((1..=count).map(node)).expect("tests have members").into()
    }

    // Goal: any two sets that win a tally share a member (protocols of majorities rely on nothing
    // else).
    // Method: every pair of subsets of up to seven members.
    #[test]
    fn any_two_winning_sets_intersect() {
        for count in 1..=7 {
            let members = members(count);
            let wins = |set: u32| {
                let mut tally = Tally::default();
                (0..count)
                    .filter(|bit| set >> bit & 1 == 1)
                    .for_each(|bit| tally.count(node(bit + 1), true));
                members.verdict(&tally) == Verdict::Won
            };
            for left in 0..1_u32 << count {
                for right in 0..1_u32 << count {
                    assert!(
                        !(wins(left) && wins(right) && left & right == 0),
                        "{left:b} {right:b}"
                    );
                }
            }
        }
    }

    // Goal: QS-P01, a vote delivered twice counts once; and a stranger's does not count (QS-P02).
    #[test]
    fn duplicates_and_strangers_do_not_count() {
        let members = members(5);
        let mut tally = Tally::default();
        for _ in 0..3 {
            tally.count(node(2), true);
        }
        tally.count(node(8), true);
        tally.count(node(9), true);
        assert_eq!(members.verdict(&tally), Verdict::Pending);
    }

    // Goal: QS-P03, two of four are no majority, and one of two is none.
    #[test]
    fn half_is_no_majority() {
        let up_to = |count: u64| move |node: NodeId| if node.number() <= count { 7_u64 } else { 0 };
        assert_eq!(members(4).reached_by_majority(up_to(2)), 0);
        assert_eq!(members(2).reached_by_majority(up_to(1)), 0);
        assert_eq!(members(1).reached_by_majority(up_to(1)), 7);
    }

    // Goal: R8, what a majority has reached is the most that one has, in whatever order it is told.
    // Method: all ways in which five voters may have reached one of four values, against counting.
    #[test]
    fn majority_of_five_has_reached_it() {
        let members = members(5);
        for way in 0..4_u64.pow(5) {
            let value = |node: NodeId| way / 4_u64.pow(node.number() as u32 - 1) % 4;
            let voters = || (1..=5).map(node);
            let has_majority = |least: &u64| voters().filter(|it| value(*it) >= *least).count() > 2;
            let most = (0..4).rev().find(has_majority);
            assert_eq!(Some(members.reached_by_majority(value)), most, "{way}");
        }
    }

    // Goal: refusals by so many that no majority is left lose the tally at once.
    #[test]
    fn enough_refusals_lose() {
        let members = members(3);
        let mut tally = Tally::default();
        tally.count(node(2), false);
        assert_eq!(members.verdict(&tally), Verdict::Pending);
        tally.count(node(3), false);
        assert_eq!(members.verdict(&tally), Verdict::Lost);
    }
}
