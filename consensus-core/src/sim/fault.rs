//! The faults that a run may have, which of them a profile promises, and how many there were.

use std::{fmt, str::FromStr};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A message is lost.
    Loss,
    /// A link holds messages back for a while.
    Delay,
    /// A message arrives twice.
    Duplication,
    /// A message overtakes others.
    Reordering,
    /// The nodes fall into two groups that do not hear each other.
    Partition,
    /// A node is not heard, or hears nothing.
    OneWay,
    /// Two groups do not hear each other but for one node that both hear.
    Bridge,
    /// A leader is left with a minority, or alone.
    LeaderCutOff,
    /// A process ends before anything that a step asked for is done.
    CrashBefore,
    /// A process ends while what a step asked for is being done, or within a write or sync.
    CrashBetween,
    /// A process ends when its records are durable and it has not learned so.
    CrashAfter,
    /// All processes end at once.
    CrashAll,
    /// A process stops for a while and goes on as if nothing had happened.
    Pause,
    /// A replica has more to apply than it may, for a while.
    Backlog,
    /// A disk is emptied; the node comes back as another incarnation, which its peers refuse.
    WipedDisk,
    /// A disk goes on in another machine, with another clock.
    Replacement,
    /// A crash loses records that were handed over and not synced.
    LostSuffix,
    /// A crash keeps some sectors of a write and loses others.
    TornWrite,
    /// A bit on a disk changes after it was written.
    BitRot,
    /// A write goes to another place of the file than it was meant for.
    MisdirectedWrite,
    /// A disk has no room for another segment.
    DiskFull,
    /// A write fails.
    WriteError,
    /// A sync fails, and forgets what it had to write.
    SyncError,
    /// Syncs take many times as long.
    SlowDisk,
    /// The news that records are durable comes late, and not in order.
    LateCompletion,
    /// A clock runs faster or slower than others.
    Drift,
    /// A wall clock is set forward or back.
    ClockJump,
    /// Somebody asks that another node lead, and it comes to that.
    Transfer,
    /// A group comes to rest: its leader sends no more heartbeats.
    Rest,
    /// A leader at rest stands still, or its node is heard of no more by a replica at rest.
    Unrest,
    /// Voters are tempted to break what a leader's lease rests on: they start again while somebody
    /// campaigns whom their leader does not reach, or a word to campaign comes late.
    Temptation,
    /// Who takes part changes, since an operator asked for it.
    MembershipChange,
    /// A leader hands over to a node that is to be preferred.
    Takeover,
    /// A leader hands over since its disk stalls.
    DiskStall,
    /// A process is told to end, hands over what it leads, and ends.
    Retirement,
    /// A replica takes a snapshot while it goes on, and lets its log go.
    SnapshotTaken,
    /// A replica is given the snapshot of another.
    SnapshotInstalled,
    /// A replica that stores no commands lets its log go, or is sent a point to go on from.
    WitnessLetGo,
}

const KINDS: usize = 38;

