//! What operators ask of a group's membership, and what becomes of it.
//!
//! Which voters decide changes through a joint configuration, whatever changes at once
//! (dissertation 4.3). Who is new follows first and votes when it has caught up (4.2.1), so that a
//! change costs no time in which nothing can be decided.

mod error;
mod waiting;
mod wire;

pub use error::ChangeError;
pub(crate) use waiting::{Progressed, Waiting};

use std::collections::BTreeSet;

use crate::{
    members::{Members, NodeId},
    membership::{Membership, Parts},
};

/// A change of a group's membership. It happens as a whole, and asked for again it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a member that follows and does not vote.
    AddLearner {
        /// The node, under an id that no member ever had.
        node: NodeId,
        /// Where it is reached.
        contact: String,
    },
    /// Adds a member that follows, and votes as soon as it has caught up; a learner may become one.
    AddVoter {
        /// The node, under an id that no member ever had.
        node: NodeId,
        /// Where it is reached.
        contact: String,
    },
    /// Lets a learner vote, which must have caught up.
    Promote {
        /// The learner.
        node: NodeId,
    },
    /// Lets a voter follow only.
    Demote {
        /// The voter.
        node: NodeId,
    },
    /// Removes a member, for good: its id is never used again.
    Remove {
        /// The member.
        node: NodeId,
    },
    /// Lets `new` follow, and take the place of `old` in one step as soon as it has caught up.
    Replace {
        /// The member that leaves, lost or not.
        old: NodeId,
        /// The node that comes, under an id that no member ever had.
        new: NodeId,
        /// Where it is reached.
        contact: String,
    },
    /// Makes a member a witness: it stores no commands from then on, and stays one.
    Witness {
        /// The member.
        node: NodeId,
    },
    /// Notes that a member is reached elsewhere.
    Move {
        /// The member.
        node: NodeId,
        /// Where it is reached.
        contact: String,
    },
    /// Several of these in one step; they hold no such list themselves.
    All(Vec<Self>),
}

/// How many members a group may have: beyond it a majority only costs.
pub const MEMBERS_MAX: usize = 64;

/// How long the address of a member may be, in bytes.
pub const CONTACT_BYTES_MAX: usize = 255;

impl Change {
    /// Returns the single changes that this one is made of.
    fn steps(&self) -> &[Self] {
        match self {
            Self::All(changes) => changes,
            Self::AddLearner { .. }
            | Self::AddVoter { .. }
            | Self::Promote { .. }
            | Self::Demote { .. }
            | Self::Remove { .. }
            | Self::Replace { .. }
            | Self::Witness { .. }
            | Self::Move { .. } => std::slice::from_ref(self),
        }
    }

    /// Returns what `membership` is to become. Of a joint one, what it is about to become counts.
    ///
    /// # Errors
    /// [`ChangeError`] where it makes no sense, whatever the state of the group.
    pub fn apply(&self, membership: &Membership) -> Result<Membership, ChangeError> {
        let mut parts = membership.left().parts().clone();
        let mut counted = self.steps().iter().filter_map(|step| step.counts_on(membership));
        if let Some(node) = counted.find(|node| self.misjudges(*node, membership)) {
            return Err(ChangeError::StaysWitness { node });
        }
        for step in self.steps() {
            parts.change(step)?;
        }
        parts.check()?;
        let mut grown = parts.clone();
        for learner in parts.joining.keys().copied() {
            // It may have gone for one that came before.
            if grown.is_member(learner) {
                grown.promote(learner)?;
            }
        }
        grown.check()?;
        Ok(Membership::of(parts))
    }

    /// Returns the node that a step counts on for the state.
    fn counts_on(&self, membership: &Membership) -> Option<NodeId> {
        match self {
            Self::AddVoter { node, .. } | Self::AddLearner { node, .. } => Some(*node),
            // Who takes the place of a witness is one.
            Self::Replace { old, new, .. } => Some(*new).filter(|_| !membership.is_witness(*old)),
            Self::Promote { .. }
            | Self::Demote { .. }
            | Self::Remove { .. }
            | Self::Witness { .. }
            | Self::Move { .. }
            | Self::All(_) => None,
        }
    }

