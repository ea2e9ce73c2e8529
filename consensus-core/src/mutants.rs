//! Known bugs that a build with the feature `mutants` can put back, one at a time, to prove that
//! the tests are strong enough.
//!
//! A guard that protects safety names the bug that it prevents, and asks whether it was put back.
//! Without the feature the answer is a constant `false` and nothing is stored.

#[cfg(feature = "mutants")]
use std::{fmt, str::FromStr};

#[cfg(feature = "mutants")]
use crate::{client, fast_paxos, multi_paxos, paxos, raft, replica, saga, snapshot};

/// The bug of kind `M` that was put back, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bugs<M> {
    #[cfg(feature = "mutants")]
    put_back: Option<M>,
    #[cfg(not(feature = "mutants"))]
    put_back: std::marker::PhantomData<M>,
}

impl<M> Default for Bugs<M> {
    fn default() -> Self {
        Self { put_back: Default::default() }
    }
}

impl<M: Copy + PartialEq> Bugs<M> {
    #[cfg(feature = "mutants")]
    pub(crate) fn only(mutant: M) -> Self {
        Self { put_back: Some(mutant) }
    }

    /// Tells whether `mutant` was put back; never without the feature.
    #[cfg(feature = "mutants")]
    pub(crate) fn has(self, mutant: M) -> bool {
        self.put_back == Some(mutant)
    }

    /// Tells whether `mutant` was put back; never without the feature.
    #[cfg(not(feature = "mutants"))]
    #[inline(always)]
    pub(crate) const fn has(self, _: M) -> bool {
        false
    }
}

/// Makes an enum of bugs: each variant with its name, what pins it, and the rule that it breaks.
macro_rules! mutants {
    (
        pinned by $pinned_by:ident, $what:literal;
        $($(#[$doc:meta])* $variant:ident = $name:literal, $pin:literal, $rule:literal;)+
    ) => {
        /// A known bug; each variant breaks one rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            not(feature = "mutants"),
            expect(unreachable_pub, reason = "it is public where it can be put back")
        )]
        pub enum Mutant {
            $($(#[$doc])* $variant,)+
        }

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// All of them, in the order of the code that they are about.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name, as it is written on a command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns the rule that is broken.
            pub fn rule(self) -> &'static str {
                match self {
                    $(Self::$variant => $rule,)+
                }
            }

            #[doc = concat!("Returns ", $what, " that pins the rule.")]
            pub fn $pinned_by(self) -> &'static str {
                match self {
                    $(Self::$variant => $pin,)+
                }
            }
        }
    };
}
pub(crate) use mutants;

/// A known bug of any part.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// Of Raft.
    Raft(raft::Mutant),
    /// Of what applies commands.
    Replica(replica::Mutant),
    /// Of what asks for them.
    Client(client::Mutant),
    /// Of what keeps snapshots.
    Snapshot(snapshot::Mutant),
    /// Of Paxos.
    Paxos(paxos::Mutant),
    /// Of Multi-Paxos.
    MultiPaxos(multi_paxos::Mutant),
    /// Of Fast Paxos.
    FastPaxos(fast_paxos::Mutant),
    /// Of sagas.
    Saga(saga::Mutant),
}

#[cfg(feature = "mutants")]
impl Bug {
    /// Returns all bugs.
    pub fn all() -> impl Iterator<Item = Self> {
        let decisions = Self::of_paxos().chain(Self::of_fast_paxos());
        let logs = Self::of_raft().chain(Self::of_multi_paxos());
        logs.chain(decisions).chain(Self::of_sagas())
    }

    /// Returns the bugs that a group under Raft can show: Raft's, the replica's, the client's,
    /// those of snapshots.
    pub fn of_raft() -> impl Iterator<Item = Self> {
        let raft = raft::Mutant::ALL.iter().copied().map(Self::Raft);
        let replica = replica::Mutant::ALL.iter().copied().map(Self::Replica);
        let client = client::Mutant::ALL.iter().copied().map(Self::Client);
        let snapshot = snapshot::Mutant::ALL.iter().copied().map(Self::Snapshot);
        raft.chain(replica).chain(client).chain(snapshot)
    }

    /// Returns the bugs that a decision by Paxos can show.
    pub fn of_paxos() -> impl Iterator<Item = Self> {
        paxos::Mutant::ALL.iter().copied().map(Self::Paxos)
    }

    /// Returns the bugs that a group under Multi-Paxos alone can show.
    pub fn of_multi_paxos() -> impl Iterator<Item = Self> {
        multi_paxos::Mutant::ALL.iter().copied().map(Self::MultiPaxos)
    }

    /// Returns the bugs that a decision by Fast Paxos can show.
    pub fn of_fast_paxos() -> impl Iterator<Item = Self> {
        fast_paxos::Mutant::ALL.iter().copied().map(Self::FastPaxos)
    }

    /// Returns the bugs that sagas can show.
    pub fn of_sagas() -> impl Iterator<Item = Self> {
        saga::Mutant::ALL.iter().copied().map(Self::Saga)
    }

    /// Returns the name, which no other bug has.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft(mutant) => mutant.name(),
            Self::Replica(mutant) => mutant.name(),
            Self::Client(mutant) => mutant.name(),
            Self::Snapshot(mutant) => mutant.name(),
            Self::Paxos(mutant) => mutant.name(),
            Self::MultiPaxos(mutant) => mutant.name(),
            Self::FastPaxos(mutant) => mutant.name(),
            Self::Saga(mutant) => mutant.name(),
        }
    }

    /// Tells whether random runs of a few thousand seeds show it too seldom to be counted on.
    pub fn is_seldom(self) -> bool {
        match self {
            Self::Raft(mutant) => mutant.is_seldom(),
            Self::Paxos(mutant) => mutant.is_seldom(),
            Self::FastPaxos(mutant) => mutant.is_seldom(),
            Self::MultiPaxos(mutant) => mutant.is_seldom(),
            Self::Replica(_) | Self::Client(_) | Self::Snapshot(_) | Self::Saga(_) => false,
        }
    }

    /// Returns the rule that is broken.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Raft(mutant) => mutant.rule(),
            Self::Replica(mutant) => mutant.rule(),
            Self::Client(mutant) => mutant.rule(),
            Self::Snapshot(mutant) => mutant.rule(),
            Self::Paxos(mutant) => mutant.rule(),
            Self::MultiPaxos(mutant) => mutant.rule(),
            Self::FastPaxos(mutant) => mutant.rule(),
            Self::Saga(mutant) => mutant.rule(),
        }
    }

    /// Returns the golden script or the test that pins the rule.
    pub fn pinned_by(self) -> &'static str {
        match self {
            Self::Raft(mutant) => mutant.script(),
            Self::Replica(mutant) => mutant.test(),
            Self::Client(mutant) => mutant.test(),
            Self::Snapshot(mutant) => mutant.test(),
            Self::Paxos(mutant) => mutant.script(),
            Self::MultiPaxos(mutant) => mutant.script(),
            Self::FastPaxos(mutant) => mutant.script(),
            Self::Saga(mutant) => mutant.test(),
        }
    }
}

#[cfg(feature = "mutants")]
impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No bug has the name that was asked for.
#[cfg(feature = "mutants")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no known bug is called {name:?}")]
pub struct UnknownBug {
    /// The name.
    pub name: String,
}

#[cfg(feature = "mutants")]
impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        let bug = Self::all().find(|bug| bug.name() == name);
        bug.ok_or_else(|| UnknownBug { name: name.to_owned() })
    }
}