impl Fault {
    /// All kinds.
    pub const ALL: [Self; KINDS] = [
        Self::Loss,
        Self::Delay,
        Self::Duplication,
        Self::Reordering,
        Self::Partition,
        Self::OneWay,
        Self::Bridge,
        Self::LeaderCutOff,
        Self::CrashBefore,
        Self::CrashBetween,
        Self::CrashAfter,
        Self::CrashAll,
        Self::Pause,
        Self::Backlog,
        Self::WipedDisk,
        Self::Replacement,
        Self::LostSuffix,
        Self::TornWrite,
        Self::BitRot,
        Self::MisdirectedWrite,
        Self::DiskFull,
        Self::WriteError,
        Self::SyncError,
        Self::SlowDisk,
        Self::LateCompletion,
        Self::Drift,
        Self::ClockJump,
        Self::Transfer,
        Self::Rest,
        Self::Unrest,
        Self::Temptation,
        Self::MembershipChange,
        Self::Takeover,
        Self::DiskStall,
        Self::Retirement,
        Self::SnapshotTaken,
        Self::SnapshotInstalled,
        Self::WitnessLetGo,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Duplication => "duplication",
            Self::Reordering => "reordering",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Bridge => "bridge",
            Self::LeaderCutOff => "leader-cut-off",
            Self::CrashBefore => "crash-before",
            Self::CrashBetween => "crash-between",
            Self::CrashAfter => "crash-after",
            Self::CrashAll => "crash-all",
            Self::Pause => "pause",
            Self::Backlog => "backlog",
            Self::WipedDisk => "wiped-disk",
            Self::Replacement => "replacement",
            Self::LostSuffix => "lost-suffix",
            Self::TornWrite => "torn-write",
            Self::BitRot => "bit-rot",
            Self::MisdirectedWrite => "misdirected-write",
            Self::DiskFull => "disk-full",
            Self::WriteError => "write-error",
            Self::SyncError => "sync-error",
            Self::SlowDisk => "slow-disk",
            Self::LateCompletion => "late-completion",
            Self::Drift => "drift",
            Self::ClockJump => "clock-jump",
            Self::Transfer => "transfer",
            Self::Rest => "rest",
            Self::Unrest => "unrest",
            Self::Temptation => "temptation",
            Self::MembershipChange => "membership-change",
            Self::Takeover => "takeover",
            Self::DiskStall => "disk-stall",
            Self::Retirement => "retirement",
            Self::SnapshotTaken => "snapshot-taken",
            Self::SnapshotInstalled => "snapshot-installed",
            Self::WitnessLetGo => "witness-let-go",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|fault| *fault == self).unwrap_or_default()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|fault| fault.name() == text).ok_or(())
    }
}

/// A set of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u64);

impl Faults {
    /// No fault.
    pub const NONE: Self = Self(0);

    /// Returns the set with `fault` in it.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault.place())
    }

    /// Returns the set without `fault`.
    #[must_use]
    pub fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault.place()))
    }

    /// Returns those that are in both sets.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Tells whether `fault` is in the set.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault.place() != 0
    }

    /// Returns the faults of the set.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        faults.into_iter().fold(Self::NONE, Self::with)
    }
}

/// A named set of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// None.
    Calm,
    /// What networks do.
    Network,
    /// What befalls processes.
    Crash,
    /// What befalls disks, and the crashes that show it.
    Disk,
    /// What clocks do.
    Clock,
    /// Everything.
    #[default]
    All,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 6] =
        [Self::Calm, Self::Network, Self::Crash, Self::Disk, Self::Clock, Self::All];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Network => "network",
            Self::Crash => "crash",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::All => "all",
        }
    }

    /// Returns the faults that runs of this profile have.
    pub fn faults(self) -> Faults {
        let range = |first: Fault, last: Fault| {
            Fault::ALL.into_iter().filter(move |fault| (first..=last).contains(fault)).collect()
        };
        match self {
            Self::Calm => Faults::NONE,
            Self::Network => range(Fault::Loss, Fault::LeaderCutOff),
            Self::Crash => range(Fault::CrashBefore, Fault::LostSuffix),
            Self::Disk => {
                let disk: Faults = range(Fault::LostSuffix, Fault::LateCompletion);
                disk.with(Fault::CrashBetween).with(Fault::CrashAll)
            }
            Self::Clock => range(Fault::Drift, Fault::ClockJump),
            Self::All => range(Fault::Loss, Fault::WitnessLetGo),
        }
    }
}

impl FromStr for Profile {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(())
    }
}

/// How many faults of each kind there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts([u64; KINDS]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Counts {
    /// Counts one.
    pub(super) fn count(&mut self, fault: Fault) {
        if let Some(count) = self.0.get_mut(fault.place()) {
            *count += 1;
        }
    }

    /// Returns how many there were of a kind.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(fault.place()).copied().unwrap_or_default()
    }

    /// Adds what another run had.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Returns the kinds of `promised` of which `runs` runs had fewer than one in ten: they are
    /// hardly tested then. Fewer than ten runs promise nothing.
    pub fn missing(&self, promised: Faults, runs: u64) -> Vec<Fault> {
        promised.iter().filter(|fault| self.of(*fault) < runs / 10).collect()
    }
}
