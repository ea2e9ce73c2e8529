//! What can be measured, and with how many clients.

use clap::ValueEnum;
use consensus_actors::Result;

use crate::{
    cluster::Scene, decide, durable, floor, growth, load::VALUE_BYTES, map::Level, memory, remote,
    replica, report::Report, sagas,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One process and everything in memory
    Mem,
    /// Three processes and their disks; clients in the leader's process
    Durable,
    /// Three processes and their disks; clients in a fourth
    DurableRemote,
    /// Linearizable queries in the leader's process
    ReadLinearizable,
    /// Queries from a lease in the leader's process
    ReadLease,
    /// Values of a KiB
    #[value(name = "payload-1k")]
    Payload1K,
    /// Values of 64 KiB
    #[value(name = "payload-64k")]
    Payload64K,
    /// A hundred groups on three processes, each with its own clients
    Groups100,
    /// Puts and reads without a learner and with one, which is the process that reads
    Replica,
    /// Sagas of three steps on three nodes, which write down what they do
    Sagas,
    /// The same on one node
    SagasAlone,
    /// Decisions, by either protocol, on clusters of three and of five nodes with their disks
    Decide,
    /// A block on three disks at once, and one round trip: no durable command takes less
    FloorDurable,
    /// A request and its answer over channels, within a thread and between two
    FloorMpsc,
    /// A message to an actor and its answer, within an arbiter and between two
    FloorActix,
    /// What a command costs after a thousand, a hundred thousand and ten million others
    GrowthLog,
    /// A thousand groups that nobody calls
    IdleGroups,
    /// From the start of a process to its first answer, with a million entries and no snapshot
    Recovery,
    /// A snapshot of a gigabyte while clients write
    SnapshotGb,
}

impl Mode {
    /// How many clients there are if nobody says.
    pub(crate) fn clients(self) -> &'static [usize] {
        match self {
            Self::Mem => &[1, 64, 256, 1024, 4096],
            Self::Durable | Self::DurableRemote => &[1, 64, 256, 1024],
            Self::ReadLinearizable | Self::ReadLease => &[1, 256],
            Self::Payload1K | Self::Payload64K => &[64],
            Self::Groups100 => &[10],
            Self::Replica => &[1, 64],
            Self::Sagas | Self::SagasAlone => &[1, 64, 256],
            Self::Decide | Self::FloorDurable | Self::IdleGroups => &[1],
            Self::GrowthLog | Self::Recovery => &[256],
            Self::SnapshotGb => &[16],
            Self::FloorMpsc | Self::FloorActix => &[1, 64],
        }
    }

    /// Returns of how many of the protocols that are asked for it tells anything.
    pub(crate) fn protocols(self) -> usize {
        match self {
            Self::Decide | Self::FloorDurable | Self::FloorMpsc | Self::FloorActix => 1,
            _ => usize::MAX,
        }
    }

    /// Measures it.
    pub(crate) fn measure(self, scene: &Scene<'_>, report: &mut Report) -> Result {
        match self {
            Self::Mem => report.add(memory::puts(scene)?),
            Self::Durable => report.add(durable::puts(scene, "durable", VALUE_BYTES)?),
            Self::DurableRemote => report.add(remote::puts(scene)?),
            Self::ReadLinearizable => {
                report.add(durable::reads(scene, "read-linearizable", Level::Linearizable)?)
            }
            Self::ReadLease => report.add(durable::reads(scene, "read-lease", Level::Lease)?),
            Self::Payload1K => report.add(durable::puts(scene, "payload-1k", 1 << 10)?),
            Self::Payload64K => report.add(durable::puts(scene, "payload-64k", 64 << 10)?),
            Self::Groups100 => report.add(durable::groups(scene, 100)?),
            Self::Replica => replica::measure(scene, report)?,
            Self::Sagas => sagas::trips(scene, ("sagas", 3), report)?,
            Self::SagasAlone => sagas::trips(scene, ("sagas-alone", 1), report)?,
            Self::Decide => decide::measure(scene, report)?,
            Self::FloorDurable => floor::disk::rows(scene)?.into_iter().for_each(|r| report.add(r)),
            Self::FloorMpsc => floor::channel::rows(scene).into_iter().for_each(|r| report.add(r)),
            Self::FloorActix => floor::mailbox::rows(scene).into_iter().for_each(|r| report.add(r)),
            Self::GrowthLog => growth::log::measure(scene, report)?,
            Self::IdleGroups => growth::idle::measure(scene, report)?,
            Self::Recovery => growth::recovery::measure(scene, report)?,
            Self::SnapshotGb => growth::snapshot::measure(scene, report)?,
        }
        Ok(())
    }
}
