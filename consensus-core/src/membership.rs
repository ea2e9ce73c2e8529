//! The configuration of a group: who votes, who only follows, and who is gone for good
//! (dissertation 4.3).
//!
//! While voters change, the configuration is joint: two sets of voters decide together, each by a
//! majority of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;

use crate::{
    codec::{
        Decode, DecodeError, Encode, put_bytes, put_u32, put_u64, take_bytes, take_u8, take_u32,
        take_u64,
    },
    members::{Members, NodeId},
    quorum::{Quorum, Tally, Verdict},
};

/// Who takes part in a group. It is shared, so that a copy costs nothing.
///
/// The empty one is that of a node which is to join and has not heard from the group yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership(
    /// None of the empty one: statuses begin with it.
    Option<Arc<Parts>>,
);

static EMPTY: LazyLock<Parts> = LazyLock::new(Parts::default);

impl Hash for Membership {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Parts {
    /// Who votes; in a joint configuration, who will.
    pub(crate) voters: Members,
    /// Who voted before, while the configuration is joint.
    pub(crate) outgoing: Members,
    /// Who does not vote, or will not once the configuration is no longer joint.
    pub(crate) learners: BTreeSet<NodeId>,
    /// Learners that will vote when they have caught up, and whom each takes the place of.
    pub(crate) joining: BTreeMap<NodeId, Option<NodeId>>,
    /// Members that store no commands.
    pub(crate) witnesses: BTreeSet<NodeId>,
    /// Ids of members that were removed.
    pub(crate) retired: BTreeSet<NodeId>,
    /// Where members are reached.
    pub(crate) contacts: BTreeMap<NodeId, String>,
}

impl From<Members> for Membership {
    fn from(voters: Members) -> Self {
        Self::of(Parts { voters, ..Parts::default() })
    }
}

impl Membership {
    pub(crate) fn of(parts: Parts) -> Self {
        Self((parts != *EMPTY).then(|| Arc::new(parts)))
    }

    pub(crate) fn parts(&self) -> &Parts {
        self.0.as_deref().unwrap_or_else(|| &EMPTY)
    }

    /// Returns the same membership with member `node` reached at `contact`, which the core never
    /// reads.
    #[must_use]
    pub fn with_contact(mut self, node: NodeId, contact: impl Into<String>) -> Self {
        let (is_member, contact) = (self.is_member(node), contact.into());
        if let Some(parts) = self.0.as_mut().filter(|_| is_member && !contact.is_empty()) {
            Arc::make_mut(parts).contacts.insert(node, contact);
        }
        self
    }

    /// Returns the same membership with member `node` storing no commands.
    #[must_use]
    pub fn with_witness(mut self, node: NodeId) -> Self {
        let is_member = self.is_member(node);
        if let Some(parts) = self.0.as_mut().filter(|_| is_member) {
            Arc::make_mut(parts).witnesses.insert(node);
        }
        self
    }

    /// Returns who votes; in a joint configuration, who will once it is left.
    pub fn voters(&self) -> &Members {
        &self.parts().voters
    }

    /// Returns who voted before a change that is under way; nobody otherwise.
    pub fn outgoing(&self) -> &Members {
        &self.parts().outgoing
    }

    /// Returns who does not vote, or will not once the change under way is over.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.parts().learners.iter().copied()
    }

