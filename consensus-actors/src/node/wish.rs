//! What operators wish of who takes part, and what that would do to a group's quorum.

use std::{collections::BTreeSet, fmt};

use consensus_core::{Change, ChangeError, Membership, NodeId};

/// What an operator wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A node is to take part.
    Add { node: NodeId, address: String, part: Part },
    /// A learner is to vote.
    Promote { node: NodeId },
    /// A member is to go.
    Remove { node: NodeId },
    /// A member is to go, and another to take its place.
    Replace { dead: NodeId, new: NodeId, address: String },
}

/// What part a new member takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// It votes, once it has caught up.
    #[default]
    Voter,
    /// It follows.
    Learner,
    /// It votes, and stores no data.
    Witness,
}

impl Wish {
    /// Returns the change that grants it.
    pub(crate) fn change(&self) -> Change {
        match self.clone() {
            Self::Add { node, address: contact, part } => match part {
                Part::Voter => Change::AddVoter { node, contact },
                Part::Learner => Change::AddLearner { node, contact },
                Part::Witness => {
                    Change::All(vec![Change::AddVoter { node, contact }, Change::Witness { node }])
                }
            },
            Self::Promote { node } => Change::Promote { node },
            Self::Remove { node } => Change::Remove { node },
            Self::Replace { dead, new, address } => {
                Change::Replace { old: dead, new, contact: address }
            }
        }
    }

    /// Returns who comes, and where it listens.
    pub(crate) fn newcomer(&self) -> Option<(NodeId, &str)> {
        match self {
            Self::Add { node, address, .. } => Some((*node, address)),
            Self::Replace { new, address, .. } => Some((*new, address)),
            Self::Promote { .. } | Self::Remove { .. } => None,
        }
    }

    /// Returns who goes.
    pub(crate) fn leaver(&self) -> Option<NodeId> {
        match self {
            Self::Remove { node } | Self::Replace { dead: node, .. } => Some(*node),
            Self::Add { .. } | Self::Promote { .. } => None,
        }
    }

    /// Returns what the change would do to a group, where these nodes are up; `None` if it has
    /// happened.
    ///
    /// # Errors
    /// [`ChangeError`] where it makes no sense, or would leave nobody who can decide.
    pub(crate) fn effect(
        &self,
        membership: &Membership,
        is_up: impl Fn(NodeId) -> bool + Copy,
    ) -> Result<Option<Effect>, ChangeError> {
        let change = self.change();
        if change.is_done(membership) {
            return Ok(None);
        }
        let target = change.apply(membership)?;
        let comes = self.newcomer().map(|(node, _)| node);
        let is_up = |node: NodeId| comes == Some(node) || is_up(node);
        let before = Quorum::of(&voters(membership), is_up);
        let after = Quorum::of(&voters(&target), is_up);
        if after.survives().is_none() {
            return Err(ChangeError::NoMajority { voters: after.voters, heard: after.up });
        }
        Ok(Some(Effect { before, after }))
    }
}

/// Returns who votes once those vote that are to, and those are gone whose place they take.
fn voters(membership: &Membership) -> BTreeSet<NodeId> {
    let mut voters: BTreeSet<NodeId> = membership.voters().voters().collect();
    for (node, replaced) in membership.joining() {
        voters.insert(node);
        replaced.map(|replaced| voters.remove(&replaced));
    }
    voters
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { node, part: Part::Voter, .. } => write!(f, "adding {node}"),
            Self::Add { node, part: Part::Learner, .. } => write!(f, "adding {node} as a learner"),
            Self::Add { node, part: Part::Witness, .. } => write!(f, "adding {node} as a witness"),
            Self::Promote { node } => write!(f, "promoting {node}"),
            Self::Remove { node } => write!(f, "removing {node}"),
            Self::Replace { dead, new, .. } => write!(f, "replacing {dead} with {new}"),
        }
    }
}

/// What a change does to a group's quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Effect {
    pub(crate) before: Quorum,
    pub(crate) after: Quorum,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quorum { voters, up } = self.after;
        let verb = if voters > self.before.voters { "makes" } else { "leaves" };
        write!(f, "{verb} {up} of {voters}: ")?;
        match self.after.survives() {
            None => f.write_str("nothing can be written"),
            Some(0) => f.write_str("one more failure stops writes"),
            Some(1) => f.write_str("it survives one more failure"),
            Some(more) => write!(f, "it survives {more} more failures"),
        }
    }
}

/// The voters of a group, and how many of them are up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quorum {
    pub(crate) voters: usize,
    pub(crate) up: usize,
}

impl Quorum {
    fn of(voters: &BTreeSet<NodeId>, is_up: impl Fn(NodeId) -> bool) -> Self {
        let up = voters.iter().filter(|node| is_up(**node)).count();
        Self { voters: voters.len(), up }
    }

    /// Returns how many more nodes may fail before nothing can be written; `None` if nothing can.
    pub(crate) fn survives(self) -> Option<usize> {
        self.up.checked_sub(self.voters / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use consensus_core::Members;

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn of(voters: u64) -> Membership {
        Members::new((1..=voters).map(node)).expect("tests have voters").into()
    }

    fn told(wish: &Wish, voters: u64, down: &[u64]) -> String {
        match wish.effect(&of(voters), |node| !down.contains(&node.number())) {
            Ok(Some(effect)) => format!("{wish} {effect}"),
            Ok(None) => "done".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    // Goal: what is told before a change is what it does: the voters that there will be, how many
    // of them are up, and how many of these may fail.
    #[test]
    fn effects_are_told_in_advance() {
        let remove = |number| Wish::Remove { node: node(number) };
        let add = |part| Wish::Add { node: node(9), address: "a:1".to_owned(), part };
        let replace = Wish::Replace { dead: node(3), new: node(9), address: "a:1".to_owned() };
        let cases = [
            (remove(2), 3, &[][..], "removing n2 leaves 2 of 2: one more failure stops writes"),
            (remove(2), 5, &[], "removing n2 leaves 4 of 4: it survives one more failure"),
            (remove(2), 3, &[2], "removing n2 leaves 2 of 2: one more failure stops writes"),
            (add(Part::Voter), 3, &[], "adding n9 makes 4 of 4: it survives one more failure"),
            (add(Part::Voter), 4, &[], "adding n9 makes 5 of 5: it survives 2 more failures"),
            (
                add(Part::Learner),
                3,
                &[3],
                "adding n9 as a learner leaves 2 of 3: one more failure stops writes",
            ),
            (replace, 3, &[3], "replacing n3 with n9 leaves 3 of 3: it survives one more failure"),
        ];
        for (wish, voters, down, expected) in cases {
            assert_eq!(told(&wish, voters, down), expected);
        }
    }

    // Goal: a change after which nothing could be decided is refused, and so is one that makes no
    // sense; one that has happened is none.
    #[test]
    fn changes_in_vain_are_refused() {
        let remove = |number| Wish::Remove { node: node(number) };
        assert!(told(&remove(2), 3, &[3]).contains("of the 2 voters"), "n1 alone is no majority");
        assert!(told(&remove(1), 1, &[]).contains("needs a voter"));
        assert!(told(&remove(7), 3, &[]).contains("n7 is not a member"));
        assert_eq!(told(&Wish::Promote { node: node(2) }, 3, &[]), "done");
    }
}
