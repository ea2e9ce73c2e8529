//! The ways in which queries are answered: a run tests those that it has had.

/// A way in which a query is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Served {
    /// Linearizably, by a replica that does not lead.
    Follower,
    /// By a group whose members keep leases, at the level that may rest on them.
    Lease,
    /// From a state of bounded age.
    Stale,
    /// After the command that its token came with.
    After,
}

const KINDS: usize = 4;

impl Served {
    /// All kinds.
    pub const ALL: [Self; KINDS] = [Self::Follower, Self::Lease, Self::Stale, Self::After];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Follower => "read-by-follower",
            Self::Lease => "read-lease",
            Self::Stale => "read-stale",
            Self::After => "read-after",
        }
    }
}

/// How many queries were answered in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads([u64; KINDS]);

impl Reads {
    /// Counts one.
    pub(super) fn count(&mut self, served: Served) {
        if let Some(count) = self.0.get_mut(served as usize) {
            *count += 1;
        }
    }

    /// Returns how many were answered so.
    pub fn of(&self, served: Served) -> u64 {
        self.0.get(served as usize).copied().unwrap_or_default()
    }

    /// Adds what another run had.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Returns the ways that `runs` runs had fewer often than one in ten: they are hardly tested
    /// then. Fewer than ten runs promise nothing.
    pub fn missing(&self, runs: u64) -> Vec<Served> {
        Served::ALL.into_iter().filter(|served| self.of(*served) < runs / 10).collect()
    }
}