    /// Tells whether a node that is counted on for the state is a witness: it never has it.
    fn misjudges(&self, node: NodeId, membership: &Membership) -> bool {
        let is_it = |step: &Self| matches!(step, Self::Witness { node: it } if *it == node);
        membership.is_witness(node) && !self.steps().iter().any(is_it)
    }

    /// Tells whether `membership`, which is committed, has all that was asked for.
    pub fn is_done(&self, membership: &Membership) -> bool {
        let votes = |node: NodeId| membership.voters().is_voter(node);
        let is_done = |step: &Self| match step {
            Self::AddLearner { node, .. } => {
                membership.is_member(*node) && !self.misjudges(*node, membership)
            }
            Self::AddVoter { node, .. } => votes(*node) && !self.misjudges(*node, membership),
            Self::Promote { node } => votes(*node),
            Self::Demote { node } => {
                membership.is_learner(*node) && !membership.parts().joining.contains_key(node)
            }
            Self::Remove { node } => membership.is_retired(*node),
            Self::Replace { old, new, .. } => {
                membership.is_member(*new)
                    && membership.is_retired(*old)
                    && !membership.parts().joining.contains_key(new)
            }
            Self::Witness { node } => membership.is_witness(*node),
            Self::Move { node, contact } => {
                membership.contact(*node).unwrap_or_default() == contact
            }
            Self::All(_) => false,
        };
        !membership.is_joint() && self.steps().iter().all(is_done)
    }
}

impl Parts {
    fn change(&mut self, step: &Change) -> Result<(), ChangeError> {
        match step {
            Change::AddLearner { node, contact } => self.enlist(*node, contact),
            Change::AddVoter { node, contact } => {
                self.enlist(*node, contact)?;
                if !self.voters.is_voter(*node) {
                    self.joining.entry(*node).or_insert(None);
                }
                Ok(())
            }
            Change::Promote { node } => self.promote(*node),
            Change::Demote { node } => self.demote(*node),
            Change::Remove { node } => self.remove(*node),
            Change::Replace { old, new, contact } => self.replace(*old, *new, contact),
            Change::Witness { node } => {
                self.expect(*node)?;
                self.witnesses.insert(*node);
                Ok(())
            }
            Change::Move { node, contact } => {
                self.expect(*node)?;
                self.reach(*node, contact);
                Ok(())
            }
            // Lists of lists are not read from the wire; of one made by hand all is done.
            Change::All(steps) => steps.iter().try_for_each(|step| self.change(step)),
        }
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.voters.is_voter(node) || self.learners.contains(&node)
    }

    fn expect(&self, node: NodeId) -> Result<(), ChangeError> {
        if self.is_member(node) { Ok(()) } else { Err(ChangeError::NotAMember { node }) }
    }

    fn enlist(&mut self, node: NodeId, contact: &str) -> Result<(), ChangeError> {
        if self.retired.contains(&node) {
            return Err(ChangeError::Retired { node });
        }
        if !self.is_member(node) {
            self.learners.insert(node);
        }
        match self.contacts.get(&node) {
            Some(known) if !contact.is_empty() && known != contact => {
                Err(ChangeError::Elsewhere { node, contact: known.clone() })
            }
            Some(_) => Ok(()),
            None => {
                self.reach(node, contact);
                Ok(())
            }
        }
    }

    /// Notes where a member is reached; nowhere, if that is not said.
    fn reach(&mut self, node: NodeId, contact: &str) {
        if contact.is_empty() {
            self.contacts.remove(&node);
        } else {
            self.contacts.insert(node, contact.to_owned());
        }
    }

    fn promote(&mut self, node: NodeId) -> Result<(), ChangeError> {
        self.expect(node)?;
        self.learners.remove(&node);
        self.voters.insert(node);
        match self.joining.remove(&node).flatten() {
            Some(replaced) if self.is_member(replaced) => self.remove(replaced),
            Some(_) | None => Ok(()),
        }
    }

    fn demote(&mut self, node: NodeId) -> Result<(), ChangeError> {
        self.expect(node)?;
        self.voters.remove(node);
        self.learners.insert(node);
        self.joining.remove(&node);
        Ok(())
    }

