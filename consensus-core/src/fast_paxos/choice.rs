//! What may be chosen already, as promises or votes tell: the rule by which a coordinator picks a
//! value (2.2.2, 3.1).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    config::Config,
    mutant::Mutant,
    round::{Kind, Proposal},
};
use crate::members::NodeId;

/// What a coordinator may propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Anything, also the value "any": nobody has voted.
    Anything,
    /// Any value, since none is chosen, nor can be; this one has the most votes.
    Free(Bytes),
    /// This one alone, since it may be chosen.
    Bound(Bytes),
}

impl Config {
    /// Picks from what a quorum tells that it has voted for last, of which nobody has voted since
    /// in a round before the one that the value is for.
    ///
    /// Of a fast round a value may be chosen if those that voted for it, with all that were not
    /// heard, make a fast quorum. By the quorums' sizes that is true of one value at most.
    pub(super) fn choice(&self, heard: &BTreeMap<NodeId, Option<Proposal>>) -> Choice {
        let votes = || heard.values().flatten();
        let rounds = votes().map(|vote| vote.round);
        let lowest = self.has_bug(Mutant::LowestRoundPicked);
        let Some(last) = (if lowest { rounds.min() } else { rounds.max() }) else {
            return Choice::Anything;
        };
        let mut counts: BTreeMap<&Bytes, usize> = BTreeMap::new();
        for vote in votes().filter(|vote| vote.round == last) {
            *counts.entry(&vote.value).or_default() += 1;
        }

        let most = counts.iter().max_by_key(|(_, count)| **count);
        let most = most.map(|(value, _)| (*value).clone()).unwrap_or_default();
        // Of a classic round nobody but its coordinator can have brought a vote about.
        if last.kind == Kind::Classic || self.has_bug(Mutant::FastVoteBinds) {
            return Choice::Bound(first(counts.into_keys()).unwrap_or(most));
        }
        let needed = self.choosable_from(heard.len());
        let mut choosable = counts.into_iter().filter(|(_, count)| *count >= needed);
        let bound = first(choosable.by_ref().map(|(value, _)| value));
        assert!(choosable.next().is_none(), "one value at most may be chosen of a fast round");
        bound.map_or(Choice::Free(most), Choice::Bound)
    }

    /// Returns how many votes for a value in a fast round, of as many acceptors as were heard, leave
    /// it open that it is chosen. The more were heard, the more it takes.
    fn choosable_from(&self, heard: usize) -> usize {
        let all = self.acceptors().voters().len();
        let of_quorum = self.has_bug(Mutant::ThresholdOfQuorum);
        let heard = if of_quorum { self.quorums().prepare() } else { heard };
        let more = usize::from(self.has_bug(Mutant::ChoosableOffByOne));
        (heard + self.quorums().accept(Kind::Fast)).saturating_sub(all).max(1) + more
    }

    /// Tells whether no value can come to be chosen of a fast round any more, as far as these votes
    /// tell: a collision (3.2).
    pub(super) fn is_collision(&self, votes: &BTreeMap<NodeId, Bytes>) -> bool {
        let left = self.acceptors().voters().len().saturating_sub(votes.len());
        let needed = self.quorums().accept(Kind::Fast);
        let mut counts: BTreeMap<&Bytes, usize> = BTreeMap::new();
        votes.values().for_each(|value| *counts.entry(value).or_default() += 1);
        counts.values().all(|count| count + left < needed)
    }
}

fn first<'a>(mut values: impl Iterator<Item = &'a Bytes>) -> Option<Bytes> {
    values.next().cloned()
}

#[cfg(test)]
mod tests {
    use super::{super::round::Round, *};
    use crate::{
        members::Members,
        paxos::{self, Ballot},
        process::GroupId,
    };

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn configs(count: u64) -> impl Iterator<Item = Config> {
        let acceptors = Members::new((1..=count).map(node)).expect("tests have members");
        (1..=count as usize).map(move |prepare| {
            let accept = count as usize + 1 - prepare;
            let classic = paxos::Quorums::new(&acceptors, prepare, accept).expect("they meet");
            let quorums = super::super::Quorums::fewest(&acceptors, classic).expect("they meet");
            let builder = Config::builder(node(1), GroupId(1), acceptors.clone());
            builder.quorums(quorums).build().expect("the values fit")
        })
    }

    /// Returns all ways in which `count` acceptors vote for one of two values, or have not voted.
    fn splits(count: u64) -> impl Iterator<Item = BTreeMap<NodeId, Option<Proposal>>> {
        let ballot = Ballot { round: paxos::Round(1), node: node(1) };
        let vote = move |digit: usize| {
            let value = *[None, Some(&b"v"[..]), Some(b"w")].get(digit)?;
            let value = Bytes::from_static(value?);
            Some(Proposal { round: Round::fast(ballot), value })
        };
        (0..3_usize.pow(count as u32)).map(move |code| {
            let digit = |place: u64| code / 3_usize.pow(place as u32) % 3;
            (0..count).map(|place| (node(place + 1), vote(digit(place)))).collect()
        })
    }

    // Goal: FPX-P04, a value binds exactly if the acceptors that were not heard could make it
    // chosen, whatever number was heard; and no two do, which is asserted on the way.
    // Method: all splits of votes, all sizes of quorums, and as many heard as there may be, of up to
    // seven acceptors.
    #[test]
    fn what_may_be_chosen_binds() {
        for count in 1..=7 {
            for config in configs(count) {
                for heard in config.quorums().prepare() as u64..=count {
                    splits(heard).for_each(|votes| binds(&config, count - heard, &votes));
                }
            }
        }
    }

    fn binds(config: &Config, unheard: u64, votes: &BTreeMap<NodeId, Option<Proposal>>) {
        let count = |value: &[u8]| {
            votes.values().flatten().filter(|vote| vote.value == value).count() + unheard as usize
        };
        let needed = config.quorums().accept(Kind::Fast);
        let expected = [&b"v"[..], b"w"].into_iter().find(|value| count(value) >= needed);
        let expected = expected.filter(|_| votes.values().any(Option::is_some));
        let bound = match config.choice(votes) {
            Choice::Bound(value) => Some(value),
            Choice::Free(_) | Choice::Anything => None,
        };
        assert_eq!(bound.as_deref(), expected, "{votes:?} and {unheard} more");
    }

    // Goal: a collision is certain as soon as nobody who is left could decide it, and no sooner: one
    // who has crashed is not waited for (FPX-P05).
    #[test]
    fn collisions_are_certain_without_all_votes() {
        let config = |count| {
            let acceptors = Members::new((1..=count).map(node)).expect("tests have members");
            Config::builder(node(1), GroupId(1), acceptors).build().expect("valid")
        };
        let votes = |values: &'static [&'static [u8]]| -> BTreeMap<NodeId, Bytes> {
            (1..).map(node).zip(values.iter().map(|value| Bytes::from_static(value))).collect()
        };
        assert!(config(3).is_collision(&votes(&[b"v", b"w"])));
        assert!(!config(3).is_collision(&votes(&[b"v", b"v"])));
        assert!(!config(4).is_collision(&votes(&[b"v", b"w"])));
        assert!(config(4).is_collision(&votes(&[b"v", b"w", b"v", b"w"])));
        assert!(!config(5).is_collision(&votes(&[b"v", b"w", b"v"])));
        assert!(config(5).is_collision(&votes(&[b"v", b"w", b"v", b"w"])));
        assert!(config(5).is_collision(&votes(&[b"v", b"w", b"x"])));
    }
}