    /// Returns the learners that will vote when they have caught up, each with the member whose
    /// place it takes, if it takes one's.
    pub fn joining(&self) -> impl Iterator<Item = (NodeId, Option<NodeId>)> + '_ {
        self.parts().joining.iter().map(|(node, replaced)| (*node, *replaced))
    }

    /// Returns the ids that were removed, and are never to be used again.
    pub fn retired(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.parts().retired.iter().copied()
    }

    /// Returns every member in ascending order: voters of either half, and learners.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + use<> {
        let Parts { voters, outgoing, learners, .. } = self.parts();
        let voters = voters.voters().chain(outgoing.voters());
        voters.chain(learners.iter().copied()).collect::<BTreeSet<_>>().into_iter()
    }

    /// Returns where `node` is reached, if that was said.
    pub fn contact(&self, node: NodeId) -> Option<&str> {
        self.parts().contacts.get(&node).map(String::as_str)
    }

    /// Tells whether two sets of voters decide together (dissertation 4.3).
    pub fn is_joint(&self) -> bool {
        !self.parts().outgoing.is_empty()
    }

    /// Tells whether nobody is a member: a node that is to join knows no more.
    pub fn is_empty(&self) -> bool {
        self.parts().voters.is_empty() && self.parts().learners.is_empty()
    }

    /// Tells whether the vote of `node` counts, in either half.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.parts().voters.is_voter(node) || self.parts().outgoing.is_voter(node)
    }

    /// Tells whether `node` follows and does not vote.
    pub fn is_learner(&self, node: NodeId) -> bool {
        self.parts().learners.contains(&node) && !self.is_voter(node)
    }

    /// Tells whether `node` takes part.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.is_voter(node) || self.parts().learners.contains(&node)
    }

    /// Tells whether `node` stores no commands.
    pub fn is_witness(&self, node: NodeId) -> bool {
        self.parts().witnesses.contains(&node)
    }

    /// Tells whether `node` was removed: its id is never to be used again.
    pub fn is_retired(&self, node: NodeId) -> bool {
        self.parts().retired.contains(&node)
    }

    /// Tells whether `node` alone decides everything.
    pub fn is_alone(&self, node: NodeId) -> bool {
        let mut others = self.parts().voters.voters().chain(self.parts().outgoing.voters());
        self.parts().voters.is_voter(node) && others.all(|voter| voter == node)
    }

    /// Says who takes part, for people: `1 2 3`, or `1 2 4 <- 1 2 3` while it is joint, then the
    /// learners, as `+5`.
    pub fn describe(&self) -> String {
        let name = |node: NodeId| {
            let witness = if self.is_witness(node) { "w" } else { "" };
            format!("{}{witness}", node.number())
        };
        let list = |half: &Members| half.voters().map(name).collect::<Vec<_>>().join(" ");
        let mut text = list(self.voters());
        if self.is_joint() {
            text = format!("{text} <- {}", list(self.outgoing()));
        }
        for learner in self.learners() {
            let joins = if self.parts().joining.contains_key(&learner) { "^" } else { "" };
            text = format!("{text} +{}{joins}", name(learner));
        }
        text
    }

    /// Judges votes: won where each half is, lost where either is.
    pub fn verdict(&self, tally: &Tally) -> Verdict {
        Quorum::of(self).verdict(tally)
    }

    /// Returns the largest value that a majority of each half has `reached`.
    pub fn reached_by_majority<T: Ord + Copy + Default>(
        &self,
        reached: impl FnMut(NodeId) -> T,
    ) -> T {
        Quorum::of(self).reached(reached)
    }
}

/// What a member is, in the encoding.
const VOTER: u8 = 1;
const OUTGOING: u8 = 2;
const LEARNER: u8 = 4;
const JOINING: u8 = 8;
const WITNESS: u8 = 16;

impl Encode for Membership {
    fn encode(&self, out: &mut Vec<u8>) {
        let Parts { voters, outgoing, learners, joining, witnesses, retired, contacts } =
            self.parts();
        let members: Vec<NodeId> = self.members().collect();
        put_u32(out, members.len() as u32);
        for node in members {
            let is = |it: bool, flag: u8| if it { flag } else { 0 };
            put_u64(out, node.number());
            out.push(
                is(voters.is_voter(node), VOTER)
                    | is(outgoing.is_voter(node), OUTGOING)
                    | is(learners.contains(&node), LEARNER)
                    | is(joining.contains_key(&node), JOINING)
                    | is(witnesses.contains(&node), WITNESS),
            );
            if let Some(replaced) = joining.get(&node) {
                put_u64(out, replaced.map_or(0, NodeId::number));
            }
            put_bytes(out, contacts.get(&node).map_or(&[], String::as_bytes));
        }
        put_u32(out, retired.len() as u32);
        retired.iter().for_each(|node| put_u64(out, node.number()));
    }
}

impl Decode for Membership {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let mut parts = Parts::default();
        let (mut voters, mut outgoing) = (BTreeSet::new(), BTreeSet::new());
        let mut last = None;
        for _ in 0..take_u32(input)? {
            let node = take_node(input)?;
            let flags = take_u8(input)?;
            let has = |flag: u8| flags & flag != 0;
            let is_known = flags <= VOTER | OUTGOING | LEARNER | JOINING | WITNESS;
            // Who neither votes nor learns takes no part, and only learners join.
            let is_member = has(VOTER) || has(OUTGOING) || has(LEARNER);
            // One membership has one encoding.
            let follows = last < Some(node);
            last = Some(node);
            if !is_known
                || !follows
                || !is_member
                || has(VOTER) && has(LEARNER)
                || has(JOINING) && !has(LEARNER)
            {
                return Err(DecodeError::Invalid("member"));
            }
            has(VOTER).then(|| voters.insert(node));
            has(OUTGOING).then(|| outgoing.insert(node));
            has(LEARNER).then(|| parts.learners.insert(node));
            has(WITNESS).then(|| parts.witnesses.insert(node));
            if has(JOINING) {
                parts.joining.insert(node, NodeId::new(take_u64(input)?));
            }
            let contact = String::from_utf8(take_bytes(input)?.to_vec());
            let contact = contact.map_err(|_| DecodeError::Invalid("contact"))?;
            if !contact.is_empty() {
                parts.contacts.insert(node, contact);
            }
        }
        for _ in 0..take_u32(input)? {
            let node = take_node(input)?;
            if parts.retired.last().is_some_and(|last| *last >= node) {
                return Err(DecodeError::Invalid("member that was removed"));
            }
            parts.retired.insert(node);
        }
        parts.voters = voters.into_iter().collect();
        parts.outgoing = outgoing.into_iter().collect();
        Ok(Self::of(parts))
    }
}

