//! Counting votes and acknowledgements of distinct members.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use crate::members::{Members, NodeId};

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

/// Votes of distinct members: a duplicate counts once, and who is no member does not count.
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

    /// Judges the votes under `members`, of whom `majority` must grant.
    pub(crate) fn verdict_by(&self, members: &Members, majority: usize) -> Verdict {
        let granted = self.granted.iter().filter(|node| members.is_voter(**node)).count();
        let refused = self.refused.iter().filter(|node| members.is_voter(**node)).count();
        if granted >= majority {
            Verdict::Won
        } else if members.voters().len() - refused < majority {
            Verdict::Lost
        } else {
            Verdict::Pending
        }
    }

    /// Judges the votes under `members`.
    pub fn verdict(&self, members: &Members) -> Verdict {
        self.verdict_by(members, members.majority())
    }

    /// Feeds the votes to `out`, under other names.
    pub(crate) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { granted, refused } = self;
        for votes in [granted, refused] {
            votes.iter().copied().map(name).collect::<BTreeSet<_>>().hash(out);
        }
    }
}

/// Returns the largest value that a majority of `members` has `reached`.
///
/// Sorted ascending, that is the element at position n - majority(n).
pub fn reached_by_majority<T: Ord + Copy + Default>(
    members: &Members,
    reached: impl FnMut(NodeId) -> T,
) -> T {
    reached_by(members.majority(), members, reached)
}

/// Returns the largest value that `count` of `members` have `reached`.
pub(crate) fn reached_by<T: Ord + Copy + Default>(
    count: usize,
    members: &Members,
    reached: impl FnMut(NodeId) -> T,
) -> T {
    let mut values: Vec<T> = members.voters().map(reached).collect();
    values.sort_unstable();
    values.get(values.len() - count).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn members(count: u64) -> Members {
        Members::new((1..=count).map(node)).expect("tests have members")
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
                tally.verdict(&members) == Verdict::Won
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
        assert_eq!(tally.verdict(&members), Verdict::Pending);
    }

    // Goal: QS-P03, two of four are no majority, and one of two is none.
    #[test]
    fn half_is_no_majority() {
        let up_to = |count: u64| move |node: NodeId| if node.number() <= count { 7_u64 } else { 0 };
        assert_eq!(reached_by_majority(&members(4), up_to(2)), 0);
        assert_eq!(reached_by_majority(&members(2), up_to(1)), 0);
        assert_eq!(reached_by_majority(&members(1), up_to(1)), 7);
    }

    // Goal: refusals by so many that no majority is left lose the tally at once.
    #[test]
    fn enough_refusals_lose() {
        let members = members(3);
        let mut tally = Tally::default();
        tally.count(node(2), false);
        assert_eq!(tally.verdict(&members), Verdict::Pending);
        tally.count(node(3), false);
        assert_eq!(tally.verdict(&members), Verdict::Lost);
    }
}
