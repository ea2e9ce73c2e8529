//! What the members of a cluster host.

use clap::ValueEnum;
use consensus_actors::{Node, Result};

use crate::{
    cluster::host_maps,
    growth::{
        idle,
        recovery::{self, Log},
        snapshot::{self, Copied, Shared},
    },
    map::Map,
    sagas,
};

/// What a member hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cast {
    /// The groups that most modes measure
    Maps,
    /// One such group
    Map,
    /// Nothing
    Nothing,
    /// Many groups that nobody calls
    Idle,
    /// A log without snapshots
    Log,
    /// A gigabyte that a snapshot copies
    Copied,
    /// A gigabyte that a snapshot shares
    Shared,
    /// Sagas
    Sagas,
}

impl Cast {
    /// Hosts it.
    pub(crate) async fn host(self, node: &Node) -> Result {
        match self {
            Self::Maps => host_maps(node).await.map(drop),
            Self::Map => node.host::<Map>("map").await.map(drop),
            Self::Nothing => idle::host(node, 0).await,
            Self::Idle => idle::host(node, idle::GROUPS).await,
            Self::Log => recovery::serve(node.host::<Log>(recovery::NAME).await?).await,
            Self::Copied => node.host::<Copied>(snapshot::NAME).own_thread().await.map(drop),
            Self::Shared => node.host::<Shared>(snapshot::NAME).own_thread().await.map(drop),
            Self::Sagas => sagas::host(node).await.map(drop),
        }
    }

    /// Tells whether its nodes are asked over HTTP, too.
    pub(crate) fn has_http(self) -> bool {
        matches!(self, Self::Map | Self::Copied | Self::Shared | Self::Sagas)
    }

    /// Returns what the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Map => "map",
            Self::Nothing => "nothing",
            Self::Idle => "idle",
            Self::Log => "log",
            Self::Copied => "copied",
            Self::Shared => "shared",
            Self::Sagas => "sagas",
        }
    }
}
