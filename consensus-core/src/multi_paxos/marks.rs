//! Up to where all is known to be chosen, under each of a few ballots.

use super::ballot::Ballot;
use crate::log::Index;

/// Under these ballots, all slots up to there are chosen. There are as many as leaders were heard of
/// lately: one, mostly.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<(Ballot, Index)>);

impl From<Vec<(Ballot, Index)>> for Marks {
    fn from(marks: Vec<(Ballot, Index)>) -> Self {
        Self(marks)
    }
}

impl Marks {
    /// Notes that under a ballot all slots up to `upto` are chosen, whatever was known before.
    pub(super) fn note(&mut self, ballot: Ballot, upto: Index) {
        match self.0.iter_mut().find(|(other, _)| *other == ballot) {
            Some((_, known)) => *known = upto.max(*known),
            None => self.0.push((ballot, upto)),
        }
    }

    /// Returns up to where what was accepted in a ballot is chosen.
    pub(super) fn under(&self, ballot: Ballot) -> Index {
        let mark = self.0.iter().find(|(other, _)| *other == ballot);
        mark.map(|(_, upto)| *upto).unwrap_or_default()
    }

    /// Returns what reaches farthest, of equals the latest ballot.
    pub(super) fn farthest(&self) -> Option<(Ballot, Index)> {
        self.0.iter().copied().max_by_key(|(ballot, upto)| (*upto, *ballot))
    }

    /// Returns up to where all is known to be chosen, under whichever ballot.
    pub(super) fn reach(&self) -> Index {
        self.0.iter().map(|(_, upto)| *upto).max().unwrap_or_default()
    }

    /// Returns all, each ballot with what is chosen under it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ballot, Index)> + '_ {
        self.0.iter().copied()
    }

    /// Forgets those that reach no farther than `upto`.
    pub(super) fn forget(&mut self, upto: Index) {
        self.0.retain(|(_, known)| *known > upto);
    }

    /// Forgets that of a ballot.
    pub(super) fn remove(&mut self, ballot: Ballot) {
        self.0.retain(|(other, _)| *other != ballot);
    }
}