/// Reads the id of a node.
pub(crate) fn take_node(input: &mut Bytes) -> Result<NodeId, DecodeError> {
    NodeId::new(take_u64(input)?).ok_or(DecodeError::Invalid("node id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn members(numbers: &[u64]) -> Members {
        numbers.iter().copied().map(node).collect()
    }

    fn joint(voters: &[u64], outgoing: &[u64]) -> Membership {
        let (voters, outgoing) = (members(voters), members(outgoing));
        Membership::of(Parts { voters, outgoing, ..Parts::default() })
    }

    // Goal: what decides in a joint configuration decides in each half, whatever the halves have in
    // common (dissertation 4.3).
    // Method: every set of voters, against every set that wins in one half alone.
    #[test]
    fn joint_majorities_meet_those_of_each_half() {
        let halves: [(&[u64], &[u64]); 4] = [
            (&[1, 2, 3], &[1, 2, 3, 4, 5]),
            (&[3, 4, 5], &[1, 2, 3]),
            (&[4, 5], &[1, 2, 3]),
            (&[1], &[1, 2]),
        ];
        let wins = |set: u32, membership: &Membership| {
            let mut tally = Tally::default();
            (1..=5).filter(|it| set >> it & 1 == 1).for_each(|it| tally.count(node(it), true));
            membership.verdict(&tally) == Verdict::Won
        };
        for (voters, outgoing) in halves {
            let both = joint(voters, outgoing);
            for alone in [joint(voters, &[]), joint(outgoing, &[])] {
                for (left, right) in (0..64).flat_map(|left| (0..64).map(move |it| (left, it))) {
                    let apart = wins(left, &both) && wins(right, &alone) && left & right == 0;
                    assert!(!apart, "{left:b} decides under {both:?}, {right:b} under {alone:?}");
                }
            }
        }
    }

    // Goal: R7, a half of one voter decides nothing for the other half.
    #[test]
    fn half_of_one_voter_does_not_decide_alone() {
        let membership = joint(&[1, 2, 3], &[1]);
        let only_first = |it: NodeId| u64::from(it == node(1)) * 9;
        assert_eq!(membership.reached_by_majority(only_first), 0);
        assert_eq!(membership.reached_by_majority(|it| 9 - it.number()), 7);
        assert!(!membership.is_alone(node(1)));
    }

    // Goal: nobody wins, and nothing is reached, where nobody votes.
    #[test]
    fn empty_membership_decides_nothing() {
        let mut tally = Tally::default();
        tally.count(node(1), true);
        assert_eq!(Membership::default().verdict(&tally), Verdict::Lost);
        assert_eq!(Membership::default().reached_by_majority(|_| 5_u64), 0);
    }

    // Goal: a membership comes back from its encoding as it was, and no bytes make one that nobody
    // could have written.
    // Method: one with a member of each kind; then each byte of it changed, and each cut.
    #[test]
    fn encoding_keeps_everything() {
        let parts = Parts {
            voters: members(&[1, 2, 9]),
            outgoing: members(&[1, 2, 3]),
            learners: [node(3), node(4)].into(),
            joining: [(node(4), Some(node(2)))].into(),
            witnesses: [node(9)].into(),
            retired: [node(5), node(6)].into(),
            contacts: [(node(9), "127.0.0.1:7109".to_owned())].into(),
        };
        let membership = Membership::of(parts);
        let bytes = membership.encoded();
        assert_eq!(Membership::decode_all(bytes.clone().into()), Ok(membership.clone()));
        for at in 0..bytes.len() {
            assert!(Membership::decode_all(bytes[..at].to_vec().into()).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            if let Ok(other) = Membership::decode_all(changed.into()) {
                assert_eq!(Membership::decode_all(other.encoded().into()), Ok(other));
            }
        }
    }
}