    fn remove(&mut self, node: NodeId) -> Result<(), ChangeError> {
        if self.retired.contains(&node) {
            return Ok(());
        }
        self.expect(node)?;
        self.voters.remove(node);
        self.learners.remove(&node);
        self.joining.remove(&node);
        self.joining.values_mut().for_each(|replaced| {
            replaced.take_if(|replaced| *replaced == node);
        });
        self.witnesses.remove(&node);
        self.contacts.remove(&node);
        self.retired.insert(node);
        Ok(())
    }

    fn replace(&mut self, old: NodeId, new: NodeId, contact: &str) -> Result<(), ChangeError> {
        if old == new {
            return Err(ChangeError::SameNode { node: old });
        }
        if !self.retired.contains(&old) {
            self.expect(old)?;
        }
        self.enlist(new, contact)?;
        if self.witnesses.contains(&old) {
            self.witnesses.insert(new);
        }
        let joins = self.voters.is_voter(old) || self.joining.contains_key(&old);
        if joins && !self.voters.is_voter(new) {
            self.joining.insert(new, Some(old));
            Ok(())
        } else {
            self.remove(old)
        }
    }

    fn check(&self) -> Result<(), ChangeError> {
        let voters = self.voters.voters().len();
        if voters == 0 {
            return Err(ChangeError::NoVoter);
        }
        // So every majority has somebody who stores what it decides.
        let witnesses = self.voters.voters().filter(|node| self.witnesses.contains(node)).count();
        if witnesses * 2 >= voters {
            return Err(ChangeError::TooManyWitnesses { witnesses, voters });
        }
        let members = voters + self.learners.len();
        if members > MEMBERS_MAX {
            return Err(ChangeError::TooMany { members });
        }
        let longest = self.contacts.values().map(String::len).max().unwrap_or_default();
        if longest > CONTACT_BYTES_MAX {
            return Err(ChangeError::LongContact { bytes: longest });
        }
        Ok(())
    }
}

impl Membership {
    /// Returns the next configuration on the way to `target`, which is not joint: the joint one
    /// where voters differ, `target` itself where they do not (dissertation 4.3).
    pub(crate) fn toward(&self, target: &Self) -> Self {
        let (from, to) = (self.parts(), target.parts());
        if from.voters == to.voters {
            return target.clone();
        }
        let outgoing = from.voters.clone();
        let mut parts = Parts { outgoing, ..to.clone() };
        // Who still votes is not gone yet.
        for node in from.voters.voters() {
            parts.retired.remove(&node);
            if from.witnesses.contains(&node) {
                parts.witnesses.insert(node);
            }
            if let Some(contact) = from.contacts.get(&node) {
                parts.contacts.entry(node).or_insert_with(|| contact.clone());
            }
        }
        Self::of(parts)
    }

    /// Returns what a joint configuration is to become; one that is not joint stays as it is.
    pub(crate) fn left(&self) -> Self {
        if !self.is_joint() {
            return self.clone();
        }
        let mut parts = Parts { outgoing: Members::default(), ..self.parts().clone() };
        for node in
            self.outgoing().voters().filter(|node| !parts.is_member(*node)).collect::<Vec<_>>()
        {
            parts.witnesses.remove(&node);
            parts.contacts.remove(&node);
            parts.retired.insert(node);
        }
        Self::of(parts)
    }

    /// Returns what may become of the membership by itself: it stays, or is left if it is joint, and
    /// some of the learners vote that are to.
    pub(crate) fn growths(&self) -> Vec<Self> {
        let left = self.left();
        let joining: Vec<NodeId> = left.joining().map(|(node, _)| node).collect();
        let some = |which: u64| {
            let chosen = joining.iter().enumerate().filter(|(at, _)| which >> at & 1 == 1);
            chosen.map(|(_, node)| *node).collect::<BTreeSet<_>>()
        };
        let subsets = (1..1 << joining.len()).map(some);
        let grown: Vec<_> = subsets.filter_map(|it| left.promoting(&it).ok()).collect();
        [self.clone(), left].into_iter().chain(grown).collect()
    }

    /// Returns what becomes of the membership when these learners vote.
    pub(crate) fn promoting(&self, learners: &BTreeSet<NodeId>) -> Result<Self, ChangeError> {
        let steps = learners.iter().map(|node| Change::Promote { node: *node });
        Change::All(steps.collect()).apply(self)
    }
}
